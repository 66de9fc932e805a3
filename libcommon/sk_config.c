#include "sk_config.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define VALUE_MAX_BYTES ((size_t)64 * 1024)

/* What every service takes. */
static const struct sk_config_field SK_CONFIG_COMMON[] = {
	{ "HTTP_LISTEN", SK_CONFIG_TEXT, "", 0, 255, 0,
	  "host:port to serve on; empty is the service's own port on 127.0.0.1" },
	{ "HTTP_THREADS", SK_CONFIG_INT, "32", 1, 512, 0, "requests handled at the same time" },
	{ "HTTP_TIMEOUT_MS", SK_CONFIG_INT, "10000", 100, 120000, 0,
	  "milliseconds that a request may take, its store calls included" },
	{ "LIVE_LISTEN", SK_CONFIG_TEXT, "", 0, 255, 0,
	  "host:port to serve streams on; empty is the service's own port for them on 127.0.0.1" },
	{ "LIVE_MAX_OPEN", SK_CONFIG_INT, "640", 1, 10000, 0, "streams open at the same time" },
	{ "LIVE_SHARE", SK_CONFIG_INT, "20", 1, 10000, 0,
	  "streams of one client address while few are left" },
	{ "LIVE_HEARTBEAT_MS", SK_CONFIG_INT, "15000", 50, 60000, 0,
	  "milliseconds until a stream that is silent is looked after, and sends a sign of life" },
	{ "LIVE_LIFETIME_S", SK_CONFIG_INT, "3600", 1, 86400, 0,
	  "seconds until a stream ends and its client has to come back" },
	{ "POSTGRES_URL", SK_CONFIG_URL, "", 0, 0, SK_CONFIG_SECRET,
	  "PostgreSQL, as this service's own role" },
	{ "POSTGRES_CONNECTIONS", SK_CONFIG_INT, "8", 1, 64, 0, "connections at most" },
	{ "POSTGRES_TIMEOUT_MS", SK_CONFIG_INT, "5000", 50, 60000, 0,
	  "milliseconds for one statement" },
	{ "VALKEY_URL", SK_CONFIG_URL, "", 0, 0, SK_CONFIG_SECRET,
	  "Valkey for sessions, carts, limits and locks, as this service's own user" },
	{ "VALKEY_CACHE_URL", SK_CONFIG_URL, "", 0, 0, SK_CONFIG_SECRET,
	  "Valkey for caches; empty is VALKEY_URL" },
	{ "VALKEY_CONNECTIONS", SK_CONFIG_INT, "8", 1, 256, 0, "connections at most" },
	{ "VALKEY_TIMEOUT_MS", SK_CONFIG_INT, "200", 10, 10000, 0, "milliseconds for one command" },
	{ "NATS_URL", SK_CONFIG_URL, "", 0, 0, SK_CONFIG_SECRET,
	  "NATS, as this service's own user; several URLs with commas" },
	{ "NATS_PUBLISH_TIMEOUT_MS", SK_CONFIG_INT, "2000", 50, 30000, 0,
	  "milliseconds to wait for a stream's acknowledgement" },
	{ "CONSUMER_MAX_DELIVERIES", SK_CONFIG_INT, "10", 1, 1000, 0,
	  "deliveries of a message before it is buried" },
	{ "OUTBOX_KEEP_HOURS", SK_CONFIG_INT, "24", 24, 720, 0, "hours that sent events are kept" },
	{ "LOG_LEVEL", SK_CONFIG_TEXT, "info", 1, 8, 0, "debug, info, warn or error" },
	{ "DRAIN_TIMEOUT_S", SK_CONFIG_INT, "20", 1, 600, 0, "seconds that a stop may take" },
	{ "PUBLIC_URL", SK_CONFIG_URL, "http://localhost:8080", 0, 0, 0,
	  "base URL of the shop, for links in mails" },
	{ NULL, SK_CONFIG_TEXT, NULL, 0, 0, 0, NULL },
};

struct value {
	const struct sk_config_field *field;
	char *text;
	int64_t number;
	struct value *next;
};

struct sk_config {
	struct value *values;
};

static enum sk_status wrong(struct sk_context *context, const char *name, const char *why)
{
	return sk_fail(context, SK_INVALID, "configuration", "%s %s", name, why);
}

/* The file's text without one trailing newline. The caller frees *text. */
static enum sk_status read_value_file(const char *name, const char *path, char **text,
				      struct sk_context *context)
{
	FILE *file = fopen(path, "rbe");
	bool complete;
	size_t len;

	if (file == NULL)
		return sk_fail(context, SK_INVALID, "configuration", "%s_FILE: cannot read %s: %s",
			       name, path, strerror(errno));
	*text = calloc(1, VALUE_MAX_BYTES + 1);
	if (*text == NULL)
		abort();
	len = fread(*text, 1, VALUE_MAX_BYTES, file);
	complete = ferror(file) == 0 && (len < VALUE_MAX_BYTES || fgetc(file) == EOF);
	(void)fclose(file);
	if (!complete || strlen(*text) != len)
		return sk_fail(context, SK_INVALID, "configuration",
			       "%s_FILE: %s is not a text of at most %zu bytes", name, path,
			       VALUE_MAX_BYTES);
	if (len > 0 && (*text)[len - 1] == '\n')
		(*text)[len - 1] = '\0';
	return SK_OK;
}

/* The value from NAME, NAME_FILE or the fallback. The caller frees *text. */
static enum sk_status find_text(const struct sk_config_field *field, char **text,
				struct sk_context *context)
{
	const char *plain = getenv(field->name);
	const char *path = getenv(sk_arena_printf(context->arena, "%s_FILE", field->name));

	if (plain != NULL && path != NULL && path[0] != '\0' && plain[0] != '\0')
		return wrong(context, field->name, "and its _FILE are both set: which one counts?");
	if (path != NULL && path[0] != '\0' && (plain == NULL || plain[0] == '\0'))
		return read_value_file(field->name, path, text, context);
	if (plain == NULL || plain[0] == '\0')
		plain = field->fallback != NULL ? field->fallback : "";
	*text = strdup(plain);
	if (*text == NULL)
		abort();
	return SK_OK;
}

static enum sk_status check_int(struct value *value, struct sk_context *context)
{
	const struct sk_config_field *field = value->field;
	char *end = NULL;
	long long number;

	errno = 0;
	number = strtoll(value->text, &end, 10);
	if (errno != 0 || end == value->text || *end != '\0' || number < field->min ||
	    number > field->max)
		return sk_fail(context, SK_INVALID, "configuration",
			       "%s must be an integer from %lld to %lld", field->name,
			       (long long)field->min, (long long)field->max);
	value->number = number;
	return SK_OK;
}

static enum sk_status check_bool(struct value *value, struct sk_context *context)
{
	static const char *const words[] = { "0", "1", "false", "true", "no", "yes" };

	for (int i = 0; i < 6; i++) {
		if (strcmp(value->text, words[i]) == 0) {
			value->number = i % 2;
			return SK_OK;
		}
	}
	return wrong(context, value->field->name, "must be 1 or 0");
}

static enum sk_status check_text(const struct value *value, struct sk_context *context)
{
	const struct sk_config_field *field = value->field;
	int64_t len = (int64_t)strlen(value->text);

	if (field->max != 0 && (len < field->min || len > field->max))
		return sk_fail(context, SK_INVALID, "configuration",
			       "%s must have %lld to %lld characters", field->name,
			       (long long)field->min, (long long)field->max);
	return SK_OK;
}

static enum sk_status check_value(struct value *value, struct sk_context *context)
{
	const struct sk_config_field *field = value->field;

	if ((field->flags & SK_CONFIG_REQUIRED) != 0 && value->text[0] == '\0')
		return wrong(context, field->name, "must be set");
	switch (field->type) {
	case SK_CONFIG_TEXT:
		return check_text(value, context);
	case SK_CONFIG_INT:
		return check_int(value, context);
	case SK_CONFIG_BOOL:
		return check_bool(value, context);
	case SK_CONFIG_URL:
		/* What is wrong is not shown: it may hold a password. */
		if (value->text[0] != '\0' && strstr(value->text, "://") == NULL)
			return wrong(context, field->name, "must be a URL");
		return SK_OK;
	}
	return SK_OK;
}

static enum sk_status read_fields(struct sk_config *config, const struct sk_config_field *field,
				  struct sk_context *context)
{
	enum sk_status st = SK_OK;

	for (; st == SK_OK && field != NULL && field->name != NULL; field++) {
		struct value *value = calloc(1, sizeof(*value));

		if (value == NULL)
			abort();
		value->field = field;
		value->next = config->values;
		config->values = value;
		st = find_text(field, &value->text, context);
		if (st == SK_OK) {
			assert(value->text != NULL);
			st = check_value(value, context);
		}
	}
	return st;
}

/* The one text of the common table that is a choice. */
static enum sk_status check_log_level(const struct sk_config *config, struct sk_context *context)
{
	static const char *const words[] = { "debug", "info", "warn", "error" };
	const char *text = sk_config_text(config, "LOG_LEVEL");

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strcmp(text, words[i]) == 0)
			return SK_OK;
	return wrong(context, "LOG_LEVEL", "must be debug, info, warn or error");
}

enum sk_status sk_config_open(const struct sk_config_field *fields, struct sk_config **out,
			      struct sk_context *context)
{
	struct sk_config *config = calloc(1, sizeof(*config));
	enum sk_status st;

	if (config == NULL)
		abort();
	st = read_fields(config, SK_CONFIG_COMMON, context);
	if (st == SK_OK)
		st = read_fields(config, fields, context);
	if (st == SK_OK)
		st = check_log_level(config, context);
	if (st != SK_OK) {
		sk_config_close(&config);
		return st;
	}
	*out = config;
	return SK_OK;
}

void sk_config_close(struct sk_config **config)
{
	if (*config == NULL)
		return;
	while ((*config)->values != NULL) {
		struct value *value = (*config)->values;

		(*config)->values = value->next;
		if (value->text != NULL)
			explicit_bzero(value->text, strlen(value->text));
		free(value->text);
		free(value);
	}
	free(*config);
	*config = NULL;
}

static const struct value *find_value(const struct sk_config *config, const char *name)
{
	for (const struct value *value = config->values; value != NULL; value = value->next)
		if (strcmp(value->field->name, name) == 0)
			return value;
	(void)fprintf(stderr, "configuration %s is not declared\n", name);
	abort();
}

const char *sk_config_text(const struct sk_config *config, const char *name)
{
	return find_value(config, name)->text;
}

int64_t sk_config_int(const struct sk_config *config, const char *name)
{
	return find_value(config, name)->number;
}

bool sk_config_bool(const struct sk_config *config, const char *name)
{
	return find_value(config, name)->number != 0;
}

static void print_fields(const struct sk_config_field *field, FILE *out)
{
	for (; field != NULL && field->name != NULL; field++) {
		const char *fallback = field->fallback != NULL ? field->fallback : "";

		(void)fprintf(out, "  %-28s %s", field->name, field->help);
		if ((field->flags & SK_CONFIG_REQUIRED) != 0)
			(void)fprintf(out, " (required)");
		else if ((field->flags & SK_CONFIG_SECRET) == 0 && fallback[0] != '\0')
			(void)fprintf(out, " (%s)", fallback);
		(void)fputc('\n', out);
	}
}

void sk_config_print_help(const struct sk_config_field *fields, FILE *out)
{
	print_fields(fields, out);
	print_fields(SK_CONFIG_COMMON, out);
}
