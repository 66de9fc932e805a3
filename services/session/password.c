/* Passwords: argon2id by libsodium, and never more of it at once than the
 * machine can bear.
 *
 * One hash takes some 20 MiB and tens of milliseconds by design. Without a bound,
 * a burst of log-ins would take the memory of the whole service and the time
 * of every other request; so a semaphore lets SESSION_HASHES_AT_ONCE through, and
 * who waited half of the time it had gets 503 while there is time left to say so.
 *
 * Nobody's password is verified too, against a hash made at start: the time of
 * an answer does not tell whether an account exists. */
#include "session.h"

#include <errno.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <sodium.h>

#define TURN_WAIT_MAX_MS ((int64_t)5000) /* where the caller has no deadline */

struct session_hasher {
	unsigned long long operations;
	size_t memory_bytes;
	sem_t turns;
	char nobody[crypto_pwhash_STRBYTES];
};

static enum sk_status no_memory(struct sk_context *context)
{
	return sk_fail(context, SK_NO_MEMORY, "no_memory", "no memory to check a password");
}

enum sk_status session_hasher_open(const struct session_hashing *options,
				   struct session_hasher **out, struct sk_context *context)
{
	struct session_hasher *hasher = calloc(1, sizeof(*hasher));
	char password[32];

	if (hasher == NULL)
		return no_memory(context);
	if (sodium_init() < 0) {
		free(hasher);
		return sk_fail(context, SK_INTERNAL, "no_sodium", "libsodium cannot start");
	}
	hasher->operations = (unsigned long long)options->operations;
	hasher->memory_bytes = (size_t)options->memory_kib * 1024;
	randombytes_buf(password, sizeof(password));
	if (crypto_pwhash_str_alg(hasher->nobody, password, sizeof(password), hasher->operations,
				  hasher->memory_bytes, crypto_pwhash_ALG_ARGON2ID13) != 0) {
		free(hasher);
		return no_memory(context);
	}
	sem_init(&hasher->turns, 0, (unsigned)options->at_once);
	*out = hasher;
	return SK_OK;
}

void session_hasher_close(struct session_hasher **hasher)
{
	if (*hasher == NULL)
		return;
	sem_destroy(&(*hasher)->turns);
	free(*hasher);
	*hasher = NULL;
}

static enum sk_status take_turn(struct session_hasher *hasher, struct sk_context *context)
{
	int64_t wait_ms = sk_context_remaining_ms(context, 2 * TURN_WAIT_MAX_MS) / 2;
	int64_t until_us = sk_time_monotonic_us() + wait_ms * 1000;
	struct timespec until = { .tv_sec = until_us / SK_SECOND_US,
				  .tv_nsec = until_us % SK_SECOND_US * 1000 };
	int result;

	do
		result = sem_clockwait(&hasher->turns, CLOCK_MONOTONIC, &until);
	while (result != 0 && errno == EINTR);
	if (result == 0)
		return SK_OK;
	return sk_fail(context, SK_UNAVAILABLE, "busy", "too many passwords are being checked");
}

static void give_turn(struct session_hasher *hasher)
{
	sem_post(&hasher->turns);
}

enum sk_status session_password_hash(struct session_hasher *hasher, struct sk_context *context,
				     const char *password, const char **hash)
{
	char *text = sk_arena_alloc(context->arena, crypto_pwhash_STRBYTES);
	enum sk_status st = take_turn(hasher, context);
	int result;

	if (st != SK_OK)
		return st;
	result = crypto_pwhash_str_alg(text, password, strlen(password), hasher->operations,
				       hasher->memory_bytes, crypto_pwhash_ALG_ARGON2ID13);
	give_turn(hasher);
	if (result != 0)
		return no_memory(context);
	*hash = text;
	return SK_OK;
}

enum sk_status session_password_verify(struct session_hasher *hasher, struct sk_context *context,
				       const char *hash, const char *password, bool *right)
{
	enum sk_status st = take_turn(hasher, context);
	int result, reason;

	*right = false;
	if (st != SK_OK)
		return st;
	errno = 0;
	result = crypto_pwhash_str_verify(hash == NULL ? hasher->nobody : hash, password,
					  strlen(password));
	reason = errno;
	give_turn(hasher);
	/* libsodium says -1 for a wrong password and for no memory: only errno differs,
	 * and nobody's password may be called wrong for want of memory. */
	if (result != 0 && reason == ENOMEM)
		return no_memory(context);
	*right = result == 0 && hash != NULL;
	return SK_OK;
}

bool session_password_outdated(const struct session_hasher *hasher, const char *hash)
{
	return crypto_pwhash_str_needs_rehash(hash, hasher->operations, hasher->memory_bytes) != 0;
}
