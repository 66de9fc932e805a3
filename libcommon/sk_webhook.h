/* Standard Webhooks 1.0: webhook-id, webhook-timestamp and webhook-signature
 * ("v1,<base64 of HMAC-SHA256(id.timestamp.body)>"). Payment providers, carriers
 * and our own outgoing webhooks are all signed this way. */
#ifndef SK_WEBHOOK_H
#define SK_WEBHOOK_H

#include <stddef.h>

#include "sk_context.h"

#define SK_WEBHOOK_TOLERANCE_S 300

struct sk_webhook {
	const char *id;
	const char *timestamp; /* Unix seconds, decimal */
	const char *signature; /* one or more, separated by spaces */
	const void *body;
	size_t len;
};

/* Fills timestamp and signature for webhook->id and body at the context's time.
 * secret is "whsec_<base64>" or plain bytes. */
SK_MUST_CHECK enum sk_status sk_webhook_sign(struct sk_context *context, const char *secret,
					     struct sk_webhook *webhook);

/* SK_UNAUTHENTICATED ("invalid_signature") where a header is missing, the time is
 * over SK_WEBHOOK_TOLERANCE_S off, or no signature fits. Constant-time. */
SK_MUST_CHECK enum sk_status sk_webhook_verify(struct sk_context *context, const char *secret,
					       const struct sk_webhook *webhook);

#endif
