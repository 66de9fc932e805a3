/* The count is Valkey's. While that does not answer, a table of this process counts alone:
 * bounded, so that an attacker with many addresses cannot fill the memory. A name may
 * stand in a few places; where all of them are taken it takes over the one whose count is
 * nearest to nothing, which forgets a count but never refuses somebody for another's
 * requests. */
#include "sk_ratelimit.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "sk_time.h"

#define LOCAL_PLACES	 4096
#define PLACES_OF_A_NAME 8
#define CLASS_NAME_MAX	 200

struct place {
	uint64_t name_hash;
	int64_t arrival_us; /* GCRA's theoretical arrival time, monotonic */
};

struct sk_ratelimiter {
	struct sk_kv *kv;
	unsigned char secret[crypto_shorthash_KEYBYTES]; /* so that nobody can choose a place */
	pthread_mutex_t mutex;
	struct place places[LOCAL_PLACES];
};

struct sk_ratelimiter *sk_ratelimiter_open(struct sk_kv *kv)
{
	struct sk_ratelimiter *limiter = calloc(1, sizeof(*limiter));

	if (limiter == NULL)
		abort();
	limiter->kv = kv;
	randombytes_buf(limiter->secret, sizeof(limiter->secret));
	pthread_mutex_init(&limiter->mutex, NULL);
	return limiter;
}

void sk_ratelimiter_close(struct sk_ratelimiter **limiter)
{
	if (*limiter == NULL)
		return;
	pthread_mutex_destroy(&(*limiter)->mutex);
	free(*limiter);
	*limiter = NULL;
}

static int seconds_up(int64_t us)
{
	return us <= 0 ? 0 : (int)((us + SK_SECOND_US - 1) / SK_SECOND_US);
}

struct sk_ratelimit_verdict sk__ratelimit_step(const struct sk_ratelimit_class *limit,
					       int64_t now_us, int64_t *arrival_us)
{
	int64_t interval_us = SK_MINUTE_US / limit->per_minute;
	int64_t arrival = *arrival_us > now_us ? *arrival_us : now_us;
	int64_t allow_us = arrival + interval_us - interval_us * limit->burst;
	struct sk_ratelimit_verdict verdict = { .allowed = now_us >= allow_us };

	if (verdict.allowed) {
		arrival += interval_us;
		*arrival_us = arrival;
		verdict.remaining = limit->burst -
				    (int)((arrival - now_us + interval_us - 1) / interval_us);
	} else {
		verdict.retry_after_s = seconds_up(allow_us - now_us);
	}
	verdict.reset_s = seconds_up(arrival - now_us);
	return verdict;
}

/* The place of a name: its own, or else, of the few where it may stand, the one whose
 * count is nearest to nothing. Caller holds limiter->mutex. */
static struct place *find_place(struct sk_ratelimiter *limiter, uint64_t hash)
{
	struct place *best = NULL;

	for (size_t i = 0; i < PLACES_OF_A_NAME; i++) {
		struct place *place = &limiter->places[(hash + i) % LOCAL_PLACES];

		if (place->name_hash == hash)
			return place;
		if (best == NULL || place->arrival_us < best->arrival_us)
			best = place;
	}
	*best = (struct place) { .name_hash = hash };
	return best;
}

struct sk_ratelimit_verdict sk__ratelimit_take_locally(struct sk_ratelimiter *limiter,
						       const struct sk_ratelimit_class *limit,
						       const char *name, int64_t now_us)
{
	struct sk_ratelimit_verdict verdict;
	uint64_t hash;

	crypto_shorthash((unsigned char *)&hash, (const unsigned char *)name, strlen(name),
			 limiter->secret);
	pthread_mutex_lock(&limiter->mutex);
	verdict = sk__ratelimit_step(limit, now_us, &find_place(limiter, hash)->arrival_us);
	pthread_mutex_unlock(&limiter->mutex);
	return verdict;
}

struct sk_ratelimit_verdict sk_ratelimit_take(struct sk_ratelimiter *limiter,
					      struct sk_context *context,
					      const struct sk_ratelimit_class *limit,
					      const char *who)
{
	const char *key = sk_arena_printf(context->arena, "ratelimit:%s:%.*s", limit->name,
					  CLASS_NAME_MAX, who);
	struct sk_kv_reply reply = { .kind = SK_KV_NIL };
	struct sk_ratelimit_verdict verdict;
	enum sk_status st = SK_UNAVAILABLE;

	if (limiter->kv != NULL)
		st = sk_kv_run(limiter->kv, context,
			       SK_KV("FCALL", "souk_gcra", "1", key,
				     sk_kv_number(context->arena, limit->per_minute),
				     sk_kv_number(context->arena, limit->burst)),
			       &reply);
	if (st != SK_OK || reply.kind != SK_KV_LIST || reply.count != 4) {
		sk_context_clear_error(context);
		return sk__ratelimit_take_locally(limiter, limit, key, sk_time_monotonic_us());
	}
	verdict.allowed = reply.items[0].number == 1;
	verdict.remaining = (int)reply.items[1].number;
	verdict.reset_s = seconds_up(reply.items[2].number * 1000);
	verdict.retry_after_s = seconds_up(reply.items[3].number * 1000);
	return verdict;
}
