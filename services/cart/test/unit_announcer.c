/* The queue of news, without a broker. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "../cart.h"

struct fixture {
	struct sk_metrics *metrics;
	struct cart_announcer *announcer;
};

static struct fixture FIXTURE;

static int open_announcer(void **state)
{
	FIXTURE.metrics = sk_metrics_open();
	FIXTURE.announcer = cart_announcer_open(3, FIXTURE.metrics);
	*state = &FIXTURE;
	return 0;
}

static int close_announcer(void **state)
{
	struct fixture *fixture = *state;

	cart_announcer_close(&fixture->announcer);
	sk_metrics_close(&fixture->metrics);
	return 0;
}

static bool put(struct fixture *fixture, int64_t version)
{
	struct cart_news news = { .version = version };

	return cart_announcer_put(fixture->announcer, &news);
}

static void news_leave_in_the_order_of_their_coming(void **state)
{
	struct fixture *fixture = *state;
	struct cart_news news[3];

	assert_true(put(fixture, 1));
	assert_true(put(fixture, 2));
	assert_int_equal(cart_announcer_peek(fixture->announcer, news, 3), 2);
	assert_int_equal(news[0].version, 1);
	assert_int_equal(news[1].version, 2);
}

static void news_stay_until_they_are_dropped(void **state)
{
	struct fixture *fixture = *state;
	struct cart_news news[3];

	assert_true(put(fixture, 1));
	assert_int_equal(cart_announcer_peek(fixture->announcer, news, 3), 1);
	assert_int_equal(cart_announcer_peek(fixture->announcer, news, 3), 1);
	cart_announcer_drop(fixture->announcer, 1);
	assert_int_equal(cart_announcer_peek(fixture->announcer, news, 3), 0);
}

static void a_full_queue_drops_what_comes_and_counts_it(void **state)
{
	struct fixture *fixture = *state;
	struct sk_metric *dropped = sk_metrics_counter(fixture->metrics,
						       "souk_cart_news_dropped_total", "", "");
	struct cart_news news[4];

	for (int64_t version = 1; version <= 3; version++)
		assert_true(put(fixture, version));
	assert_false(put(fixture, 4));
	assert_int_equal(cart_announcer_peek(fixture->announcer, news, 4), 3);
	assert_int_equal(news[0].version, 1);
	assert_int_equal(sk_metric_value(dropped), 1);
}

static void the_queue_goes_round(void **state)
{
	struct fixture *fixture = *state;
	struct cart_news news[3];

	for (int64_t version = 1; version <= 20; version++) {
		assert_true(put(fixture, version));
		assert_true(put(fixture, version + 100));
		assert_int_equal(cart_announcer_peek(fixture->announcer, news, 3), 2);
		assert_int_equal(news[0].version, version);
		assert_int_equal(news[1].version, version + 100);
		cart_announcer_drop(fixture->announcer, 2);
	}
}

static void a_batch_is_no_larger_than_asked_for(void **state)
{
	struct fixture *fixture = *state;
	struct cart_news news[3];

	assert_true(put(fixture, 1));
	assert_true(put(fixture, 2));
	assert_int_equal(cart_announcer_peek(fixture->announcer, news, 1), 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_announcer, close_announcer)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(news_leave_in_the_order_of_their_coming),
		TEST(news_stay_until_they_are_dropped),
		TEST(a_full_queue_drops_what_comes_and_counts_it),
		TEST(the_queue_goes_round),
		TEST(a_batch_is_no_larger_than_asked_for),
	};

	return cmocka_run_group_tests_name("cart announcer", tests, NULL, NULL);
}
