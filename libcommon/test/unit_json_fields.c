/* The edges of the fields of a body; unit_json.c has their common use. */
#include "unit.h"

#include "../sk_json.h"

static struct sk_context context;
static struct sk_field_errors errors;

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

static struct sk_fields fields_of(const char *text)
{
	const struct cJSON *tree = NULL;

	sk_context_clear_error(&context);
	assert_int_equal(sk_json_parse(&context, text, strlen(text), &tree), SK_OK);
	errors = (struct sk_field_errors) { .arena = context.arena };
	return sk_fields_of(tree, &errors);
}

/* The first error as "pointer detail", "" where there is none. */
static const char *first_error(void)
{
	if (errors.count == 0)
		return "";
	return sk_arena_printf(context.arena, "%s %s", errors.list[0].pointer,
			       errors.list[0].detail);
}

static void an_integer_is_exact_or_refused(void **state)
{
	static const struct {
		const char *text, *error;
		int64_t value;
	} cases[] = {
		{ "{\"n\":0}", "", 0 },
		{ "{\"n\":-0}", "", 0 },
		{ "{\"n\":-0.0}", "", 0 },
		{ "{\"n\":5.0}", "", 5 },
		{ "{\"n\":12e2}", "", 1200 },
		{ "{\"n\":9007199254740991}", "", 9007199254740991 },
		{ "{\"n\":-9007199254740991}", "", -9007199254740991 },
		{ "{\"n\":9007199254740992}", "/n must be an integer", 7 },
		{ "{\"n\":9007199254740993}", "/n must be an integer",
		  7 }, /* a double has it as ...992 */
		{ "{\"n\":-9007199254740993}", "/n must be an integer", 7 },
		{ "{\"n\":9223372036854775808}", "/n must be an integer", 7 },
		{ "{\"n\":1e400}", "/n must be an integer", 7 },
		{ "{\"n\":-1e400}", "/n must be an integer", 7 },
		{ "{\"n\":0.5}", "/n must be an integer", 7 },
		{ "{\"n\":1e-400}", "", 0 },
		{ "{\"n\":\"5\"}", "/n must be an integer", 7 },
		{ "{\"n\":{}}", "/n must be an integer", 7 },
		{ "{\"n\":null}", "/n is required", 7 },
		{ "{\"N\":5}", "/n is required", 7 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct sk_fields fields = fields_of(cases[i].text);

		assert_int_equal(
			sk_field_int(&fields, "n", INT64_MIN, INT64_MAX, SK_FIELD_REQUIRED, 7),
			cases[i].value);
		assert_string_equal(first_error(), cases[i].error);
	}
}

static void an_integer_keeps_its_range(void **state)
{
	struct sk_fields fields = fields_of("{\"n\":101}");

	(void)state;
	assert_int_equal(sk_field_int(&fields, "n", 1, 100, SK_FIELD_OPTIONAL, 3), 3);
	assert_string_equal(first_error(), "/n must be from 1 to 100");
}

static void a_text_is_measured_in_bytes(void **state)
{
	static const struct {
		const char *text, *error;
		size_t min, max;
	} cases[] = {
		{ "{\"t\":\"caf\xc3\xa9\"}", "", 5, 5 },
		{ "{\"t\":\"caf\xc3\xa9\"}", "/t must have 1 to 4 bytes", 1, 4 },
		{ "{\"t\":\"\"}", "", 0, 4 },
		{ "{\"t\":\"\"}", "/t must not be empty", 1, 4 },
		{ "{\"t\":\"abc\"}", "/t must have 8 to 128 bytes", 8, 128 },
		{ "{\"t\":\"a\\r\\n\\tb\"}", "", 1, 9 },
		{ "{\"t\":\"a\\u001b[0m\"}", "/t must not have control characters", 1, 9 },
		{ "{\"t\":\"a\x7f\"}", "/t must not have control characters", 1, 9 },
		{ "{\"t\":[\"a\"]}", "/t must be a string", 1, 9 },
		{ "{\"t\":null}", "/t is required", 1, 9 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct sk_fields fields = fields_of(cases[i].text);
		const char *text = sk_field_text(&fields, "t", cases[i].min, cases[i].max,
						 SK_FIELD_REQUIRED);

		assert_string_equal(first_error(), cases[i].error);
		assert_int_equal(text == NULL, cases[i].error[0] != '\0');
	}
}

static void truth_is_true_or_false(void **state)
{
	static const struct {
		const char *text, *error;
		bool value;
	} cases[] = {
		{ "{\"b\":true}", "", true },
		{ "{\"b\":false}", "", false },
		{ "{}", "", true },
		{ "{\"b\":null}", "", true },
		{ "{\"b\":0}", "/b must be true or false", true },
		{ "{\"b\":\"false\"}", "/b must be true or false", true },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct sk_fields fields = fields_of(cases[i].text);

		assert_int_equal(sk_field_bool(&fields, "b", SK_FIELD_OPTIONAL, true),
				 cases[i].value);
		assert_string_equal(first_error(), cases[i].error);
	}
}

static void money_that_is_no_object_is_one_error(void **state)
{
	struct sk_fields fields = fields_of("{\"m\":\"5 GBP\"}");
	struct sk_money money = { .minor = -1 };

	(void)state;
	assert_false(sk_field_money(&fields, "m", SK_FIELD_REQUIRED, &money));
	assert_int_equal(errors.count, 1);
	assert_string_equal(first_error(), "/m must be an object");
	assert_int_equal(money.minor, -1);
}

static void the_parts_of_money_are_pointed_at(void **state)
{
	static const char *const cases[][2] = {
		{ "{\"m\":{\"amount\":9007199254740991,\"currency\":\"GBP\"}}", "" },
		{ "{\"m\":{\"amount\":9007199254740992,\"currency\":\"GBP\"}}",
		  "/m/amount must be an integer" },
		{ "{\"m\":{\"amount\":-1,\"currency\":\"GBP\"}}",
		  "/m/amount must be from 0 to 9007199254740991" },
		{ "{\"m\":{\"amount\":1,\"currency\":\"XYZ\"}}",
		  "/m/currency must be a code of ISO 4217" },
		{ "{\"m\":{\"amount\":1,\"currency\":\"GBPX\"}}",
		  "/m/currency must have 3 to 3 bytes" },
		{ "{\"m\":{\"currency\":\"GBP\"}}", "/m/amount is required" },
		{ "{\"m\":{\"amount\":1}}", "/m/currency is required" },
		{ "{}", "/m is required" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct sk_fields fields = fields_of(cases[i][0]);
		struct sk_money money;

		sk_field_money(&fields, "m", SK_FIELD_REQUIRED, &money);
		assert_string_equal(first_error(), cases[i][1]);
	}
}

static void forms_of_text_say_which_they_want(void **state)
{
	struct sk_fields fields = fields_of("{\"email\":\"a@b@c\",\"sku\":\" A\",\"id\":\"1\"}");

	(void)state;
	assert_null(sk_field_email(&fields, "email", SK_FIELD_REQUIRED));
	assert_null(sk_field_sku(&fields, "sku", SK_FIELD_REQUIRED));
	assert_null(sk_field_id(&fields, "id", SK_FIELD_REQUIRED));
	assert_int_equal(errors.count, 3);
	assert_string_equal(errors.list[0].detail, "must be an e-mail address");
	assert_string_equal(errors.list[1].detail, "must be 1 to 64 printable ASCII characters");
	assert_string_equal(errors.list[2].detail, "must be a UUID in lower case");
}

static void an_absent_object_has_no_fields(void **state)
{
	struct sk_fields fields = fields_of("{\"wrong\":5}");
	struct sk_fields absent = sk_field_object(&fields, "address", SK_FIELD_OPTIONAL);
	struct sk_fields wrong;

	(void)state;
	assert_null(absent.object);
	assert_int_equal(errors.count, 0);
	assert_null(sk_field_text(&absent, "city", 1, 9, SK_FIELD_REQUIRED));
	assert_string_equal(first_error(), "/address/city is required");
	wrong = sk_field_object(&fields, "wrong", SK_FIELD_REQUIRED);
	assert_null(wrong.object);
	assert_string_equal(errors.list[1].pointer, "/wrong");
}

static void an_array_keeps_its_bounds(void **state)
{
	static const struct {
		const char *text, *error;
		int count;
	} cases[] = {
		{ "{\"a\":[1,2]}", "", 2 },
		{ "{\"a\":[1]}", "/a must have 2 to 3 elements", 0 },
		{ "{\"a\":[1,2,3,4]}", "/a must have 2 to 3 elements", 0 },
		{ "{\"a\":{}}", "/a must be an array", 0 },
		{ "{\"a\":null}", "/a is required", 0 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct sk_fields fields = fields_of(cases[i].text);

		assert_int_equal(sk_field_array(&fields, "a", 2, 3, SK_FIELD_REQUIRED),
				 cases[i].count);
		assert_string_equal(first_error(), cases[i].error);
	}
}

static void elements_that_are_texts_have_pointers_too(void **state)
{
	struct sk_fields fields = fields_of("{\"tags\":[\"tea\",7,\"\"]}");

	(void)state;
	assert_int_equal(sk_field_array(&fields, "tags", 0, 9, SK_FIELD_OPTIONAL), 3);
	assert_string_equal(sk_field_element_text(&fields, "tags", 0, 1, 9), "tea");
	assert_null(sk_field_element_text(&fields, "tags", 1, 1, 9));
	assert_null(sk_field_element_text(&fields, "tags", 2, 1, 9));
	assert_string_equal(errors.list[0].pointer, "/tags/1");
	assert_string_equal(errors.list[1].pointer, "/tags/2");
}

static void a_pointer_goes_through_all_levels(void **state)
{
	struct sk_fields fields = fields_of("{\"a/b\":[{},{\"m~n\":{\"deep\":\"x\"}}]}");
	struct sk_fields element, object;

	(void)state;
	assert_int_equal(sk_field_array(&fields, "a/b", 1, 2, SK_FIELD_REQUIRED), 2);
	element = sk_field_element(&fields, "a/b", 1);
	object = sk_field_object(&element, "m~n", SK_FIELD_REQUIRED);
	sk_field_int(&object, "deep", 0, 1, SK_FIELD_REQUIRED, 0);
	assert_string_equal(first_error(), "/a~1b/1/m~0n/deep must be an integer");
}

static void presence_is_neither_absent_nor_null(void **state)
{
	struct sk_fields fields = fields_of("{\"zero\":0,\"null\":null,\"empty\":\"\"}");

	(void)state;
	assert_true(sk_field_present(&fields, "zero"));
	assert_true(sk_field_present(&fields, "empty"));
	assert_false(sk_field_present(&fields, "null"));
	assert_false(sk_field_present(&fields, "absent"));
	assert_false(sk_field_present(&fields, "ZERO"));
}

static void errors_beyond_the_list_are_not_kept(void **state)
{
	struct sk_fields fields = fields_of("{}");

	(void)state;
	for (int i = 0; i < SK_FIELD_ERRORS_MAX + 10; i++)
		sk_field_reject(&fields, "x", "is wrong");
	assert_int_equal(errors.count, SK_FIELD_ERRORS_MAX);
	assert_int_equal(sk_fields_finish(&fields, &context), SK_INVALID);
}

static void the_end_counts_the_errors_and_names_the_first(void **state)
{
	struct sk_fields fields = fields_of("{}");

	(void)state;
	assert_int_equal(sk_fields_finish(&fields, &context), SK_OK);
	sk_field_reject(&fields, "country", "unknown country");
	assert_int_equal(sk_fields_finish(&fields, &context), SK_INVALID);
	assert_string_equal(context.error.code, "invalid_input");
	assert_string_equal(context.error.detail,
			    "1 field is wrong; the first: /country unknown country");
	sk_context_clear_error(&context);
	sk_field_reject(&fields, "city", "is required");
	assert_int_equal(sk_fields_finish(&fields, &context), SK_INVALID);
	assert_string_equal(context.error.detail,
			    "2 fields are wrong; the first: /country unknown country");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_integer_is_exact_or_refused),
		cmocka_unit_test(an_integer_keeps_its_range),
		cmocka_unit_test(a_text_is_measured_in_bytes),
		cmocka_unit_test(truth_is_true_or_false),
		cmocka_unit_test(money_that_is_no_object_is_one_error),
		cmocka_unit_test(the_parts_of_money_are_pointed_at),
		cmocka_unit_test(forms_of_text_say_which_they_want),
		cmocka_unit_test(an_absent_object_has_no_fields),
		cmocka_unit_test(an_array_keeps_its_bounds),
		cmocka_unit_test(elements_that_are_texts_have_pointers_too),
		cmocka_unit_test(a_pointer_goes_through_all_levels),
		cmocka_unit_test(presence_is_neither_absent_nor_null),
		cmocka_unit_test(errors_beyond_the_list_are_not_kept),
		cmocka_unit_test(the_end_counts_the_errors_and_names_the_first),
	};

	return cmocka_run_group_tests_name("json_fields", tests, set_up, tear_down);
}
