/* The server: from civetweb's request to our handler and back, in one place.
 *
 * civetweb 1.15 as Debian builds it has no TLS with OpenSSL 3, no bound on bodies, a
 * permissive default for cross-origin requests (stack.md, 3), and once it is told to stop it
 * writes no more, not even the answer of a handler that has just committed. So TLS ends at
 * the gateway, bodies are bounded in sk_http_body.c, every option that matters is set, and a
 * stop first lets every request have its answer (sk_http_drain.c), before civetweb hears of it.
 *
 * A kept connection holds its worker until the next request or keep_alive_timeout_ms, and
 * who connects meanwhile waits for a free one. So a quarter of the workers is never given to
 * connections that only wait: an answer that finds the other three quarters so taken closes
 * its connection. Otherwise 32 idle connections of a proxy would hold up a probe of /healthz
 * or a burst of shoppers for as long as that.
 *
 * A worker has one request object, whose arena is reset and whose output buffer is kept
 * between requests: a request costs no malloc beyond what it allocates itself. The answer
 * leaves by one mg_write, which is one send(2), so that no delayed ACK waits for its end. */
#include "sk_http_internal.h"

#include <arpa/inet.h>
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <civetweb.h>

#include "sk_log.h"
#include "sk_time.h"

#define DEFAULT_TIMEOUT_MS 10000 /* where there is no configuration, as in tests */
#define DEFAULT_THREADS	   8
#define ALLOW_MAX_BYTES	   256
#define HEAD_MAX_BYTES	   "16384" /* SK_HEADER_MAX_BYTES, as civetweb takes it */
/* Well over what a proxy keeps a connection to us: whoever closes first must be the one that would
 * otherwise send a request into the other's closing, and a POST so lost is nobody's to repeat. */
#define KEEP_ALIVE_MS	   "20000"

/* ---- one request ---- */

/* Everything between the route and the handler, then the handler. */
static void run(struct sk_request *request)
{
	enum sk_status st = SK_OK;

	if (sk__guard_admit(request) && sk__body_take(request))
		st = request->route->row->handle(request, &request->reply, request->http->app);
	if (st != SK_OK)
		sk__reply_problem(request, st);
	if (request->reply.status == 403)
		sk__guard_record_refusal(request);
}

static const char *route_name(const struct sk_request *request)
{
	return request->route != NULL ? request->route->row->path : "unrouted";
}

/* What a handler must not leave: no answer, or one that did not fit. */
static void check_reply(struct sk_request *request)
{
	struct sk_reply *reply = &request->reply;

	if (reply->status != 0 && (reply->json == NULL || sk_buf_ok(&reply->json->buf)))
		return;
	sk_log(SK_LOG_ERROR, &request->context, "%s %s: no answer, or one over the limit",
	       request->method, route_name(request));
	sk__reply_refuse(request, 500, "internal", "the answer could not be written");
}

/* Routes are named by their rows: a path may hold a secret (a reset token). */
static void note_request(struct sk_request *request, int64_t began_us)
{
	int64_t took_us = sk_time_monotonic_us() - began_us;
	int status = request->reply.status;

	if (request->route != NULL) {
		sk_metric_add(request->route->answers[status / 100 % 6], 1);
		sk_metric_observe_us(request->route->duration, took_us);
	} else {
		sk_metric_add(request->http->unrouted, 1);
	}
	if (status >= 500 && request->context.error.status != SK_OK)
		sk_log_failure(SK_LOG_ERROR, &request->context, route_name(request));
	/* Reads that went well are in the metrics and in the gateway's log. */
	if (status >= 400 || sk__request_is_write(request))
		sk_log_access(&request->context, request->method, route_name(request), status,
			      took_us);
}

static void dispatch(struct sk_request *request)
{
	struct sk_buf allow;

	sk_buf_init(&allow, request->context.arena, ALLOW_MAX_BYTES);
	switch (sk__http_route(request->http->routes, request->http->routes_count, request,
			       &allow)) {
	case SK__MATCH_FOUND:
		run(request);
		break;
	case SK__MATCH_OTHER_METHOD:
		sk__reply_refuse(request, 405, "method_not_allowed", "the path has other methods");
		sk_reply_header(&request->reply, "Allow", sk_buf_text(&allow));
		break;
	case SK__MATCH_NONE:
		sk__reply_refuse(request, 404, "not_found", "there is no such path");
		break;
	}
	check_reply(request);
	sk__guard_write_limit(request);
}

/* ---- the answer ---- */

/* civetweb keeps a connection by HTTP/1.1's default or where the client says keep-alive;
 * our own header must say the same. HTTP/1.0 is always closed. */
static bool client_closes(struct sk_request *request)
{
	const char *connection = sk_request_header(request, "Connection");

	return strcmp(request->info->http_version, "1.1") != 0 ||
	       (connection != NULL && strcasestr(connection, "keep-alive") == NULL);
}

static void send_reply(struct sk_request *request)
{
	size_t len;
	const char *bytes = sk__reply_bytes(request, strcmp(request->method, "HEAD") == 0, &len);

	if (request->close)
		mg_disable_connection_keep_alive(request->connection);
	/* Where the client is gone the connection is too, and there is nobody to tell. */
	if (mg_write(request->connection, bytes, len) == (int)len && request->close)
		sk__body_linger(request);
}

/* ---- kept connections ---- */

static void end_idling(struct sk_request *request)
{
	if (request->idle)
		atomic_fetch_sub(&request->http->idle_count, 1);
	request->idle = false;
}

/* Whether the connection may wait for a next request after this answer. */
static bool begin_idling(struct sk_request *request)
{
	struct sk_http *http = request->http;

	request->idle = true;
	if (atomic_fetch_add(&http->idle_count, 1) < http->idle_max)
		return true;
	end_idling(request);
	return false;
}

/* ---- civetweb ---- */

static void begin_request(struct sk_request *request, struct mg_connection *connection)
{
	request->connection = connection;
	request->info = NULL;
	request->method = request->path = "";
	request->query = NULL;
	request->route = NULL;
	request->params_count = request->query_count = 0;
	request->body_expected = 0;
	request->body_taken = true;
	request->body = NULL;
	request->body_len = 0;
	request->json = NULL;
	request->counted = request->close = false;
	request->reply = (struct sk_reply) { .request = request };
	sk_context_reset(&request->context, request->http->timeout_ms);
	request->errors = (struct sk_field_errors) { .arena = request->context.arena };
}

/* The client's address: the gateway's word, where it is an address at all. */
static const char *client_address(struct sk_request *request)
{
	const char *told = sk_request_header(request, "X-Real-IP");
	unsigned char address[sizeof(struct in6_addr)];

	if (told == NULL ||
	    (inet_pton(AF_INET, told, address) != 1 && inet_pton(AF_INET6, told, address) != 1))
		told = request->info->remote_addr;
	return sk_arena_strdup(request->context.arena, told);
}

static void read_head(struct sk_request *request, const struct mg_request_info *info)
{
	const char *traceparent;

	request->info = info;
	request->method = info->request_method;
	request->path = info->local_uri_raw;
	request->query = info->query_string;
	traceparent = sk_request_header(request, "traceparent");
	if (traceparent != NULL)
		request->context.trace = sk_trace_continue(traceparent);
	request->context.actor.address = client_address(request);
}

static int on_request(struct mg_connection *connection)
{
	struct sk_request *request = mg_get_thread_pointer(connection);
	int64_t began_us = sk_time_monotonic_us();

	assert(request != NULL && request->magic == SK__REQUEST_MAGIC);
	assert(request->http->magic == SK__HTTP_MAGIC);
	end_idling(request);
	atomic_store(&request->waiter.place, SK__PLACE_BUSY);
	begin_request(request, connection);
	read_head(request, mg_get_request_info(connection));
	if (sk__guard_framing(request))
		dispatch(request);
	note_request(request, began_us);
	request->close |= client_closes(request) || atomic_load(&request->http->draining);
	sk__body_drop(request);
	request->close = request->close || !begin_idling(request);
	send_reply(request);
	if (!request->close)
		atomic_store(&request->waiter.place, SK__PLACE_NEXT);
	return request->reply.status;
}

/* What civetweb refuses by itself, before there is a request to speak of: the request's
 * fields, even civetweb's own, are not to be looked at. While we drain it may be a request of
 * which we let go half-way; without an answer its sender asks somewhere else. */
static int on_refusal(struct mg_connection *connection, int status, const char *message)
{
	struct sk_request *request = mg_get_thread_pointer(connection);

	(void)message;
	assert(request != NULL && request->magic == SK__REQUEST_MAGIC);
	begin_request(request, connection);
	request->close = true;
	mg_disable_connection_keep_alive(connection);
	if (atomic_load(&request->http->draining))
		return 0;
	if (status == 505)
		sk__reply_refuse(request, 505, "http_version", "HTTP/1.1 is spoken here");
	else
		sk__reply_refuse(request, 400, "malformed_request",
				 "the request cannot be read, or its head is over 16 KiB");
	sk_metric_add(request->http->unrouted, 1);
	send_reply(request);
	return 0;
}

static void set_place(const struct mg_connection *connection, enum sk__place place)
{
	struct sk_request *request = mg_get_thread_pointer(connection);

	assert(request != NULL && request->magic == SK__REQUEST_MAGIC);
	end_idling(request);
	atomic_store(&request->waiter.place, place);
}

static int on_connection(const struct mg_connection *connection, void **closure)
{
	(void)closure;
	set_place(connection, SK__PLACE_FIRST);
	return 0;
}

static void on_connection_closed(const struct mg_connection *connection)
{
	set_place(connection, SK__PLACE_NONE);
}

/* Workers and the thread that accepts: all of them wait for clients. */
static void *on_thread_start(const struct mg_context *server, int kind)
{
	struct sk_request *request = calloc(1, sizeof(*request));

	(void)kind;
	if (request == NULL)
		abort();
	request->magic = SK__REQUEST_MAGIC;
	request->http = mg_get_user_data(server);
	sk_context_init(&request->context, 0);
	sk__watch_add(request->http->watch, &request->waiter);
	return request;
}

static void on_thread_end(const struct mg_context *server, int kind, void *closure)
{
	struct sk_request *request = closure;

	(void)server;
	(void)kind;
	assert(request->magic == SK__REQUEST_MAGIC);
	sk__watch_remove(request->http->watch, &request->waiter);
	sk_context_release(&request->context);
	request->magic = 0;
	free(request->kept);
	free(request);
}

static int on_message(const struct mg_connection *connection, const char *message)
{
	(void)connection;
	sk_log(SK_LOG_WARN, NULL, "http: %s", message);
	return 1;
}

/* ---- life ---- */

static void make_route(struct sk_http *http, const struct sk_route *row)
{
	struct sk__route *route = &http->routes[http->routes_count++];
	struct sk_metrics *metrics = http->parts->metrics;
	struct sk_arena *arena = sk_arena_open(0);
	const char *labels;

	sk__route_init(route, row);
	for (int digit = 1; digit < 6; digit++) {
		labels = sk_arena_printf(arena, "method=\"%s\",route=\"%s\",status=\"%dxx\"",
					 row->method, row->path, digit);
		route->answers[digit] = sk_metrics_counter(metrics, "souk_http_requests_total",
							   "requests by route and status", labels);
	}
	route->answers[0] = route->answers[5];
	labels = sk_arena_printf(arena, "method=\"%s\",route=\"%s\"", row->method, row->path);
	route->duration = sk_metrics_histogram(metrics, "souk_http_request_seconds",
					       "time of a request, from its head to its answer",
					       labels);
	sk_arena_close(&arena);
}

static size_t count_rows(const struct sk_route *rows)
{
	size_t count = 0;

	while (rows != NULL && rows[count].method != NULL)
		count++;
	return count;
}

static void make_routes(struct sk_http *http)
{
	const struct sk_route *tables[] = { http->service->routes, SK__OWN_ROUTES };

	http->routes = calloc(count_rows(tables[0]) + count_rows(tables[1]) + 1,
			      sizeof(*http->routes));
	if (http->routes == NULL)
		abort();
	for (size_t i = 0; i < 2; i++)
		for (const struct sk_route *row = tables[i]; row != NULL && row->method != NULL;
		     row++)
			make_route(http, row);
	http->unrouted = sk_metrics_counter(http->parts->metrics, "souk_http_unrouted_total",
					    "requests that no route took", "");
}

static struct mg_context *start_server(struct sk_http *http, const char *listen,
				       const char *threads)
{
	const char *options[] = {
		"listening_ports",
		listen,
		"num_threads",
		threads,
		"connection_queue",
		"256",
		"listen_backlog",
		"1024",
		"enable_keep_alive",
		"yes",
		"keep_alive_timeout_ms",
		KEEP_ALIVE_MS,
		"tcp_nodelay",
		"1",
		"request_timeout_ms",
		"10000",
		"linger_timeout_ms",
		"500",
		"max_request_size",
		HEAD_MAX_BYTES,
		"decode_url",
		"no",
		"decode_query_string",
		"no",
		"enable_directory_listing",
		"no",
		"access_control_allow_origin",
		"",
		NULL,
	};
	struct mg_callbacks callbacks = {
		.begin_request = on_request,
		.http_error = on_refusal,
		.init_connection = on_connection,
		.connection_closed = on_connection_closed,
		.init_thread = on_thread_start,
		.exit_thread = on_thread_end,
		.log_message = on_message,
	};

	return mg_start(&callbacks, http, options);
}

static struct sk_http *make_http(const struct sk_service *service, struct sk_parts *parts,
				 void *app)
{
	struct sk_http *http = calloc(1, sizeof(*http));

	if (http == NULL)
		abort();
	http->magic = SK__HTTP_MAGIC;
	http->service = service;
	http->parts = parts;
	http->app = app;
	http->timeout_ms = parts->config != NULL ? sk_config_int(parts->config, "HTTP_TIMEOUT_MS")
						 : DEFAULT_TIMEOUT_MS;
	make_routes(http);
	http->watch = sk__watch_open();
	mg_init_library(0);
	return http;
}

enum sk_status sk_http_open(const struct sk_service *service, struct sk_parts *parts, void *app,
			    struct sk_http **out, struct sk_context *context)
{
	const char *listen = parts->config != NULL ? sk_config_text(parts->config, "HTTP_LISTEN")
						   : "";
	int64_t threads = parts->config != NULL ? sk_config_int(parts->config, "HTTP_THREADS")
						: DEFAULT_THREADS;
	struct sk_http *http = make_http(service, parts, app);

	http->turns = sk__turns_open((int)threads, parts->metrics);
	if (listen[0] == '\0')
		listen = sk_arena_printf(context->arena, "127.0.0.1:%d", service->port);
	http->idle_max = (int)(threads - (threads + 3) / 4);
	http->server = start_server(http, listen,
				    sk_arena_printf(context->arena, "%lld", (long long)threads));
	if (http->server == NULL) {
		sk_http_close(&http);
		return sk_fail(context, SK_UNAVAILABLE, "cannot_listen",
			       "cannot listen on %s (HTTP_LISTEN): is the port taken?", listen);
	}
	http->listener = sk__drain_find_listener(http->server);
	*out = http;
	return SK_OK;
}

void sk_http_close(struct sk_http **http_in)
{
	struct sk_http *http = *http_in;

	if (http == NULL)
		return;
	*http_in = NULL;
	assert(http->magic == SK__HTTP_MAGIC);
	if (http->server != NULL) {
		sk__drain(http);
		mg_stop(http->server);
	}
	sk__watch_close(&http->watch);
	sk__turns_close(&http->turns);
	mg_exit_library();
	free(http->routes);
	http->magic = 0;
	free(http);
}
