/* GCRA by a clock that the test turns. What Valkey's function does is the same algorithm. */
#include "unit.h"

#include <stdio.h>

#include <sodium.h>

#include "../sk_ratelimit.h"
#include "../sk_time.h"

#define START_US ((int64_t)1000000000)

static const struct sk_ratelimit_class LIMIT = { .name = "unit", .per_minute = 6, .burst = 3 };

static void a_burst_passes_and_then_one_an_interval(void **state)
{
	static const struct {
		int64_t after_s;
		bool allowed;
		int remaining, reset_s, retry_after_s;
	} steps[] = {
		{ 0, true, 2, 10, 0 },	  { 0, true, 1, 20, 0 },  { 0, true, 0, 30, 0 },
		{ 0, false, 0, 30, 10 },  { 4, false, 0, 26, 6 }, { 10, true, 0, 30, 0 },
		{ 10, false, 0, 30, 10 }, { 29, true, 0, 21, 0 }, { 300, true, 2, 10, 0 },
	};
	int64_t arrival_us = 0;

	(void)state;
	for (size_t i = 0; i < COUNT(steps); i++) {
		struct sk_ratelimit_verdict verdict = sk__ratelimit_step(
			&LIMIT, START_US + steps[i].after_s * SK_SECOND_US, &arrival_us);

		assert_int_equal(verdict.allowed, steps[i].allowed);
		assert_int_equal(verdict.remaining, steps[i].remaining);
		assert_int_equal(verdict.reset_s, steps[i].reset_s);
		assert_int_equal(verdict.retry_after_s, steps[i].retry_after_s);
	}
}

static void a_refusal_costs_nothing(void **state)
{
	int64_t arrival_us = 0, before_us;

	(void)state;
	while (sk__ratelimit_step(&LIMIT, START_US, &arrival_us).allowed)
		;
	before_us = arrival_us;
	for (int i = 0; i < 100; i++)
		assert_false(sk__ratelimit_step(&LIMIT, START_US, &arrival_us).allowed);
	assert_int_equal(arrival_us, before_us);
}

static void over_a_long_time_the_rate_is_kept(void **state)
{
	int64_t arrival_us = 0;
	int allowed = 0;

	(void)state;
	for (int64_t ms = 0; ms < 600000; ms += 7)
		allowed += sk__ratelimit_step(&LIMIT, START_US + ms * 1000, &arrival_us).allowed;
	assert_in_range(allowed, 60, 63); /* 10 minutes of 6, and the burst */
}

static void names_are_counted_apart(void **state)
{
	struct sk_ratelimiter *limiter = sk_ratelimiter_open(NULL);

	(void)state;
	while (sk__ratelimit_take_locally(limiter, &LIMIT, "ratelimit:unit:192.0.2.1", START_US)
		       .allowed)
		;
	assert_true(
		sk__ratelimit_take_locally(limiter, &LIMIT, "ratelimit:unit:192.0.2.2", START_US)
			.allowed);
	assert_true(
		sk__ratelimit_take_locally(limiter, &LIMIT, "ratelimit:other:192.0.2.1", START_US)
			.allowed);
	sk_ratelimiter_close(&limiter);
	assert_null(limiter);
}

static void a_crowd_does_not_wash_a_count_away(void **state)
{
	struct sk_ratelimiter *limiter = sk_ratelimiter_open(NULL);
	char name[40];

	(void)state;
	while (sk__ratelimit_take_locally(limiter, &LIMIT, "attacker", START_US).allowed)
		;
	for (int i = 0; i < 2000; i++) {
		snprintf(name, sizeof(name), "guest %d", i);
		assert_true(sk__ratelimit_take_locally(limiter, &LIMIT, name, START_US).allowed);
	}
	assert_false(sk__ratelimit_take_locally(limiter, &LIMIT, "attacker", START_US).allowed);
	sk_ratelimiter_close(&limiter);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_burst_passes_and_then_one_an_interval),
		cmocka_unit_test(a_refusal_costs_nothing),
		cmocka_unit_test(over_a_long_time_the_rate_is_kept),
		cmocka_unit_test(names_are_counted_apart),
		cmocka_unit_test(a_crowd_does_not_wash_a_count_away),
	};

	return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
