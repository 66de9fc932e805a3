/* Payment providers: who takes the money. To add one: a file provider_<name>.c with
 * these functions, and its row in provider.c.
 *
 * A charge or a refund is asked for outside any transaction, possibly more than
 * once, always with the same key (the payment's id, the refund's id): a provider must
 * take the second as the first. How it ended comes by a signed webhook only, so that
 * an answer that was lost loses no money. */
#ifndef PAYMENT_PROVIDER_H
#define PAYMENT_PROVIDER_H

#include "payment.h"

struct payment_provider {
	const char *name; /* as orders and webhook paths say it: "test" */

	/* SK_OK: it has the order and will call. SK_INVALID: it refuses for ever; the words are
	 * in the context's error. SK_UNAVAILABLE, SK_TIMEOUT: ask again. */
	enum sk_status (*charge)(struct payment_service *service, struct sk_context *context,
				 const struct payment *payment);
	enum sk_status (*refund)(struct payment_service *service, struct sk_context *context,
				 const struct payment_refund *refund);

	/* Verifies the signature over the raw bytes first (SK_UNAUTHENTICATED), then decodes
	 * (SK_MALFORMED, SK_INVALID). Sets all of notice but provider and webhook_id. */
	enum sk_status (*read)(struct payment_service *service, struct sk_context *context,
			       const struct sk_webhook *webhook, struct payment_notice *notice);
};

extern const struct payment_provider PAYMENT_TEST_PROVIDER;

/* NULL where there is none of that name, or it is switched off. */
const struct payment_provider *payment_provider_find(const struct payment_service *service,
						     const char *name);

/* The sweep that sends the test provider's webhooks. */
SK_MUST_CHECK enum sk_status payment_sweep_test_provider(struct sk_context *context, void *app,
							 bool *again);

#endif
