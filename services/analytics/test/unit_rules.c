#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "../analytics.h"

#define NOON_US ((int64_t)1795435200000000) /* 2026-11-23T12:00:00Z */

static struct sk_context context;

static int make_context(void **state)
{
	(void)state;
	sk_context_init(&context, 0);
	return 0;
}

static int drop_context(void **state)
{
	(void)state;
	sk_context_release(&context);
	return 0;
}

static void without_a_range_it_is_the_last_thirty_days(void **state)
{
	struct analytics_range range;

	(void)state;
	assert_int_equal(analytics_range_make(0, 0, NOON_US, &range, &context), SK_OK);
	assert_string_equal(range.first, "2026-10-25");
	assert_string_equal(range.last, "2026-11-23");
}

static void the_end_is_exclusive(void **state)
{
	int64_t midnight_us = NOON_US - 12 * SK_HOUR_US;
	struct analytics_range range;

	(void)state;
	assert_int_equal(analytics_range_make(midnight_us - SK_DAY_US, midnight_us, NOON_US, &range,
					      &context),
			 SK_OK);
	assert_string_equal(range.first, "2026-11-22");
	assert_string_equal(range.last, "2026-11-22");
}

static void an_empty_or_endless_range_is_refused(void **state)
{
	struct analytics_range range;

	(void)state;
	assert_int_equal(analytics_range_make(NOON_US, NOON_US, NOON_US, &range, &context),
			 SK_INVALID);
	assert_int_equal(
		analytics_range_make(NOON_US - 367 * SK_DAY_US, NOON_US, NOON_US, &range, &context),
		SK_INVALID);
	assert_int_equal(
		analytics_range_make(NOON_US - 366 * SK_DAY_US, NOON_US, NOON_US, &range, &context),
		SK_OK);
}

static void every_step_has_a_name(void **state)
{
	(void)state;
	for (int step = 0; step < ANALYTICS_STEPS; step++)
		assert_non_null(analytics_step_name((enum analytics_step)step));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(without_a_range_it_is_the_last_thirty_days,
						make_context, drop_context),
		cmocka_unit_test_setup_teardown(the_end_is_exclusive, make_context, drop_context),
		cmocka_unit_test_setup_teardown(an_empty_or_endless_range_is_refused, make_context,
						drop_context),
		cmocka_unit_test(every_step_has_a_name),
	};

	return cmocka_run_group_tests_name("analytics rules", tests, NULL, NULL);
}
