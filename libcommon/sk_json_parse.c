/* Parsing: a scan of our own, then cJSON.
 *
 * cJSON 1.7 recurses up to 1,000 levels, accepts invalid UTF-8, cuts a string at \u0000,
 * reads "01" and "1." as numbers and any control character as a space, and keeps both
 * of two equal keys. What it must not see is refused before, in one
 * pass without recursion; duplicate keys are looked for in the tree. */
#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>

#include "sk_json.h"
#include "sk_utf8.h"

/* The number of four hexadecimal digits, -1 where they are others. */
static int hex4(const char *text, size_t left)
{
	int value = 0;

	if (left < 4)
		return -1;
	for (int i = 0; i < 4; i++) {
		char c = text[i];

		if (c >= '0' && c <= '9')
			value = value * 16 + (c - '0');
		else if (c >= 'a' && c <= 'f')
			value = value * 16 + (c - 'a' + 10);
		else if (c >= 'A' && c <= 'F')
			value = value * 16 + (c - 'A' + 10);
		else
			return -1;
	}
	return value;
}

/* What follows a backslash. Returns the bytes it takes, 0 where it is refused. */
static size_t escape_length(const char *text, size_t left)
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
static size_t string_length(const char *text, size_t left, const char **why)
{
	size_t at = 0;

	while (at < left && text[at] != '"') {
		size_t len;

		if ((unsigned char)text[at] < ' ') {
			*why = "a control character in a string";
			return 0;
		}
		if (text[at] == '\\') {
			len = escape_length(text + at + 1, left - at - 1);
			*why = "an escape that is none, a lone surrogate or \\u0000";
			len += len > 0;
		} else {
			len = sk_utf8_length(text + at, left - at);
			*why = "bytes that are no UTF-8";
		}
		if (len == 0)
			return 0;
		at += len;
	}
	*why = "a string without an end";
	return at < left ? at + 1 : 0;
}

static size_t count_digits(const char *text, size_t left)
{
	size_t count = 0;

	while (count < left && text[count] >= '0' && text[count] <= '9')
		count++;
	return count;
}

/* The bytes of a point or an exponent's sign and the digits that must follow; 0
 * where they do not. mark is the length of what stands before the digits. */
static size_t digits_after(const char *text, size_t left, size_t mark)
{
	size_t digits = mark < left ? count_digits(text + mark, left - mark) : 0;

	return digits > 0 ? mark + digits : 0;
}

/* The bytes of the number at text by the grammar of RFC 8259, 0 where it is none. */
static size_t number_length(const char *text, size_t left)
{
	size_t sign = text[0] == '-', digits = count_digits(text + sign, left - sign);
	size_t at = sign + digits, more;

	if (digits == 0 || (digits > 1 && text[sign] == '0'))
		return 0;
	if (at < left && text[at] == '.') {
		more = digits_after(text + at, left - at, 1);
		if (more == 0)
			return 0;
		at += more;
	}
	if (at < left && (text[at] == 'e' || text[at] == 'E')) {
		bool has_sign = left - at > 1 && (text[at + 1] == '-' || text[at + 1] == '+');

		more = digits_after(text + at, left - at, has_sign ? 2 : 1);
		if (more == 0)
			return 0;
		at += more;
	}
	return at;
}

/* The bytes of the next piece that is no bracket: a string, a number, or one byte
 * of what cJSON can judge itself. 0 where it is refused (*why says it). */
static size_t piece_length(const char *text, size_t left, const char **why)
{
	size_t len;

	if (text[0] == '"') {
		len = string_length(text + 1, left - 1, why);
		return len > 0 ? len + 1 : 0;
	}
	if (text[0] == '-' || (text[0] >= '0' && text[0] <= '9')) {
		*why = "a number that is none";
		return number_length(text, left);
	}
	*why = "a byte that JSON does not have";
	return text[0] == '\t' || text[0] == '\n' || text[0] == '\r' ||
	       (text[0] >= ' ' && text[0] < 127);
}

/* NULL where cJSON may see the text, or what it has that it may not. */
static const char *refuse(const char *text, size_t len)
{
	const char *why = NULL;
	int depth = 0;

	for (size_t at = 0, piece; at < len; at += piece) {
		piece = 1;
		if (text[at] == '{' || text[at] == '[')
			depth++;
		else if (text[at] == '}' || text[at] == ']')
			depth--;
		else
			piece = piece_length(text + at, len - at, &why);
		if (piece == 0)
			return why;
		if (depth > SK_JSON_MAX_DEPTH)
			return "too many levels";
	}
	return NULL;
}

static int compare_keys(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static bool object_has_duplicates(struct sk_arena *arena, const cJSON *object)
{
	const char **keys = sk_arena_array(arena, (size_t)cJSON_GetArraySize(object),
					   sizeof(keys[0]));
	size_t count = 0;
	const cJSON *member;

	cJSON_ArrayForEach(member, object)
	{
		keys[count++] = member->string;
	}
	qsort(keys, count, sizeof(keys[0]), compare_keys);
	for (size_t i = 1; i < count; i++)
		if (strcmp(keys[i - 1], keys[i]) == 0)
			return true;
	return false;
}

/* Recursion is bounded by SK_JSON_MAX_DEPTH. */
static bool has_duplicates(struct sk_arena *arena,
			   const cJSON *node) /* NOLINT(misc-no-recursion) */
{
	const cJSON *child;

	if (cJSON_IsObject(node) && object_has_duplicates(arena, node))
		return true;
	cJSON_ArrayForEach(child, node)
	{
		if (has_duplicates(arena, child))
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
	const char *why = refuse(text, len);
	char *copy;
	cJSON *tree;

	if (why != NULL)
		return sk_fail(context, SK_MALFORMED, "malformed_json", "the JSON has %s", why);
	/* Ends in NUL, so that cJSON can insist that nothing follows the value. */
	copy = sk_arena_memdup(context->arena, text, len);
	tree = cJSON_ParseWithLengthOpts(copy, len + 1, NULL, 1);
	if (tree == NULL)
		return sk_fail(context, SK_MALFORMED, "malformed_json",
			       "the body is not one JSON value");
	sk_arena_defer(context->arena, free_tree, tree);
	if (has_duplicates(context->arena, tree))
		return sk_fail(context, SK_MALFORMED, "malformed_json",
			       "the JSON has the same key twice in one object");
	*out = tree;
	return SK_OK;
}
