/* The life of a payment: what has happened is looked up in the table (rules.c), the row
 * moves, and the outbox tells, in one transaction and with the row held. No other
 * file writes a state, but for the claim of a sweep (requested -> charging). */
#include "provider.h"

#include <string.h>

static void wake_charges(void *arg)
{
	struct payment_service *service = arg;

	sk_sweep_wake(service->parts->sweeps, PAYMENT_SWEEP_CHARGES);
}

static void wake_refunds(void *arg)
{
	struct payment_service *service = arg;

	sk_sweep_wake(service->parts->sweeps, PAYMENT_SWEEP_REFUNDS);
}

/* Moves the held payment as the table says. A payment that told nothing keeps its reason. */
static enum sk_status advance(struct sk_tx *tx, struct payment *payment, enum payment_event event,
			      const char *reason)
{
	struct payment_step step = payment_next(payment->state, event);
	enum sk_status st;

	switch (step.verdict) {
	case PAYMENT_IGNORE:
		return SK_OK;
	case PAYMENT_ANSWER:
		return payment_tell(tx, payment);
	case PAYMENT_GO:
		payment->state = step.next;
		payment->reason = reason;
		st = payment_store_move(tx, payment);
		return st == SK_OK ? payment_tell(tx, payment) : st;
	case PAYMENT_REFUSE:
		break;
	}
	return sk_fail(sk_tx_context(tx), SK_CONFLICT, "payment_contradicted",
		       "payment %s is %s already", payment->id, payment_state_name(payment->state));
}

/* ---- charging ---- */

enum sk_status payment_ask(struct sk_tx *tx, struct payment_service *service,
			   const struct payment *wanted)
{
	struct payment payment = *wanted;
	bool added;
	enum sk_status st;

	payment.state = PAYMENT_REQUESTED;
	if (payment_provider_find(service, wanted->provider) == NULL) {
		payment.state = PAYMENT_FAILED;
		payment.reason = "unknown provider";
	}
	st = payment_store_add(tx, &payment, &added);
	if (st != SK_OK)
		return st;
	if (added) {
		sk_tx_after_commit(tx, wake_charges, service);
		return payment_tell(tx, &payment);
	}
	st = payment_store_hold_of_order(tx, wanted->order_id, &payment);
	return st == SK_OK ? advance(tx, &payment, PAYMENT_ASKED, "") : st;
}

enum sk_status payment_cancel(struct sk_tx *tx, const struct payment *order)
{
	struct payment payment = *order;
	bool added;
	enum sk_status st;

	payment.state = PAYMENT_CANCELLED;
	payment.reason = "the order was cancelled";
	st = payment_store_add(tx, &payment, &added);
	if (st != SK_OK)
		return st;
	if (added)
		return payment_tell(tx, &payment);
	st = payment_store_hold_of_order(tx, order->order_id, &payment);
	return st == SK_OK
		       ? advance(tx, &payment, PAYMENT_ORDER_CANCELLED, "the order was cancelled")
		       : st;
}

/* ---- refunding ---- */

/* Moves the refund as the table says; its payment is held. */
static enum sk_status advance_refund(struct sk_tx *tx, struct payment *payment,
				     struct payment_refund *refund, enum payment_refund_event event)
{
	struct payment_refund_step step = payment_refund_next(refund->state, event);
	enum sk_status st;

	switch (step.verdict) {
	case PAYMENT_IGNORE:
		return SK_OK;
	case PAYMENT_ANSWER:
		return payment_tell_refund(tx, payment, refund);
	case PAYMENT_GO:
		refund->state = step.next;
		st = payment_store_end_refund(tx, refund);
		if (step.next == PAYMENT_REFUND_DONE)
			payment->refunded_minor += refund->amount.minor;
		if (st == SK_OK)
			st = payment_store_move(tx, payment);
		return st == SK_OK ? payment_tell_refund(tx, payment, refund) : st;
	case PAYMENT_REFUSE:
		break;
	}
	return sk_fail(sk_tx_context(tx), SK_CONFLICT, "refund_contradicted",
		       "refund %s is %s already", refund->id,
		       payment_refund_state_name(refund->state));
}

/* A refund id that is known: under way, to be answered once more, or another's. */
static enum sk_status refund_again(struct sk_tx *tx, struct payment *payment,
				   struct payment_refund *known,
				   const struct payment_refund *wanted)
{
	if (strcmp(known->payment_id, payment->id) != 0 ||
	    !payment_amount_matches(&known->amount, &wanted->amount))
		return sk_fail(sk_tx_context(tx), SK_CONFLICT, "refund_id_reused",
			       "refund %s is another refund already", known->id);
	return advance_refund(tx, payment, known, PAYMENT_REFUND_ASKED);
}

static enum sk_status add_refund(struct sk_tx *tx, const struct payment *payment,
				 const struct payment_refund *wanted)
{
	struct payment_refund refund = *wanted;
	int64_t others_minor;
	enum sk_status st = payment_store_sum_refunds(tx, payment->id, &others_minor);

	if (st != SK_OK)
		return st;
	if (!payment_refund_fits(payment, others_minor, &wanted->amount))
		return sk_fail(sk_tx_context(tx), SK_CONFLICT, "refund_too_large",
			       "refund %s does not fit into what was taken", wanted->id);
	refund.payment_id = payment->id;
	return payment_store_add_refund(tx, &refund);
}

/* Whether money was taken that could go back. */
static enum sk_status check_captured(struct sk_context *context, const struct payment *payment)
{
	switch (payment->state) {
	case PAYMENT_CAPTURED:
		return SK_OK;
	case PAYMENT_REQUESTED:
	case PAYMENT_CHARGING:
		return sk_fail(context, SK_NOT_FOUND, "payment_pending",
			       "payment %s is not captured yet", payment->id);
	case PAYMENT_FAILED:
	case PAYMENT_CANCELLED:
	case PAYMENT_STATES:
		break;
	}
	return sk_fail(context, SK_CONFLICT, "nothing_to_refund", "payment %s is %s", payment->id,
		       payment_state_name(payment->state));
}

enum sk_status payment_refund_ask(struct sk_tx *tx, struct payment_service *service,
				  const struct payment_refund *wanted)
{
	struct payment payment;
	struct payment_refund known;
	enum sk_status st = payment_store_hold_of_order(tx, wanted->order_id, &payment);

	if (st == SK_OK)
		st = check_captured(sk_tx_context(tx), &payment);
	if (st != SK_OK)
		return st;
	st = payment_store_find_refund(tx, wanted->id, &known);
	if (st == SK_OK)
		return refund_again(tx, &payment, &known, wanted);
	if (st != SK_NOT_FOUND)
		return st;
	sk_context_clear_error(sk_tx_context(tx));
	st = add_refund(tx, &payment, wanted);
	if (st == SK_OK)
		sk_tx_after_commit(tx, wake_refunds, service);
	return st;
}

/* ---- what a provider says ---- */

static enum sk_status amount_mismatch(struct sk_tx *tx, const struct payment_notice *notice)
{
	return sk_fail(sk_tx_context(tx), SK_INVALID, "amount_mismatch",
		       "the amount is not that of payment %s", notice->payment_id);
}

static enum sk_status take_refund(struct sk_tx *tx, struct payment *payment,
				  const struct payment_notice *notice)
{
	bool done = notice->kind == PAYMENT_NOTICE_REFUNDED;
	struct payment_refund refund;
	enum sk_status st = payment_store_find_refund(tx, notice->refund_id, &refund);

	if (st != SK_OK)
		return st;
	if (strcmp(refund.payment_id, payment->id) != 0 ||
	    !payment_amount_matches(&refund.amount, &notice->amount))
		return amount_mismatch(tx, notice);
	if (done)
		return advance_refund(tx, payment, &refund, PAYMENT_REFUND_SUCCEEDED);
	refund.failure = *notice->reason != '\0' ? notice->reason : "the provider gave no reason";
	return advance_refund(tx, payment, &refund, PAYMENT_REFUND_DECLINED);
}

static enum sk_status take_outcome(struct sk_tx *tx, struct payment *payment,
				   const struct payment_notice *notice)
{
	bool paid = notice->kind == PAYMENT_NOTICE_SUCCEEDED;

	if (!payment_amount_matches(&payment->amount, &notice->amount))
		return amount_mismatch(tx, notice);
	return advance(tx, payment, paid ? PAYMENT_SUCCEEDED : PAYMENT_DECLINED,
		       paid ? "" : notice->reason);
}

enum sk_status payment_take_notice(struct sk_tx *tx, const struct payment_notice *notice)
{
	struct payment payment;
	bool fresh;
	enum sk_status st = payment_store_see_webhook(tx, notice, &fresh);

	if (st != SK_OK || !fresh)
		return st;
	st = payment_store_hold(tx, notice->payment_id, &payment);
	if (st != SK_OK)
		return st;
	if (strcmp(payment.provider, notice->provider) != 0)
		return sk_fail(sk_tx_context(tx), SK_NOT_FOUND, "payment_not_found",
			       "%s has no such payment", notice->provider);
	/* The provider knows nothing of the order's trace; what follows belongs to it. */
	sk_tx_context(tx)->trace = sk_trace_continue(payment.traceparent);
	switch (notice->kind) {
	case PAYMENT_NOTICE_SUCCEEDED:
	case PAYMENT_NOTICE_FAILED:
		return take_outcome(tx, &payment, notice);
	case PAYMENT_NOTICE_REFUNDED:
	case PAYMENT_NOTICE_REFUND_REFUSED:
		break;
	}
	return take_refund(tx, &payment, notice);
}
