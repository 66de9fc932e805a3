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

/* Where a webhook goes. */
struct sk_webhook_target {
	const char *url, *secret;
	const char *traceparent; /* NULL: the context's trace */
	int timeout_ms;
};

/* Signs webhook->id and body at this moment and posts it as JSON. *http_status gets the
 * answer's status, 0 where none came: then SK_UNAVAILABLE or SK_TIMEOUT. Any answer is SK_OK. */
SK_MUST_CHECK enum sk_status sk_webhook_send(struct sk_context *context,
					     const struct sk_webhook_target *target,
					     struct sk_webhook *webhook, int *http_status);

struct sk_request;

/* The webhook of a request: its three headers (NULL where absent) and its raw body. */
struct sk_webhook sk_webhook_of_request(struct sk_request *request);

#endif
