/* Webhooks of the payment provider and of the carrier: lines with id, timestamp and signature, then
 * the body. As it came, which must not be let in, and with a good signature, which must be. */
#include "fuzz.h"

#include "services/payment/provider.h"
#include "services/shipping/carrier.h"
#include "services/shipping/shipping.h"
#include "sk_id.h"
#include "sk_webhook.h"

#define SECRET "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

static void read_both(struct sk_context *context, const struct sk_webhook *webhook)
{
	struct payment_service payment = { .test_secret = SECRET };
	struct shipping_service shipping = { .secret = SECRET };
	struct payment_notice paid = { .provider = "test" };
	struct shipping_notice shipped = { .carrier = "test" };

	if (PAYMENT_TEST_PROVIDER.read(&payment, context, webhook, &paid) == SK_OK)
		FUZZ_HOLDS(sk_id_valid(paid.payment_id) && paid.reason != NULL &&
			   paid.refund_id != NULL && paid.amount.minor >= 0);
	sk_context_clear_error(context);
	if (SHIPPING_TEST_CARRIER.read(&shipping, context, webhook, &shipped) == SK_OK)
		FUZZ_HOLDS(shipped.tracking_number != NULL);
	sk_context_clear_error(context);
}

void fuzz(struct sk_context *context, struct fuzz_input *input)
{
	struct sk_webhook webhook = {
		.id = fuzz_line(context, input),
		.timestamp = fuzz_line(context, input),
		.signature = fuzz_line(context, input),
	};

	webhook.body = fuzz_rest(context, input);
	webhook.len = input->left;
	(void)sk_webhook_verify(context, webhook.signature, &webhook); /* any text as a secret */
	FUZZ_HOLDS(sk_webhook_verify(context, SECRET, &webhook) == SK_UNAUTHENTICATED);
	read_both(context, &webhook);
	FUZZ_HOLDS(sk_webhook_sign(context, SECRET, &webhook) == SK_OK);
	FUZZ_HOLDS(sk_webhook_verify(context, SECRET, &webhook) == SK_OK);
	read_both(context, &webhook);
}
