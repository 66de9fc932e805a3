#include "sk_describe.h"

#include <string.h>

extern const struct sk_file LIBCOMMON_MIGRATIONS[];
extern const struct sk_file LIBCOMMON_FUNCTIONS[];

static const char *access_name(enum sk_route_access access)
{
	switch (access) {
	case SK_OPEN:
		return "open";
	case SK_GUEST:
		return "guest";
	case SK_CUSTOMER:
		return "customer";
	case SK_STAFF:
		return "staff";
	case SK_ADMIN:
		return "admin";
	}
	return "admin";
}

static const char *config_type_name(enum sk_config_type type)
{
	switch (type) {
	case SK_CONFIG_TEXT:
		return "text";
	case SK_CONFIG_INT:
		return "integer";
	case SK_CONFIG_BOOL:
		return "boolean";
	case SK_CONFIG_URL:
		return "url";
	}
	return "text";
}

static void describe_flags(unsigned flags, struct sk_json *json)
{
	static const struct {
		unsigned flag;
		const char *name;
	} names[] = {
		{ SK_BODY_JSON, "body_json" },
		{ SK_BODY_RAW, "body_raw" },
		{ SK_IDEMPOTENT, "idempotent" },
		{ SK_KEY_REQUIRED, "key_required" },
		{ SK_ACCESS_BY_HANDLER, "access_by_handler" },
		{ SK_LIVE, "live" },
		{ SK_SLOW, "slow" },
	};

	sk_json_begin_array(json, "flags");
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if ((flags & names[i].flag) != 0)
			sk_json_text(json, NULL, names[i].name);
	sk_json_end_array(json);
}

static void describe_routes(const struct sk_route *route, struct sk_json *json)
{
	sk_json_begin_array(json, "routes");
	for (; route != NULL && route->method != NULL; route++) {
		sk_json_begin_object(json, NULL);
		sk_json_text(json, "method", route->method);
		sk_json_text(json, "path", route->path);
		sk_json_text(json, "access", access_name(route->access));
		describe_flags(route->flags, json);
		sk_json_end_object(json);
	}
	sk_json_end_array(json);
}

static void describe_consumers(const struct sk_consumer *consumer, struct sk_json *json)
{
	sk_json_begin_array(json, "consumers");
	for (; consumer != NULL && consumer->name != NULL; consumer++) {
		sk_json_begin_object(json, NULL);
		sk_json_text(json, "name", consumer->name);
		sk_json_text(json, "stream", consumer->stream);
		sk_json_text(json, "filter", consumer->filter);
		sk_json_end_object(json);
	}
	sk_json_end_array(json);
}

static void describe_streams(const struct sk_stream *stream, struct sk_json *json)
{
	sk_json_begin_array(json, "streams");
	for (; stream != NULL && stream->name != NULL; stream++) {
		sk_json_begin_object(json, NULL);
		sk_json_text(json, "name", stream->name);
		sk_json_bool(json, "compacted", stream->compacted);
		sk_json_int(json, "max_age_hours", stream->max_age_hours);
		sk_json_end_object(json);
	}
	sk_json_end_array(json);
}

static void describe_words(const char *key, const char *const *words, struct sk_json *json)
{
	sk_json_begin_array(json, key);
	for (; words != NULL && *words != NULL; words++)
		sk_json_text(json, NULL, *words);
	sk_json_end_array(json);
}

static void describe_file(const struct sk_file *file, const char *folder, const char *text_key,
			  struct sk_json *json)
{
	sk_json_begin_object(json, NULL);
	sk_json_text(json, "name", sk_arena_printf(json->buf.arena, "%s%s", folder, file->name));
	sk_json_text(json, text_key, file->text);
	sk_json_end_object(json);
}

/* libcommon's files come before the service's own. */
static void describe_files(const char *key, const char *text_key, const struct sk_file *common,
			   const struct sk_file *own, struct sk_json *json)
{
	sk_json_begin_array(json, key);
	for (; common != NULL && common->name != NULL; common++)
		describe_file(common, "libcommon/", text_key, json);
	for (; own != NULL && own->name != NULL; own++)
		describe_file(own, "", text_key, json);
	sk_json_end_array(json);
}

static void describe_config(const struct sk_config_field *field, struct sk_json *json)
{
	sk_json_begin_array(json, "config");
	for (; field != NULL && field->name != NULL; field++) {
		sk_json_begin_object(json, NULL);
		sk_json_text(json, "name", field->name);
		sk_json_text(json, "type", config_type_name(field->type));
		sk_json_text(json, "default",
			     (field->flags & SK_CONFIG_SECRET) != 0 ? NULL : field->fallback);
		sk_json_bool(json, "secret", (field->flags & SK_CONFIG_SECRET) != 0);
		sk_json_bool(json, "required", (field->flags & SK_CONFIG_REQUIRED) != 0);
		sk_json_text(json, "help", field->help);
		sk_json_end_object(json);
	}
	sk_json_end_array(json);
}

void sk_describe(const struct sk_service *service, struct sk_json *json)
{
	sk_json_begin_object(json, NULL);
	sk_json_text(json, "name", service->name);
	sk_json_text(json, "summary", service->summary);
	sk_json_int(json, "port", service->port);
	sk_json_int(json, "live_port", service->live_port);
	sk_json_bool(json, "uses_pg", service->uses_pg);
	sk_json_bool(json, "uses_kv", service->uses_kv);
	describe_routes(service->routes, json);
	describe_consumers(service->consumers, json);
	describe_streams(service->streams, json);
	describe_words("publishes", service->publishes, json);
	describe_words("watches", service->watches, json);
	describe_words("replays", service->replays, json);
	describe_words("keys", service->keys, json);
	describe_files("migrations", "sql", service->uses_pg ? LIBCOMMON_MIGRATIONS : NULL,
		       service->migrations, json);
	describe_files("functions", "code", service->uses_kv ? LIBCOMMON_FUNCTIONS : NULL,
		       service->functions, json);
	sk_json_text(json, "grants", service->grants);
	describe_config(service->config, json);
	sk_json_end_object(json);
}
