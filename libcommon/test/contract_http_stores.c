/* What HTTP needs the stores for: sessions and writes by cookie, limits that all
 * replicas share, and keys that give the first answer again.
 *
 * POSTGRES_URL has a schema with libcommon's tables, VALKEY_URL libcommon's functions;
 * TEST_TOKEN is that of a customer's session. */
#include "http_fixture.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "../sk_id.h"

static atomic_int works; /* how often a thing was really made */

static enum sk_status make_thing(struct sk_tx *tx, struct sk_request *request,
				 struct sk_reply *reply, void *arg)
{
	struct sk_fields fields = sk_request_fields(request);
	const char *name = sk_field_text(&fields, "name", 1, 20, SK_FIELD_REQUIRED);
	enum sk_status st = sk_fields_finish(&fields, sk_request_context(request));
	struct sk_json *json;

	(void)arg;
	if (st != SK_OK)
		return st;
	atomic_fetch_add(&works, 1);
	if (strcmp(name, "sold out") == 0)
		return sk_fail(sk_tx_context(tx), SK_CONFLICT, "sold_out", "there are none left");
	if (strcmp(name, "slow") == 0)
		gate_pass();
	json = sk_reply_json(reply, 201);
	sk_json_begin_object(json, NULL);
	sk_json_text(json, "id", sk_id_make(sk_tx_arena(tx)));
	sk_json_text(json, "account_id", sk_request_actor(request)->account_id);
	sk_json_end_object(json);
	sk_reply_header(reply, "Location", "/v1/things/1");
	sk_reply_cookie(reply, "souk_cart", "token", 60);
	return SK_OK;
}

static enum sk_status post_thing(struct sk_request *request, struct sk_reply *reply, void *app)
{
	(void)app;
	return sk_request_transact(request, reply, server.parts.pg, make_thing, NULL);
}

static enum sk_status get_me(struct sk_request *request, struct sk_reply *reply, void *app)
{
	struct sk_json *json = sk_reply_json(reply, 200);

	(void)app;
	sk_json_begin_object(json, NULL);
	sk_json_text(json, "role", sk_role_name(sk_request_actor(request)->role));
	sk_json_end_object(json);
	return SK_OK;
}

static const struct sk_ratelimit_class THRICE = { .name = "thrice", .per_minute = 6, .burst = 3 };

static const struct sk_route THINGS[] = {
	{ .method = "POST",
	  .path = "/v1/things",
	  .handle = post_thing,
	  .access = SK_GUEST,
	  .flags = SK_BODY_JSON | SK_IDEMPOTENT },
	{ .method = "POST",
	  .path = "/v1/orders",
	  .handle = post_thing,
	  .access = SK_GUEST,
	  .flags = SK_BODY_JSON | SK_IDEMPOTENT | SK_KEY_REQUIRED },
	{ .method = "GET", .path = "/v1/me", .handle = get_me, .access = SK_CUSTOMER },
	{ .method = "PUT", .path = "/v1/me", .handle = get_me, .access = SK_CUSTOMER },
	{ .method = "GET", .path = "/v1/guest", .handle = get_me, .access = SK_GUEST },
	{ .method = "GET", .path = "/v1/staff", .handle = get_me, .access = SK_STAFF },
	{ .method = "GET", .path = "/v1/thrice", .handle = get_me, .limit = &THRICE },
	{ .method = NULL },
};

static const struct sk_service THING_SERVICE = { .name = "test",
						 .summary = "A server under test.",
						 .routes = THINGS };

static int set_up(void **state)
{
	(void)state;
	return getenv("TEST_TOKEN") != NULL ? start_server_of(&THING_SERVICE) : -1;
}

/* ---- helpers ---- */

static struct http_answer post(const char *path, const char *key, const char *more,
			       const char *name)
{
	char head[1024], body[64];

	snprintf(head, sizeof(head), "POST %s HTTP/1.1\r\nIdempotency-Key: %s%s", path, key, more);
	snprintf(body, sizeof(body), "{\"name\":\"%s\"}", name);
	return ask(head, body);
}

/* The answer to a request with the session's token after the given text. */
static struct http_answer ask_with_token(const char *head, const char *more)
{
	char text[1024];

	snprintf(text, sizeof(text), "%s%s%s", head, getenv("TEST_TOKEN"), more);
	return ask(text, "");
}

/* ---- keys ---- */

static void a_key_gives_the_first_answer_again(void **state)
{
	struct sk_id key = sk_id_new();
	int before = atomic_load(&works);
	struct http_answer answer = post("/v1/things", key.text, "", "pot");
	char first[256];

	(void)state;
	assert_int_equal(answer.status, 201);
	assert_null(http_header(&answer, "Idempotent-Replayed"));
	snprintf(first, sizeof(first), "%s", answer.body);
	answer = post("/v1/things", key.text, "", "pot");
	assert_int_equal(answer.status, 201);
	assert_string_equal(answer.body, first);
	assert_string_equal(http_header(&answer, "Idempotent-Replayed"), "true");
	assert_string_equal(http_header(&answer, "Content-Type"), "application/json");
	assert_string_equal(http_header(&answer, "Location"), "/v1/things/1");
	assert_non_null(strstr(http_header(&answer, "Set-Cookie"), "souk_cart=token; Path=/"));
	assert_int_equal(atomic_load(&works), before + 1);
}

static void a_key_is_for_one_request_only(void **state)
{
	struct sk_id key = sk_id_new();
	struct http_answer answer = post("/v1/things", key.text, "", "pot");

	(void)state;
	assert_int_equal(answer.status, 201);
	answer = post("/v1/things", key.text, "", "pan");
	assert_problem(&answer, 422, "idempotency_key_reused");
	answer = post("/v1/orders", key.text, "", "pan"); /* another route's keys are others */
	assert_int_equal(answer.status, 201);
}

static void a_key_is_of_one_person(void **state)
{
	struct sk_id key = sk_id_new();
	char bearer[256];
	struct http_answer answer = post("/v1/things", key.text, "", "pot");

	(void)state;
	answer = post("/v1/things", key.text, "\r\nX-Cart-Token: a", "pan");
	assert_int_equal(answer.status, 201);
	answer = post("/v1/things", key.text, "\r\nCookie: souk_cart=b", "lid");
	assert_int_equal(answer.status, 201);
	snprintf(bearer, sizeof(bearer), "\r\nAuthorization: Bearer %s", getenv("TEST_TOKEN"));
	answer = post("/v1/things", key.text, bearer, "cup");
	assert_int_equal(answer.status, 201);
	answer = post("/v1/things", key.text, "\r\nX-Cart-Token: a", "pan");
	assert_string_equal(http_header(&answer, "Idempotent-Replayed"), "true");
}

static void a_failure_is_not_kept(void **state)
{
	struct sk_id key = sk_id_new();
	int before = atomic_load(&works);
	struct http_answer answer = post("/v1/things", key.text, "", "sold out");

	(void)state;
	assert_problem(&answer, 409, "sold_out");
	answer = post("/v1/things", key.text, "", "sold out");
	assert_problem(&answer, 409, "sold_out");
	assert_int_equal(atomic_load(&works), before + 2);
}

static void a_wrong_key_is_told(void **state)
{
	char key[258];
	struct http_answer answer = ask("POST /v1/orders HTTP/1.1", "{\"name\":\"pot\"}");

	(void)state;
	assert_problem(&answer, 400, "idempotency_key_required");
	answer = post("/v1/orders", "", "", "pot");
	assert_problem(&answer, 422, "invalid_idempotency_key");
	answer = post("/v1/orders", "tab\there", "", "pot"); /* no header may have one */
	assert_problem(&answer, 400, "malformed_request");
	answer = post("/v1/orders", "caf\xc3\xa9", "", "pot");
	assert_problem(&answer, 422, "invalid_idempotency_key");
	answer = post("/v1/things", "caf\xe9", "", "pot"); /* it must not count as left out */
	assert_problem(&answer, 400, "malformed_header");
	memset(key, 'k', sizeof(key));
	key[256] = '\0';
	answer = post("/v1/orders", key, "", "pot");
	assert_problem(&answer, 422, "invalid_idempotency_key");
	key[255] = '\0';
	answer = post("/v1/orders", key, "", "pot");
	assert_int_equal(answer.status, 201);
	answer = ask("POST /v1/things HTTP/1.1",
		     "{\"name\":\"pot\"}"); /* it may be left out here */
	assert_int_equal(answer.status, 201);
}

static void say_slow(struct http_client *client, const char *key)
{
	http_connect(client, server.port);
	http_say(client,
		 "POST /v1/things HTTP/1.1\r\nHost: shop\r\nIdempotency-Key: %s\r\n"
		 "Content-Length: 15\r\n\r\n{\"name\":\"slow\"}",
		 key);
}

static void who_meets_the_first_still_running_gets_its_answer(void **state)
{
	struct sk_id key = sk_id_new();
	int before = atomic_load(&works);
	struct http_client first, second;
	struct http_answer answer;
	char body[256];

	(void)state;
	gate_shut();
	say_slow(&first, key.text);
	gate_wait_entered();
	say_slow(&second, key.text);
	assert_false(http_wait(&second, 50)); /* it waits */
	gate_open();
	http_receive(&first, &answer, false);
	assert_int_equal(answer.status, 201);
	snprintf(body, sizeof(body), "%s", answer.body);
	http_receive(&second, &answer, false);
	assert_int_equal(answer.status, 201);
	assert_string_equal(answer.body, body);
	assert_string_equal(http_header(&answer, "Idempotent-Replayed"), "true");
	assert_int_equal(atomic_load(&works), before + 1);
	http_close(&first);
	http_close(&second);
}

static void who_waits_too_long_is_told_to_come_back(void **state)
{
	struct sk_id key = sk_id_new();
	struct http_client first, second;
	struct http_answer answer;

	(void)state;
	gate_shut();
	say_slow(&first, key.text);
	gate_wait_entered();
	say_slow(&second, key.text);
	http_receive(&second, &answer, false);
	assert_problem(&answer, 409, "idempotency_key_in_use");
	gate_open();
	http_receive(&first, &answer,
		     false); /* its own deadline has passed: the effect rolled back */
	assert_int_equal(answer.status, 503);
	http_close(&first);
	http_close(&second);
	answer = post("/v1/things", key.text, "", "slow");
	assert_int_equal(answer.status, 201);
	assert_null(http_header(&answer, "Idempotent-Replayed"));
}

/* ---- sessions ---- */

static void a_session_is_a_token_or_a_cookie(void **state)
{
	struct http_answer answer = ask_with_token("GET /v1/me HTTP/1.1\r\nAuthorization: Bearer ",
						   "");

	(void)state;
	assert_string_equal(answer.body, "{\"role\":\"customer\"}");
	answer = ask_with_token("GET /v1/me HTTP/1.1\r\nCookie: a=b; souk_session=", "; c=d");
	assert_int_equal(answer.status, 200);
	answer = ask_with_token("GET /v1/guest HTTP/1.1\r\nAuthorization: bearer ", "");
	assert_string_equal(answer.body, "{\"role\":\"customer\"}");
	answer = ask("GET /v1/guest HTTP/1.1", "");
	assert_string_equal(answer.body, "{\"role\":\"none\"}");
	answer = ask("GET /v1/me HTTP/1.1", "");
	assert_problem(&answer, 401, "no_token");
	answer = ask_with_token("GET /v1/me HTTP/1.1\r\nAuthorization: Bearer ", "x");
	assert_problem(&answer, 401, "invalid_token");
	answer = ask("GET /v1/guest HTTP/1.1\r\nAuthorization: Bearer nonsense", "");
	assert_problem(&answer, 401, "invalid_token");
	answer = ask_with_token("GET /v1/staff HTTP/1.1\r\nAuthorization: Bearer ", "");
	assert_problem(&answer, 403, "forbidden");
}

static void a_write_by_cookie_comes_from_our_own_pages(void **state)
{
	static const struct {
		const char *headers;
		int status;
	} cases[] = {
		{ "", 403 },
		{ "\r\nX-Souk-CSRF: 1", 200 },
		{ "\r\nX-Souk-CSRF: 0", 403 },
		{ "\r\nOrigin: http://shop", 200 },
		{ "\r\nOrigin: https://SHOP", 200 },
		{ "\r\nOrigin: http://shop.evil.example", 403 },
		{ "\r\nOrigin: http://evil.example", 403 },
		{ "\r\nOrigin: null", 403 },
		{ "\r\nOrigin: https://front.example\r\nX-Forwarded-Host: front.example", 200 },
		{ "\r\nSec-Fetch-Site: same-origin", 200 },
		{ "\r\nSec-Fetch-Site: none", 200 },
		{ "\r\nSec-Fetch-Site: same-site", 403 },
		{ "\r\nSec-Fetch-Site: cross-site", 403 },
		{ "\r\nSec-Fetch-Site: cross-site\r\nOrigin: http://shop", 403 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct http_answer answer = ask_with_token(
			"PUT /v1/me HTTP/1.1\r\nCookie: souk_session=", cases[i].headers);

		assert_int_equal(answer.status, cases[i].status);
		if (answer.status == 403)
			assert_problem(&answer, 403, "csrf");
		answer = ask_with_token("PUT /v1/me HTTP/1.1\r\nAuthorization: Bearer ",
					cases[i].headers);
		assert_int_equal(answer.status, 200); /* no browser sends a token by itself */
	}
}

/* ---- limits ---- */

static void a_limit_is_counted_in_valkey(void **state)
{
	char head[128];
	struct http_answer answer;

	(void)state;
	snprintf(head, sizeof(head), "GET /v1/thrice HTTP/1.1\r\nX-Real-IP: 2001:db8::%x",
		 (unsigned)getpid() & 0xffff);
	for (int left = 2; left >= 0; left--) {
		char text[16];

		/* A process that forgets what it counted: only Valkey can know. */
		sk_ratelimiter_close(&server.parts.ratelimiter);
		server.parts.ratelimiter = sk_ratelimiter_open(server.parts.kv);
		answer = ask(head, "");
		assert_int_equal(answer.status, 200);
		snprintf(text, sizeof(text), "%d", left);
		assert_string_equal(http_header(&answer, "RateLimit-Remaining"), text);
	}
	answer = ask(head, "");
	assert_problem(&answer, 429, "too_many_requests");
	assert_in_range(strtol(http_header(&answer, "Retry-After"), NULL, 10), 1, 10);
	assert_in_range(strtol(http_header(&answer, "RateLimit-Reset"), NULL, 10), 20, 30);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_key_gives_the_first_answer_again),
		cmocka_unit_test(a_key_is_for_one_request_only),
		cmocka_unit_test(a_key_is_of_one_person),
		cmocka_unit_test(a_failure_is_not_kept),
		cmocka_unit_test(a_wrong_key_is_told),
		cmocka_unit_test(who_meets_the_first_still_running_gets_its_answer),
		cmocka_unit_test(who_waits_too_long_is_told_to_come_back),
		cmocka_unit_test(a_session_is_a_token_or_a_cookie),
		cmocka_unit_test(a_write_by_cookie_comes_from_our_own_pages),
		cmocka_unit_test(a_limit_is_counted_in_valkey),
	};

	return cmocka_run_group_tests(tests, set_up, stop_server);
}
