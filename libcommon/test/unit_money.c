#include "unit.h"

#include "sk_money.h"

static void decimals_are_read_in_the_currencys_minor_units(void **state)
{
	static const struct {
		const char *decimal, *currency;
		int64_t minor;
	} cases[] = {
		{ "0", "GBP", 0 },
		{ "12.5", "GBP", 1250 },
		{ "12.50", "GBP", 1250 },
		{ "12", "GBP", 1200 },
		{ "0.01", "GBP", 1 },
		{ "0012.30", "GBP", 1230 },
		{ "3.390", "GBP", 339 },
		{ "3.39000000000000000000000", "GBP", 339 },
		{ "1999", "JPY", 1999 },
		{ "1999.0", "JPY", 1999 },
		{ "1.234", "KWD", 1234 },
		{ "1.2", "KWD", 1200 },
		{ "90071992547409.91", "GBP", SK_MONEY_MAX_MINOR },
		{ "9007199254740991", "JPY", SK_MONEY_MAX_MINOR },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct sk_money money = { .minor = -1 };

		if (sk_money_parse(cases[i].decimal, cases[i].currency, &money) != SK_OK)
			fail_msg("%s %s", cases[i].decimal, cases[i].currency);
		assert_int_equal(money.minor, cases[i].minor);
		assert_string_equal(money.currency, cases[i].currency);
	}
}

static void what_is_no_amount_is_refused_and_changes_nothing(void **state)
{
	static const char *const cases[][2] = {
		{ "", "GBP" },
		{ ".", "GBP" },
		{ ".5", "GBP" },
		{ "1.", "GBP" },
		{ "1.", "JPY" },
		{ "1..5", "GBP" },
		{ "1.2.3", "GBP" },
		{ "-1", "GBP" },
		{ "+1", "GBP" },
		{ " 1", "GBP" },
		{ "1 ", "GBP" },
		{ "1,50", "GBP" },
		{ "1e3", "GBP" },
		{ "0x10", "GBP" },
		{ "GBP 1", "GBP" },
		{ "1.234", "GBP" },
		{ "1.001", "GBP" },
		{ "1.5", "JPY" },
		{ "1.2345", "KWD" },
		{ "90071992547409.92", "GBP" },
		{ "90071992547410", "GBP" },
		{ "9007199254740992", "JPY" },
		{ "99999999999999999999999999", "GBP" },
		{ "1", "gbp" },
		{ "1", "XXX" },
		{ "1", "" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct sk_money money = { .minor = -7 };

		if (sk_money_parse(cases[i][0], cases[i][1], &money) != SK_INVALID ||
		    money.minor != -7)
			fail_msg("%s %s", cases[i][0], cases[i][1]);
	}
	assert_int_equal(sk_money_parse("1", NULL, &(struct sk_money) { 0 }), SK_INVALID);
}

static void a_currency_is_three_capitals_of_the_list(void **state)
{
	static const char *const wrong[] = { NULL,  "",	   "GB",      "GBPX", "gbp",
					     "G P", "BP ", "AED AFN", "XYZ" };

	(void)state;
	assert_true(sk_currency_valid("GBP"));
	assert_true(sk_currency_valid("AED")); /* the first and the last of their lists */
	assert_true(sk_currency_valid("ZWG"));
	assert_true(sk_currency_valid("JPY"));
	assert_true(sk_currency_valid("TND"));
	for (size_t i = 0; i < COUNT(wrong); i++)
		assert_false(sk_currency_valid(wrong[i]));
	assert_int_equal(sk_currency_digits("GBP"), 2);
	assert_int_equal(sk_currency_digits("JPY"), 0);
	assert_int_equal(sk_currency_digits("KWD"), 3);
}

static void sums_and_multiples_that_do_not_fit_or_mix_are_refused(void **state)
{
	struct sk_money most = sk_money_of(SK_MONEY_MAX_MINOR, "GBP");
	struct sk_money penny = sk_money_of(1, "GBP"), yen = sk_money_of(1, "JPY");
	struct sk_money result = sk_money_of(42, "GBP");

	(void)state;
	assert_int_equal(sk_money_add(most, penny, &result), SK_INVALID);
	assert_int_equal(sk_money_add(penny, yen, &result), SK_INVALID);
	assert_int_equal(sk_money_add(sk_money_of(-SK_MONEY_MAX_MINOR, "GBP"),
				      sk_money_of(-1, "GBP"), &result),
			 SK_INVALID);
	assert_int_equal(sk_money_times(most, 2, &result), SK_INVALID);
	assert_int_equal(sk_money_times(most, INT64_MAX, &result), SK_INVALID);
	assert_int_equal(sk_money_times(most, INT64_MIN, &result), SK_INVALID);
	assert_int_equal(result.minor, 42);
}

static void sums_and_multiples_that_fit_are_exact(void **state)
{
	struct sk_money result = sk_money_of(SK_MONEY_MAX_MINOR - 1, "GBP");

	(void)state;
	assert_int_equal(sk_money_add(result, sk_money_of(1, "GBP"), &result), SK_OK);
	assert_int_equal(result.minor, SK_MONEY_MAX_MINOR);
	assert_int_equal(sk_money_add(result, sk_money_of(-SK_MONEY_MAX_MINOR, "GBP"), &result),
			 SK_OK);
	assert_int_equal(result.minor, 0);
	assert_int_equal(sk_money_times(sk_money_of(1999, "GBP"), 100000, &result), SK_OK);
	assert_int_equal(result.minor, 199900000);
	assert_int_equal(sk_money_times(sk_money_of(SK_MONEY_MAX_MINOR, "GBP"), -1, &result),
			 SK_OK);
	assert_int_equal(result.minor, -SK_MONEY_MAX_MINOR);
}

static void amounts_are_written_for_people(void **state)
{
	static const struct {
		int64_t minor;
		const char *currency, *text;
	} cases[] = {
		{ 1250, "GBP", "12.50 GBP" },
		{ 5, "GBP", "0.05 GBP" },
		{ 0, "GBP", "0.00 GBP" },
		{ -5, "GBP", "-0.05 GBP" },
		{ 1999, "JPY", "1999 JPY" },
		{ 1005, "KWD", "1.005 KWD" },
		{ SK_MONEY_MAX_MINOR, "GBP", "90071992547409.91 GBP" },
		{ -SK_MONEY_MAX_MINOR, "KWD", "-9007199254740.991 KWD" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		char text[SK_MONEY_TEXT_BYTES];

		assert_string_equal(
			sk_money_format(sk_money_of(cases[i].minor, cases[i].currency), text),
			cases[i].text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(decimals_are_read_in_the_currencys_minor_units),
		cmocka_unit_test(what_is_no_amount_is_refused_and_changes_nothing),
		cmocka_unit_test(a_currency_is_three_capitals_of_the_list),
		cmocka_unit_test(sums_and_multiples_that_do_not_fit_or_mix_are_refused),
		cmocka_unit_test(sums_and_multiples_that_fit_are_exact),
		cmocka_unit_test(amounts_are_written_for_people),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
