#include "sk_webhook.h"

#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "sk_client.h"
#include "sk_crash.h"
#include "sk_http.h"
#include "sk_time.h"

#define SECRET_PREFIX  "whsec_"
#define SIGNATURES_MAX 8 /* of one webhook: two while a secret is rotated */

/* The bytes of a secret: what follows whsec_ is base64, any other is taken as it is. False
 * where it has none: nothing may be signed with an empty key, since everybody knows that. */
static bool key_of(struct sk_arena *arena, const char *secret, const unsigned char **key,
		   size_t *len)
{
	const char *coded = secret + strlen(SECRET_PREFIX);
	unsigned char *decoded;

	*key = (const unsigned char *)secret;
	*len = strlen(secret);
	if (strncmp(secret, SECRET_PREFIX, strlen(SECRET_PREFIX)) != 0)
		return *len > 0;
	decoded = sk_arena_alloc(arena, *len);
	*key = decoded;
	return sodium_base642bin(decoded, *len, coded, strlen(coded), NULL, len, NULL,
				 sodium_base64_VARIANT_ORIGINAL) == 0 &&
	       *len > 0;
}

/* HMAC-SHA256 of "id.timestamp.body" as "v1,<base64>"; NULL where the secret is none. */
static const char *signature_of(struct sk_arena *arena, const char *secret,
				const struct sk_webhook *webhook)
{
	const char *signed_head = sk_arena_printf(arena, "%s.%s.", webhook->id, webhook->timestamp);
	unsigned char mac[crypto_auth_hmacsha256_BYTES];
	char text[sodium_base64_ENCODED_LEN(sizeof(mac), sodium_base64_VARIANT_ORIGINAL)];
	crypto_auth_hmacsha256_state state;
	const unsigned char *key;
	size_t key_len;

	if (!key_of(arena, secret, &key, &key_len))
		return NULL;
	crypto_auth_hmacsha256_init(&state, key, key_len);
	crypto_auth_hmacsha256_update(&state, (const unsigned char *)signed_head,
				      strlen(signed_head));
	crypto_auth_hmacsha256_update(&state, webhook->body, webhook->len);
	crypto_auth_hmacsha256_final(&state, mac);
	sodium_bin2base64(text, sizeof(text), mac, sizeof(mac), sodium_base64_VARIANT_ORIGINAL);
	return sk_arena_printf(arena, "v1,%s", text);
}

enum sk_status sk_webhook_sign(struct sk_context *context, const char *secret,
			       struct sk_webhook *webhook)
{
	webhook->timestamp = sk_arena_printf(context->arena, "%lld",
					     (long long)(context->now_us / SK_SECOND_US));
	webhook->signature = signature_of(context->arena, secret, webhook);
	if (webhook->signature == NULL)
		return sk_fail(context, SK_INTERNAL, "no_secret",
			       "there is no usable secret to sign with");
	return SK_OK;
}

static enum sk_status refuse(struct sk_context *context, const char *why)
{
	return sk_fail(context, SK_UNAUTHENTICATED, "invalid_signature", "%s", why);
}

/* Whether one of the signatures is ours. Each is compared in constant time. */
static bool any_fits(const char *signatures, const char *wanted)
{
	size_t wanted_len = strlen(wanted);
	bool fits = false;

	for (int i = 0; i < SIGNATURES_MAX && *signatures != '\0'; i++) {
		size_t len = strcspn(signatures, " ");

		if (len == wanted_len && sodium_memcmp(signatures, wanted, len) == 0)
			fits = true;
		signatures += len;
		signatures += strspn(signatures, " ");
	}
	return fits;
}

enum sk_status sk_webhook_verify(struct sk_context *context, const char *secret,
				 const struct sk_webhook *webhook)
{
	const char *wanted;
	char *end = NULL;
	int64_t sent_s, now_s = context->now_us / SK_SECOND_US;

	if (webhook->id == NULL || webhook->timestamp == NULL || webhook->signature == NULL)
		return refuse(context,
			      "webhook-id, webhook-timestamp or webhook-signature is missing");
	sent_s = strtoll(webhook->timestamp, &end, 10);
	if (end == webhook->timestamp || *end != '\0' || sent_s < now_s - SK_WEBHOOK_TOLERANCE_S ||
	    sent_s > now_s + SK_WEBHOOK_TOLERANCE_S)
		return refuse(context, "the timestamp is too far from now");
	wanted = signature_of(context->arena, secret, webhook);
	if (wanted == NULL)
		return refuse(context, "no usable secret is configured for it");
	if (!any_fits(webhook->signature, wanted))
		return refuse(context, "no signature fits");
	return SK_OK;
}

enum sk_status sk_webhook_send(struct sk_context *context, const struct sk_webhook_target *target,
			       struct sk_webhook *webhook, int *http_status)
{
	struct sk_arena *arena = context->arena;
	char own_trace[SK_TRACEPARENT_BYTES];
	const char *traceparent = target->traceparent != NULL
					  ? target->traceparent
					  : sk_trace_format(&context->trace, own_trace);
	struct sk_client_answer answer = { 0 };
	enum sk_status st;

	context->now_us = sk_time_now_us(); /* a sweep may have begun long ago */
	*http_status = 0;
	st = sk_webhook_sign(context, target->secret, webhook);
	if (st == SK_OK) {
		const char *const headers[] = {
			"Content-Type: application/json",
			"User-Agent: Souk-Webhooks/1.0",
			sk_arena_printf(arena, "webhook-id: %s", webhook->id),
			sk_arena_printf(arena, "webhook-timestamp: %s", webhook->timestamp),
			sk_arena_printf(arena, "webhook-signature: %s", webhook->signature),
			sk_arena_printf(arena, "traceparent: %s", traceparent),
			NULL,
		};

		sk_crash_here(SK_CRASH_WEBHOOK_BEFORE_CALL);
		st = sk_client_send(context,
				    &(struct sk_client_request) {
					    .method = "POST",
					    .url = target->url,
					    .headers = headers,
					    .body = webhook->body,
					    .body_len = webhook->len,
					    .timeout_ms = target->timeout_ms,
				    },
				    &answer);
	}
	*http_status = answer.status;
	sk_crash_here(SK_CRASH_WEBHOOK_BEFORE_RECORD);
	return st;
}

struct sk_webhook sk_webhook_of_request(struct sk_request *request)
{
	struct sk_webhook webhook = {
		.id = sk_request_header(request, "webhook-id"),
		.timestamp = sk_request_header(request, "webhook-timestamp"),
		.signature = sk_request_header(request, "webhook-signature"),
	};

	webhook.body = sk_request_body(request, &webhook.len);
	return webhook;
}
