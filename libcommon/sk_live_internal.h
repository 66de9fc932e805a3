/* What the files of sk_live share. Not for anybody else, but for their tests.
 *
 *     sk_live.c           places, wakes, events as bytes
 *     sk_live_threads.c   who reads, who looks after clients
 *     sk_http_live.c      from a request to a stream */
#ifndef SK_LIVE_INTERNAL_H
#define SK_LIVE_INTERNAL_H

#include <pthread.h>

#include "sk_live.h"

#define SK__LIVE_READERS_MAX 16

struct sk_metric;

/* A stream belongs to the list from its place on; only the attendant takes it out and closes it. */
struct sk__live_stream {
	enum sk__live_state {
		SK__LIVE_OPENING, /* its request still runs */
		SK__LIVE_WAITING,
		SK__LIVE_READY, /* in the queue of the readers */
		SK__LIVE_READING,
	} state;
	bool again;  /* woken while it was read */
	bool over;   /* to be closed once nobody reads it */
	int socket;  /* ours; non-blocking */
	char *topic; /* NULL while it opens */
	char *address;
	sk_live_fn *read;
	void *plan_state;
	struct sk_trace trace;
	int64_t beat_us, end_us; /* monotonic: when something is sent at the latest, and its end */
	struct sk__live_stream *next, *previous, *next_ready;
};

struct sk_live {
	unsigned magic;
	struct sk_live_options options;
	pthread_mutex_t mutex; /* guards what follows, and the streams but for what a reader uses */
	pthread_cond_t ready;  /* for the readers */
	pthread_cond_t changed; /* an opening has ended, a stream was closed */
	struct sk__live_stream *streams, *ready_first, *ready_last;
	int open, opening;
	int64_t rest_us;    /* monotonic: no reading before it, after one that failed */
	bool ending, ended; /* no streams any more; no threads any more */

	int poll, bell; /* epoll, and the eventfd by which the attendant is called */
	pthread_t attendant, readers[SK__LIVE_READERS_MAX];
	struct sk_metric *open_metric, *full, *greedy, *failures, *slow;
};

struct sk_live_events {
	const struct sk__live_stream *stream;
	struct sk_context context;
	struct sk_buf buf;
};

/* ---- sk_live.c ---- */

/* Whether one more may open, where open of max are and mine of those are the client's. */
enum sk__live_verdict { SK__LIVE_ADMIT, SK__LIVE_FULL, SK__LIVE_GREEDY };
enum sk__live_verdict sk__live_judge(const struct sk_live_options *options, int open, int mine);

/* "7" -> 7; false where it is no number from 0 to INT64_MAX in digits alone. */
bool sk__live_parse_id(const char *text, int64_t *id);

/* An event as the stream has it: its lines, and the empty one that ends it. */
void sk__live_format(struct sk_buf *buf, const char *id, const char *name, const char *data);

/* Takes a place, which ends in start or in cancel. SK_UNAVAILABLE ("streams_full"), SK_TOO_MANY
 * ("too_many_streams"). */
SK_MUST_CHECK enum sk_status sk__live_reserve(struct sk_live *live, struct sk_context *context,
					      struct sk__live_stream **out);
void sk__live_cancel(struct sk_live *live, struct sk__live_stream **stream);
/* The socket is the stream's from now on. */
void sk__live_start(struct sk_live *live, struct sk__live_stream **stream, int socket,
		    const struct sk_live_plan *plan, const struct sk_trace *trace);

/* Waits for its turn to ask the stores, until until_us. False: that moment, or the end of
 * all streams, has come. */
bool sk__live_begin_open(struct sk_live *live, int64_t until_us);
void sk__live_end_open(struct sk_live *live);

/* Ends every stream, and waits until the last one is closed. */
void sk__live_end_all(struct sk_live *live);

/* Caller holds live->mutex. */
void sk__live_make_ready(struct sk_live *live, struct sk__live_stream *stream);
void sk__live_unlink(struct sk_live *live, struct sk__live_stream *stream);
void sk__live_free(struct sk__live_stream *stream); /* closes its socket */
void sk__live_ring(struct sk_live *live);	    /* calls the attendant */

/* ---- sk_live_threads.c ---- */

void sk__live_start_threads(struct sk_live *live);
void sk__live_join_threads(struct sk_live *live);

#endif
