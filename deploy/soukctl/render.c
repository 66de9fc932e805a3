/* soukctl render: the files that the servers read at their start, from the topology.
 *
 *     OUT/nats-users.conf     the account, its users and their rights
 *     OUT/valkey-users.acl    the users and their rights
 *     OUT/gateway-*.conf      nginx: upstreams and locations
 *     OUT/prometheus-targets.json  whose metrics are to be scraped
 *
 * The broker's rights are allow-lists only: in nats-server up to 2.10 deny rules can be passed by
 * overlapping wildcards (stack.md, 2). There is no authorization{} block beside the
 * accounts: with one, 2.9.10 lets anonymous clients in (CVE-2023-47090). */
#include <cjson/cJSON.h>
#include <crypt.h>
#include <stdio.h>
#include <string.h>

#include "sk_buf.h"
#include "sk_json.h"
#include "soukctl.h"

#define OUTPUT_MAX_BYTES  ((size_t)1024 * 1024)
#define PATTERN_MAX_BYTES 1024
#define BCRYPT_COST	  4 /* the passwords are 256 random bits: nothing to stretch */

/* ---- the broker's users ---- */

static enum sk_status hash_password(struct sk_context *context, const char *password,
				    const char **hash)
{
	char salt[CRYPT_GENSALT_OUTPUT_SIZE];
	struct crypt_data *data = sk_arena_alloc(context->arena, sizeof(*data));

	if (crypt_gensalt_rn("$2b$", BCRYPT_COST, NULL, 0, salt, sizeof(salt)) == NULL)
		return sk_fail(context, SK_INTERNAL, "no_bcrypt",
			       "this machine's crypt(3) has no bcrypt");
	*hash = crypt_r(password, salt, data);
	return SK_OK;
}

/* Adds a subject to a list in the configuration's syntax. */
static void put_subject(struct sk_buf *out, const char *subject)
{
	sk_buf_printf(out, "        \"%s\"\n", subject);
}

/* To publish to a stream is to look whether it keeps what it acknowledged, too. */
static void put_stream_rights(struct sk_buf *out, struct sk_arena *arena, const char *subject)
{
	put_subject(out, subject);
	put_subject(out, sk_arena_printf(arena, "$JS.API.STREAM.INFO.%.*s",
					 (int)strcspn(subject, "."), subject));
}

static void put_consumer_rights(struct sk_buf *out, struct sk_arena *arena, const char *stream,
				const char *name)
{
	put_subject(out, sk_arena_printf(arena, "$JS.API.CONSUMER.MSG.NEXT.%s.%s", stream, name));
	put_subject(out, sk_arena_printf(arena, "$JS.API.CONSUMER.INFO.%s.%s", stream, name));
	put_subject(out, sk_arena_printf(arena, "$JS.ACK.%s.%s.>", stream, name));
}

static void put_publish_rights(struct sk_buf *out, const struct cJSON *service,
			       struct sk_arena *arena)
{
	const struct cJSON *row;

	cJSON_ArrayForEach(row, topology_list(service, "streams")) put_stream_rights(
		out, arena, sk_arena_printf(arena, "%s.>", topology_text(row, "name")));
	cJSON_ArrayForEach(row, topology_list(service, "publishes"))
		put_stream_rights(out, arena, topology_text(row, ""));
	put_subject(out, "sessions.seen.*"); /* any service may tell that a session is used */
	/* And whoever has an outbox tells who did, or was refused, what. */
	if (topology_flag(service, "uses_pg"))
		put_stream_rights(out, arena, "audit.user_actions.*");
	cJSON_ArrayForEach(row, topology_list(service, "consumers"))
	{
		const char *stream = topology_text(row, "stream"),
			   *name = topology_text(row, "name");

		put_subject(out, sk_arena_printf(arena, "dead.%s.%s", stream, name));
		put_consumer_rights(out, arena, stream, name);
	}
	if (topology_has_consumers(service))
		put_consumer_rights(out, arena, REPLAY_STREAM,
				    topology_replay_consumer(arena, service));
	cJSON_ArrayForEach(row, topology_list(service, "replays")) put_subject(
		out, sk_arena_printf(arena, "$JS.API.DIRECT.GET.%s", topology_text(row, "")));
}

static enum sk_status put_broker_user(struct sk_context *context, struct sk_buf *out,
				      const struct cJSON *service, const char *secrets)
{
	const char *name = topology_text(service, "name"), *password, *hash = NULL;
	const struct cJSON *row;
	enum sk_status st = secret_read(context, secrets, name, "nats.password", &password);

	if (st == SK_OK)
		st = hash_password(context, password, &hash);
	if (st != SK_OK)
		return st;
	sk_buf_printf(
		out,
		"    { user: \"%s\", password: \"%s\", permissions: {\n      publish: { allow: [\n",
		name, hash);
	put_publish_rights(out, service, context->arena);
	sk_buf_puts(out, "      ] }\n      subscribe: { allow: [\n");
	put_subject(out, sk_arena_printf(context->arena, "_INBOX_%s.>", name));
	cJSON_ArrayForEach(row, topology_list(service, "watches"))
		put_subject(out, topology_text(row, ""));
	sk_buf_puts(out, "      ] }\n    } }\n");
	return SK_OK;
}

static enum sk_status render_broker(struct sk_context *context, const struct cJSON *topology,
				    const char *secrets, const char *out_dir)
{
	const char *password, *hash = NULL;
	const struct cJSON *service;
	struct sk_buf out;
	enum sk_status st = secret_read(context, secrets, "admin", "nats.password", &password);

	if (st == SK_OK)
		st = hash_password(context, password, &hash);
	if (st != SK_OK)
		return st;
	sk_buf_init(&out, context->arena, OUTPUT_MAX_BYTES);
	sk_buf_printf(&out,
		      "# Made by soukctl render from what the services declare. Do not edit.\n"
		      "accounts {\n  SHOP: { jetstream: enabled, users: [\n"
		      "    { user: \"admin\", password: \"%s\" }\n",
		      hash);
	cJSON_ArrayForEach(service, topology_list(topology, "services"))
	{
		st = put_broker_user(context, &out, service, secrets);
		if (st != SK_OK)
			return st;
	}
	sk_buf_puts(&out, "  ] }\n  SYS: { users: [] }\n}\nsystem_account: SYS\n");
	return file_write(context, sk_arena_printf(context->arena, "%s/nats-users.conf", out_dir),
			  sk_buf_text(&out), 0600);
}

/* ---- Valkey's users ---- */

/* Nobody can be the default user: it is off and has no password. But it is as that user that
 * Valkey reads its append-only file, and it asks for rights again where several writes are
 * one step, as in a function. Without rights it would lose every session and
 * cart at a restart, silently (valkey-io/valkey#3983, mended in versions after ours). */
#define DEFAULT_USER "user default off ~* &* +@all\n"

static enum sk_status render_valkey(struct sk_context *context, const struct cJSON *topology,
				    const char *secrets, const char *out_dir)
{
	const char *password;
	const struct cJSON *service;
	struct sk_buf out;
	enum sk_status st = secret_read(context, secrets, "admin", "valkey.password", &password);

	if (st != SK_OK)
		return st;
	sk_buf_init(&out, context->arena, OUTPUT_MAX_BYTES);
	sk_buf_printf(&out, DEFAULT_USER "user admin on >%s ~* &* +@all\n", password);
	cJSON_ArrayForEach(service, topology_list(topology, "services"))
	{
		if (!topology_flag(service, "uses_kv"))
			continue;
		st = secret_read(context, secrets, topology_text(service, "name"),
				 "valkey.password", &password);
		if (st != SK_OK)
			return st;
		sk_buf_printf(&out, "user %s %s\n", topology_text(service, "name"),
			      valkey_rights(context, service, password));
	}
	return file_write(context, sk_arena_printf(context->arena, "%s/valkey-users.acl", out_dir),
			  sk_buf_text(&out), 0600);
}

/* ---- the gateway's routes ---- */

/* "/v1/orders/{id}/cancel" -> "/v1/orders": its first two segments. */
static const char *prefix_of(struct sk_arena *arena, const char *path)
{
	size_t first = strcspn(path + 1, "/") + 1;
	size_t second = path[first] == '/' ? first + 1 + strcspn(path + first + 1, "/") : first;

	return sk_arena_printf(arena, "%.*s", (int)second, path);
}

static bool seen_before(const struct cJSON *routes, const struct cJSON *until,
			struct sk_arena *arena, const char *prefix)
{
	const struct cJSON *route;

	cJSON_ArrayForEach(route, routes)
	{
		if (route == until)
			return false;
		if (strcmp(prefix_of(arena, topology_text(route, "path")), prefix) == 0)
			return true;
	}
	return false;
}

static bool has_flag(const struct cJSON *route, const char *name)
{
	const struct cJSON *flag;

	cJSON_ArrayForEach(flag, topology_list(route, "flags")) if (strcmp(topology_text(flag, ""),
									   name) == 0) return true;
	return false;
}

/* "/v1/orders/{id}/refunds" -> "/v1/orders/[^/]+/refunds" */
static const char *pattern_of(struct sk_arena *arena, const char *path)
{
	struct sk_buf pattern;

	sk_buf_init(&pattern, arena, PATTERN_MAX_BYTES);
	while (*path != '\0') {
		size_t len = strcspn(path, "{");

		sk_buf_put(&pattern, path, len);
		path += len;
		if (*path == '{') {
			sk_buf_puts(&pattern, "[^/]+");
			path += strcspn(path, "}") + 1;
		}
	}
	return sk_buf_text(&pattern);
}

/* The routes that keep an Idempotency-Key: a request with one may be sent twice. */
static void put_keyed_routes(struct sk_context *context, struct sk_buf *out,
			     const struct cJSON *topology)
{
	const struct cJSON *service, *route;

	sk_buf_puts(out, "map \"$request_method $uri\" $souk_takes_key {\n    default \"\";\n");
	cJSON_ArrayForEach(service, topology_list(topology, "services"))
	{
		cJSON_ArrayForEach(route, topology_list(service, "routes"))
		{
			if (has_flag(route, "idempotent") || has_flag(route, "key_required"))
				sk_buf_printf(
					out, "    \"~^%s %s$\" key;\n",
					topology_text(route, "method"),
					pattern_of(context->arena, topology_text(route, "path")));
		}
	}
	sk_buf_puts(out, "}\n");
}

/* How a request goes on is decided in nginx.conf, by $souk_way: "" here, else in the location
 * of that name, which finds the service by $souk_service. */
static void put_location(struct sk_buf *out, const char *match, const char *service)
{
	sk_buf_printf(out,
		      "location %s { set $souk_service souk_%s; if ($souk_way) { return 418; } "
		      "proxy_pass http://souk_%s; }\n",
		      match, service, service);
}

static void put_locations(struct sk_context *context, struct sk_buf *out,
			  const struct cJSON *service)
{
	const struct cJSON *routes = topology_list(service, "routes"), *route;
	const char *name = topology_text(service, "name");

	cJSON_ArrayForEach(route, routes)
	{
		const char *path = topology_text(route, "path");
		const char *prefix = prefix_of(context->arena, path);

		if (has_flag(route, "slow"))
			sk_buf_printf(out,
				      "location = %s { proxy_read_timeout 60s; proxy_pass "
				      "http://souk_%s_new; }\n",
				      path, name);
		/* nginx prefers patterns to prefixes. */
		if (has_flag(route, "live"))
			sk_buf_printf(out,
				      "location ~ ^%s$ { include gateway-live.conf; proxy_pass "
				      "http://souk_%s_live; }\n",
				      pattern_of(context->arena, path), name);
		if (seen_before(routes, route, context->arena, prefix))
			continue;
		/* The path itself, and what is below it: never /v1/ordersomething. */
		put_location(out, sk_arena_printf(context->arena, "= %s", prefix), name);
		put_location(out, sk_arena_printf(context->arena, "%s/", prefix), name);
	}
}

/* The next address of a name: of its "name=host:port" lines, from *at on, or else (the first time)
 * the port on loopback. NULL: no further one. */
static const char *next_address(struct sk_context *context, const char *name, int port,
				const char *addresses, const char **at)
{
	const char *wanted = sk_arena_printf(context->arena, "\n%s=", name);
	bool first = *at == NULL;

	if (first)
		*at = sk_arena_printf(context->arena, "\n%s", addresses);
	*at = strstr(*at, wanted);
	if (*at == NULL) {
		*at = "";
		return first ? sk_arena_printf(context->arena, "127.0.0.1:%d", port) : NULL;
	}
	*at += strlen(wanted);
	return sk_arena_printf(context->arena, "%.*s", (int)strcspn(*at, "\n"), *at);
}

/* The servers of a name.
 *
 * None is ever set aside for its failures (max_fails=0): a 503 because a store is down would
 * count as one, so that the gateway would refuse for every replica what they still can do.
 * One that is gone costs the attempt to connect: nothing where its host refuses, at most
 * proxy_connect_timeout where nobody answers. */
static void put_servers(struct sk_context *context, struct sk_buf *out, const char *name, int port,
			const char *addresses)
{
	const char *at = NULL, *address;

	while ((address = next_address(context, name, port, addresses, &at)) != NULL)
		sk_buf_printf(out, " server %s max_fails=0;", address);
}

/* Each service twice: with connections that are kept, and (_new) with one for each request. Those
 * that are kept are fewer than a service's threads, each of which waits with one, and end
 * here long before the service would end them. And, where it has them, the port for its streams. */
static void put_upstreams(struct sk_context *context, struct sk_buf *out,
			  const struct cJSON *service, const char *addresses)
{
	const char *name = topology_text(service, "name");
	int port = topology_int(service, "port"), live_port = topology_int(service, "live_port");

	sk_buf_printf(out, "upstream souk_%s {", name);
	put_servers(context, out, name, port, addresses);
	sk_buf_printf(out, " keepalive 8; keepalive_timeout 4s; }\nupstream souk_%s_new {", name);
	put_servers(context, out, name, port, addresses);
	sk_buf_puts(out, " }\n");
	if (live_port == 0)
		return;
	sk_buf_printf(out, "upstream souk_%s_live {", name);
	put_servers(context, out, sk_arena_printf(context->arena, "%s-live", name), live_port,
		    addresses);
	sk_buf_puts(out, " }\n");
}

static enum sk_status render_gateway(struct sk_context *context, const struct cJSON *topology,
				     const char *addresses, const char *out_dir)
{
	const struct cJSON *service;
	struct sk_buf upstreams, locations;
	enum sk_status st;

	sk_buf_init(&upstreams, context->arena, OUTPUT_MAX_BYTES);
	sk_buf_init(&locations, context->arena, OUTPUT_MAX_BYTES);
	sk_buf_puts(&upstreams,
		    "# Made by soukctl render from the services' routes. Do not edit.\n");
	sk_buf_puts(&locations,
		    "# Made by soukctl render from the services' routes. Do not edit.\n");
	cJSON_ArrayForEach(service, topology_list(topology, "services"))
	{
		put_upstreams(context, &upstreams, service, addresses);
		put_locations(context, &locations, service);
	}
	put_keyed_routes(context, &upstreams, topology);
	st = file_write(context,
			sk_arena_printf(context->arena, "%s/gateway-upstreams.conf", out_dir),
			sk_buf_text(&upstreams), 0644);
	return st == SK_OK ? file_write(context,
					sk_arena_printf(context->arena, "%s/gateway-routes.conf",
							out_dir),
					sk_buf_text(&locations), 0644)
			   : st;
}

/* ---- Prometheus ---- */

static enum sk_status render_targets(struct sk_context *context, const struct cJSON *topology,
				     const char *addresses, const char *out_dir)
{
	const struct cJSON *service;
	struct sk_json json;

	sk_json_init(&json, context->arena, OUTPUT_MAX_BYTES);
	sk_json_begin_array(&json, NULL);
	cJSON_ArrayForEach(service, topology_list(topology, "services"))
	{
		const char *name = topology_text(service, "name"), *at = NULL, *address;
		int port = topology_int(service, "port");

		sk_json_begin_object(&json, NULL);
		sk_json_begin_array(&json, "targets");
		while ((address = next_address(context, name, port, addresses, &at)) != NULL)
			sk_json_text(&json, NULL, address);
		sk_json_end_array(&json);
		sk_json_begin_object(&json, "labels");
		sk_json_text(&json, "service", name);
		sk_json_end_object(&json);
		sk_json_end_object(&json);
	}
	sk_json_end_array(&json);
	return file_write(context,
			  sk_arena_printf(context->arena, "%s/prometheus-targets.json", out_dir),
			  sk_buf_text(&json.buf), 0644);
}

int soukctl_render(const struct soukctl_options *options)
{
	const char *secrets = soukctl_option(options, "secrets", "secrets");
	const char *out_dir = soukctl_option(options, "out", ".");
	const char *addresses_path = soukctl_option(options, "addresses", "");
	const char *addresses = "";
	const struct cJSON *topology = NULL;
	struct sk_context context;
	size_t len = 0;
	enum sk_status st;

	sk_context_init(&context, 0);
	st = topology_load(&context, soukctl_option(options, "topology", "build/topology.json"),
			   &topology);
	if (st == SK_OK && addresses_path[0] != '\0')
		st = file_read(&context, addresses_path, &addresses, &len);
	if (st == SK_OK)
		st = render_broker(&context, topology, secrets, out_dir);
	if (st == SK_OK)
		st = render_valkey(&context, topology, secrets, out_dir);
	if (st == SK_OK)
		st = render_gateway(&context, topology, addresses, out_dir);
	if (st == SK_OK)
		st = render_targets(&context, topology, addresses, out_dir);
	if (st != SK_OK)
		fprintf(stderr, "soukctl render: %s\n", context.error.detail);
	sk_context_release(&context);
	return st == SK_OK ? 0 : 1;
}
