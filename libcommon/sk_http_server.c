/* The server: civetweb's options, its threads, its start and its end.
 *
 * civetweb 1.15 as Debian builds it has no TLS with OpenSSL 3, no bound on bodies, a
 * permissive default for cross-origin requests (stack.md, 3), and once it is told to stop it
 * writes no more, not even the answer of a handler that has just committed. So TLS ends at
 * the gateway, bodies are bounded in sk_http_body.c, every option that matters is set, and a
 * stop first lets every request have its answer (sk_http_drain.c), before civetweb hears of it.
 *
 * There are two of it where a service has rows with SK_LIVE. When hundreds of clients come back
 * at once, after a restart of the gateway, they queue up there, and not before the workers that
 * answer requests. */
#include "sk_http_internal.h"

#include <assert.h>
#include <stdlib.h>

#include <civetweb.h>

#include "sk_log.h"

#define DEFAULT_TIMEOUT_MS 10000 /* where there is no configuration, as in tests */
#define DEFAULT_THREADS	   8
#define LIVE_THREADS	   8	   /* a stream has one until its head is sent */
#define HEAD_MAX_BYTES	   "16384" /* SK_HEADER_MAX_BYTES, as civetweb takes it */

/* Well over what a proxy keeps a connection to us: whoever closes first must be the one that would
 * otherwise send a request into the other's closing, and a POST so lost is nobody's to repeat. */
#define KEEP_ALIVE_MS "20000"

/* ---- threads ---- */

/* Workers and the thread that accepts: all of them wait for clients. */
static void *on_thread_start(const struct mg_context *server, int kind)
{
	const struct sk__listener *listener = mg_get_user_data(server);
	struct sk_request *request = calloc(1, sizeof(*request));

	(void)kind;
	if (request == NULL)
		abort();
	request->magic = SK__REQUEST_MAGIC;
	request->listener = listener;
	request->http = listener->http;
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

static void set_place(const struct mg_connection *connection, enum sk__place place)
{
	struct sk_request *request = mg_get_thread_pointer(connection);

	assert(request != NULL && request->magic == SK__REQUEST_MAGIC);
	sk__end_idling(request);
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

static int on_message(const struct mg_connection *connection, const char *message)
{
	(void)connection;
	sk_log(SK_LOG_WARN, NULL, "http: %s", message);
	return 1;
}

/* ---- routes ---- */

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

/* ---- start ---- */

/* threads connections at the same time; one that is kept alive between requests holds its
 * thread. */
static struct mg_context *start_server(struct sk__listener *listener, const char *listen,
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
		listener->live ? "no" : "yes",
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
		.begin_request = sk__on_request,
		.http_error = sk__on_refusal,
		.init_connection = on_connection,
		.connection_closed = on_connection_closed,
		.init_thread = on_thread_start,
		.exit_thread = on_thread_end,
		.log_message = on_message,
	};

	return mg_start(&callbacks, listener, options);
}

/* A setting, or what it is without a configuration. */
static int64_t setting(const struct sk_parts *parts, const char *name, int64_t fallback)
{
	return parts->config != NULL ? sk_config_int(parts->config, name) : fallback;
}

static enum sk_status start_listener(struct sk__listener *listener, const char *variable, int port,
				     int64_t threads, struct sk_context *context)
{
	const struct sk_config *config = listener->http->parts->config;
	const char *listen = config != NULL ? sk_config_text(config, variable) : "";

	if (listen[0] == '\0')
		listen = sk_arena_printf(context->arena, "127.0.0.1:%d", port);
	listener->server = start_server(
		listener, listen, sk_arena_printf(context->arena, "%lld", (long long)threads));
	if (listener->server == NULL)
		return sk_fail(context, SK_UNAVAILABLE, "cannot_listen",
			       "cannot listen on %s (%s): is the port taken?", listen, variable);
	listener->socket = sk__drain_find_listener(listener->server);
	return SK_OK;
}

static enum sk_status start_live(struct sk_http *http, struct sk_context *context)
{
	assert(http->service->live_port != 0); /* a declaration is not complete without it */
	sk__live_allow_files(setting(http->parts, "LIVE_MAX_OPEN", 0));
	return start_listener(&http->live, "LIVE_LISTEN", http->service->live_port, LIVE_THREADS,
			      context);
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
	http->timeout_ms = setting(parts, "HTTP_TIMEOUT_MS", DEFAULT_TIMEOUT_MS);
	http->plain = (struct sk__listener) { .http = http, .socket = -1 };
	http->live = (struct sk__listener) { .http = http, .socket = -1, .live = true };
	make_routes(http);
	http->watch = sk__watch_open();
	mg_init_library(0);
	return http;
}

enum sk_status sk_http_open(const struct sk_service *service, struct sk_parts *parts, void *app,
			    struct sk_http **out, struct sk_context *context)
{
	int64_t threads = setting(parts, "HTTP_THREADS", DEFAULT_THREADS);
	struct sk_http *http = make_http(service, parts, app);
	enum sk_status st;

	http->turns = sk__turns_open((int)threads, parts->metrics);
	http->idle_max = (int)(threads - (threads + 3) / 4);
	st = start_listener(&http->plain, "HTTP_LISTEN", service->port, threads, context);
	if (st == SK_OK && parts->live != NULL)
		st = start_live(http, context);
	if (st != SK_OK)
		sk_http_close(&http);
	*out = http;
	return st;
}

/* ---- stop ---- */

static void stop_servers(struct sk_http *http)
{
	sk__drain(http);
	if (http->parts->live != NULL)
		sk__live_end_all(http->parts->live);
	if (http->live.server != NULL)
		mg_stop(http->live.server);
	mg_stop(http->plain.server);
}

void sk_http_close(struct sk_http **http_in)
{
	struct sk_http *http = *http_in;

	if (http == NULL)
		return;
	*http_in = NULL;
	assert(http->magic == SK__HTTP_MAGIC);
	if (http->plain.server != NULL)
		stop_servers(http);
	sk__watch_close(&http->watch);
	sk__turns_close(&http->turns);
	mg_exit_library();
	free(http->routes);
	http->magic = 0;
	free(http);
}
