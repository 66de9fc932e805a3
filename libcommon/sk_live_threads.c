/* The threads behind all streams: a few that read for them, and one that looks after clients.
 *
 * Readers take streams that are ready, in the order in which they became so, ask the stores,
 * and send. Sending never waits: what a client's socket does not take at once (its buffers
 * hold hundreds of events) is not kept for it; the stream ends, and the client resumes from
 * the last event that it had whole. So one that is slow or stopped holds nobody up.
 *
 * The attendant has all the sockets in one epoll and hears at once when a client is gone. Without that a
 * gateway that restarts would leave hundreds of streams behind that nobody reads, while its clients, who
 * come back at once, would find no place. It alone closes streams: what epoll has told of it is
 * then never told of one that is freed. */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "sk_live_internal.h"
#include "sk_metrics.h"
#include "sk_time.h"

#define TURN_MAX_BYTES ((size_t)256 * 1024)
#define HEARTBEAT      ": still here\n\n"
#define EVENTS_MAX     64
#define REST_US	       SK_SECOND_US
#define LOOK_MS_MAX    500 /* heartbeats, and ends, are late by so much at most */

/* ---- readers ---- */

/* Whether all of it is on its way. */
static bool send_text(struct sk_live *live, struct sk__live_stream *stream, const char *text,
		      size_t len)
{
	ssize_t sent;

	do {
		sent = send(stream->socket, text, len, MSG_NOSIGNAL | MSG_DONTWAIT);
	} while (sent < 0 && errno == EINTR);
	stream->beat_us = sk_time_monotonic_us() + live->options.heartbeat_ms * 1000;
	if (sent == (ssize_t)len)
		return true;
	if (sent >= 0 || errno == EAGAIN)
		sk_metric_add(live->slow, 1);
	return false;
}

/* A store that does not answer takes all the time that a call may take. Were every stream to try,
 * their signs of life would come minutes late, and the gateway would give them up; so for a
 * moment they only send those. */
static void rest(struct sk_live *live)
{
	sk_metric_add(live->failures, 1);
	pthread_mutex_lock(&live->mutex);
	live->rest_us = sk_time_monotonic_us() + REST_US;
	pthread_mutex_unlock(&live->mutex);
}

/* One call of read, in a context of its own. False: the stream is over. */
static bool read_once(struct sk_live *live, struct sk__live_stream *stream, bool *more)
{
	struct sk_live_events events = { .stream = stream };
	bool good = true;
	enum sk_status st;

	*more = false;
	sk_context_init(&events.context, live->options.timeout_ms);
	events.context.trace = stream->trace;
	sk_buf_init(&events.buf, events.context.arena, TURN_MAX_BYTES);
	st = stream->read(&events, stream->plan_state, more);
	assert(sk_buf_ok(&events.buf)); /* a reading that is larger is a bug of read */
	if (st != SK_OK) {
		*more = false;
		rest(live);
	} else if (events.buf.len > 0) {
		good = send_text(live, stream, sk_buf_text(&events.buf), events.buf.len);
	}
	sk_context_release(&events.context);
	return good;
}

/* What a stream does when it is ready. False: it is over. */
static bool take_turn(struct sk_live *live, struct sk__live_stream *stream, bool reads)
{
	bool more = reads;

	while (more)
		if (!read_once(live, stream, &more))
			return false;
	if (sk_time_monotonic_us() < stream->beat_us)
		return true;
	return send_text(live, stream, HEARTBEAT, sizeof(HEARTBEAT) - 1);
}

/* The next stream that is ready; NULL: there are no more. Caller holds live->mutex. */
static struct sk__live_stream *next_ready(struct sk_live *live)
{
	struct sk__live_stream *stream;

	while (live->ready_first == NULL && !live->ended)
		pthread_cond_wait(&live->ready, &live->mutex);
	stream = live->ready_first;
	if (stream != NULL) {
		live->ready_first = stream->next_ready;
		stream->state = SK__LIVE_READING;
		stream->again = false;
	}
	return stream;
}

static void *read_for_streams(void *closure)
{
	struct sk_live *live = closure;
	struct sk__live_stream *stream;
	bool good;

	pthread_mutex_lock(&live->mutex);
	while ((stream = next_ready(live)) != NULL) {
		bool over = stream->over || live->ending;
		bool reads = sk_time_monotonic_us() >= live->rest_us;

		pthread_mutex_unlock(&live->mutex);
		good = !over && take_turn(live, stream, reads);
		pthread_mutex_lock(&live->mutex);
		stream->state = SK__LIVE_WAITING;
		if (!good) {
			stream->over = true;
			sk__live_ring(live);
		} else if (stream->again) {
			sk__live_make_ready(live, stream);
		}
	}
	pthread_mutex_unlock(&live->mutex);
	return NULL;
}

/* ---- the attendant ---- */

/* Caller holds live->mutex. */
static void hear(struct sk_live *live, const struct epoll_event *heard, int count)
{
	uint64_t rung;

	for (int i = 0; i < count; i++) {
		struct sk__live_stream *stream = heard[i].data.ptr;

		if (stream != NULL)
			stream->over = true; /* its client is gone */
		else if (read(live->bell, &rung, sizeof(rung)) < 0)
			continue; /* it was not rung again */
	}
}

/* Closes what is over and has read those whose heartbeat is due. Caller holds live->mutex. */
static void look_after_all(struct sk_live *live)
{
	int64_t now_us = sk_time_monotonic_us();
	struct sk__live_stream *next;

	for (struct sk__live_stream *at = live->streams; at != NULL; at = next) {
		next = at->next;
		if (at->state != SK__LIVE_WAITING)
			continue;
		if (at->over || live->ending || now_us >= at->end_us) {
			sk__live_unlink(live, at);
			sk__live_free(at);
		} else if (now_us >= at->beat_us) {
			sk__live_make_ready(live, at);
		}
	}
}

/* Where no stream is open there is nothing to look after until the bell rings. */
static int look_ms(const struct sk_live *live)
{
	int64_t often_ms = live->options.heartbeat_ms / 4 + 1;

	if (live->open == 0)
		return -1;
	return often_ms < LOOK_MS_MAX ? (int)often_ms : LOOK_MS_MAX;
}

static void *attend(void *closure)
{
	struct sk_live *live = closure;
	struct epoll_event heard[EVENTS_MAX];

	pthread_mutex_lock(&live->mutex);
	while (!live->ended) {
		int wait_ms = look_ms(live), count;

		pthread_mutex_unlock(&live->mutex);
		count = epoll_wait(live->poll, heard, EVENTS_MAX, wait_ms);
		pthread_mutex_lock(&live->mutex);
		hear(live, heard, count);
		look_after_all(live);
	}
	pthread_mutex_unlock(&live->mutex);
	return NULL;
}

/* ---- life ---- */

void sk__live_start_threads(struct sk_live *live)
{
	if (pthread_create(&live->attendant, NULL, attend, live) != 0)
		abort();
	for (int i = 0; i < live->options.readers; i++)
		if (pthread_create(&live->readers[i], NULL, read_for_streams, live) != 0)
			abort();
}

void sk__live_join_threads(struct sk_live *live)
{
	pthread_mutex_lock(&live->mutex);
	live->ended = true;
	sk__live_ring(live);
	pthread_cond_broadcast(&live->ready);
	pthread_mutex_unlock(&live->mutex);
	pthread_join(live->attendant, NULL);
	for (int i = 0; i < live->options.readers; i++)
		pthread_join(live->readers[i], NULL);
}
