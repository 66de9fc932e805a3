/* What the files sk_outbox*.c share. Not for anybody else. */
#ifndef SK_OUTBOX_INTERNAL_H
#define SK_OUTBOX_INTERNAL_H

#include <pthread.h>

#include "sk_outbox.h"
#include "sk_pg_internal.h"

#define SK__OUTBOX_MAGIC       0x6f757462u
#define SK__OUTBOX_STREAMS_MAX 16
#define SK__OUTBOX_CALL_MS     5000 /* of one round's statements and publishes */

/* What is remembered of one stream that the service's events go to. The table outbox_stream is
 * the memory; this is what the leader read of it last. */
struct sk__outbox_stream {
	char *name;
	bool compacted;
	sk_retell_fn *retell;  /* NULL: what it should hold cannot be told again */
	char created[64];      /* "": never seen */
	int64_t last_sequence; /* the last one that it acknowledged */
	int64_t probe;	       /* the row (seq) that is sent again to see whether it is there */
	bool recalls, retells; /* what is under way */
};

struct sk_outbox {
	unsigned magic;
	struct sk_pg *pg; /* the service's pool, whose commits wake us */
	struct sk_bus *bus;
	char *service;
	int keep_hours;
	pthread_t thread;
	pthread_mutex_t mutex; /* guards woken and stopping */
	pthread_cond_t changed;
	bool woken, stopping;
	struct sk_metric *unsent, *oldest, *sent, *recalled, *is_leader;
	/* What follows is the relay's thread's own. */
	struct sk_pg *lead;	  /* a pool of one */
	struct sk__pg_slot *held; /* its connection, held while we lead; else NULL */
	struct sk_context context;
	int failures;	   /* rounds in a row */
	const char *stuck; /* the first event that this round could not send; else NULL */
	int64_t next_complaint_us, next_measure_us, next_trim_us;
	struct sk__outbox_stream streams[SK__OUTBOX_STREAMS_MAX];
	int streams_count;
	int64_t next_look_us; /* at the streams; 0: at once, and thoroughly */
	int64_t next_retell_us;
	unsigned epoch; /* of the connection on which they were looked at last */
};

/* One statement on the connection that holds the lock, which is let go where it broke. */
SK_MUST_CHECK enum sk_status sk__outbox_run(struct sk_outbox *outbox, const struct sk_sql *sql,
					    const struct sk_param *params, size_t count,
					    struct sk_rows *rows);

/* ---- sk_outbox_keep.c: how long rows stay, and how many wait ---- */

void sk__outbox_trim(struct sk_outbox *outbox);
/* Where a batch took all there was, nothing is left; else the table is asked, now and then. */
void sk__outbox_measure(struct sk_outbox *outbox, bool all_left);

/* ---- sk_outbox_recall.c: streams that lose what they acknowledged ---- */

void sk__outbox_know_streams(struct sk_outbox *outbox, const struct sk_stream *streams,
			     const char *const *publishes);
void sk__outbox_forget_streams(struct sk_outbox *outbox);

/* Looks at the streams, about each second and after each connection. */
SK_MUST_CHECK enum sk_status sk__outbox_look(struct sk_outbox *outbox);

/* Marks the rows sent whose acks say so, and remembers in the same statement what was
 * acknowledged. Rows of a stream that is not known yet stay unsent. */
SK_MUST_CHECK enum sk_status sk__outbox_mark_sent(struct sk_outbox *outbox,
						  const struct sk_rows *rows, struct sk_ack *acks);

/* One step of a recall or a retelling, when nothing waits to be sent; *more says that there may
 * be rows to send now. */
SK_MUST_CHECK enum sk_status sk__outbox_recall(struct sk_outbox *outbox, bool *more);

#endif
