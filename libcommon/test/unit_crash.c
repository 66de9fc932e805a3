#include "unit.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sk_crash_report.h"

#define THREADS 8

/* A path that nobody else has, with this in it. */
static const char *armed(const char *words)
{
	static char path[64];
	FILE *file;

	snprintf(path, sizeof(path), "/tmp/souk-unit-crash.%ld", (long)getpid());
	file = fopen(path, "w");
	assert_non_null(file);
	assert_true(fputs(words, file) >= 0);
	assert_int_equal(fclose(file), 0);
	return path;
}

static void every_point_has_a_name_of_its_own_and_words(void **state)
{
	(void)state;
	for (int a = 0; a < SK_CRASH_COUNT; a++) {
		const struct sk_crash_row *row = sk_crash_row_of((enum sk_crash_point)a);

		assert_non_null(row->name);
		assert_int_equal(strspn(row->name, "abcdefghijklmnopqrstuvwxyz_"),
				 strlen(row->name));
		assert_true(strlen(row->words) > 10);
		for (int b = 0; b < a; b++)
			assert_string_not_equal(row->name,
						sk_crash_row_of((enum sk_crash_point)b)->name);
	}
}

static void an_order_names_a_point_and_perhaps_visits_to_let_pass(void **state)
{
	static const struct {
		const char *text;
		bool valid;
		enum sk_crash_point point;
		int skip;
	} cases[] = {
		{ "relay_marked", true, SK_CRASH_RELAY_MARKED, 0 },
		{ "relay_marked\n", true, SK_CRASH_RELAY_MARKED, 0 },
		{ "consumer_before_ack 3", true, SK_CRASH_CONSUMER_BEFORE_ACK, 3 },
		{ "consumer_before_ack 3\n", true, SK_CRASH_CONSUMER_BEFORE_ACK, 3 },
		{ "", false, SK_CRASH_COUNT, 0 },
		{ "relay", false, SK_CRASH_COUNT, 0 },
		{ "relay_marked_too", false, SK_CRASH_COUNT, 0 },
		{ "relay_marked x", false, SK_CRASH_COUNT, 0 },
		{ "relay_marked 3x", false, SK_CRASH_COUNT, 0 },
		{ "relay_marked -1", false, SK_CRASH_COUNT, 0 },
		{ "relay_marked 99999999999", false, SK_CRASH_COUNT, 0 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		enum sk_crash_point point = SK_CRASH_COUNT;
		int skip = 0;

		assert_int_equal(sk__crash_parse(cases[i].text, &point, &skip), cases[i].valid);
		assert_int_equal(point, cases[i].point);
		assert_int_equal(skip, cases[i].skip);
	}
}

static void the_file_is_used_up_by_the_first_visit_of_its_point(void **state)
{
	const char *path = armed("relay_marked");

	(void)state;
	assert_false(sk__crash_due(path, SK_CRASH_RELAY_LEADING));
	assert_int_equal(access(path, F_OK), 0);
	assert_true(sk__crash_due(path, SK_CRASH_RELAY_MARKED));
	assert_int_equal(access(path, F_OK), -1);
	assert_false(sk__crash_due(path, SK_CRASH_RELAY_MARKED));
}

static void visits_can_be_let_pass_first(void **state)
{
	const char *path = armed("relay_marked 2");

	(void)state;
	assert_false(sk__crash_due(path, SK_CRASH_RELAY_MARKED));
	assert_false(sk__crash_due(path, SK_CRASH_RELAY_MARKED));
	assert_true(sk__crash_due(path, SK_CRASH_RELAY_MARKED));
	assert_int_equal(access(path, F_OK), -1);
}

static void *visit(void *path)
{
	return sk__crash_due(path, SK_CRASH_RELAY_MARKED) ? path : NULL;
}

static void of_many_threads_one_is_to_die(void **state)
{
	const char *path = armed("relay_marked");
	char *shared = strdup(path);
	pthread_t threads[THREADS];
	int due = 0;

	(void)state;
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, visit, shared), 0);
	for (int i = 0; i < THREADS; i++) {
		void *told = NULL;

		assert_int_equal(pthread_join(threads[i], &told), 0);
		due += told != NULL;
	}
	free(shared);
	assert_int_equal(due, 1);
}

static void die_at_exit(void)
{
	_exit(1);
}

static void a_process_that_is_told_ends_there_without_a_word(void **state)
{
	const char *path = armed("http_after_commit");
	int status = 0;
	pid_t child = fork();

	(void)state;
	assert_true(child >= 0);
	if (child == 0) {
		atexit(die_at_exit);
		setenv("SOUK_CRASH_FILE", path, 1);
		sk__crash_visit(SK_CRASH_HTTP_BEFORE_COMMIT);
		sk__crash_visit(SK_CRASH_HTTP_AFTER_COMMIT);
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), SK_CRASH_STATUS);
	assert_int_equal(access(path, F_OK), -1);
}

static void a_service_gets_only_to_what_it_declares(void **state)
{
	static const struct sk_route reads[] = { { .method = "GET" }, { .method = NULL } };
	static const struct sk_route keyed[] = { { .method = "POST", .flags = SK_IDEMPOTENT },
						 { .method = NULL } };
	static const struct sk_consumer consumers[] = { { .name = "a" }, { .name = NULL } };
	static const struct sk_stream streams[] = { { .name = "a" }, { .name = NULL } };
	const struct sk_service reader = { .uses_pg = true, .routes = reads };
	const struct sk_service writer = { .uses_pg = true, .routes = keyed, .streams = streams };
	const struct sk_service listener = { .consumers = consumers };

	(void)state;
	assert_false(sk_crash_declared(&reader, SK_CRASH_NEEDS_TX_ROUTE));
	assert_true(sk_crash_declared(&reader, SK_CRASH_NEEDS_OUTBOX));
	assert_false(sk_crash_declared(&reader, SK_CRASH_NEEDS_EVENT));
	assert_false(sk_crash_declared(&reader, SK_CRASH_NEEDS_CONSUMER));
	assert_true(sk_crash_declared(&writer, SK_CRASH_NEEDS_TX_ROUTE));
	assert_true(sk_crash_declared(&writer, SK_CRASH_NEEDS_KEY_ROUTE));
	assert_true(sk_crash_declared(&writer, SK_CRASH_NEEDS_EVENT));
	assert_false(sk_crash_declared(&writer, SK_CRASH_NEEDS_SWEEP));
	assert_true(sk_crash_declared(&listener, SK_CRASH_NEEDS_CONSUMER));
	assert_false(sk_crash_declared(&listener, SK_CRASH_NEEDS_TX_CONSUMER));
	assert_false(sk_crash_declared(&listener, SK_CRASH_NEEDS_OUTBOX));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_point_has_a_name_of_its_own_and_words),
		cmocka_unit_test(an_order_names_a_point_and_perhaps_visits_to_let_pass),
		cmocka_unit_test(the_file_is_used_up_by_the_first_visit_of_its_point),
		cmocka_unit_test(visits_can_be_let_pass_first),
		cmocka_unit_test(of_many_threads_one_is_to_die),
		cmocka_unit_test(a_process_that_is_told_ends_there_without_a_word),
		cmocka_unit_test(a_service_gets_only_to_what_it_declares),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
