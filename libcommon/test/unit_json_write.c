/* The edges of the writer; unit_json.c has its common use. */
#include "unit.h"

#include <cjson/cJSON.h>

#include "../sk_json.h"
#include "../sk_time.h"

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

static void every_byte_of_a_text_comes_back(void **state)
{
	(void)state;
	for (int c = 1; c < 128; c++) {
		const char text[] = { 'a', (char)c, 'b', '\0' };
		const struct cJSON *tree = NULL;
		struct sk_json json;

		sk_json_init(&json, context.arena, 100);
		sk_json_text(&json, NULL, text);
		assert_int_equal(
			sk_json_parse(&context, sk_buf_text(&json.buf), json.buf.len, &tree),
			SK_OK);
		assert_string_equal(cJSON_GetStringValue(tree), text);
	}
}

static void a_key_is_escaped_as_a_text_is(void **state)
{
	struct sk_json json;

	(void)state;
	sk_json_init(&json, context.arena, 100);
	sk_json_begin_object(&json, NULL);
	sk_json_int(&json, "a\"\n", 1);
	sk_json_end_object(&json);
	assert_string_equal(sk_buf_text(&json.buf), "{\"a\\\"\\n\":1}");
}

static void commas_stand_between_and_nowhere_else(void **state)
{
	struct sk_json json;

	(void)state;
	sk_json_init(&json, context.arena, 1000);
	sk_json_begin_array(&json, NULL);
	sk_json_begin_array(&json, NULL);
	sk_json_end_array(&json);
	sk_json_begin_object(&json, NULL);
	sk_json_begin_object(&json, "empty");
	sk_json_end_object(&json);
	sk_json_begin_array(&json, "list");
	sk_json_int(&json, NULL, 1);
	sk_json_null(&json, NULL);
	sk_json_bool(&json, NULL, false);
	sk_json_end_array(&json);
	sk_json_null(&json, "last");
	sk_json_end_object(&json);
	sk_json_text(&json, NULL, "");
	sk_json_end_array(&json);
	assert_string_equal(sk_buf_text(&json.buf),
			    "[[],{\"empty\":{},\"list\":[1,null,false],\"last\":null},\"\"]");
}

static void integers_are_written_whole(void **state)
{
	struct sk_json json;

	(void)state;
	sk_json_init(&json, context.arena, 1000);
	sk_json_begin_array(&json, NULL);
	sk_json_int(&json, NULL, INT64_MIN);
	sk_json_int(&json, NULL, 0);
	sk_json_int(&json, NULL, INT64_MAX);
	sk_json_end_array(&json);
	assert_string_equal(sk_buf_text(&json.buf), "[-9223372036854775808,0,9223372036854775807]");
}

static void what_is_not_there_is_null(void **state)
{
	struct sk_json json;

	(void)state;
	sk_json_init(&json, context.arena, 1000);
	sk_json_begin_array(&json, NULL);
	sk_json_time(&json, NULL, 0);
	sk_json_text(&json, NULL, NULL);
	sk_json_raw(&json, NULL, NULL);
	sk_json_time(&json, NULL, SK_SECOND_US);
	sk_json_end_array(&json);
	assert_string_equal(sk_buf_text(&json.buf),
			    "[null,null,null,\"1970-01-01T00:00:01.000000Z\"]");
}

static void a_list_ends_with_its_cursor(void **state)
{
	struct sk_json json;

	(void)state;
	sk_json_init(&json, context.arena, 1000);
	sk_json_begin_list(&json);
	sk_json_money(&json, NULL, sk_money_of(1999, "GBP"));
	sk_json_end_list(&json, "abc");
	assert_string_equal(
		sk_buf_text(&json.buf),
		"{\"items\":[{\"amount\":1999,\"currency\":\"GBP\"}],\"next_cursor\":\"abc\"}");
}

static void what_does_not_fit_latches(void **state)
{
	struct sk_json json;

	(void)state;
	sk_json_init(&json, context.arena, 16);
	sk_json_begin_object(&json, NULL);
	sk_json_text(&json, "title", "far too long for the room that there is");
	sk_json_end_object(&json);
	assert_false(sk_buf_ok(&json.buf));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_byte_of_a_text_comes_back),
		cmocka_unit_test(a_key_is_escaped_as_a_text_is),
		cmocka_unit_test(commas_stand_between_and_nowhere_else),
		cmocka_unit_test(integers_are_written_whole),
		cmocka_unit_test(what_is_not_there_is_null),
		cmocka_unit_test(a_list_ends_with_its_cursor),
		cmocka_unit_test(what_does_not_fit_latches),
	};

	return cmocka_run_group_tests_name("json_write", tests, set_up, tear_down);
}
