/* From statuses to problems, and from replies to bytes. */
#include "unit.h"

#include <cjson/cJSON.h>
#include <stdlib.h>

#include "../sk_http_internal.h"

static struct sk_request request;

static int set_up(void **state)
{
	(void)state;
	request = (struct sk_request) { .magic = SK__REQUEST_MAGIC,
					.method = "GET",
					.path = "/v1/things" };
	request.reply.request = &request;
	sk_context_init(&request.context, 0);
	request.errors.arena = request.context.arena;
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	free(request.kept);
	sk_context_release(&request.context);
	return 0;
}

static const char *bytes(bool head_only)
{
	size_t len;
	const char *text = sk__reply_bytes(&request, head_only, &len);

	assert_int_equal(strlen(text), len);
	return text;
}

/* The body of the problem that the reply is now. */
static const cJSON *problem(void)
{
	const struct cJSON *json = NULL;
	const char *body = strstr(bytes(false), "\r\n\r\n") + 4;

	assert_int_equal(sk_json_parse(&request.context, body, strlen(body), &json), SK_OK);
	return json;
}

static const char *member(const cJSON *json, const char *name)
{
	const cJSON *value = cJSON_GetObjectItemCaseSensitive(json, name);

	assert_true(cJSON_IsString(value));
	return value->valuestring;
}

static void every_status_has_its_number(void **state)
{
	static const int numbers[] = {
		[SK_OK] = 200,	      [SK_DUPLICATE] = 200,	  [SK_MALFORMED] = 400,
		[SK_INVALID] = 422,   [SK_UNAUTHENTICATED] = 401, [SK_FORBIDDEN] = 403,
		[SK_NOT_FOUND] = 404, [SK_CONFLICT] = 409,	  [SK_PRECONDITION] = 412,
		[SK_TOO_LARGE] = 413, [SK_TOO_MANY] = 429,	  [SK_UNAVAILABLE] = 503,
		[SK_TIMEOUT] = 503,   [SK_NO_MEMORY] = 503,	  [SK_INTERNAL] = 500,
	};

	(void)state;
	for (size_t i = 0; i < COUNT(numbers); i++) {
		assert_int_equal(sk__http_status_of((enum sk_status)i), numbers[i]);
		assert_string_not_equal(sk__http_reason(numbers[i]), "Status");
	}
}

static void a_failure_becomes_a_problem(void **state)
{
	enum sk_status st = sk_fail(&request.context, SK_CONFLICT, "order_shipped",
				    "order %d has \"left\"", 7);
	const cJSON *json;

	(void)state;
	sk__reply_problem(&request, st);
	json = problem();
	assert_string_equal(member(json, "type"), "urn:souk:problem:order_shipped");
	assert_string_equal(member(json, "title"), "Conflict");
	assert_int_equal(cJSON_GetObjectItemCaseSensitive(json, "status")->valueint, 409);
	assert_string_equal(member(json, "detail"), "order 7 has \"left\"");
	assert_string_equal(member(json, "instance"), "/v1/things");
	assert_string_equal(member(json, "code"), "order_shipped");
	assert_string_equal(member(json, "trace_id"), request.context.trace.trace_id);
	assert_null(cJSON_GetObjectItemCaseSensitive(json, "errors"));
}

static void a_failure_without_words_gets_some(void **state)
{
	(void)state;
	sk__reply_problem(&request, SK_NOT_FOUND);
	assert_string_equal(member(problem(), "code"), "not_found");
	assert_string_equal(member(problem(), "detail"), "Not Found");
}

static void wrong_fields_are_listed(void **state)
{
	struct sk_fields fields = sk_fields_of(NULL, &request.errors);
	const cJSON *errors;

	(void)state;
	sk_field_reject(&fields, "country", "unknown country");
	sk__reply_problem(&request, sk_fields_finish(&fields, &request.context));
	errors = cJSON_GetObjectItemCaseSensitive(problem(), "errors");
	assert_true(cJSON_GetArraySize(errors) >= 1);
	errors = cJSON_GetArrayItem(errors, cJSON_GetArraySize(errors) - 1);
	assert_string_equal(member(errors, "pointer"), "/country");
	assert_string_equal(member(errors, "detail"), "unknown country");
}

static void a_problem_says_when_to_come_back(void **state)
{
	(void)state;
	sk__reply_problem(&request, SK_UNAVAILABLE);
	assert_non_null(strstr(bytes(false), "\r\nRetry-After: 1\r\n"));
	request.context.error.retry_after_s = 30;
	sk__reply_problem(&request, SK_TOO_MANY);
	assert_non_null(strstr(bytes(false), "\r\nRetry-After: 30\r\n"));
	sk__reply_problem(&request, SK_CONFLICT);
	assert_null(strstr(bytes(false), "Retry-After"));
	sk__reply_problem(&request, SK_UNAUTHENTICATED);
	assert_non_null(strstr(bytes(false), "\r\nWWW-Authenticate: Bearer\r\n"));
}

static void a_problem_replaces_what_was_written(void **state)
{
	struct sk_json *json = sk_reply_json(&request.reply, 200);

	(void)state;
	sk_json_begin_object(json, NULL);
	sk_reply_cookie(&request.reply, "souk_session", "secret", 60);
	sk__reply_problem(&request, SK_CONFLICT);
	assert_null(strstr(bytes(false), "secret"));
	assert_non_null(strstr(bytes(false), "HTTP/1.1 409 Conflict\r\n"));
}

static void an_answer_is_one_run_of_bytes(void **state)
{
	(void)state;
	sk_reply_bytes(&request.reply, 200, "text/plain", "hello", 5);
	sk_reply_header(&request.reply, "X-One", "1");
	memcpy(request.context.trace.trace_id, "0af7651916cd43dd8448eb211c80319c", 33);
	memcpy(request.context.trace.span_id, "b7ad6b7169203331", 17);
	request.context.trace.sampled = true;
	assert_string_equal(
		bytes(false),
		"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n"
		"traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n"
		"X-One: 1\r\n\r\nhello");
	assert_string_equal(strstr(bytes(true), "X-One"), "X-One: 1\r\n\r\n");
	assert_non_null(strstr(bytes(true), "Content-Length: 5\r\n"));
	request.close = true;
	assert_string_equal(strstr(bytes(true), "X-One"), "X-One: 1\r\nConnection: close\r\n\r\n");
}

static void some_answers_have_no_body(void **state)
{
	static const int statuses[] = { 204, 304 };

	(void)state;
	for (size_t i = 0; i < COUNT(statuses); i++) {
		sk__reply_reset(&request.reply);
		sk_reply_bytes(&request.reply, statuses[i], NULL, "hello", 5);
		assert_null(strstr(bytes(false), "Content-Length"));
		assert_null(strstr(bytes(false), "hello"));
	}
}

static void answers_of_any_size_arrive(void **state)
{
	static const size_t sizes[] = { 0, 1, 40000, 48128, 48129, 65536, 1000000 };
	char *data = sk_arena_alloc(request.context.arena, 1000001);

	(void)state;
	for (size_t i = 0; i < COUNT(sizes); i++) {
		memset(data, 'x', sizes[i]);
		data[sizes[i]] = '\0';
		sk__reply_reset(&request.reply);
		sk_reply_bytes(&request.reply, 200, "text/plain", data, sizes[i]);
		assert_string_equal(strstr(bytes(false), "\r\n\r\n") + 4, data);
	}
}

static void a_cookie_is_for_http_only(void **state)
{
	(void)state;
	sk_reply_empty(&request.reply, 204);
	sk_reply_cookie(&request.reply, "souk_session", "t", 60);
	assert_non_null(strstr(
		bytes(false),
		"\r\nSet-Cookie: souk_session=t; Path=/; HttpOnly; SameSite=Lax; Max-Age=60\r\n"));
}

static void tags_are_found_in_lists(void **state)
{
	static const struct {
		const char *list;
		bool weak, strong; /* whether v7 is in it, by each comparison */
	} cases[] = {
		{ "\"v7\"", true, true },
		{ "W/\"v7\"", true, false },
		{ "\"a\", \"v7\"", true, true },
		{ "\"a\",W/\"v7\",\"b\"", true, false },
		{ "W/\"v7\", \"v7\"", true, true },
		{ "\"a,\"v7\"", false, false }, /* a tag with a comma, then nonsense */
		{ "\"xv7\"", false, false },
		{ "\"v77\"", false, false },
		{ "v7", false, false },
		{ "\"v7", false, false },
		{ "w/\"v7\"", false, false },
		{ "", false, false },
		{ ", ,", false, false },
		{ "\"", false, false },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		assert_int_equal(sk__etag_listed(cases[i].list, "v7", true), cases[i].weak);
		assert_int_equal(sk__etag_listed(cases[i].list, "v7", false), cases[i].strong);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(every_status_has_its_number, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_failure_becomes_a_problem, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_failure_without_words_gets_some, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(wrong_fields_are_listed, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_problem_says_when_to_come_back, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(a_problem_replaces_what_was_written, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(an_answer_is_one_run_of_bytes, set_up, tear_down),
		cmocka_unit_test_setup_teardown(some_answers_have_no_body, set_up, tear_down),
		cmocka_unit_test_setup_teardown(answers_of_any_size_arrive, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_cookie_is_for_http_only, set_up, tear_down),
		cmocka_unit_test_setup_teardown(tags_are_found_in_lists, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
