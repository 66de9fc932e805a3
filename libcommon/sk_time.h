/* Time. Wall-clock times are microseconds since 1970-01-01 UTC in int64_t and
 * end in _us; deadlines are on the monotonic clock, which no operator can step. */
#ifndef SK_TIME_H
#define SK_TIME_H

#include <stdbool.h>
#include <stdint.h>

#define SK_SECOND_US ((int64_t)1000000)
#define SK_MINUTE_US (60 * SK_SECOND_US)
#define SK_HOUR_US   (60 * SK_MINUTE_US)
#define SK_DAY_US    (24 * SK_HOUR_US)

#define SK_RFC3339_BYTES 28 /* 2026-11-23T09:15:00.123456Z and its NUL */

int64_t sk_time_now_us(void);	    /* wall clock */
int64_t sk_time_monotonic_us(void); /* for deadlines and durations only */

/* RFC 3339 in UTC with microseconds. Returns out. */
const char *sk_time_format(int64_t time_us, char out[SK_RFC3339_BYTES]);

/* Parses RFC 3339 with any offset, or a date alone (midnight UTC), years 1970
 * to 9999. False leaves *time_us as it was. */
bool sk_time_parse(const char *text, int64_t *time_us);

/* Sleeps; only for back-off in loops that no condition variable can wake. */
void sk_time_sleep_ms(int64_t ms);

/* Full-jitter exponential back-off: a random delay of base_ms * 2^attempt at
 * most, never over max_ms. Source: M. Brooker, "Exponential Backoff And
 * Jitter", AWS Architecture Blog, 2015. */
int64_t sk_time_backoff_ms(int attempt, int64_t base_ms, int64_t max_ms);

#endif
