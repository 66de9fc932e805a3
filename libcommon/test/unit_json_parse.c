/* What is JSON and what is not, byte by byte: RFC 8259's grammar and our own bounds.
 * unit_json.c has the fields and the writer. */
#include "unit.h"

#include <cjson/cJSON.h>
#include <stdlib.h>

#include "../sk_json.h"

static struct sk_context context;

static int set_up(void **state)
{
	(void)state;
	sk_context_init(&context, 0);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	sk_context_release(&context);
	return 0;
}

static const cJSON *parse(const char *text, size_t len)
{
	const cJSON *tree = NULL;
	enum sk_status st;

	sk_context_clear_error(&context);
	st = sk_json_parse(&context, text, len, &tree);
	assert_true(st == SK_OK ? tree != NULL : st == SK_MALFORMED);
	return tree;
}

static void numbers_are_those_of_the_grammar(void **state)
{
	static const char *const good[] = { "0",
					    "-0",
					    "10",
					    "1.0",
					    "0.5",
					    "-1.25",
					    "1e5",
					    "1E+5",
					    "1e-05",
					    "0e0",
					    "1e400",
					    "-1e400",
					    "9007199254740993",
					    "123456789012345678901234567890" };
	static const char *const wrong[] = { "01",  "-01",	"00",	     "1.",    "-1.",  ".5",
					     "-.5", "+1",	"-",	     "--1",   "1e",   "1e+",
					     "1e-", "1.e5",	"1.5.5",     "1e5e5", "0x10", "1_0",
					     "1,0", "Infinity", "-Infinity", "NaN",   "1 2",  "12a",
					     "1-2", "\xd9\xa1" };

	(void)state;
	for (size_t i = 0; i < COUNT(good); i++)
		if (parse(good[i], strlen(good[i])) == NULL)
			fail_msg("%s", good[i]);
	for (size_t i = 0; i < COUNT(wrong); i++)
		if (parse(wrong[i], strlen(wrong[i])) != NULL)
			fail_msg("%s", wrong[i]);
}

static void only_four_characters_are_white_space(void **state)
{
	char text[] = "? {} ";

	(void)state;
	assert_non_null(parse("\t\r\n {\t\"a\"\r:\n1 }\n", 15));
	for (int c = 0; c < 256; c++) {
		bool space = c == ' ' || c == '\t' || c == '\r' || c == '\n';

		text[0] = (char)c;
		if ((parse(text, 5) != NULL) != space)
			fail_msg("byte %d", c);
	}
	assert_null(parse("\xef\xbb\xbf{}", 5)); /* a byte order mark */
}

static void an_escape_has_four_hexadecimal_digits_and_nothing_like_them(void **state)
{
	char text[] = "\"\\u00?1\"";

	(void)state;
	for (int c = 0; c < 256; c++) {
		bool digit = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') ||
			     (c >= 'A' && c <= 'F');

		text[5] = (char)c;
		if ((parse(text, 8) != NULL) != digit)
			fail_msg("byte %d", c);
	}
	/* 0x10 differs from '0' in one bit; cJSON makes a NUL of such an escape. */
	assert_null(parse("\"a\\u\x10\x10\x10\x11z\"", 9));
}

static void a_surrogate_needs_its_other_half(void **state)
{
	static const char *const wrong[] = { "\"\\ud800\"",
					     "\"\\udbff\"",
					     "\"\\udc00\"",
					     "\"\\udfff\"",
					     "\"\\ud83dx\"",
					     "\"\\ud83d\\n\"",
					     "\"\\ud83d\\u0041\"",
					     "\"\\ud83d\\ud83d\"",
					     "\"\\ud83d\\ude0\"",
					     "\"\\ude00\\ud83d\"",
					     "\"\\u0000\"",
					     "\"a\\u0000b\"",
					     "{\"\\u0000\":1}",
					     "\"\\ud83d\\",
					     "\"\\ud83d",
					     "\"\\u",
					     "\"\\" };
	const cJSON *pair = parse("\"\\uD83D\\uDE00\"", 14);

	(void)state;
	assert_string_equal(cJSON_GetStringValue(pair), "\xf0\x9f\x98\x80");
	for (size_t i = 0; i < COUNT(wrong); i++)
		if (parse(wrong[i], strlen(wrong[i])) != NULL)
			fail_msg("%s", wrong[i]);
}

static void the_deepest_level_is_the_limits_and_brackets_in_strings_do_not_count(void **state)
{
	char text[2 * SK_JSON_MAX_DEPTH + 8];

	(void)state;
	for (size_t depth = SK_JSON_MAX_DEPTH - 1; depth <= SK_JSON_MAX_DEPTH + 1; depth++) {
		memset(text, '[', depth);
		memset(text + depth, ']', depth);
		assert_int_equal(parse(text, depth * 2) != NULL, depth <= SK_JSON_MAX_DEPTH);
	}
	assert_non_null(parse("\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\"", 32));
	assert_non_null(parse("\"\\\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[\"", 32));
	assert_null(parse("]]]]]]]]]]]]]]]]]]]][[[[[[[[[[[[[[[[[[[[", 40));
}

static void deep_nesting_costs_no_stack(void **state)
{
	size_t len = 1024 * 1024;
	char *text = sk_arena_alloc(context.arena, len);

	(void)state;
	memset(text, '[', len);
	assert_null(parse(text, len));
	for (size_t at = 0; at + 5 <= len; at += 5)
		memcpy(text + at, "{\"a\":", 5);
	assert_null(parse(text, len));
}

static void a_key_may_stand_once_in_an_object(void **state)
{
	static const char *const wrong[] = { "{\"a\":1,\"a\":1}", "{\"a\":1,\"b\":2,\"a\":3}",
					     "{\"a\":1,\"\\u0061\":1}", "{\"\":1,\"\":2}",
					     "[[{\"x\":{\"a\":1,\"a\":2}}]]" };

	(void)state;
	for (size_t i = 0; i < COUNT(wrong); i++) {
		if (parse(wrong[i], strlen(wrong[i])) != NULL)
			fail_msg("%s", wrong[i]);
		assert_string_equal(context.error.code, "malformed_json");
	}
	assert_non_null(parse("{\"a\":1,\"A\":2,\"b\":{\"a\":1}}", 25));
}

static void an_object_may_have_many_keys(void **state)
{
	struct sk_buf text;

	(void)state;
	sk_buf_init(&text, context.arena, SK_BODY_MAX_BYTES);
	sk_buf_puts(&text, "{\"key\":0");
	for (int i = 0; i < 4000; i++)
		sk_buf_printf(&text, ",\"%d\":%d", i, i);
	sk_buf_putc(&text, '}');
	assert_true(sk_buf_ok(&text));
	assert_non_null(parse(sk_buf_text(&text), text.len));
}

static void a_cut_at_any_byte_is_refused(void **state)
{
	const char *text = "{\"a\":[1,{\"b\":\"\\ud83d\\ude00\\n\xc3\xa9\"},true,null,-1.5e+3]}";

	(void)state;
	assert_non_null(parse(text, strlen(text)));
	for (size_t len = 0; len < strlen(text); len++) {
		/* A copy of just these bytes, so that a sanitizer sees one read too many. */
		char *cut = malloc(len > 0 ? len : 1);

		assert_non_null(cut);
		memcpy(cut, text, len);
		assert_null(parse(cut, len));
		free(cut);
	}
}

static void the_error_says_what_is_wrong(void **state)
{
	static const char *const cases[][2] = {
		{ "\"\xff\"", "the JSON has bytes that are no UTF-8" },
		{ "\"a\nb\"", "the JSON has a control character in a string" },
		{ "\"a", "the JSON has a string without an end" },
		{ "[01]", "the JSON has a number that is none" },
		{ "{}\x01", "the JSON has a byte that JSON does not have" },
		{ "[[[[[[[[[[[[[[[[[", "the JSON has too many levels" },
		{ "{\"a\":1,\"a\":2}", "the JSON has the same key twice in one object" },
		{ "{}{}", "the body is not one JSON value" },
		{ "", "the body is not one JSON value" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		assert_null(parse(cases[i][0], strlen(cases[i][0])));
		assert_string_equal(context.error.detail, cases[i][1]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers_are_those_of_the_grammar),
		cmocka_unit_test(only_four_characters_are_white_space),
		cmocka_unit_test(an_escape_has_four_hexadecimal_digits_and_nothing_like_them),
		cmocka_unit_test(a_surrogate_needs_its_other_half),
		cmocka_unit_test(
			the_deepest_level_is_the_limits_and_brackets_in_strings_do_not_count),
		cmocka_unit_test(deep_nesting_costs_no_stack),
		cmocka_unit_test(a_key_may_stand_once_in_an_object),
		cmocka_unit_test(an_object_may_have_many_keys),
		cmocka_unit_test(a_cut_at_any_byte_is_refused),
		cmocka_unit_test(the_error_says_what_is_wrong),
	};

	return cmocka_run_group_tests_name("json_parse", tests, set_up, tear_down);
}
