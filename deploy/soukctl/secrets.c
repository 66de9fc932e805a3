/* soukctl secrets: a folder for each service with its passwords and the URLs made of them.
 *
 *     DIR/<service>/postgres.password  valkey.password  nats.password     made once
 *     DIR/<service>/postgres_url  valkey_url  nats_url                    made anew each time
 *     DIR/<service>/webhook_secret                                       payment, shipping
 *     DIR/admin/…                                                         the administrators
 *
 * Passwords are 256 random bits, so that a quick hash of them is as good as a slow one. */
#include <cjson/cJSON.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sk_id.h"
#include "soukctl.h"

struct places {
	const char *dir, *postgres_host, *postgres_port, *database, *valkey, *nats;
};

static enum sk_status make_folder(struct sk_context *context, const char *path)
{
	if (mkdir(path, 0700) != 0 && errno != EEXIST)
		return sk_fail(context, SK_INVALID, "no_folder", "cannot make %s: %s", path,
			       strerror(errno));
	return SK_OK;
}

/* The secret of that name, made if it is not there. */
static enum sk_status ensure(struct sk_context *context, const char *dir, const char *owner,
			     const char *name, const char **value)
{
	const char *path = sk_arena_printf(context->arena, "%s/%s/%s", dir, owner, name);

	if (access(path, F_OK) == 0)
		return secret_read(context, dir, owner, name, value);
	*value = sk_token_make(context->arena);
	return file_write(context, path, sk_arena_printf(context->arena, "%s\n", *value), 0600);
}

static enum sk_status write_url(struct sk_context *context, const char *dir, const char *owner,
				const char *name, const char *url)
{
	return file_write(context, sk_arena_printf(context->arena, "%s/%s/%s", dir, owner, name),
			  sk_arena_printf(context->arena, "%s\n", url), 0600);
}

/* user is the name of the login in Valkey and NATS, role the one in PostgreSQL. */
static enum sk_status make_logins(struct sk_context *context, const struct places *places,
				  const char *user, const char *role)
{
	struct sk_arena *arena = context->arena;
	const char *postgres, *valkey, *nats, *dir = places->dir;
	enum sk_status st = make_folder(context, sk_arena_printf(arena, "%s/%s", dir, user));

	if (st == SK_OK)
		st = ensure(context, dir, user, "postgres.password", &postgres);
	if (st == SK_OK)
		st = ensure(context, dir, user, "valkey.password", &valkey);
	if (st == SK_OK)
		st = ensure(context, dir, user, "nats.password", &nats);
	if (st == SK_OK)
		st = write_url(context, dir, user, "postgres_url",
			       sk_arena_printf(arena, "postgresql://%s:%s@/%s?host=%s&port=%s",
					       role, postgres, places->database,
					       places->postgres_host, places->postgres_port));
	if (st == SK_OK)
		st = write_url(
			context, dir, user, "valkey_url",
			sk_arena_printf(arena, "redis://%s:%s@%s", user, valkey, places->valkey));
	if (st == SK_OK)
		st = write_url(context, dir, user, "nats_url",
			       sk_arena_printf(arena, "nats://%s:%s@%s", user, nats, places->nats));
	return st;
}

static enum sk_status make_service(struct sk_context *context, const struct places *places,
				   const char *name)
{
	const char *unused;
	enum sk_status st = make_logins(context, places, name,
					sk_arena_printf(context->arena, "souk_%s", name));

	/* What a provider or a carrier signs its webhooks with. */
	return st == SK_OK ? ensure(context, places->dir, name, "webhook_secret", &unused) : st;
}

static enum sk_status make_all(struct sk_context *context, const struct places *places,
			       const char *topology_path)
{
	const struct cJSON *topology = NULL, *service;
	struct places admin = *places;
	enum sk_status st = make_folder(context, places->dir);

	admin.database = "postgres";
	if (st == SK_OK)
		st = make_logins(context, &admin, "admin", "postgres");
	if (st != SK_OK || topology_path[0] == '\0')
		return st;
	st = topology_load(context, topology_path, &topology);
	cJSON_ArrayForEach(service, topology_list(topology, "services"))
	{
		if (st == SK_OK)
			st = make_service(context, places, topology_text(service, "name"));
	}
	return st;
}

int soukctl_secrets(const struct soukctl_options *options)
{
	struct places places = {
		.dir = soukctl_option(options, "dir", "secrets"),
		.postgres_host = soukctl_option(options, "postgres-host", "127.0.0.1"),
		.postgres_port = soukctl_option(options, "postgres-port", "5432"),
		.database = "souk",
		.valkey = soukctl_option(options, "valkey-address", "127.0.0.1:6379"),
		.nats = soukctl_option(options, "nats-address", "127.0.0.1:4222"),
	};
	struct sk_context context;
	enum sk_status st;

	sk_context_init(&context, 0);
	st = make_all(&context, &places, soukctl_option(options, "topology", ""));
	if (st != SK_OK)
		fprintf(stderr, "soukctl secrets: %s\n", context.error.detail);
	sk_context_release(&context);
	return st == SK_OK ? 0 : 1;
}
