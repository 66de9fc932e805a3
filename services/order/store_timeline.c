/* The timelines of orders in PostgreSQL. */
#include "order.h"

static const struct sk_sql SQL_ADD = {
	"timeline_add",
	"INSERT INTO order_timeline (order_id, version, event, status, told, reason, carrier,"
	"  tracking_number, amount_minor)"
	" VALUES ($1, $2, $3, $4, $5, $6, $7, $8, nullif($9::bigint, 0))",
};

/* Versions are given under the order's lock, and committed in their order: after what was
 * read nothing older appears. */
static const struct sk_sql SQL_READ = {
	"timeline_read",
	"SELECT step.version, step.at, step.event, step.status, step.told, step.reason,"
	"  step.carrier, step.tracking_number, step.amount_minor, placed.currency"
	" FROM order_timeline AS step JOIN customer_order AS placed ON placed.id = step.order_id"
	" WHERE step.order_id = $1 AND step.version > $2"
	" ORDER BY step.version LIMIT $3",
};

enum sk_status order_store_add_moment(struct sk_tx *tx, const char *order_id,
				      const struct order_moment *moment)
{
	return sk_tx_run(tx, &SQL_ADD,
			 SK_PARAMS(sk_text(order_id), sk_int(moment->version),
				   sk_text(moment->event), sk_text(moment->status),
				   sk_text(moment->told), sk_text(moment->reason),
				   sk_text(moment->carrier), sk_text(moment->tracking_number),
				   sk_int(moment->amount_minor)),
			 NULL);
}

static struct order_moment read_moment(const struct sk_rows *rows, int row)
{
	return (struct order_moment) {
		.version = sk_row_int(rows, row, 0),
		.at_us = sk_row_time_us(rows, row, 1),
		.event = sk_row_text(rows, row, 2),
		.status = sk_row_text(rows, row, 3),
		.told = sk_row_text(rows, row, 4),
		.reason = sk_row_text(rows, row, 5),
		.carrier = sk_row_text(rows, row, 6),
		.tracking_number = sk_row_text(rows, row, 7),
		.amount_minor = sk_row_int(rows, row, 8),
		.currency = sk_row_text(rows, row, 9),
	};
}

enum sk_status order_store_moments(struct sk_pg *pg, struct sk_context *context,
				   const struct order_moments_wanted *wanted,
				   struct order_moments *moments)
{
	struct sk_rows rows;
	enum sk_status st = sk_pg_run(
		pg, context, &SQL_READ,
		SK_PARAMS(sk_text(wanted->order_id), sk_int(wanted->after), sk_int(wanted->limit)),
		&rows);

	if (st != SK_OK)
		return st;
	moments->count = rows.count;
	moments->list = sk_arena_array(context->arena, (size_t)rows.count + 1,
				       sizeof(*moments->list));
	for (int i = 0; i < rows.count; i++)
		moments->list[i] = read_moment(&rows, i);
	return SK_OK;
}
