#include "cart.h"

#include <string.h>

/* Per client address: what a hasty shopper with several tabs does, and not what a robot does. */
static const struct sk_ratelimit_class WRITES = { "cart-write", 1200, 300 };

/* ---- whose, and with which conditions ---- */

static struct cart_owner owner_of(struct sk_request *request)
{
	const char *token = sk_request_header(request, SK_CART_HEADER);

	if (token == NULL)
		token = sk_request_cookie(request, SK_CART_COOKIE);
	return cart_owner_of(sk_request_arena(request), sk_request_actor(request)->account_id,
			     token);
}

/* The owner of a cart that is about to get its first item. A guest's token that we know
 * nothing of is kept: its cart may have expired, and two requests may be under way with it. */
static struct cart_owner owner_for_adding(struct sk_request *request)
{
	struct cart_owner owner = owner_of(request);
	struct sk_arena *arena = sk_request_arena(request);

	return owner.key != NULL ? owner : cart_owner_of(arena, "", sk_token_make(arena));
}

static enum sk_status write_of(struct sk_request *request, const struct cart_owner *owner,
			       struct cart_write *write)
{
	*write = (struct cart_write) {
		.owner = owner,
		.if_match = sk_request_header(request, "If-Match"),
	};
	return sk_request_idempotency_key(request, &write->idempotency_key);
}

/* ---- encoding ---- */

static void encode_line(struct sk_json *json, const struct cart_line *line)
{
	struct sk_money total;
	int64_t available;

	sk_json_begin_object(json, NULL);
	sk_json_text(json, "sku", line->sku);
	sk_json_text(json, "title", line->title);
	sk_json_int(json, "quantity", line->quantity);
	if (cart_line_total(line, &total)) {
		sk_json_money(json, "unit_price", line->price);
		sk_json_money(json, "line_total", total);
	} else {
		sk_json_null(json, "unit_price");
		sk_json_null(json, "line_total");
	}
	if (cart_line_available(line, &available))
		sk_json_int(json, "available", available);
	else
		sk_json_null(json, "available");
	sk_json_end_object(json);
}

static void encode_cart(struct sk_json *json, const struct cart_service *service,
			const struct cart *cart, int64_t now_us)
{
	int64_t used_us = cart->then_us != 0 ? cart->then_us : now_us;
	struct sk_money subtotal;

	sk_json_text(json, "id", cart->id);
	sk_json_begin_array(json, "items");
	for (size_t i = 0; i < cart->count; i++)
		encode_line(json, &cart->lines[i]);
	sk_json_end_array(json);
	if (cart_subtotal(cart, sk_config_text(service->parts->config, "CART_CURRENCY"), &subtotal))
		sk_json_money(json, "subtotal", subtotal);
	else
		sk_json_null(json, "subtotal");
	sk_json_time(json, "expires_at",
		     cart->id == NULL ? 0 : used_us + CART_TTL_S * SK_SECOND_US);
}

/* token: what the guest shall keep; "" says nothing of it. The ETag is the version that
 * If-Match takes; it is no validator for a cache, since prices change without it. */
static enum sk_status reply_cart(struct sk_request *request, struct sk_reply *reply,
				 const struct cart_service *service, const struct cart *cart,
				 const char *token)
{
	struct sk_json *json;

	sk_reply_header(reply, "ETag",
			sk_arena_printf(sk_request_arena(request), "\"%s\"",
					cart_tag(sk_request_arena(request), cart)));
	sk_reply_header(reply, "Cache-Control", "no-store");
	if (*token != '\0')
		sk_reply_cookie(reply, SK_CART_COOKIE, token, CART_TTL_S);
	json = sk_reply_json(reply, 200);
	sk_json_begin_object(json, NULL);
	encode_cart(json, service, cart, sk_request_context(request)->now_us);
	if (*token != '\0')
		sk_json_text(json, "cart_token", token);
	sk_json_end_object(json);
	return SK_OK;
}

/* Nobody's cart is empty: nothing to change, and no token is made for it. */
static enum sk_status reply_empty_cart(struct sk_request *request, struct sk_reply *reply,
				       const struct cart_service *service)
{
	const struct cart none = { .id = NULL };
	enum sk_status st = sk_request_if_match(request,
						cart_tag(sk_request_arena(request), &none));

	return st == SK_OK ? reply_cart(request, reply, service, &none, "") : st;
}

/* ---- handlers ---- */

static enum sk_status get_cart(struct sk_request *request, struct sk_reply *reply, void *app)
{
	struct cart_service *service = app;
	struct cart_owner owner = owner_of(request);
	struct cart cart;
	enum sk_status st = cart_cache_load(service->parts->kv, sk_request_context(request), &owner,
					    &cart);

	return st == SK_OK ? reply_cart(request, reply, service, &cart, "") : st;
}

static void announce_put(struct sk_request *request, struct cart_service *service,
			 const struct cart_put *put, const struct cart_outcome *outcome)
{
	const struct sk_context *context = sk_request_context(request);
	const char *account_id = sk_request_actor(request)->account_id;
	struct cart_news news;

	if (outcome->opened) {
		news = cart_news_of(context, CART_NEWS_OPENED, &outcome->cart, account_id);
		cart_announce(service, &news);
	}
	if (strcmp(put->mode, CART_ADD) == 0) {
		news = cart_news_of(context, CART_NEWS_ITEM_ADDED, &outcome->cart, account_id);
		cart_news_set_item(&news, put->sku, put->quantity);
		cart_announce(service, &news);
	}
}

/* Adds to or sets a line, and names the field that a refusal is about. */
static enum sk_status put_line(struct sk_request *request, struct sk_reply *reply,
			       struct cart_service *service, const struct cart_put *put)
{
	struct sk_context *context = sk_request_context(request);
	struct cart_owner owner = owner_for_adding(request);
	struct cart_write write;
	struct cart_outcome outcome;
	enum sk_status st = write_of(request, &owner, &write);

	if (st == SK_OK)
		st = cart_cache_put(service->parts->kv, context, &write, put, &outcome);
	if (st == SK_INVALID && cart_refused_field(context->error.code) != NULL) {
		struct sk_fields fields = sk_request_fields(request);

		sk_field_reject(&fields, cart_refused_field(context->error.code),
				context->error.detail);
	}
	if (st != SK_OK)
		return st;
	if (outcome.replayed)
		sk_reply_header(reply, "Idempotent-Replayed", "true");
	else
		announce_put(request, service, put, &outcome);
	return reply_cart(request, reply, service, &outcome.cart, owner.token);
}

static enum sk_status post_item(struct sk_request *request, struct sk_reply *reply, void *app)
{
	struct sk_fields fields = sk_request_fields(request);
	struct cart_put put = {
		.mode = CART_ADD,
		.sku = sk_field_sku(&fields, "sku", SK_FIELD_REQUIRED),
		.quantity = sk_field_int(&fields, "quantity", 1, CART_QUANTITY_MAX,
					 SK_FIELD_REQUIRED, 0),
	};
	enum sk_status st = sk_fields_finish(&fields, sk_request_context(request));

	return st == SK_OK ? put_line(request, reply, app, &put) : st;
}

static enum sk_status put_item(struct sk_request *request, struct sk_reply *reply, void *app)
{
	struct sk_fields fields = sk_request_fields(request);
	struct cart_put put = {
		.mode = CART_SET,
		.sku = sk_request_param(request, "sku"),
		.quantity = sk_field_int(&fields, "quantity", 1, CART_QUANTITY_MAX,
					 SK_FIELD_REQUIRED, 0),
	};
	enum sk_status st = sk_fields_finish(&fields, sk_request_context(request));

	if (st == SK_OK && !sk_sku_valid(put.sku))
		st = cart_refusal(sk_request_context(request), "unknown_sku");
	return st == SK_OK ? put_line(request, reply, app, &put) : st;
}

static enum sk_status delete_item(struct sk_request *request, struct sk_reply *reply, void *app)
{
	struct cart_service *service = app;
	struct cart_owner owner = owner_of(request);
	struct cart_write write;
	struct cart_outcome outcome;
	enum sk_status st;

	if (owner.key == NULL)
		return reply_empty_cart(request, reply, service);
	st = write_of(request, &owner, &write);
	if (st == SK_OK)
		st = cart_cache_remove(service->parts->kv, sk_request_context(request), &write,
				       sk_request_param(request, "sku"), &outcome);
	return st == SK_OK ? reply_cart(request, reply, service, &outcome.cart, owner.token) : st;
}

static enum sk_status delete_cart(struct sk_request *request, struct sk_reply *reply, void *app)
{
	struct cart_service *service = app;
	struct cart_owner owner = owner_of(request);
	struct cart_write write;
	struct cart_outcome outcome;
	enum sk_status st;

	if (owner.key == NULL)
		return reply_empty_cart(request, reply, service);
	st = write_of(request, &owner, &write);
	if (st == SK_OK)
		st = cart_cache_clear(service->parts->kv, sk_request_context(request), &write,
				      &outcome);
	return st == SK_OK ? reply_cart(request, reply, service, &outcome.cart, owner.token) : st;
}

const struct sk_route CART_ROUTES[] = {
	{ "GET", "/v1/cart", get_cart, SK_GUEST, 0, 0, NULL },
	{ "POST", "/v1/cart/items", post_item, SK_GUEST, SK_BODY_JSON | SK_IDEMPOTENT, 0, &WRITES },
	{ "PUT", "/v1/cart/items/{sku}", put_item, SK_GUEST, SK_BODY_JSON, 0, &WRITES },
	{ "DELETE", "/v1/cart/items/{sku}", delete_item, SK_GUEST, 0, 0, &WRITES },
	{ "DELETE", "/v1/cart", delete_cart, SK_GUEST, 0, 0, &WRITES },
	{ NULL, NULL, NULL, SK_OPEN, 0, 0, NULL },
};
