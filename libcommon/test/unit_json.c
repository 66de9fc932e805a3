/* JSON in and out. */
#include "unit.h"

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

static enum sk_status parse(const char *text)
{
	const struct cJSON *tree = NULL;

	sk_context_clear_error(&context);
	return sk_json_parse(&context, text, strlen(text), &tree);
}

static void what_cjson_lets_pass_is_refused(void **state)
{
	static const char *const cases[] = {
		"",
		" ",
		"{",
		"{\"a\":1}x",
		"{\"a\":1}{}",
		"{'a':1}",
		"{\"a\":1,\"a\":2}",
		"[{\"b\":{\"a\":1,\"a\":2}}]",
		"\"x\\u0000y\"",
		"\"\\ud800\"",
		"\"\\udc00\"",
		"\"\\ud800\\u0041\"",
		"\"\\x\"",
		"\"a\nb\"",
		"\"\xff\"",
		"\"\xc0\xaf\"",
		"\"\xed\xa0\x80\"",
		"\"\xf4\x90\x80\x80\"",
		"\"\xe2\x82\"",
		"[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]",
		"\"open",
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++)
		assert_int_equal(parse(cases[i]), SK_MALFORMED);
}

static void good_json_is_read(void **state)
{
	static const char *const cases[] = { "{}",
					     "[]",
					     "1",
					     "\"\\ud83d\\ude00\"",
					     "\"\xf0\x9f\x98\x80\"",
					     " {\"a\" : [1, 2.5, null, true] } ",
					     "[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]",
					     "\"\\u00e9\\n\"",
					     "{\"a\":{\"a\":1},\"b\":{\"a\":1}}" };

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++)
		assert_int_equal(parse(cases[i]), SK_OK);
}

static void a_nul_byte_is_refused(void **state)
{
	const struct cJSON *tree = NULL;

	(void)state;
	assert_int_equal(sk_json_parse(&context, "{}\0{}", 5, &tree), SK_MALFORMED);
	sk_context_clear_error(&context);
	assert_int_equal(sk_json_parse(&context, "\"a\0b\"", 5, &tree), SK_MALFORMED);
}

/* The errors of a body's decoding. */
static struct sk_field_errors errors;

static struct sk_fields fields_of(const char *text)
{
	const struct cJSON *tree = NULL;

	sk_context_clear_error(&context);
	assert_int_equal(sk_json_parse(&context, text, strlen(text), &tree), SK_OK);
	errors = (struct sk_field_errors) { .arena = context.arena };
	return sk_fields_of(tree, &errors);
}

static void integers_at_their_edges(void **state)
{
	static const struct {
		const char *text;
		bool good;
	} cases[] = {
		{ "{\"n\":1}", true },	    { "{\"n\":100}", true },
		{ "{\"n\":0}", false },	    { "{\"n\":101}", false },
		{ "{\"n\":1.5}", false },   { "{\"n\":\"5\"}", false },
		{ "{\"n\":1e400}", false }, { "{\"n\":-0}", false },
		{ "{\"n\":1e2}", true },    { "{\"n\":9007199254740993}", false },
		{ "{\"n\":null}", false },  { "{}", false },
		{ "{\"n\":true}", false },  { "{\"n\":[5]}", false },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct sk_fields fields = fields_of(cases[i].text);

		sk_field_int(&fields, "n", 1, 100, SK_FIELD_REQUIRED, 0);
		assert_int_equal(sk_fields_finish(&fields, &context),
				 cases[i].good ? SK_OK : SK_INVALID);
	}
}

static void texts_are_bounded_and_clean(void **state)
{
	static const struct {
		const char *text;
		bool good;
	} cases[] = {
		{ "{\"t\":\"ab\"}", true },    { "{\"t\":\"\"}", false },
		{ "{\"t\":\"abcd\"}", false }, { "{\"t\":\"a\\u0007\"}", false },
		{ "{\"t\":\"a\\n\"}", true },  { "{\"t\":5}", false },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct sk_fields fields = fields_of(cases[i].text);

		sk_field_text(&fields, "t", 1, 3, SK_FIELD_REQUIRED);
		assert_int_equal(sk_fields_finish(&fields, &context),
				 cases[i].good ? SK_OK : SK_INVALID);
	}
}

static void every_wrong_field_is_told_with_its_pointer(void **state)
{
	struct sk_fields fields = fields_of(
		"{\"items\":[{\"sku\":\"A\",\"q\":1},{\"sku\":7},3],\"a/b\":1}");
	int count = sk_field_array(&fields, "items", 1, 10, SK_FIELD_REQUIRED);

	(void)state;
	for (int i = 0; i < count; i++) {
		struct sk_fields item = sk_field_element(&fields, "items", i);

		sk_field_sku(&item, "sku", SK_FIELD_REQUIRED);
		sk_field_int(&item, "q", 1, 9, SK_FIELD_REQUIRED, 0);
	}
	sk_field_text(&fields, "a/b", 1, 9, SK_FIELD_REQUIRED);
	assert_int_equal(sk_fields_finish(&fields, &context), SK_INVALID);
	assert_string_equal(errors.list[0].pointer, "/items/1/sku");
	assert_string_equal(errors.list[1].pointer, "/items/1/q");
	assert_string_equal(errors.list[2].pointer, "/items/2");
	assert_string_equal(errors.list[errors.count - 1].pointer, "/a~1b");
}

static void optional_fields_may_be_absent_or_null(void **state)
{
	struct sk_fields fields = fields_of("{\"b\":null}");
	struct sk_money money;

	(void)state;
	assert_null(sk_field_text(&fields, "a", 1, 9, SK_FIELD_OPTIONAL));
	assert_null(sk_field_email(&fields, "b", SK_FIELD_OPTIONAL));
	assert_int_equal(sk_field_int(&fields, "b", 1, 9, SK_FIELD_OPTIONAL, 7), 7);
	assert_false(sk_field_money(&fields, "b", SK_FIELD_OPTIONAL, &money));
	assert_int_equal(sk_fields_finish(&fields, &context), SK_OK);
}

static void money_needs_both_its_parts(void **state)
{
	static const struct {
		const char *text;
		bool good;
	} cases[] = {
		{ "{\"m\":{\"amount\":5,\"currency\":\"GBP\"}}", true },
		{ "{\"m\":{\"amount\":-5,\"currency\":\"GBP\"}}", false },
		{ "{\"m\":{\"amount\":5.5,\"currency\":\"GBP\"}}", false },
		{ "{\"m\":{\"amount\":5,\"currency\":\"gbp\"}}", false },
		{ "{\"m\":{\"amount\":5}}", false },
		{ "{\"m\":5}", false },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct sk_fields fields = fields_of(cases[i].text);
		struct sk_money money;

		sk_field_money(&fields, "m", SK_FIELD_REQUIRED, &money);
		assert_int_equal(sk_fields_finish(&fields, &context),
				 cases[i].good ? SK_OK : SK_INVALID);
	}
}

static void a_body_that_is_no_object_is_one_error(void **state)
{
	struct sk_fields fields = fields_of("[1]");

	(void)state;
	assert_int_equal(sk_fields_finish(&fields, &context), SK_INVALID);
	assert_string_equal(errors.list[0].pointer, "");
}

static void json_is_written_as_it_should_be(void **state)
{
	struct sk_json json;

	(void)state;
	sk_json_init(&json, context.arena, 1000);
	sk_json_begin_list(&json);
	sk_json_begin_object(&json, NULL);
	sk_json_text(&json, "t", "a\"\\\n\x01\xc3\xa9");
	sk_json_text(&json, "none", NULL);
	sk_json_int(&json, "n", -5);
	sk_json_money(&json, "m", sk_money_of(5, "GBP"));
	sk_json_bool(&json, "b", true);
	sk_json_raw(&json, "r", "[1]");
	sk_json_end_object(&json);
	sk_json_begin_object(&json, NULL);
	sk_json_end_object(&json);
	sk_json_end_list(&json, NULL);
	assert_string_equal(
		sk_buf_text(&json.buf),
		"{\"items\":[{\"t\":\"a\\\"\\\\\\n\\u0001\xc3\xa9\",\"none\":null,\"n\":-5,"
		"\"m\":{\"amount\":5,\"currency\":\"GBP\"},\"b\":true,\"r\":[1]},{}],"
		"\"next_cursor\":null}");
	assert_int_equal(parse(sk_buf_text(&json.buf)), SK_OK);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_cjson_lets_pass_is_refused),
		cmocka_unit_test(good_json_is_read),
		cmocka_unit_test(a_nul_byte_is_refused),
		cmocka_unit_test(integers_at_their_edges),
		cmocka_unit_test(texts_are_bounded_and_clean),
		cmocka_unit_test(every_wrong_field_is_told_with_its_pointer),
		cmocka_unit_test(optional_fields_may_be_absent_or_null),
		cmocka_unit_test(money_needs_both_its_parts),
		cmocka_unit_test(a_body_that_is_no_object_is_one_error),
		cmocka_unit_test(json_is_written_as_it_should_be),
	};

	return cmocka_run_group_tests_name("json", tests, set_up, tear_down);
}
