/* Valkey's users and functions. A service may read and write its own keys and the rate
 * limits, read the sessions, and call functions; it has no right to load scripts, to list
 * keys, or to administer. */
#include <cjson/cJSON.h>
#include <string.h>

#include "sk_buf.h"
#include "sk_kv.h"
#include "sk_log.h"
#include "soukctl.h"

#define RIGHTS_MAX_BYTES 8192
#define RULES_MAX	 96
#define CALL_TIMEOUT_MS	 2000

/* What services use; nothing else. */
static const char COMMANDS[] =
	"-@all +ping +auth +hello +client|setinfo +get +mget +set +setex +getdel "
	"+del +unlink +exists +expire +pexpire +ttl +pttl +incr +incrby "
	"+hget +hmget +hgetall +hset +hdel +hincrby +hlen +hexists +hkeys +expireat "
	"+sadd +srem +smembers +scard +fcall +fcall_ro +time";

const char *valkey_rights(struct sk_context *context, const struct cJSON *service,
			  const char *password)
{
	const struct cJSON *pattern;
	struct sk_buf rights;

	sk_buf_init(&rights, context->arena, RIGHTS_MAX_BYTES);
	sk_buf_printf(&rights, "on >%s resetchannels resetkeys ~ratelimit:*", password);
	cJSON_ArrayForEach(pattern, topology_list(service, "keys"))
		sk_buf_printf(&rights, " ~%s", topology_text(pattern, ""));
	sk_buf_printf(&rights, " %%R~session:* %s", COMMANDS);
	return sk_buf_text(&rights);
}

static enum sk_status set_user(struct sk_context *context, struct sk_kv *valkey,
			       const struct cJSON *service, const char *secrets)
{
	const char *argv[RULES_MAX] = { "ACL", "SETUSER", topology_text(service, "name"), "reset" };
	const char *password;
	char *rest, *rule;
	size_t argc = 4;
	enum sk_status st = secret_read(context, secrets, topology_text(service, "name"),
					"valkey.password", &password);

	if (st != SK_OK)
		return st;
	rest = sk_arena_strdup(context->arena, valkey_rights(context, service, password));
	while ((rule = strsep(&rest, " ")) != NULL && argc < RULES_MAX)
		argv[argc++] = rule;
	return sk_kv_run(valkey, context, (struct sk_kv_command) { argv, NULL, argc }, NULL);
}

/* The value that follows a name in a flat list of pairs; NULL where it is not. */
static const char *member(const struct sk_kv_reply *pairs, const char *name)
{
	for (size_t i = 0; i + 1 < pairs->count; i += 2)
		if (pairs->items[i].kind == SK_KV_TEXT && strcmp(pairs->items[i].text, name) == 0)
			return pairs->items[i + 1].text;
	return NULL;
}

/* Whether a library of exactly this code is loaded. */
static bool is_loaded(const struct sk_kv_reply *libraries, const char *code)
{
	for (size_t i = 0; i < libraries->count; i++) {
		const char *loaded = member(&libraries->items[i], "library_code");

		if (loaded != NULL && strcmp(loaded, code) == 0)
			return true;
	}
	return false;
}

static enum sk_status load_functions(struct provisioning *pass, struct sk_kv *valkey,
				     const struct cJSON *service)
{
	const struct cJSON *row;
	struct sk_kv_reply libraries;
	enum sk_status st = sk_kv_run(valkey, pass->context, SK_KV("FUNCTION", "LIST", "WITHCODE"),
				      &libraries);

	cJSON_ArrayForEach(row, topology_list(service, "functions"))
	{
		const char *code = topology_text(row, "code");

		if (st != SK_OK || is_loaded(&libraries, code))
			continue;
		pass->changes++;
		sk_log(SK_LOG_INFO, NULL, "loading the Valkey functions of %s",
		       topology_text(row, "name"));
		st = sk_kv_run(valkey, pass->context, SK_KV("FUNCTION", "LOAD", "REPLACE", code),
			       NULL);
	}
	return st;
}

static bool is_listed(const struct sk_kv_reply *names, const char *name)
{
	for (size_t i = 0; i < names->count; i++)
		if (strcmp(names->items[i].text, name) == 0)
			return true;
	return false;
}

static enum sk_status provision(struct provisioning *pass, struct sk_kv *valkey)
{
	const struct cJSON *service;
	struct sk_kv_reply users;
	enum sk_status st = sk_kv_run(valkey, pass->context, SK_KV("ACL", "USERS"), &users);

	cJSON_ArrayForEach(service, topology_list(pass->topology, "services"))
	{
		if (st != SK_OK || !topology_flag(service, "uses_kv"))
			continue;
		if (!pass->watching || !is_listed(&users, topology_text(service, "name")))
			st = set_user(pass->context, valkey, service, pass->secrets);
		if (st == SK_OK)
			st = load_functions(pass, valkey, service);
	}
	return st;
}

enum sk_status provision_valkey(struct provisioning *pass)
{
	const char *url;
	struct sk_kv *valkey;
	enum sk_status st = secret_read(pass->context, pass->secrets, "admin", "valkey_url", &url);

	if (st != SK_OK)
		return st;
	valkey = sk_kv_open(&(struct sk_kv_options) { .url = url,
						      .connections = 1,
						      .timeout_ms = CALL_TIMEOUT_MS },
			    "admin", NULL);
	st = provision(pass, valkey);
	sk_kv_close(&valkey);
	return st;
}
