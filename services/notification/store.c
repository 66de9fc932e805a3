#include "notification.h"

#define MESSAGE_COLUMNS                                                                            \
	" id, kind, entity_id, order_id, recipient, subject, body, state, attempts,"               \
	" expires_at, last_error, version, traceparent, created_at, sent_at "

static const struct sk_sql SQL_ADD = {
	"message_add",
	"INSERT INTO message (id, kind, entity_id, order_id, recipient, subject, body, expires_at,"
	"  traceparent)"
	" VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)"
	" ON CONFLICT (kind, entity_id) DO NOTHING",
};

/* SKIP LOCKED: replicas take different rows. A row whose lease ended is due again. */
static const struct sk_sql SQL_CLAIM = {
	"message_claim",
	"UPDATE message"
	" SET state = 'sending', due_at = now() + $1 * interval '1 millisecond'"
	" WHERE id IN (SELECT id FROM message WHERE due_at <= now()"
	"  ORDER BY due_at LIMIT $2 FOR UPDATE SKIP LOCKED)"
	" RETURNING" MESSAGE_COLUMNS,
};

static const struct sk_sql SQL_END = {
	"message_end",
	"UPDATE message"
	" SET state = $2, last_error = $3, attempts = $5, version = version + 1, due_at = NULL,"
	"     sent_at = CASE WHEN $2 = 'sent' THEN now() END,"
	"     body = CASE WHEN $4 THEN '' ELSE body END"
	" WHERE id = $1 AND state = 'sending'"
	" RETURNING version",
};

static const struct sk_sql SQL_AGAIN = {
	"message_again",
	"UPDATE message"
	" SET state = 'queued', last_error = $2, attempts = $4,"
	"     due_at = now() + $3 * interval '1 millisecond'"
	" WHERE id = $1 AND state = 'sending'",
};

static const struct sk_sql SQL_LIST = {
	"message_list",
	"SELECT" MESSAGE_COLUMNS "FROM message"
	" WHERE ($1::text IS NULL OR lower(recipient) = lower($1))"
	"   AND ($2::uuid IS NULL OR order_id = $2)"
	"   AND ($3::uuid IS NULL OR id < $3)"
	" ORDER BY id DESC LIMIT $4",
};

static void read_message(const struct sk_rows *rows, int row, struct notification_message *message)
{
	*message = (struct notification_message) {
		.id = sk_row_text(rows, row, 0),
		.kind = sk_row_text(rows, row, 1),
		.entity_id = sk_row_text(rows, row, 2),
		.order_id = sk_row_text(rows, row, 3),
		.recipient = sk_row_text(rows, row, 4),
		.subject = sk_row_text(rows, row, 5),
		.body = sk_row_text(rows, row, 6),
		.state = notification_state_parse(sk_row_text(rows, row, 7)),
		.attempts = (int)sk_row_int(rows, row, 8),
		.expires_at_us = sk_row_time_us(rows, row, 9),
		.last_error = sk_row_text(rows, row, 10),
		.version = sk_row_int(rows, row, 11),
		.traceparent = sk_row_text(rows, row, 12),
		.created_at_us = sk_row_time_us(rows, row, 13),
		.sent_at_us = sk_row_time_us(rows, row, 14),
	};
}

static void read_messages(const struct sk_rows *rows, struct sk_arena *arena,
			  struct notification_messages *messages)
{
	messages->count = rows->count;
	messages->list = sk_arena_array(arena, (size_t)rows->count, sizeof(*messages->list));
	for (int i = 0; i < rows->count; i++)
		read_message(rows, i, &messages->list[i]);
}

enum sk_status notification_store_add(struct sk_tx *tx, const struct notification_message *message,
				      bool *added)
{
	struct sk_rows rows;
	enum sk_status st = sk_tx_run(
		tx, &SQL_ADD,
		SK_PARAMS(sk_text(message->id), sk_text(message->kind), sk_text(message->entity_id),
			  sk_text(*message->order_id != '\0' ? message->order_id : NULL),
			  sk_text(message->recipient), sk_text(message->subject),
			  sk_text(message->body), sk_timestamp(message->expires_at_us),
			  sk_text(message->traceparent)),
		&rows);

	*added = st == SK_OK && rows.affected == 1;
	return st;
}

enum sk_status notification_store_claim(struct sk_pg *pg, struct sk_context *context, int limit,
					struct notification_messages *claimed)
{
	struct sk_rows rows;
	enum sk_status st = sk_pg_run(pg, context, &SQL_CLAIM,
				      SK_PARAMS(sk_int(NOTIFICATION_LEASE_MS), sk_int(limit)),
				      &rows);

	if (st == SK_OK)
		read_messages(&rows, context->arena, claimed);
	return st;
}

enum sk_status notification_store_end(struct sk_tx *tx, struct notification_message *message,
				      bool *ended)
{
	struct sk_rows rows;
	enum sk_status st = sk_tx_run(
		tx, &SQL_END,
		SK_PARAMS(sk_text(message->id), sk_text(notification_state_name(message->state)),
			  sk_text(message->state == NOTIFICATION_SENT ? "" : message->last_error),
			  sk_bool(notification_kind_is_secret(message->kind)),
			  sk_int(message->attempts)),
		&rows);

	*ended = st == SK_OK && rows.count == 1;
	if (*ended)
		message->version = sk_row_int(&rows, 0, 0);
	return st;
}

enum sk_status notification_store_again(struct sk_pg *pg, struct sk_context *context,
					const struct notification_message *message,
					int64_t delay_ms)
{
	return sk_pg_run(pg, context, &SQL_AGAIN,
			 SK_PARAMS(sk_text(message->id), sk_text(message->last_error),
				   sk_int(delay_ms), sk_int(message->attempts)),
			 NULL);
}

enum sk_status notification_store_list(struct sk_pg *pg, struct sk_context *context,
				       const struct notification_filter *filter,
				       struct notification_messages *found)
{
	struct sk_rows rows;
	enum sk_status st = sk_pg_run(pg, context, &SQL_LIST,
				      SK_PARAMS(sk_text(filter->recipient),
						sk_text(filter->order_id), sk_text(filter->before),
						sk_int(filter->limit)),
				      &rows);

	if (st == SK_OK)
		read_messages(&rows, context->arena, found);
	return st;
}
