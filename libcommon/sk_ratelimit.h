/* Rate limits: GCRA (the generic cell rate algorithm, ITU-T I.371) as one Valkey
 * function over ratelimit:<class>:<who>, by the server's clock, so that all
 * replicas share one count. Where Valkey is down, a bounded local table takes over. */
#ifndef SK_RATELIMIT_H
#define SK_RATELIMIT_H

#include <stdbool.h>

#include "sk_kv.h"

struct sk_ratelimit_class {
	const char *name; /* "login" */
	int per_minute;	  /* sustained */
	int burst;	  /* at once */
};

struct sk_ratelimit_verdict {
	bool allowed;
	int remaining;	   /* further requests that would be allowed now */
	int reset_s;	   /* until the full burst is back */
	int retry_after_s; /* 0 where allowed */
};

struct sk_ratelimiter;
struct sk_ratelimiter *sk_ratelimiter_open(struct sk_kv *kv);
void sk_ratelimiter_close(struct sk_ratelimiter **limiter);

/* Counts one request of `who` (an address, an account id). Never fails. Thread-safe. */
struct sk_ratelimit_verdict sk_ratelimit_take(struct sk_ratelimiter *limiter,
					      struct sk_context *context,
					      const struct sk_ratelimit_class *limit,
					      const char *who);

/* ---- for libcommon and its tests only ---- */

/* One step of GCRA on a count, at a time of any clock; the same as functions/ratelimit.lua.
 * *arrival_us is the theoretical arrival time, 0 at first. */
struct sk_ratelimit_verdict sk__ratelimit_step(const struct sk_ratelimit_class *limit,
					       int64_t now_us, int64_t *arrival_us);

/* What counts while Valkey does not answer. */
struct sk_ratelimit_verdict sk__ratelimit_take_locally(struct sk_ratelimiter *limiter,
						       const struct sk_ratelimit_class *limit,
						       const char *name, int64_t now_us);

#endif
