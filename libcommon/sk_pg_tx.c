#include "sk_pg_internal.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "sk_time.h"

#define TX_MAGIC      0x74786e21u
#define ATTEMPTS_MAX  5
#define RETRY_BASE_MS 5
#define RETRY_MAX_MS  100
#define ROLLBACK_US   ((int64_t)200 * 1000) /* of its own: a connection saved is worth it */

enum sk_status sk_pg_run(struct sk_pg *pg, struct sk_context *context, const struct sk_sql *sql,
			 const struct sk_param *params, size_t count, struct sk_rows *rows)
{
	struct sk__pg_call call = { .pg = pg, .context = context };
	enum sk_status st = sk__pg_take(pg, context, &call.slot);

	if (st != SK_OK)
		return st;
	st = sk__pg_execute(&call, sql, params, count, rows);
	sk__pg_give(pg, call.slot, call.broken);
	return st;
}

/* BEGIN on a connection of the pool. One that died while it was idle is found out here,
 * before anything was done on it, so a second one may be tried. */
enum sk_status sk_tx_begin(struct sk_pg *pg, struct sk_context *context, struct sk_tx **out)
{
	struct sk__pg_call call = { .pg = pg, .context = context };
	struct sk_tx *tx;
	enum sk_status st = SK_OK;

	for (int attempt = 0; attempt <= pg->slots_count; attempt++) {
		call.broken = false;
		st = sk__pg_take(pg, context, &call.slot);
		if (st != SK_OK)
			return st;
		st = sk__pg_simple(&call, "BEGIN");
		if (st == SK_OK && !call.broken)
			break;
		sk__pg_give(pg, call.slot, true);
		if (st == SK_TIMEOUT)
			return st;
		if (attempt < pg->slots_count)
			sk_context_clear_error(context);
		st = SK_UNAVAILABLE;
	}
	if (st != SK_OK)
		return st;
	tx = sk_arena_alloc(context->arena, sizeof(*tx));
	tx->magic = TX_MAGIC;
	tx->pg = pg;
	tx->slot = call.slot;
	tx->context = context;
	*out = tx;
	return SK_OK;
}

static void run_hooks(struct sk_tx *tx)
{
	if (tx->outbox_used)
		sk__pg_wake_outbox(tx->pg);
	for (const struct sk__pg_hook *hook = tx->hooks; hook != NULL; hook = hook->next)
		hook->fn(hook->arg);
}

enum sk_status sk_tx_commit(struct sk_tx **tx_in)
{
	struct sk_tx *tx = *tx_in;
	struct sk__pg_call call = {
		.pg = tx->pg, .slot = tx->slot, .context = tx->context, .tx = tx
	};
	enum sk_status st;

	assert(tx->magic == TX_MAGIC);
	if (sk__pg_call_ms(tx->pg, tx->context) == 0) {
		/* A COMMIT whose answer nobody awaits would leave the effect unknown. */
		sk_tx_rollback(tx_in);
		return sk__pg_too_late(tx->context);
	}
	if (tx->failed) {
		/* COMMIT would answer ROLLBACK and look like a success. */
		sk_tx_rollback(tx_in);
		return sk_fail(tx->context, SK_INTERNAL, "commit_after_failure",
			       "a failed transaction was to be committed");
	}
	*tx_in = NULL;
	tx->magic = 0;
	st = sk__pg_simple(&call, "COMMIT");
	sk__pg_give(tx->pg, tx->slot, call.broken);
	if (st == SK_OK)
		run_hooks(tx);
	/* A COMMIT without an answer may have happened; one that was refused has not. */
	return st == SK_UNAVAILABLE && call.broken ? SK_TIMEOUT : st;
}

void sk_tx_rollback(struct sk_tx **tx_in)
{
	struct sk_tx *tx = *tx_in;
	struct sk__pg_call call = { .pg = tx->pg,
				    .slot = tx->slot,
				    .context = tx->context,
				    /* Often it is the deadline that makes us roll back. */
				    .end_us = sk_time_monotonic_us() + ROLLBACK_US };
	struct sk_error error;
	enum sk_status st;

	assert(tx->magic == TX_MAGIC);
	*tx_in = NULL;
	tx->magic = 0;
	error = tx->context->error;
	st = PQstatus(tx->slot->connection) == CONNECTION_OK &&
			     PQtransactionStatus(tx->slot->connection) != PQTRANS_ACTIVE
		     ? sk__pg_simple(&call, "ROLLBACK")
		     : SK_UNAVAILABLE;
	sk__pg_give(tx->pg, tx->slot, call.broken || st != SK_OK);
	tx->context->error = error; /* why we roll back, not how that went */
}

enum sk_status sk_tx_run(struct sk_tx *tx, const struct sk_sql *sql, const struct sk_param *params,
			 size_t count, struct sk_rows *rows)
{
	struct sk__pg_call call = {
		.pg = tx->pg, .slot = tx->slot, .context = tx->context, .tx = tx
	};
	enum sk_status st;

	assert(tx->magic == TX_MAGIC);
	st = sk__pg_execute(&call, sql, params, count, rows);
	if (st != SK_OK || call.broken)
		tx->failed = true;
	return st;
}

static enum sk_status transact_once(struct sk_pg *pg, struct sk_context *context, sk_tx_fn *fn,
				    void *arg, bool *again)
{
	struct sk_tx *tx = NULL;
	enum sk_status st = sk_tx_begin(pg, context, &tx);
	const char *state;

	*again = false;
	if (st != SK_OK)
		return st;
	state = tx->sqlstate; /* in the arena: it outlives the transaction */
	st = fn(tx, arg);
	if (st == SK_OK)
		st = sk_tx_commit(&tx);
	else
		sk_tx_rollback(&tx);
	*again = st != SK_OK && (strcmp(state, "40001") == 0 || strcmp(state, "40P01") == 0);
	return st;
}

enum sk_status sk_pg_transact(struct sk_pg *pg, struct sk_context *context, sk_tx_fn *fn, void *arg)
{
	bool again = false;
	enum sk_status st = transact_once(pg, context, fn, arg, &again);

	for (int attempt = 1; again && attempt < ATTEMPTS_MAX; attempt++) {
		sk_time_sleep_ms(sk_time_backoff_ms(attempt, RETRY_BASE_MS, RETRY_MAX_MS));
		sk_context_clear_error(context);
		st = transact_once(pg, context, fn, arg, &again);
	}
	return st;
}

struct sk_context *sk_tx_context(struct sk_tx *tx)
{
	return tx->context;
}

struct sk_arena *sk_tx_arena(struct sk_tx *tx)
{
	return tx->context->arena;
}

void sk_tx_after_commit(struct sk_tx *tx, void (*fn)(void *arg), void *arg)
{
	struct sk__pg_hook **at = &tx->hooks;

	for (; *at != NULL; at = &(*at)->next)
		if ((*at)->fn == fn && (*at)->arg == arg)
			return; /* once is enough: they wake somebody */
	*at = sk_arena_alloc(tx->context->arena, sizeof(**at));
	**at = (struct sk__pg_hook) { .fn = fn, .arg = arg };
}

void sk_tx_outbox_used(struct sk_tx *tx)
{
	tx->outbox_used = true;
}

const char *sk_tx_sqlstate(const struct sk_tx *tx)
{
	return tx->sqlstate;
}

const char *sk_tx_constraint(const struct sk_tx *tx)
{
	return tx->constraint;
}
