#include <string.h>

#include "sk_http_internal.h"

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Whether the bytes are UTF-8 without NUL; overlong forms and surrogates are none. */
static bool is_clean_text(const char *text, size_t len)
{
	const unsigned char *at = (const unsigned char *)text, *end = at + len;

	while (at < end) {
		unsigned char c = *at++;
		unsigned char low = c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : 0x80;
		unsigned char high = c == 0xed ? 0x9f : c == 0xf4 ? 0x8f : 0xbf;
		int more = c < 0x80 ? 0 : c < 0xc2 ? -1 : c < 0xe0 ? 1 : c < 0xf0 ? 2 : c < 0xf5 ? 3 : -1;

		if (c == '\0' || more < 0 || end - at < more)
			return false;
		for (; more > 0; more--, at++, low = 0x80, high = 0xbf)
			if (*at < low || *at > high)
				return false;
	}
	return true;
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
	return is_clean_text(out, at) ? out : NULL;
}

/* Whether path fits the template; the parameters go to the request, still encoded
 * lengths first so that nothing is allocated for a path that does not fit. */
static bool fits(const char *template, const char *path, struct sk_request *request)
{
	struct {
		const char *name, *value;
		size_t name_len, len;
	} found[SK_PATH_PARAMS_MAX];
	int count = 0;

	while (*template != '\0') {
		if (*template != '{') {
			if (*template++ != *path++)
				return false;
			continue;
		}
		found[count].name = template + 1;
		found[count].name_len = strcspn(template + 1, "}");
		found[count].value = path;
		found[count].len = strcspn(path, "/");
		if (found[count].len == 0)
			return false;
		template += found[count].name_len + 2;
		path += found[count].len;
		count++;
	}
	if (*path != '\0')
		return false;
	for (int i = 0; i < count; i++) {
		struct sk__pair *param = &request->params[i];

		param->name = sk_arena_printf(request->context.arena, "%.*s", (int)found[i].name_len,
					      found[i].name);
		param->value = sk__http_decode(request->context.arena, found[i].value, found[i].len, false);
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

enum sk__match sk__http_route(const struct sk__route *routes, int count, struct sk_request *request,
			      struct sk_buf *allow)
{
	/* Two passes: /v1/sessions/current is not the session "current". */
	for (int with_params = 0; with_params < 2; with_params++) {
		for (int i = 0; i < count; i++) {
			const struct sk_route *row = routes[i].row;

			if ((strchr(row->path, '{') != NULL) != with_params ||
			    !fits(row->path, request->path, request))
				continue;
			if (same_method(row->method, request->method)) {
				request->route = &routes[i];
				return SK__MATCH_FOUND;
			}
			sk_buf_printf(allow, allow->len > 0 ? ", %s" : "%s", row->method);
		}
	}
	return allow->len > 0 ? SK__MATCH_OTHER_METHOD : SK__MATCH_NONE;
}
