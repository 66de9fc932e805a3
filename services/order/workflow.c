/* The only mover of orders, and the sweep over their deadlines.
 *
 * A step is one transaction: the order's row is held, the table says what happens, the row
 * is written on the condition that it is still what was read, and the events go to
 * the outbox with it. So an order and what was told of it can never differ, at whatever
 * moment a process dies.
 *
 * Each step that waits for somebody has a deadline. The sweep asks again what got no
 * answer (the same question under a fresh event id, since the inboxes drop the old one) with
 * growing patience; everybody who is asked twice answers twice. A step that may
 * time out does so only after it was asked in vain for ORDER_STEP_TIMEOUT_S: time during which the
 * broker or this service was down is not counted, so that an outage cancels no orders. */
#include "order.h"

/* ---- refunds ---- */

/* The refund that a step asks for: the one of the fact, or all that is left. Its id follows
 * from the order, so that however a cancel and a late payment cross, it is one refund. */
static struct order_refund refund_of(struct sk_arena *arena, const struct order *order,
				     const struct order_fact *fact)
{
	if (fact->event == ORDER_REFUND_ASKED)
		return *fact->refund;
	return (struct order_refund) {
		.id = sk_id_derive(arena, sk_arena_printf(arena, "cancel:%s", order->id)),
		.amount_minor = order_refundable_minor(order),
		.reason = "the order was cancelled",
	};
}

static enum sk_status record_parts(struct sk_tx *tx, const struct order *order,
				   const struct order_fact *fact)
{
	switch (fact->event) {
	case ORDER_LABEL_CREATED:
	case ORDER_PARCEL_SHIPPED:
	case ORDER_PARCEL_DELIVERED:
	case ORDER_LABEL_VOIDED:
		return order_store_shipment(tx, order->id, fact->shipment);
	case ORDER_REFUND_ASKED:
		return order_store_add_refund(tx, order->id, fact->refund);
	case ORDER_REFUNDED_PARTLY:
	case ORDER_REFUNDED_FULLY:
	case ORDER_REFUND_FAILED:
		return order_store_end_refund(tx, fact->refund);
	case ORDER_STOCK_RESERVED:
	case ORDER_STOCK_REJECTED:
	case ORDER_STOCK_SOLD:
	case ORDER_STOCK_RELEASED:
	case ORDER_STOCK_EXPIRED:
	case ORDER_PAYMENT_CONFIRMED:
	case ORDER_PAYMENT_DECLINED:
	case ORDER_PAYMENT_CANCELLED:
	case ORDER_CANCEL_ASKED:
	case ORDER_STEP_TIMED_OUT:
	case ORDER_EVENTS:
		break;
	}
	return SK_OK;
}

/* ---- the mover ---- */

/* How long to wait for an answer. Whoever was asked before keeps the deadline that it has. */
static int64_t patience_after(const struct order *was, const struct order *order,
			      const struct order_service *service)
{
	unsigned owed = order_owed(order);

	if (owed == 0)
		return 0;
	return owed == order_owed(was) ? -1 : order_patience_ms(order, 0, service);
}

static enum sk_status go(struct sk_tx *tx, const struct order_service *service, struct order *order,
			 const struct order_step *step, const struct order_fact *fact)
{
	const struct order was = *order;
	struct order_fact told = *fact;
	struct order_moment moment;
	struct order_refund refund = { .amount_minor = 0 };
	unsigned sends = step->sends;
	enum sk_status st;

	if (!order_apply(order, step, fact))
		return SK_OK; /* said twice */
	if ((sends & ORDER_SEND_RECALL) != 0)
		sends = (sends & ~(unsigned)ORDER_SEND_RECALL) | order_recall(order);
	if ((sends & ORDER_SEND_REFUND_REQUEST) != 0 && fact->event != ORDER_REFUND_ASKED) {
		refund = refund_of(sk_tx_arena(tx), order, fact);
		order->refund_requested_minor += refund.amount_minor;
		told.refund = &refund;
		if (refund.amount_minor == 0) /* a free order, or all is asked back already */
			sends &= ~(unsigned)ORDER_SEND_REFUND_REQUEST;
	}
	st = order_store_move(tx, &was, order, patience_after(&was, order, service));
	if (st == SK_OK) {
		moment = order_moment_of(sk_tx_arena(tx), order, &told, sends);
		st = order_remember(tx, service, order, &moment);
	}
	if (st == SK_OK)
		st = record_parts(tx, order, fact);
	if (st == SK_OK && refund.amount_minor > 0)
		st = order_store_add_refund(tx, order->id, &refund);
	return st == SK_OK ? order_tell(tx, order, sends, &told) : st;
}

static enum sk_status refuse(struct sk_context *context, const struct order *order,
			     enum order_event event)
{
	const char *status = order_status_name(order->status);

	if (event == ORDER_CANCEL_ASKED)
		return sk_fail(context, SK_CONFLICT, "order_not_cancellable",
			       "the order is %s and cannot be cancelled any more", status);
	if (event == ORDER_REFUND_ASKED)
		return sk_fail(context, SK_CONFLICT, "order_not_refundable",
			       "the order is %s: there is nothing to pay back", status);
	return sk_fail(context, SK_CONFLICT, "order_contradicted",
		       "order %s is %s, which %s contradicts", order->number, status,
		       order_event_name(event));
}

enum sk_status order_advance(struct sk_tx *tx, const struct order_service *service,
			     struct order *order, const struct order_fact *fact)
{
	struct order_step step = order_next(order->status, fact->event);

	switch (step.verdict) {
	case ORDER_GO:
		return go(tx, service, order, &step, fact);
	case ORDER_IGNORE:
		return SK_OK;
	case ORDER_WAIT:
		return sk_fail(sk_tx_context(tx), SK_NOT_FOUND, "too_early",
			       "order %s is still %s: %s came early", order->number,
			       order_status_name(order->status), order_event_name(fact->event));
	case ORDER_REFUSE:
		break;
	}
	return refuse(sk_tx_context(tx), order, fact->event);
}

/* ---- deadlines ---- */

static enum sk_status ask_for_refunds_again(struct sk_tx *tx, struct order *order)
{
	struct order_refunds open = { .count = 0 };
	enum sk_status st = order_store_open_refunds(tx, order->id, &open);

	for (int i = 0; i < open.count && st == SK_OK; i++) {
		struct order_fact fact = { .event = ORDER_REFUND_ASKED, .refund = &open.list[i] };

		st = order_tell(tx, order, ORDER_SEND_REFUND_REQUEST, &fact);
	}
	return st;
}

/* The same question once more, with the version that it had at first. */
static enum sk_status ask_again(struct sk_tx *tx, const struct order *order)
{
	struct order asking = *order;
	unsigned owed = order_owed(order);
	enum sk_status st;

	asking.version = order->status_version;
	st = order_tell(tx, &asking, owed & ~(unsigned)ORDER_SEND_REFUND_REQUEST, NULL);
	if (st == SK_OK && (owed & ORDER_SEND_REFUND_REQUEST) != 0)
		st = ask_for_refunds_again(tx, &asking);
	return st;
}

static enum sk_status look_at(struct sk_tx *tx, const struct order_service *service,
			      struct order *order)
{
	struct sk_context *context = sk_tx_context(tx);
	int attempts = order->attempts;
	enum sk_status st;

	/* A sweep has no trace of its own worth having: what follows belongs to the order's. */
	context->trace = sk_trace_continue(order->traceparent);
	switch (order_look_at(order, service)) {
	case ORDER_LOOK_GIVE_UP:
		sk_log(SK_LOG_WARN, context, "order %s was %s for too long: cancelled",
		       order->number, order_status_name(order->status));
		return order_advance(tx, service, order,
				     &(struct order_fact) { .event = ORDER_STEP_TIMED_OUT,
							    .reason = "the order took too long" });
	case ORDER_LOOK_RESEND:
		attempts++;
		break;
	case ORDER_LOOK_RESEND_UNCOUNTED:
		break;
	}
	st = ask_again(tx, order);
	if (st != SK_OK)
		return st;
	return order_store_wait(
		tx, order->id, attempts,
		order_owed(order) == 0 ? 0 : order_patience_ms(order, attempts, service));
}

struct sweeping {
	struct order_service *service;
	int looked_at;
};

static enum sk_status look_at_due(struct sk_tx *tx, void *arg)
{
	struct sweeping *sweeping = arg;
	struct orders due;
	enum sk_status st = order_store_hold_due(tx, &due);

	sweeping->looked_at = st == SK_OK ? due.count : 0;
	for (int i = 0; i < sweeping->looked_at && st == SK_OK; i++)
		st = look_at(tx, sweeping->service, &due.list[i]);
	return st;
}

enum sk_status order_sweep_deadlines(struct sk_context *context, void *app, bool *again)
{
	struct sweeping sweeping = { .service = app };
	struct sk_parts *parts = sweeping.service->parts;
	enum sk_status st;

	/* Without the broker nobody can answer, and what was asked is still in the outbox. */
	if (!sk_bus_connected(parts->bus))
		return SK_OK;
	st = sk_pg_transact(parts->pg, context, look_at_due, &sweeping);
	*again = st == SK_OK && sweeping.looked_at == ORDER_DUE_MAX;
	return st;
}
