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

static bool has_library(const struct sk_kv_reply *libraries, const char *name)
{
	for (size_t i = 0; i < libraries->count; i++) {
		const struct sk_kv_reply *library = &libraries->items[i];

		for (size_t j = 0; j + 1 < library->count; j += 2)
			if (library->items[j].kind == SK_KV_TEXT &&
			    strcmp(library->items[j].text, "library_name") == 0 &&
			    strcmp(library->items[j + 1].text, name) == 0)
				return true;
	}
	return false;
}

/* The name in a library's first line: "#!lua name=souk_cart". */
static const char *library_name(struct sk_context *context, const char *code)
{
	const char *at = strstr(code, "name=");

	return at == NULL ? ""
			  : sk_arena_printf(context->arena, "%.*s", (int)strcspn(at + 5, " \r\n"),
					    at + 5);
}

static enum sk_status load_functions(struct sk_context *context, struct sk_kv *valkey,
				     const struct cJSON *service,
				     const struct sk_kv_reply *libraries, int *changes)
{
	const struct cJSON *row;
	enum sk_status st = SK_OK;

	cJSON_ArrayForEach(row, topology_list(service, "functions"))
	{
		const char *code = topology_text(row, "code"), *name = library_name(context, code);

		if (st == SK_OK && !has_library(libraries, name)) {
			(*changes)++;
			sk_log(SK_LOG_INFO, NULL, "made the Valkey functions %s", name);
		}
		/* Always replaced: its code may be newer than what is there. */
		if (st == SK_OK)
			st = sk_kv_run(valkey, context, SK_KV("FUNCTION", "LOAD", "REPLACE", code),
				       NULL);
	}
	return st;
}

static enum sk_status provision(struct sk_context *context, struct sk_kv *valkey,
				const struct cJSON *topology, const char *secrets, int *changes)
{
	const struct cJSON *service;
	struct sk_kv_reply libraries;
	enum sk_status st = sk_kv_run(valkey, context, SK_KV("FUNCTION", "LIST"), &libraries);

	cJSON_ArrayForEach(service, topology_list(topology, "services"))
	{
		if (st == SK_OK && topology_flag(service, "uses_kv"))
			st = set_user(context, valkey, service, secrets);
		if (st == SK_OK)
			st = load_functions(context, valkey, service, &libraries, changes);
	}
	return st;
}

enum sk_status provision_valkey(struct sk_context *context, const struct cJSON *topology,
				const char *secrets, int *changes)
{
	const char *url;
	struct sk_kv *valkey;
	enum sk_status st = secret_read(context, secrets, "admin", "valkey_url", &url);

	if (st != SK_OK)
		return st;
	valkey = sk_kv_open(&(struct sk_kv_options) { .url = url,
						      .connections = 1,
						      .timeout_ms = CALL_TIMEOUT_MS },
			    "admin", NULL);
	st = provision(context, valkey, topology, secrets, changes);
	sk_kv_close(&valkey);
	return st;
}
