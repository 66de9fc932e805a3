/* The relay. The guarantee is in sk_outbox.h; what it rests on:
 *
 * - An event is marked sent only after the stream acknowledged it. A relay that dies in between
 *   leaves the row, and the next one sends it again under the same id.
 * - Order: one relay at a time, rows by seq. Rows of transactions that overlapped may
 *   commit out of their seq's order; each event carries its aggregate's version for that.
 * - Leadership is an advisory lock of a session, and the leader runs all its statements on
 *   the connection of that session, never on another. When the connection is lost the lock is,
 *   too, and the next statement finds it out: nobody reads or marks rows without
 *   holding the lock. (A pool would silently connect anew, and two would lead.)
 * - A row that the broker refuses is tried again for ever, and said so each minute: to skip
 *   it would break the promise, and which row it is only a person can judge. */
#include "sk_outbox.h"

#include <assert.h>
#include <nats/nats.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "sk_condition.h"
#include "sk_crash.h"
#include "sk_id.h"
#include "sk_log.h"
#include "sk_message.h"
#include "sk_metrics.h"
#include "sk_outbox_internal.h"
#include "sk_time.h"

#define POLL_MS		      100  /* for rows that another replica committed */
#define STANDBY_MS	      1000 /* between attempts to become the leader */
#define FAILURE_BASE_MS	      50
#define FAILURE_MAX_MS	      2000
#define FAILURES_QUIET	      5 /* at start the stores are still being made */
#define COMPLAINT_INTERVAL_US SK_MINUTE_US
#define LAST_RELAY_US	      (2 * SK_SECOND_US)

static const struct sk_sql SQL_ADD = {
	"outbox_add",
	"INSERT INTO outbox (id, subject, type, traceparent, payload) VALUES ($1, $2, $3, $4, $5)"
	" ON CONFLICT (id) DO UPDATE SET sent_at = NULL",
};

static const struct sk_sql SQL_LEAD = {
	"outbox_lead",
	"SELECT pg_try_advisory_lock(hashtext('souk outbox'), hashtext($1))",
};

static const struct sk_sql SQL_UNSENT = {
	"outbox_unsent",
	"SELECT seq, id, subject, type, traceparent, payload, created_at"
	" FROM outbox WHERE sent_at IS NULL ORDER BY seq LIMIT $1",
};

/* ---- adding ---- */

enum sk_status sk_outbox_add(struct sk_tx *tx, const struct sk_event *event)
{
	struct sk_context *context = sk_tx_context(tx);
	char traceparent[SK_TRACEPARENT_BYTES];
	const void *data = NULL;
	size_t len = 0;
	enum sk_status st = sk_message_pack(context, event->body, &data, &len);

	if (st != SK_OK) {
		/* Our own message breaks its own rules: a bug, not the caller's input. */
		sk_log_failure(SK_LOG_ERROR, context, "an event cannot be sent");
		return SK_INTERNAL;
	}
	sk_trace_format(&context->trace, traceparent);
	sk_tx_outbox_used(tx);
	return sk_tx_run(
		tx, &SQL_ADD,
		SK_PARAMS(sk_text(event->id != NULL ? event->id : sk_id_make(context->arena)),
			  sk_text(event->subject), sk_text(event->body->descriptor->name),
			  sk_text(traceparent), sk_bytes(data, len)),
		NULL);
}

/* ---- the relay ---- */

/* Stops leading, if we did. */
static void let_go(struct sk_outbox *outbox, bool broken)
{
	if (outbox->held == NULL)
		return;
	sk__pg_give(outbox->lead, outbox->held, broken);
	outbox->held = NULL;
}

enum sk_status sk__outbox_run(struct sk_outbox *outbox, const struct sk_sql *sql,
			      const struct sk_param *params, size_t count, struct sk_rows *rows)
{
	struct sk__pg_call call = { .pg = outbox->lead,
				    .slot = outbox->held,
				    .context = &outbox->context };
	enum sk_status st;

	if (outbox->held == NULL)
		return sk_fail(&outbox->context, SK_UNAVAILABLE, "not_leading",
			       "the connection that held the lock was lost");
	st = sk__pg_execute(&call, sql, params, count, rows);
	if (call.broken)
		let_go(outbox, true);
	return st;
}

/* Holds the connection with the lock, if nobody else does: outbox->held says so. */
static enum sk_status lead(struct sk_outbox *outbox)
{
	struct sk_rows rows;
	enum sk_status st;

	if (outbox->held != NULL)
		return SK_OK;
	st = sk__pg_take(outbox->lead, &outbox->context, &outbox->held);
	if (st != SK_OK) {
		outbox->held = NULL;
		return st;
	}
	st = sk__outbox_run(outbox, &SQL_LEAD, SK_PARAMS(sk_text(outbox->service)), &rows);
	if (st != SK_OK || !sk_row_bool(&rows, 0, 0)) {
		let_go(outbox, false);
	} else if (outbox->held != NULL) {
		outbox->next_look_us = 0; /* what another leader knew may be old */
		sk_log(SK_LOG_INFO, NULL, "relaying the outbox");
		sk_crash_here(SK_CRASH_RELAY_LEADING);
	}
	return st;
}

static void read_event(const struct sk_rows *rows, int row, struct sk_arena *arena,
		       struct sk_packed_event *event)
{
	*event = (struct sk_packed_event) {
		.id = sk_row_text(rows, row, 1),
		.subject = sk_row_text(rows, row, 2),
		.type = sk_row_text(rows, row, 3),
		.traceparent = sk_row_text(rows, row, 4),
		.time_us = sk_row_time_us(rows, row, 6),
	};
	event->data = sk_row_bytes(rows, row, 5, arena, &event->len);
}

/* Publishes in order. After a round that failed one at a time: the broker may refuse a single
 * event, and that must not keep the others from their acknowledgement. */
static enum sk_status publish(struct sk_outbox *outbox, const struct sk_packed_event *events,
			      size_t count, struct sk_ack *acks)
{
	struct sk_context *context = &outbox->context;
	enum sk_status first = SK_OK;

	if (outbox->failures == 0)
		return sk_bus_publish_all(outbox->bus, context, events, count, acks);
	for (size_t i = 0; i < count; i++) {
		enum sk_status st = SK_TIMEOUT;

		acks[i] = (struct sk_ack) { .stored = false };
		if (sk_bus_connected(outbox->bus) && sk_context_remaining_ms(context, 1) > 0)
			st = sk_bus_publish_all(outbox->bus, context, &events[i], 1, &acks[i]);
		first = first == SK_OK ? st : first;
	}
	return first;
}

/* Sends one batch in order; *more says that there may be further rows. */
static enum sk_status relay_batch(struct sk_outbox *outbox, bool *more)
{
	struct sk_packed_event events[SK_OUTBOX_BATCH_MAX];
	struct sk_ack acks[SK_OUTBOX_BATCH_MAX];
	struct sk_rows rows;
	enum sk_status st, marked;

	*more = false;
	if (!sk_bus_connected(outbox->bus))
		return sk_fail(&outbox->context, SK_UNAVAILABLE, "broker_unavailable",
			       "the broker cannot be reached");
	st = sk__outbox_run(outbox, &SQL_UNSENT, SK_PARAMS(sk_int(SK_OUTBOX_BATCH_MAX)), &rows);
	if (st != SK_OK || rows.count == 0)
		return st;
	for (int row = 0; row < rows.count; row++)
		read_event(&rows, row, outbox->context.arena, &events[row]);
	sk_crash_here(SK_CRASH_RELAY_BEFORE_PUBLISH);
	st = publish(outbox, events, (size_t)rows.count, acks);
	sk_crash_here(SK_CRASH_RELAY_BEFORE_MARK);
	for (int row = 0; row < rows.count && outbox->stuck == NULL; row++)
		if (!acks[row].stored)
			outbox->stuck = sk_arena_printf(outbox->context.arena, "%s (%s)",
							sk_row_text(&rows, row, 2),
							sk_row_text(&rows, row, 1));
	marked = sk__outbox_mark_sent(outbox, &rows, acks);
	sk_crash_here(SK_CRASH_RELAY_MARKED);
	*more = st == SK_OK && rows.count == SK_OUTBOX_BATCH_MAX;
	return st != SK_OK ? st : marked;
}

/* A lasting failure is said once a minute, with the event that waits longest. */
static void complain(struct sk_outbox *outbox)
{
	if (outbox->failures < FAILURES_QUIET || sk_time_monotonic_us() < outbox->next_complaint_us)
		return;
	outbox->next_complaint_us = sk_time_monotonic_us() + COMPLAINT_INTERVAL_US;
	sk_log_failure(SK_LOG_ERROR, &outbox->context,
		       outbox->stuck == NULL
			       ? "the outbox cannot be relayed"
			       : sk_arena_printf(outbox->context.arena, "the outbox is stuck at %s",
						 outbox->stuck));
}

/* One round; returns how long to wait for the next, 0 where there is more. */
static int64_t relay_once(struct sk_outbox *outbox, int64_t timeout_ms)
{
	bool more = false;
	enum sk_status st;

	sk_context_reset(&outbox->context, timeout_ms);
	outbox->stuck = NULL;
	st = lead(outbox);
	if (st == SK_OK && outbox->held != NULL)
		st = sk__outbox_look(outbox);
	if (st == SK_OK && outbox->held != NULL)
		st = relay_batch(outbox, &more);
	if (st == SK_OK && outbox->held != NULL && !more)
		st = sk__outbox_recall(outbox, &more);
	sk_metric_set(outbox->is_leader, outbox->held != NULL);
	if (st != SK_OK) {
		complain(outbox);
		sk__outbox_measure(outbox, false);
		return FAILURE_BASE_MS +
		       sk_time_backoff_ms(outbox->failures++, FAILURE_BASE_MS, FAILURE_MAX_MS);
	}
	outbox->failures = 0;
	sk__outbox_measure(outbox, !more);
	if (outbox->held == NULL)
		return STANDBY_MS;
	return more ? 0 : POLL_MS;
}

/* Waits for a commit, the time, or the end. A commit is no news to a relay that does not
 * lead or cannot send. Returns whether to go on. */
static bool wait_for_work(struct sk_outbox *outbox, int64_t ms)
{
	int64_t until_us = sk_time_monotonic_us() + ms * 1000;
	bool can_send = outbox->held != NULL && outbox->failures == 0;
	bool in_time = true, stopping;

	pthread_mutex_lock(&outbox->mutex);
	while (!outbox->stopping && !(outbox->woken && can_send) && in_time)
		in_time = sk_condition_wait(&outbox->changed, &outbox->mutex, until_us);
	outbox->woken = false;
	stopping = outbox->stopping;
	pthread_mutex_unlock(&outbox->mutex);
	return !stopping;
}

/* What is committed leaves before we do, if it can quickly. */
static void relay_the_last(struct sk_outbox *outbox)
{
	int64_t end_us = sk_time_monotonic_us() + LAST_RELAY_US;
	int64_t left_us, wait_ms = 0;

	while (wait_ms == 0 && (left_us = end_us - sk_time_monotonic_us()) > 0)
		wait_ms = relay_once(outbox, left_us / 1000);
}

static void *relay_until_stopped(void *closure)
{
	struct sk_outbox *outbox = closure;
	int64_t wait_ms;

	assert(outbox->magic == SK__OUTBOX_MAGIC);
	do {
		wait_ms = relay_once(outbox, SK__OUTBOX_CALL_MS);
		if (wait_ms > 0 && outbox->held != NULL)
			sk__outbox_trim(outbox);
	} while (wait_for_work(outbox, wait_ms));
	relay_the_last(outbox);
	let_go(outbox, false);
	nats_ReleaseThreadMemory();
	return NULL;
}

static void wake(void *outbox)
{
	sk_outbox_wake(outbox);
}

void sk_outbox_wake(struct sk_outbox *outbox)
{
	pthread_mutex_lock(&outbox->mutex);
	outbox->woken = true;
	pthread_cond_signal(&outbox->changed);
	pthread_mutex_unlock(&outbox->mutex);
}

struct sk_outbox *sk_outbox_open(struct sk_pg *pg, struct sk_bus *bus,
				 const struct sk_outbox_options *options,
				 struct sk_metrics *metrics)
{
	struct sk_outbox *outbox = calloc(1, sizeof(*outbox));

	if (outbox == NULL)
		abort();
	outbox->magic = SK__OUTBOX_MAGIC;
	outbox->pg = pg;
	outbox->bus = bus;
	outbox->keep_hours = options->keep_hours;
	outbox->service = strdup(options->service);
	if (outbox->service == NULL)
		abort();
	outbox->lead = sk_pg_open(&(struct sk_pg_options) { .url = options->url,
							    .application_name = options->service,
							    .connections = 1,
							    .timeout_ms = SK__OUTBOX_CALL_MS },
				  NULL);
	sk__outbox_know_streams(outbox, options->streams, options->publishes);
	pthread_mutex_init(&outbox->mutex, NULL);
	sk_condition_init(&outbox->changed);
	sk_context_init(&outbox->context, SK__OUTBOX_CALL_MS);
	outbox->unsent = sk_metrics_gauge(metrics, "souk_outbox_unsent",
					  "committed events that have not left", "");
	outbox->oldest = sk_metrics_gauge(metrics, "souk_outbox_oldest_unsent_seconds",
					  "age of the oldest of them", "");
	outbox->sent = sk_metrics_counter(metrics, "souk_outbox_sent_total", "events that left",
					  "");
	outbox->recalled = sk_metrics_counter(
		metrics, "souk_outbox_recalled_total",
		"events sent again because their stream had lost them", "");
	outbox->is_leader = sk_metrics_gauge(metrics, "souk_outbox_leader",
					     "1 where this replica relays", "");
	sk_pg_on_outbox_commit(pg, wake, outbox);
	if (pthread_create(&outbox->thread, NULL, relay_until_stopped, outbox) != 0)
		abort();
	return outbox;
}

void sk_outbox_close(struct sk_outbox **outbox_in)
{
	struct sk_outbox *outbox = *outbox_in;

	if (outbox == NULL)
		return;
	*outbox_in = NULL;
	sk_pg_on_outbox_commit(outbox->pg, NULL, NULL);
	pthread_mutex_lock(&outbox->mutex);
	outbox->stopping = true;
	pthread_cond_signal(&outbox->changed);
	pthread_mutex_unlock(&outbox->mutex);
	pthread_join(outbox->thread, NULL);
	sk_pg_close(&outbox->lead);
	sk_context_release(&outbox->context);
	pthread_cond_destroy(&outbox->changed);
	pthread_mutex_destroy(&outbox->mutex);
	sk__outbox_forget_streams(outbox);
	free(outbox->service);
	outbox->magic = 0;
	free(outbox);
}
