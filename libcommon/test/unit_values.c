/* Time, ids, money, traces. */
#include "unit.h"

#include "../sk_id.h"
#include "../sk_limits.h"
#include "../sk_money.h"
#include "../sk_time.h"
#include "../sk_trace.h"

static void times_of_rfc_3339_are_read(void **state)
{
	static const struct {
		const char *text;
		int64_t time_us;
	} cases[] = {
		{ "1970-01-01T00:00:00Z", 0 },
		{ "2026-11-23T12:00:00Z", 1795435200000000 },
		{ "2026-11-23T12:00:00.5Z", 1795435200500000 },
		{ "2026-11-23T12:00:00.123456789Z", 1795435200123456 },
		{ "2026-11-23T14:00:00+02:00", 1795435200000000 },
		{ "2026-11-23T07:30:00-04:30", 1795435200000000 },
		{ "2026-11-23", 1795392000000000 },
		{ "2024-02-29", 1709164800000000 },
		{ "2000-02-29T00:00:00Z", 951782400000000 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		int64_t time_us = -1;

		assert_true(sk_time_parse(cases[i].text, &time_us));
		assert_int_equal(time_us, cases[i].time_us);
	}
}

static void what_is_no_time_is_refused(void **state)
{
	static const char *const cases[] = { "", "now", "2026-13-01", "2026-02-29", "2100-02-29", "1969-12-31",
					     "2026-11-23T", "2026-11-23T24:00:00Z", "2026-11-23T12:00:00",
					     "2026-11-23T12:00:00.Z", "2026-11-23T12:00:00Zx", "2026-1-1",
					     "2026-11-23T12:60:00Z", "2026-11-23T12:00:00+25:00" };
	int64_t time_us = 7;

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++)
		assert_false(sk_time_parse(cases[i], &time_us));
	assert_false(sk_time_parse(NULL, &time_us));
	assert_int_equal(time_us, 7);
}

static void a_time_is_written_as_it_is_read(void **state)
{
	char text[SK_RFC3339_BYTES];
	int64_t time_us = 0;

	(void)state;
	assert_string_equal(sk_time_format(1795435200123456, text), "2026-11-23T12:00:00.123456Z");
	assert_true(sk_time_parse(text, &time_us));
	assert_int_equal(time_us, 1795435200123456);
}

static void back_off_stays_within_its_limits(void **state)
{
	(void)state;
	for (int attempt = 0; attempt < 200; attempt++) {
		int64_t ms = sk_time_backoff_ms(attempt, 10, 1000);

		assert_in_range(ms, 0, 1000);
		if (attempt == 0)
			assert_in_range(ms, 0, 10);
	}
}

static void new_ids_are_valid_different_and_sorted_by_time(void **state)
{
	struct sk_id first = sk_id_new(), second;

	int64_t began_ms = sk_time_now_us() / 1000;

	(void)state;
	while (sk_time_now_us() / 1000 <= began_ms)
		; /* UUIDv7 sorts by milliseconds */
	second = sk_id_new();
	assert_true(sk_id_valid(first.text));
	assert_int_equal(first.text[14], '7');
	assert_true(strcmp(first.text, second.text) < 0);
}

static void ids_in_another_form_are_refused(void **state)
{
	static const char *const cases[] = { "", "0190163d-8694-739b-aea5-966c26f8ad9",
					     "0190163D-8694-739b-aea5-966c26f8ad91",
					     "0190163d86940739b0aea50966c26f8ad910",
					     "0190163d-8694-739b-aea5-966c26f8ad911",
					     "{190163d-8694-739b-aea5-966c26f8ad91}" };

	(void)state;
	assert_true(sk_id_valid("0190163d-8694-739b-aea5-966c26f8ad91"));
	assert_false(sk_id_valid(NULL));
	for (size_t i = 0; i < COUNT(cases); i++)
		assert_false(sk_id_valid(cases[i]));
}

static void derived_ids_and_tokens(void **state)
{
	struct sk_arena *arena = sk_arena_open(SK_ARENA_MAX_BYTES);

	(void)state;
	assert_string_equal(sk_id_derive(arena, "cancel:1"), sk_id_derive(arena, "cancel:1"));
	assert_string_not_equal(sk_id_derive(arena, "cancel:1"), sk_id_derive(arena, "cancel:2"));
	assert_true(sk_id_valid(sk_id_derive(arena, "")));
	assert_int_equal(strlen(sk_token_make(arena)), 43);
	assert_string_equal(sk_token_hash(arena, "abc"),
			    "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	assert_string_equal(sk_subject_token(arena, "A.b *>9_-"), "A=2Eb=20=2A=3E9_-");
	assert_string_equal(sk_subject_token(arena, ""), "=");
	sk_arena_close(&arena);
}

static void skus_and_addresses(void **state)
{
	static const char *const good[] = { "a@b.example", "first.last+tag@sub.example.org" };
	static const char *const bad[] = { "", "a", "@b", "a@", "a@b@c", "a b@c", "a@.b", "a@b.", "a\n@b",
					   "<a@b>", "a@b,c@d" };

	(void)state;
	assert_true(sk_sku_valid("LAMP-1/X y"));
	assert_false(sk_sku_valid(" A"));
	assert_false(sk_sku_valid("A "));
	assert_false(sk_sku_valid("\xc3\xa4"));
	assert_false(sk_sku_valid("12345678901234567890123456789012345678901234567890123456789012345"));
	for (size_t i = 0; i < COUNT(good); i++)
		assert_true(sk_email_valid(good[i]));
	for (size_t i = 0; i < COUNT(bad); i++)
		assert_false(sk_email_valid(bad[i]));
}

static void decimals_become_minor_units(void **state)
{
	static const struct {
		const char *text, *currency;
		int64_t minor;
	} cases[] = { { "2.55", "GBP", 255 }, { "2.5", "GBP", 250 }, { "2", "GBP", 200 },
		      { "0.00", "GBP", 0 },   { "3.390", "GBP", 339 }, { "607.49", "GBP", 60749 },
		      { "500", "JPY", 500 },  { "1.234", "KWD", 1234 } };
	struct sk_money money;

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		assert_int_equal(sk_money_parse(cases[i].text, cases[i].currency, &money), SK_OK);
		assert_int_equal(money.minor, cases[i].minor);
	}
}

static void what_is_no_amount_is_refused(void **state)
{
	static const struct {
		const char *text, *currency;
	} cases[] = { { "", "GBP" },	 { "-1", "GBP" },    { "1e3", "GBP" },	 { "1.234", "GBP" },
		      { "1,5", "GBP" },	 { ".", "GBP" },     { ".5", "GBP" },	 { "2.", "GBP" },    { "1.5", "JPY" },
		      { "1.2.3", "GBP" }, { "5", "XXX" },    { "5", "gbp" },
		      { "90071992547410", "GBP" }, { "99999999999999999999", "GBP" } };
	struct sk_money money;

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++)
		assert_int_equal(sk_money_parse(cases[i].text, cases[i].currency, &money), SK_INVALID);
	assert_int_equal(sk_money_parse("90071992547409.91", "GBP", &money), SK_OK);
}

static void sums_that_do_not_fit_are_refused(void **state)
{
	struct sk_money big = sk_money_of(SK_MONEY_MAX_MINOR, "GBP"), one = sk_money_of(1, "GBP"), out;

	(void)state;
	assert_int_equal(sk_money_add(big, one, &out), SK_INVALID);
	assert_int_equal(sk_money_add(one, sk_money_of(1, "EUR"), &out), SK_INVALID);
	assert_int_equal(sk_money_times(big, 2, &out), SK_INVALID);
	assert_int_equal(sk_money_times(sk_money_of(INT64_MAX, "GBP"), INT64_MAX, &out), SK_INVALID);
	assert_int_equal(sk_money_add(one, one, &out), SK_OK);
	assert_int_equal(out.minor, 2);
}

static void amounts_are_written_with_their_currencys_digits(void **state)
{
	char text[SK_MONEY_TEXT_BYTES];

	(void)state;
	assert_string_equal(sk_money_format(sk_money_of(1250, "GBP"), text), "12.50 GBP");
	assert_string_equal(sk_money_format(sk_money_of(-5, "GBP"), text), "-0.05 GBP");
	assert_string_equal(sk_money_format(sk_money_of(500, "JPY"), text), "500 JPY");
	assert_string_equal(sk_money_format(sk_money_of(1234, "KWD"), text), "1.234 KWD");
}

static void a_trace_goes_on_with_a_span_of_its_own(void **state)
{
	const char *parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
	struct sk_trace trace = sk_trace_continue(parent);

	(void)state;
	assert_string_equal(trace.trace_id, "4bf92f3577b34da6a3ce929d0e0e4736");
	assert_string_not_equal(trace.span_id, "00f067aa0ba902b7");
	assert_true(trace.sampled);
}

static void a_traceparent_that_is_none_starts_a_new_trace(void **state)
{
	static const char *const cases[] = {
		"", "00-short", "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
		"00-00000000000000000000000000000000-00f067aa0ba902b7-01",
		"00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
		"00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
		"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct sk_trace trace = sk_trace_continue(cases[i]);

		assert_int_equal(strlen(trace.trace_id), 32);
		assert_string_not_equal(trace.trace_id, "4bf92f3577b34da6a3ce929d0e0e4736");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(times_of_rfc_3339_are_read),
		cmocka_unit_test(what_is_no_time_is_refused),
		cmocka_unit_test(a_time_is_written_as_it_is_read),
		cmocka_unit_test(back_off_stays_within_its_limits),
		cmocka_unit_test(new_ids_are_valid_different_and_sorted_by_time),
		cmocka_unit_test(ids_in_another_form_are_refused),
		cmocka_unit_test(derived_ids_and_tokens),
		cmocka_unit_test(skus_and_addresses),
		cmocka_unit_test(decimals_become_minor_units),
		cmocka_unit_test(what_is_no_amount_is_refused),
		cmocka_unit_test(sums_that_do_not_fit_are_refused),
		cmocka_unit_test(amounts_are_written_with_their_currencys_digits),
		cmocka_unit_test(a_trace_goes_on_with_a_span_of_its_own),
		cmocka_unit_test(a_traceparent_that_is_none_starts_a_new_trace),
	};

	return cmocka_run_group_tests_name("values", tests, NULL, NULL);
}
