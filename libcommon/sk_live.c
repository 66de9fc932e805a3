/* The streams of a service: who has a place, who is woken, what is sent.
 *
 * They are one list under one lock. To wake the streams of a topic is to walk it: a few hundred
 * comparisons an event, where a table by topic would have to be kept right for every
 * stream that comes and goes. */
#include "sk_live_internal.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "sk_condition.h"
#include "sk_metrics.h"
#include "sk_time.h"

#define LIVE_MAGIC    0x6c697665u
#define RESERVE_PART  8 /* the last eighth of the places is for those who have few */
#define RETRY_AFTER_S 5

/* ---- pure ---- */

enum sk__live_verdict sk__live_judge(const struct sk_live_options *options, int open, int mine)
{
	if (open >= options->max_open)
		return SK__LIVE_FULL;
	if (mine >= options->share && options->max_open - open <= options->max_open / RESERVE_PART)
		return SK__LIVE_GREEDY;
	return SK__LIVE_ADMIT;
}

bool sk__live_parse_id(const char *text, int64_t *id)
{
	char *end = NULL;
	long long number;

	errno = 0;
	number = strtoll(text, &end, 10);
	if (!isdigit((unsigned char)text[0]) || *end != '\0' || errno != 0)
		return false;
	*id = number;
	return true;
}

void sk__live_format(struct sk_buf *buf, const char *id, const char *name, const char *data)
{
	assert(strpbrk(id, "\r\n") == NULL && strpbrk(name, "\r\n") == NULL);
	sk_buf_printf(buf, "id: %s\nevent: %s\n", id, name);
	for (;;) {
		size_t len = strcspn(data, "\r\n");

		sk_buf_printf(buf, "data: %.*s\n", (int)len, data);
		data += len;
		if (*data == '\0')
			break;
		data += data[0] == '\r' && data[1] == '\n' ? 2 : 1;
	}
	sk_buf_putc(buf, '\n');
}

/* ---- what read sees ---- */

struct sk_context *sk_live_context(struct sk_live_events *events)
{
	return &events->context;
}

const char *sk_live_topic(const struct sk_live_events *events)
{
	return events->stream->topic;
}

void sk_live_add(struct sk_live_events *events, const char *id, const char *name, const char *data)
{
	sk__live_format(&events->buf, id, name, data);
}

/* ---- places ---- */

static void *copy(const void *bytes, size_t len)
{
	void *made = calloc(1, len + 1);

	if (made == NULL)
		abort();
	return memcpy(made, bytes, len);
}

/* Caller holds live->mutex. */
static int count_of(const struct sk_live *live, const char *address)
{
	int count = 0;

	for (const struct sk__live_stream *at = live->streams; at != NULL; at = at->next)
		count += strcmp(at->address, address) == 0;
	return count;
}

/* Caller holds live->mutex. */
static void link_stream(struct sk_live *live, struct sk__live_stream *stream)
{
	stream->next = live->streams;
	if (live->streams != NULL)
		live->streams->previous = stream;
	live->streams = stream;
	sk_metric_set(live->open_metric, ++live->open);
}

void sk__live_unlink(struct sk_live *live, struct sk__live_stream *stream)
{
	if (stream->previous != NULL)
		stream->previous->next = stream->next;
	else
		live->streams = stream->next;
	if (stream->next != NULL)
		stream->next->previous = stream->previous;
	sk_metric_set(live->open_metric, --live->open);
	pthread_cond_broadcast(&live->changed);
}

void sk__live_free(struct sk__live_stream *stream)
{
	if (stream->socket >= 0)
		close(stream->socket);
	free(stream->plan_state);
	free(stream->topic);
	free(stream->address);
	free(stream);
}

static enum sk_status refuse(struct sk_live *live, struct sk_context *context,
			     enum sk__live_verdict verdict)
{
	context->error.retry_after_s = RETRY_AFTER_S;
	if (verdict == SK__LIVE_GREEDY) {
		sk_metric_add(live->greedy, 1);
		return sk_fail(context, SK_TOO_MANY, "too_many_streams",
			       "few streams are left, and this address has many open");
	}
	sk_metric_add(live->full, 1);
	return sk_fail(context, SK_UNAVAILABLE, "streams_full",
		       "as many streams are open as there may be");
}

enum sk_status sk__live_reserve(struct sk_live *live, struct sk_context *context,
				struct sk__live_stream **out)
{
	const char *address = context->actor.address;
	struct sk__live_stream *stream = calloc(1, sizeof(*stream));
	enum sk__live_verdict verdict;

	if (stream == NULL)
		abort();
	assert(live->magic == LIVE_MAGIC);
	stream->socket = -1;
	stream->address = copy(address, strlen(address));
	pthread_mutex_lock(&live->mutex);
	verdict = sk__live_judge(&live->options, live->open, count_of(live, address));
	if (verdict == SK__LIVE_ADMIT)
		link_stream(live, stream);
	pthread_mutex_unlock(&live->mutex);
	if (verdict == SK__LIVE_ADMIT) {
		*out = stream;
		return SK_OK;
	}
	sk__live_free(stream);
	return refuse(live, context, verdict);
}

void sk__live_cancel(struct sk_live *live, struct sk__live_stream **stream_in)
{
	struct sk__live_stream *stream = *stream_in;

	if (stream == NULL)
		return;
	*stream_in = NULL;
	pthread_mutex_lock(&live->mutex);
	sk__live_unlink(live, stream);
	pthread_mutex_unlock(&live->mutex);
	sk__live_free(stream);
}

void sk__live_start(struct sk_live *live, struct sk__live_stream **stream_in, int socket,
		    const struct sk_live_plan *plan, const struct sk_trace *trace)
{
	struct sk__live_stream *stream = *stream_in;
	struct epoll_event watched = { .events = EPOLLRDHUP | EPOLLONESHOT, .data.ptr = stream };
	int64_t now_us = sk_time_monotonic_us();

	*stream_in = NULL;
	pthread_mutex_lock(&live->mutex);
	stream->socket = socket;
	stream->topic = copy(plan->topic, strlen(plan->topic));
	stream->read = plan->read;
	stream->plan_state = copy(plan->state, plan->state_size);
	stream->trace = *trace;
	stream->beat_us = now_us + live->options.heartbeat_ms * 1000;
	stream->end_us = now_us + live->options.lifetime_ms * 1000;
	stream->state = SK__LIVE_WAITING;
	/* Where it cannot be watched, a heartbeat that fails tells that its client is gone. */
	(void)epoll_ctl(live->poll, EPOLL_CTL_ADD, socket, &watched);
	sk__live_make_ready(live, stream);
	sk__live_ring(live);
	pthread_mutex_unlock(&live->mutex);
}

/* ---- waking ---- */

void sk__live_make_ready(struct sk_live *live, struct sk__live_stream *stream)
{
	if (stream->state == SK__LIVE_READING)
		stream->again = true;
	if (stream->state != SK__LIVE_WAITING || stream->over)
		return;
	stream->state = SK__LIVE_READY;
	stream->next_ready = NULL;
	if (live->ready_first == NULL)
		live->ready_first = stream;
	else
		live->ready_last->next_ready = stream;
	live->ready_last = stream;
	pthread_cond_signal(&live->ready);
}

void sk_live_wake(struct sk_live *live, const char *topic)
{
	if (live == NULL)
		return;
	assert(live->magic == LIVE_MAGIC);
	pthread_mutex_lock(&live->mutex);
	for (struct sk__live_stream *at = live->streams; at != NULL; at = at->next)
		if (at->topic != NULL && strcmp(at->topic, topic) == 0)
			sk__live_make_ready(live, at);
	pthread_mutex_unlock(&live->mutex);
}

/* A bell that rings already is as good: what does not fit says so. */
void sk__live_ring(struct sk_live *live)
{
	const uint64_t one = 1;

	while (write(live->bell, &one, sizeof(one)) < 0 && errno == EINTR)
		;
}

void sk__live_end_all(struct sk_live *live)
{
	pthread_mutex_lock(&live->mutex);
	live->ending = true;
	sk__live_ring(live);
	pthread_cond_broadcast(&live->changed);
	while (live->open > 0)
		pthread_cond_wait(&live->changed, &live->mutex);
	pthread_mutex_unlock(&live->mutex);
}

/* ---- opening in turn ---- */

bool sk__live_begin_open(struct sk_live *live, int64_t until_us)
{
	bool late = false, mine;

	pthread_mutex_lock(&live->mutex);
	while (live->opening >= live->options.readers && !live->ending && !late)
		late = !sk_condition_wait(&live->changed, &live->mutex, until_us);
	mine = live->opening < live->options.readers && !live->ending;
	live->opening += mine;
	pthread_mutex_unlock(&live->mutex);
	return mine;
}

void sk__live_end_open(struct sk_live *live)
{
	pthread_mutex_lock(&live->mutex);
	live->opening--;
	pthread_cond_broadcast(&live->changed);
	pthread_mutex_unlock(&live->mutex);
}

/* ---- life ---- */

static void make_metrics(struct sk_live *live, struct sk_metrics *metrics)
{
	const char *name = "souk_live_refused_total", *help = "streams that were not opened";

	live->open_metric = sk_metrics_gauge(metrics, "souk_live_open", "streams that are open",
					     "");
	live->full = sk_metrics_counter(metrics, name, help, "reason=\"full\"");
	live->greedy = sk_metrics_counter(metrics, name, help, "reason=\"client\"");
	live->failures = sk_metrics_counter(metrics, "souk_live_read_failures_total",
					    "readings for a stream that failed", "");
	live->slow = sk_metrics_counter(metrics, "souk_live_slow_clients_total",
					"streams whose client did not take what it was sent", "");
}

struct sk_live *sk_live_open(const struct sk_live_options *options, struct sk_metrics *metrics)
{
	struct epoll_event rung = { .events = EPOLLIN, .data.ptr = NULL };
	struct sk_live *live = calloc(1, sizeof(*live));

	if (live == NULL)
		abort();
	live->magic = LIVE_MAGIC;
	live->options = *options;
	if (live->options.readers > SK__LIVE_READERS_MAX)
		live->options.readers = SK__LIVE_READERS_MAX;
	live->poll = epoll_create1(EPOLL_CLOEXEC);
	live->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (epoll_ctl(live->poll, EPOLL_CTL_ADD, live->bell, &rung) != 0)
		abort(); /* no files at the start of a process */
	pthread_mutex_init(&live->mutex, NULL);
	sk_condition_init(&live->ready);
	sk_condition_init(&live->changed);
	make_metrics(live, metrics);
	sk__live_start_threads(live);
	return live;
}

void sk_live_close(struct sk_live **live_in)
{
	struct sk_live *live = *live_in;

	if (live == NULL)
		return;
	*live_in = NULL;
	assert(live->magic == LIVE_MAGIC && live->streams == NULL);
	sk__live_join_threads(live);
	close(live->bell);
	close(live->poll);
	pthread_cond_destroy(&live->changed);
	pthread_cond_destroy(&live->ready);
	pthread_mutex_destroy(&live->mutex);
	live->magic = 0;
	free(live);
}
