/* The server: from civetweb's request to our handler and back, in one place.
 *
 * civetweb 1.15 as Debian builds it has no TLS with OpenSSL 3, no bound on bodies, and a
 * permissive default for cross-origin requests (stack.md, 3). So TLS ends at the
 * gateway, bodies are bounded here, every option that matters is set, and a request that two
 * parsers could read differently (two lengths, a length and chunks) is refused.
 *
 * A worker has one context, whose arena is reset between requests: a request costs no
 * malloc beyond what it allocates itself. */
#include "sk_http_internal.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <civetweb.h>

#include "sk_auth.h"
#include "sk_log.h"
#include "sk_time.h"

#define HTTP_MAGIC 0x68747470u
#define METRICS_MAX_BYTES (1024 * 1024)
#define READ_CHUNK_BYTES (16 * 1024)

struct sk_http {
	unsigned magic;
	const struct sk_service *service;
	struct sk_parts *parts;
	void *app;
	int64_t timeout_ms;
	struct mg_context *server;
	struct sk__route *routes;
	int routes_count;
	struct sk_metric *unrouted;
};

/* ---- what each request is checked for ---- */

static bool is_write(const struct sk_request *request)
{
	return strcmp(request->method, "GET") != 0 && strcmp(request->method, "HEAD") != 0;
}

/* The host of "https://host:port", compared with the one we were asked under. */
static bool same_host(const char *origin, const char *host)
{
	const char *at = origin != NULL ? strstr(origin, "://") : NULL;

	return at != NULL && host != NULL && strcasecmp(at + 3, host) == 0;
}

/* A browser sends cookies with requests that another site made it send. A write by cookie
 * must show that it comes from our own pages: by what browsers tell of its origin, or by a
 * header that only a script of ours can set. */
static bool shows_own_origin(struct sk_request *request)
{
	const char *site = sk_request_header(request, "Sec-Fetch-Site");
	const char *origin = sk_request_header(request, "Origin");

	if (sk_request_header(request, "X-Souk-CSRF") != NULL)
		return true;
	if (site != NULL)
		return strcmp(site, "same-origin") == 0 || strcmp(site, "none") == 0;
	return same_host(origin, sk_request_header(request, "X-Forwarded-Host")) ||
	       same_host(origin, sk_request_header(request, "Host"));
}

/* The token of the request, NULL without one; *by_cookie says where it was. */
static const char *find_token(struct sk_request *request, bool *by_cookie)
{
	const char *header = sk_request_header(request, "Authorization");
	const char *cookie;

	*by_cookie = false;
	if (header != NULL && strncasecmp(header, "Bearer ", 7) == 0)
		return header + 7;
	cookie = sk_request_cookie(request, SK_SESSION_COOKIE);
	*by_cookie = cookie != NULL;
	return cookie;
}

static enum sk_role least_role(enum sk_route_access access)
{
	switch (access) {
	case SK_OPEN:
	case SK_GUEST:
		return SK_ROLE_NONE;
	case SK_CUSTOMER:
		return SK_ROLE_CUSTOMER;
	case SK_STAFF:
		return SK_ROLE_STAFF;
	case SK_ADMIN:
		return SK_ROLE_ADMIN;
	}
	return SK_ROLE_ADMIN;
}

static enum sk_status authenticate(struct sk_request *request)
{
	const struct sk_route *row = request->route->row;
	struct sk_context *context = &request->context;
	const char *address = context->actor.address, *token;
	bool by_cookie;
	enum sk_status st;

	if (row->access == SK_OPEN || (row->flags & SK_ACCESS_BY_HANDLER) != 0)
		return SK_OK;
	token = find_token(request, &by_cookie);
	if (token == NULL)
		return row->access == SK_GUEST ?
			       SK_OK :
			       sk_fail(context, SK_UNAUTHENTICATED, "no_token", "a session is required");
	st = sk_auth_actor(request->http->parts->kv, request->http->parts->bus, context, token);
	context->actor.address = address;
	if (st != SK_OK)
		return st;
	if (by_cookie && is_write(request) && !shows_own_origin(request))
		return sk_fail(context, SK_FORBIDDEN, "csrf",
			       "a write by cookie must come from the shop's own pages");
	if (context->actor.role < least_role(row->access))
		return sk_fail(context, SK_FORBIDDEN, "forbidden", "the role %s does not suffice",
			       sk_role_name(context->actor.role));
	return SK_OK;
}

static void write_limit(struct sk_request *request, const struct sk_ratelimit_class *limit,
			const struct sk_ratelimit_verdict *verdict)
{
	struct sk_arena *arena = request->context.arena;

	sk_reply_header(&request->reply, "RateLimit-Limit", sk_arena_printf(arena, "%d", limit->burst));
	sk_reply_header(&request->reply, "RateLimit-Remaining",
			sk_arena_printf(arena, "%d", verdict->remaining));
	sk_reply_header(&request->reply, "RateLimit-Reset", sk_arena_printf(arena, "%d", verdict->reset_s));
}

static enum sk_status count_request(struct sk_request *request, struct sk_ratelimit_verdict *verdict)
{
	const struct sk_ratelimit_class *limit = request->route->row->limit;

	verdict->allowed = true;
	if (limit == NULL || request->http->parts->ratelimiter == NULL)
		return SK_OK;
	*verdict = sk_ratelimit_take(request->http->parts->ratelimiter, &request->context, limit,
				     request->context.actor.address);
	if (verdict->allowed)
		return SK_OK;
	request->context.error.retry_after_s = verdict->retry_after_s;
	return sk_fail(&request->context, SK_TOO_MANY, "too_many_requests",
		       "too many requests; try again in %d s", verdict->retry_after_s);
}

/* ---- the body ---- */

/* Lengths that another parser could read differently are a smuggled request. */
static bool ambiguous_length(const struct mg_request_info *info)
{
	int lengths = 0, encodings = 0;

	for (int i = 0; i < info->num_headers; i++) {
		lengths += strcasecmp(info->http_headers[i].name, "Content-Length") == 0;
		encodings += strcasecmp(info->http_headers[i].name, "Transfer-Encoding") == 0;
	}
	return lengths > 1 || encodings > 1 || (lengths > 0 && encodings > 0);
}

static enum sk_status too_large(struct sk_request *request, size_t max)
{
	request->close = true; /* the rest is not read */
	return sk_fail(&request->context, SK_TOO_LARGE, "body_too_large", "at most %zu bytes", max);
}

/* Reads up to max bytes; one more is refused. */
static enum sk_status read_body(struct sk_request *request, const struct mg_request_info *info,
				size_t max)
{
	struct sk_buf body;
	char chunk[READ_CHUNK_BYTES];
	int got;

	if (ambiguous_length(info)) {
		request->close = true;
		return sk_fail(&request->context, SK_MALFORMED, "ambiguous_length",
			       "the length of the body is told twice");
	}
	if (info->content_length > 0 && (unsigned long long)info->content_length > max)
		return too_large(request, max);
	sk_buf_init(&body, request->context.arena, max);
	while ((got = mg_read(request->connection, chunk, sizeof(chunk))) > 0) {
		sk_buf_put(&body, chunk, (size_t)got);
		if (!sk_buf_ok(&body))
			return too_large(request, max);
	}
	if (got < 0 || (info->content_length > 0 && body.len < (size_t)info->content_length)) {
		request->close = true;
		return sk_fail(&request->context, SK_MALFORMED, "incomplete_body", "the body was cut off");
	}
	request->body = sk_buf_text(&body);
	request->body_len = body.len;
	return SK_OK;
}

static bool says_json(struct sk_request *request)
{
	const char *type = sk_request_header(request, "Content-Type");

	return type == NULL || strncasecmp(type, "application/json", 16) == 0;
}

/* ---- one request ---- */

/* Everything between the route and the handler, then the handler. */
static enum sk_status run(struct sk_request *request, const struct mg_request_info *info)
{
	const struct sk_route *row = request->route->row;
	struct sk_ratelimit_verdict verdict = { .allowed = true };
	enum sk_status st = count_request(request, &verdict);

	if (st == SK_OK)
		st = sk__request_parse_query(request);
	if (st == SK_OK)
		st = authenticate(request);
	if (st == SK_OK && is_write(request))
		st = read_body(request, info, row->body_max_bytes > 0 ? row->body_max_bytes : SK_BODY_MAX_BYTES);
	if (st == SK_OK && (row->flags & SK_BODY_JSON) != 0) {
		if (!says_json(request)) {
			sk__reply_refuse(request, 415, "unsupported_media_type",
					 "the body must be application/json");
			return SK_OK;
		}
		st = sk_json_parse(&request->context, request->body, request->body_len, &request->json);
	}
	if (st == SK_OK)
		st = row->handle(request, &request->reply, request->http->app);
	if (st != SK_OK)
		sk__reply_problem(request, st);
	if (row->limit != NULL && request->http->parts->ratelimiter != NULL)
		write_limit(request, row->limit, &verdict);
	return st;
}

/* What a handler must not leave: no answer, or one that did not fit. */
static void check_reply(struct sk_request *request)
{
	struct sk_reply *reply = &request->reply;

	if (reply->status == 0 || (reply->json != NULL && !sk_buf_ok(&reply->json->buf))) {
		sk_log(SK_LOG_ERROR, &request->context, "%s %s: no answer, or one over the limit",
		       request->method, request->path);
		sk__reply_refuse(request, 500, "internal", "the answer could not be written");
	}
}

static void log_request(struct sk_request *request, enum sk_status st, int64_t began_us)
{
	int64_t took_us = sk_time_monotonic_us() - began_us;
	int status = request->reply.status;

	if (request->route != NULL) {
		sk_metric_add(request->route->answers[status / 100 % 6], 1);
		sk_metric_observe_us(request->route->duration, took_us);
	} else {
		sk_metric_add(request->http->unrouted, 1);
	}
	if (status >= 500)
		sk_log_failure(SK_LOG_ERROR, &request->context, request->path);
	/* Reads that went well are in the metrics and in the gateway's log. */
	if (is_write(request) || status >= 400)
		sk_log_access(&request->context, request->method,
			      request->route != NULL ? request->route->row->path : "unrouted", status,
			      took_us);
	(void)st;
}

static void answer(struct sk_request *request)
{
	bool head_only = strcmp(request->method, "HEAD") == 0;
	const char *connection = sk_request_header(request, "Connection");
	const char *bytes;
	size_t len;

	/* civetweb itself closes after a 401. */
	if (request->reply.status == 401 || (connection != NULL && strcasecmp(connection, "close") == 0))
		request->close = true;
	bytes = sk__reply_bytes(request, head_only, &len);
	if (request->close)
		mg_disable_connection_keep_alive(request->connection);
	if (mg_write(request->connection, bytes, len) < 0)
		request->close = true; /* the client is gone */
}

/* ---- what every service has beside its routes ---- */

static void write_part(struct sk_json *json, const char *name, enum sk_status st,
		       const struct sk_context *context, bool *all)
{
	sk_json_begin_object(json, name);
	sk_json_bool(json, "ok", st == SK_OK);
	if (st != SK_OK)
		sk_json_text(json, "detail", context->error.detail);
	sk_json_end_object(json);
	*all = *all && st == SK_OK;
}

static void serve_readyz(struct sk_request *request)
{
	struct sk_parts *parts = request->http->parts;
	struct sk_context *context = &request->context;
	struct sk_json *json = sk_reply_json(&request->reply, 200);
	bool all = true;

	sk_json_begin_object(json, NULL);
	sk_json_begin_object(json, "parts");
	if (parts->ready != NULL)
		write_part(json, "service", parts->ready(parts, context), context, &all);
	sk_context_clear_error(context);
	if (parts->pg != NULL)
		write_part(json, "postgresql", sk_pg_ping(parts->pg, context), context, &all);
	sk_context_clear_error(context);
	if (parts->kv != NULL)
		write_part(json, "valkey", sk_kv_ping(parts->kv, context), context, &all);
	sk_context_clear_error(context);
	if (parts->bus != NULL)
		write_part(json, "nats", sk_bus_ping(parts->bus, context), context, &all);
	sk_context_clear_error(context);
	sk_json_end_object(json);
	sk_json_bool(json, "ready", all);
	sk_json_end_object(json);
	request->reply.status = all ? 200 : 503;
}

/* Whether the path was one of these. */
static bool serve_own(struct sk_request *request)
{
	struct sk_buf metrics;

	if (strcmp(request->path, "/healthz") == 0) {
		sk_reply_bytes(&request->reply, 200, "application/json", "{\"alive\":true}", 14);
	} else if (strcmp(request->path, "/readyz") == 0) {
		serve_readyz(request);
	} else if (strcmp(request->path, "/metrics") == 0) {
		sk_buf_init(&metrics, request->context.arena, METRICS_MAX_BYTES);
		sk_metrics_write(request->http->parts->metrics, &metrics);
		sk_reply_bytes(&request->reply, 200, "text/plain; version=0.0.4", sk_buf_text(&metrics),
			       metrics.len);
	} else {
		return false;
	}
	return true;
}

static void dispatch(struct sk_request *request, const struct mg_request_info *info)
{
	int64_t began_us = sk_time_monotonic_us();
	struct sk_buf allow;
	enum sk_status st = SK_OK;

	sk_buf_init(&allow, request->context.arena, 256);
	switch (sk__http_route(request->http->routes, request->http->routes_count, request, &allow)) {
	case SK__MATCH_FOUND:
		st = run(request, info);
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
	log_request(request, st, began_us);
}

/* ---- civetweb ---- */

static void begin_context(struct sk_request *request, const struct mg_request_info *info)
{
	const char *address = sk_request_header(request, "X-Real-IP");

	sk_context_reset(&request->context, request->http->timeout_ms);
	request->context.trace = sk_trace_continue(sk_request_header(request, "traceparent"));
	request->context.actor.address =
		sk_arena_strdup(request->context.arena, address != NULL ? address : info->remote_addr);
	request->errors = (struct sk_field_errors){ .arena = request->context.arena };
}

static int on_request(struct mg_connection *connection)
{
	const struct mg_request_info *info = mg_get_request_info(connection);
	struct sk_request *request = mg_get_thread_pointer(connection);

	assert(request != NULL && request->magic == SK__REQUEST_MAGIC);
	request->connection = connection;
	request->http = mg_get_user_data(mg_get_context(connection));
	assert(request->http->magic == HTTP_MAGIC);
	request->method = info->request_method;
	request->path = info->local_uri_raw;
	request->query = info->query_string;
	request->route = NULL;
	request->params_count = request->query_count = 0;
	request->body = NULL;
	request->body_len = 0;
	request->json = NULL;
	request->close = strcmp(info->http_version, "1.1") != 0;
	request->reply = (struct sk_reply){ .request = request };
	begin_context(request, info);
	if (!serve_own(request))
		dispatch(request, info);
	answer(request);
	return request->reply.status;
}

static void *on_thread_start(const struct mg_context *server, int kind)
{
	struct sk_request *request;

	(void)server;
	if (kind != 1)
		return NULL; /* not a worker */
	request = calloc(1, sizeof(*request));
	if (request == NULL)
		abort();
	request->magic = SK__REQUEST_MAGIC;
	sk_context_init(&request->context, 0);
	return request;
}

static void on_thread_end(const struct mg_context *server, int kind, void *closure)
{
	struct sk_request *request = closure;

	(void)server;
	if (kind != 1 || request == NULL)
		return;
	sk_context_release(&request->context);
	request->magic = 0;
	free(request);
}

static int on_message(const struct mg_connection *connection, const char *message)
{
	(void)connection;
	sk_log(SK_LOG_WARN, NULL, "http: %s", message);
	return 1;
}

/* ---- life ---- */

static void make_route(struct sk_http *http, struct sk__route *route, const struct sk_route *row)
{
	struct sk_metrics *metrics = http->parts->metrics;
	char labels[160];

	route->row = row;
	for (int digit = 1; digit < 6; digit++) {
		snprintf(labels, sizeof(labels), "method=\"%s\",route=\"%s\",status=\"%dxx\"", row->method,
			 row->path, digit);
		route->answers[digit] = sk_metrics_counter(metrics, "souk_http_requests_total",
							   "requests by route and status", labels);
	}
	route->answers[0] = route->answers[5];
	snprintf(labels, sizeof(labels), "method=\"%s\",route=\"%s\"", row->method, row->path);
	route->duration = sk_metrics_histogram(metrics, "souk_http_request_seconds",
					       "time of a request, from its head to its answer", labels);
}

static void make_routes(struct sk_http *http)
{
	const struct sk_route *rows = http->service->routes;

	while (rows != NULL && rows[http->routes_count].method != NULL)
		http->routes_count++;
	http->routes = calloc((size_t)http->routes_count + 1, sizeof(*http->routes));
	if (http->routes == NULL)
		abort();
	for (int i = 0; i < http->routes_count; i++)
		make_route(http, &http->routes[i], &rows[i]);
	http->unrouted = sk_metrics_counter(http->parts->metrics, "souk_http_unrouted_total",
					    "requests that no route took", "");
}

static struct mg_context *start_server(struct sk_http *http, const char *listen, const char *threads)
{
	const char *options[] = {
		"listening_ports", listen,
		"num_threads", threads,
		"connection_queue", "256",
		"listen_backlog", "1024",
		"enable_keep_alive", "yes",
		"keep_alive_timeout_ms", "5000",
		"tcp_nodelay", "1",
		"request_timeout_ms", "10000",
		"linger_timeout_ms", "500",
		"max_request_size", "16384",
		"decode_url", "no",
		"decode_query_string", "no",
		"enable_directory_listing", "no",
		"access_control_allow_origin", "",
		NULL,
	};
	struct mg_callbacks callbacks = {
		.begin_request = on_request,
		.init_thread = on_thread_start,
		.exit_thread = on_thread_end,
		.log_message = on_message,
	};

	return mg_start(&callbacks, http, options);
}

enum sk_status sk_http_open(const struct sk_service *service, struct sk_parts *parts, void *app,
			    struct sk_http **out, struct sk_context *context)
{
	const char *listen = parts->config != NULL ? sk_config_text(parts->config, "HTTP_LISTEN") : "";
	struct sk_http *http = calloc(1, sizeof(*http));

	if (http == NULL)
		abort();
	if (listen[0] == '\0')
		listen = sk_arena_printf(context->arena, "127.0.0.1:%d", service->port);
	http->magic = HTTP_MAGIC;
	http->service = service;
	http->parts = parts;
	http->app = app;
	http->timeout_ms = parts->config != NULL ? sk_config_int(parts->config, "HTTP_TIMEOUT_MS") : 10000;
	make_routes(http);
	mg_init_library(0);
	http->server = start_server(
		http, listen,
		parts->config != NULL ?
			sk_kv_number(context->arena, sk_config_int(parts->config, "HTTP_THREADS")) :
			"8");
	if (http->server == NULL) {
		sk_http_close(&http);
		return sk_fail(context, SK_UNAVAILABLE, "cannot_listen",
			       "cannot listen on %s (HTTP_LISTEN): is the port taken?", listen);
	}
	*out = http;
	return SK_OK;
}

void sk_http_close(struct sk_http **http_in)
{
	struct sk_http *http = *http_in;

	if (http == NULL)
		return;
	*http_in = NULL;
	assert(http->magic == HTTP_MAGIC);
	if (http->server != NULL)
		mg_stop(http->server); /* waits for the requests under way */
	mg_exit_library();
	free(http->routes);
	http->magic = 0;
	free(http);
}
