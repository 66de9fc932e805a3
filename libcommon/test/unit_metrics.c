#include "unit.h"

#include <pthread.h>
#include <stdlib.h>

#include "../sk_metrics.h"

static struct sk_arena *arena;
static struct sk_metrics *metrics;

static int set_up(void **state)
{
	(void)state;
	arena = sk_arena_open(SIZE_MAX);
	metrics = sk_metrics_open();
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	sk_metrics_close(&metrics);
	assert_null(metrics);
	sk_arena_close(&arena);
	return 0;
}

/* Everything up to the process's own figures, which no test can know. */
static char *exposition(void)
{
	struct sk_buf out;
	char *process;

	sk_buf_init(&out, arena, 1024 * 1024);
	sk_metrics_write(metrics, &out);
	assert_true(sk_buf_ok(&out));
	process = strstr(out.data, "# HELP process_");
	assert_non_null(process);
	*process = '\0';
	return out.data;
}

static void counters_and_gauges_are_families_of_series(void **state)
{
	(void)state;
	sk_metric_add(sk_metrics_counter(metrics, "souk_orders_total", "orders", "status=\"paid\""),
		      2);
	sk_metric_set(sk_metrics_gauge(metrics, "souk_pool_idle", "idle connections", ""), 7);
	sk_metric_add(
		sk_metrics_counter(metrics, "souk_orders_total", "orders", "status=\"rejected\""),
		1);
	assert_string_equal(exposition(), "# HELP souk_orders_total orders\n"
					  "# TYPE souk_orders_total counter\n"
					  "souk_orders_total{status=\"paid\"} 2\n"
					  "souk_orders_total{status=\"rejected\"} 1\n"
					  "# HELP souk_pool_idle idle connections\n"
					  "# TYPE souk_pool_idle gauge\n"
					  "souk_pool_idle 7\n");
}

static void a_series_is_made_once(void **state)
{
	struct sk_metric *one = sk_metrics_counter(metrics, "x_total", "x", "a=\"1\"");

	(void)state;
	assert_ptr_equal(one, sk_metrics_counter(metrics, "x_total", "x", "a=\"1\""));
	assert_ptr_not_equal(one, sk_metrics_counter(metrics, "x_total", "x", "a=\"2\""));
	assert_ptr_not_equal(one, sk_metrics_counter(metrics, "y_total", "y", "a=\"1\""));
}

static void a_gauge_goes_up_and_down(void **state)
{
	struct sk_metric *gauge = sk_metrics_gauge(metrics, "x", "x", "");

	(void)state;
	sk_metric_add(gauge, 3);
	sk_metric_add(gauge, -5);
	assert_int_equal(sk_metric_value(gauge), -2);
	sk_metric_set(gauge, 9);
	assert_int_equal(sk_metric_value(gauge), 9);
}

static void buckets_count_all_that_is_no_slower(void **state)
{
	struct sk_metric *series = sk_metrics_histogram(metrics, "x_seconds", "x", "");

	(void)state;
	sk_metric_observe_us(series, 0);
	sk_metric_observe_us(series, 500); /* a bound belongs to its bucket */
	sk_metric_observe_us(series, 501);
	sk_metric_observe_us(series, 2500000);
	sk_metric_observe_us(series, 60000000); /* beyond the last bound */
	assert_int_equal(sk_metric_value(series), 5);
	assert_string_equal(exposition(), "# HELP x_seconds x\n"
					  "# TYPE x_seconds histogram\n"
					  "x_seconds_bucket{le=\"0.0005\"} 2\n"
					  "x_seconds_bucket{le=\"0.001\"} 3\n"
					  "x_seconds_bucket{le=\"0.0025\"} 3\n"
					  "x_seconds_bucket{le=\"0.005\"} 3\n"
					  "x_seconds_bucket{le=\"0.01\"} 3\n"
					  "x_seconds_bucket{le=\"0.025\"} 3\n"
					  "x_seconds_bucket{le=\"0.05\"} 3\n"
					  "x_seconds_bucket{le=\"0.1\"} 3\n"
					  "x_seconds_bucket{le=\"0.25\"} 3\n"
					  "x_seconds_bucket{le=\"0.5\"} 3\n"
					  "x_seconds_bucket{le=\"1\"} 3\n"
					  "x_seconds_bucket{le=\"2.5\"} 4\n"
					  "x_seconds_bucket{le=\"10\"} 4\n"
					  "x_seconds_bucket{le=\"+Inf\"} 5\n"
					  "x_seconds_sum 62.501001\n"
					  "x_seconds_count 5\n");
}

static void the_labels_of_a_histogram_stand_before_its_bounds(void **state)
{
	const char *text;

	(void)state;
	sk_metric_observe_us(sk_metrics_histogram(metrics, "x_seconds", "x", "route=\"/\""), 1000);
	text = exposition();
	assert_non_null(strstr(text, "x_seconds_bucket{route=\"/\",le=\"0.0005\"} 0\n"));
	assert_non_null(strstr(text, "x_seconds_bucket{route=\"/\",le=\"+Inf\"} 1\n"));
	assert_non_null(strstr(text, "x_seconds_sum{route=\"/\"} 0.001000\n"));
	assert_non_null(strstr(text, "x_seconds_count{route=\"/\"} 1\n"));
}

static void the_process_tells_of_itself(void **state)
{
	static const char *const names[] = {
		"process_resident_memory_bytes",
		"process_cpu_seconds_total",
		"process_open_fds",
		"process_threads",
	};
	struct sk_buf out;

	(void)state;
	sk_buf_init(&out, arena, 1024 * 1024);
	sk_metrics_write(metrics, &out);
	for (size_t i = 0; i < COUNT(names); i++) {
		const char *line = strstr(sk_buf_text(&out),
					  sk_arena_printf(arena, "\n%s ", names[i]));

		assert_non_null(line);
		assert_true(strtod(line + 2 + strlen(names[i]), NULL) > 0 || i == 1);
		assert_non_null(
			strstr(sk_buf_text(&out), sk_arena_printf(arena, "# TYPE %s ", names[i])));
	}
}

static void *add_a_thousand(void *arg)
{
	(void)arg;
	for (int i = 0; i < 1000; i++) {
		sk_metric_add(
			sk_metrics_counter(metrics, "x_total", "x", i % 2 ? "a=\"1\"" : "a=\"2\""),
			1);
		sk_metric_observe_us(sk_metrics_histogram(metrics, "y_seconds", "y", ""), i);
	}
	return NULL;
}

static void threads_lose_no_update(void **state)
{
	pthread_t threads[4];

	(void)state;
	for (size_t i = 0; i < COUNT(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, add_a_thousand, NULL), 0);
	for (size_t i = 0; i < COUNT(threads); i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	assert_int_equal(sk_metric_value(sk_metrics_counter(metrics, "x_total", "x", "a=\"1\"")),
			 2000);
	assert_int_equal(sk_metric_value(sk_metrics_counter(metrics, "x_total", "x", "a=\"2\"")),
			 2000);
	assert_int_equal(sk_metric_value(sk_metrics_histogram(metrics, "y_seconds", "y", "")),
			 4000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(counters_and_gauges_are_families_of_series, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(a_series_is_made_once, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_gauge_goes_up_and_down, set_up, tear_down),
		cmocka_unit_test_setup_teardown(buckets_count_all_that_is_no_slower, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(the_labels_of_a_histogram_stand_before_its_bounds,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(the_process_tells_of_itself, set_up, tear_down),
		cmocka_unit_test_setup_teardown(threads_lose_no_update, set_up, tear_down),
	};

	return cmocka_run_group_tests_name("metrics", tests, NULL, NULL);
}
