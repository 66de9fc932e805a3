#include "unit.h"

#include "sk_time.h"

#define NEVER INT64_MIN

static void times_are_formatted_with_microseconds_in_utc(void **state)
{
	static const struct {
		int64_t time_us;
		const char *text;
	} cases[] = {
		{ 0, "1970-01-01T00:00:00.000000Z" },
		{ 1, "1970-01-01T00:00:00.000001Z" },
		{ -1, "1969-12-31T23:59:59.999999Z" },
		{ -SK_SECOND_US, "1969-12-31T23:59:59.000000Z" },
		{ 1795425300123456, "2026-11-23T09:15:00.123456Z" },
		{ 1709251199999999, "2024-02-29T23:59:59.999999Z" },
		{ 253402300799999999, "9999-12-31T23:59:59.999999Z" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		char text[SK_RFC3339_BYTES];

		assert_ptr_equal(sk_time_format(cases[i].time_us, text), text);
		assert_string_equal(text, cases[i].text);
	}
}

static void rfc_3339_is_parsed_with_any_offset(void **state)
{
	static const struct {
		const char *text;
		int64_t time_us;
	} cases[] = {
		{ "1970-01-01T00:00:00Z", 0 },
		{ "1970-01-01", 0 },
		{ "2026-11-23T09:15:00Z", 1795425300000000 },
		{ "2026-11-23t09:15:00z", 1795425300000000 },
		{ "2026-11-23 09:15:00Z", 1795425300000000 },
		{ "2026-11-23T09:15:00.1Z", 1795425300100000 },
		{ "2026-11-23T09:15:00.123456Z", 1795425300123456 },
		{ "2026-11-23T09:15:00.123456999Z", 1795425300123456 },
		{ "2026-11-23T10:15:00+01:00", 1795425300000000 },
		{ "2026-11-23T03:45:00-05:30", 1795425300000000 },
		{ "2026-11-23T09:15:00-00:00", 1795425300000000 },
		{ "2026-11-24T09:14:00+23:59", 1795425300000000 },
		{ "2024-02-29", 1709164800000000 },
		{ "2000-02-29T00:00:00Z", 951782400000000 },
		{ "2016-12-31T23:59:60Z", 1483228800000000 }, /* a leap second */
		{ "1970-01-01T00:00:00+01:00", -SK_HOUR_US },
		{ "9999-12-31T23:59:59.999999Z", 253402300799999999 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		int64_t time_us = NEVER;

		if (!sk_time_parse(cases[i].text, &time_us) || time_us != cases[i].time_us)
			fail_msg("%s: %lld", cases[i].text, (long long)time_us);
	}
}

static void what_is_no_time_is_refused_and_changes_nothing(void **state)
{
	static const char *const cases[] = {
		NULL,
		"",
		" ",
		"now",
		"1969-12-31T23:59:59Z",
		"0000-01-01",
		"20261-01-01",
		"2026-11",
		"2026-11-23T",
		"2026-11-23T09:15",
		"2026-11-23T09:15Z",
		"2026-11-23T09:15:00",
		"2026-11-23T09:15:00.Z",
		"2026-11-23T09:15:00,5Z",
		"2026-11-23T09:15:00+01",
		"2026-11-23T09:15:00+0100",
		"2026-11-23T09:15:00+24:00",
		"2026-11-23T09:15:00+01:60",
		"2026-11-23T09:15:00 +01:00",
		"2026-11-23T24:00:00Z",
		"2026-11-23T09:60:00Z",
		"2026-11-23T09:15:61Z",
		"2026-13-01",
		"2026-00-01",
		"2026-01-00",
		"2026-01-32",
		"2026-04-31",
		"2026-02-29",
		"1900-02-29",
		"2100-02-29",
		"2026-1-1",
		"+026-01-01",
		"2026-11-23T09:15:00ZZ",
		"2026-11-23T09:15:00Z ",
		" 2026-11-23T09:15:00Z",
		"2026-11-23T-9:15:00Z",
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		int64_t time_us = NEVER;

		if (sk_time_parse(cases[i], &time_us) || time_us != NEVER)
			fail_msg("%s", cases[i]);
	}
}

static void every_day_is_read_as_it_is_written(void **state)
{
	(void)state;
	for (int64_t day = 0; day < 366 * 450; day++) {
		int64_t written = day * SK_DAY_US + day % SK_DAY_US, read = NEVER;
		char text[SK_RFC3339_BYTES];

		assert_true(sk_time_parse(sk_time_format(written, text), &read));
		assert_int_equal(read, written);
	}
}

static void back_off_doubles_up_to_its_greatest_delay(void **state)
{
	static const struct {
		int attempt;
		int64_t most;
	} cases[] = { { 0, 100 }, { 1, 200 }, { 3, 800 }, { 10, 5000 }, { 1000000, 5000 } };

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		int64_t greatest = 0;

		for (int n = 0; n < 2000; n++) {
			int64_t ms = sk_time_backoff_ms(cases[i].attempt, 100, 5000);

			assert_true(ms >= 0 && ms <= cases[i].most);
			greatest = ms > greatest ? ms : greatest;
		}
		assert_true(greatest > cases[i].most / 2); /* jitter over the whole range */
	}
	assert_int_equal(sk_time_backoff_ms(5, 0, 5000), 0);
	assert_int_equal(sk_time_backoff_ms(5, 100, 0), 0);
}

static void the_clocks_go_forward(void **state)
{
	int64_t before = sk_time_monotonic_us(), wall = sk_time_now_us();

	(void)state;
	assert_true(sk_time_monotonic_us() >= before);
	assert_true(wall > 1700000000 * SK_SECOND_US);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(times_are_formatted_with_microseconds_in_utc),
		cmocka_unit_test(rfc_3339_is_parsed_with_any_offset),
		cmocka_unit_test(what_is_no_time_is_refused_and_changes_nothing),
		cmocka_unit_test(every_day_is_read_as_it_is_written),
		cmocka_unit_test(back_off_doubles_up_to_its_greatest_delay),
		cmocka_unit_test(the_clocks_go_forward),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
