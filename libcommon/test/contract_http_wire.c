/* The wire: what a client may send that no well-meaning one would, and what becomes of
 * connections, slow bodies and requests that run when the server stops. */
#include "http_fixture.h"

#include <pthread.h>
#include <stdio.h>

#include "../sk_http_internal.h"

static void requests_may_be_sent_at_once(void **state)
{
	struct http_client client;
	struct http_answer answer;

	(void)state;
	http_connect(&client, server.port);
	http_say(&client,
		 "GET /v1/things/first HTTP/1.1\r\nHost: shop\r\n\r\n"
		 "POST /v1/raw HTTP/1.1\r\nHost: shop\r\nContent-Length: 6\r\n\r\nsecond"
		 "GET /v1/things/third HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n");
	http_receive(&client, &answer, false);
	assert_non_null(strstr(answer.body, "first"));
	http_receive(&client, &answer, false);
	assert_string_equal(answer.body, "second");
	http_receive(&client, &answer, false);
	assert_non_null(strstr(answer.body, "third"));
	assert_string_equal(http_header(&answer, "Connection"), "close");
	assert_true(http_ended(&client));
	http_close(&client);
}

static void an_early_answer_leaves_the_connection_usable(void **state)
{
	struct http_client client;
	struct http_answer answer;

	(void)state;
	http_connect(&client, server.port);
	http_say(&client, "POST /v1/nowhere HTTP/1.1\r\nHost: shop\r\nContent-Length: 5\r\n\r\n");
	http_say(&client, "hello");
	http_receive(&client, &answer, false);
	assert_problem(&answer, 404, "not_found");
	http_say(&client, "GET /v1/mine HTTP/1.1\r\nHost: shop\r\nTransfer-Encoding: "
			  "chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n");
	http_receive(&client, &answer, false);
	assert_problem(&answer, 401, "no_token");
	http_say(&client, "GET /v1/things HTTP/1.1\r\nHost: shop\r\n\r\n");
	http_receive(&client, &answer, false);
	assert_int_equal(answer.status, 200);
	http_close(&client);
}

static void chunks_are_a_body_too(void **state)
{
	static char chunk[4096];
	struct http_client client;
	struct http_answer answer;

	(void)state;
	http_connect(&client, server.port);
	http_say(&client,
		 "POST /v1/raw HTTP/1.1\r\nHost: shop\r\nTransfer-Encoding: chunked\r\n\r\n"
		 "4\r\nwiki\r\nA\r\npedia in \n\r\n0\r\n\r\n");
	http_receive(&client, &answer, false);
	assert_string_equal(answer.body, "wikipedia in \n");
	http_say(&client,
		 "POST /v1/raw HTTP/1.1\r\nHost: shop\r\nTransfer-Encoding: chunked\r\n\r\n");
	memset(chunk, 'x', sizeof(chunk));
	for (size_t sent = 0; sent <= SK_BODY_MAX_BYTES; sent += sizeof(chunk)) {
		http_say(&client, "%zx\r\n", sizeof(chunk));
		http_send(&client, chunk, sizeof(chunk));
		http_say(&client, "\r\n");
	}
	http_say(&client, "0\r\n\r\n");
	http_receive(&client, &answer, false);
	assert_problem(&answer, 413, "body_too_large");
	http_close(&client);
	http_connect(&client, server.port);
	http_say(&client,
		 "POST /v1/raw HTTP/1.1\r\nHost: shop\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n");
	http_receive(&client, &answer, false);
	assert_problem(&answer, 400, "incomplete_body");
	http_close(&client);
}

static void a_client_may_ask_for_leave_to_send(void **state)
{
	struct http_client client;
	struct http_answer answer;

	(void)state;
	http_connect(&client, server.port);
	http_say(&client, "POST /v1/raw HTTP/1.1\r\nHost: shop\r\nContent-Length: 5\r\nExpect: "
			  "100-continue\r\n\r\n");
	http_receive(&client, &answer, false);
	assert_int_equal(answer.status, 100);
	http_say(&client, "hello");
	http_receive(&client, &answer, false);
	assert_string_equal(answer.body, "hello");
	http_say(&client, "POST /v1/raw HTTP/1.1\r\nHost: shop\r\nContent-Length: "
			  "9999999\r\nExpect: 100-continue\r\n\r\n");
	http_receive(&client, &answer, false);
	assert_problem(&answer, 413, "body_too_large");
	assert_true(http_ended(&client));
	http_close(&client);
}

static void a_body_that_stops_is_not_waited_for(void **state)
{
	struct http_client client;
	struct http_answer answer;

	(void)state;
	http_connect(&client, server.port);
	http_say(&client,
		 "POST /v1/raw HTTP/1.1\r\nHost: shop\r\nContent-Length: 100\r\n\r\nhello");
	http_receive(&client, &answer, false);
	assert_problem(&answer, 408, "body_too_slow");
	assert_true(http_ended(&client));
	http_close(&client);
}

static void a_body_that_drips_is_not_waited_for_either(void **state)
{
	struct http_client client;
	struct http_answer answer;
	int drops = 0;

	(void)state;
	http_connect(&client, server.port);
	http_say(&client, "POST /v1/raw HTTP/1.1\r\nHost: shop\r\nTransfer-Encoding: "
			  "chunked\r\n\r\n1000\r\n");
	while (!http_wait(&client, 20) && drops < 1000)
		drops += http_send(&client, "x", 1) ? 1 : 1000;
	assert_in_range(drops, TIMEOUT_MS / 20 / 4, 500);
	http_receive(&client, &answer, false);
	assert_problem(&answer, 408, "body_too_slow");
	http_close(&client);
}

static void a_body_that_is_cut_off_changes_nothing(void **state)
{
	struct http_client client;
	struct http_answer answer;

	(void)state;
	http_connect(&client, server.port);
	http_say(&client,
		 "POST /v1/raw HTTP/1.1\r\nHost: shop\r\nContent-Length: 100\r\n\r\nhello");
	http_end_sending(&client);
	http_receive(&client, &answer, false);
	assert_problem(&answer, 400, "incomplete_body");
	http_close(&client);
}

static void a_request_of_two_lengths_is_refused(void **state)
{
	static const char *const heads[] = {
		"Host: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked",
		"Host: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 5",
		"Host: a\r\nContent-Length: 5\r\nContent-Length: 5",
		"Host: a\r\nContent-Length: 5, 5",
		"Host: a\r\nContent-Length: +5",
		"Host: a\r\nContent-Length: 5x",
		"Host: a\r\nContent-Length: -5",
		"Host: a\r\nTransfer-Encoding: identity",
		"Host: a\r\nTransfer-Encoding: gzip, chunked",
		"Host: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
		"Host: a\r\nHost: b",
		"X-No: host",
	};

	(void)state;
	for (size_t i = 0; i < COUNT(heads); i++) {
		struct http_client client;
		struct http_answer answer;

		http_connect(&client, server.port);
		http_say(&client,
			 "POST /v1/raw HTTP/1.1\r\n%s\r\n\r\nGET /v1/things HTTP/1.1\r\nHost: "
			 "a\r\n\r\n",
			 heads[i]);
		http_receive(&client, &answer, false);
		assert_int_equal(answer.status, 400);
		assert_string_equal(http_header(&answer, "Content-Type"),
				    "application/problem+json");
		assert_true(http_ended(&client));
		http_close(&client);
	}
}

static void what_the_library_refuses_is_a_problem_too(void **state)
{
	char long_head[17000], many[64 * 8 + 32] = "GET /v1/things HTTP/1.1";
	struct http_answer answer;

	(void)state;
	snprintf(long_head, sizeof(long_head), "GET /v1/things HTTP/1.1\r\nX-Long: %16800d", 0);
	answer = ask(long_head, "");
	assert_problem(&answer, 400, "malformed_request");
	for (size_t i = 0; i < 64; i++)
		memcpy(many + 23 + i * 8, "\r\nX-Y: 1", 8);
	many[23 + 64 * 8] = '\0';
	answer = ask(many, "");
	assert_problem(&answer, 400, "ambiguous_request");
	answer = ask("nonsense", "");
	assert_problem(&answer, 400, "malformed_request");
	answer = ask("GET /\xff HTTP/1.1", "");
	assert_problem(&answer, 400, "malformed_request");
	answer = ask("GET /v1/things HTTP/3.0", "");
	assert_problem(&answer, 505, "http_version");
}

static void *close_server(void *closure)
{
	(void)closure;
	sk_http_close(&server.http);
	return NULL;
}

#define CROWD 40 /* more than the server has threads, so that some wait in its queue */

static void a_stop_answers_everybody_who_was_let_in(void **state)
{
	struct http_client crowd[CROWD], kept;
	struct http_answer answer;
	pthread_t closing;

	(void)state;
	server.http->timeout_ms = 30000; /* how long the stop waits for them */
	http_connect(&kept, server.port);
	http_say(&kept, "GET /v1/things HTTP/1.1\r\nHost: shop\r\n\r\n");
	http_receive(&kept, &answer, false);
	assert_int_equal(answer.status, 200);
	assert_null(http_header(&answer, "Connection"));
	for (int i = 0; i < CROWD; i++) {
		http_connect(&crowd[i], server.port);
		http_say(&crowd[i], "GET /v1/gate HTTP/1.1\r\nHost: shop\r\n\r\n");
	}
	gate_wait_entered();
	pthread_create(&closing, NULL, close_server, NULL);
	assert_true(http_ended(&kept)); /* it waited for another request */
	assert_true(http_refused(server.port));
	gate_open();
	for (int i = 0; i < CROWD; i++) {
		http_receive(&crowd[i], &answer, false);
		assert_string_equal(answer.body, "{\"name\":\"gate\",\"quantity\":1}");
		assert_string_equal(http_header(&answer, "Connection"), "close");
		assert_true(http_ended(&crowd[i]));
		http_close(&crowd[i]);
	}
	pthread_join(closing, NULL);
	http_close(&kept);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(requests_may_be_sent_at_once),
		cmocka_unit_test(an_early_answer_leaves_the_connection_usable),
		cmocka_unit_test(chunks_are_a_body_too),
		cmocka_unit_test(a_client_may_ask_for_leave_to_send),
		cmocka_unit_test(a_body_that_stops_is_not_waited_for),
		cmocka_unit_test(a_body_that_drips_is_not_waited_for_either),
		cmocka_unit_test(a_body_that_is_cut_off_changes_nothing),
		cmocka_unit_test(a_request_of_two_lengths_is_refused),
		cmocka_unit_test(what_the_library_refuses_is_a_problem_too),
		cmocka_unit_test(a_stop_answers_everybody_who_was_let_in),
	};

	return cmocka_run_group_tests(tests, start_server, stop_server);
}
