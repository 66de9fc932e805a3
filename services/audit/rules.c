/* The chain. Each entry's hash covers all its fields and the hash before it, so that a
 * change, a removal or an insertion anywhere breaks every hash from there on. The
 * event's bytes are hashed as they were received: a protobuf message packed again
 * may differ (unknown fields, map order).
 *
 * What this does not show by itself: somebody who can write the table may recompute
 * the whole chain. Against that the head's hash has to be kept elsewhere; GET
 * /v1/audit/verify returns it. */
#include "audit.h"

#include <string.h>

#include <sodium.h>

static void hash_bytes(crypto_hash_sha256_state *state, const void *data, size_t len)
{
	const unsigned char prefix[4] = { (unsigned char)(len >> 24), (unsigned char)(len >> 16),
					  (unsigned char)(len >> 8), (unsigned char)len };

	crypto_hash_sha256_update(state, prefix, sizeof(prefix));
	crypto_hash_sha256_update(state, data, len);
}

static void hash_text(crypto_hash_sha256_state *state, const char *text)
{
	hash_bytes(state, text, strlen(text));
}

static void hash_number(crypto_hash_sha256_state *state, int64_t number)
{
	unsigned char bytes[8];

	for (int i = 0; i < 8; i++)
		bytes[i] = (unsigned char)((uint64_t)number >> (56 - 8 * i));
	crypto_hash_sha256_update(state, bytes, sizeof(bytes));
}

void audit_hash(const struct audit_entry *entry, unsigned char hash[AUDIT_HASH_BYTES])
{
	crypto_hash_sha256_state state;
	const char *const texts[] = { entry->id,	entry->subject,	   entry->type,
				      entry->source,	entry->account_id, entry->role,
				      entry->address,	entry->action,	   entry->entity,
				      entry->entity_id, entry->detail,	   entry->trace_id };

	crypto_hash_sha256_init(&state);
	crypto_hash_sha256_update(&state, entry->prev_hash, AUDIT_HASH_BYTES);
	hash_number(&state, entry->seq);
	hash_number(&state, entry->at_us);
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		hash_text(&state, texts[i]);
	hash_bytes(&state, entry->data, entry->len);
	crypto_hash_sha256_final(&state, hash);
}

const char *audit_check(const struct audit_entry *previous, const struct audit_entry *entry)
{
	static const unsigned char zero[AUDIT_HASH_BYTES];
	const unsigned char *before = previous != NULL ? previous->hash : zero;
	unsigned char hash[AUDIT_HASH_BYTES];

	if (entry->seq != (previous != NULL ? previous->seq + 1 : 1))
		return "an entry is missing before this one";
	if (memcmp(entry->prev_hash, before, AUDIT_HASH_BYTES) != 0)
		return "the hash of the entry before does not fit";
	audit_hash(entry, hash);
	if (memcmp(entry->hash, hash, AUDIT_HASH_BYTES) != 0)
		return "the entry's fields do not fit its hash";
	return NULL;
}

static bool is_one_of(const char *type, const char *const *types)
{
	for (; *types != NULL; types++)
		if (strcmp(type, *types) == 0)
			return true;
	return false;
}

bool audit_type_is_secret(const char *type)
{
	static const char *const types[] = {
		"souk.sessions.v1.OtpRequested", "souk.sessions.v1.PasswordResetRequested",
		"souk.sessions.v1.SessionOpened", /* a cart token's hash */
		"souk.orders.v1.PaymentRequested", NULL
	};

	return is_one_of(type, types);
}

bool audit_type_is_noise(const char *type)
{
	static const char *const types[] = { "souk.sessions.v1.SessionSeen",
					     "souk.inventory.v1.StockLevel", NULL };

	return is_one_of(type, types);
}

bool audit_type_fits(const char *type, const char *subject)
{
	size_t domain = strcspn(subject, ".");

	return strncmp(type, "souk.", 5) == 0 && strncmp(type + 5, subject, domain) == 0 &&
	       type[5 + domain] == '.';
}

const char *audit_action_of(struct sk_arena *arena, const char *subject)
{
	const char *last = strrchr(subject, '.');

	return last == NULL ? sk_arena_strdup(arena, subject)
			    : sk_arena_printf(arena, "%.*s", (int)(last - subject), subject);
}

const char *audit_entity_id_of(const char *subject)
{
	const char *last = strrchr(subject, '.');

	return last == NULL ? "" : last + 1;
}

const char *audit_entity_of(struct sk_arena *arena, const char *subject)
{
	size_t len = strcspn(subject, ".");

	/* The domains are plurals: orders, payments. inventory, catalog and audit stay. */
	if (len > 1 && subject[len - 1] == 's')
		len--;
	return sk_arena_printf(arena, "%.*s", (int)len, subject);
}

const char *audit_hex(struct sk_arena *arena, const unsigned char *bytes, size_t len)
{
	char *text = sk_arena_alloc(arena, len * 2 + 1);

	return sodium_bin2hex(text, len * 2 + 1, bytes, len);
}
