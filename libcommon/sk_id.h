/* Identifiers: UUID version 7 (RFC 9562) as lower-case text. They sort by the
 * millisecond of their making, which keeps B-tree inserts at the right edge. */
#ifndef SK_ID_H
#define SK_ID_H

#include <stdbool.h>
#include <stddef.h>

#include "sk_arena.h"

#define SK_ID_BYTES 37 /* 36 characters and NUL */

struct sk_id {
	char text[SK_ID_BYTES];
};

/* A new id from the wall clock and libsodium's generator. Thread-safe. */
struct sk_id sk_id_new(void);

/* The same as a string of the arena. */
const char *sk_id_make(struct sk_arena *arena);

/* Whether text is a UUID of any version in canonical lower-case form. NULL is not. */
bool sk_id_valid(const char *text);

/* A random secret of 32 bytes as 43 characters of URL-safe base64, for tokens. */
const char *sk_token_make(struct sk_arena *arena);

/* SHA-256 of the token as 64 hexadecimal characters: what is stored instead of it. */
const char *sk_token_hash(struct sk_arena *arena, const char *token);

/* The id of something that follows from something else, always the same for the
 * same name (UUID version 8 from the SHA-256 of the name): for events that must
 * keep their id when they are made again. */
const char *sk_id_derive(struct sk_arena *arena, const char *name);

/* An id as one token of a NATS subject: letters, digits, '-' and '_' stay, every
 * other byte becomes "=XX". Never empty ("=" for an empty text). */
const char *sk_subject_token(struct sk_arena *arena, const char *text);

/* Whether text is a SKU: 1 to 64 printable ASCII characters, no space at either end. */
bool sk_sku_valid(const char *text);

/* Whether text has the form of an e-mail address that we send to: one '@', a
 * local part of 1 to 64 characters, a domain, no spaces or control characters,
 * 254 bytes at most. (RFC 5321's limits, not its whole grammar.) */
bool sk_email_valid(const char *text);

#endif
