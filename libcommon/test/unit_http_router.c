/* From paths to rows. */
#include "unit.h"

#include "../sk_http_internal.h"

static enum sk_status no_handler(struct sk_request *request, struct sk_reply *reply, void *app)
{
	(void)request;
	(void)reply;
	(void)app;
	return SK_OK;
}

/* The row with a parameter comes first on purpose. */
static const struct sk_route ROWS[] = {
	{ .method = "GET", .path = "/v1/sessions/{id}", .handle = no_handler },
	{ .method = "DELETE", .path = "/v1/sessions/{id}", .handle = no_handler },
	{ .method = "GET", .path = "/v1/sessions/current", .handle = no_handler },
	{ .method = "GET", .path = "/v1/sessions", .handle = no_handler },
	{ .method = "POST", .path = "/v1/sessions", .handle = no_handler },
	{ .method = "PUT", .path = "/v1/a/{one}/b/{two}/c", .handle = no_handler },
};

static struct sk__route routes[COUNT(ROWS)];
static struct sk_request request;

static int set_up(void **state)
{
	(void)state;
	sk_context_init(&request.context, 0);
	for (size_t i = 0; i < COUNT(ROWS); i++)
		sk__route_init(&routes[i], &ROWS[i]);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	sk_context_release(&request.context);
	return 0;
}

static enum sk__match route(const char *method, const char *path, struct sk_buf *allow)
{
	request.method = method;
	request.path = path;
	request.route = NULL;
	request.params_count = 0;
	sk_buf_init(allow, request.context.arena, 256);
	return sk__http_route(routes, (int)COUNT(ROWS), &request, allow);
}

static void a_path_leads_to_its_row(void **state)
{
	static const struct {
		const char *method, *path;
		int row; /* -1: none */
	} cases[] = {
		{ "GET", "/v1/sessions", 3 },
		{ "HEAD", "/v1/sessions", 3 },
		{ "POST", "/v1/sessions", 4 },
		{ "GET", "/v1/sessions/7", 0 },
		{ "DELETE", "/v1/sessions/7", 1 },
		{ "GET", "/v1/sessions/current", 2 },
		{ "DELETE", "/v1/sessions/current", 1 },
		{ "PUT", "/v1/a/1/b/2/c", 5 },
		{ "GET", "/v1/sessions/", -1 },
		{ "GET", "/v1/sessions//", -1 },
		{ "GET", "/v1/sessions/7/", -1 },
		{ "GET", "/v1/sessions/7/8", -1 },
		{ "GET", "/v1/session", -1 },
		{ "GET", "/v1/sessionss", -1 },
		{ "GET", "/V1/sessions", -1 },
		{ "GET", "//v1/sessions", -1 },
		{ "GET", "/", -1 },
		{ "GET", "", -1 },
		{ "PUT", "/v1/a//b/2/c", -1 },
		{ "PUT", "/v1/a/1/b/2", -1 },
		{ "PUT", "/v1/a/1/b/2/cc", -1 },
	};
	struct sk_buf allow;

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		enum sk__match match = route(cases[i].method, cases[i].path, &allow);

		assert_int_equal(match, cases[i].row < 0 ? SK__MATCH_NONE : SK__MATCH_FOUND);
		if (cases[i].row >= 0)
			assert_ptr_equal(request.route->row, &ROWS[cases[i].row]);
	}
}

static void another_method_is_told_those_there_are(void **state)
{
	struct sk_buf allow;

	(void)state;
	assert_int_equal(route("PATCH", "/v1/sessions", &allow), SK__MATCH_OTHER_METHOD);
	assert_string_equal(sk_buf_text(&allow), "GET, HEAD, POST");
	assert_int_equal(route("OPTIONS", "/v1/sessions/7", &allow), SK__MATCH_OTHER_METHOD);
	assert_string_equal(sk_buf_text(&allow), "GET, HEAD, DELETE");
	assert_int_equal(route("HEAD", "/v1/a/1/b/2/c", &allow), SK__MATCH_OTHER_METHOD);
	assert_string_equal(sk_buf_text(&allow), "PUT");
}

static void parameters_are_named_and_decoded(void **state)
{
	struct sk_buf allow;

	(void)state;
	assert_int_equal(route("PUT", "/v1/a/x+y/b/%C3%a9%2F%25/c", &allow), SK__MATCH_FOUND);
	assert_string_equal(sk_request_param(&request, "one"), "x+y");
	assert_string_equal(sk_request_param(&request, "two"), "\xc3\xa9/%");
}

static void a_parameter_that_is_no_text_fits_no_row(void **state)
{
	static const char *const paths[] = { "/v1/sessions/%",	 "/v1/sessions/%4",
					     "/v1/sessions/%zz", "/v1/sessions/%00",
					     "/v1/sessions/%c3", "/v1/sessions/%c0%80",
					     "/v1/sessions/%ff", "/v1/sessions/%ed%a0%80" };
	struct sk_buf allow;

	(void)state;
	for (size_t i = 0; i < COUNT(paths); i++)
		assert_int_equal(route("GET", paths[i], &allow), SK__MATCH_NONE);
}

static void an_id_is_a_uuid_or_not_found(void **state)
{
	struct sk_buf allow;
	const char *id;

	(void)state;
	assert_int_equal(route("GET", "/v1/sessions/0193a5b0-7c1e-7abc-8def-0123456789ab", &allow),
			 SK__MATCH_FOUND);
	assert_int_equal(sk_request_id(&request, "id", &id), SK_OK);
	assert_string_equal(id, "0193a5b0-7c1e-7abc-8def-0123456789ab");
	assert_int_equal(route("GET", "/v1/sessions/7", &allow), SK__MATCH_FOUND);
	assert_int_equal(sk_request_id(&request, "id", &id), SK_NOT_FOUND);
}

static void a_plus_is_a_space_in_queries_only(void **state)
{
	struct sk_arena *arena = request.context.arena;

	(void)state;
	assert_string_equal(sk__http_decode(arena, "a+b%2B", 6, true), "a b+");
	assert_string_equal(sk__http_decode(arena, "a+b%2B", 6, false), "a+b+");
	assert_string_equal(sk__http_decode(arena, "", 0, true), "");
	assert_null(sk__http_decode(arena, "ab%2B", 4, true)); /* cut within the escape */
}

static void queries_are_taken_apart(void **state)
{
	int64_t number;

	(void)state;
	request.query = "&&a=1&b&c=&d=x%26y=z&e=%20+&a=2&";
	assert_int_equal(sk__request_parse_query(&request), SK_OK);
	assert_string_equal(sk_request_query(&request, "a"), "1");
	assert_string_equal(sk_request_query(&request, "b"), "");
	assert_string_equal(sk_request_query(&request, "c"), "");
	assert_string_equal(sk_request_query(&request, "d"), "x&y=z");
	assert_string_equal(sk_request_query(&request, "e"), "  ");
	assert_null(sk_request_query(&request, "f"));
	assert_int_equal(sk_request_query_int(&request, "a", 0, 9, 5, &number), SK_OK);
	assert_int_equal(number, 1);
	assert_int_equal(sk_request_query_int(&request, "f", 0, 9, 5, &number), SK_OK);
	assert_int_equal(number, 5);
	assert_int_equal(sk_request_query_int(&request, "e", 0, 9, 5, &number), SK_INVALID);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_path_leads_to_its_row, set_up, tear_down),
		cmocka_unit_test_setup_teardown(another_method_is_told_those_there_are, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(parameters_are_named_and_decoded, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(a_parameter_that_is_no_text_fits_no_row, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(an_id_is_a_uuid_or_not_found, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_plus_is_a_space_in_queries_only, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(queries_are_taken_apart, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
