/* The SQL of webhook endpoints and of what is delivered to them. */
#include "notification.h"

/* The count is not locked: two at once may make one more than the limit, which is there
 * to bound the work of an event and not to be exact. */
static const struct sk_sql SQL_ADD_ENDPOINT = {
	"endpoint_add",
	"INSERT INTO webhook_endpoint (id, url, secret, events)"
	" SELECT $1::uuid, $2::text, $3::text, $4::text[]"
	"  WHERE (SELECT count(*) FROM webhook_endpoint) < $5::bigint"
	" RETURNING created_at",
};

/* One row for each event that an endpoint wants, its first row first. */
static const struct sk_sql SQL_LIST_ENDPOINTS = {
	"endpoint_list",
	"SELECT e.id, e.url, e.created_at, cardinality(e.events), event.name"
	" FROM (SELECT id, url, created_at, events FROM webhook_endpoint"
	"   WHERE ($1::uuid IS NULL OR id < $1) ORDER BY id DESC LIMIT $2) e"
	" CROSS JOIN LATERAL unnest(e.events) WITH ORDINALITY AS event (name, place)"
	" ORDER BY e.id DESC, event.place",
};

static const struct sk_sql SQL_DROP_ENDPOINT = {
	"endpoint_drop",
	"DELETE FROM webhook_endpoint WHERE id = $1",
};

/* One row for each endpoint whose patterns have one of the event's keys. */
static const struct sk_sql SQL_QUEUE = {
	"delivery_queue",
	"INSERT INTO webhook_delivery (id, endpoint_id, message_id, type, body, traceparent)"
	" SELECT gen_random_uuid(), id, $1, $2, $3, $4 FROM webhook_endpoint"
	"  WHERE events && $5::text[]"
	" ON CONFLICT (endpoint_id, message_id) DO NOTHING",
};

static const struct sk_sql SQL_CLAIM = {
	"delivery_claim",
	"UPDATE webhook_delivery d"
	" SET state = 'sending', due_at = now() + $1 * interval '1 millisecond'"
	" FROM webhook_endpoint e"
	" WHERE e.id = d.endpoint_id AND d.id IN (SELECT id FROM webhook_delivery"
	"  WHERE due_at <= now() ORDER BY due_at LIMIT $2 FOR UPDATE SKIP LOCKED)"
	" RETURNING d.id, e.url, e.secret, d.message_id, d.body, d.traceparent, d.attempts",
};

static const struct sk_sql SQL_ATTEMPTED = {
	"delivery_attempted",
	"UPDATE webhook_delivery"
	" SET state = $2, attempts = attempts + 1, last_status = nullif($3::int, 0),"
	"     last_error = $4, due_at = now() + $5 * interval '1 millisecond'"
	" WHERE id = $1",
};

/* Messages stay: a row is what keeps a mail from being sent twice. */
static const struct sk_sql SQL_PRUNE = {
	"delivery_prune",
	"DELETE FROM webhook_delivery"
	" WHERE due_at IS NULL AND created_at < now() - interval '30 days'",
};

enum sk_status notification_store_add_endpoint(struct sk_tx *tx,
					       struct notification_endpoint *endpoint)
{
	struct sk_rows rows;
	enum sk_status st = sk_tx_run(
		tx, &SQL_ADD_ENDPOINT,
		SK_PARAMS(sk_text(endpoint->id), sk_text(endpoint->url), sk_text(endpoint->secret),
			  sk_text_array(sk_tx_arena(tx), endpoint->events, endpoint->events_count),
			  sk_int(NOTIFICATION_ENDPOINTS_MAX)),
		&rows);

	if (st != SK_OK)
		return st;
	if (rows.count == 0)
		return sk_fail(sk_tx_context(tx), SK_CONFLICT, "too_many_endpoints",
			       "there are %d endpoints already", NOTIFICATION_ENDPOINTS_MAX);
	endpoint->created_at_us = sk_row_time_us(&rows, 0, 0);
	return SK_OK;
}

/* Reads one endpoint from its rows, which begin at row. Returns where the next one begins. */
static int read_endpoint(const struct sk_rows *rows, int row, struct sk_arena *arena,
			 struct notification_endpoint *endpoint)
{
	int count = (int)sk_row_int(rows, row, 3);

	*endpoint = (struct notification_endpoint) {
		.id = sk_row_text(rows, row, 0),
		.url = sk_row_text(rows, row, 1),
		.secret = "",
		.events = sk_arena_array(arena, (size_t)count, sizeof(*endpoint->events)),
		.events_count = (size_t)count,
		.created_at_us = sk_row_time_us(rows, row, 2),
	};
	for (int i = 0; i < count; i++)
		endpoint->events[i] = sk_row_text(rows, row + i, 4);
	return row + count;
}

enum sk_status notification_store_list_endpoints(struct sk_pg *pg, struct sk_context *context,
						 const char *before, int limit,
						 struct notification_endpoints *found)
{
	struct sk_rows rows;
	enum sk_status st = sk_pg_run(pg, context, &SQL_LIST_ENDPOINTS,
				      SK_PARAMS(sk_text(before), sk_int(limit)), &rows);

	if (st != SK_OK)
		return st;
	found->count = 0;
	found->list = sk_arena_array(context->arena, (size_t)limit, sizeof(*found->list));
	for (int row = 0; row < rows.count && found->count < limit; found->count++)
		row = read_endpoint(&rows, row, context->arena, &found->list[found->count]);
	return SK_OK;
}

enum sk_status notification_store_drop_endpoint(struct sk_tx *tx, const char *id)
{
	struct sk_rows rows;
	enum sk_status st = sk_tx_run(tx, &SQL_DROP_ENDPOINT, SK_PARAMS(sk_text(id)), &rows);

	if (st == SK_OK && rows.affected == 0)
		st = sk_fail(sk_tx_context(tx), SK_NOT_FOUND, "endpoint_not_found",
			     "there is no such endpoint");
	return st;
}

enum sk_status notification_store_queue(struct sk_tx *tx, const struct notification_hook *hook,
					int *queued)
{
	struct sk_rows rows;
	enum sk_status st = sk_tx_run(
		tx, &SQL_QUEUE,
		SK_PARAMS(sk_text(hook->message_id), sk_text(hook->type), sk_text(hook->body),
			  sk_text(hook->traceparent),
			  sk_text_array(sk_tx_arena(tx), hook->keys,
					sizeof(hook->keys) / sizeof(hook->keys[0]))),
		&rows);

	*queued = st == SK_OK ? rows.affected : 0;
	return st;
}

enum sk_status notification_store_claim_deliveries(struct sk_pg *pg, struct sk_context *context,
						   int limit,
						   struct notification_deliveries *claimed)
{
	struct sk_rows rows;
	enum sk_status st = sk_pg_run(pg, context, &SQL_CLAIM,
				      SK_PARAMS(sk_int(NOTIFICATION_LEASE_MS), sk_int(limit)),
				      &rows);

	if (st != SK_OK)
		return st;
	claimed->count = rows.count;
	claimed->list = sk_arena_array(context->arena, (size_t)rows.count, sizeof(*claimed->list));
	for (int i = 0; i < rows.count; i++)
		claimed->list[i] = (struct notification_delivery) {
			.id = sk_row_text(&rows, i, 0),
			.url = sk_row_text(&rows, i, 1),
			.secret = sk_row_text(&rows, i, 2),
			.message_id = sk_row_text(&rows, i, 3),
			.body = sk_row_text(&rows, i, 4),
			.traceparent = sk_row_text(&rows, i, 5),
			.attempts = (int)sk_row_int(&rows, i, 6),
		};
	return SK_OK;
}

static const char *delivery_state(enum notification_fate fate)
{
	switch (fate) {
	case NOTIFICATION_DONE:
		return "delivered";
	case NOTIFICATION_AGAIN:
		return "queued";
	case NOTIFICATION_GIVE_UP:
		break;
	}
	return "failed";
}

enum sk_status notification_store_attempted(struct sk_pg *pg, struct sk_context *context,
					    const char *id,
					    const struct notification_attempt *attempt)
{
	return sk_pg_run(pg, context, &SQL_ATTEMPTED,
			 SK_PARAMS(sk_text(id), sk_text(delivery_state(attempt->fate)),
				   sk_int(attempt->http_status), sk_text(attempt->error),
				   attempt->fate == NOTIFICATION_AGAIN ? sk_int(attempt->delay_ms)
								       : sk_null()),
			 NULL);
}

enum sk_status notification_store_prune(struct sk_pg *pg, struct sk_context *context)
{
	return sk_pg_run(pg, context, &SQL_PRUNE, SK_NO_PARAMS, NULL);
}
