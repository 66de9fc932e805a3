/* The built-in test carrier. It behaves as a real one would: it says what became of a
 * parcel by a signed webhook over HTTP, again until it gets 2xx. With
 * SHIPPING_TEST_ADVANCE_MS over 0 it does so by itself, that long after each step, so
 * that a development stack shows whole orders; at 0 somebody else calls the webhook. */
#include "carrier.h"

#define WEBHOOK_TIMEOUT_MS 5000
#define SENDS_MAX	   16
#define LEASE_MS	   5000 /* also when a webhook that was not taken is sent again */

/* Its next word about a parcel. */
static const char *next_word(const struct shipment *shipment)
{
	return shipment->state == SHIPPING_LABEL_CREATED ? "shipped" : "delivered";
}

static struct sk_json encode_word(struct sk_arena *arena, const struct shipment *shipment)
{
	struct sk_json json;

	sk_json_init(&json, arena, SHIPPING_WEBHOOK_MAX_BYTES);
	sk_json_begin_object(&json, NULL);
	sk_json_text(&json, "tracking_number", shipment->tracking_number);
	sk_json_text(&json, "status", next_word(shipment));
	sk_json_end_object(&json);
	return json;
}

/* Sends the word. Its id is the same each time, so it counts once. */
static enum sk_status say(struct shipping_service *service, struct sk_context *context,
			  const struct shipment *shipment)
{
	struct sk_arena *arena = context->arena;
	struct sk_json body = encode_word(arena, shipment);
	struct sk_webhook webhook = {
		.id = sk_arena_printf(arena, "evt_%s_%s", shipment->tracking_number,
				      next_word(shipment)),
		.body = sk_buf_text(&body.buf),
		.len = body.buf.len,
	};
	int status = 0;
	enum sk_status st = sk_webhook_send(context,
					    &(struct sk_webhook_target) {
						    .url = service->test_url,
						    .secret = service->secret,
						    .timeout_ms = WEBHOOK_TIMEOUT_MS,
					    },
					    &webhook, &status);

	if (st == SK_OK && (status < 200 || status >= 300))
		st = sk_fail(context, SK_UNAVAILABLE, "webhook_refused",
			     "the webhook got status %d", status);
	return st;
}

enum sk_status shipping_sweep_test_carrier(struct sk_context *context, void *app, bool *again)
{
	struct shipping_service *service = app;
	struct shipments claimed;
	enum sk_status st;

	if (service->advance_ms == 0)
		return SK_OK;
	st = shipping_store_claim(service->parts->pg, context, SENDS_MAX, LEASE_MS, &claimed);
	if (st != SK_OK)
		return st;
	for (int i = 0; i < claimed.count; i++) {
		if (say(service, context, &claimed.list[i]) != SK_OK) {
			sk_log_failure(SK_LOG_WARN, context,
				       "the test carrier says it again later");
			sk_context_clear_error(context);
		}
	}
	*again = claimed.count == SENDS_MAX;
	return SK_OK;
}

/* ---- our side: understanding its webhook ---- */

static enum sk_status decode_notice(struct sk_context *context, const struct sk_webhook *webhook,
				    struct shipping_notice *notice)
{
	struct sk_field_errors errors = { .arena = context->arena };
	const struct cJSON *root;
	struct sk_fields fields;
	const char *word;
	enum sk_status st = sk_json_parse(context, webhook->body, webhook->len, &root);

	if (st != SK_OK)
		return st;
	fields = sk_fields_of(root, &errors);
	notice->tracking_number = sk_field_text(&fields, "tracking_number", 1, 64,
						SK_FIELD_REQUIRED);
	word = sk_field_text(&fields, "status", 1, 32, SK_FIELD_REQUIRED);
	if (word != NULL && !shipping_word_parse(word, &notice->event))
		sk_field_reject(&fields, "status", "neither shipped nor delivered");
	return sk_fields_finish(&fields, context);
}

static enum sk_status read_webhook(const struct shipping_service *service,
				   struct sk_context *context, const struct sk_webhook *webhook,
				   struct shipping_notice *notice)
{
	enum sk_status st = sk_webhook_verify(context, service->secret, webhook);

	return st == SK_OK ? decode_notice(context, webhook, notice) : st;
}

const struct shipping_carrier SHIPPING_TEST_CARRIER = {
	.name = "test",
	.read = read_webhook,
};
