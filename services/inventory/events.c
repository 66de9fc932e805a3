/* What inventory tells and hears. */
#include "inventory.h"

#include "souk/carts/v1/events.pb-c.h"
#include "souk/catalog/v1/events.pb-c.h"
#include "souk/inventory/v1/events.pb-c.h"
#include "souk/orders/v1/events.pb-c.h"

/* ---- told ---- */

/* protobuf-c's strings are not const; a copy in the arena is cheaper than a doubtful cast. */
static char *text(struct sk_tx *tx, const char *value)
{
	return sk_arena_strdup(sk_tx_arena(tx), value);
}

static enum sk_status tell(struct sk_tx *tx, const char *what, const char *entity,
			   const ProtobufCMessage *body)
{
	struct sk_event event = {
		.subject = sk_arena_printf(sk_tx_arena(tx), INVENTORY_STREAM ".%s.%s", what,
					   entity),
		.body = body,
	};

	return sk_outbox_add(tx, &event);
}

static enum sk_status tell_reserved(struct sk_tx *tx, const struct inventory_reservation *order)
{
	Souk__Inventory__V1__StockReserved body;

	souk__inventory__v1__stock_reserved__init(&body);
	body.order_id = text(tx, order->order_id);
	body.version = order->version;
	return tell(tx, "reserved", order->order_id, &body.base);
}

static enum sk_status tell_rejected(struct sk_tx *tx, const struct inventory_reservation *order)
{
	struct sk_arena *arena = sk_tx_arena(tx);
	size_t count = (size_t)order->count;
	Souk__Inventory__V1__Shortage *shortages = sk_arena_array(arena, count + 1,
								  sizeof(*shortages));
	Souk__Inventory__V1__StockRejected body;

	souk__inventory__v1__stock_rejected__init(&body);
	body.order_id = text(tx, order->order_id);
	body.version = order->version;
	body.shortages = sk_arena_array(arena, count + 1, sizeof(void *));
	for (size_t i = 0; i < count; i++) {
		Souk__Inventory__V1__Shortage *shortage = &shortages[body.n_shortages];

		if (!order->lines[i].is_short)
			continue;
		souk__inventory__v1__shortage__init(shortage);
		shortage->sku = text(tx, order->lines[i].sku);
		shortage->wanted = order->lines[i].quantity;
		shortage->available = order->lines[i].available;
		body.shortages[body.n_shortages++] = shortage;
	}
	return tell(tx, "rejected", order->order_id, &body.base);
}

static enum sk_status tell_sold(struct sk_tx *tx, const struct inventory_reservation *order)
{
	Souk__Inventory__V1__StockSold body;

	souk__inventory__v1__stock_sold__init(&body);
	body.order_id = text(tx, order->order_id);
	body.version = order->version;
	return tell(tx, "sold", order->order_id, &body.base);
}

static enum sk_status tell_released(struct sk_tx *tx, const struct inventory_reservation *order)
{
	Souk__Inventory__V1__StockReleased body;

	souk__inventory__v1__stock_released__init(&body);
	body.order_id = text(tx, order->order_id);
	body.version = order->version;
	return tell(tx, "released", order->order_id, &body.base);
}

static enum sk_status tell_expired(struct sk_tx *tx, const struct inventory_reservation *order)
{
	Souk__Inventory__V1__StockExpired body;

	souk__inventory__v1__stock_expired__init(&body);
	body.order_id = text(tx, order->order_id);
	body.version = order->version;
	return tell(tx, "expired", order->order_id, &body.base);
}

enum sk_status inventory_tell(struct sk_tx *tx, enum inventory_answer answer,
			      const struct inventory_reservation *reservation)
{
	switch (answer) {
	case INVENTORY_SAY_RESERVED:
		return tell_reserved(tx, reservation);
	case INVENTORY_SAY_REJECTED:
		return tell_rejected(tx, reservation);
	case INVENTORY_SAY_SOLD:
		return tell_sold(tx, reservation);
	case INVENTORY_SAY_RELEASED:
		return tell_released(tx, reservation);
	case INVENTORY_SAY_EXPIRED:
		return tell_expired(tx, reservation);
	case INVENTORY_SAY_NOTHING:
		break;
	}
	return SK_OK;
}

enum sk_status inventory_tell_levels(struct sk_tx *tx, const struct inventory_levels *levels)
{
	enum sk_status st = SK_OK;

	for (int i = 0; i < levels->count && st == SK_OK; i++) {
		const struct inventory_level *level = &levels->list[i];
		Souk__Inventory__V1__StockLevel body;

		souk__inventory__v1__stock_level__init(&body);
		body.sku = text(tx, level->sku);
		body.version = level->version;
		body.on_hand = level->on_hand;
		body.reserved = level->reserved;
		body.available = inventory_available(level);
		st = tell(tx, "level", sk_subject_token(sk_tx_arena(tx), level->sku), &body.base);
	}
	return st;
}

/* Under fresh ids: within its window the stream would drop what it has had, and who asks for the levels
 * has had them, too. Whoever knows a level of that version takes no notice. */
enum sk_status inventory_retell(struct sk_tx *tx, const char *after, int max, const char **last)
{
	struct inventory_levels levels = { .count = 0 };
	enum sk_status st = inventory_store_page(tx, after, max, &levels);

	if (st == SK_OK)
		st = inventory_tell_levels(tx, &levels);
	*last = levels.count == max ? levels.list[max - 1].sku : NULL;
	return st;
}

/* ---- heard ---- */

/* A SKU that is seen first begins with the catalogue's quantity; later ones are ours. */
static enum sk_status on_product(struct sk_tx *tx, const struct sk_message *message, void *app)
{
	const Souk__Catalog__V1__ProductChanged *told = (const void *)message->body;
	struct sk_arena *arena = message->context->arena;
	struct inventory_product product = {
		.skus = sk_arena_array(arena, told->n_variants + 1, sizeof(char *)),
		.quantities = sk_arena_array(arena, told->n_variants + 1, sizeof(int64_t)),
		.count = told->n_variants,
	};
	struct inventory_levels added;
	enum sk_status st;

	(void)app;
	if (product.count == 0)
		return SK_OK;
	for (size_t i = 0; i < product.count; i++) {
		product.skus[i] = told->variants[i]->sku;
		product.quantities[i] = told->variants[i]->initial_quantity;
	}
	st = inventory_store_begin(tx, &product, &added);
	return st == SK_OK ? inventory_tell_levels(tx, &added) : st;
}

static enum sk_status on_order_created(struct sk_tx *tx, const struct sk_message *message,
				       void *app)
{
	const Souk__Orders__V1__OrderCreated *told = (const void *)message->body;
	struct inventory_reservation order = {
		.order_id = told->order_id,
		.lines = sk_arena_array(message->context->arena, told->n_lines,
					sizeof(*order.lines)),
		.count = (int)told->n_lines,
	};

	for (size_t i = 0; i < told->n_lines; i++) {
		order.lines[i].sku = told->lines[i]->sku;
		order.lines[i].quantity = told->lines[i]->quantity;
	}
	return inventory_advance(tx, app, INVENTORY_ORDER_CREATED, &order);
}

static enum sk_status on_order_paid(struct sk_tx *tx, const struct sk_message *message, void *app)
{
	const Souk__Orders__V1__OrderPaid *told = (const void *)message->body;

	return inventory_advance(tx, app, INVENTORY_ORDER_PAID,
				 &(struct inventory_reservation) { .order_id = told->order_id });
}

static enum sk_status on_order_payment_failed(struct sk_tx *tx, const struct sk_message *message,
					      void *app)
{
	const Souk__Orders__V1__OrderPaymentFailed *told = (const void *)message->body;

	return inventory_advance(tx, app, INVENTORY_ORDER_PAYMENT_FAILED,
				 &(struct inventory_reservation) { .order_id = told->order_id });
}

static enum sk_status on_order_cancelled(struct sk_tx *tx, const struct sk_message *message,
					 void *app)
{
	const Souk__Orders__V1__OrderCancelled *told = (const void *)message->body;

	return inventory_advance(tx, app, INVENTORY_ORDER_CANCELLED,
				 &(struct inventory_reservation) { .order_id = told->order_id });
}

static enum sk_status on_order_recalled(struct sk_tx *tx, const struct sk_message *message,
					void *app)
{
	const Souk__Orders__V1__OrderRecalled *told = (const void *)message->body;

	return inventory_advance(tx, app, INVENTORY_ORDER_RECALLED,
				 &(struct inventory_reservation) { .order_id = told->order_id });
}

/* The cart's store was emptied: it knows no levels, and the stream may be younger than they are. */
static enum sk_status on_levels_lost(struct sk_tx *tx, const struct sk_message *message, void *app)
{
	(void)message;
	(void)app;
	return sk_outbox_retell(tx, INVENTORY_STREAM);
}

static const struct sk_handler LEVELS_LOST[] = {
	{ &souk__carts__v1__levels_lost__descriptor, on_levels_lost },
	{ NULL, NULL },
};

static const struct sk_handler PRODUCTS[] = {
	{ &souk__catalog__v1__product_changed__descriptor, on_product },
	{ NULL, NULL },
};

static const struct sk_handler CREATED[] = {
	{ &souk__orders__v1__order_created__descriptor, on_order_created },
	{ NULL, NULL },
};

static const struct sk_handler PAID[] = {
	{ &souk__orders__v1__order_paid__descriptor, on_order_paid },
	{ NULL, NULL },
};

static const struct sk_handler PAYMENT_FAILED[] = {
	{ &souk__orders__v1__order_payment_failed__descriptor, on_order_payment_failed },
	{ NULL, NULL },
};

static const struct sk_handler CANCELLED[] = {
	{ &souk__orders__v1__order_cancelled__descriptor, on_order_cancelled },
	{ NULL, NULL },
};

static const struct sk_handler RECALLED[] = {
	{ &souk__orders__v1__order_recalled__descriptor, on_order_recalled },
	{ NULL, NULL },
};

const struct sk_consumer INVENTORY_CONSUMERS[] = {
	{ "inventory-catalog", "catalog", "catalog.product.*", PRODUCTS },
	{ "inventory-created", "orders", "orders.created.*", CREATED },
	{ "inventory-paid", "orders", "orders.paid.*", PAID },
	{ "inventory-payment-failed", "orders", "orders.payment_failed.*", PAYMENT_FAILED },
	{ "inventory-cancelled", "orders", "orders.cancelled.*", CANCELLED },
	{ "inventory-recalled", "orders", "orders.recalled.*", RECALLED },
	{ "inventory-carts", "carts", "carts.levels_lost.*", LEVELS_LOST },
	{ NULL, NULL, NULL, NULL },
};
