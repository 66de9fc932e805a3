#include "shipping.h"

#define SHIPMENT_COLUMNS                                                                           \
	" id, order_id, number, account_id, carrier, tracking_number, state, version, name,"       \
	" line1, line2, city, postal_code, country, traceparent, created_at, updated_at,"          \
	" shipped_at, delivered_at "

/* Two at once for one order: the second waits for the first and gets no row. */
static const struct sk_sql SQL_ADD = {
	"shipment_add",
	"INSERT INTO shipment (id, order_id, number, account_id, carrier, tracking_number, state,"
	"  name, line1, line2, city, postal_code, country, label, traceparent, advance_at)"
	" VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15,"
	"  now() + $16 * interval '1 millisecond')"
	" ON CONFLICT (order_id) DO NOTHING",
};

static const struct sk_sql SQL_HOLD_OF_ORDER = {
	"shipment_hold_of_order",
	"SELECT" SHIPMENT_COLUMNS "FROM shipment WHERE order_id = $1 FOR UPDATE",
};

static const struct sk_sql SQL_HOLD_TRACKED = {
	"shipment_hold_tracked",
	"SELECT" SHIPMENT_COLUMNS "FROM shipment WHERE carrier = $1 AND tracking_number = $2"
	" FOR UPDATE",
};

static const struct sk_sql SQL_MOVE = {
	"shipment_move",
	"UPDATE shipment"
	" SET state = $2, version = version + 1, updated_at = now(),"
	"     shipped_at = CASE WHEN $2 = 'shipped' THEN now() ELSE shipped_at END,"
	"     delivered_at = CASE WHEN $2 = 'delivered' THEN now() ELSE delivered_at END,"
	"     advance_at = CASE WHEN $2 = 'shipped' THEN now() + $3 * interval '1 millisecond' END"
	" WHERE id = $1"
	" RETURNING version, updated_at",
};

static const struct sk_sql SQL_FIND = {
	"shipment_find",
	"SELECT" SHIPMENT_COLUMNS "FROM shipment WHERE id = $1",
};

static const struct sk_sql SQL_LABEL = {
	"shipment_label",
	"SELECT label FROM shipment WHERE id = $1 AND label IS NOT NULL AND state <> 'voided'",
};

static const struct sk_sql SQL_SEE_WEBHOOK = {
	"webhook_see",
	"INSERT INTO webhook_seen (carrier, webhook_id, said) VALUES ($1, $2, $3)"
	" ON CONFLICT DO NOTHING",
};

/* '' is of an earlier release, which did not note it. */
static const struct sk_sql SQL_SAID_BEFORE = {
	"webhook_said",
	"SELECT said IN ($3, '') FROM webhook_seen WHERE carrier = $1 AND webhook_id = $2",
};

/* Far longer than any carrier repeats a webhook; the table of states would ignore it even
 * then. */
static const struct sk_sql SQL_PRUNE = {
	"webhook_prune",
	"DELETE FROM webhook_seen WHERE seen_at < now() - interval '90 days'",
};

/* SKIP LOCKED: replicas take different rows, and a held one is just being moved. */
static const struct sk_sql SQL_CLAIM = {
	"shipment_claim",
	"UPDATE shipment SET advance_at = now() + $1 * interval '1 millisecond'"
	" WHERE id IN (SELECT id FROM shipment"
	"  WHERE advance_at <= now() AND carrier = 'test'"
	"   AND state IN ('label_created', 'shipped')"
	"  ORDER BY advance_at LIMIT $2 FOR UPDATE SKIP LOCKED)"
	" RETURNING" SHIPMENT_COLUMNS,
};

static void read_shipment(const struct sk_rows *rows, int row, struct shipment *shipment)
{
	*shipment = (struct shipment) {
		.id = sk_row_text(rows, row, 0),
		.order_id = sk_row_text(rows, row, 1),
		.number = sk_row_text(rows, row, 2),
		.account_id = sk_row_text(rows, row, 3),
		.carrier = sk_row_text(rows, row, 4),
		.tracking_number = sk_row_text(rows, row, 5),
		.state = shipping_state_parse(sk_row_text(rows, row, 6)),
		.version = sk_row_int(rows, row, 7),
		.address = {
			.name = sk_row_text(rows, row, 8),
			.line1 = sk_row_text(rows, row, 9),
			.line2 = sk_row_text(rows, row, 10),
			.city = sk_row_text(rows, row, 11),
			.postal_code = sk_row_text(rows, row, 12),
			.country = sk_row_text(rows, row, 13),
		},
		.traceparent = sk_row_text(rows, row, 14),
		.created_at_us = sk_row_time_us(rows, row, 15),
		.updated_at_us = sk_row_time_us(rows, row, 16),
		.shipped_at_us = sk_row_time_us(rows, row, 17),
		.delivered_at_us = sk_row_time_us(rows, row, 18),
	};
}

static enum sk_status one_shipment(const struct sk_rows *rows, struct sk_context *context,
				   struct shipment *shipment)
{
	if (rows->count == 0)
		return sk_fail(context, SK_NOT_FOUND, "shipment_not_found",
			       "there is no such shipment");
	read_shipment(rows, 0, shipment);
	return SK_OK;
}

static struct sk_param text_or_null(const char *text)
{
	return sk_text(*text != '\0' ? text : NULL);
}

static struct sk_param delay_or_null(int64_t ms)
{
	return ms > 0 ? sk_int(ms) : sk_null();
}

enum sk_status shipping_store_add(struct sk_tx *tx, const struct shipment *shipment,
				  const struct shipping_label *label, int64_t advance_ms,
				  bool *added)
{
	const struct shipping_address *address = &shipment->address;
	struct sk_rows rows;
	enum sk_status st = sk_tx_run(
		tx, &SQL_ADD,
		SK_PARAMS(sk_text(shipment->id), sk_text(shipment->order_id),
			  sk_text(shipment->number), text_or_null(shipment->account_id),
			  sk_text(shipment->carrier), text_or_null(shipment->tracking_number),
			  sk_text(shipping_state_name(shipment->state)), sk_text(address->name),
			  sk_text(address->line1), sk_text(address->line2), sk_text(address->city),
			  sk_text(address->postal_code), sk_text(address->country),
			  label != NULL ? sk_bytes(label->pdf, label->len) : sk_null(),
			  sk_text(shipment->traceparent), delay_or_null(advance_ms)),
		&rows);

	*added = st == SK_OK && rows.affected == 1;
	return st;
}

enum sk_status shipping_store_hold_of_order(struct sk_tx *tx, const char *order_id,
					    struct shipment *shipment)
{
	struct sk_rows rows;
	enum sk_status st = sk_tx_run(tx, &SQL_HOLD_OF_ORDER, SK_PARAMS(sk_text(order_id)), &rows);

	return st == SK_OK ? one_shipment(&rows, sk_tx_context(tx), shipment) : st;
}

enum sk_status shipping_store_hold_tracked(struct sk_tx *tx, const char *carrier,
					   const char *tracking_number, struct shipment *shipment)
{
	struct sk_rows rows;
	enum sk_status st = sk_tx_run(tx, &SQL_HOLD_TRACKED,
				      SK_PARAMS(sk_text(carrier), sk_text(tracking_number)), &rows);

	return st == SK_OK ? one_shipment(&rows, sk_tx_context(tx), shipment) : st;
}

enum sk_status shipping_store_move(struct sk_tx *tx, struct shipment *shipment, int64_t advance_ms)
{
	struct sk_rows rows;
	enum sk_status st = sk_tx_run(tx, &SQL_MOVE,
				      SK_PARAMS(sk_text(shipment->id),
						sk_text(shipping_state_name(shipment->state)),
						delay_or_null(advance_ms)),
				      &rows);

	if (st != SK_OK)
		return st;
	shipment->version = sk_row_int(&rows, 0, 0);
	shipment->updated_at_us = sk_row_time_us(&rows, 0, 1);
	return SK_OK;
}

enum sk_status shipping_store_find(struct sk_pg *pg, struct sk_context *context, const char *id,
				   struct shipment *shipment)
{
	struct sk_rows rows;
	enum sk_status st = sk_pg_run(pg, context, &SQL_FIND, SK_PARAMS(sk_text(id)), &rows);

	return st == SK_OK ? one_shipment(&rows, context, shipment) : st;
}

enum sk_status shipping_store_label(struct sk_pg *pg, struct sk_context *context, const char *id,
				    struct shipping_label *label)
{
	struct sk_rows rows;
	enum sk_status st = sk_pg_run(pg, context, &SQL_LABEL, SK_PARAMS(sk_text(id)), &rows);

	if (st != SK_OK)
		return st;
	if (rows.count == 0)
		return sk_fail(context, SK_NOT_FOUND, "label_not_found",
			       "the shipment has no label that may be used");
	label->pdf = sk_row_bytes(&rows, 0, 0, context->arena, &label->len);
	return SK_OK;
}

enum sk_status shipping_store_see_webhook(struct sk_tx *tx, const struct shipping_notice *notice,
					  bool *fresh)
{
	struct sk_param carrier = sk_text(notice->carrier), id = sk_text(notice->webhook_id);
	const char *word = notice->event == SHIPPING_PARCEL_DELIVERED ? "delivered" : "shipped";
	struct sk_param said = sk_text(
		sk_arena_printf(sk_tx_arena(tx), "%s %s", word, notice->tracking_number));
	struct sk_rows rows;
	enum sk_status st = sk_tx_run(tx, &SQL_SEE_WEBHOOK, SK_PARAMS(carrier, id, said), &rows);

	*fresh = st == SK_OK && rows.affected == 1;
	if (st != SK_OK || *fresh)
		return st;
	st = sk_tx_run(tx, &SQL_SAID_BEFORE, SK_PARAMS(carrier, id, said), &rows);
	if (st == SK_OK && (rows.count == 0 || !sk_row_bool(&rows, 0, 0)))
		return sk_fail(sk_tx_context(tx), SK_CONFLICT, "webhook_id_reused",
			       "webhook %s told something else before", notice->webhook_id);
	return st;
}

enum sk_status shipping_store_prune(struct sk_pg *pg, struct sk_context *context)
{
	return sk_pg_run(pg, context, &SQL_PRUNE, SK_NO_PARAMS, NULL);
}

enum sk_status shipping_store_claim(struct sk_pg *pg, struct sk_context *context, int limit,
				    int64_t lease_ms, struct shipments *claimed)
{
	struct sk_rows rows;
	enum sk_status st = sk_pg_run(pg, context, &SQL_CLAIM,
				      SK_PARAMS(sk_int(lease_ms), sk_int(limit)), &rows);

	if (st != SK_OK)
		return st;
	claimed->count = rows.count;
	claimed->list = sk_arena_array(context->arena, (size_t)rows.count, sizeof(*claimed->list));
	for (int i = 0; i < rows.count; i++)
		read_shipment(&rows, i, &claimed->list[i]);
	return SK_OK;
}
