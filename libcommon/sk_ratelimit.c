/* The count is Valkey's. While that does not answer, a table of this process counts alone:
 * bounded, so that an attacker with many addresses cannot fill the memory; where two
 * names meet in one place the newer takes it over, which forgets a count but never
 * refuses somebody for another's requests. */
#include "sk_ratelimit.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "sk_time.h"

#define LOCAL_PLACES 4096
#define CLASS_NAME_MAX 200

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

/* The same algorithm as functions/ratelimit.lua. */
static struct sk_ratelimit_verdict take_locally(struct sk_ratelimiter *limiter,
						const struct sk_ratelimit_class *limit, const char *name)
{
	int64_t now_us = sk_time_monotonic_us(), interval_us = SK_MINUTE_US / limit->per_minute;
	int64_t arrival_us, allow_us;
	struct sk_ratelimit_verdict verdict = { .allowed = true };
	struct place *place;
	uint64_t hash;

	crypto_shorthash((unsigned char *)&hash, (const unsigned char *)name, strlen(name), limiter->secret);
	pthread_mutex_lock(&limiter->mutex);
	place = &limiter->places[hash % LOCAL_PLACES];
	arrival_us = place->name_hash == hash && place->arrival_us > now_us ? place->arrival_us : now_us;
	allow_us = arrival_us + interval_us - interval_us * limit->burst;
	if (now_us < allow_us) {
		verdict.allowed = false;
		verdict.retry_after_s = seconds_up(allow_us - now_us);
	} else {
		arrival_us += interval_us;
		*place = (struct place){ .name_hash = hash, .arrival_us = arrival_us };
		verdict.remaining = limit->burst - (int)((arrival_us - now_us + interval_us - 1) / interval_us);
	}
	verdict.reset_s = seconds_up(arrival_us - now_us);
	pthread_mutex_unlock(&limiter->mutex);
	return verdict;
}

struct sk_ratelimit_verdict sk_ratelimit_take(struct sk_ratelimiter *limiter, struct sk_context *context,
					      const struct sk_ratelimit_class *limit, const char *who)
{
	const char *key = sk_arena_printf(context->arena, "ratelimit:%s:%.*s", limit->name, CLASS_NAME_MAX,
					  who);
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
		return take_locally(limiter, limit, key);
	}
	verdict.allowed = reply.items[0].number == 1;
	verdict.remaining = (int)reply.items[1].number;
	verdict.reset_s = seconds_up(reply.items[2].number * 1000);
	verdict.retry_after_s = seconds_up(reply.items[3].number * 1000);
	return verdict;
}
