/* Streams without sockets: events as bytes, ids of clients, places, wakes, turns. */
#include "unit.h"

#include <sched.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../sk_live_internal.h"
#include "../sk_metrics.h"
#include "../sk_time.h"

#define HEARTBEAT_MS 50 /* of a test that has a state of its own; a minute otherwise */

static struct sk_context context;
static struct sk_metrics *metrics;
static struct sk_live *live;

static int set_up(void **state)
{
	const struct sk_live_options options = { .max_open = 3,
						 .share = 2,
						 .readers = 1,
						 .heartbeat_ms = *state != NULL ? HEARTBEAT_MS
										: 60000,
						 .lifetime_ms = 3600000 };

	sk_context_init(&context, 0);
	context.actor.address = "192.0.2.1";
	metrics = sk_metrics_open();
	live = sk_live_open(&options, metrics);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	sk__live_end_all(live);
	sk_live_close(&live);
	sk_metrics_close(&metrics);
	sk_context_release(&context);
	return 0;
}

/* ---- events ---- */

static const char *formatted(const char *data)
{
	struct sk_buf buf;

	sk_buf_init(&buf, context.arena, 1024);
	sk__live_format(&buf, "7", "status", data);
	return sk_buf_text(&buf);
}

static void an_event_has_its_lines_and_an_empty_one(void **state)
{
	(void)state;
	assert_string_equal(formatted("{\"a\":1}"), "id: 7\nevent: status\ndata: {\"a\":1}\n\n");
	assert_string_equal(formatted(""), "id: 7\nevent: status\ndata: \n\n");
}

static void data_of_several_lines_cannot_end_its_event(void **state)
{
	(void)state;
	assert_string_equal(formatted("a\n\nid: 9\r\nb\rc\n"),
			    "id: 7\nevent: status\ndata: a\ndata: \ndata: id: 9\ndata: b\n"
			    "data: c\ndata: \n\n");
}

static void an_id_is_a_number_that_we_could_have_given(void **state)
{
	static const char *const wrong[] = { "",    "-1",  "+1", " 1",	 "1 ",
					     "1.0", "0x1", "a",	 "1\n2", "9223372036854775808",
					     "--1" };
	int64_t id = -7;

	(void)state;
	for (size_t i = 0; i < COUNT(wrong); i++)
		assert_false(sk__live_parse_id(wrong[i], &id));
	assert_int_equal(id, -7);
	assert_true(sk__live_parse_id("0", &id));
	assert_int_equal(id, 0);
	assert_true(sk__live_parse_id("007", &id));
	assert_int_equal(id, 7);
	assert_true(sk__live_parse_id("9223372036854775807", &id));
	assert_true(id == INT64_MAX);
}

/* ---- places ---- */

static void the_last_eighth_is_for_those_who_have_few(void **state)
{
	const struct sk_live_options options = { .max_open = 640, .share = 20 };

	(void)state;
	assert_int_equal(sk__live_judge(&options, 0, 0), SK__LIVE_ADMIT);
	assert_int_equal(sk__live_judge(&options, 559, 559), SK__LIVE_ADMIT);
	assert_int_equal(sk__live_judge(&options, 560, 560), SK__LIVE_GREEDY);
	assert_int_equal(sk__live_judge(&options, 560, 19), SK__LIVE_ADMIT);
	assert_int_equal(sk__live_judge(&options, 639, 20), SK__LIVE_GREEDY);
	assert_int_equal(sk__live_judge(&options, 639, 0), SK__LIVE_ADMIT);
	assert_int_equal(sk__live_judge(&options, 640, 0), SK__LIVE_FULL);
}

static void there_are_no_more_places_than_there_are(void **state)
{
	struct sk__live_stream *streams[4] = { NULL };

	(void)state;
	for (int i = 0; i < 3; i++)
		assert_int_equal(sk__live_reserve(live, &context, &streams[i]), SK_OK);
	assert_int_equal(sk__live_reserve(live, &context, &streams[3]), SK_UNAVAILABLE);
	assert_string_equal(context.error.code, "streams_full");
	assert_int_equal(context.error.retry_after_s, 5);
	assert_null(streams[3]);
	sk__live_cancel(live, &streams[3]); /* nothing to give back */
	sk__live_cancel(live, &streams[1]);
	sk_context_clear_error(&context);
	assert_int_equal(sk__live_reserve(live, &context, &streams[3]), SK_OK);
	for (int i = 0; i < 4; i++)
		sk__live_cancel(live, &streams[i]);
}

/* ---- streams ---- */

/* What is to be told of a topic, and how much of it one stream has told. */
static struct {
	atomic_int there, failures;
} news;

static enum sk_status read_news(struct sk_live_events *events, void *state, bool *more)
{
	int *told = state;

	if (atomic_load(&news.failures) > 0) {
		atomic_fetch_sub(&news.failures, 1);
		sk_live_add(events, "0", "status", "this must not be sent");
		return SK_UNAVAILABLE;
	}
	if (*told < atomic_load(&news.there))
		sk_live_add(events, sk_arena_printf(sk_live_context(events)->arena, "%d", ++*told),
			    "status", sk_live_topic(events));
	*more = *told < atomic_load(&news.there);
	return SK_OK;
}

/* A stream of the topic; the client's end of its connection. */
static int open_stream(const char *topic)
{
	const int told = 0;
	struct sk__live_stream *stream = NULL;
	int ends[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
	assert_int_equal(sk__live_reserve(live, &context, &stream), SK_OK);
	sk__live_start(live, &stream, ends[0],
		       &(struct sk_live_plan) { .topic = topic,
						.read = read_news,
						.state = &told,
						.state_size = sizeof(told) },
		       &context.trace);
	assert_null(stream);
	return ends[1];
}

/* Receives exactly this, for however long it takes. */
static void expect(int client, const char *text)
{
	char got[256] = "";
	size_t len = 0;

	while (len < strlen(text)) {
		ssize_t more = recv(client, got + len, strlen(text) - len, 0);

		assert_true(more > 0);
		len += (size_t)more;
	}
	assert_string_equal(got, text);
}

static void expect_end(int client)
{
	char byte;

	assert_int_equal(recv(client, &byte, 1, 0), 0);
	close(client);
}

static void a_topic_wakes_those_who_follow_it(void **state)
{
	int first, second;

	(void)state;
	atomic_store(&news.there, 2);
	first = open_stream("a");
	expect(first, "id: 1\nevent: status\ndata: a\n\nid: 2\nevent: status\ndata: a\n\n");
	second = open_stream("b");
	expect(second, "id: 1\nevent: status\ndata: b\n\nid: 2\nevent: status\ndata: b\n\n");
	atomic_store(&news.there, 3);
	sk_live_wake(live, "a");
	expect(first, "id: 3\nevent: status\ndata: a\n\n");
	atomic_store(&news.there, 4);
	sk_live_wake(live, "b");
	sk_live_wake(live, "b");
	expect(second, "id: 3\nevent: status\ndata: b\n\nid: 4\nevent: status\ndata: b\n\n");
	sk_live_wake(live, "c");
	sk_live_wake(NULL, "a");
	sk__live_end_all(live);
	expect_end(first); /* the fourth it has never heard of */
	expect_end(second);
}

static void a_reading_that_fails_ends_no_stream_and_sends_nothing(void **state)
{
	char byte;
	int client;

	(void)state;
	atomic_store(&news.there, 1);
	atomic_store(&news.failures, 1);
	client = open_stream("a");
	expect(client, ": still here\n\n"); /* it is not read again at once, and stays open */
	while (recv(client, &byte, 1, MSG_PEEK) == 1 && byte == ':')
		expect(client, ": still here\n\n");
	expect(client, "id: 1\nevent: status\ndata: a\n\n");
	sk__live_end_all(live);
	expect_end(client);
}

static void a_client_that_is_gone_leaves_its_place(void **state)
{
	struct sk__live_stream *stream = NULL;
	int client;

	(void)state;
	atomic_store(&news.there, 1);
	for (int i = 0; i < 3; i++) {
		client = open_stream("a");
		expect(client, "id: 1\nevent: status\ndata: a\n\n");
		close(client);
	}
	while (sk__live_reserve(live, &context, &stream) != SK_OK) {
		sk_context_clear_error(&context);
		sched_yield();
	}
	sk__live_cancel(live, &stream);
}

static void a_client_that_takes_nothing_is_let_go(void **state)
{
	int client;

	(void)state;
	atomic_store(&news.there, 1000000); /* more than any socket holds */
	client = open_stream("a");
	while (sk_metric_value(live->open_metric) > 0)
		sched_yield();
	close(client);
}

/* ---- opening ---- */

static void only_so_many_ask_the_stores_at_once(void **state)
{
	int64_t soon_us = sk_time_monotonic_us() + 1000;

	(void)state;
	assert_true(sk__live_begin_open(live, soon_us));
	assert_false(sk__live_begin_open(live, soon_us));
	sk__live_end_open(live);
	assert_true(sk__live_begin_open(live, soon_us));
	sk__live_end_all(live);
	assert_false(sk__live_begin_open(live, INT64_MAX)); /* it does not wait for that */
	sk__live_end_open(live);
	assert_false(sk__live_begin_open(live, INT64_MAX));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(an_event_has_its_lines_and_an_empty_one, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(data_of_several_lines_cannot_end_its_event, set_up,
						tear_down),
		cmocka_unit_test(an_id_is_a_number_that_we_could_have_given),
		cmocka_unit_test(the_last_eighth_is_for_those_who_have_few),
		cmocka_unit_test_setup_teardown(there_are_no_more_places_than_there_are, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(a_topic_wakes_those_who_follow_it, set_up,
						tear_down),
		cmocka_unit_test_prestate_setup_teardown(
			a_reading_that_fails_ends_no_stream_and_sends_nothing, set_up, tear_down,
			&news),
		cmocka_unit_test_setup_teardown(a_client_that_is_gone_leaves_its_place, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(a_client_that_takes_nothing_is_let_go, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(only_so_many_ask_the_stores_at_once, set_up,
						tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
