#include "http_fixture.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include <curl/curl.h>
#include <sodium.h>

#include "../sk_log.h"

struct server server;

/* ---- routes ---- */

/* A handler that waits until it is told to go on. */
static struct gate {
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	bool entered, open;
} gate = { .mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER };

static void set_and_tell(bool *what)
{
	pthread_mutex_lock(&gate.mutex);
	*what = true;
	pthread_cond_broadcast(&gate.changed);
	pthread_mutex_unlock(&gate.mutex);
}

static void wait_for(const bool *what)
{
	pthread_mutex_lock(&gate.mutex);
	while (!*what)
		pthread_cond_wait(&gate.changed, &gate.mutex);
	pthread_mutex_unlock(&gate.mutex);
}

void gate_shut(void)
{
	pthread_mutex_lock(&gate.mutex);
	gate.entered = gate.open = false;
	pthread_mutex_unlock(&gate.mutex);
}

void gate_pass(void)
{
	set_and_tell(&gate.entered);
	wait_for(&gate.open);
}

void gate_wait_entered(void)
{
	wait_for(&gate.entered);
}

void gate_open(void)
{
	set_and_tell(&gate.open);
}

static enum sk_status write_thing(struct sk_reply *reply, int status, const char *name,
				  int64_t quantity)
{
	struct sk_json *json = sk_reply_json(reply, status);

	sk_json_begin_object(json, NULL);
	sk_json_text(json, "name", name);
	sk_json_int(json, "quantity", quantity);
	sk_json_end_object(json);
	return SK_OK;
}

static enum sk_status get_thing(struct sk_request *request, struct sk_reply *reply, void *app)
{
	(void)app;
	return write_thing(reply, 200, sk_request_param(request, "name"), 1);
}

static enum sk_status get_things(struct sk_request *request, struct sk_reply *reply, void *app)
{
	struct sk_page page;
	enum sk_status st = sk_request_page(request, &page);

	(void)app;
	return st == SK_OK ? write_thing(reply, 200, page.after, page.limit) : st;
}

static enum sk_status post_thing(struct sk_request *request, struct sk_reply *reply, void *app)
{
	struct sk_fields fields = sk_request_fields(request);
	const char *name = sk_field_text(&fields, "name", 1, 20, SK_FIELD_REQUIRED);
	int64_t quantity = sk_field_int(&fields, "quantity", 1, 9, SK_FIELD_REQUIRED, 0);
	enum sk_status st = sk_fields_finish(&fields, sk_request_context(request));

	(void)app;
	if (st != SK_OK)
		return st;
	sk_reply_header(reply, "Location", "/v1/things/1");
	return write_thing(reply, 201, name, quantity);
}

static enum sk_status delete_thing(struct sk_request *request, struct sk_reply *reply, void *app)
{
	(void)request;
	(void)app;
	sk_reply_empty(reply, 204);
	return SK_OK;
}

static enum sk_status post_raw(struct sk_request *request, struct sk_reply *reply, void *app)
{
	size_t len;
	const char *body = sk_request_body(request, &len);

	(void)app;
	sk_reply_bytes(reply, 200, "application/octet-stream", body, len);
	return SK_OK;
}

static enum sk_status get_tagged(struct sk_request *request, struct sk_reply *reply, void *app)
{
	(void)app;
	if (sk_reply_etag(request, reply, "v7"))
		return SK_OK;
	return write_thing(reply, 200, "tagged", 7);
}

static enum sk_status put_tagged(struct sk_request *request, struct sk_reply *reply, void *app)
{
	enum sk_status st = sk_request_if_match(request, "v7");

	(void)app;
	return st == SK_OK ? write_thing(reply, 200, "tagged", 8) : st;
}

static enum sk_status get_big(struct sk_request *request, struct sk_reply *reply, void *app)
{
	(void)app;
	sk_reply_bytes(reply, 200, "text/plain", sk_arena_alloc(sk_request_arena(request), 2000000),
		       2000000);
	return SK_OK;
}

static enum sk_status get_nothing(struct sk_request *request, struct sk_reply *reply, void *app)
{
	(void)request;
	(void)reply;
	(void)app;
	return SK_OK;
}

static enum sk_status get_down(struct sk_request *request, struct sk_reply *reply, void *app)
{
	(void)reply;
	(void)app;
	return sk_fail(sk_request_context(request), SK_UNAVAILABLE, "down", "the store is down");
}

static enum sk_status get_gate(struct sk_request *request, struct sk_reply *reply, void *app)
{
	(void)request;
	(void)app;
	gate_pass();
	return write_thing(reply, 200, "gate", 1);
}

static const struct sk_ratelimit_class TWICE = { .name = "twice", .per_minute = 1, .burst = 2 };

static const struct sk_route ROUTES[] = {
	{ .method = "GET", .path = "/v1/things", .handle = get_things },
	{ .method = "POST", .path = "/v1/things", .handle = post_thing, .flags = SK_BODY_JSON },
	{ .method = "GET", .path = "/v1/things/{name}", .handle = get_thing },
	{ .method = "DELETE", .path = "/v1/things/{name}", .handle = delete_thing },
	{ .method = "POST", .path = "/v1/raw", .handle = post_raw, .flags = SK_BODY_RAW },
	{ .method = "GET", .path = "/v1/tagged", .handle = get_tagged },
	{ .method = "PUT", .path = "/v1/tagged", .handle = put_tagged },
	{ .method = "GET", .path = "/v1/big", .handle = get_big },
	{ .method = "GET", .path = "/v1/nothing", .handle = get_nothing },
	{ .method = "GET", .path = "/v1/down", .handle = get_down },
	{ .method = "GET", .path = "/v1/gate", .handle = get_gate },
	{ .method = "GET", .path = "/v1/twice", .handle = get_nothing, .limit = &TWICE },
	{ .method = "GET", .path = "/v1/mine", .handle = get_thing, .access = SK_CUSTOMER },
	{ .method = NULL },
};

const struct sk_service SERVICE = { .name = "test",
				    .summary = "A server under test.",
				    .routes = ROUTES };

/* ---- server ---- */

static void set_number(const char *name, int value)
{
	char text[16];

	snprintf(text, sizeof(text), "%d", value);
	setenv(name, text, 1);
}

static void open_stores(const char *postgres_url, const char *valkey_url)
{
	struct sk_parts *parts = &server.parts;

	parts->metrics = sk_metrics_open();
	if (postgres_url[0] != '\0')
		parts->pg = sk_pg_open(&(struct sk_pg_options) { .url = postgres_url,
								 .application_name = "test",
								 .connections = 4,
								 .timeout_ms = 5000 },
				       parts->metrics);
	if (valkey_url[0] != '\0')
		parts->kv = sk_kv_open(&(struct sk_kv_options) { .url = valkey_url,
								 .connections = 4,
								 .timeout_ms = 1000 },
				       "main", parts->metrics);
	parts->ratelimiter = sk_ratelimiter_open(parts->kv);
}

int start_server_of(const struct sk_service *service)
{
	char listen[32];

	if (sodium_init() < 0 || curl_global_init(CURL_GLOBAL_DEFAULT) != 0)
		return -1;
	server = (struct server) { .port = http_free_port() };
	snprintf(listen, sizeof(listen), "127.0.0.1:%d", server.port);
	setenv("HTTP_LISTEN", listen, 1);
	set_number("HTTP_TIMEOUT_MS", TIMEOUT_MS);
	set_number("HTTP_THREADS", SERVER_THREADS);
	sk_log_init("test", SK_LOG_ERROR);
	sk_context_init(&server.context, 0);
	if (sk_config_open(NULL, &server.config, &server.context) != SK_OK)
		return -1;
	server.parts.config = server.config;
	open_stores(sk_config_text(server.config, "POSTGRES_URL"),
		    sk_config_text(server.config, "VALKEY_URL"));
	return sk_http_open(service, &server.parts, NULL, &server.http, &server.context) == SK_OK
		       ? 0
		       : -1;
}

int start_server(void **state)
{
	(void)state;
	unsetenv("POSTGRES_URL");
	unsetenv("VALKEY_URL");
	return start_server_of(&SERVICE);
}

int stop_server(void **state)
{
	(void)state;
	sk_http_close(&server.http);
	sk_ratelimiter_close(&server.parts.ratelimiter);
	sk_kv_close(&server.parts.kv);
	sk_pg_close(&server.parts.pg);
	sk_metrics_close(&server.parts.metrics);
	sk_config_close(&server.config);
	sk_context_release(&server.context);
	return 0;
}

struct http_answer ask(const char *head, const char *body)
{
	struct http_client client;
	struct http_answer answer;
	char length[48] = "";

	if (body[0] != '\0')
		snprintf(length, sizeof(length), "Content-Length: %zu\r\n", strlen(body));
	http_connect(&client, server.port);
	http_say(&client, "%s\r\nHost: shop\r\n%s\r\n%s", head, length, body);
	http_receive(&client, &answer, strncmp(head, "HEAD", 4) == 0);
	http_close(&client);
	return answer;
}

void assert_problem(const struct http_answer *answer, int status, const char *code)
{
	char member[80];

	if (answer->status != status)
		print_error("%s%s\n", answer->head, answer->body);
	assert_int_equal(answer->status, status);
	assert_string_equal(http_header(answer, "Content-Type"), "application/problem+json");
	snprintf(member, sizeof(member), "\"code\":\"%s\"", code);
	assert_non_null(strstr(answer->body, member));
	assert_non_null(strstr(answer->body, "\"trace_id\":\""));
}
