/* The sweep that posts webhooks (Standard Webhooks 1.0).
 *
 * A delivery is claimed with a lease and posted outside any transaction, at least once:
 * the webhook-id is the event's id, the same for each attempt and each endpoint, so that
 * a receiver can tell a repetition. An endpoint that is slow costs the others of its
 * batch WEBHOOK_TIMEOUT_MS and no more. */
#include <string.h>

#include "notification.h"

#define CLAIM_MAX	   8
#define WEBHOOK_TIMEOUT_MS 5000

static enum sk_status post(struct notification_service *service, struct sk_context *context,
			   const struct notification_delivery *delivery, int *http_status)
{
	struct sk_webhook webhook = {
		.id = delivery->message_id,
		.body = delivery->body,
		.len = strlen(delivery->body),
	};
	enum sk_status st = SK_OK;

	*http_status = 0;
	if (!service->allow_private)
		st = notification_target_resolve(context, delivery->url);
	if (st != SK_OK)
		return st;
	return sk_webhook_send(context,
			       &(struct sk_webhook_target) {
				       .url = delivery->url,
				       .secret = delivery->secret,
				       .traceparent = delivery->traceparent,
				       .timeout_ms = WEBHOOK_TIMEOUT_MS,
			       },
			       &webhook, http_status);
}

static enum sk_status deliver(struct notification_service *service, struct sk_context *context,
			      const struct notification_delivery *delivery)
{
	struct notification_attempt attempt = { .error = "" };
	int attempts = delivery->attempts + 1;
	enum sk_status st;

	context->trace = sk_trace_continue(delivery->traceparent);
	st = post(service, context, delivery, &attempt.http_status);
	if (st != SK_OK) {
		attempt.error = sk_arena_strdup(context->arena, context->error.detail);
		sk_context_clear_error(context);
	}
	attempt.fate = notification_webhook_fate(attempt.http_status, attempts);
	attempt.delay_ms = notification_webhook_delay_ms(attempts);
	if (attempt.fate == NOTIFICATION_GIVE_UP)
		sk_log(SK_LOG_WARN, context, "webhook %s was given up after %d attempts (%d %s)",
		       delivery->message_id, attempts, attempt.http_status, attempt.error);
	return notification_store_attempted(service->parts->pg, context, delivery->id, &attempt);
}

/* Whether the run may begin one more: those left are due again when the lease ends. */
static bool has_time(const struct sk_context *context)
{
	return sk_context_remaining_ms(context, WEBHOOK_TIMEOUT_MS) == WEBHOOK_TIMEOUT_MS;
}

enum sk_status notification_sweep_webhooks(struct sk_context *context, void *app, bool *again)
{
	struct notification_service *service = app;
	struct notification_deliveries claimed;
	enum sk_status st = notification_store_claim_deliveries(service->parts->pg, context,
								CLAIM_MAX, &claimed);

	for (int i = 0; st == SK_OK && i < claimed.count && has_time(context); i++)
		st = deliver(service, context, &claimed.list[i]);
	*again = st == SK_OK && claimed.count == CLAIM_MAX;
	return st;
}

enum sk_status notification_sweep_prune(struct sk_context *context, void *app, bool *again)
{
	struct notification_service *service = app;

	(void)again;
	return notification_store_prune(service->parts->pg, context);
}
