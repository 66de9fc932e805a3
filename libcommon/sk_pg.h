/* PostgreSQL: a pool of connections on libpq.
 *
 * Every statement is a named constant (struct sk_sql), prepared once per
 * connection at its first use, and takes its values as parameters only. Every
 * call ends by its deadline: the context's, or POSTGRES_TIMEOUT_MS, whichever is
 * sooner; a connection whose call timed out is closed, since its answer could
 * still come. Where the deadline was over before, nothing is sent: such a COMMIT is a rollback.
 * A lost connection is replaced at the next use, with back-off.
 *
 * A transaction is a function. sk_pg_transact runs the whole of it again after a
 * serialization failure or a deadlock, so it must have no effect besides its
 * database: no bus, no HTTP, no Valkey. Messages are added by sk_outbox_add and leave
 * after the commit. A COMMIT whose answer was lost is SK_TIMEOUT: the effect is
 * unknown, and only an idempotency key or an inbox row may decide.
 *
 * The pool is thread-safe; a struct sk_tx belongs to one thread. */
#ifndef SK_PG_H
#define SK_PG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sk_context.h"

struct sk_metrics;
struct sk_pg;
struct sk_tx; /* one connection, inside a transaction */

struct sk_sql {
	const char *name; /* unique in the service: "order_insert" */
	const char *text; /* with $1, $2 … */
};

enum sk_param_kind {
	SK_PARAM_NULL,
	SK_PARAM_TEXT,
	SK_PARAM_INT,
	SK_PARAM_BOOL,
	SK_PARAM_TIME,
	SK_PARAM_BYTES
};

struct sk_param {
	enum sk_param_kind kind;
	const char *text; /* TEXT, BYTES: borrowed for the call */
	size_t len;	  /* BYTES */
	int64_t number;	  /* INT, BOOL, TIME */
};

struct sk_param sk_null(void);
struct sk_param sk_text(const char *text); /* NULL gives SQL NULL */
struct sk_param sk_int(int64_t value);
struct sk_param sk_bool(bool value);
struct sk_param sk_timestamp(int64_t time_us);		/* timestamptz; 0 gives NULL */
struct sk_param sk_bytes(const void *data, size_t len); /* bytea */
/* text[] and bigint[] literals, for unnest($1::text[], $2::bigint[]). NULL elements give NULL. */
struct sk_param sk_text_array(struct sk_arena *arena, const char *const *texts, size_t count);
struct sk_param sk_int_array(struct sk_arena *arena, const int64_t *values, size_t count);

/* SK_PARAMS(sk_text(id), sk_int(3)) expands to the two arguments (params, count). */
#define SK_PARAMS(...)                                                                             \
	((const struct sk_param[]) { __VA_ARGS__ }),                                               \
		(sizeof((const struct sk_param[]) { __VA_ARGS__ }) / sizeof(struct sk_param))
#define SK_NO_PARAMS NULL, 0

/* The rows of an answer; they live as long as the arena of the call's context. */
struct sk_rows {
	void *result;
	int count;    /* rows returned */
	int affected; /* rows inserted, updated or deleted */
};

/* Values by row and column from 0. Text is "" for NULL in sk_row_text, NULL in
 * sk_row_text_or_null; numbers are 0 for NULL. Bytes are decoded into the arena. */
bool sk_row_is_null(const struct sk_rows *rows, int row, int column);
const char *sk_row_text(const struct sk_rows *rows, int row, int column);
const char *sk_row_text_or_null(const struct sk_rows *rows, int row, int column);
int64_t sk_row_int(const struct sk_rows *rows, int row, int column);
bool sk_row_bool(const struct sk_rows *rows, int row, int column);
int64_t sk_row_time_us(const struct sk_rows *rows, int row, int column);
const void *sk_row_bytes(const struct sk_rows *rows, int row, int column, struct sk_arena *arena,
			 size_t *len);

struct sk_pg_options {
	const char *url;
	const char *application_name;
	int connections; /* at most; opened as needed */
	int timeout_ms;	 /* of one call */
};

/* A pool; it connects at first use. Never fails for a server that is down. */
struct sk_pg *sk_pg_open(const struct sk_pg_options *options, struct sk_metrics *metrics);
void sk_pg_close(struct sk_pg **pg);

/* SELECT 1 within timeout_ms: for /readyz. */
SK_MUST_CHECK enum sk_status sk_pg_ping(struct sk_pg *pg, struct sk_context *context);

/* One statement in a transaction of its own. rows may be NULL. Unique violations
 * are SK_CONFLICT, foreign key and check violations SK_INVALID, lost connections
 * SK_UNAVAILABLE, deadlines SK_TIMEOUT. */
SK_MUST_CHECK enum sk_status sk_pg_run(struct sk_pg *pg, struct sk_context *context,
				       const struct sk_sql *sql, const struct sk_param *params,
				       size_t count, struct sk_rows *rows);

/* Runs fn(tx, arg) in a READ COMMITTED transaction and commits when it returns
 * SK_OK; any other status rolls back and is returned. fn may run up to 5 times and
 * must set all it gives back in arg anew each time. */
typedef enum sk_status sk_tx_fn(struct sk_tx *tx, void *arg);
SK_MUST_CHECK enum sk_status sk_pg_transact(struct sk_pg *pg, struct sk_context *context,
					    sk_tx_fn *fn, void *arg);

/* One statement inside the transaction. After a failure the transaction can only
 * be given up: return the status. */
SK_MUST_CHECK enum sk_status sk_tx_run(struct sk_tx *tx, const struct sk_sql *sql,
				       const struct sk_param *params, size_t count,
				       struct sk_rows *rows);

struct sk_context *sk_tx_context(struct sk_tx *tx);
struct sk_arena *sk_tx_arena(struct sk_tx *tx);

/* Calls fn(arg) after the commit succeeded; for waking a relay or a sweep. */
void sk_tx_after_commit(struct sk_tx *tx, void (*fn)(void *arg), void *arg);

/* ---- for libcommon only ---- */

/* A transaction by hand, for sk_consumer, whose rollback is a decision of its own. Commit and
 * rollback end it and null *tx. */
SK_MUST_CHECK enum sk_status sk_tx_begin(struct sk_pg *pg, struct sk_context *context,
					 struct sk_tx **tx);
SK_MUST_CHECK enum sk_status sk_tx_commit(struct sk_tx **tx);
void sk_tx_rollback(struct sk_tx **tx);

/* Calls wake(arg) after each commit of a transaction that told sk_tx_outbox_used. */
void sk_pg_on_outbox_commit(struct sk_pg *pg, void (*wake)(void *arg), void *arg);
void sk_tx_outbox_used(struct sk_tx *tx);

/* SQLSTATE of the last failed statement ("23505"), "" if none. */
const char *sk_tx_sqlstate(const struct sk_tx *tx);

/* The name of the constraint that the last failed statement violated, "" if none. */
const char *sk_tx_constraint(const struct sk_tx *tx);

#endif
