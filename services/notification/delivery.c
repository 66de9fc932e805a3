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
	struct sk_arena *arena = context->arena;
	struct sk_webhook webhook = {
		.id = delivery->message_id,
		.body = delivery->body,
		.len = strlen(delivery->body),
	};
	struct sk_client_answer answer = { 0 };
	enum sk_status st = SK_OK;

	context->now_us = sk_time_now_us(); /* the signature carries the time */
	if (!service->allow_private)
		st = notification_target_resolve(context, delivery->url);
	if (st == SK_OK)
		st = sk_webhook_sign(context, delivery->secret, &webhook);
	if (st == SK_OK) {
		const char *const headers[] = {
			"Content-Type: application/json",
			"User-Agent: Souk-Webhooks/1.0",
			sk_arena_printf(arena, "webhook-id: %s", webhook.id),
			sk_arena_printf(arena, "webhook-timestamp: %s", webhook.timestamp),
			sk_arena_printf(arena, "webhook-signature: %s", webhook.signature),
			sk_arena_printf(arena, "traceparent: %s", delivery->traceparent),
			NULL,
		};
		struct sk_client_request request = {
			.method = "POST",
			.url = delivery->url,
			.headers = headers,
			.body = webhook.body,
			.body_len = webhook.len,
			.timeout_ms = WEBHOOK_TIMEOUT_MS,
		};

		st = sk_client_send(context, &request, &answer);
	}
	*http_status = answer.status;
	return st;
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
