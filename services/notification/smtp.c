/* The sweep that hands messages to the mail server.
 *
 * A message is claimed by a committed update with a lease, sent outside any transaction,
 * and marked. If we die between the server's answer and the mark, the lease ends and the
 * message is sent again, with the same Message-ID: mail has no other way to be sent
 * once, and losing one is worse. However often the event is delivered, there is one
 * row, so this is the only case. */
#include "notification.h"

#define CLAIM_MAX	16
#define MAIL_TIMEOUT_MS 10000

static enum sk_status end_in(struct sk_tx *tx, void *arg)
{
	struct notification_message *message = arg;
	bool ended;
	enum sk_status st = notification_store_end(tx, message, &ended);

	if (st != SK_OK || !ended)
		return st;
	return message->state == NOTIFICATION_SENT ? notification_tell_sent(tx, message)
						   : notification_tell_failed(tx, message);
}

static enum sk_status end(struct notification_service *service, struct sk_context *context,
			  struct notification_message *message, enum notification_state state)
{
	message->state = state;
	return sk_pg_transact(service->parts->pg, context, end_in, message);
}

static enum sk_status hand_over(struct notification_service *service, struct sk_context *context,
				const struct notification_message *message)
{
	struct notification_mail mail = {
		.id = message->id,
		.kind = message->kind,
		.shop = service->shop,
		.from = service->from,
		.to = message->recipient,
		.subject = message->subject,
		.body = message->body,
		.at_us = message->created_at_us,
	};
	struct sk_mail envelope = {
		.smtp_url = service->smtp_url,
		.user = service->smtp_user,
		.password = service->smtp_password,
		.from = service->from,
		.to = message->recipient,
		.message = notification_mail_write(context->arena, &mail),
		.timeout_ms = MAIL_TIMEOUT_MS,
	};
	enum sk_status st;

	sk_crash_here(SK_CRASH_MAIL_BEFORE_HAND_OVER);
	st = sk_client_mail(context, &envelope);
	sk_crash_here(SK_CRASH_MAIL_BEFORE_RECORD);
	return st;
}

static enum sk_status send_one(struct notification_service *service, struct sk_context *context,
			       struct notification_message *message)
{
	enum notification_fate fate;
	enum sk_status st;

	context->trace = sk_trace_continue(message->traceparent);
	message->attempts++;
	if (notification_expired(message, sk_time_now_us())) {
		message->last_error = "it was of no use any more";
		return end(service, context, message, NOTIFICATION_FAILED);
	}
	st = hand_over(service, context, message);
	fate = notification_fate_of(st, message->attempts, service->max_attempts);
	if (fate == NOTIFICATION_DONE)
		return end(service, context, message, NOTIFICATION_SENT);
	sk_log_failure(SK_LOG_WARN, context, "a mail was not taken");
	message->last_error = sk_arena_strdup(context->arena, context->error.detail);
	sk_context_clear_error(context);
	if (fate == NOTIFICATION_GIVE_UP)
		return end(service, context, message, NOTIFICATION_FAILED);
	return notification_store_again(service->parts->pg, context, message,
					notification_mail_delay_ms(message->attempts));
}

/* Whether the run may begin one more: those left are due again when the lease ends. */
static bool has_time(const struct sk_context *context)
{
	return sk_context_remaining_ms(context, MAIL_TIMEOUT_MS) == MAIL_TIMEOUT_MS;
}

enum sk_status notification_sweep_smtp(struct sk_context *context, void *app, bool *again)
{
	struct notification_service *service = app;
	struct notification_messages claimed;
	enum sk_status st = notification_store_claim(service->parts->pg, context, CLAIM_MAX,
						     &claimed);

	for (int i = 0; st == SK_OK && i < claimed.count && has_time(context); i++)
		st = send_one(service, context, &claimed.list[i]);
	*again = st == SK_OK && claimed.count == CLAIM_MAX;
	return st;
}
