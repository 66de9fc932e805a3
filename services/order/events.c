/* What the order service hears. What it tells is in telling.c. */
#include "order.h"

#include <string.h>

#include "souk/catalog/v1/events.pb-c.h"
#include "souk/inventory/v1/events.pb-c.h"
#include "souk/payments/v1/events.pb-c.h"
#include "souk/shipments/v1/events.pb-c.h"

/* ---- the catalogue ---- */

static enum sk_status on_product(struct sk_tx *tx, const struct sk_message *message, void *app)
{
	const Souk__Catalog__V1__ProductChanged *told = (const void *)message->body;
	struct sk_arena *arena = message->context->arena;
	size_t count = told->n_variants;
	struct order_product product = {
		.id = told->product_id,
		.version = told->version,
		.active = told->status == SOUK__CATALOG__V1__PRODUCT_STATUS__PRODUCT_STATUS_ACTIVE,
		.skus = sk_arena_array(arena, count + 1, sizeof(char *)),
		.titles = sk_arena_array(arena, count + 1, sizeof(char *)),
		.currencies = sk_arena_array(arena, count + 1, sizeof(char *)),
		.prices_minor = sk_arena_array(arena, count + 1, sizeof(int64_t)),
		.count = count,
	};

	(void)app;
	for (size_t i = 0; i < count; i++) {
		product.skus[i] = told->variants[i]->sku;
		product.titles[i] = order_title(arena, told->title, told->variants[i]->title);
		product.currencies[i] = told->variants[i]->currency;
		product.prices_minor[i] = told->variants[i]->price_minor;
	}
	return order_store_product(tx, &product);
}

/* ---- answers to what the order asked for ---- */

static enum sk_status hear(struct sk_tx *tx, void *app, const char *order_id,
			   const struct order_fact *fact)
{
	struct order order;
	enum sk_status st = order_store_hold(tx, order_id, &order);

	return st == SK_OK ? order_advance(tx, app, &order, fact) : st;
}

static enum sk_status on_reserved(struct sk_tx *tx, const struct sk_message *message, void *app)
{
	const Souk__Inventory__V1__StockReserved *told = (const void *)message->body;

	return hear(tx, app, told->order_id,
		    &(struct order_fact) { .event = ORDER_STOCK_RESERVED });
}

/* "not enough in stock: A-1 (3 wanted, 1 left), …": for people; the first few suffice. */
static const char *shortage_words(struct sk_arena *arena,
				  const Souk__Inventory__V1__StockRejected *told)
{
	struct sk_buf words;

	sk_buf_init(&words, arena, ORDER_REASON_MAX_BYTES);
	sk_buf_puts(&words, "not enough in stock");
	for (size_t i = 0; i < told->n_shortages && i < 3; i++)
		sk_buf_printf(&words, "%s %s (%lld wanted, %lld left)", i == 0 ? ":" : ",",
			      told->shortages[i]->sku, (long long)told->shortages[i]->wanted,
			      (long long)told->shortages[i]->available);
	return sk_buf_text(&words);
}

static enum sk_status on_rejected(struct sk_tx *tx, const struct sk_message *message, void *app)
{
	const Souk__Inventory__V1__StockRejected *told = (const void *)message->body;

	return hear(
		tx, app, told->order_id,
		&(struct order_fact) { .event = ORDER_STOCK_REJECTED,
				       .reason = shortage_words(message->context->arena, told) });
}

static enum sk_status on_sold(struct sk_tx *tx, const struct sk_message *message, void *app)
{
	const Souk__Inventory__V1__StockSold *told = (const void *)message->body;

	return hear(tx, app, told->order_id, &(struct order_fact) { .event = ORDER_STOCK_SOLD });
}

static enum sk_status on_released(struct sk_tx *tx, const struct sk_message *message, void *app)
{
	const Souk__Inventory__V1__StockReleased *told = (const void *)message->body;

	return hear(tx, app, told->order_id,
		    &(struct order_fact) { .event = ORDER_STOCK_RELEASED });
}

static enum sk_status on_expired(struct sk_tx *tx, const struct sk_message *message, void *app)
{
	const Souk__Inventory__V1__StockExpired *told = (const void *)message->body;

	return hear(tx, app, told->order_id, &(struct order_fact) { .event = ORDER_STOCK_EXPIRED });
}

/* Another amount than the order's is nothing to go on with: a person has to look. */
static enum sk_status on_confirmed(struct sk_tx *tx, const struct sk_message *message, void *app)
{
	const Souk__Payments__V1__PaymentConfirmed *told = (const void *)message->body;
	struct order order;
	enum sk_status st = order_store_hold(tx, told->order_id, &order);

	if (st != SK_OK)
		return st;
	if (told->amount_minor != order.total_minor || strcmp(told->currency, order.currency) != 0)
		return sk_fail(message->context, SK_CONFLICT, "payment_differs",
			       "order %s was paid with another amount than its total",
			       order.number);
	return order_advance(tx, app, &order,
			     &(struct order_fact) { .event = ORDER_PAYMENT_CONFIRMED,
						    .payment_id = told->payment_id });
}

static enum sk_status on_payment_cancelled(struct sk_tx *tx, const struct sk_message *message,
					   void *app)
{
	const Souk__Payments__V1__PaymentCancelled *told = (const void *)message->body;

	return hear(tx, app, told->order_id,
		    &(struct order_fact) { .event = ORDER_PAYMENT_CANCELLED });
}

static enum sk_status on_payment_failed(struct sk_tx *tx, const struct sk_message *message,
					void *app)
{
	const Souk__Payments__V1__PaymentFailed *told = (const void *)message->body;

	return hear(
		tx, app, told->order_id,
		&(struct order_fact) { .event = ORDER_PAYMENT_DECLINED, .reason = told->reason });
}

/* The refund that payment speaks of, as it was asked for. Another amount is a contradiction. */
static enum sk_status find_refund(struct sk_tx *tx, const struct order *order,
				  const struct order_refund *told, const char *currency,
				  struct order_refund *refund)
{
	enum sk_status st = order_store_find_refund(tx, order->id, told->id, refund);

	if (st != SK_OK)
		return st;
	if (refund->amount_minor != told->amount_minor || strcmp(currency, order->currency) != 0)
		return sk_fail(sk_tx_context(tx), SK_CONFLICT, "refund_differs",
			       "refund %s of order %s was asked for with another amount",
			       refund->id, order->number);
	if (refund->state == told->state)
		return SK_DUPLICATE;
	if (refund->state != ORDER_REFUND_REQUESTED)
		return sk_fail(sk_tx_context(tx), SK_CONFLICT, "refund_contradicted",
			       "refund %s of order %s is %s already", refund->id, order->number,
			       order_refund_state_name(refund->state));
	refund->state = told->state;
	refund->failure = told->failure;
	return SK_OK;
}

static enum sk_status on_refunded(struct sk_tx *tx, const struct sk_message *message, void *app)
{
	const Souk__Payments__V1__PaymentRefunded *told = (const void *)message->body;
	const struct order_refund done = { .id = told->refund_id,
					   .amount_minor = told->amount_minor,
					   .state = ORDER_REFUND_DONE,
					   .failure = "" };
	struct order_fact fact = { .event = ORDER_REFUNDED_PARTLY };
	struct order_refund refund;
	struct order order;
	enum sk_status st = order_store_hold(tx, told->order_id, &order);

	if (st == SK_OK)
		st = find_refund(tx, &order, &done, told->currency, &refund);
	if (st != SK_OK)
		return st;
	if (order.refunded_minor + refund.amount_minor == order.total_minor)
		fact.event = ORDER_REFUNDED_FULLY;
	fact.refund = &refund;
	return order_advance(tx, app, &order, &fact);
}

static enum sk_status on_refund_failed(struct sk_tx *tx, const struct sk_message *message,
				       void *app)
{
	const Souk__Payments__V1__PaymentRefundFailed *told = (const void *)message->body;
	const struct order_refund failed = { .id = told->refund_id,
					     .amount_minor = told->amount_minor,
					     .state = ORDER_REFUND_REFUSED,
					     .failure = told->reason };
	struct order_refund refund;
	struct order order;
	enum sk_status st = order_store_hold(tx, told->order_id, &order);

	if (st == SK_OK)
		st = find_refund(tx, &order, &failed, told->currency, &refund);
	if (st != SK_OK)
		return st;
	sk_log(SK_LOG_ERROR, message->context, "refund %s of order %s failed: %s", refund.id,
	       order.number, refund.failure);
	return order_advance(
		tx, app, &order,
		&(struct order_fact) { .event = ORDER_REFUND_FAILED, .refund = &refund });
}

static enum sk_status on_label_created(struct sk_tx *tx, const struct sk_message *message,
				       void *app)
{
	const Souk__Shipments__V1__LabelCreated *told = (const void *)message->body;
	const struct order_shipment shipment = { told->shipment_id, told->carrier,
						 told->tracking_number, "label_created" };

	return hear(tx, app, told->order_id,
		    &(struct order_fact) { .event = ORDER_LABEL_CREATED, .shipment = &shipment });
}

static enum sk_status on_shipped(struct sk_tx *tx, const struct sk_message *message, void *app)
{
	const Souk__Shipments__V1__ParcelShipped *told = (const void *)message->body;
	const struct order_shipment shipment = { told->shipment_id, told->carrier,
						 told->tracking_number, "shipped" };

	return hear(tx, app, told->order_id,
		    &(struct order_fact) { .event = ORDER_PARCEL_SHIPPED, .shipment = &shipment });
}

static enum sk_status on_delivered(struct sk_tx *tx, const struct sk_message *message, void *app)
{
	const Souk__Shipments__V1__ParcelDelivered *told = (const void *)message->body;
	const struct order_shipment shipment = { told->shipment_id, told->carrier,
						 told->tracking_number, "delivered" };

	return hear(
		tx, app, told->order_id,
		&(struct order_fact) { .event = ORDER_PARCEL_DELIVERED, .shipment = &shipment });
}

static enum sk_status on_voided(struct sk_tx *tx, const struct sk_message *message, void *app)
{
	const Souk__Shipments__V1__LabelVoided *told = (const void *)message->body;
	const struct order_shipment shipment = { told->shipment_id, told->carrier,
						 told->tracking_number, "voided" };

	return hear(tx, app, told->order_id,
		    &(struct order_fact) { .event = ORDER_LABEL_VOIDED, .shipment = &shipment });
}

/* ---- consumers ---- */

static const struct sk_handler PRODUCTS[] = {
	{ &souk__catalog__v1__product_changed__descriptor, on_product },
	{ NULL, NULL },
};

static const struct sk_handler RESERVED[] = {
	{ &souk__inventory__v1__stock_reserved__descriptor, on_reserved },
	{ NULL, NULL },
};

static const struct sk_handler REJECTED[] = {
	{ &souk__inventory__v1__stock_rejected__descriptor, on_rejected },
	{ NULL, NULL },
};

static const struct sk_handler SOLD[] = {
	{ &souk__inventory__v1__stock_sold__descriptor, on_sold },
	{ NULL, NULL },
};

static const struct sk_handler RELEASED[] = {
	{ &souk__inventory__v1__stock_released__descriptor, on_released },
	{ NULL, NULL },
};

static const struct sk_handler EXPIRED[] = {
	{ &souk__inventory__v1__stock_expired__descriptor, on_expired },
	{ NULL, NULL },
};

static const struct sk_handler PAYMENTS[] = {
	{ &souk__payments__v1__payment_confirmed__descriptor, on_confirmed },
	{ &souk__payments__v1__payment_failed__descriptor, on_payment_failed },
	{ &souk__payments__v1__payment_cancelled__descriptor, on_payment_cancelled },
	{ &souk__payments__v1__payment_refunded__descriptor, on_refunded },
	{ &souk__payments__v1__payment_refund_failed__descriptor, on_refund_failed },
	{ NULL, NULL },
};

static const struct sk_handler SHIPMENTS[] = {
	{ &souk__shipments__v1__label_created__descriptor, on_label_created },
	{ &souk__shipments__v1__parcel_shipped__descriptor, on_shipped },
	{ &souk__shipments__v1__parcel_delivered__descriptor, on_delivered },
	{ &souk__shipments__v1__label_voided__descriptor, on_voided },
	{ NULL, NULL },
};

/* Inventory's rows are apart because inventory.> would bring every level of every SKU. */
const struct sk_consumer ORDER_CONSUMERS[] = {
	{ "order-catalog", "catalog", "catalog.product.*", PRODUCTS },
	{ "order-reserved", "inventory", "inventory.reserved.*", RESERVED },
	{ "order-rejected", "inventory", "inventory.rejected.*", REJECTED },
	{ "order-sold", "inventory", "inventory.sold.*", SOLD },
	{ "order-released", "inventory", "inventory.released.*", RELEASED },
	{ "order-expired", "inventory", "inventory.expired.*", EXPIRED },
	{ "order-payments", "payments", "payments.>", PAYMENTS },
	{ "order-shipments", "shipments", "shipments.>", SHIPMENTS },
	{ NULL, NULL, NULL, NULL },
};
