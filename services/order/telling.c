/* What the order service tells: the builders of its messages. What it hears is in events.c. */
#include "order.h"

#include "souk/orders/v1/events.pb-c.h"

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

static enum sk_status tell_shipment_requested(struct sk_tx *tx, const struct order *order)
{
	Souk__Orders__V1__ShipmentRequested body;

	souk__orders__v1__shipment_requested__init(&body);
	FILL_COMMON(&body, tx, order);
	body.n_lines = (size_t)order->lines_count;
	body.lines = told_lines(tx, order);
	body.shipping_address = told_address(tx, &order->address);
	return tell(tx, "shipment_requested", order, &body.base);
}

static enum sk_status tell_recall_requested(struct sk_tx *tx, const struct order *order)
{
	Souk__Orders__V1__RecallRequested body;

	souk__orders__v1__recall_requested__init(&body);
	FILL_COMMON(&body, tx, order);
	return tell(tx, "recall_requested", order, &body.base);
}

static enum sk_status tell_recalled(struct sk_tx *tx, const struct order *order)
{
	Souk__Orders__V1__OrderRecalled body;

	souk__orders__v1__order_recalled__init(&body);
	FILL_COMMON(&body, tx, order);
	return tell(tx, "recalled", order, &body.base);
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
	case ORDER_SEND_SHIPMENT_REQUEST:
		return tell_shipment_requested(tx, order);
	case ORDER_SEND_RECALL_REQUEST:
		return tell_recall_requested(tx, order);
	case ORDER_SEND_RECALLED:
		return tell_recalled(tx, order);
	case ORDER_SEND_NOTHING:
	case ORDER_SEND_RECALL: /* a set */
		break;
	}
	return SK_OK;
}

enum sk_status order_tell(struct sk_tx *tx, struct order *order, unsigned sends,
			  const struct order_fact *fact)
{
	const unsigned with_lines = ORDER_SEND_CREATED | ORDER_SEND_PAID | ORDER_SEND_CANCELLED |
				    ORDER_SEND_SHIPMENT_REQUEST;
	enum sk_status st = SK_OK;

	if ((sends & with_lines) != 0 && order->lines == NULL)
		st = order_store_details(tx, order, 1);
	for (unsigned send = ORDER_SEND_CREATED; send <= ORDER_SEND_LAST; send <<= 1)
		if ((sends & send) != 0 && st == SK_OK)
			st = tell_one(tx, order, (enum order_sends)send, fact);
	return st;
}
