#include "order.h"

#include <stdlib.h>
#include <string.h>

#include "sk_audit.h"

static enum sk_status reply_order(struct sk_request *request, struct sk_reply *reply, int status,
				  const struct order *order, const char *access_token)
{
	struct sk_json *json;

	sk_reply_header(reply, "ETag",
			sk_arena_printf(sk_request_arena(request), "\"%s\"",
					order_tag(sk_request_arena(request), order->version)));
	sk_reply_header(reply, "Cache-Control", "private, no-store");
	json = sk_reply_json(reply, status);
	order_write(json, NULL, order, access_token);
	return SK_OK;
}

/* ---- placing ---- */

struct placing {
	struct order_service *service;
	struct order_draft draft;
};

/* The guest's cart, so that what is ordered can leave it; an account's is known by its id. */
static const char *cart_hash_of(struct sk_request *request)
{
	const char *token = sk_request_header(request, SK_CART_HEADER);

	if (*sk_request_actor(request)->account_id != '\0')
		return "";
	if (token == NULL)
		token = sk_request_cookie(request, SK_CART_COOKIE);
	return token == NULL ? "" : sk_token_hash(sk_request_arena(request), token);
}

static struct order new_order(struct sk_request *request, const struct order_draft *draft,
			      const char *access_token)
{
	struct sk_context *context = sk_request_context(request);
	char traceparent[SK_TRACEPARENT_BYTES];

	return (struct order) {
		.id = sk_id_make(context->arena),
		.status = ORDER_PENDING,
		.reason = "",
		.account_id = context->actor.account_id,
		.email = draft->email,
		.access_hash = access_token == NULL ? ""
						    : sk_token_hash(context->arena, access_token),
		.cart_hash = cart_hash_of(request),
		.provider = draft->provider,
		.token = draft->token,
		.payment_id = "",
		.version = 1,
		.status_version = 1,
		.traceparent = sk_arena_strdup(context->arena,
					       sk_trace_format(&context->trace, traceparent)),
	};
}

/* Prices, order, lines, event and audit entry, in the transaction of the Idempotency-Key. */
static enum sk_status place(struct sk_tx *tx, struct sk_request *request, struct sk_reply *reply,
			    void *arg)
{
	struct placing *placing = arg;
	struct sk_context *context = sk_request_context(request);
	struct sk_fields fields = sk_request_fields(request);
	bool guest = *context->actor.account_id == '\0';
	const char *access_token = guest ? sk_token_make(context->arena) : NULL;
	struct order order = new_order(request, &placing->draft, access_token);
	struct order_price *prices = NULL;
	struct order_moment moment;
	enum sk_status st = order_store_prices(tx, &placing->draft, &prices);

	if (st == SK_OK)
		st = order_draft_price(&fields, context, &placing->draft, prices, &order);
	if (st == SK_OK)
		st = order_place(tx, &order, order_patience_ms(&order, 0, placing->service));
	if (st == SK_OK) {
		moment = order_moment_placed(&order);
		st = order_remember(tx, placing->service, &order, &moment);
	}
	if (st == SK_OK)
		st = order_tell(tx, &order, ORDER_SEND_CREATED, NULL);
	if (st == SK_OK)
		st = sk_audit_action(tx, "order.placed", "order", order.id, order.number);
	if (st != SK_OK)
		return st;
	sk_reply_header(reply, "Location",
			sk_arena_printf(context->arena, "/v1/orders/%s", order.id));
	return reply_order(request, reply, 201, &order, access_token);
}

static enum sk_status post_order(struct sk_request *request, struct sk_reply *reply, void *app)
{
	struct placing placing = { .service = app };
	struct sk_fields fields = sk_request_fields(request);
	enum sk_status st = order_draft_decode(&fields, sk_request_context(request),
					       placing.service->providers, &placing.draft);

	if (st != SK_OK)
		return st;
	return sk_request_transact(request, reply, placing.service->parts->pg, place, &placing);
}

/* ---- reading ---- */

/* Another's order is not there, to whoever may not see it. */
static enum sk_status check_access(struct sk_request *request, const struct order_head *head)
{
	struct sk_arena *arena = sk_request_arena(request);
	const char *token = sk_request_query(request, "access_token");
	const char *hash = token == NULL ? NULL : sk_token_hash(arena, token);

	if (order_may_see(head, sk_request_actor(request), hash))
		return SK_OK;
	return sk_fail(sk_request_context(request), SK_NOT_FOUND, "order_not_found",
		       "there is no such order");
}

/* The order of the path, if the caller may see it. */
static enum sk_status find_order(struct sk_request *request, const struct order_service *service,
				 const char **id, struct order_head *head)
{
	enum sk_status st = sk_request_id(request, "id", id);

	if (st == SK_OK)
		st = order_store_head(service->parts->pg, sk_request_context(request), *id, head);
	return st == SK_OK ? check_access(request, head) : st;
}

static enum sk_status load_order(struct sk_request *request, struct order_service *service,
				 const char *id, int64_t *version, const char **body)
{
	struct sk_context *context = sk_request_context(request);
	struct sk_json json;
	struct order order;
	enum sk_status st;

	*body = order_cache_get(service->parts->cache, context, id, *version);
	if (*body != NULL)
		return SK_OK;
	st = order_store_read(service->parts->pg, context, id, &order);
	if (st != SK_OK)
		return st;
	sk_json_init(&json, context->arena, (size_t)SK_REPLY_MAX_BYTES);
	order_write(&json, NULL, &order, NULL);
	*version = order.version;
	*body = sk_buf_text(&json.buf);
	order_cache_put(service->parts->cache, context, &order, *body);
	return SK_OK;
}

static enum sk_status get_order(struct sk_request *request, struct sk_reply *reply, void *app)
{
	struct order_service *service = app;
	struct sk_arena *arena = sk_request_arena(request);
	struct order_head head;
	const char *id, *body;
	enum sk_status st = find_order(request, service, &id, &head);

	if (st == SK_OK)
		st = load_order(request, service, id, &head.version, &body);
	if (st != SK_OK)
		return st;
	sk_reply_header(reply, "Cache-Control", "private, no-cache");
	if (!sk_reply_etag(request, reply, order_tag(arena, head.version)))
		sk_reply_bytes(reply, 200, "application/json", body, strlen(body));
	return SK_OK;
}

/* ---- following ---- */

/* A cursor of the timeline is the version that stood last on the page. */
static enum sk_status decode_page(struct sk_request *request, struct order_moments_wanted *wanted)
{
	struct sk_page page;
	char *end = NULL;
	enum sk_status st = sk_request_page(request, &page);

	if (st != SK_OK)
		return st;
	wanted->limit = page.limit + 1; /* one more tells whether there is a next page */
	wanted->after = page.after != NULL ? strtoll(page.after, &end, 10) : 0;
	if (page.after != NULL && (end == page.after || *end != '\0'))
		return sk_fail(sk_request_context(request), SK_INVALID, "invalid_cursor",
			       "the cursor is not one of ours");
	return SK_OK;
}

static const char *cursor_after(struct sk_arena *arena, const struct order_moment *moment)
{
	return sk_cursor_make(arena, sk_arena_printf(arena, "%lld", (long long)moment->version));
}

/* GET /v1/orders/{id}/timeline: each step with its time, the oldest first. */
static enum sk_status get_timeline(struct sk_request *request, struct sk_reply *reply, void *app)
{
	struct order_service *service = app;
	struct order_moments_wanted wanted;
	struct order_moments moments;
	struct order_head head;
	const char *cursor = NULL;
	struct sk_json *json;
	enum sk_status st = decode_page(request, &wanted);

	if (st == SK_OK)
		st = find_order(request, service, &wanted.order_id, &head);
	if (st == SK_OK)
		st = order_store_moments(service->parts->pg, sk_request_context(request), &wanted,
					 &moments);
	if (st != SK_OK)
		return st;
	if (moments.count == wanted.limit) {
		moments.count--;
		cursor = cursor_after(sk_request_arena(request), &moments.list[moments.count - 1]);
	}
	sk_reply_header(reply, "Cache-Control", "private, no-store");
	json = sk_reply_json(reply, 200);
	sk_json_begin_list(json);
	for (int i = 0; i < moments.count; i++)
		order_moment_write(json, &moments.list[i]);
	sk_json_end_list(json, cursor);
	return SK_OK;
}

/* GET /v1/orders/{id}/events: the same, as it happens. A version that the order has not
 * reached cannot have come from here: such a client is told all. */
static enum sk_status get_events(struct sk_request *request, struct sk_reply *reply, void *app)
{
	struct order_service *service = app;
	struct order_moments_wanted from = { .limit = 0 };
	struct order_head head;
	enum sk_status st = sk_request_last_event_id(request, &from.after);

	if (st == SK_OK)
		st = find_order(request, service, &from.order_id, &head);
	if (st != SK_OK)
		return st;
	if (from.after > head.version)
		from.after = 0;
	order_follow(service, reply, &from);
	return SK_OK;
}

/* ---- lists ---- */

static enum sk_status decode_filter(struct sk_request *request, struct order_filter *filter)
{
	const struct sk_actor *actor = sk_request_actor(request);
	struct sk_page page;
	enum sk_status st = sk_request_page(request, &page);

	if (st != SK_OK)
		return st;
	*filter = (struct order_filter) {
		.account_id = sk_request_query(request, "account_id"),
		.email = sk_request_query(request, "email"),
		.status = sk_request_query(request, "status"),
		.before = page.after,
		.limit = page.limit + 1, /* one more tells whether there is a next page */
	};
	if (actor->role < SK_ROLE_STAFF) {
		filter->account_id = actor->account_id;
		filter->email = NULL;
	}
	if (filter->account_id != NULL && !sk_id_valid(filter->account_id))
		return sk_fail(sk_request_context(request), SK_INVALID, "invalid_query",
			       "account_id must be an id");
	if (filter->status != NULL && order_status_parse(filter->status) == ORDER_STATUSES)
		return sk_fail(sk_request_context(request), SK_INVALID, "invalid_query",
			       "status is none that an order can have");
	if (filter->before != NULL && !sk_id_valid(filter->before))
		return sk_fail(sk_request_context(request), SK_INVALID, "invalid_cursor",
			       "the cursor is not one of ours");
	return SK_OK;
}

/* GET /v1/orders: newest first; customers see their own. */
static enum sk_status get_orders(struct sk_request *request, struct sk_reply *reply, void *app)
{
	struct order_service *service = app;
	struct order_filter filter;
	struct orders orders;
	const char *cursor = NULL;
	struct sk_json *json;
	enum sk_status st = decode_filter(request, &filter);

	if (st == SK_OK)
		st = order_store_list(service->parts->pg, sk_request_context(request), &filter,
				      &orders);
	if (st != SK_OK)
		return st;
	if (orders.count == filter.limit) {
		orders.count--;
		cursor = sk_cursor_make(sk_request_arena(request),
					orders.list[orders.count - 1].id);
	}
	sk_reply_header(reply, "Cache-Control", "private, no-store");
	json = sk_reply_json(reply, 200);
	sk_json_begin_list(json);
	for (int i = 0; i < orders.count; i++)
		order_write(json, NULL, &orders.list[i], NULL);
	sk_json_end_list(json, cursor);
	return SK_OK;
}

/* ---- changing ---- */

/* The order of the path, held, if the caller may touch it and it is the one If-Match means. */
static enum sk_status hold_order(struct sk_tx *tx, struct sk_request *request, struct order *order)
{
	const char *id;
	enum sk_status st = sk_request_id(request, "id", &id);

	if (st == SK_OK)
		st = order_store_hold(tx, id, order);
	if (st == SK_OK)
		st = check_access(request,
				  &(struct order_head) { order->account_id, order->access_hash,
							 order->version });
	if (st == SK_OK)
		st = sk_request_if_match(request,
					 order_tag(sk_request_arena(request), order->version));
	return st;
}

static enum sk_status cancel(struct sk_tx *tx, struct sk_request *request, struct sk_reply *reply,
			     void *arg)
{
	bool staff = sk_request_actor(request)->role >= SK_ROLE_STAFF;
	struct order_fact fact = { .event = ORDER_CANCEL_ASKED,
				   .reason = staff ? "cancelled by the shop"
						   : "cancelled by the customer" };
	struct order order;
	int64_t version;
	enum sk_status st = hold_order(tx, request, &order);

	if (st != SK_OK)
		return st;
	version = order.version;
	st = order_advance(tx, arg, &order, &fact);
	if (st == SK_OK && order.version != version)
		st = sk_audit_action(tx, "order.cancelled", "order", order.id, order.number);
	if (st == SK_OK)
		st = order_store_details(tx, &order, 1);
	return st == SK_OK ? reply_order(request, reply, 200, &order, NULL) : st;
}

static enum sk_status post_cancel(struct sk_request *request, struct sk_reply *reply, void *app)
{
	struct order_service *service = app;

	return sk_request_transact(request, reply, service->parts->pg, cancel, service);
}

struct refunding {
	struct order_service *service;
	struct sk_money amount; /* minor 0: all that is left */
	const char *reason;
};

/* How much, if that may be. The table has the last word on the status. */
static enum sk_status refund_amount(struct sk_context *context, const struct refunding *refunding,
				    const struct order *order, int64_t *amount_minor)
{
	int64_t left = order_refundable_minor(order);
	char words[SK_MONEY_TEXT_BYTES];

	*amount_minor = refunding->amount.minor > 0 ? refunding->amount.minor : left;
	if (order->payment != ORDER_PAYMENT_CAPTURED)
		return sk_fail(context, SK_CONFLICT, "order_not_refundable",
			       "the order is %s and was not paid",
			       order_status_name(order->status));
	if (refunding->amount.minor > 0 && strcmp(refunding->amount.currency, order->currency) != 0)
		return sk_fail(context, SK_INVALID, "wrong_currency", "the order was paid in %s",
			       order->currency);
	if (*amount_minor > left || left == 0)
		return sk_fail(context, SK_CONFLICT, "refund_too_high", "%s are left to pay back",
			       sk_money_format(sk_money_of(left, order->currency), words));
	return SK_OK;
}

static enum sk_status refund(struct sk_tx *tx, struct sk_request *request, struct sk_reply *reply,
			     void *arg)
{
	struct refunding *refunding = arg;
	struct sk_context *context = sk_request_context(request);
	struct order_refund wanted = { .id = sk_id_make(context->arena),
				       .reason = refunding->reason,
				       .failure = "" };
	struct order_fact fact = { .event = ORDER_REFUND_ASKED, .refund = &wanted };
	struct order order;
	enum sk_status st = hold_order(tx, request, &order);

	if (st == SK_OK && order_next(order.status, fact.event).verdict == ORDER_GO)
		st = refund_amount(context, refunding, &order, &wanted.amount_minor);
	if (st == SK_OK)
		st = order_advance(tx, refunding->service, &order, &fact);
	if (st == SK_OK)
		st = sk_audit_action(tx, "order.refund_requested", "order", order.id, order.number);
	if (st != SK_OK)
		return st;
	order_write_refund(sk_reply_json(reply, 201), order.id, order.currency, &wanted);
	return SK_OK;
}

static enum sk_status post_refund(struct sk_request *request, struct sk_reply *reply, void *app)
{
	struct refunding refunding = { .service = app };
	struct sk_fields fields = sk_request_fields(request);
	enum sk_status st = order_refund_decode(&fields, sk_request_context(request),
						&refunding.amount, &refunding.reason);

	if (st != SK_OK)
		return st;
	return sk_request_transact(request, reply, refunding.service->parts->pg, refund,
				   &refunding);
}

/* GET /v1/orders/{id}/refunds: the oldest first. They are few: each takes a person. */
static enum sk_status get_refunds(struct sk_request *request, struct sk_reply *reply, void *app)
{
	struct order_service *service = app;
	struct order_refunds refunds;
	struct sk_json *json;
	const char *id;
	enum sk_status st = sk_request_id(request, "id", &id);

	if (st == SK_OK)
		st = order_store_refunds(service->parts->pg, sk_request_context(request), id,
					 &refunds);
	if (st != SK_OK)
		return st;
	sk_reply_header(reply, "Cache-Control", "private, no-store");
	json = sk_reply_json(reply, 200);
	sk_json_begin_list(json);
	for (int i = 0; i < refunds.count; i++)
		order_write_refund(json, id, refunds.currency, &refunds.list[i]);
	sk_json_end_list(json, NULL);
	return SK_OK;
}

const struct sk_route ORDER_ROUTES[] = {
	{ "POST", "/v1/orders", post_order, SK_GUEST,
	  SK_BODY_JSON | SK_IDEMPOTENT | SK_KEY_REQUIRED, ORDER_BODY_MAX_BYTES, NULL },
	{ "GET", "/v1/orders", get_orders, SK_CUSTOMER, 0, 0, NULL },
	{ "GET", "/v1/orders/{id}", get_order, SK_GUEST, 0, 0, NULL },
	{ "GET", "/v1/orders/{id}/timeline", get_timeline, SK_GUEST, 0, 0, NULL },
	{ "GET", "/v1/orders/{id}/events", get_events, SK_GUEST, SK_LIVE, 0, NULL },
	{ "POST", "/v1/orders/{id}/cancel", post_cancel, SK_GUEST, SK_IDEMPOTENT, 0, NULL },
	{ "POST", "/v1/orders/{id}/refunds", post_refund, SK_STAFF, SK_BODY_JSON | SK_IDEMPOTENT, 0,
	  NULL },
	{ "GET", "/v1/orders/{id}/refunds", get_refunds, SK_STAFF, 0, 0, NULL },
	{ NULL, NULL, NULL, SK_OPEN, 0, 0, NULL },
};
