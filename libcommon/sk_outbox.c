/* The relay. The guarantee is in sk_outbox.h; what it rests on:
 *
 * - An event is marked sent only after the stream acknowledged it. A relay that dies in between
 *   leaves the row, and the next one sends it again under the same id.
 * - Order: one relay at a time, rows by seq. Rows of transactions that overlapped may
 *   commit out of their seq's order; each event carries its aggregate's version for that.
 * - Leadership is an advisory lock of a session of its own. When that connection is lost the
 *   lock is, too, and whoever was leading stops at its next statement, which
 *   runs on that same connection: nobody can mark rows without holding the lock. */
#include "sk_outbox.h"

#include <assert.h>
#include <nats/nats.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "sk_id.h"
#include "sk_log.h"
#include "sk_message.h"
#include "sk_metrics.h"
#include "sk_pg_internal.h"
#include "sk_time.h"

#define OUTBOX_MAGIC	 0x6f757462u
#define POLL_MS		 100  /* for rows that another replica committed */
#define STANDBY_MS	 1000 /* between attempts to become the leader */
#define FAILURE_BASE_MS	 50
#define FAILURE_MAX_MS	 2000
#define CALL_TIMEOUT_MS	 5000
#define LAST_RELAY_US	 (2 * SK_SECOND_US)
#define TRIM_INTERVAL_US (10 * SK_MINUTE_US)
#define TRIM_ROWS	 "5000" /* in one statement: short locks, small transactions */
#define INBOX_KEEP_DAYS	 "8"	/* a day more than the streams keep their messages */

static const struct sk_sql SQL_ADD = {
	"outbox_add",
	"INSERT INTO outbox (id, subject, type, traceparent, payload) VALUES ($1, $2, $3, $4, $5)",
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

static const struct sk_sql SQL_SENT = {
	"outbox_sent",
	"UPDATE outbox SET sent_at = now() WHERE seq = ANY($1::bigint[])",
};

static const struct sk_sql SQL_BACKLOG = {
	"outbox_backlog",
	"SELECT count(*), coalesce(extract(epoch FROM now() - min(created_at)), 0)::bigint"
	" FROM outbox WHERE sent_at IS NULL",
};

static const struct sk_sql SQL_TRIM[] = {
	{ "outbox_trim",
	  "DELETE FROM outbox WHERE seq IN (SELECT seq FROM outbox WHERE sent_at IS NOT NULL"
	  " AND sent_at < now() - make_interval(hours => $1::int) LIMIT " TRIM_ROWS ")" },
	{ "inbox_trim",
	  "DELETE FROM inbox WHERE ctid IN (SELECT ctid FROM inbox"
	  " WHERE seen_at < now() - interval '" INBOX_KEEP_DAYS " days' LIMIT " TRIM_ROWS ")"
	  " AND $1::int IS NOT NULL" },
	{ "idempotency_trim",
	  "DELETE FROM idempotency_key WHERE ctid IN (SELECT ctid FROM idempotency_key"
	  " WHERE created_at < now() - interval '24 hours' LIMIT " TRIM_ROWS ")"
	  " AND $1::int IS NOT NULL" },
};

struct sk_outbox {
	unsigned magic;
	struct sk_pg *lead; /* a pool of one: the connection that holds the lock */
	struct sk_bus *bus;
	char *service;
	int keep_hours;
	pthread_t thread;
	pthread_mutex_t mutex; /* guards woken and stopping */
	pthread_cond_t changed;
	bool woken, stopping;
	const PGconn *leading_on; /* the connection on which the lock was taken; the relay's own */
	int64_t next_trim_us;
	struct sk_context context;
	struct sk_metric *unsent, *oldest, *sent, *is_leader;
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

/* Whether we hold the lock, on the connection that is open now. */
static enum sk_status become_leader(struct sk_outbox *outbox, bool *leader)
{
	struct sk_rows rows;
	enum sk_status st;

	*leader = outbox->leading_on != NULL &&
		  outbox->leading_on == outbox->lead->slots[0].connection;
	if (*leader)
		return SK_OK;
	outbox->leading_on = NULL;
	st = sk_pg_run(outbox->lead, &outbox->context, &SQL_LEAD,
		       SK_PARAMS(sk_text(outbox->service)), &rows);
	if (st != SK_OK)
		return st;
	*leader = sk_row_bool(&rows, 0, 0);
	if (*leader) {
		outbox->leading_on = outbox->lead->slots[0].connection;
		sk_log(SK_LOG_INFO, NULL, "relaying the outbox");
	}
	return SK_OK;
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

static enum sk_status mark_sent(struct sk_outbox *outbox, const struct sk_rows *rows,
				const bool *acked)
{
	int64_t seqs[SK_OUTBOX_BATCH_MAX];
	size_t count = 0;
	enum sk_status st;

	for (int row = 0; row < rows->count; row++)
		if (acked[row])
			seqs[count++] = sk_row_int(rows, row, 0);
	if (count == 0)
		return SK_OK;
	st = sk_pg_run(outbox->lead, &outbox->context, &SQL_SENT,
		       SK_PARAMS(sk_int_array(outbox->context.arena, seqs, count)), NULL);
	if (st == SK_OK)
		sk_metric_add(outbox->sent, (int64_t)count);
	return st;
}

/* Sends one batch in order; *more says that there may be further rows. */
static enum sk_status relay_batch(struct sk_outbox *outbox, bool *more)
{
	struct sk_packed_event events[SK_OUTBOX_BATCH_MAX];
	bool acked[SK_OUTBOX_BATCH_MAX];
	struct sk_rows rows;
	enum sk_status st, marked;

	*more = false;
	if (!sk_bus_connected(outbox->bus))
		return sk_fail(&outbox->context, SK_UNAVAILABLE, "broker_unavailable",
			       "the broker cannot be reached");
	st = sk_pg_run(outbox->lead, &outbox->context, &SQL_UNSENT,
		       SK_PARAMS(sk_int(SK_OUTBOX_BATCH_MAX)), &rows);
	if (st != SK_OK || rows.count == 0)
		return st;
	for (int row = 0; row < rows.count; row++)
		read_event(&rows, row, outbox->context.arena, &events[row]);
	st = sk_bus_publish_all(outbox->bus, &outbox->context, events, (size_t)rows.count, acked);
	marked = mark_sent(outbox, &rows, acked);
	*more = st == SK_OK && rows.count == SK_OUTBOX_BATCH_MAX;
	return st != SK_OK ? st : marked;
}

static void measure_backlog(struct sk_outbox *outbox)
{
	struct sk_rows rows;

	if (sk_pg_run(outbox->lead, &outbox->context, &SQL_BACKLOG, SK_NO_PARAMS, &rows) != SK_OK)
		return;
	sk_metric_set(outbox->unsent, sk_row_int(&rows, 0, 0));
	sk_metric_set(outbox->oldest, sk_row_int(&rows, 0, 1));
}

static void trim(struct sk_outbox *outbox)
{
	if (sk_time_monotonic_us() < outbox->next_trim_us)
		return;
	outbox->next_trim_us = sk_time_monotonic_us() + TRIM_INTERVAL_US;
	for (size_t i = 0; i < sizeof(SQL_TRIM) / sizeof(SQL_TRIM[0]); i++) {
		sk_context_reset(&outbox->context, CALL_TIMEOUT_MS);
		if (sk_pg_run(outbox->lead, &outbox->context, &SQL_TRIM[i],
			      SK_PARAMS(sk_int(outbox->keep_hours)), NULL) != SK_OK)
			sk_log_failure(SK_LOG_WARN, &outbox->context, "trimming");
	}
}

/* One round; returns how long to wait for the next, 0 where there is more. */
static int64_t relay_once(struct sk_outbox *outbox, int *failures)
{
	bool leader = false, more = false;
	enum sk_status st;

	sk_context_reset(&outbox->context, CALL_TIMEOUT_MS);
	st = become_leader(outbox, &leader);
	sk_metric_set(outbox->is_leader, leader);
	if (st == SK_OK && leader)
		st = relay_batch(outbox, &more);
	if (st != SK_OK) {
		/* At start the stores are still being made; a lasting failure is worth a line. */
		if (*failures == 5)
			sk_log_failure(SK_LOG_WARN, &outbox->context,
				       "the outbox cannot be relayed");
		sk_context_reset(&outbox->context, CALL_TIMEOUT_MS);
		measure_backlog(outbox);
		return FAILURE_BASE_MS +
		       sk_time_backoff_ms((*failures)++, FAILURE_BASE_MS, FAILURE_MAX_MS);
	}
	*failures = 0;
	if (!leader)
		return STANDBY_MS;
	sk_metric_set(outbox->unsent, 0);
	sk_metric_set(outbox->oldest, 0);
	if (more)
		return 0;
	trim(outbox);
	return POLL_MS;
}

/* Waits for a commit, the time, or the end. Returns whether to go on. */
static bool wait_for_work(struct sk_outbox *outbox, int64_t ms)
{
	int64_t until_us = sk_time_monotonic_us() + ms * 1000;
	struct timespec until = { .tv_sec = until_us / SK_SECOND_US,
				  .tv_nsec = until_us % SK_SECOND_US * 1000 };
	int timed_out = 0;
	bool stopping;

	pthread_mutex_lock(&outbox->mutex);
	while (!outbox->stopping && !outbox->woken && timed_out == 0)
		timed_out = pthread_cond_timedwait(&outbox->changed, &outbox->mutex, &until);
	outbox->woken = false;
	stopping = outbox->stopping;
	pthread_mutex_unlock(&outbox->mutex);
	return !stopping;
}

static void *relay_until_stopped(void *closure)
{
	struct sk_outbox *outbox = closure;
	int64_t end_us;
	int failures = 0;

	assert(outbox->magic == OUTBOX_MAGIC);
	while (wait_for_work(outbox, relay_once(outbox, &failures)))
		;
	/* What is committed leaves before we do, if it can quickly. */
	end_us = sk_time_monotonic_us() + LAST_RELAY_US;
	while (relay_once(outbox, &failures) == 0 && sk_time_monotonic_us() < end_us)
		;
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

struct sk_outbox *sk_outbox_open(struct sk_pg *pg, struct sk_bus *bus, const char *pg_url,
				 const char *service, int keep_hours, struct sk_metrics *metrics)
{
	struct sk_outbox *outbox = calloc(1, sizeof(*outbox));
	pthread_condattr_t monotonic;

	if (outbox == NULL)
		abort();
	outbox->magic = OUTBOX_MAGIC;
	outbox->bus = bus;
	outbox->keep_hours = keep_hours;
	outbox->service = strdup(service);
	if (outbox->service == NULL)
		abort();
	outbox->lead = sk_pg_open(&(struct sk_pg_options) { .url = pg_url,
							    .application_name = service,
							    .connections = 1,
							    .timeout_ms = CALL_TIMEOUT_MS },
				  NULL);
	pthread_mutex_init(&outbox->mutex, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&outbox->changed, &monotonic);
	pthread_condattr_destroy(&monotonic);
	sk_context_init(&outbox->context, CALL_TIMEOUT_MS);
	outbox->unsent = sk_metrics_gauge(metrics, "souk_outbox_unsent",
					  "committed events that have not left", "");
	outbox->oldest = sk_metrics_gauge(metrics, "souk_outbox_oldest_unsent_seconds",
					  "age of the oldest of them", "");
	outbox->sent = sk_metrics_counter(metrics, "souk_outbox_sent_total", "events that left",
					  "");
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
	pthread_mutex_lock(&outbox->mutex);
	outbox->stopping = true;
	pthread_cond_signal(&outbox->changed);
	pthread_mutex_unlock(&outbox->mutex);
	pthread_join(outbox->thread, NULL);
	sk_pg_close(&outbox->lead);
	sk_context_release(&outbox->context);
	pthread_cond_destroy(&outbox->changed);
	pthread_mutex_destroy(&outbox->mutex);
	free(outbox->service);
	outbox->magic = 0;
	free(outbox);
}
