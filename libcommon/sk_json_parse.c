/* Parsing: a scan of our own, then cJSON.
 *
 * cJSON 1.7 recurses up to 1,000 levels, accepts invalid UTF-8, cuts a string at \u0000,
 * and keeps both of two equal keys. What it must not see is refused before, in one
 * pass without recursion; duplicate keys are looked for in the tree. */
#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>

#include "sk_json.h"

#define DUPLICATE_CHECK_MAX 256 /* members of one object; more is refused as nothing of ours has them */

/* The length of the UTF-8 character at text, 0 where it is none (overlong forms,
 * surrogates and values above U+10FFFF are none: RFC 3629). */
static size_t utf8_length(const unsigned char *text, size_t left)
{
	unsigned char c = text[0];
	size_t len = c < 0x80 ? 1 : c >= 0xc2 && c < 0xe0 ? 2 : c >= 0xe0 && c < 0xf0 ? 3 : c >= 0xf0 && c < 0xf5 ? 4 : 0;

	if (len == 0 || len > left)
		return 0;
	for (size_t i = 1; i < len; i++)
		if ((text[i] & 0xc0) != 0x80)
			return 0;
	if ((c == 0xe0 && text[1] < 0xa0) || (c == 0xed && text[1] > 0x9f) ||
	    (c == 0xf0 && text[1] < 0x90) || (c == 0xf4 && text[1] > 0x8f))
		return 0;
	return len;
}

static int hex4(const unsigned char *text, size_t left)
{
	int value = 0;

	if (left < 4)
		return -1;
	for (int i = 0; i < 4; i++) {
		const char *digit = strchr("0123456789abcdef", text[i] | 0x20);

		if (text[i] == '\0' || digit == NULL || *digit == '\0')
			return -1;
		value = value * 16 + (int)(digit - "0123456789abcdef");
	}
	return value;
}

/* What follows a backslash. Returns the bytes it takes, 0 where it is refused. */
static size_t escape_length(const unsigned char *text, size_t left)
{
	int unit, low;

	if (left == 0)
		return 0;
	if (text[0] != 'u')
		return strchr("\"\\/bfnrt", text[0]) != NULL && text[0] != '\0' ? 1 : 0;
	unit = hex4(text + 1, left - 1);
	if (unit <= 0 || (unit >= 0xdc00 && unit <= 0xdfff))
		return 0;
	if (unit < 0xd800 || unit > 0xdbff)
		return 5;
	if (left < 11 || text[5] != '\\' || text[6] != 'u')
		return 0;
	low = hex4(text + 7, left - 7);
	return low >= 0xdc00 && low <= 0xdfff ? 11 : 0;
}

/* From the byte after the opening quote; returns the bytes up to and with the
 * closing one, 0 where the string is refused (*why says it). */
static size_t string_length(const unsigned char *text, size_t left, const char **why)
{
	size_t at = 0;

	while (at < left && text[at] != '"') {
		size_t len;

		if (text[at] < ' ') {
			*why = "a control character in a string";
			return 0;
		}
		if (text[at] == '\\') {
			len = escape_length(text + at + 1, left - at - 1);
			*why = "an escape that is none, a lone surrogate or \\u0000";
			len += len > 0;
		} else {
			len = utf8_length(text + at, left - at);
			*why = "bytes that are no UTF-8";
		}
		if (len == 0)
			return 0;
		at += len;
	}
	*why = "a string without an end";
	return at < left ? at + 1 : 0;
}

/* NULL where cJSON may see the text, or why not. */
static const char *refuse(const unsigned char *text, size_t len)
{
	int depth = 0;
	const char *why = NULL;

	for (size_t at = 0; at < len; at++) {
		unsigned char c = text[at];

		if (c == '"') {
			size_t string = string_length(text + at + 1, len - at - 1, &why);

			if (string == 0)
				return why;
			at += string;
		} else if (c == '{' || c == '[') {
			if (++depth > SK_JSON_MAX_DEPTH)
				return "nested too deeply";
		} else if (c == '}' || c == ']') {
			depth--;
		} else if (c == '\0' || c >= 0x80) {
			return "a byte that JSON does not have";
		}
	}
	return NULL;
}

static int compare_keys(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static bool object_has_duplicates(const cJSON *object)
{
	const char *keys[DUPLICATE_CHECK_MAX];
	size_t count = 0;
	const cJSON *member;

	cJSON_ArrayForEach(member, object)
	{
		if (count == DUPLICATE_CHECK_MAX)
			return true;
		keys[count++] = member->string;
	}
	qsort(keys, count, sizeof(keys[0]), compare_keys);
	for (size_t i = 1; i < count; i++)
		if (strcmp(keys[i - 1], keys[i]) == 0)
			return true;
	return false;
}

/* Recursion is bounded by SK_JSON_MAX_DEPTH. */
static bool has_duplicates(const cJSON *node) /* NOLINT(misc-no-recursion) */
{
	const cJSON *child;

	if (cJSON_IsObject(node) && object_has_duplicates(node))
		return true;
	cJSON_ArrayForEach(child, node)
	{
		if (has_duplicates(child))
			return true;
	}
	return false;
}

static void free_tree(void *tree)
{
	cJSON_Delete(tree);
}

enum sk_status sk_json_parse(struct sk_context *context, const char *text, size_t len,
			     const struct cJSON **out)
{
	const char *why = refuse((const unsigned char *)text, len);
	char *copy;
	cJSON *tree;

	if (why != NULL)
		return sk_fail(context, SK_MALFORMED, "malformed_json", "the JSON has %s", why);
	/* Ends in NUL, so that cJSON can insist that nothing follows the value. */
	copy = sk_arena_memdup(context->arena, text, len);
	tree = cJSON_ParseWithLengthOpts(copy, len + 1, NULL, 1);
	if (tree == NULL)
		return sk_fail(context, SK_MALFORMED, "malformed_json", "the body is not one JSON value");
	sk_arena_defer(context->arena, free_tree, tree);
	if (has_duplicates(tree))
		return sk_fail(context, SK_MALFORMED, "malformed_json",
			       "the JSON has the same key twice in one object");
	*out = tree;
	return SK_OK;
}
