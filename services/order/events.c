/* What the order service tells and hears. */
#include "order.h"

#include <string.h>

#include "souk/catalog/v1/events.pb-c.h"
#include "souk/inventory/v1/events.pb-c.h"
#include "souk/orders/v1/events.pb-c.h"
#include "souk/payments/v1/events.pb-c.h"
#include "souk/shipments/v1/events.pb-c.h"

/* ---- told ---- */

/* protobuf-c's strings are not const; a copy in the arena is cheaper than a doubtful cast. */
static char *text(struct sk_tx *tx, const char *value)
{
	return sk_arena_strdup(sk_tx_arena(tx), value != NULL ? value : "");
}

/* Fields 1 to 7 are the same in every message of orders; C has no other name for that. */
#define FILL_COMMON(body, tx, order)                                                               \
	do {                                                                                       \
		(body)->order_id = text(tx, (order)->id);                                          \
		(body)->version = (order)->version;                                                \
		(body)->number = text(tx, (order)->number);                                        \
		(body)->account_id = text(tx, (order)->account_id);                                \
		(body)->email = text(tx, (order)->email);                                          \
		(body)->total_minor = (order)->total_minor;                                        \
		(body)->currency = text(tx, (order)->currency);                                    \
	} while (0)

static enum sk_status tell(struct sk_tx *tx, const char *what, const struct order *order,
			   const ProtobufCMessage *body)
{
	struct sk_event event = {
		.subject = sk_arena_printf(sk_tx_arena(tx), ORDER_STREAM ".%s.%s", what, order->id),
		.body = body,
	};

	return sk_outbox_add(tx, &event);
}

static Souk__Orders__V1__Line **told_lines(struct sk_tx *tx, const struct order *order)
{
	struct sk_arena *arena = sk_tx_arena(tx);
	size_t count = (size_t)order->lines_count;
	Souk__Orders__V1__Line **told = sk_arena_array(arena, count + 1, sizeof(void *));
	Souk__Orders__V1__Line *bodies = sk_arena_array(arena, count + 1, sizeof(*bodies));

	for (size_t i = 0; i < count; i++) {
		const struct order_line *line = &order->lines[i];

		souk__orders__v1__line__init(&bodies[i]);
		bodies[i].sku = text(tx, line->sku);
		bodies[i].title = text(tx, line->title);
		bodies[i].quantity = line->quantity;
		bodies[i].unit_price_minor = line->unit_price_minor;
		bodies[i].line_total_minor = line->line_total_minor;
		bodies[i].product_id = text(tx, line->product_id);
		told[i] = &bodies[i];
	}
	return told;
}

static Souk__Orders__V1__Address *told_address(struct sk_tx *tx,
					       const struct order_address *address)
{
	Souk__Orders__V1__Address *told = sk_arena_alloc(sk_tx_arena(tx), sizeof(*told));

	souk__orders__v1__address__init(told);
	told->name = text(tx, address->name);
	told->line1 = text(tx, address->line1);
	told->line2 = text(tx, address->line2);
	told->city = text(tx, address->city);
	told->postal_code = text(tx, address->postal_code);
	told->country = text(tx, address->country);
	return told;
}

static enum sk_status tell_created(struct sk_tx *tx, const struct order *order)
{
	Souk__Orders__V1__OrderCreated body;

	souk__orders__v1__order_created__init(&body);
	FILL_COMMON(&body, tx, order);
	body.n_lines = (size_t)order->lines_count;
	body.lines = told_lines(tx, order);
	body.shipping_address = told_address(tx, &order->address);
	body.subtotal_minor = order->subtotal_minor;
	body.shipping_minor = order->shipping_minor;
	body.tax_minor = order->tax_minor;
	body.cart_token_hash = text(tx, order->cart_hash);
	return tell(tx, "created", order, &body.base);
}

static enum sk_status tell_payment_requested(struct sk_tx *tx, const struct order *order)
{
	Souk__Orders__V1__PaymentRequested body;

	souk__orders__v1__payment_requested__init(&body);
	FILL_COMMON(&body, tx, order);
	body.provider = text(tx, order->provider);
	body.token = text(tx, order->token);
	return tell(tx, "payment_requested", order, &body.base);
}

static enum sk_status tell_paid(struct sk_tx *tx, const struct order *order)
{
	Souk__Orders__V1__OrderPaid body;

	souk__orders__v1__order_paid__init(&body);
	FILL_COMMON(&body, tx, order);
	body.n_lines = (size_t)order->lines_count;
	body.lines = told_lines(tx, order);
	body.shipping_address = told_address(tx, &order->address);
	body.payment_id = text(tx, order->payment_id);
	return tell(tx, "paid", order, &body.base);
}

static enum sk_status tell_rejected(struct sk_tx *tx, const struct order *order)
{
	Souk__Orders__V1__OrderRejected body;

	souk__orders__v1__order_rejected__init(&body);
	FILL_COMMON(&body, tx, order);
	body.reason = text(tx, order->reason);
	return tell(tx, "rejected", order, &body.base);
}

static enum sk_status tell_payment_failed(struct sk_tx *tx, const struct order *order)
{
	Souk__Orders__V1__OrderPaymentFailed body;

	souk__orders__v1__order_payment_failed__init(&body);
	FILL_COMMON(&body, tx, order);
	body.reason = text(tx, order->reason);
	return tell(tx, "payment_failed", order, &body.base);
}

static enum sk_status tell_cancelled(struct sk_tx *tx, const struct order *order)
{
	Souk__Orders__V1__OrderCancelled body;

	souk__orders__v1__order_cancelled__init(&body);
	FILL_COMMON(&body, tx, order);
	body.reason = text(tx, order->reason);
	body.n_lines = (size_t)order->lines_count;
	body.lines = told_lines(tx, order);
	return tell(tx, "cancelled", order, &body.base);
}

static enum sk_status tell_refund_requested(struct sk_tx *tx, const struct order *order,
					    const struct order_refund *refund)
{
	Souk__Orders__V1__RefundRequested body;

	souk__orders__v1__refund_requested__init(&body);
	FILL_COMMON(&body, tx, order);
	body.refund_id = text(tx, refund->id);
	body.amount_minor = refund->amount_minor;
	body.reason = text(tx, refund->reason);
	return tell(tx, "refund_requested", order, &body.base);
}

static enum sk_status tell_refunded(struct sk_tx *tx, const struct order *order,
				    const struct order_refund *refund)
{
	Souk__Orders__V1__OrderRefunded body;

	souk__orders__v1__order_refunded__init(&body);
	FILL_COMMON(&body, tx, order);
	body.refund_id = text(tx, refund->id);
	body.amount_minor = refund->amount_minor;
	body.fully = order->refunded_minor == order->total_minor;
	return tell(tx, "refunded", order, &body.base);
}

static enum sk_status tell_shipped(struct sk_tx *tx, const struct order *order,
				   const struct order_shipment *shipment)
{
	Souk__Orders__V1__OrderShipped body;

	souk__orders__v1__order_shipped__init(&body);
	FILL_COMMON(&body, tx, order);
	body.carrier = text(tx, shipment->carrier);
	body.tracking_number = text(tx, shipment->tracking_number);
	return tell(tx, "shipped", order, &body.base);
}

static enum sk_status tell_delivered(struct sk_tx *tx, const struct order *order)
{
	Souk__Orders__V1__OrderDelivered body;

	souk__orders__v1__order_delivered__init(&body);
	FILL_COMMON(&body, tx, order);
	return tell(tx, "delivered", order, &body.base);
}

static enum sk_status tell_one(struct sk_tx *tx, const struct order *order, enum order_sends send,
			       const struct order_fact *fact)
{
	switch (send) {
	case ORDER_SEND_CREATED:
		return tell_created(tx, order);
	case ORDER_SEND_PAYMENT_REQUEST:
		return tell_payment_requested(tx, order);
	case ORDER_SEND_PAID:
		return tell_paid(tx, order);
	case ORDER_SEND_REJECTED:
		return tell_rejected(tx, order);
	case ORDER_SEND_PAYMENT_FAILED:
		return tell_payment_failed(tx, order);
	case ORDER_SEND_CANCELLED:
		return tell_cancelled(tx, order);
	case ORDER_SEND_REFUND_REQUEST:
		return tell_refund_requested(tx, order, fact->refund);
	case ORDER_SEND_REFUNDED:
		return tell_refunded(tx, order, fact->refund);
	case ORDER_SEND_SHIPPED:
		return tell_shipped(tx, order, fact->shipment);
	case ORDER_SEND_DELIVERED:
		return tell_delivered(tx, order);
	case ORDER_SEND_NOTHING:
		break;
	}
	return SK_OK;
}

enum sk_status order_tell(struct sk_tx *tx, struct order *order, unsigned sends,
			  const struct order_fact *fact)
{
	const unsigned with_lines = ORDER_SEND_CREATED | ORDER_SEND_PAID | ORDER_SEND_CANCELLED;
	enum sk_status st = SK_OK;

	if ((sends & with_lines) != 0 && order->lines == NULL)
		st = order_store_details(tx, order, 1);
	for (unsigned send = ORDER_SEND_CREATED; send <= ORDER_SEND_DELIVERED; send <<= 1)
		if ((sends & send) != 0 && st == SK_OK)
			st = tell_one(tx, order, (enum order_sends)send, fact);
	return st;
}

/* ---- heard: the catalogue ---- */

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

/* ---- heard: answers to what the order asked for ---- */

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

static enum sk_status on_payment_failed(struct sk_tx *tx, const struct sk_message *message,
					void *app)
{
	const Souk__Payments__V1__PaymentFailed *told = (const void *)message->body;

	return hear(
		tx, app, told->order_id,
		&(struct order_fact) { .event = ORDER_PAYMENT_DECLINED, .reason = told->reason });
}

static enum sk_status on_refunded(struct sk_tx *tx, const struct sk_message *message, void *app)
{
	const Souk__Payments__V1__PaymentRefunded *told = (const void *)message->body;
	struct order_refund refund;
	struct order order;
	bool fully;
	enum sk_status st = order_store_hold(tx, told->order_id, &order);

	if (st == SK_OK)
		st = order_store_find_refund(tx, order.id, told->refund_id, &refund);
	if (st != SK_OK)
		return st;
	if (refund.done)
		return SK_DUPLICATE;
	fully = order.refunded_minor + refund.amount_minor == order.total_minor;
	return order_advance(tx, app, &order,
			     &(struct order_fact) { .event = fully ? ORDER_REFUNDED_FULLY
								   : ORDER_REFUNDED_PARTLY,
						    .refund = &refund });
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

static const struct sk_handler PAYMENTS[] = {
	{ &souk__payments__v1__payment_confirmed__descriptor, on_confirmed },
	{ &souk__payments__v1__payment_failed__descriptor, on_payment_failed },
	{ &souk__payments__v1__payment_refunded__descriptor, on_refunded },
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
	{ "order-payments", "payments", "payments.>", PAYMENTS },
	{ "order-shipments", "shipments", "shipments.>", SHIPMENTS },
	{ NULL, NULL, NULL, NULL },
};
