#include "notification.h"

#include <string.h>

#include "souk/notifications/v1/events.pb-c.h"

/* ---- published ---- */

/* protobuf-c's strings are not const; a copy in the arena is cheaper than a doubtful cast. */
static char *text(struct sk_tx *tx, const char *value)
{
	return sk_arena_strdup(sk_tx_arena(tx), value);
}

static enum sk_status tell(struct sk_tx *tx, const char *what, const char *message_id,
			   const ProtobufCMessage *body)
{
	struct sk_event event = {
		.subject = sk_arena_printf(sk_tx_arena(tx), NOTIFICATION_STREAM ".%s.%s", what,
					   message_id),
		.body = body,
	};

	return sk_outbox_add(tx, &event);
}

enum sk_status notification_tell_sent(struct sk_tx *tx, const struct notification_message *message)
{
	Souk__Notifications__V1__MessageSent body;

	souk__notifications__v1__message_sent__init(&body);
	body.message_id = text(tx, message->id);
	body.version = message->version;
	body.kind = text(tx, message->kind);
	body.to = text(tx, message->recipient);
	body.order_id = text(tx, message->order_id);
	return tell(tx, "sent", message->id, &body.base);
}

enum sk_status notification_tell_failed(struct sk_tx *tx,
					const struct notification_message *message)
{
	Souk__Notifications__V1__MessageFailed body;

	souk__notifications__v1__message_failed__init(&body);
	body.message_id = text(tx, message->id);
	body.version = message->version;
	body.kind = text(tx, message->kind);
	body.to = text(tx, message->recipient);
	body.order_id = text(tx, message->order_id);
	body.error = text(tx, message->last_error);
	return tell(tx, "failed", message->id, &body.base);
}

/* ---- consumed ---- */

static void wake_smtp(void *arg)
{
	struct notification_service *service = arg;

	sk_sweep_wake(service->parts->sweeps, NOTIFICATION_SWEEP_SMTP);
}

static void wake_webhooks(void *arg)
{
	struct notification_service *service = arg;

	sk_sweep_wake(service->parts->sweeps, NOTIFICATION_SWEEP_WEBHOOKS);
}

static const char *traceparent_of(struct sk_context *context)
{
	char buffer[SK_TRACEPARENT_BYTES];

	return sk_arena_strdup(context->arena, sk_trace_format(&context->trace, buffer));
}

static enum sk_status render(struct notification_service *service, struct sk_context *context,
			     const struct notification_draft *draft,
			     struct notification_message *message)
{
	const struct notification_template *template = &service->templates[draft->kind];
	struct notification_value values[NOTIFICATION_PLACEHOLDERS_MAX + 2] = {
		{ "shop", service->shop },
		{ "shop_url", service->shop_url },
	};
	const char *subject = sk_arena_printf(context->arena, "%.*s", (int)template->subject_len,
					      template->subject);
	enum sk_status st;

	memcpy(values + 2, draft->values, draft->values_count * sizeof(values[0]));
	st = notification_template_render(context, subject, values, draft->values_count + 2,
					  &message->subject);
	if (st == SK_OK)
		st = notification_template_render(context, template->body, values,
						  draft->values_count + 2, &message->body);
	return st;
}

static enum sk_status write_message(struct sk_tx *tx, struct notification_service *service,
				    const struct notification_draft *draft)
{
	struct sk_context *context = sk_tx_context(tx);
	struct notification_message message = {
		.id = sk_id_make(context->arena),
		.kind = NOTIFICATION_KIND_ROWS[draft->kind].name,
		.entity_id = draft->entity_id,
		.order_id = draft->order_id,
		.recipient = draft->recipient,
		.expires_at_us = draft->expires_at_us,
		.traceparent = traceparent_of(context),
	};
	bool added = false;
	enum sk_status st = render(service, context, draft, &message);

	if (st == SK_OK)
		st = notification_store_add(tx, &message, &added);
	if (st == SK_OK && added)
		sk_tx_after_commit(tx, wake_smtp, service);
	return st;
}

/* {"type", "timestamp", "data"} as Standard Webhooks recommends. */
static enum sk_status webhook_body(const struct sk_message *message, const char *event,
				   const char **body)
{
	struct sk_json json;

	sk_json_init(&json, message->context->arena, NOTIFICATION_WEBHOOK_MAX_BYTES);
	sk_json_begin_object(&json, NULL);
	sk_json_text(&json, "type", event);
	sk_json_time(&json, "timestamp", message->delivery->time_us);
	sk_message_to_json(&json, "data", message->body);
	sk_json_end_object(&json);
	if (!sk_buf_ok(&json.buf))
		return sk_fail(message->context, SK_TOO_LARGE, "webhook_too_large",
			       "the event has over %zu bytes as JSON",
			       NOTIFICATION_WEBHOOK_MAX_BYTES);
	*body = sk_buf_text(&json.buf);
	return SK_OK;
}

static enum sk_status queue_webhooks(struct sk_tx *tx, struct notification_service *service,
				     const struct sk_message *message)
{
	struct sk_arena *arena = message->context->arena;
	const char *event = notification_public_event(arena, message->delivery->subject);
	struct notification_hook hook = {
		.message_id = message->delivery->id,
		.type = event,
		.traceparent = traceparent_of(message->context),
	};
	int queued = 0;
	enum sk_status st;

	if (event == NULL)
		return SK_OK;
	hook.keys[0] = "*";
	hook.keys[1] = sk_arena_printf(arena, "%.*s.*", (int)strcspn(event, "."), event);
	hook.keys[2] = event;
	st = webhook_body(message, event, &hook.body);
	if (st == SK_OK)
		st = notification_store_queue(tx, &hook, &queued);
	if (st == SK_OK && queued > 0)
		sk_tx_after_commit(tx, wake_webhooks, service);
	return st;
}

/* Every event: to the endpoints that want it, and to the shopper where it is worth a mail. */
static enum sk_status on_event(struct sk_tx *tx, const struct sk_message *message, void *app)
{
	struct notification_service *service = app;
	struct notification_draft draft;
	enum sk_status st;

	if (message->body == NULL) /* a type of a later release */
		return SK_OK;
	st = queue_webhooks(tx, service, message);
	if (st == SK_OK && notification_draft_of(message->context->arena, message->body,
						 message->delivery->id, &draft))
		st = write_message(tx, service, &draft);
	return st;
}

static const struct sk_handler EVENTS[] = { { NULL, on_event }, { NULL, NULL } };

const struct sk_consumer NOTIFICATION_CONSUMERS[] = {
	{ "notification-orders", "orders", "orders.>", EVENTS },
	{ "notification-sessions", "sessions", "sessions.>", EVENTS },
	{ "notification-payments", "payments", "payments.>", EVENTS },
	{ "notification-shipments", "shipments", "shipments.>", EVENTS },
	{ NULL, NULL, NULL, NULL },
};
