/* PostgreSQL as it is met through sk_pg: values, transactions, and a server that is away.
 *
 * TEST_POSTGRES_URL has a schema with libcommon's tables. Where TEST_POSTGRES_PID is given, too,
 * its server runs on this machine and its processes are ours to stop and let go on. */
#include "unit.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/types.h>

#include "../sk_id.h"
#include "../sk_log.h"
#include "../sk_metrics.h"
#include "../sk_pg.h"
#include "store_faults.h"

#define POOL_SIZE 2

static const struct sk_sql ECHO = {
	"test_echo",
	"SELECT $1::text, $2::bigint, $3::boolean, $4::timestamptz, $5::bytea, $6::text",
};
static const struct sk_sql UNNEST = {
	"test_unnest",
	"SELECT * FROM unnest($1::text[], $2::bigint[])",
};
static const struct sk_sql ADD = {
	"test_add",
	"INSERT INTO inbox (consumer, message_id) VALUES ($1, $2)",
};
static const struct sk_sql COUNT_OF = {
	"test_count",
	"SELECT count(*) FROM inbox WHERE consumer = $1",
};
static const struct sk_sql TOUCH = {
	"test_touch",
	"UPDATE inbox SET seen_at = now() WHERE consumer = $1 AND message_id = $2",
};
static const struct sk_sql CONTEND = {
	"test_contend",
	"DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = 'serialization_failure'; END $$",
};
static const struct sk_sql WRONG = { "test_wrong", "SELECT 1 / $1::int" };
static const struct sk_sql FORGET = { "test_forget", "DEALLOCATE ALL" };
static const struct sk_sql NAP = { "test_nap", "SELECT pg_sleep(10)" };
static const struct sk_sql PROCESS = { "test_process", "SELECT pg_backend_pid()" };
static const struct sk_sql END_PROCESSES = {
	"test_end_processes",
	"SELECT pg_terminate_backend(pid, 5000) FROM unnest($1::int[]) AS pid",
};

static struct sk_metrics *metrics;
static struct sk_pg *pg;      /* the pool under test */
static struct sk_pg *outside; /* somebody else on the same server */
static struct sk_context context;
static const char *mine; /* a name for the rows of one test */

static struct sk_pg *open_pool(const char *url, int connections)
{
	return sk_pg_open(&(struct sk_pg_options) { .url = url,
						    .application_name = "contract",
						    .connections = connections,
						    .timeout_ms = 5000 },
			  metrics);
}

static int set_up(void **state)
{
	const char *url = getenv("TEST_POSTGRES_URL");

	(void)state;
	sk_log_init("contract", SK_LOG_ERROR);
	metrics = sk_metrics_open();
	pg = open_pool(url != NULL ? url : "", POOL_SIZE);
	outside = open_pool(url != NULL ? url : "", 1);
	sk_context_init(&context, 0);
	mine = sk_id_make(context.arena);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	sk_context_release(&context);
	sk_pg_close(&outside);
	sk_pg_close(&pg);
	sk_metrics_close(&metrics);
	return 0;
}

/* What is left of the call's time; the error of the call before is forgotten. */
static void set_deadline(int64_t ms)
{
	sk_context_clear_error(&context);
	context.deadline_us = sk_time_monotonic_us() + ms * 1000;
}

static int64_t ask(struct sk_pg *pool, const struct sk_sql *sql, const struct sk_param *params,
		   size_t count)
{
	struct sk_rows rows;

	sk_context_clear_error(&context);
	assert_int_equal(sk_pg_run(pool, &context, sql, params, count, &rows), SK_OK);
	assert_int_equal(rows.count, 1);
	return sk_row_int(&rows, 0, 0);
}

static int64_t rows_of_mine(void)
{
	return ask(outside, &COUNT_OF, SK_PARAMS(sk_text(mine)));
}

/* Opens every connection of the pool and returns their processes at the server. */
static void open_all(int64_t processes[POOL_SIZE])
{
	struct sk_tx *open[POOL_SIZE];
	struct sk_rows rows;

	for (int i = 0; i < POOL_SIZE; i++) {
		assert_int_equal(sk_tx_begin(pg, &context, &open[i]), SK_OK);
		assert_int_equal(sk_tx_run(open[i], &PROCESS, SK_NO_PARAMS, &rows), SK_OK);
		processes[i] = sk_row_int(&rows, 0, 0);
	}
	for (int i = 0; i < POOL_SIZE; i++)
		assert_int_equal(sk_tx_commit(&open[i]), SK_OK);
}

/* As a restart of the server does; returns once they are gone. */
static void end_processes(const int64_t *processes, size_t count)
{
	struct sk_rows rows;

	assert_int_equal(sk_pg_run(outside, &context, &END_PROCESSES,
				   SK_PARAMS(sk_int_array(context.arena, processes, count)), &rows),
			 SK_OK);
	for (int row = 0; row < rows.count; row++)
		assert_true(sk_row_bool(&rows, row, 0));
}

/* ---- values ---- */

static void values_come_back_as_they_went(void **state)
{
	static const unsigned char bytes[] = { 0, '\'', '\\', 255, 'x' };
	struct sk_rows rows;
	size_t len = 0;

	(void)state;
	needed("TEST_POSTGRES_URL");
	assert_int_equal(sk_pg_run(pg, &context, &ECHO,
				   SK_PARAMS(sk_text("caf\xc3\xa9 '\"\\"), sk_int(INT64_MIN),
					     sk_bool(true), sk_timestamp(1795425300123456),
					     sk_bytes(bytes, sizeof(bytes)), sk_null()),
				   &rows),
			 SK_OK);
	assert_string_equal(sk_row_text(&rows, 0, 0), "caf\xc3\xa9 '\"\\");
	assert_true(sk_row_int(&rows, 0, 1) == INT64_MIN);
	assert_true(sk_row_bool(&rows, 0, 2));
	assert_true(sk_row_time_us(&rows, 0, 3) == 1795425300123456);
	assert_memory_equal(sk_row_bytes(&rows, 0, 4, context.arena, &len), bytes, sizeof(bytes));
	assert_int_equal(len, sizeof(bytes));
	assert_true(sk_row_is_null(&rows, 0, 5));
	assert_string_equal(sk_row_text(&rows, 0, 5), "");
	assert_null(sk_row_text_or_null(&rows, 0, 5));
}

static void arrays_become_rows(void **state)
{
	static const char *const texts[] = { "a,\"b\"\\", "", NULL };
	static const int64_t numbers[] = { 1, -2, INT64_MAX };
	struct sk_rows rows;

	(void)state;
	needed("TEST_POSTGRES_URL");
	assert_int_equal(sk_pg_run(pg, &context, &UNNEST,
				   SK_PARAMS(sk_text_array(context.arena, texts, 3),
					     sk_int_array(context.arena, numbers, 3)),
				   &rows),
			 SK_OK);
	assert_int_equal(rows.count, 3);
	for (int i = 0; i < 2; i++)
		assert_string_equal(sk_row_text(&rows, i, 0), texts[i]);
	assert_true(sk_row_is_null(&rows, 2, 0));
	for (int i = 0; i < 3; i++)
		assert_true(sk_row_int(&rows, i, 1) == numbers[i]);
}

/* ---- failures of a statement ---- */

static enum sk_status add_twice(struct sk_tx *tx, void *arg)
{
	enum sk_status st = sk_tx_run(tx, &ADD, SK_PARAMS(sk_text(mine), sk_text("1")), NULL);

	if (st == SK_OK)
		st = sk_tx_run(tx, &ADD, SK_PARAMS(sk_text(mine), sk_text("1")), NULL);
	assert_string_equal(sk_tx_sqlstate(tx), "23505");
	snprintf(arg, 64, "%s", sk_tx_constraint(tx));
	return st;
}

static void a_second_row_of_a_key_is_a_conflict_and_nothing_stays(void **state)
{
	char constraint[64];

	(void)state;
	needed("TEST_POSTGRES_URL");
	assert_int_equal(sk_pg_transact(pg, &context, add_twice, constraint), SK_CONFLICT);
	assert_string_equal(constraint, "inbox_pkey");
	assert_int_equal(rows_of_mine(), 0);
}

static void the_servers_words_are_not_for_clients(void **state)
{
	(void)state;
	needed("TEST_POSTGRES_URL");
	sk_log_init("contract", SK_LOG_ERROR + 1); /* the log has them; it is not looked at here */
	assert_int_equal(sk_pg_run(pg, &context, &WRONG, SK_PARAMS(sk_int(0)), NULL), SK_INTERNAL);
	assert_string_equal(context.error.code, "database_error");
	assert_null(strstr(context.error.detail, "zero"));
}

static enum sk_status go_on_after_a_failure(struct sk_tx *tx, void *arg)
{
	(void)arg;
	sk_ignore(add_twice(tx, (char[64]) { 0 }), "that is the mistake under test");
	return SK_OK;
}

static void a_transaction_that_failed_cannot_be_committed(void **state)
{
	(void)state;
	needed("TEST_POSTGRES_URL");
	assert_int_not_equal(sk_pg_transact(pg, &context, go_on_after_a_failure, NULL), SK_OK);
	assert_int_equal(rows_of_mine(), 0);
}

static void statements_that_the_server_forgot_are_prepared_anew(void **state)
{
	(void)state;
	needed("TEST_POSTGRES_URL");
	sk_log_init("contract", SK_LOG_ERROR);
	ask(pg, &PROCESS, SK_NO_PARAMS);
	assert_int_equal(sk_pg_run(pg, &context, &FORGET, SK_NO_PARAMS, NULL), SK_OK);
	assert_int_equal(sk_pg_run(pg, &context, &PROCESS, SK_NO_PARAMS, NULL), SK_UNAVAILABLE);
	ask(pg, &PROCESS, SK_NO_PARAMS);
}

/* ---- transactions ---- */

static void count_one(void *arg)
{
	(*(int *)arg)++;
}

struct plan {
	enum sk_status end;
	int woken;
};

static enum sk_status add_and_end(struct sk_tx *tx, void *arg)
{
	struct plan *plan = arg;
	enum sk_status st = sk_tx_run(tx, &ADD, SK_PARAMS(sk_text(mine), sk_text("1")), NULL);

	for (int i = 0; i < 3; i++)
		sk_tx_after_commit(tx, count_one, &plan->woken);
	return st == SK_OK ? plan->end : st;
}

static void a_transaction_happens_whole_or_not_at_all(void **state)
{
	struct plan plan = { .end = SK_NOT_FOUND };

	(void)state;
	needed("TEST_POSTGRES_URL");
	assert_int_equal(sk_pg_transact(pg, &context, add_and_end, &plan), SK_NOT_FOUND);
	assert_int_equal(rows_of_mine(), 0);
	assert_int_equal(plan.woken, 0);
	plan.end = SK_OK;
	assert_int_equal(sk_pg_transact(pg, &context, add_and_end, &plan), SK_OK);
	assert_int_equal(rows_of_mine(), 1);
	assert_int_equal(plan.woken, 1);
}

static enum sk_status contend(struct sk_tx *tx, void *arg)
{
	count_one(arg);
	return sk_tx_run(tx, &CONTEND, SK_NO_PARAMS, NULL);
}

static void contention_is_given_up_after_five_attempts(void **state)
{
	int attempts = 0;

	(void)state;
	needed("TEST_POSTGRES_URL");
	assert_int_equal(sk_pg_transact(pg, &context, contend, &attempts), SK_UNAVAILABLE);
	assert_int_equal(attempts, 5);
}

/* Two transactions that take the same two rows, each in its own order. */
struct crossing {
	const char *first, *second;
	pthread_barrier_t *both_have_one;
	int attempts;
	enum sk_status end;
};

static enum sk_status take_both(struct sk_tx *tx, void *arg)
{
	struct crossing *crossing = arg;
	enum sk_status st = sk_tx_run(tx, &TOUCH,
				      SK_PARAMS(sk_text(mine), sk_text(crossing->first)), NULL);

	if (crossing->attempts++ == 0)
		pthread_barrier_wait(crossing->both_have_one);
	if (st != SK_OK)
		return st;
	return sk_tx_run(tx, &TOUCH, SK_PARAMS(sk_text(mine), sk_text(crossing->second)), NULL);
}

static void *cross(void *arg)
{
	struct crossing *crossing = arg;
	struct sk_context own;

	sk_context_init(&own, 0);
	crossing->end = sk_pg_transact(pg, &own, take_both, crossing);
	sk_context_release(&own);
	return NULL;
}

static void of_a_deadlock_both_come_through(void **state)
{
	pthread_barrier_t both_have_one;
	struct crossing ways[2] = {
		{ .first = "1", .second = "2", .both_have_one = &both_have_one },
		{ .first = "2", .second = "1", .both_have_one = &both_have_one },
	};
	pthread_t other;

	(void)state;
	needed("TEST_POSTGRES_URL");
	assert_int_equal(
		sk_pg_run(pg, &context, &ADD, SK_PARAMS(sk_text(mine), sk_text("1")), NULL), SK_OK);
	assert_int_equal(
		sk_pg_run(pg, &context, &ADD, SK_PARAMS(sk_text(mine), sk_text("2")), NULL), SK_OK);
	pthread_barrier_init(&both_have_one, NULL, 2);
	assert_int_equal(pthread_create(&other, NULL, cross, &ways[0]), 0);
	cross(&ways[1]);
	pthread_join(other, NULL);
	pthread_barrier_destroy(&both_have_one);
	assert_int_equal(ways[0].end, SK_OK);
	assert_int_equal(ways[1].end, SK_OK);
	assert_int_equal(ways[0].attempts + ways[1].attempts, 3);
}

/* ---- deadlines ---- */

static void a_statement_ends_by_its_deadline(void **state)
{
	int64_t began_us;

	(void)state;
	needed("TEST_POSTGRES_URL");
	ask(pg, &PROCESS, SK_NO_PARAMS);
	began_us = sk_time_monotonic_us();
	set_deadline(100);
	assert_int_equal(sk_pg_run(pg, &context, &NAP, SK_NO_PARAMS, NULL), SK_TIMEOUT);
	assert_in_range(since_ms(began_us), 90, 100 + QUICKLY_MS);
	set_deadline(5000);
	assert_int_equal(sk_pg_ping(pg, &context), SK_OK);
}

static void a_call_that_is_too_late_costs_no_connection(void **state)
{
	struct sk_tx *tx = NULL;
	int64_t process;

	(void)state;
	needed("TEST_POSTGRES_URL");
	process = ask(pg, &PROCESS, SK_NO_PARAMS);
	set_deadline(0);
	assert_int_equal(sk_pg_run(pg, &context, &NAP, SK_NO_PARAMS, NULL), SK_TIMEOUT);
	set_deadline(5000);
	assert_int_equal(sk_tx_begin(pg, &context, &tx), SK_OK);
	assert_int_equal(sk_tx_run(tx, &ADD, SK_PARAMS(sk_text(mine), sk_text("1")), NULL), SK_OK);
	set_deadline(0);
	assert_int_equal(sk_tx_commit(&tx), SK_TIMEOUT);
	set_deadline(5000);
	assert_int_equal(rows_of_mine(), 0); /* not even tried */
	assert_int_equal(ask(pg, &PROCESS, SK_NO_PARAMS), process);
}

static void who_finds_no_connection_free_waits_until_the_deadline(void **state)
{
	struct sk_tx *open[POOL_SIZE];
	int64_t began_us;

	(void)state;
	needed("TEST_POSTGRES_URL");
	for (int i = 0; i < POOL_SIZE; i++)
		assert_int_equal(sk_tx_begin(pg, &context, &open[i]), SK_OK);
	began_us = sk_time_monotonic_us();
	set_deadline(100);
	assert_int_equal(sk_pg_ping(pg, &context), SK_UNAVAILABLE);
	assert_string_equal(context.error.code, "database_busy");
	assert_in_range(since_ms(began_us), 90, 100 + QUICKLY_MS);
	set_deadline(5000);
	for (int i = 0; i < POOL_SIZE; i++)
		sk_tx_rollback(&open[i]);
	assert_int_equal(sk_pg_ping(pg, &context), SK_OK);
}

/* ---- a server that is away ---- */

static void a_restart_is_not_noticed_by_who_comes_after_it(void **state)
{
	int64_t processes[POOL_SIZE];
	struct plan plan = { .end = SK_OK };

	(void)state;
	needed("TEST_POSTGRES_URL");
	for (int i = 0; i < 5; i++) {
		open_all(processes);
		end_processes(processes, POOL_SIZE);
		assert_int_equal(sk_pg_run(pg, &context, &PROCESS, SK_NO_PARAMS, NULL), SK_OK);
	}
	open_all(processes);
	end_processes(processes, POOL_SIZE);
	assert_int_equal(sk_pg_transact(pg, &context, add_and_end, &plan), SK_OK);
}

static void a_commit_without_an_answer_is_a_timeout(void **state)
{
	struct sk_tx *tx = NULL;
	struct sk_rows rows;
	int64_t process;

	(void)state;
	needed("TEST_POSTGRES_URL");
	assert_int_equal(sk_tx_begin(pg, &context, &tx), SK_OK);
	assert_int_equal(sk_tx_run(tx, &PROCESS, SK_NO_PARAMS, &rows), SK_OK);
	process = sk_row_int(&rows, 0, 0);
	end_processes(&process, 1);
	assert_int_equal(sk_tx_commit(&tx), SK_TIMEOUT);
	sk_context_clear_error(&context);
	assert_int_equal(sk_pg_ping(pg, &context), SK_OK);
}

static void a_server_that_is_down_is_told_at_once(void **state)
{
	struct silent_server nobody = silent_server_open();
	struct sk_pg *down = open_pool(
		sk_arena_printf(context.arena, "postgresql://u@127.0.0.1:%d/d", nobody.port), 2);
	int64_t began_us = sk_time_monotonic_us();

	(void)state;
	silent_server_close(&nobody);
	for (int i = 0; i < 100; i++) {
		sk_context_clear_error(&context);
		assert_int_equal(sk_pg_ping(down, &context), SK_UNAVAILABLE);
		assert_string_equal(context.error.code, "database_unavailable");
	}
	assert_true(since_ms(began_us) < QUICKLY_MS);
	sk_pg_close(&down);
}

static void a_server_that_does_not_answer_costs_one_deadline(void **state)
{
	struct silent_server silent = silent_server_open();
	struct sk_pg *down = open_pool(
		sk_arena_printf(context.arena, "postgresql://u@127.0.0.1:%d/d", silent.port), 2);
	int64_t began_us = sk_time_monotonic_us();

	(void)state;
	set_deadline(200);
	assert_int_equal(sk_pg_ping(down, &context), SK_UNAVAILABLE);
	assert_in_range(since_ms(began_us), 190, 200 + QUICKLY_MS);
	began_us = sk_time_monotonic_us();
	set_deadline(5000);
	assert_int_equal(sk_pg_ping(down, &context), SK_UNAVAILABLE);
	assert_true(since_ms(began_us) < 40); /* the back-off's least */
	sk_pg_close(&down);
	silent_server_close(&silent);
}

static void a_process_that_was_stopped_costs_one_deadline(void **state)
{
	struct sk_tx *tx = NULL;
	struct sk_rows rows;
	int64_t began_us;
	pid_t process;

	(void)state;
	needed("TEST_POSTGRES_URL");
	needed("TEST_POSTGRES_PID");
	assert_int_equal(sk_tx_begin(pg, &context, &tx), SK_OK);
	assert_int_equal(sk_tx_run(tx, &PROCESS, SK_NO_PARAMS, &rows), SK_OK);
	process = (pid_t)sk_row_int(&rows, 0, 0);
	assert_int_equal(kill(process, SIGSTOP), 0);
	began_us = sk_time_monotonic_us();
	set_deadline(200);
	assert_int_equal(sk_tx_run(tx, &PROCESS, SK_NO_PARAMS, NULL), SK_TIMEOUT);
	sk_tx_rollback(&tx);
	assert_in_range(since_ms(began_us), 190, 200 + QUICKLY_MS);
	kill(process, SIGCONT);
	set_deadline(5000);
	assert_int_equal(sk_pg_ping(pg, &context), SK_OK);
}

static void a_server_that_was_stopped_is_there_again_when_it_goes_on(void **state)
{
	pid_t server = (pid_t)strtol(needed("TEST_POSTGRES_PID"), NULL, 10);
	struct sk_pg *fresh;
	int64_t began_us = sk_time_monotonic_us();
	enum sk_status st;

	(void)state;
	fresh = open_pool(needed("TEST_POSTGRES_URL"), 1);
	assert_int_equal(kill(server, SIGSTOP), 0);
	set_deadline(200);
	st = sk_pg_ping(fresh, &context);
	kill(server, SIGCONT); /* before any check can end the test */
	assert_int_equal(st, SK_UNAVAILABLE);
	assert_in_range(since_ms(began_us), 190, 200 + QUICKLY_MS);
	began_us = sk_time_monotonic_us();
	do {
		set_deadline(1000);
		st = sk_pg_ping(fresh, &context);
	} while (st != SK_OK && since_ms(began_us) < 5000);
	assert_int_equal(st, SK_OK);
	sk_pg_close(&fresh);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(values_come_back_as_they_went),
		TEST(arrays_become_rows),
		TEST(a_second_row_of_a_key_is_a_conflict_and_nothing_stays),
		TEST(the_servers_words_are_not_for_clients),
		TEST(statements_that_the_server_forgot_are_prepared_anew),
		TEST(a_transaction_that_failed_cannot_be_committed),
		TEST(a_transaction_happens_whole_or_not_at_all),
		TEST(contention_is_given_up_after_five_attempts),
		TEST(of_a_deadlock_both_come_through),
		TEST(a_statement_ends_by_its_deadline),
		TEST(a_call_that_is_too_late_costs_no_connection),
		TEST(who_finds_no_connection_free_waits_until_the_deadline),
		TEST(a_restart_is_not_noticed_by_who_comes_after_it),
		TEST(a_commit_without_an_answer_is_a_timeout),
		TEST(a_server_that_is_down_is_told_at_once),
		TEST(a_server_that_does_not_answer_costs_one_deadline),
		TEST(a_process_that_was_stopped_costs_one_deadline),
		TEST(a_server_that_was_stopped_is_there_again_when_it_goes_on),
	};

	return cmocka_run_group_tests_name("pg", tests, NULL, NULL);
}
