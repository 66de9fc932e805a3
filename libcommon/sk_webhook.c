#include "sk_webhook.h"

#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "sk_time.h"

#define SECRET_PREFIX "whsec_"
#define SECRET_MAX_BYTES 512
#define SIGNATURES_MAX 8 /* of one webhook: two while a secret is rotated */

/* HMAC-SHA256 of "id.timestamp.body" as "v1,<base64>". */
static const char *signature_of(struct sk_arena *arena, const char *secret, const struct sk_webhook *webhook)
{
	unsigned char mac[crypto_auth_hmacsha256_BYTES], key[SECRET_MAX_BYTES];
	size_t key_len = strlen(secret), size = sodium_base64_ENCODED_LEN(sizeof(mac), sodium_base64_VARIANT_ORIGINAL);
	crypto_auth_hmacsha256_state state;
	char *text = sk_arena_alloc(arena, size);

	if (key_len > sizeof(key))
		key_len = sizeof(key);
	memcpy(key, secret, key_len);
	if (strncmp(secret, SECRET_PREFIX, strlen(SECRET_PREFIX)) == 0 &&
	    sodium_base642bin(key, sizeof(key), secret + strlen(SECRET_PREFIX),
			      strlen(secret) - strlen(SECRET_PREFIX), NULL, &key_len, NULL,
			      sodium_base64_VARIANT_ORIGINAL) != 0)
		key_len = 0;
	crypto_auth_hmacsha256_init(&state, key, key_len);
	crypto_auth_hmacsha256_update(&state, (const unsigned char *)webhook->id, strlen(webhook->id));
	crypto_auth_hmacsha256_update(&state, (const unsigned char *)".", 1);
	crypto_auth_hmacsha256_update(&state, (const unsigned char *)webhook->timestamp,
				      strlen(webhook->timestamp));
	crypto_auth_hmacsha256_update(&state, (const unsigned char *)".", 1);
	crypto_auth_hmacsha256_update(&state, webhook->body, webhook->len);
	crypto_auth_hmacsha256_final(&state, mac);
	sodium_memzero(key, sizeof(key));
	sodium_bin2base64(text, size, mac, sizeof(mac), sodium_base64_VARIANT_ORIGINAL);
	return sk_arena_printf(arena, "v1,%s", text);
}

enum sk_status sk_webhook_sign(struct sk_context *context, const char *secret, struct sk_webhook *webhook)
{
	if (secret[0] == '\0')
		return sk_fail(context, SK_INTERNAL, "no_secret", "there is no secret to sign with");
	webhook->timestamp = sk_arena_printf(context->arena, "%lld",
					     (long long)(context->now_us / SK_SECOND_US));
	webhook->signature = signature_of(context->arena, secret, webhook);
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
	char *end = NULL;
	int64_t sent_s, now_s = context->now_us / SK_SECOND_US;

	if (webhook->id == NULL || webhook->timestamp == NULL || webhook->signature == NULL)
		return refuse(context, "webhook-id, webhook-timestamp or webhook-signature is missing");
	if (secret[0] == '\0')
		return refuse(context, "no secret is configured for it");
	sent_s = strtoll(webhook->timestamp, &end, 10);
	if (end == webhook->timestamp || *end != '\0' || sent_s < now_s - SK_WEBHOOK_TOLERANCE_S ||
	    sent_s > now_s + SK_WEBHOOK_TOLERANCE_S)
		return refuse(context, "the timestamp is too far from now");
	if (!any_fits(webhook->signature, signature_of(context->arena, secret, webhook)))
		return refuse(context, "no signature fits");
	return SK_OK;
}
