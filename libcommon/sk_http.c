/* The life of a request: from civetweb to our handler and back, in one place.
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
#include <time.h>

#include <civetweb.h>

#include "sk_crash.h"
#include "sk_log.h"
#include "sk_time.h"

#define ALLOW_MAX_BYTES 256

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

/* A stream asks the stores in its turn; that it is refused when there are too many costs none. */
static void run_live(struct sk_request *request)
{
	if (!sk__live_admit(request))
		return;
	run(request);
	sk__live_end_open(request->http->parts->live);
}

static void run_here(struct sk_request *request)
{
	bool live = (request->route->row->flags & SK_LIVE) != 0;

	if (live != request->listener->live)
		sk__reply_refuse(request, 421, "misdirected_request",
				 "the path is served on another port of this service");
	else if (live)
		run_live(request);
	else
		run(request);
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
		run_here(request);
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

void sk__end_idling(struct sk_request *request)
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
	sk__end_idling(request);
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
	request->counted = false;
	request->close = request->listener->live; /* streams end with their connection */
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

int sk__on_request(struct mg_connection *connection)
{
	struct sk_request *request = mg_get_thread_pointer(connection);
	int64_t began_us = sk_time_monotonic_us();

	assert(request != NULL && request->magic == SK__REQUEST_MAGIC);
	assert(request->http->magic == SK__HTTP_MAGIC);
	sk__end_idling(request);
	atomic_store(&request->waiter.place, SK__PLACE_BUSY);
	begin_request(request, connection);
	read_head(request, mg_get_request_info(connection));
	if (sk__guard_framing(request))
		dispatch(request);
	note_request(request, began_us);
	request->close |= client_closes(request) || atomic_load(&request->http->draining);
	sk__body_drop(request);
	request->close = request->close || !begin_idling(request);
	sk_crash_here(SK_CRASH_HTTP_BEFORE_REPLY);
	send_reply(request);
	sk__live_hand_over(request);
	if (!request->close)
		atomic_store(&request->waiter.place, SK__PLACE_NEXT);
	return request->reply.status;
}

/* What civetweb refuses by itself, before there is a request to speak of: the request's
 * fields, even civetweb's own, are not to be looked at. While we drain it may be a request of
 * which we let go half-way; without an answer its sender asks somewhere else. */
int sk__on_refusal(struct mg_connection *connection, int status, const char *message)
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
