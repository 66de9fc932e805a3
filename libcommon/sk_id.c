#include "sk_id.h"

#include <stdio.h>
#include <string.h>

#include <sodium.h>

#include "sk_limits.h"
#include "sk_time.h"

static void format_uuid(const unsigned char bytes[16], char text[SK_ID_BYTES])
{
	static const char digits[] = "0123456789abcdef";
	char *at = text;

	for (int i = 0; i < 16; i++) {
		if (i == 4 || i == 6 || i == 8 || i == 10)
			*at++ = '-';
		*at++ = digits[bytes[i] >> 4];
		*at++ = digits[bytes[i] & 15];
	}
	*at = '\0';
}

static void set_version(unsigned char bytes[16], unsigned version)
{
	bytes[6] = (unsigned char)((version << 4) | (bytes[6] & 0x0f));
	bytes[8] = (unsigned char)(0x80 | (bytes[8] & 0x3f));
}

struct sk_id sk_id_new(void)
{
	uint64_t ms = (uint64_t)(sk_time_now_us() / 1000);
	unsigned char bytes[16];
	struct sk_id id;

	randombytes_buf(bytes, sizeof(bytes));
	for (int i = 0; i < 6; i++)
		bytes[i] = (unsigned char)(ms >> (40 - 8 * i));
	set_version(bytes, 7);
	format_uuid(bytes, id.text);
	return id;
}

const char *sk_id_make(struct sk_arena *arena)
{
	struct sk_id id = sk_id_new();

	return sk_arena_strdup(arena, id.text);
}

bool sk_id_valid(const char *text)
{
	if (text == NULL || strlen(text) != SK_ID_BYTES - 1)
		return false;
	for (int i = 0; i < SK_ID_BYTES - 1; i++) {
		bool dash = i == 8 || i == 13 || i == 18 || i == 23;
		bool digit = (text[i] >= '0' && text[i] <= '9') ||
			     (text[i] >= 'a' && text[i] <= 'f');

		if (dash ? text[i] != '-' : !digit)
			return false;
	}
	return true;
}

const char *sk_token_make(struct sk_arena *arena)
{
	unsigned char secret[32];
	size_t size = sodium_base64_ENCODED_LEN(sizeof(secret),
						sodium_base64_VARIANT_URLSAFE_NO_PADDING);
	char *text = sk_arena_alloc(arena, size);

	randombytes_buf(secret, sizeof(secret));
	sodium_bin2base64(text, size, secret, sizeof(secret),
			  sodium_base64_VARIANT_URLSAFE_NO_PADDING);
	sodium_memzero(secret, sizeof(secret));
	return text;
}

const char *sk_token_hash(struct sk_arena *arena, const char *token)
{
	unsigned char hash[crypto_hash_sha256_BYTES];
	char *text = sk_arena_alloc(arena, sizeof(hash) * 2 + 1);

	crypto_hash_sha256(hash, (const unsigned char *)token, strlen(token));
	return sodium_bin2hex(text, sizeof(hash) * 2 + 1, hash, sizeof(hash));
}

const char *sk_id_derive(struct sk_arena *arena, const char *name)
{
	unsigned char hash[crypto_hash_sha256_BYTES];
	char *text = sk_arena_alloc(arena, SK_ID_BYTES);

	crypto_hash_sha256(hash, (const unsigned char *)name, strlen(name));
	set_version(hash, 8);
	format_uuid(hash, text);
	return text;
}

const char *sk_subject_token(struct sk_arena *arena, const char *text)
{
	char *token = sk_arena_alloc(arena, strlen(text) * 3 + 2), *at = token;

	for (; *text != '\0'; text++) {
		unsigned char c = (unsigned char)*text;
		bool plain = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') ||
			     (c >= 'a' && c <= 'z') || c == '-' || c == '_';

		if (plain)
			*at++ = (char)c;
		else
			at += snprintf(at, 4, "=%02X", c);
	}
	if (at == token)
		*at++ = '=';
	*at = '\0';
	return token;
}

bool sk_sku_valid(const char *text)
{
	size_t len = text == NULL ? 0 : strlen(text);

	if (len < 1 || len > SK_SKU_MAX_BYTES || text[0] == ' ' || text[len - 1] == ' ')
		return false;
	for (size_t i = 0; i < len; i++)
		if (text[i] < ' ' || text[i] > '~')
			return false;
	return true;
}

bool sk_email_valid(const char *text)
{
	const char *at = text == NULL ? NULL : strchr(text, '@');
	size_t len = text == NULL ? 0 : strlen(text);

	if (at == NULL || at == text || at - text > 64 || len > SK_EMAIL_MAX_BYTES)
		return false;
	if (strchr(at + 1, '@') != NULL || at[1] == '\0' || at[1] == '.' || text[len - 1] == '.')
		return false;
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)text[i] <= ' ' || text[i] == 127 ||
		    strchr("<>\",;:\\()[]", text[i]) != NULL)
			return false;
	return true;
}
