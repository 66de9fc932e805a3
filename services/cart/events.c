#include "cart.h"

#include <stdlib.h>

#include "souk/carts/v1/events.pb-c.h"
#include "souk/catalog/v1/events.pb-c.h"
#include "souk/inventory/v1/events.pb-c.h"
#include "souk/orders/v1/events.pb-c.h"
#include "souk/sessions/v1/events.pb-c.h"

#define NEWS_BATCH	   64
#define CATALOG_STREAM	   "catalog"
#define PRODUCT_TIMEOUT_MS 5000 /* of one product of a rebuild */

/* ---- the read model ---- */

static enum sk_status apply_product(struct cart_service *service, struct sk_context *context,
				    const Souk__Catalog__V1__ProductChanged *changed)
{
	struct sk_arena *arena = context->arena;
	struct cart_product product = {
		.id = changed->product_id,
		.version = changed->version,
		.active = changed->status ==
			  SOUK__CATALOG__V1__PRODUCT_STATUS__PRODUCT_STATUS_ACTIVE,
		.variants = sk_arena_array(arena, changed->n_variants + 1,
					   sizeof(*product.variants)),
		.count = changed->n_variants,
	};

	for (size_t i = 0; i < changed->n_variants; i++) {
		const Souk__Catalog__V1__Variant *variant = changed->variants[i];

		product.variants[i] = (struct cart_variant) {
			.sku = variant->sku,
			.title = cart_title(arena, changed->title, variant->title),
			.price = sk_money_of(variant->price_minor, variant->currency),
		};
	}
	return cart_catalog_put(service->parts->kv, context, &product);
}

static enum sk_status on_product(struct sk_tx *tx, const struct sk_message *message, void *app)
{
	(void)tx;
	return apply_product(app, message->context,
			     (const Souk__Catalog__V1__ProductChanged *)message->body);
}

static enum sk_status on_level(struct sk_tx *tx, const struct sk_message *message, void *app)
{
	const Souk__Inventory__V1__StockLevel *level =
		(const Souk__Inventory__V1__StockLevel *)message->body;
	struct cart_service *service = app;

	(void)tx;
	return cart_catalog_put_level(service->parts->kv, message->context, level->sku,
				      level->version, level->available);
}

struct rebuild {
	struct cart_service *service;
	int products, refused;
};

/* One message of the replay, in a context of its own: the memory of one product. */
static enum sk_status replay_product(const struct sk_delivery *delivery, void *arg)
{
	struct rebuild *rebuild = arg;
	struct sk_context context;
	ProtobufCMessage *message;
	enum sk_status st;

	sk_context_init(&context, PRODUCT_TIMEOUT_MS);
	st = sk_message_unpack(&context, &souk__catalog__v1__product_changed__descriptor,
			       delivery->data, delivery->len, &message);
	if (st == SK_OK) {
		st = apply_product(rebuild->service, &context,
				   (const Souk__Catalog__V1__ProductChanged *)message);
		rebuild->products++;
	} else {
		/* Our consumer buries it for people to see; the rest of the catalogue is
		 * still worth reading. */
		sk_log_failure(SK_LOG_WARN, &context, "a product that cannot be read");
		rebuild->refused++;
		st = SK_OK;
	}
	sk_context_release(&context);
	return st;
}

/* The stream of levels keeps days of movements, not the last level of each SKU: where Valkey was
 * emptied, inventory has to tell them again. */
static enum sk_status ask_for_levels(struct cart_service *service, struct sk_context *context,
				     const char *run)
{
	Souk__Carts__V1__LevelsLost body;
	bool kept;
	enum sk_status st = cart_catalog_keep_levels(service->parts->kv, context, &kept);

	if (st != SK_OK || kept)
		return st;
	souk__carts__v1__levels_lost__init(&body);
	body.run_id = sk_arena_strdup(context->arena, run);
	body.version = 1;
	st = sk_bus_publish(
		service->parts->bus, context,
		&(struct sk_event) {
			.subject = sk_arena_printf(context->arena, "carts.levels_lost.%s", run),
			.body = &body.base,
		});
	return st == SK_OK ? cart_catalog_asked_levels(service->parts->kv, context) : st;
}

enum sk_status cart_rebuild_catalog(struct sk_context *context, void *app, bool *again)
{
	struct cart_service *service = app;
	struct rebuild rebuild = { service, 0, 0 };
	const char *run = sk_id_make(context->arena);
	uint64_t next = 0;
	bool built;
	enum sk_status st = cart_catalog_is_built(service->parts->kv, context, &built);

	if (st != SK_OK || built)
		return st;
	st = cart_catalog_begin(service->parts->kv, context, run);
	if (st == SK_OK)
		st = sk_bus_replay(service->parts->bus, context, CATALOG_STREAM, &next,
				   replay_product, &rebuild);
	if (st == SK_OK)
		st = ask_for_levels(service, context, run);
	if (st == SK_OK)
		st = cart_catalog_finish(service->parts->kv, context, run, &built);
	if (st != SK_OK)
		return st;
	sk_log(SK_LOG_INFO, context, "read %d products, %d could not be read%s", rebuild.products,
	       rebuild.refused, built ? "" : "; once more, Valkey was emptied meanwhile");
	*again = !built;
	return SK_OK;
}

/* ---- orders and log-ins ---- */

/* What is ordered leaves the cart. */
static enum sk_status on_order(struct sk_tx *tx, const struct sk_message *message, void *app)
{
	const Souk__Orders__V1__OrderCreated *order =
		(const Souk__Orders__V1__OrderCreated *)message->body;
	struct sk_arena *arena = message->context->arena;
	struct cart_service *service = app;
	const char **skus = sk_arena_array(arena, order->n_lines, sizeof(*skus));
	int64_t *quantities = sk_arena_array(arena, order->n_lines, sizeof(*quantities));
	struct cart_taking taking = {
		.order_id = order->order_id,
		.account_id = order->account_id,
		.token_hash = order->cart_token_hash,
		.skus = skus,
		.quantities = quantities,
		.count = order->n_lines,
	};

	(void)tx;
	for (size_t i = 0; i < order->n_lines; i++) {
		skus[i] = order->lines[i]->sku;
		quantities[i] = order->lines[i]->quantity;
	}
	return cart_cache_take_order(service->parts->kv, message->context, &taking);
}

/* A guest who logs in brings the cart along. */
static enum sk_status on_login(struct sk_tx *tx, const struct sk_message *message, void *app)
{
	const Souk__Sessions__V1__SessionOpened *opened =
		(const Souk__Sessions__V1__SessionOpened *)message->body;
	struct cart_service *service = app;
	struct cart_merging merging = {
		.message_id = message->delivery->id,
		.account_id = opened->account_id,
		.token_hash = opened->cart_token_hash,
	};
	struct cart_news news;
	struct cart cart;
	enum sk_status st;

	(void)tx;
	if (*opened->cart_token_hash == '\0')
		return SK_OK;
	st = cart_cache_merge(service->parts->kv, message->context, &merging);
	if (st != SK_OK || !merging.merged)
		return st;
	cart = (struct cart) { .id = merging.cart_id, .version = merging.version };
	news = cart_news_of(message->context, CART_NEWS_MERGED, &cart, opened->account_id);
	cart_announce(service, &news);
	return SK_OK;
}

/* ---- published ---- */

void cart_announce(struct cart_service *service, const struct cart_news *news)
{
	if (cart_announcer_put(service->announcer, news))
		sk_sweep_wake(service->parts->sweeps, CART_SWEEP_NEWS);
}

union news_body {
	ProtobufCMessage base;
	Souk__Carts__V1__CartOpened opened;
	Souk__Carts__V1__ItemAdded added;
	Souk__Carts__V1__CartMerged merged;
};

/* Returns the middle token of the subject. */
static const char *fill_body(struct cart_news *news, union news_body *body)
{
	switch (news->kind) {
	case CART_NEWS_OPENED:
		souk__carts__v1__cart_opened__init(&body->opened);
		body->opened.cart_id = news->cart_id;
		body->opened.version = news->version;
		body->opened.account_id = news->account_id;
		return "opened";
	case CART_NEWS_ITEM_ADDED:
		souk__carts__v1__item_added__init(&body->added);
		body->added.cart_id = news->cart_id;
		body->added.version = news->version;
		body->added.account_id = news->account_id;
		body->added.sku = news->sku;
		body->added.quantity = news->quantity;
		return "item_added";
	case CART_NEWS_MERGED:
		souk__carts__v1__cart_merged__init(&body->merged);
		body->merged.cart_id = news->cart_id;
		body->merged.version = news->version;
		body->merged.account_id = news->account_id;
		return "merged";
	}
	abort();
}

static enum sk_status pack(struct sk_context *context, struct cart_news *news,
			   struct sk_packed_event *event)
{
	union news_body body;
	const char *what = fill_body(news, &body);

	*event = (struct sk_packed_event) {
		.id = news->id.text,
		.subject = sk_arena_printf(context->arena, "carts.%s.%s", what, news->cart_id),
		.type = body.base.descriptor->name,
		.traceparent = news->traceparent,
		.time_us = news->time_us,
	};
	return sk_message_pack(context, &body.base, &event->data, &event->len);
}

/* A batch that was not acknowledged whole is sent again whole; the broker knows the ids of
 * those it has. */
enum sk_status cart_send_news(struct sk_context *context, void *app, bool *again)
{
	struct cart_service *service = app;
	struct cart_news *news = sk_arena_array(context->arena, NEWS_BATCH, sizeof(*news));
	size_t taken = cart_announcer_peek(service->announcer, news, NEWS_BATCH), count = 0;
	struct sk_packed_event events[NEWS_BATCH];
	struct sk_ack acks[NEWS_BATCH];
	enum sk_status st = SK_OK;

	for (size_t i = 0; i < taken; i++) {
		if (pack(context, &news[i], &events[count]) == SK_OK)
			count++;
		else
			sk_log_failure(SK_LOG_ERROR, context, "news that cannot be packed");
	}
	if (count > 0) {
		sk_crash_here(SK_CRASH_NEWS_BEFORE_PUBLISH);
		st = sk_bus_publish_all(service->parts->bus, context, events, count, acks);
		sk_crash_here(SK_CRASH_NEWS_BEFORE_DROP);
	}
	if (st != SK_OK)
		return st;
	cart_announcer_drop(service->announcer, taken);
	*again = taken == NEWS_BATCH;
	return SK_OK;
}

/* ---- consumers ---- */

static const struct sk_handler PRODUCTS[] = {
	{ &souk__catalog__v1__product_changed__descriptor, on_product },
	{ NULL, NULL },
};

static const struct sk_handler LEVELS[] = {
	{ &souk__inventory__v1__stock_level__descriptor, on_level },
	{ NULL, NULL },
};

static const struct sk_handler ORDERS[] = {
	{ &souk__orders__v1__order_created__descriptor, on_order },
	{ NULL, NULL },
};

static const struct sk_handler LOGINS[] = {
	{ &souk__sessions__v1__session_opened__descriptor, on_login },
	{ NULL, NULL },
};

const struct sk_consumer CART_CONSUMERS[] = {
	{ "cart-catalog", CATALOG_STREAM, "catalog.product.*", PRODUCTS },
	{ "cart-levels", "inventory", "inventory.level.*", LEVELS },
	{ "cart-orders", "orders", "orders.created.*", ORDERS },
	{ "cart-sessions", "sessions", "sessions.opened.*", LOGINS },
	{ NULL, NULL, NULL, NULL },
};
