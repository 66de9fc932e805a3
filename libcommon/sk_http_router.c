#include <assert.h>
#include <string.h>

#include "sk_http_internal.h"
#include "sk_utf8.h"

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

const char *sk__http_decode(struct sk_arena *arena, const char *text, size_t len, bool plus)
{
	char *out = sk_arena_alloc(arena, len + 1);
	size_t at = 0;

	for (size_t i = 0; i < len; i++) {
		char c = text[i];

		if (c == '+' && plus) {
			c = ' ';
		} else if (c == '%') {
			int high = i + 2 < len ? hex_value(text[i + 1]) : -1;
			int low = i + 2 < len ? hex_value(text[i + 2]) : -1;

			if (high < 0 || low < 0)
				return NULL;
			c = (char)(high * 16 + low);
			i += 2;
		}
		out[at++] = c;
	}
	return memchr(out, '\0', at) == NULL && sk_utf8_valid(out, at) ? out : NULL;
}

void sk__route_init(struct sk__route *route, const struct sk_route *row)
{
	int params = 0;

	for (const char *at = row->path; *at != '\0'; at++)
		params += *at == '{';
	assert(params <= SK_PATH_PARAMS_MAX);
	*route = (struct sk__route) {
		.row = row,
		.prefix_len = strcspn(row->path, "{"),
		.has_params = params > 0,
	};
}

/* A parameter as it stands in the path, still encoded. */
struct found {
	const char *name, *value;
	size_t name_len, len;
};

/* Whether the path fits the template from here on. Nothing is decoded before all of it fits. */
static bool find_params(const char *template, const char *path, struct found *found, int *count)
{
	*count = 0;
	while (*template != '\0') {
		struct found *param = &found[*count];

		if (*template != '{') {
			if (*template ++ != *path++)
				return false;
			continue;
		}
		*param = (struct found) { template + 1, path, strcspn(template + 1, "}"),
					  strcspn(path, "/") };
		if (param->len == 0)
			return false;
		template += param->name_len + 2;
		path += param->len;
		++*count;
	}
	return *path == '\0';
}

/* Whether the request's path is one of the route's; its parameters go to the request. */
static bool fits(const struct sk__route *route, struct sk_request *request)
{
	struct sk_arena *arena = request->context.arena;
	const char *template = route->row->path, *path = request->path;
	struct found found[SK_PATH_PARAMS_MAX];
	int count;

	if (strncmp(template, path, route->prefix_len) != 0 ||
	    !find_params(template + route->prefix_len, path + route->prefix_len, found, &count))
		return false;
	for (int i = 0; i < count; i++) {
		struct sk__pair *param = &request->params[i];

		param->name = sk_arena_memdup(arena, found[i].name, found[i].name_len);
		param->value = sk__http_decode(arena, found[i].value, found[i].len, false);
		if (param->value == NULL)
			return false;
	}
	request->params_count = count;
	return true;
}

static bool same_method(const char *row, const char *asked)
{
	return strcmp(row, asked) == 0 || (strcmp(asked, "HEAD") == 0 && strcmp(row, "GET") == 0);
}

static void allow_method(struct sk_buf *allow, const char *method)
{
	sk_buf_printf(allow, allow->len > 0 ? ", %s" : "%s", method);
	if (strcmp(method, "GET") == 0)
		sk_buf_puts(allow, ", HEAD");
}

enum sk__match sk__http_route(const struct sk__route *routes, int count, struct sk_request *request,
			      struct sk_buf *allow)
{
	/* Two passes: /v1/sessions/current is not the session "current". */
	for (int pass = 0; pass < 2; pass++) {
		for (int i = 0; i < count; i++) {
			const struct sk__route *route = &routes[i];

			if (route->has_params != (pass == 1) || !fits(route, request))
				continue;
			if (same_method(route->row->method, request->method)) {
				request->route = route;
				return SK__MATCH_FOUND;
			}
			allow_method(allow, route->row->method);
		}
	}
	return allow->len > 0 ? SK__MATCH_OTHER_METHOD : SK__MATCH_NONE;
}
