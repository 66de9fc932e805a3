/* What the stores' modules do without a store: encoding, URLs, states, limits, signatures. */
#include "unit.h"

#include "../sk_kv_internal.h"
#include "../sk_metrics.h"
#include "../sk_pg_internal.h"
#include "../sk_ratelimit.h"
#include "../sk_webhook.h"

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

static void arrays_are_quoted(void **state)
{
	static const char *const texts[] = { "a", "b\"c\\d", "", NULL, "x,y}" };
	static const int64_t numbers[] = { 1, -2 };

	(void)state;
	assert_string_equal(sk__pg_text_array(context.arena, texts, 5),
			    "{\"a\",\"b\\\"c\\\\d\",\"\",NULL,\"x,y}\"}");
	assert_string_equal(sk__pg_text_array(context.arena, NULL, 0), "{}");
	assert_string_equal(sk__pg_int_array(context.arena, numbers, 2), "{1,-2}");
}

static void database_errors_mean_something(void **state)
{
	static const struct {
		const char *sqlstate;
		enum sk_status status;
	} cases[] = {
		{ "08006", SK_UNAVAILABLE }, { "53300", SK_UNAVAILABLE },
		{ "57P01", SK_UNAVAILABLE }, { "57P02", SK_UNAVAILABLE },
		{ "57P03", SK_UNAVAILABLE }, { "25P03", SK_UNAVAILABLE },
		{ "40001", SK_UNAVAILABLE }, { "40P01", SK_UNAVAILABLE },
		{ "26000", SK_UNAVAILABLE }, { "57014", SK_TIMEOUT },
		{ "55P03", SK_TIMEOUT },     { "23505", SK_CONFLICT },
		{ "23503", SK_INVALID },     { "23514", SK_INVALID },
		{ "23502", SK_INTERNAL },    { "42501", SK_FORBIDDEN },
		{ "42601", SK_INTERNAL },    { "", SK_INTERNAL },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++)
		assert_int_equal(sk__pg_status_of(cases[i].sqlstate), cases[i].status);
}

static void urls_of_valkey_are_read(void **state)
{
	struct sk__kv_url url;

	(void)state;
	assert_true(sk__kv_url_parse("redis://cart:p%40ss:w@127.0.0.1:6380/", &url));
	assert_string_equal(url.user, "cart");
	assert_string_equal(url.password, "p@ss:w");
	assert_string_equal(url.host, "127.0.0.1");
	assert_int_equal(url.port, 6380);
	assert_true(sk__kv_url_parse("redis://localhost", &url));
	assert_int_equal(url.port, 6379);
	assert_true(sk__kv_url_parse("unix:///run/v.sock?user=a&password=b%20c", &url));
	assert_string_equal(url.path, "/run/v.sock");
	assert_string_equal(url.password, "b c");
}

static void what_is_no_url_is_refused(void **state)
{
	static const char *const cases[] = { "",
					     "http://x",
					     "redis://",
					     "redis://h:0",
					     "redis://h:99999",
					     "redis://h:6x",
					     "redis://a%zz@h",
					     "unix://" };
	struct sk__kv_url url;

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++)
		assert_false(sk__kv_url_parse(cases[i], &url));
}

static void a_limit_lets_its_burst_pass_and_no_more(void **state)
{
	static const struct sk_ratelimit_class limit = { .name = "unit",
							 .per_minute = 6,
							 .burst = 3 };
	struct sk_ratelimiter *limiter = sk_ratelimiter_open(NULL);
	struct sk_ratelimit_verdict verdict;

	(void)state;
	for (int i = 0; i < 3; i++) {
		verdict = sk_ratelimit_take(limiter, &context, &limit, "192.0.2.1");
		assert_true(verdict.allowed);
		assert_int_equal(verdict.remaining, 2 - i);
	}
	verdict = sk_ratelimit_take(limiter, &context, &limit, "192.0.2.1");
	assert_false(verdict.allowed);
	assert_in_range(verdict.retry_after_s, 1, 10);
	assert_true(sk_ratelimit_take(limiter, &context, &limit, "192.0.2.2").allowed);
	sk_ratelimiter_close(&limiter);
}

static struct sk_webhook signed_webhook(const char *secret)
{
	struct sk_webhook webhook = { .id = "msg_1", .body = "{\"a\":1}", .len = 7 };

	assert_int_equal(sk_webhook_sign(&context, secret, &webhook), SK_OK);
	return webhook;
}

static void the_example_of_standard_webhooks_has_its_signature(void **state)
{
	struct sk_webhook webhook = { .id = "msg_p5jXN8AQM9LWM0D4loKWxJek",
				      .body = "{\"test\": 2432232314}",
				      .len = 20 };

	(void)state;
	context.now_us = 1614265330000000;
	assert_int_equal(
		sk_webhook_sign(&context, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", &webhook),
		SK_OK);
	assert_string_equal(webhook.signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
}

static void a_webhook_that_was_touched_is_refused(void **state)
{
	struct sk_webhook good = signed_webhook("secret"), other;

	(void)state;
	assert_int_equal(sk_webhook_verify(&context, "secret", &good), SK_OK);
	assert_int_equal(sk_webhook_verify(&context, "other", &good), SK_UNAUTHENTICATED);
	assert_int_equal(sk_webhook_verify(&context, "", &good), SK_UNAUTHENTICATED);
	other = good;
	other.body = "{\"a\":2}";
	assert_int_equal(sk_webhook_verify(&context, "secret", &other), SK_UNAUTHENTICATED);
	other = good;
	other.id = "msg_2";
	assert_int_equal(sk_webhook_verify(&context, "secret", &other), SK_UNAUTHENTICATED);
	other = good;
	other.signature = NULL;
	assert_int_equal(sk_webhook_verify(&context, "secret", &other), SK_UNAUTHENTICATED);
}

static void an_old_webhook_is_refused_and_one_of_two_signatures_suffices(void **state)
{
	struct sk_webhook webhook = signed_webhook("secret");

	(void)state;
	webhook.signature = sk_arena_printf(context.arena, "v1,AAAA %s", webhook.signature);
	assert_int_equal(sk_webhook_verify(&context, "secret", &webhook), SK_OK);
	context.now_us += (SK_WEBHOOK_TOLERANCE_S + 1) * (int64_t)1000000;
	assert_int_equal(sk_webhook_verify(&context, "secret", &webhook), SK_UNAUTHENTICATED);
}

static void metrics_are_written_for_prometheus(void **state)
{
	struct sk_metrics *metrics = sk_metrics_open();
	struct sk_metric *counter = sk_metrics_counter(metrics, "souk_x_total", "things",
						       "kind=\"a\"");
	struct sk_metric *histogram = sk_metrics_histogram(metrics, "souk_y_seconds", "time", "");
	struct sk_buf out;

	(void)state;
	sk_metric_add(counter, 2);
	assert_ptr_equal(counter,
			 sk_metrics_counter(metrics, "souk_x_total", "things", "kind=\"a\""));
	sk_metric_observe_us(histogram, 700);
	sk_buf_init(&out, context.arena, 100000);
	sk_metrics_write(metrics, &out);
	assert_non_null(strstr(sk_buf_text(&out),
			       "# TYPE souk_x_total counter\nsouk_x_total{kind=\"a\"} 2\n"));
	assert_non_null(strstr(sk_buf_text(&out), "souk_y_seconds_bucket{le=\"0.0005\"} 0\n"));
	assert_non_null(strstr(sk_buf_text(&out), "souk_y_seconds_bucket{le=\"0.001\"} 1\n"));
	assert_non_null(strstr(sk_buf_text(&out), "souk_y_seconds_bucket{le=\"+Inf\"} 1\n"));
	assert_non_null(strstr(sk_buf_text(&out), "process_resident_memory_bytes "));
	sk_metrics_close(&metrics);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(arrays_are_quoted, set_up, tear_down),
		cmocka_unit_test(database_errors_mean_something),
		cmocka_unit_test(urls_of_valkey_are_read),
		cmocka_unit_test(what_is_no_url_is_refused),
		cmocka_unit_test_setup_teardown(a_limit_lets_its_burst_pass_and_no_more, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(the_example_of_standard_webhooks_has_its_signature,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_webhook_that_was_touched_is_refused, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(
			an_old_webhook_is_refused_and_one_of_two_signatures_suffices, set_up,
			tear_down),
		cmocka_unit_test_setup_teardown(metrics_are_written_for_prometheus, set_up,
						tear_down),
	};

	return cmocka_run_group_tests_name("stores", tests, NULL, NULL);
}
