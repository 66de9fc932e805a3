/* What every service serves beside its own routes. The gateway does not route these paths:
 * they are for the supervisor, for Prometheus and for people with a shell. */
#include "sk_http_internal.h"

#define METRICS_MAX_BYTES 1048576

/* The process lives: nothing is asked, so that a store that is down restarts nobody. */
static enum sk_status get_healthz(struct sk_request *request, struct sk_reply *reply, void *app)
{
	struct sk_json *json = sk_reply_json(reply, 200);

	(void)app;
	sk_json_begin_object(json, NULL);
	sk_json_text(json, "service", request->http->service->name);
	sk_json_bool(json, "alive", true);
	sk_json_end_object(json);
	return SK_OK;
}

/* One part's state, as {"ok": false, "detail": "..."}. */
static void write_part(struct sk_request *request, struct sk_json *json, const char *name,
		       enum sk_status st)
{
	sk_json_begin_object(json, name);
	sk_json_bool(json, "ok", st == SK_OK);
	if (st != SK_OK)
		sk_json_text(json, "detail", request->context.error.detail);
	sk_json_end_object(json);
	sk_context_clear_error(&request->context);
}

/* A store's state. False only until it was reached once: a service starts to serve when it has
 * all its stores, and goes on when one is gone, since that costs only what the store holds.
 * Were it not ready then, the gateway would take every replica away at once. */
static bool write_store(struct sk_request *request, struct sk_json *json, const char *name,
			unsigned bit, enum sk_status st)
{
	write_part(request, json, name, st);
	if (st == SK_OK)
		atomic_fetch_or(&request->http->reached, bit);
	return (atomic_load(&request->http->reached) & bit) != 0;
}

/* It can serve; otherwise 503. Either way it tells which store cannot be reached. */
static enum sk_status get_readyz(struct sk_request *request, struct sk_reply *reply, void *app)
{
	struct sk_parts *parts = request->http->parts;
	struct sk_context *context = &request->context;
	struct sk_json *json = sk_reply_json(reply, 200);
	bool ready = true;

	(void)app;
	sk_json_begin_object(json, NULL);
	sk_json_begin_object(json, "parts");
	if (parts->ready != NULL) {
		enum sk_status st = parts->ready(parts, context);

		write_part(request, json, "service", st);
		ready = st == SK_OK;
	}
	if (parts->pg != NULL)
		ready &= write_store(request, json, "postgresql", 1,
				     sk_pg_ping(parts->pg, context));
	if (parts->kv != NULL)
		ready &= write_store(request, json, "valkey", 2, sk_kv_ping(parts->kv, context));
	if (parts->cache != NULL && parts->cache != parts->kv)
		ready &= write_store(request, json, "valkey_cache", 4,
				     sk_kv_ping(parts->cache, context));
	if (parts->bus != NULL)
		ready &= write_store(request, json, "nats", 8, sk_bus_ping(parts->bus, context));
	sk_json_end_object(json);
	sk_json_bool(json, "ready", ready);
	sk_json_end_object(json);
	if (!ready) {
		reply->status = 503;
		sk_reply_header(reply, "Retry-After", "1");
	}
	return SK_OK;
}

static enum sk_status get_metrics(struct sk_request *request, struct sk_reply *reply, void *app)
{
	struct sk_buf metrics;

	(void)app;
	sk_buf_init(&metrics, request->context.arena, METRICS_MAX_BYTES);
	sk_metrics_write(request->http->parts->metrics, &metrics);
	if (!sk_buf_ok(&metrics))
		return sk_fail(&request->context, SK_INTERNAL, "internal",
			       "the metrics are over %d bytes", METRICS_MAX_BYTES);
	sk_reply_bytes(reply, 200, "text/plain; version=0.0.4; charset=utf-8",
		       sk_buf_text(&metrics), metrics.len);
	return SK_OK;
}

const struct sk_route SK__OWN_ROUTES[] = {
	{ .method = "GET", .path = "/healthz", .handle = get_healthz },
	{ .method = "GET", .path = "/readyz", .handle = get_readyz },
	{ .method = "GET", .path = "/metrics", .handle = get_metrics },
	{ .method = NULL },
};
