/* Valkey as it is met through sk_kv: answers, pipelines, and a server that is away.
 *
 * TEST_VALKEY_URL is of a user with a password and rights to keys of contract:* alone,
 * who may end other connections. Where TEST_VALKEY_PID is given, too, the server is ours to
 * stop and let go on. */
#include "unit.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/types.h>

#include "../sk_id.h"
#include "../sk_kv.h"
#include "../sk_log.h"
#include "../sk_metrics.h"
#include "store_faults.h"

#define POOL_SIZE  2
#define TIMEOUT_MS 200

static struct sk_metrics *metrics;
static struct sk_kv *kv;
static struct sk_context context;
static const char *key; /* of one test */

static struct sk_kv *open_pool(const char *url)
{
	return sk_kv_open(&(struct sk_kv_options) { .url = url,
						    .connections = POOL_SIZE,
						    .timeout_ms = TIMEOUT_MS },
			  "contract", metrics);
}

static int set_up(void **state)
{
	const char *url = getenv("TEST_VALKEY_URL");

	(void)state;
	signal(SIGPIPE, SIG_IGN);
	sk_log_init("contract", SK_LOG_ERROR);
	metrics = sk_metrics_open();
	kv = open_pool(url != NULL && url[0] != '\0' ? url : "redis://127.0.0.1");
	sk_context_init(&context, 0);
	key = sk_arena_printf(context.arena, "contract:%s", sk_id_make(context.arena));
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	sk_context_release(&context);
	sk_kv_close(&kv);
	sk_metrics_close(&metrics);
	return 0;
}

static struct sk_kv_reply ask(struct sk_kv_command command)
{
	struct sk_kv_reply reply;

	sk_context_clear_error(&context);
	assert_int_equal(sk_kv_run(kv, &context, command, &reply), SK_OK);
	return reply;
}

static void assert_fails(struct sk_kv_command command, enum sk_status status, const char *code)
{
	sk_context_clear_error(&context);
	assert_int_equal(sk_kv_run(kv, &context, command, NULL), status);
	assert_string_equal(context.error.code, code);
}

/* ---- answers ---- */

static void bytes_come_back_as_they_went(void **state)
{
	static const char value[] = { 'a', 0, '\r', '\n', (char)255 };
	const char *const argv[] = { "SET", key, value, "EX", "60" };
	const size_t lengths[] = { 3, strlen(key), sizeof(value), 2, 2 };
	struct sk_kv_reply reply;

	(void)state;
	needed("TEST_VALKEY_URL");
	ask((struct sk_kv_command) { argv, lengths, COUNT(argv) });
	reply = ask(SK_KV("GET", key));
	assert_int_equal(reply.kind, SK_KV_TEXT);
	assert_int_equal(reply.len, sizeof(value));
	assert_memory_equal(reply.text, value, sizeof(value));
}

static void each_kind_of_answer_is_told(void **state)
{
	struct sk_kv_reply reply;

	(void)state;
	needed("TEST_VALKEY_URL");
	assert_int_equal(ask(SK_KV("GET", key)).kind, SK_KV_NIL);
	reply = ask(SK_KV("HSET", key, "a", "1", "b", "2"));
	assert_int_equal(reply.kind, SK_KV_INT);
	assert_int_equal(reply.number, 2);
	ask(SK_KV("EXPIRE", key, "60"));
	reply = ask(SK_KV("HMGET", key, "a", "none", "b"));
	assert_int_equal(reply.kind, SK_KV_LIST);
	assert_int_equal(reply.count, 3);
	assert_string_equal(reply.items[0].text, "1");
	assert_int_equal(reply.items[1].kind, SK_KV_NIL);
	assert_string_equal(reply.items[1].text, "");
	assert_string_equal(reply.items[2].text, "2");
}

static void refusals_say_what_they_are(void **state)
{
	(void)state;
	needed("TEST_VALKEY_URL");
	ask(SK_KV("HSET", key, "a", "1"));
	ask(SK_KV("EXPIRE", key, "60"));
	assert_fails(SK_KV("INCR", key), SK_INTERNAL, "cache_error");
	assert_fails(SK_KV("GET", "nobody:at:all"), SK_FORBIDDEN, "cache_refused");
	assert_fails(SK_KV("FCALL", "no_such_function", "1", key), SK_UNAVAILABLE,
		     "cache_unavailable");
	assert_int_equal(ask(SK_KV("HLEN", key)).number, 1);
}

/* ---- pipelines ---- */

static void the_answers_of_a_pipeline_are_in_its_order(void **state)
{
	const struct sk_kv_command increment = SK_KV("INCR", key);
	struct sk_kv_command commands[100];
	struct sk_kv_reply replies[100];

	(void)state;
	needed("TEST_VALKEY_URL");
	for (size_t i = 0; i < COUNT(commands); i++)
		commands[i] = increment;
	commands[99] = SK_KV("EXPIRE", key, "60");
	assert_int_equal(sk_kv_pipeline(kv, &context, commands, COUNT(commands), replies), SK_OK);
	for (int i = 0; i < 99; i++)
		assert_int_equal(replies[i].number, i + 1);
}

static void a_pipeline_with_a_wrong_command_fails_and_the_connection_stays_good(void **state)
{
	const struct sk_kv_command commands[] = {
		SK_KV("SET", key, "text", "EX", "60"),
		SK_KV("INCR", key),
		SK_KV("GET", key),
	};
	int64_t before;

	(void)state;
	needed("TEST_VALKEY_URL");
	before = ask(SK_KV("CLIENT", "ID")).number;
	assert_int_equal(sk_kv_pipeline(kv, &context, commands, COUNT(commands), NULL),
			 SK_INTERNAL);
	assert_string_equal(ask(SK_KV("GET", key)).text, "text");
	assert_int_equal(ask(SK_KV("CLIENT", "ID")).number, before);
}

/* ---- a server that is away ---- */

static void a_restart_is_not_noticed_and_nothing_is_sent_twice(void **state)
{
	struct sk_kv *outside = open_pool(needed("TEST_VALKEY_URL"));

	(void)state;
	for (int i = 0; i < 50; i++) {
		const char *client = sk_kv_number(context.arena, ask(SK_KV("CLIENT", "ID")).number);
		struct sk_kv_reply killed;

		assert_int_equal(sk_kv_run(outside, &context, SK_KV("CLIENT", "KILL", "ID", client),
					   &killed),
				 SK_OK);
		assert_int_equal(killed.number, 1);
		assert_int_equal(ask(SK_KV("INCR", key)).number, i + 1);
	}
	ask(SK_KV("DEL", key));
	sk_kv_close(&outside);
}

static void a_connection_lost_on_the_way_is_not_tried_again(void **state)
{
	const struct sk_kv_command commands[] = { SK_KV("INCR", key), SK_KV("QUIT"),
						  SK_KV("PING") };

	(void)state;
	needed("TEST_VALKEY_URL");
	assert_int_equal(sk_kv_pipeline(kv, &context, commands, COUNT(commands), NULL),
			 SK_UNAVAILABLE);
	assert_string_equal(ask(SK_KV("GET", key)).text, "1");
	ask(SK_KV("DEL", key));
}

static void a_server_that_is_down_is_told_at_once(void **state)
{
	struct silent_server nobody = silent_server_open();
	struct sk_kv *down = open_pool(
		sk_arena_printf(context.arena, "redis://u:p@127.0.0.1:%d", nobody.port));
	int64_t began_us = sk_time_monotonic_us();

	(void)state;
	silent_server_close(&nobody);
	for (int i = 0; i < 100; i++) {
		sk_context_clear_error(&context);
		assert_int_equal(sk_kv_ping(down, &context), SK_UNAVAILABLE);
	}
	assert_true(since_ms(began_us) < QUICKLY_MS);
	sk_kv_close(&down);
}

static void a_server_that_does_not_answer_costs_one_time_out(void **state)
{
	static const char *const logins[] = { "user:password@", "" };

	(void)state;
	for (size_t i = 0; i < COUNT(logins); i++) {
		struct silent_server silent = silent_server_open();
		struct sk_kv *down = open_pool(sk_arena_printf(
			context.arena, "redis://%s127.0.0.1:%d", logins[i], silent.port));
		int64_t began_us = sk_time_monotonic_us();

		sk_context_clear_error(&context);
		assert_int_equal(sk_kv_ping(down, &context), SK_UNAVAILABLE);
		assert_in_range(since_ms(began_us), TIMEOUT_MS - 10, TIMEOUT_MS + QUICKLY_MS);
		began_us = sk_time_monotonic_us();
		assert_int_equal(sk_kv_ping(down, &context), SK_UNAVAILABLE);
		assert_true(since_ms(began_us) < 40); /* the back-off's least */
		sk_kv_close(&down);
		silent_server_close(&silent);
	}
}

static void a_late_answer_is_never_taken_for_anothers(void **state)
{
	int64_t began_us = sk_time_monotonic_us();

	(void)state;
	needed("TEST_VALKEY_URL");
	assert_fails(SK_KV("BLPOP", key, "1"), SK_TIMEOUT, "cache_timeout");
	assert_in_range(since_ms(began_us), TIMEOUT_MS - 10, TIMEOUT_MS + QUICKLY_MS);
	for (int i = 0; i < 10; i++)
		assert_string_equal(ask(SK_KV("PING")).text, "PONG");
}

static void the_callers_deadline_counts_where_it_is_sooner(void **state)
{
	int64_t began_us, client;

	(void)state;
	needed("TEST_VALKEY_URL");
	client = ask(SK_KV("CLIENT", "ID")).number;
	began_us = sk_time_monotonic_us();
	context.deadline_us = began_us; /* over: nothing is sent, the connection stays */
	assert_fails(SK_KV("PING"), SK_TIMEOUT, "cache_timeout");
	context.deadline_us = 0;
	assert_int_equal(ask(SK_KV("CLIENT", "ID")).number, client);
	began_us = sk_time_monotonic_us();
	context.deadline_us = began_us + 50 * 1000;
	assert_fails(SK_KV("BLPOP", key, "1"), SK_TIMEOUT, "cache_timeout");
	assert_in_range(since_ms(began_us), 40, TIMEOUT_MS - 20);
	context.deadline_us = 0;
	assert_string_equal(ask(SK_KV("PING")).text, "PONG");
}

static void a_server_that_was_stopped_is_there_again_when_it_goes_on(void **state)
{
	pid_t server = (pid_t)strtol(needed("TEST_VALKEY_PID"), NULL, 10);
	enum sk_status during[3], after;
	int64_t began_us, stopped_ms;

	(void)state;
	needed("TEST_VALKEY_URL");
	ask(SK_KV("PING"));
	assert_int_equal(kill(server, SIGSTOP), 0);
	began_us = sk_time_monotonic_us();
	for (size_t i = 0; i < COUNT(during); i++) {
		sk_context_clear_error(&context);
		during[i] = sk_kv_ping(kv, &context);
	}
	stopped_ms = since_ms(began_us);
	kill(server, SIGCONT); /* before any check can end the test */
	assert_int_equal(during[0], SK_TIMEOUT);
	assert_int_equal(during[1], SK_UNAVAILABLE); /* a new connection was tried */
	assert_int_equal(during[2], SK_UNAVAILABLE); /* at once */
	assert_in_range(stopped_ms, 2 * TIMEOUT_MS - 20, 2 * TIMEOUT_MS + QUICKLY_MS);
	began_us = sk_time_monotonic_us();
	do {
		sk_context_clear_error(&context);
		after = sk_kv_ping(kv, &context);
	} while (after != SK_OK && since_ms(began_us) < 5000);
	assert_int_equal(after, SK_OK);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(bytes_come_back_as_they_went),
		TEST(each_kind_of_answer_is_told),
		TEST(refusals_say_what_they_are),
		TEST(the_answers_of_a_pipeline_are_in_its_order),
		TEST(a_pipeline_with_a_wrong_command_fails_and_the_connection_stays_good),
		TEST(a_restart_is_not_noticed_and_nothing_is_sent_twice),
		TEST(a_connection_lost_on_the_way_is_not_tried_again),
		TEST(a_server_that_is_down_is_told_at_once),
		TEST(a_server_that_does_not_answer_costs_one_time_out),
		TEST(a_late_answer_is_never_taken_for_anothers),
		TEST(the_callers_deadline_counts_where_it_is_sooner),
		TEST(a_server_that_was_stopped_is_there_again_when_it_goes_on),
	};

	return cmocka_run_group_tests_name("kv", tests, NULL, NULL);
}
