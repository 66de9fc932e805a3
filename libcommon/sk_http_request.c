#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include <civetweb.h>
#include <sodium.h>

#include "sk_http_internal.h"
#include "sk_id.h"
#include "sk_time.h"
#include "sk_utf8.h"

struct sk_context *sk_request_context(struct sk_request *request)
{
	return &request->context;
}

struct sk_arena *sk_request_arena(struct sk_request *request)
{
	return request->context.arena;
}

const struct sk_actor *sk_request_actor(struct sk_request *request)
{
	return &request->context.actor;
}

const char *sk_request_param(struct sk_request *request, const char *name)
{
	for (int i = 0; i < request->params_count; i++)
		if (strcmp(request->params[i].name, name) == 0)
			return request->params[i].value;
	abort(); /* the row's path has no such parameter: a bug */
}

enum sk_status sk_request_id(struct sk_request *request, const char *name, const char **id)
{
	*id = sk_request_param(request, name);
	if (!sk_id_valid(*id))
		return sk_fail(&request->context, SK_NOT_FOUND, "not_found",
			       "there is no such resource");
	return SK_OK;
}

/* ---- query ---- */

enum sk_status sk__request_parse_query(struct sk_request *request)
{
	const char *at = request->query;

	request->query_count = 0;
	while (at != NULL && *at != '\0') {
		size_t len = strcspn(at, "&"), name_len = strcspn(at, "=&");
		struct sk__pair *pair = &request->query_pairs[request->query_count];

		if (len > 0) {
			size_t value_at = name_len < len ? name_len + 1 : len;

			if (request->query_count == SK__QUERY_MAX)
				return sk_fail(&request->context, SK_MALFORMED, "malformed_query",
					       "too many query parameters");
			pair->name = sk__http_decode(request->context.arena, at, name_len, true);
			pair->value = sk__http_decode(request->context.arena, at + value_at,
						      len - value_at, true);
			if (pair->name == NULL || pair->value == NULL)
				return sk_fail(&request->context, SK_MALFORMED, "malformed_query",
					       "the query string cannot be decoded");
			request->query_count++;
		}
		at += len + (at[len] == '&');
	}
	return SK_OK;
}

const char *sk_request_query(struct sk_request *request, const char *name)
{
	for (int i = 0; i < request->query_count; i++)
		if (strcmp(request->query_pairs[i].name, name) == 0)
			return request->query_pairs[i].value;
	return NULL;
}

enum sk_status sk_request_query_int(struct sk_request *request, const char *name, int64_t min,
				    int64_t max, int64_t fallback, int64_t *value)
{
	const char *text = sk_request_query(request, name);
	char *end = NULL;

	*value = fallback;
	if (text == NULL)
		return SK_OK;
	*value = strtoll(text, &end, 10);
	if (!isdigit((unsigned char)text[text[0] == '-']) || *end != '\0' || *value < min ||
	    *value > max)
		return sk_fail(&request->context, SK_INVALID, "invalid_query",
			       "%s must be an integer from %lld to %lld", name, (long long)min,
			       (long long)max);
	return SK_OK;
}

enum sk_status sk_request_query_time(struct sk_request *request, const char *name,
				     int64_t fallback_us, int64_t *time_us)
{
	const char *text = sk_request_query(request, name);

	*time_us = fallback_us;
	if (text != NULL && !sk_time_parse(text, time_us))
		return sk_fail(&request->context, SK_INVALID, "invalid_query",
			       "%s must be a date or a time of RFC 3339", name);
	return SK_OK;
}

/* ---- headers and body ---- */

const char *sk_request_header(struct sk_request *request, const char *name)
{
	const char *value = request->connection != NULL ? mg_get_header(request->connection, name)
							: NULL;

	return value != NULL && sk_utf8_valid(value, strlen(value)) ? value : NULL;
}

const char *sk_request_cookie(struct sk_request *request, const char *name)
{
	const char *at = sk_request_header(request, "Cookie");
	size_t name_len = strlen(name);

	while (at != NULL && *at != '\0') {
		size_t len;

		at += strspn(at, "; ");
		len = strcspn(at, ";");
		if (len > name_len && at[name_len] == '=' && strncmp(at, name, name_len) == 0)
			return sk_arena_printf(request->context.arena, "%.*s",
					       (int)(len - name_len - 1), at + name_len + 1);
		at += len;
	}
	return NULL;
}

struct sk_fields sk_request_fields(struct sk_request *request)
{
	return sk_fields_of(request->json, &request->errors);
}

const char *sk_request_body(struct sk_request *request, size_t *len)
{
	*len = request->body_len;
	return request->body != NULL ? request->body : "";
}

/* ---- pages ---- */

const char *sk_cursor_make(struct sk_arena *arena, const char *text)
{
	size_t len = strlen(text);
	size_t size = sodium_base64_ENCODED_LEN(len, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
	char *cursor = sk_arena_alloc(arena, size);

	return sodium_bin2base64(cursor, size, (const unsigned char *)text, len,
				 sodium_base64_VARIANT_URLSAFE_NO_PADDING);
}

enum sk_status sk_request_page(struct sk_request *request, struct sk_page *page)
{
	const char *cursor = sk_request_query(request, "cursor");
	int64_t limit = SK_PAGE_DEFAULT;
	unsigned char *text;
	size_t len = 0;
	enum sk_status st = sk_request_query_int(request, "limit", 1, SK_PAGE_MAX, SK_PAGE_DEFAULT,
						 &limit);

	page->limit = (int)limit;
	page->after = NULL;
	if (st != SK_OK || cursor == NULL || cursor[0] == '\0')
		return st;
	text = sk_arena_alloc(request->context.arena, SK_CURSOR_MAX_BYTES + 1);
	if (sodium_base642bin(text, SK_CURSOR_MAX_BYTES, cursor, strlen(cursor), NULL, &len, NULL,
			      sodium_base64_VARIANT_URLSAFE_NO_PADDING) != 0 ||
	    memchr(text, '\0', len) != NULL || !sk_utf8_valid((const char *)text, len))
		return sk_fail(&request->context, SK_INVALID, "invalid_cursor",
			       "the cursor is not one of ours");
	page->after = (const char *)text;
	return SK_OK;
}

/* ---- conditions ---- */

bool sk__etag_listed(const char *list, const char *tag, bool weak)
{
	size_t tag_len = strlen(tag);

	while (*list != '\0') {
		bool is_weak = strncmp(list, "W/", 2) == 0;

		list += is_weak ? 2 : 0;
		if ((weak || !is_weak) && list[0] == '"' && strncmp(list + 1, tag, tag_len) == 0 &&
		    list[tag_len + 1] == '"')
			return true;
		/* To the next of the list: past this one's quotes, which may hold a comma. */
		if (*list == '"')
			list += 1 + strcspn(list + 1, "\"");
		list += strcspn(list, ",");
		list += strspn(list, ", \t");
	}
	return false;
}

enum sk_status sk_request_if_match(struct sk_request *request, const char *tag)
{
	const char *wanted = sk_request_header(request, "If-Match");

	if (wanted == NULL || strcmp(wanted, "*") == 0 || sk__etag_listed(wanted, tag, false))
		return SK_OK;
	return sk_fail(&request->context, SK_PRECONDITION, "precondition_failed",
		       "the resource has changed: its ETag is now \"%s\"", tag);
}
