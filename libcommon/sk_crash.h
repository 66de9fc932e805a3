/* Crash points: every gap between two effects has a name, at which a test build of a service
 * dies when it is told to.
 *
 *     st = sk_tx_commit(&tx);
 *     sk_crash_here(SK_CRASH_CONSUMER_BEFORE_ACK);
 *     acknowledge(...);
 *
 * What holds through a crash cannot be seen by waiting for one: the gaps are microseconds wide.
 * tests/crash visits each of them for each service, under traffic, and then looks whether the
 * promises of README.md still hold.
 *
 * Without -DSK_CRASH_POINTS (`make`) a point is an empty inline function and leaves nothing
 * in the binary. With it (`make crash`, build/crash) a service looks for the file that
 * SOUK_CRASH_FILE names each time it passes a point. The file holds a point's name and, if need be,
 * how many visits to let pass first: "consumer_before_ack 3". At its point one thread takes
 * the file away and ends the process with SK_CRASH_STATUS as kill -9 would: nothing is flushed,
 * nothing is told, and the process that is started next lives, since the file is gone.
 *
 * To add one: a row here, a row in sk_crash.c, one line in the gap. `<service> --crash-points`
 * of the test build then names it, and the matrix fails until it can get there. */
#ifndef SK_CRASH_H
#define SK_CRASH_H

#include <stdbool.h>

#define SK_CRASH_STATUS 86

enum sk_crash_point {
	SK_CRASH_HTTP_BEFORE_BEGIN,
	SK_CRASH_HTTP_KEY_CLAIMED,
	SK_CRASH_HTTP_BEFORE_COMMIT,
	SK_CRASH_HTTP_AFTER_COMMIT,
	SK_CRASH_HTTP_BEFORE_REPLY,
	SK_CRASH_CONSUMER_FETCHED,
	SK_CRASH_CONSUMER_BEFORE_COMMIT,
	SK_CRASH_CONSUMER_BEFORE_ACK,
	SK_CRASH_CONSUMER_ACKNOWLEDGED,
	SK_CRASH_LETTER_BEFORE_PUBLISH,
	SK_CRASH_LETTER_BEFORE_TERM,
	SK_CRASH_LETTER_BURIED,
	SK_CRASH_RELAY_LEADING,
	SK_CRASH_RELAY_BEFORE_PUBLISH,
	SK_CRASH_RELAY_BEFORE_MARK,
	SK_CRASH_RELAY_MARKED,
	SK_CRASH_SWEEP_BEFORE,
	SK_CRASH_SWEEP_AFTER,
	SK_CRASH_KV_BEFORE_WRITE,
	SK_CRASH_KV_AFTER_WRITE,
	SK_CRASH_CACHE_STALE,
	SK_CRASH_NEWS_BEFORE_PUBLISH,
	SK_CRASH_NEWS_BEFORE_DROP,
	SK_CRASH_MAIL_BEFORE_HAND_OVER,
	SK_CRASH_MAIL_BEFORE_RECORD,
	SK_CRASH_CHARGE_BEFORE_CALL,
	SK_CRASH_CHARGE_BEFORE_RECORD,
	SK_CRASH_REFUND_BEFORE_CALL,
	SK_CRASH_REFUND_BEFORE_RECORD,
	SK_CRASH_WEBHOOK_BEFORE_CALL,
	SK_CRASH_WEBHOOK_BEFORE_RECORD,
	SK_CRASH_LABEL_MADE,
	SK_CRASH_COUNT
};

/* What a service must declare to get to a point in libcommon's code. A point in code that only
 * some services have is there for those that have it. */
enum sk_crash_need {
	SK_CRASH_NEEDS_CODE,	  /* the line itself */
	SK_CRASH_NEEDS_TX_ROUTE,  /* a route that writes to PostgreSQL */
	SK_CRASH_NEEDS_KEY_ROUTE, /* one that takes an Idempotency-Key there */
	SK_CRASH_NEEDS_CONSUMER,
	SK_CRASH_NEEDS_TX_CONSUMER, /* one with a transaction */
	SK_CRASH_NEEDS_OUTBOX,	    /* PostgreSQL */
	SK_CRASH_NEEDS_EVENT,	    /* an outbox, and something to publish */
	SK_CRASH_NEEDS_SWEEP,
};

struct sk_crash_row {
	const char *name;
	enum sk_crash_need need;
	const char *words; /* what has been done here, and what has not */
};

const struct sk_crash_row *sk_crash_row_of(enum sk_crash_point point);

/* Reads "<name> [<visits to let pass>]". False where it is nothing of the kind. */
bool sk__crash_parse(const char *text, enum sk_crash_point *point, int *skip);

/* Whether the file tells the caller to die here: true once, for one caller. Counts the visit. */
bool sk__crash_due(const char *path, enum sk_crash_point point);

void sk__crash_visit(enum sk_crash_point point);

#ifdef SK_CRASH_POINTS
/* Each call leaves its point in a section of its own, from which --crash-points knows what a
 * binary has: a list by hand would not stay true. */
#define sk_crash_here(point)                                                                       \
	do {                                                                                       \
		static const enum sk_crash_point sk__crash_site                                    \
			__attribute__((section("souk_crash"), used)) = (point);                    \
		sk__crash_visit(sk__crash_site);                                                   \
	} while (0)
#else
static inline void sk_crash_here(enum sk_crash_point point)
{
	(void)point;
}
#endif

#endif
