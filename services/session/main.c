#include "session.h"

#include <string.h>

static const struct sk_config_field CONFIG[] = {
	{ "SESSION_ARGON2_OPS", SK_CONFIG_INT, "2", 1, 100, 0,
	  "passes of argon2id over its memory, for each password" },
	{ "SESSION_ARGON2_MEMORY_KIB", SK_CONFIG_INT, "19456", 8, 4194304, 0,
	  "KiB of memory of argon2id, for each password that is checked at the same time" },
	{ "SESSION_HASHES_AT_ONCE", SK_CONFIG_INT, "2", 1, 256, 0,
	  "passwords checked at the same time; further ones wait" },
	{ "SESSION_LOGINS_PER_MINUTE", SK_CONFIG_INT, "10", 1, 10000, 0,
	  "attempts to log in to one account, sustained and at once" },
	{ "SESSION_ADMIN_EMAIL", SK_CONFIG_TEXT, "", 0, SK_EMAIL_MAX_BYTES, 0,
	  "address of the administrator that is created where it has no account; empty: none" },
	{ "SESSION_ADMIN_PASSWORD", SK_CONFIG_TEXT, "", 0, SESSION_PASSWORD_MAX_BYTES,
	  SK_CONFIG_SECRET, "the first password of that administrator" },
	{ NULL, SK_CONFIG_TEXT, NULL, 0, 0, 0, NULL },
};

static const struct sk_sweep SWEEPS[] = {
	{ SESSION_SWEEP_ADMIN, 2000, 10000, session_ensure_admin },
	{ NULL, 0, 0, NULL },
};

static const struct sk_stream STREAMS[] = {
	{ .name = SESSION_STREAM },
	{ .name = NULL },
};

static const char *const KEYS[] = { "session:*", "otp:*", "reset:*", NULL };

static enum sk_status check_admin(const struct sk_config *config, struct sk_context *context)
{
	const char *email = sk_config_text(config, "SESSION_ADMIN_EMAIL");
	const char *password = sk_config_text(config, "SESSION_ADMIN_PASSWORD");

	if (*email == '\0')
		return SK_OK;
	if (!sk_email_valid(email))
		return sk_fail(context, SK_INVALID, "invalid_configuration",
			       "SESSION_ADMIN_EMAIL is not an e-mail address");
	if (strlen(password) < SESSION_PASSWORD_MIN_BYTES)
		return sk_fail(context, SK_INVALID, "invalid_configuration",
			       "SESSION_ADMIN_PASSWORD needs %d bytes at least",
			       SESSION_PASSWORD_MIN_BYTES);
	return SK_OK;
}

static enum sk_status open_service(struct sk_parts *parts, void *app, struct sk_context *context)
{
	struct session_service *service = app;
	int logins = (int)sk_config_int(parts->config, "SESSION_LOGINS_PER_MINUTE");
	struct session_hashing hashing = {
		.operations = sk_config_int(parts->config, "SESSION_ARGON2_OPS"),
		.memory_kib = sk_config_int(parts->config, "SESSION_ARGON2_MEMORY_KIB"),
		.at_once = (int)sk_config_int(parts->config, "SESSION_HASHES_AT_ONCE"),
	};
	enum sk_status st = check_admin(parts->config, context);

	service->parts = parts;
	service->logins = (struct sk_ratelimit_class) { "session-account", logins, logins };
	return st == SK_OK ? session_hasher_open(&hashing, &service->hasher, context) : st;
}

static void close_service(void *app)
{
	struct session_service *service = app;

	session_hasher_close(&service->hasher);
}

static const struct sk_service SESSION_SERVICE = {
	.name = "session",
	.summary = "accounts, log-in, sessions, one-time codes and password resets",
	.port = 8101,
	.uses_pg = true,
	.uses_kv = true,
	.config = CONFIG,
	.routes = SESSION_ROUTES,
	.consumers = SESSION_CONSUMERS,
	.sweeps = SWEEPS,
	.streams = STREAMS,
	.keys = KEYS,
	.migrations = SESSION_MIGRATIONS,
	.functions = SESSION_FUNCTIONS,
	.open = open_service,
	.close = close_service,
};

int main(int argc, char **argv)
{
	struct session_service session = { 0 };

	return sk_service_main(argc, argv, &SESSION_SERVICE, &session);
}
