/* The audit service: every business event and every user action, once, in a chain. */
#ifndef AUDIT_H
#define AUDIT_H

#include <stdbool.h>
#include <stdint.h>

#include "sk_service.h"

#define AUDIT_HASH_BYTES     32
#define AUDIT_HASH_HEX_BYTES (AUDIT_HASH_BYTES * 2 + 1)

/* One entry. Strings are never NULL and live as long as the arena they were made in. */
struct audit_entry {
	int64_t seq;
	int64_t at_us;
	const char *id, *subject, *type, *source;
	const char *account_id, *role, *address;
	const char *action, *entity, *entity_id, *detail;
	const char *trace_id;
	const void *data;
	size_t len;
	unsigned char prev_hash[AUDIT_HASH_BYTES];
	unsigned char hash[AUDIT_HASH_BYTES];
};

/* What a search asks for; NULL and 0 are no limit. */
struct audit_filter {
	const char *account_id, *action, *trace_id, *entity_id;
	int64_t from_us, to_us;
	int64_t before_seq; /* entries below it, newest first */
	int limit;
};

/* A list of entries in the arena of the call. */
struct audit_entries {
	struct audit_entry *list;
	int count;
};

struct audit_service {
	struct sk_parts *parts;
};

extern const struct sk_route AUDIT_ROUTES[];
extern const struct sk_consumer AUDIT_CONSUMERS[];
extern const struct sk_file AUDIT_MIGRATIONS[];

/* ---- rules.c: pure ---- */

/* The hash of an entry, from its fields and entry->prev_hash: SHA-256 over the
 * fields in a fixed order, each with its length before it. README.md specifies it for
 * verifiers outside. */
void audit_hash(const struct audit_entry *entry, unsigned char hash[AUDIT_HASH_BYTES]);

/* Whether entry follows previous (NULL: the first of all) and its hash is right.
 * The reason it does not is a constant; NULL where it does. */
const char *audit_check(const struct audit_entry *previous, const struct audit_entry *entry);

/* Whether the bytes of this type hold a secret (a code, a token) and must not be kept. */
bool audit_type_is_secret(const char *type);

/* Whether a type is no business event but only refreshes a copy or a lifetime. */
bool audit_type_is_noise(const char *type);

/* Whether an event of this type belongs on the subject: souk.orders.v1.… on orders.…. */
bool audit_type_fits(const char *type, const char *subject);

/* "orders.created.<id>" -> "orders.created" and "<id>". In the arena. */
const char *audit_action_of(struct sk_arena *arena, const char *subject);
const char *audit_entity_id_of(const char *subject);

/* "orders.created.<id>" -> "order": the domain in the singular. In the arena. */
const char *audit_entity_of(struct sk_arena *arena, const char *subject);

const char *audit_hex(struct sk_arena *arena, const unsigned char *bytes, size_t len);

/* ---- store.c ---- */

/* Appends under the chain's lock: sets seq, prev_hash and hash. */
SK_MUST_CHECK enum sk_status audit_append(struct sk_tx *tx, struct audit_entry *entry);

SK_MUST_CHECK enum sk_status audit_find(struct sk_pg *pg, struct sk_context *context,
					const struct audit_filter *filter,
					struct audit_entries *entries);

/* Up to limit entries from seq on, oldest first, with their data. */
SK_MUST_CHECK enum sk_status audit_read(struct sk_pg *pg, struct sk_context *context,
					int64_t from_seq, int limit, struct audit_entries *entries);

#endif
