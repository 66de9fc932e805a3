/* The pool. Connections are made when they are needed and kept. While the server cannot
 * be reached, one caller at a time tries, with back-off, and all others fail at once: a
 * request must not spend its deadline on a server that is known to be down. */
#include "sk_pg_internal.h"

#include <assert.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sk_condition.h"
#include "sk_log.h"
#include "sk_time.h"

#define PG_MAGIC	   0x70677071u
#define CONNECT_TIMEOUT_MS 2000
#define RETRY_BASE_MS	   50
#define RETRY_MAX_MS	   2000

static char *copy(const char *text)
{
	char *out = strdup(text);

	if (out == NULL)
		abort();
	return out;
}

struct sk_pg *sk_pg_open(const struct sk_pg_options *options, struct sk_metrics *metrics)
{
	struct sk_pg *pg = calloc(1, sizeof(*pg));

	if (pg == NULL)
		abort();
	pg->magic = PG_MAGIC;
	pg->url = copy(options->url);
	pg->application_name = copy(options->application_name);
	pg->timeout_ms = options->timeout_ms;
	pg->slots_count = options->connections;
	pg->slots = calloc((size_t)options->connections, sizeof(*pg->slots));
	if (pg->slots == NULL)
		abort();
	pthread_mutex_init(&pg->mutex, NULL);
	sk_condition_init(&pg->returned);
	if (metrics != NULL) {
		pg->open_connections = sk_metrics_gauge(metrics, "souk_pg_connections",
							"open connections to PostgreSQL", "");
		pg->duration = sk_metrics_histogram(metrics, "souk_pg_query_seconds",
						    "time of one statement", "");
		pg->errors = sk_metrics_counter(metrics, "souk_pg_errors_total",
						"statements that failed", "");
	}
	return pg;
}

void sk_pg_close(struct sk_pg **pg_in)
{
	struct sk_pg *pg = *pg_in;

	if (pg == NULL)
		return;
	*pg_in = NULL;
	assert(pg->magic == PG_MAGIC);
	for (int i = 0; i < pg->slots_count; i++) {
		assert(!pg->slots[i].taken);
		PQfinish(pg->slots[i].connection);
	}
	pthread_cond_destroy(&pg->returned);
	pthread_mutex_destroy(&pg->mutex);
	free(pg->slots);
	free(pg->application_name);
	explicit_bzero(pg->url, strlen(pg->url));
	free(pg->url);
	pg->magic = 0;
	free(pg);
}

int64_t sk__pg_call_ms(const struct sk_pg *pg, const struct sk_context *context)
{
	return sk_context_remaining_ms(context, pg->timeout_ms);
}

enum sk_status sk__pg_too_late(struct sk_context *context)
{
	return sk_fail(context, SK_TIMEOUT, "database_timeout",
		       "no time was left for the database");
}

bool sk__pg_wait(PGconn *connection, bool for_write, int64_t end_us)
{
	struct pollfd socket = { .fd = PQsocket(connection),
				 .events = (short)(for_write ? POLLIN | POLLOUT : POLLIN) };
	int64_t left_ms = (end_us - sk_time_monotonic_us() + 999) / 1000;

	return left_ms > 0 && poll(&socket, 1, (int)left_ms) > 0;
}

/* Drives libpq's connection protocol until it is through, fails, or its time is up. */
static bool finish_connecting(PGconn *connection, int64_t end_us)
{
	PostgresPollingStatusType state = PGRES_POLLING_WRITING;

	while (state != PGRES_POLLING_OK) {
		if (state == PGRES_POLLING_FAILED ||
		    !sk__pg_wait(connection, state == PGRES_POLLING_WRITING, end_us))
			return false;
		state = PQconnectPoll(connection);
	}
	return true;
}

static void drop_notice(void *arg, const PGresult *notice)
{
	(void)arg;
	(void)notice;
}

/* A new connection with our settings, or NULL (the reason is logged). */
static PGconn *connect_now(const struct sk_pg *pg, int64_t timeout_ms)
{
	char settings[384];
	const char *const names[] = { "dbname",		  "application_name",
				      "options",	  "tcp_user_timeout",
				      "keepalives_idle",  "keepalives_interval",
				      "keepalives_count", NULL };
	const char *const values[] = {
		pg->url, pg->application_name, settings, "5000", "10", "5", "3", NULL
	};
	PGconn *connection;

	/* The server's own limits are a second belt, a little wider than ours. Its keepalives are
	 * for the locks of a client whose machine is gone. */
	snprintf(settings, sizeof(settings),
		 "-c statement_timeout=%d -c lock_timeout=4000 -c "
		 "idle_in_transaction_session_timeout=30000 "
		 "-c tcp_keepalives_idle=10 -c tcp_keepalives_interval=5 "
		 "-c tcp_keepalives_count=3 -c TimeZone=UTC -c DateStyle=ISO",
		 pg->timeout_ms + 500);
	connection = PQconnectStartParams(names, values, 1);
	if (connection == NULL)
		abort();
	if (PQstatus(connection) == CONNECTION_BAD ||
	    !finish_connecting(connection, sk_time_monotonic_us() + timeout_ms * 1000)) {
		const char *why = PQerrorMessage(connection);

		sk_log(SK_LOG_WARN, NULL, "cannot reach PostgreSQL (POSTGRES_URL): %.*s",
		       (int)strcspn(why, "\n"), why[0] != '\0' ? why : "no answer in time");
		PQfinish(connection);
		return NULL;
	}
	PQsetnonblocking(connection, 1);
	PQsetNoticeReceiver(connection, drop_notice, NULL);
	return connection;
}

/* An idle slot, one with an open connection if there is one. Caller holds pg->mutex. */
static struct sk__pg_slot *find_idle(struct sk_pg *pg)
{
	struct sk__pg_slot *closed = NULL;

	for (int i = 0; i < pg->slots_count; i++) {
		struct sk__pg_slot *slot = &pg->slots[i];

		if (slot->taken)
			continue;
		if (slot->connection != NULL)
			return slot;
		if (closed == NULL)
			closed = slot;
	}
	return closed;
}

static enum sk_status unavailable(struct sk_context *context)
{
	return sk_fail(context, SK_UNAVAILABLE, "database_unavailable",
		       "the database cannot be reached");
}

/* Opens the connection of a slot that the caller has taken. */
static enum sk_status open_slot(struct sk_pg *pg, struct sk__pg_slot *slot,
				struct sk_context *context)
{
	int64_t timeout_ms = sk_context_remaining_ms(context, CONNECT_TIMEOUT_MS);
	PGconn *connection = connect_now(pg, timeout_ms);

	pthread_mutex_lock(&pg->mutex);
	if (connection != NULL) {
		pg->failures = 0;
		pg->retry_after_us = 0;
	} else {
		pg->retry_after_us = sk_time_monotonic_us() +
				     1000 * (RETRY_BASE_MS + sk_time_backoff_ms(pg->failures++,
										RETRY_BASE_MS,
										RETRY_MAX_MS));
	}
	pthread_mutex_unlock(&pg->mutex);
	if (connection == NULL) {
		sk__pg_give(pg, slot, true);
		return unavailable(context);
	}
	slot->connection = connection;
	slot->prepared_count = 0;
	if (pg->open_connections != NULL)
		sk_metric_add(pg->open_connections, 1);
	return SK_OK;
}

/* An idle connection has nothing to say. One that does was closed by the server (it was
 * restarted, perhaps): better found out now than after a statement was sent on it. The server's
 * last words come before the end, so reading goes on until there is nothing more. */
static bool is_dead(PGconn *connection)
{
	struct pollfd socket = { .fd = PQsocket(connection), .events = POLLIN };

	while (poll(&socket, 1, 0) > 0)
		if (PQconsumeInput(connection) == 0 || PQstatus(connection) != CONNECTION_OK)
			return true;
	return false;
}

static void close_if_dead(struct sk_pg *pg, struct sk__pg_slot *slot)
{
	if (!is_dead(slot->connection))
		return;
	PQfinish(slot->connection);
	slot->connection = NULL;
	if (pg->open_connections != NULL)
		sk_metric_add(pg->open_connections, -1);
}

enum sk_status sk__pg_take(struct sk_pg *pg, struct sk_context *context, struct sk__pg_slot **out)
{
	int64_t end_us = sk_time_monotonic_us() + sk__pg_call_ms(pg, context) * 1000;
	struct sk__pg_slot *slot;
	bool closed, too_early;

	assert(pg->magic == PG_MAGIC);
	if (sk__pg_call_ms(pg, context) == 0)
		return sk__pg_too_late(context);
	pthread_mutex_lock(&pg->mutex);
	while ((slot = find_idle(pg)) == NULL) {
		if (!sk_condition_wait(&pg->returned, &pg->mutex, end_us) &&
		    find_idle(pg) == NULL) {
			pthread_mutex_unlock(&pg->mutex);
			return sk_fail(context, SK_UNAVAILABLE, "database_busy",
				       "no connection to the database became free in time");
		}
	}
	if (slot->connection != NULL)
		close_if_dead(pg, slot);
	closed = slot->connection == NULL;
	too_early = closed && sk_time_monotonic_us() < pg->retry_after_us;
	slot->taken = !too_early;
	if (closed && !too_early && pg->failures > 0) {
		/* We are the one that tries; the others wait for our result's back-off. */
		pg->retry_after_us = sk_time_monotonic_us() + (int64_t)CONNECT_TIMEOUT_MS * 1000;
	}
	pthread_mutex_unlock(&pg->mutex);
	if (too_early)
		return unavailable(context);
	*out = slot;
	return closed ? open_slot(pg, slot, context) : SK_OK;
}

void sk__pg_give(struct sk_pg *pg, struct sk__pg_slot *slot, bool broken)
{
	PGconn *lost = NULL;

	if (broken) {
		lost = slot->connection;
		slot->connection = NULL;
		if (lost != NULL && pg->open_connections != NULL)
			sk_metric_add(pg->open_connections, -1);
	}
	PQfinish(lost);
	pthread_mutex_lock(&pg->mutex);
	slot->taken = false;
	pthread_cond_signal(&pg->returned);
	pthread_mutex_unlock(&pg->mutex);
}

void sk_pg_on_outbox_commit(struct sk_pg *pg, void (*wake)(void *arg), void *arg)
{
	pthread_mutex_lock(&pg->mutex);
	pg->outbox_wake = wake;
	pg->outbox_arg = arg;
	pthread_mutex_unlock(&pg->mutex);
}

void sk__pg_wake_outbox(struct sk_pg *pg)
{
	void (*wake)(void *arg);
	void *arg;

	pthread_mutex_lock(&pg->mutex);
	wake = pg->outbox_wake;
	arg = pg->outbox_arg;
	pthread_mutex_unlock(&pg->mutex);
	if (wake != NULL)
		wake(arg);
}

enum sk_status sk_pg_ping(struct sk_pg *pg, struct sk_context *context)
{
	static const struct sk_sql ping = { "ping", "SELECT 1" };

	return sk_pg_run(pg, context, &ping, SK_NO_PARAMS, NULL);
}
