/* The sweeps that ask providers to charge and to refund.
 *
 * Asking happens outside any transaction, so a crash may come between the question and
 * our knowing of it. What makes that safe: the row is claimed first, by a committed
 * update with a lease, so that a cancel from then on knows that a provider may have
 * been asked; the payment's id is the provider's idempotency key, so asking
 * again is the same charge; and how it ended comes by webhook only. A row whose
 * webhook never comes is due again when its lease ends. */
#include "provider.h"

/* What is to be done with a row after its provider was asked. */
enum outcome {
	ASKED,	 /* its webhook will come */
	REFUSED, /* for ever: the words are in the context's error */
	RETRY,
};

static enum outcome outcome_of(enum sk_status status)
{
	switch (status) {
	case SK_OK:
	case SK_DUPLICATE:
		return ASKED;
	case SK_INVALID:
	case SK_MALFORMED:
	case SK_FORBIDDEN:
	case SK_CONFLICT:
	case SK_TOO_LARGE:
		return REFUSED;
	case SK_NOT_FOUND:
	case SK_UNAUTHENTICATED:
	case SK_PRECONDITION:
	case SK_TOO_MANY:
	case SK_UNAVAILABLE:
	case SK_TIMEOUT:
	case SK_NO_MEMORY:
	case SK_INTERNAL:
		return RETRY;
	}
	return RETRY;
}

/* A refusal is the provider's word as a webhook's would be, and takes the same way. */
static enum sk_status take_refusal(struct sk_tx *tx, void *arg)
{
	return payment_take_notice(tx, arg);
}

static enum sk_status refuse(struct payment_service *service, struct sk_context *context,
			     struct payment_notice *notice)
{
	notice->reason = sk_arena_strdup(context->arena, context->error.detail);
	sk_context_clear_error(context);
	return sk_pg_transact(service->parts->pg, context, take_refusal, notice);
}

static enum sk_status charge_one(struct payment_service *service, struct sk_context *context,
				 const struct payment *payment)
{
	const struct payment_provider *provider = payment_provider_find(service, payment->provider);
	struct payment_notice refusal = {
		.provider = payment->provider,
		.webhook_id = sk_arena_printf(context->arena, "refused:%s", payment->id),
		.kind = PAYMENT_NOTICE_FAILED,
		.payment_id = payment->id,
		.refund_id = "",
		.amount = payment->amount,
	};
	enum outcome outcome = RETRY;

	context->trace = sk_trace_continue(payment->traceparent);
	sk_crash_here(SK_CRASH_CHARGE_BEFORE_CALL);
	if (provider != NULL)
		outcome = outcome_of(provider->charge(service, context, payment));
	sk_crash_here(SK_CRASH_CHARGE_BEFORE_RECORD);
	if (outcome == REFUSED)
		return refuse(service, context, &refusal);
	if (outcome == RETRY) {
		sk_log_failure(SK_LOG_WARN, context, "a charge is tried again later");
		sk_context_clear_error(context);
		return payment_store_ask_later(service->parts->pg, context, payment->id,
					       payment_retry_ms(payment->attempts));
	}
	if (payment->attempts <= 1) /* the lease is already what payment_ask_again_ms says */
		return SK_OK;
	return payment_store_ask_later(service->parts->pg, context, payment->id,
				       payment_ask_again_ms(payment->attempts));
}

enum sk_status payment_sweep_charges(struct sk_context *context, void *app, bool *again)
{
	struct payment_service *service = app;
	struct payments claimed;
	enum sk_status st = payment_store_claim_charges(service->parts->pg, context, &claimed);

	for (int i = 0; st == SK_OK && i < claimed.count; i++)
		st = charge_one(service, context, &claimed.list[i]);
	*again = st == SK_OK && claimed.count == PAYMENT_CLAIM_MAX;
	return st;
}

static enum sk_status refund_one(struct payment_service *service, struct sk_context *context,
				 const struct payment_refund *refund)
{
	const struct payment_provider *provider = payment_provider_find(service, refund->provider);
	struct payment_notice refusal = {
		.provider = refund->provider,
		.webhook_id = sk_arena_printf(context->arena, "refused:%s", refund->id),
		.kind = PAYMENT_NOTICE_REFUND_REFUSED,
		.payment_id = refund->payment_id,
		.refund_id = refund->id,
		.amount = refund->amount,
	};
	enum outcome outcome = RETRY;

	context->trace = sk_trace_continue(refund->traceparent);
	sk_crash_here(SK_CRASH_REFUND_BEFORE_CALL);
	if (provider != NULL)
		outcome = outcome_of(provider->refund(service, context, refund));
	sk_crash_here(SK_CRASH_REFUND_BEFORE_RECORD);
	if (outcome == REFUSED)
		return refuse(service, context, &refusal);
	if (outcome == RETRY) {
		sk_log_failure(SK_LOG_WARN, context, "a refund is tried again later");
		sk_context_clear_error(context);
		return payment_store_refund_later(service->parts->pg, context, refund->id,
						  payment_retry_ms(refund->attempts));
	}
	if (refund->attempts <= 1)
		return SK_OK;
	return payment_store_refund_later(service->parts->pg, context, refund->id,
					  payment_ask_again_ms(refund->attempts));
}

enum sk_status payment_sweep_refunds(struct sk_context *context, void *app, bool *again)
{
	struct payment_service *service = app;
	struct payment_refunds claimed;
	enum sk_status st = payment_store_claim_refunds(service->parts->pg, context, &claimed);

	for (int i = 0; st == SK_OK && i < claimed.count; i++)
		st = refund_one(service, context, &claimed.list[i]);
	*again = st == SK_OK && claimed.count == PAYMENT_CLAIM_MAX;
	return st;
}

enum sk_status payment_sweep_prune(struct sk_context *context, void *app, bool *again)
{
	struct payment_service *service = app;

	(void)again;
	return payment_store_prune(service->parts->pg, context);
}
