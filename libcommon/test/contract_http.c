/* The HTTP server as its clients see it: paths, bodies, problems, conditions, limits. */
#include "http_fixture.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- reads ---- */

static void a_read_is_answered(void **state)
{
	struct http_answer answer = ask("GET /v1/things?limit=7 HTTP/1.1", "");

	(void)state;
	assert_int_equal(answer.status, 200);
	assert_string_equal(answer.body, "{\"name\":null,\"quantity\":7}");
	assert_string_equal(http_header(&answer, "Content-Type"), "application/json");
	assert_null(http_header(&answer, "Connection"));
}

static void a_trace_goes_on(void **state)
{
	static const char given[] = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
	struct http_answer answer = ask("GET /v1/things HTTP/1.1\r\ntraceparent: "
					"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
					"");

	(void)state;
	assert_memory_equal(http_header(&answer, "traceparent"), given, 36);
	assert_memory_not_equal(http_header(&answer, "traceparent"), given,
				52); /* a span of our own */
	answer = ask("GET /v1/things HTTP/1.1\r\ntraceparent: nonsense", "");
	assert_int_equal(strlen(http_header(&answer, "traceparent")), 55);
}

static void a_head_is_a_get_without_its_body(void **state)
{
	struct http_client client;
	struct http_answer answer;

	(void)state;
	http_connect(&client, server.port);
	http_say(&client, "HEAD /v1/big HTTP/1.1\r\nHost: shop\r\n\r\nGET /v1/things "
			  "HTTP/1.1\r\nHost: shop\r\n\r\n");
	http_receive(&client, &answer, true);
	assert_int_equal(answer.status, 200);
	assert_string_equal(http_header(&answer, "Content-Length"), "2000000");
	http_receive(&client, &answer, false);
	assert_int_equal(answer.status, 200);
	http_close(&client);
}

static void a_big_answer_arrives_whole(void **state)
{
	struct http_answer answer = ask("GET /v1/big HTTP/1.1", "");

	(void)state;
	assert_int_equal(answer.status, 200);
	assert_int_equal(answer.len, 2000000);
}

static void parameters_are_decoded(void **state)
{
	struct http_answer answer = ask("GET /v1/things/a%20%c3%a9%2Fb HTTP/1.1", "");

	(void)state;
	assert_string_equal(answer.body, "{\"name\":\"a \xc3\xa9/b\",\"quantity\":1}");
	answer = ask("GET /v1/things/%00 HTTP/1.1", "");
	assert_problem(&answer, 404, "not_found");
	answer = ask("GET /v1/things/%ff HTTP/1.1", "");
	assert_problem(&answer, 404, "not_found");
}

static void a_wrong_query_is_told(void **state)
{
	static const struct {
		const char *head;
		int status;
		const char *code;
	} cases[] = {
		{ "GET /v1/things?limit=0 HTTP/1.1", 422, "invalid_query" },
		{ "GET /v1/things?limit=101 HTTP/1.1", 422, "invalid_query" },
		{ "GET /v1/things?limit=+5 HTTP/1.1", 422, "invalid_query" },
		{ "GET /v1/things?limit=5x HTTP/1.1", 422, "invalid_query" },
		{ "GET /v1/things?limit= HTTP/1.1", 422, "invalid_query" },
		{ "GET /v1/things?limit=99999999999999999999 HTTP/1.1", 422, "invalid_query" },
		{ "GET /v1/things?cursor=%21%21 HTTP/1.1", 422, "invalid_cursor" },
		{ "GET /v1/things?cursor=_w HTTP/1.1", 422, "invalid_cursor" }, /* the byte ff */
		{ "GET /v1/things?limit=%zz HTTP/1.1", 400, "malformed_query" },
		{ "GET /v1/things?q=%ff HTTP/1.1", 400, "malformed_query" },
		{ "GET "
		  "/v1/things?1&2&3&4&5&6&7&8&9&10&11&12&13&14&15&16&17&18&19&20&21&22&23&24&25 "
		  "HTTP/1.1",
		  400, "malformed_query" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct http_answer answer = ask(cases[i].head, "");

		assert_problem(&answer, cases[i].status, cases[i].code);
	}
}

static void a_cursor_comes_back_as_it_was(void **state)
{
	struct http_answer answer;
	char head[128];

	(void)state;
	snprintf(head, sizeof(head), "GET /v1/things?cursor=%s HTTP/1.1",
		 sk_cursor_make(server.context.arena, "2026-11-23|\xc3\xa9"));
	answer = ask(head, "");
	assert_string_equal(answer.body, "{\"name\":\"2026-11-23|\xc3\xa9\",\"quantity\":20}");
}

/* ---- what is not there ---- */

static void an_unknown_path_is_a_problem(void **state)
{
	struct http_answer answer = ask("GET /v1/nowhere?secret=1 HTTP/1.1", "");

	(void)state;
	assert_problem(&answer, 404, "not_found");
	assert_non_null(strstr(answer.body, "\"instance\":\"/v1/nowhere\""));
	assert_non_null(strstr(answer.body, "\"type\":\"urn:souk:problem:not_found\""));
	assert_non_null(strstr(answer.body, "\"title\":\"Not Found\",\"status\":404"));
}

static void an_unknown_method_is_told_the_others(void **state)
{
	struct http_answer answer = ask("PATCH /v1/things/1 HTTP/1.1", "{}");

	(void)state;
	assert_problem(&answer, 405, "method_not_allowed");
	assert_string_equal(http_header(&answer, "Allow"), "GET, HEAD, DELETE");
	answer = ask("OPTIONS /v1/things HTTP/1.1\r\nOrigin: "
		     "http://other\r\nAccess-Control-Request-Method: POST",
		     "");
	assert_problem(&answer, 405, "method_not_allowed");
	assert_null(http_header(&answer, "Access-Control-Allow-Origin"));
	answer = ask("POST /healthz HTTP/1.1", "");
	assert_problem(&answer, 405, "method_not_allowed");
}

/* ---- writes ---- */

static void a_body_is_read(void **state)
{
	struct http_answer answer = ask(
		"POST /v1/things HTTP/1.1\r\nContent-Type: application/json; charset=utf-8",
		"{\"name\":\"pot\",\"quantity\":2,\"unknown\":[]}");

	(void)state;
	assert_int_equal(answer.status, 201);
	assert_string_equal(answer.body, "{\"name\":\"pot\",\"quantity\":2}");
	assert_string_equal(http_header(&answer, "Location"), "/v1/things/1");
	answer = ask("DELETE /v1/things/1 HTTP/1.1", "");
	assert_int_equal(answer.status, 204);
	assert_null(http_header(&answer, "Content-Length"));
	answer = ask("POST /v1/raw HTTP/1.1", "");
	assert_int_equal(answer.status, 200);
	assert_int_equal(answer.len, 0);
}

static void a_wrong_body_is_told(void **state)
{
	struct http_answer answer = ask("POST /v1/things HTTP/1.1", "{\"name\":");

	(void)state;
	assert_problem(&answer, 400, "malformed_json");
	answer = ask("POST /v1/things HTTP/1.1", "");
	assert_problem(&answer, 400, "malformed_json");
	answer = ask("POST /v1/things HTTP/1.1", "{\"name\":5,\"quantity\":10}");
	assert_problem(&answer, 422, "invalid_input");
	assert_non_null(strstr(answer.body, "{\"pointer\":\"/name\",\"detail\":\""));
	assert_non_null(strstr(answer.body, "{\"pointer\":\"/quantity\",\"detail\":\""));
	answer = ask("POST /v1/things HTTP/1.1\r\nContent-Type: text/plain", "{}");
	assert_problem(&answer, 415, "unsupported_media_type");
	answer = ask("POST /v1/things HTTP/1.1\r\nContent-Type: application/jsonp", "{}");
	assert_problem(&answer, 415, "unsupported_media_type");
}

static void a_body_over_the_limit_is_refused(void **state)
{
	static char body[SK_BODY_MAX_BYTES + 100000];
	struct http_client client;
	struct http_answer answer;

	(void)state;
	memset(body, 'x', sizeof(body));
	http_connect(&client, server.port);
	http_say(&client, "POST /v1/raw HTTP/1.1\r\nHost: shop\r\nContent-Length: %zu\r\n\r\n",
		 sizeof(body));
	assert_true(http_send(&client, body, sizeof(body)));
	http_receive(&client, &answer, false);
	assert_problem(&answer, 413, "body_too_large");
	assert_string_equal(http_header(&answer, "Connection"), "close");
	assert_true(http_ended(&client));
	http_close(&client);

	http_connect(&client, server.port);
	http_say(&client, "POST /v1/raw HTTP/1.1\r\nHost: shop\r\nContent-Length: %d\r\n\r\n",
		 SK_BODY_MAX_BYTES);
	assert_true(http_send(&client, body, SK_BODY_MAX_BYTES));
	http_receive(&client, &answer, false);
	assert_int_equal(answer.status, 200);
	assert_int_equal(answer.len, SK_BODY_MAX_BYTES);
	http_close(&client);
}

/* ---- conditions, limits, sessions, failures ---- */

static void a_known_tag_is_not_sent_again(void **state)
{
	struct http_answer answer = ask("GET /v1/tagged HTTP/1.1", "");

	(void)state;
	assert_int_equal(answer.status, 200);
	assert_string_equal(http_header(&answer, "ETag"), "\"v7\"");
	answer = ask("GET /v1/tagged HTTP/1.1\r\nIf-None-Match: \"a,b\", W/\"v7\"", "");
	assert_int_equal(answer.status, 304);
	assert_string_equal(http_header(&answer, "ETag"), "\"v7\"");
	answer = ask("GET /v1/tagged HTTP/1.1\r\nIf-None-Match: \"xv7\", \"v77\"", "");
	assert_int_equal(answer.status, 200);
}

static void a_write_over_a_change_is_refused(void **state)
{
	struct http_answer answer = ask("PUT /v1/tagged HTTP/1.1\r\nIf-Match: \"v6\", \"v7\"", "");

	(void)state;
	assert_int_equal(answer.status, 200);
	answer = ask("PUT /v1/tagged HTTP/1.1\r\nIf-Match: *", "");
	assert_int_equal(answer.status, 200);
	answer = ask("PUT /v1/tagged HTTP/1.1\r\nIf-Match: \"v6\"", "");
	assert_problem(&answer, 412, "precondition_failed");
	answer = ask("PUT /v1/tagged HTTP/1.1\r\nIf-Match: W/\"v7\"", "");
	assert_problem(&answer, 412, "precondition_failed");
	answer = ask("PUT /v1/tagged HTTP/1.1\r\nIf-Match: \"\xe9\"",
		     ""); /* not as if there were none */
	assert_problem(&answer, 400, "malformed_header");
}

static void a_limit_is_told_and_kept(void **state)
{
	struct http_answer answer = ask("GET /v1/twice HTTP/1.1\r\nX-Real-IP: 192.0.2.9", "");

	(void)state;
	assert_string_equal(http_header(&answer, "RateLimit-Limit"), "2");
	assert_string_equal(http_header(&answer, "RateLimit-Remaining"), "1");
	assert_string_equal(http_header(&answer, "RateLimit-Reset"), "60");
	ask("GET /v1/twice HTTP/1.1\r\nX-Real-IP: 192.0.2.9", "");
	answer = ask("GET /v1/twice HTTP/1.1\r\nX-Real-IP: 192.0.2.9", "");
	assert_problem(&answer, 429, "too_many_requests");
	assert_in_range(strtol(http_header(&answer, "Retry-After"), NULL, 10), 1, 60);
	assert_string_equal(http_header(&answer, "RateLimit-Remaining"), "0");
	answer = ask("GET /v1/twice HTTP/1.1\r\nX-Real-IP: 192.0.2.10", "");
	assert_int_equal(answer.status,
			 500); /* the handler's own failure: the limit lets it pass */
}

static void a_session_that_cannot_be_checked_is_not_refused(void **state)
{
	struct http_answer answer = ask("GET /v1/mine HTTP/1.1", "");

	(void)state;
	assert_problem(&answer, 401, "no_token");
	assert_string_equal(http_header(&answer, "WWW-Authenticate"), "Bearer");
	answer = ask("GET /v1/mine HTTP/1.1\r\nAuthorization: Bearer abc", "");
	assert_int_equal(answer.status, 503);
	assert_string_equal(http_header(&answer, "Retry-After"), "1");
	answer = ask("GET /v1/things HTTP/1.1\r\nAuthorization: Bearer abc",
		     ""); /* open: not looked at */
	assert_int_equal(answer.status, 200);
}

static void failures_are_told_as_what_they_are(void **state)
{
	struct http_answer answer = ask("GET /v1/down HTTP/1.1", "");

	(void)state;
	assert_problem(&answer, 503, "down");
	assert_string_equal(http_header(&answer, "Retry-After"), "1");
	answer = ask("GET /v1/nothing HTTP/1.1", "");
	assert_problem(&answer, 500, "internal");
}

/* ---- operators ---- */

static enum sk_status not_ready(struct sk_parts *parts, struct sk_context *context)
{
	(void)parts;
	return sk_fail(context, SK_UNAVAILABLE, "schema_missing", "the schema is not there");
}

static void operators_are_answered(void **state)
{
	struct http_answer answer = ask("GET /healthz HTTP/1.1", "");

	(void)state;
	assert_string_equal(answer.body, "{\"service\":\"test\",\"alive\":true}");
	answer = ask("GET /readyz HTTP/1.1", "");
	assert_int_equal(answer.status, 200);
	server.parts.ready = not_ready;
	answer = ask("GET /readyz HTTP/1.1", "");
	server.parts.ready = NULL;
	assert_int_equal(answer.status, 503);
	assert_string_equal(answer.body, "{\"parts\":{\"service\":{\"ok\":false,\"detail\":"
					 "\"the schema is not there\"}},\"ready\":false}");
	answer = ask("GET /metrics HTTP/1.1", "");
	assert_non_null(strstr(
		answer.body,
		"souk_http_requests_total{method=\"GET\",route=\"/readyz\",status=\"5xx\"} 1"));
}

static void a_busy_port_is_a_clear_message(void **state)
{
	struct sk_context context;
	struct sk_http *second = NULL;

	(void)state;
	sk_context_init(&context, 0);
	assert_int_equal(sk_http_open(&SERVICE, &server.parts, NULL, &second, &context),
			 SK_UNAVAILABLE);
	assert_non_null(strstr(context.error.detail, "is the port taken?"));
	assert_null(second);
	sk_context_release(&context);
}

static void our_own_client_is_served(void **state)
{
	static const char *const headers[] = { "Content-Type: application/json", NULL };
	struct sk_client_request request = { .method = "POST",
					     .headers = headers,
					     .timeout_ms = 2000 };
	struct sk_client_answer answer;
	struct sk_context context;

	(void)state;
	sk_context_init(&context, 0);
	request.url = sk_arena_printf(context.arena, "http://127.0.0.1:%d/v1/things", server.port);
	request.body = "{\"name\":\"pot\",\"quantity\":2}";
	request.body_len = strlen(request.body);
	assert_int_equal(sk_client_send(&context, &request, &answer), SK_OK);
	assert_int_equal(answer.status, 201);
	assert_string_equal(answer.body, "{\"name\":\"pot\",\"quantity\":2}");
	request = (struct sk_client_request) { .method = "GET", .timeout_ms = 2000 };
	request.url = sk_arena_printf(context.arena, "http://127.0.0.1:%d/v1/big", server.port);
	assert_int_equal(sk_client_send(&context, &request, &answer), SK_OK);
	assert_int_equal(answer.status, 200);
	assert_int_equal(answer.len, SK_CLIENT_ANSWER_MAX_BYTES); /* the rest is cut off */
	request.url = sk_arena_printf(context.arena, "http://127.0.0.1:%d/", http_free_port());
	assert_int_equal(sk_client_send(&context, &request, &answer), SK_UNAVAILABLE);
	sk_context_release(&context);
}

static void clients_that_only_keep_their_connections_do_not_keep_others_out(void **state)
{
	struct http_client clients[SERVER_THREADS + 1];
	struct http_answer answer;
	int kept = 0;

	(void)state;
	for (size_t i = 0; i < COUNT(clients); i++) {
		http_connect(&clients[i], server.port);
		http_say(&clients[i], "GET /v1/things HTTP/1.1\r\nHost: shop\r\n\r\n");
		http_receive(&clients[i], &answer, false);
		assert_int_equal(answer.status, 200);
		kept += http_header(&answer, "Connection") == NULL;
	}
	assert_in_range(kept, 1, SERVER_THREADS * 3 / 4);
	for (size_t i = 0; i < COUNT(clients); i++)
		http_close(&clients[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_read_is_answered),
		cmocka_unit_test(a_trace_goes_on),
		cmocka_unit_test(a_head_is_a_get_without_its_body),
		cmocka_unit_test(a_big_answer_arrives_whole),
		cmocka_unit_test(parameters_are_decoded),
		cmocka_unit_test(a_wrong_query_is_told),
		cmocka_unit_test(a_cursor_comes_back_as_it_was),
		cmocka_unit_test(an_unknown_path_is_a_problem),
		cmocka_unit_test(an_unknown_method_is_told_the_others),
		cmocka_unit_test(a_body_is_read),
		cmocka_unit_test(a_wrong_body_is_told),
		cmocka_unit_test(a_body_over_the_limit_is_refused),
		cmocka_unit_test(a_known_tag_is_not_sent_again),
		cmocka_unit_test(a_write_over_a_change_is_refused),
		cmocka_unit_test(a_limit_is_told_and_kept),
		cmocka_unit_test(a_session_that_cannot_be_checked_is_not_refused),
		cmocka_unit_test(failures_are_told_as_what_they_are),
		cmocka_unit_test(operators_are_answered),
		cmocka_unit_test(a_busy_port_is_a_clear_message),
		cmocka_unit_test(our_own_client_is_served),
		cmocka_unit_test(clients_that_only_keep_their_connections_do_not_keep_others_out),
	};

	return cmocka_run_group_tests(tests, start_server, stop_server);
}
