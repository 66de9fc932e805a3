/* Statements: parameters in, rows out, by a deadline.
 *
 * libpq's own calls block for as long as the server does, which a server that is stopped
 * (or a network that is cut) never ends. So everything here is sent without blocking and
 * awaited with poll. A connection whose answer did not come in time is given up: its
 * late answer would be taken for the next statement's. */
#include "sk_pg_internal.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sk_buf.h"
#include "sk_log.h"
#include "sk_time.h"

#define ARRAY_MAX_BYTES ((size_t)4 * 1024 * 1024)
#define PARAMETERS_MAX	40

/* ---- parameters ---- */

struct sk_param sk_null(void)
{
	return (struct sk_param) { .kind = SK_PARAM_NULL };
}

struct sk_param sk_text(const char *text)
{
	return (struct sk_param) { .kind = text != NULL ? SK_PARAM_TEXT : SK_PARAM_NULL,
				   .text = text };
}

struct sk_param sk_int(int64_t value)
{
	return (struct sk_param) { .kind = SK_PARAM_INT, .number = value };
}

struct sk_param sk_bool(bool value)
{
	return (struct sk_param) { .kind = SK_PARAM_BOOL, .number = value };
}

struct sk_param sk_timestamp(int64_t time_us)
{
	return (struct sk_param) { .kind = time_us != 0 ? SK_PARAM_TIME : SK_PARAM_NULL,
				   .number = time_us };
}

struct sk_param sk_bytes(const void *data, size_t len)
{
	return (struct sk_param) { .kind = SK_PARAM_BYTES,
				   .text = data != NULL ? data : "",
				   .len = len };
}

const char *sk__pg_text_array(struct sk_arena *arena, const char *const *texts, size_t count)
{
	struct sk_buf buf;

	sk_buf_init(&buf, arena, ARRAY_MAX_BYTES);
	sk_buf_putc(&buf, '{');
	for (size_t i = 0; i < count; i++) {
		if (i > 0)
			sk_buf_putc(&buf, ',');
		if (texts[i] == NULL) {
			sk_buf_puts(&buf, "NULL");
			continue;
		}
		sk_buf_putc(&buf, '"');
		for (const char *at = texts[i]; *at != '\0'; at++) {
			if (*at == '"' || *at == '\\')
				sk_buf_putc(&buf, '\\');
			sk_buf_putc(&buf, *at);
		}
		sk_buf_putc(&buf, '"');
	}
	sk_buf_putc(&buf, '}');
	assert(sk_buf_ok(&buf)); /* callers bound their lists; SQL cut off must never be sent */
	return sk_buf_text(&buf);
}

const char *sk__pg_int_array(struct sk_arena *arena, const int64_t *values, size_t count)
{
	struct sk_buf buf;

	sk_buf_init(&buf, arena, ARRAY_MAX_BYTES);
	sk_buf_putc(&buf, '{');
	for (size_t i = 0; i < count; i++)
		sk_buf_printf(&buf, i > 0 ? ",%" PRId64 : "%" PRId64, values[i]);
	sk_buf_putc(&buf, '}');
	assert(sk_buf_ok(&buf));
	return sk_buf_text(&buf);
}

struct sk_param sk_text_array(struct sk_arena *arena, const char *const *texts, size_t count)
{
	return sk_text(sk__pg_text_array(arena, texts, count));
}

struct sk_param sk_int_array(struct sk_arena *arena, const int64_t *values, size_t count)
{
	return sk_text(sk__pg_int_array(arena, values, count));
}

/* The parameters as libpq takes them. */
struct encoded {
	const char *values[PARAMETERS_MAX];
	int lengths[PARAMETERS_MAX], formats[PARAMETERS_MAX];
};

static void encode(struct sk_arena *arena, const struct sk_param *params, size_t count,
		   struct encoded *encoded)
{
	assert(count <= PARAMETERS_MAX);
	for (size_t i = 0; i < count; i++) {
		const struct sk_param *param = &params[i];
		char time[SK_RFC3339_BYTES];

		encoded->formats[i] = param->kind == SK_PARAM_BYTES;
		encoded->lengths[i] = (int)param->len;
		switch (param->kind) {
		case SK_PARAM_NULL:
			encoded->values[i] = NULL;
			break;
		case SK_PARAM_TEXT:
		case SK_PARAM_BYTES:
			encoded->values[i] = param->text;
			break;
		case SK_PARAM_INT:
			encoded->values[i] = sk_arena_printf(arena, "%" PRId64, param->number);
			break;
		case SK_PARAM_BOOL:
			encoded->values[i] = param->number != 0 ? "t" : "f";
			break;
		case SK_PARAM_TIME:
			encoded->values[i] = sk_arena_strdup(arena,
							     sk_time_format(param->number, time));
			break;
		}
	}
}

/* ---- rows ---- */

bool sk_row_is_null(const struct sk_rows *rows, int row, int column)
{
	assert(row < rows->count);
	return PQgetisnull(rows->result, row, column) != 0;
}

const char *sk_row_text(const struct sk_rows *rows, int row, int column)
{
	assert(row < rows->count);
	return PQgetvalue(rows->result, row, column);
}

const char *sk_row_text_or_null(const struct sk_rows *rows, int row, int column)
{
	return sk_row_is_null(rows, row, column) ? NULL : sk_row_text(rows, row, column);
}

int64_t sk_row_int(const struct sk_rows *rows, int row, int column)
{
	return strtoll(sk_row_text(rows, row, column), NULL, 10);
}

bool sk_row_bool(const struct sk_rows *rows, int row, int column)
{
	return sk_row_text(rows, row, column)[0] == 't';
}

int64_t sk_row_time_us(const struct sk_rows *rows, int row, int column)
{
	/* 2026-11-23 09:15:00.123456+00, in UTC as every connection is told to speak. */
	const char *text = sk_row_text(rows, row, column);
	size_t len = strlen(text);
	char copy[48];
	int64_t time_us = 0;

	if (len < 4 || len > sizeof(copy) - 4)
		return 0;
	memcpy(copy, text, len + 1);
	if (copy[len - 3] == '+' || (copy[len - 3] == '-' && len > 10))
		memcpy(copy + len, ":00", 4);
	sk_time_parse(copy, &time_us);
	return time_us;
}

const void *sk_row_bytes(const struct sk_rows *rows, int row, int column, struct sk_arena *arena,
			 size_t *len)
{
	unsigned char *decoded = PQunescapeBytea(
		(const unsigned char *)sk_row_text(rows, row, column), len);
	void *copy;

	if (decoded == NULL)
		abort();
	copy = sk_arena_memdup(arena, decoded, *len);
	PQfreemem(decoded);
	return copy;
}

/* ---- execution ---- */

enum sk_status sk__pg_status_of(const char *sqlstate)
{
	static const struct {
		const char *prefix;
		enum sk_status status;
	} table[] = {
		{ "08", SK_UNAVAILABLE },    /* connection exceptions */
		{ "53", SK_UNAVAILABLE },    /* out of connections, memory, disk */
		{ "57P", SK_UNAVAILABLE },   /* the server stops or starts */
		{ "25P03", SK_UNAVAILABLE }, /* the transaction lay idle: the server ended it */
		{ "25006", SK_UNAVAILABLE }, /* a standby: fail-over under way */
		{ "40001", SK_UNAVAILABLE }, /* contention that outlived the retries */
		{ "40P01", SK_UNAVAILABLE },
		{ "42P01", SK_UNAVAILABLE }, /* no such table: not provisioned yet */
		{ "0A000", SK_UNAVAILABLE }, /* a plan older than a migration; see is_stale */
		{ "26000", SK_UNAVAILABLE },
		{ "57014", SK_TIMEOUT },   /* statement_timeout */
		{ "55P03", SK_TIMEOUT },   /* lock_timeout */
		{ "23505", SK_CONFLICT },  /* unique */
		{ "23503", SK_INVALID },   /* foreign key */
		{ "23514", SK_INVALID },   /* check */
		{ "42501", SK_FORBIDDEN }, /* not our table */
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		if (strncmp(sqlstate, table[i].prefix, strlen(table[i].prefix)) == 0)
			return table[i].status;
	return SK_INTERNAL;
}

static void clear_result(void *result)
{
	PQclear(result);
}

/* Waits for the last result of what was sent. NULL: the deadline passed or the connection broke. */
static PGresult *await_result(PGconn *connection, int64_t end_us)
{
	PGresult *last = NULL;
	int unsent;

	while ((unsent = PQflush(connection)) == 1) {
		if (!sk__pg_wait(connection, true, end_us) || PQconsumeInput(connection) == 0)
			return NULL;
	}
	if (unsent < 0)
		return NULL;
	for (;;) {
		PGresult *next;

		while (PQisBusy(connection) != 0) {
			if (!sk__pg_wait(connection, false, end_us) ||
			    PQconsumeInput(connection) == 0) {
				PQclear(last);
				return NULL;
			}
		}
		next = PQgetResult(connection);
		if (next == NULL)
			return last;
		PQclear(last);
		last = next;
	}
}

/* No result came: the connection is of no more use. */
static enum sk_status lost(struct sk__pg_call *call)
{
	call->broken = true;
	if (sk_time_monotonic_us() >= call->end_us &&
	    PQstatus(call->slot->connection) == CONNECTION_OK)
		return sk_fail(call->context, SK_TIMEOUT, "database_timeout",
			       "the database did not answer in time");
	return sk_fail(call->context, SK_UNAVAILABLE, "database_unavailable",
		       "the connection to the database was lost");
}

static void note_in_tx(struct sk_tx *tx, const PGresult *result)
{
	const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
	const char *constraint = PQresultErrorField(result, PG_DIAG_CONSTRAINT_NAME);

	tx->failed = true;
	snprintf(tx->sqlstate, sizeof(tx->sqlstate), "%s", state != NULL ? state : "");
	snprintf(tx->constraint, sizeof(tx->constraint), "%s",
		 constraint != NULL ? constraint : "");
}

/* The status of a failed result. The server's words are for the log, not for clients. */
static enum sk_status failed(const PGresult *result, const char *statement,
			     struct sk_context *context)
{
	const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
	const char *words = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
	enum sk_status st = sk__pg_status_of(state != NULL ? state : "08000");

	if (st == SK_INTERNAL || st == SK_FORBIDDEN)
		sk_log(SK_LOG_ERROR, context, "statement %s failed: %s %s", statement,
		       state != NULL ? state : "", words != NULL ? words : "");
	switch (st) {
	case SK_CONFLICT:
		return sk_fail(context, st, "conflict", "it is there already");
	case SK_INVALID:
		return sk_fail(context, st, "constraint",
			       "a constraint of the database forbids it");
	case SK_TIMEOUT:
		return sk_fail(context, st, "database_timeout", "the database took too long");
	case SK_UNAVAILABLE:
		return sk_fail(context, st, "database_unavailable",
			       "the database cannot do it now");
	case SK_OK:
	case SK_DUPLICATE:
	case SK_MALFORMED:
	case SK_UNAUTHENTICATED:
	case SK_FORBIDDEN:
	case SK_NOT_FOUND:
	case SK_PRECONDITION:
	case SK_TOO_LARGE:
	case SK_TOO_MANY:
	case SK_NO_MEMORY:
	case SK_INTERNAL:
		break;
	}
	return sk_fail(context, SK_INTERNAL, "database_error", "a statement failed");
}

/* Whether the server knows our prepared statements no more, or plans that a migration outdated:
 * they are prepared anew on a new connection. */
static bool is_stale(const PGresult *result)
{
	const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);

	return state != NULL && (strcmp(state, "0A000") == 0 || strcmp(state, "26000") == 0);
}

/* Takes over result: rows get it, or it is freed. */
static enum sk_status finish(struct sk__pg_call *call, PGresult *result, const char *statement,
			     struct sk_rows *rows)
{
	ExecStatusType kind = PQresultStatus(result);
	enum sk_status st = SK_OK;

	if (kind != PGRES_TUPLES_OK && kind != PGRES_COMMAND_OK) {
		if (call->tx != NULL)
			note_in_tx(call->tx, result);
		st = failed(result, statement, call->context);
		if (is_stale(result)) {
			sk_log(SK_LOG_WARN, call->context,
			       "statement %s is to be prepared anew: %s", statement,
			       PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY));
			call->broken = true;
		}
	}
	if (st != SK_OK || rows == NULL) {
		PQclear(result);
		return st;
	}
	rows->result = result;
	rows->count = PQntuples(result);
	rows->affected = (int)strtol(PQcmdTuples(result), NULL, 10);
	sk_arena_defer(call->context->arena, clear_result, result);
	return SK_OK;
}

static bool is_prepared(const struct sk__pg_slot *slot, const struct sk_sql *sql)
{
	for (int i = 0; i < slot->prepared_count; i++)
		if (slot->prepared[i] == sql)
			return true;
	return false;
}

static enum sk_status prepare(struct sk__pg_call *call, const struct sk_sql *sql)
{
	struct sk__pg_slot *slot = call->slot;
	PGresult *result = NULL;
	enum sk_status st;

	if (is_prepared(slot, sql))
		return SK_OK;
	assert(slot->prepared_count < SK__PG_STATEMENTS_MAX);
	if (PQsendPrepare(slot->connection, sql->name, sql->text, 0, NULL) == 1)
		result = await_result(slot->connection, call->end_us);
	if (result == NULL)
		return lost(call);
	st = finish(call, result, sql->name, NULL);
	if (st == SK_OK)
		slot->prepared[slot->prepared_count++] = sql;
	return st;
}

static enum sk_status execute(struct sk__pg_call *call, const struct sk_sql *sql,
			      const struct encoded *encoded, size_t count, struct sk_rows *rows)
{
	PGconn *connection = call->slot->connection;
	PGresult *result = NULL;
	enum sk_status st = prepare(call, sql);

	if (st != SK_OK)
		return st;
	if (PQsendQueryPrepared(connection, sql->name, (int)count, encoded->values,
				encoded->lengths, encoded->formats, 0) == 1)
		result = await_result(connection, call->end_us);
	return result != NULL ? finish(call, result, sql->name, rows) : lost(call);
}

/* Returns false where the call's time was over before it began. */
static bool set_deadline(struct sk__pg_call *call)
{
	int64_t ms = sk__pg_call_ms(call->pg, call->context);

	if (call->end_us == 0 && ms > 0)
		call->end_us = sk_time_monotonic_us() + ms * 1000;
	return call->end_us != 0;
}

enum sk_status sk__pg_execute(struct sk__pg_call *call, const struct sk_sql *sql,
			      const struct sk_param *params, size_t count, struct sk_rows *rows)
{
	int64_t began_us = sk_time_monotonic_us();
	struct encoded encoded;
	enum sk_status st;

	if (!set_deadline(call))
		return sk__pg_too_late(call->context);
	encode(call->context->arena, params, count, &encoded);
	st = execute(call, sql, &encoded, count, rows);
	if (PQstatus(call->slot->connection) != CONNECTION_OK)
		call->broken = true;
	if (call->pg->duration != NULL) {
		sk_metric_observe_us(call->pg->duration, sk_time_monotonic_us() - began_us);
		sk_metric_add(call->pg->errors, st != SK_OK);
	}
	return st;
}

enum sk_status sk__pg_simple(struct sk__pg_call *call, const char *word)
{
	PGconn *connection = call->slot->connection;
	PGresult *result = NULL;
	enum sk_status st;

	if (!set_deadline(call))
		return sk__pg_too_late(call->context);
	if (PQsendQuery(connection, word) == 1)
		result = await_result(connection, call->end_us);
	if (result == NULL)
		return lost(call);
	st = finish(call, result, word, NULL);
	if (PQstatus(connection) != CONNECTION_OK)
		call->broken = true;
	return st;
}
