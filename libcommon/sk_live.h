/* Live answers: server-sent events (HTML, 9.2), on streams that stay open.
 *
 * A row with SK_LIVE is served on a listener of its own (LIVE_LISTEN), apart from the workers
 * of requests. Its handler is one like any other; it checks, and where it would answer it calls
 * sk_reply_live. From then on the library holds the stream, without a thread of its own: it calls
 * read at first, whenever sk_live_wake names the topic, and at each heartbeat (LIVE_HEARTBEAT_MS), sends
 * what read has added, and ends the stream when the client is gone, at a stop of the service, and
 * after LIVE_LIFETIME_S, so that access that was checked when it opened is checked again: clients come
 * back by themselves and say what they saw last.
 *
 * A stream that waits costs a file, a few hundred bytes, and nothing of any pool: opening takes at most a
 * quarter of PostgreSQL's connections, reading another. A store that fails ends no stream: what could not
 * be read is read at the next call. A client that does not take what it is sent is let go; it too knows
 * where it was.
 *
 * LIVE_MAX_OPEN streams are open at most (503 beyond). The last eighth of them is for clients,
 * by address, that have fewer than LIVE_SHARE (429): one client can have many, but never all. */
#ifndef SK_LIVE_H
#define SK_LIVE_H

#include "sk_http.h"

struct sk_live; /* all streams of a service: sk_parts.live */
struct sk_live_events;
struct sk_metrics;

/* Adds what is new since the last call, as state says. Whatever it returns the stream stays open; but
 * where it fails nothing of what it added is sent, so that state must be as before. *more: it is
 * called again at once. Of one stream's calls there is one at a time, on any thread. */
typedef enum sk_status sk_live_fn(struct sk_live_events *events, void *state, bool *more);

struct sk_live_plan {
	const char *topic;
	sk_live_fn *read;
	const void *state; /* what read starts with; copied, as is topic */
	size_t state_size;
};

/* The answer of a row with SK_LIVE: 200, and events from here on. */
void sk_reply_live(struct sk_reply *reply, const struct sk_live_plan *plan);

/* The context of one call of read: what is in its arena is gone after it. */
struct sk_context *sk_live_context(struct sk_live_events *events);
const char *sk_live_topic(const struct sk_live_events *events);

/* Adds an event. id is what the client says when it comes back; id and name are words, data is text of
 * any lines. */
void sk_live_add(struct sk_live_events *events, const char *id, const char *name, const char *data);

/* Where the client was: the header Last-Event-ID, or ?last_event_id= where there is none; 0 without
 * either. SK_INVALID ("invalid_last_event_id") where it is no number that we gave. */
SK_MUST_CHECK enum sk_status sk_request_last_event_id(struct sk_request *request, int64_t *id);

/* Has every stream of the topic read. Thread-safe; live may be NULL (nobody can look on). */
void sk_live_wake(struct sk_live *live, const char *topic);

/* ---- used by sk_service ---- */

struct sk_live_options {
	int max_open, share;
	int readers; /* threads that read; as many may open at the same time */
	int64_t heartbeat_ms, lifetime_ms, timeout_ms; /* the last: of one call of read */
};

struct sk_live *sk_live_open(const struct sk_live_options *options, struct sk_metrics *metrics);
void sk_live_close(struct sk_live **live); /* after sk_http_close: no stream is open any more */

#endif
