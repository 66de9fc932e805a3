#include "payment.h"

#include "souk/orders/v1/events.pb-c.h"
#include "souk/payments/v1/events.pb-c.h"

/* ---- published ---- */

/* protobuf-c's strings are not const; a copy in the arena is cheaper than a doubtful cast. */
static char *text(struct sk_tx *tx, const char *value)
{
	return sk_arena_strdup(sk_tx_arena(tx), value);
}

static enum sk_status tell(struct sk_tx *tx, const char *what, const struct payment *payment,
			   const ProtobufCMessage *body)
{
	struct sk_event event = {
		.subject = sk_arena_printf(sk_tx_arena(tx), PAYMENT_STREAM ".%s.%s", what,
					   payment->order_id),
		.body = body,
	};

	return sk_outbox_add(tx, &event);
}

static enum sk_status tell_confirmed(struct sk_tx *tx, const struct payment *payment)
{
	Souk__Payments__V1__PaymentConfirmed body;

	souk__payments__v1__payment_confirmed__init(&body);
	body.order_id = text(tx, payment->order_id);
	body.version = payment->version;
	body.payment_id = text(tx, payment->id);
	body.amount_minor = payment->amount.minor;
	body.currency = text(tx, payment->amount.currency);
	body.provider = text(tx, payment->provider);
	return tell(tx, "confirmed", payment, &body.base);
}

static enum sk_status tell_failed(struct sk_tx *tx, const struct payment *payment)
{
	Souk__Payments__V1__PaymentFailed body;

	souk__payments__v1__payment_failed__init(&body);
	body.order_id = text(tx, payment->order_id);
	body.version = payment->version;
	body.payment_id = text(tx, payment->id);
	body.reason = text(tx, payment->reason);
	return tell(tx, "failed", payment, &body.base);
}

static enum sk_status tell_cancelled(struct sk_tx *tx, const struct payment *payment)
{
	Souk__Payments__V1__PaymentCancelled body;

	souk__payments__v1__payment_cancelled__init(&body);
	body.order_id = text(tx, payment->order_id);
	body.version = payment->version;
	body.payment_id = text(tx, payment->id);
	return tell(tx, "cancelled", payment, &body.base);
}

enum sk_status payment_tell(struct sk_tx *tx, const struct payment *payment)
{
	switch (payment->state) {
	case PAYMENT_CAPTURED:
		return tell_confirmed(tx, payment);
	case PAYMENT_FAILED:
		return tell_failed(tx, payment);
	case PAYMENT_CANCELLED:
		return tell_cancelled(tx, payment);
	case PAYMENT_REQUESTED:
	case PAYMENT_CHARGING:
	case PAYMENT_STATES:
		break;
	}
	return SK_OK;
}

static enum sk_status tell_refunded(struct sk_tx *tx, const struct payment *payment,
				    const struct payment_refund *refund)
{
	Souk__Payments__V1__PaymentRefunded body;

	souk__payments__v1__payment_refunded__init(&body);
	body.order_id = text(tx, payment->order_id);
	body.version = payment->version;
	body.payment_id = text(tx, payment->id);
	body.refund_id = text(tx, refund->id);
	body.amount_minor = refund->amount.minor;
	body.currency = text(tx, refund->amount.currency);
	body.refunded_minor = payment->refunded_minor;
	return tell(tx, "refunded", payment, &body.base);
}

static enum sk_status tell_refund_failed(struct sk_tx *tx, const struct payment *payment,
					 const struct payment_refund *refund)
{
	Souk__Payments__V1__PaymentRefundFailed body;

	souk__payments__v1__payment_refund_failed__init(&body);
	body.order_id = text(tx, payment->order_id);
	body.version = payment->version;
	body.payment_id = text(tx, payment->id);
	body.refund_id = text(tx, refund->id);
	body.amount_minor = refund->amount.minor;
	body.currency = text(tx, refund->amount.currency);
	body.reason = text(tx, refund->failure);
	return tell(tx, "refund_failed", payment, &body.base);
}

enum sk_status payment_tell_refund(struct sk_tx *tx, const struct payment *payment,
				   const struct payment_refund *refund)
{
	switch (refund->state) {
	case PAYMENT_REFUND_DONE:
		return tell_refunded(tx, payment, refund);
	case PAYMENT_REFUND_REFUSED:
		sk_log(SK_LOG_ERROR, sk_tx_context(tx), "refund %s of order %s was refused: %s",
		       refund->id, payment->number, refund->failure);
		return tell_refund_failed(tx, payment, refund);
	case PAYMENT_REFUND_REQUESTED:
	case PAYMENT_REFUND_SENT:
	case PAYMENT_REFUND_STATES:
		break;
	}
	return SK_OK;
}

/* ---- consumed ---- */

static const char *traceparent_of(const struct sk_message *message)
{
	char buffer[SK_TRACEPARENT_BYTES];

	return sk_arena_strdup(message->context->arena,
			       sk_trace_format(&message->context->trace, buffer));
}

static enum sk_status on_requested(struct sk_tx *tx, const struct sk_message *message, void *app)
{
	const Souk__Orders__V1__PaymentRequested *request = (const void *)message->body;
	struct payment wanted = {
		.id = sk_id_make(message->context->arena),
		.order_id = request->order_id,
		.account_id = request->account_id,
		.number = request->number,
		.amount = sk_money_of(request->total_minor, request->currency),
		.provider = request->provider,
		.token = request->token,
		.version = 1,
		.reason = "",
		.traceparent = traceparent_of(message),
	};

	return payment_ask(tx, app, &wanted);
}

static enum sk_status on_cancelled(struct sk_tx *tx, const struct sk_message *message, void *app)
{
	const Souk__Orders__V1__OrderCancelled *cancelled = (const void *)message->body;
	struct payment order = {
		.id = sk_id_make(message->context->arena),
		.order_id = cancelled->order_id,
		.account_id = cancelled->account_id,
		.number = cancelled->number,
		.amount = sk_money_of(cancelled->total_minor, cancelled->currency),
		.provider = "",
		.token = "",
		.version = 1,
		.traceparent = traceparent_of(message),
	};

	(void)app;
	return payment_cancel(tx, &order);
}

static enum sk_status on_refund_requested(struct sk_tx *tx, const struct sk_message *message,
					  void *app)
{
	const Souk__Orders__V1__RefundRequested *request = (const void *)message->body;
	struct payment_refund wanted = {
		.id = request->refund_id,
		.order_id = request->order_id,
		.amount = sk_money_of(request->amount_minor, request->currency),
		.reason = request->reason,
	};

	return payment_refund_ask(tx, app, &wanted);
}

static const struct sk_handler REQUESTS[] = {
	{ &souk__orders__v1__payment_requested__descriptor, on_requested },
	{ NULL, NULL },
};

static const struct sk_handler REFUNDS[] = {
	{ &souk__orders__v1__refund_requested__descriptor, on_refund_requested },
	{ NULL, NULL },
};

static const struct sk_handler CANCELLATIONS[] = {
	{ &souk__orders__v1__order_cancelled__descriptor, on_cancelled },
	{ NULL, NULL },
};

const struct sk_consumer PAYMENT_CONSUMERS[] = {
	{ "payment-requested", "orders", "orders.payment_requested.*", REQUESTS },
	{ "payment-refunds", "orders", "orders.refund_requested.*", REFUNDS },
	{ "payment-cancelled", "orders", "orders.cancelled.*", CANCELLATIONS },
	{ NULL, NULL, NULL, NULL },
};
