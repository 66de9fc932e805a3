/* Orders in PostgreSQL: the row that moves, and reading it whole. Shipments, refunds and
 * the price list are in store_parts.c. */
#include "order.h"

#include <string.h>

#define ORDER_COLUMNS                                                                              \
	" id, number, status, reason, account_id, email, access_token_hash, cart_token_hash,"      \
	" currency, subtotal_minor, shipping_minor, tax_minor, total_minor,"                       \
	" ship_name, ship_line1, ship_line2, ship_city, ship_postal_code, ship_country,"           \
	" payment_provider, payment_token, payment_status, payment_id,"                            \
	" refund_requested_minor, refunded_minor, stock_settled, parcel,"                          \
	" version, status_version, attempts, traceparent, created_at, updated_at,"                 \
	" greatest(0, extract(epoch FROM now() - deadline_at) * 1000)::bigint "

/* The order and its lines in one statement: one round trip, however many lines. */
static const struct sk_sql SQL_PLACE = {
	"order_place",
	"WITH placed AS ("
	" INSERT INTO customer_order (id, status, account_id, email, access_token_hash,"
	"  cart_token_hash, currency, subtotal_minor, shipping_minor, tax_minor, total_minor,"
	"  ship_name, ship_line1, ship_line2, ship_city, ship_postal_code, ship_country,"
	"  payment_provider, payment_token, traceparent, deadline_at)"
	" VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18,"
	"  $19, $20, now() + $21 * interval '1 millisecond')"
	" RETURNING id, number, created_at, updated_at),"
	" lines AS ("
	" INSERT INTO order_line (order_id, position, sku, product_id, title, quantity,"
	"  unit_price_minor, line_total_minor)"
	" SELECT placed.id, line.position, line.sku, line.product_id, line.title, line.quantity,"
	"  line.unit_price, line.total"
	" FROM placed, unnest($22::text[], $23::uuid[], $24::text[], $25::bigint[], $26::bigint[],"
	"  $27::bigint[]) WITH ORDINALITY"
	"  AS line (sku, product_id, title, quantity, unit_price, total, position))"
	" SELECT number, created_at, updated_at FROM placed",
};

/* FOR UPDATE: two events of one order follow each other; they do not race. */
static const struct sk_sql SQL_HOLD = {
	"order_hold",
	"SELECT" ORDER_COLUMNS "FROM customer_order WHERE id = $1 FOR UPDATE",
};

/* The row is held, so the condition on status and version always holds; it is there for the
 * day on which somebody forgets to hold it. The deadline starts anew with each question. */
static const struct sk_sql SQL_MOVE = {
	"order_move",
	"UPDATE customer_order"
	" SET status = $4, reason = $5, payment_status = $6, payment_id = $7,"
	"     payment_token = CASE WHEN $4 IN ('pending', 'reserved') THEN payment_token ELSE '' "
	"END,"
	"     refund_requested_minor = $8, refunded_minor = $9, stock_settled = $10, parcel = $11,"
	"     version = version + 1, updated_at = now(),"
	"     status_version = CASE WHEN status = $4 THEN status_version ELSE version + 1 END,"
	"     attempts = CASE WHEN $12::bigint < 0 THEN attempts ELSE 0 END,"
	"     deadline_at = CASE WHEN $12::bigint = 0 THEN NULL"
	"      WHEN $12::bigint < 0 THEN coalesce(deadline_at, now())"
	"      ELSE now() + $12::bigint * interval '1 millisecond' END"
	" WHERE id = $1 AND status = $2 AND version = $3"
	" RETURNING version, status_version, updated_at",
};

static const struct sk_sql SQL_HEAD = {
	"order_head",
	"SELECT account_id, access_token_hash, version FROM customer_order WHERE id = $1",
};

static const struct sk_sql SQL_READ = {
	"order_read",
	"SELECT" ORDER_COLUMNS "FROM customer_order WHERE id = $1",
};

static const struct sk_sql SQL_LIST = {
	"order_list",
	"SELECT" ORDER_COLUMNS "FROM customer_order"
	" WHERE ($1::uuid IS NULL OR account_id = $1)"
	"   AND ($2::text IS NULL OR lower(email) = lower($2))"
	"   AND ($3::text IS NULL OR status = $3)"
	"   AND ($4::uuid IS NULL OR id < $4)"
	" ORDER BY id DESC LIMIT $5",
};

static const struct sk_sql SQL_LINES = {
	"order_lines",
	"SELECT order_id, sku, product_id, title, quantity, unit_price_minor, line_total_minor"
	" FROM order_line WHERE order_id = ANY($1::uuid[]) ORDER BY order_id, position",
};

static const struct sk_sql SQL_SHIPMENTS = {
	"order_shipments",
	"SELECT order_id, shipment_id, carrier, tracking_number, status"
	" FROM order_shipment WHERE order_id = ANY($1::uuid[]) ORDER BY order_id, shipment_id",
};

/* SKIP LOCKED: replicas look at different orders, and one that moves needs no reminder. */
static const struct sk_sql SQL_HOLD_DUE = {
	"order_hold_due",
	"SELECT" ORDER_COLUMNS "FROM customer_order WHERE deadline_at <= now()"
	" ORDER BY deadline_at LIMIT $1 FOR UPDATE SKIP LOCKED",
};

static const struct sk_sql SQL_WAIT = {
	"order_wait",
	"UPDATE customer_order SET attempts = $2, deadline_at ="
	"  CASE WHEN $3::bigint > 0 THEN now() + $3::bigint * interval '1 millisecond' END"
	" WHERE id = $1",
};

/* ---- reading ---- */

static struct order_address read_address(const struct sk_rows *rows, int row, int column)
{
	return (struct order_address) {
		.name = sk_row_text(rows, row, column),
		.line1 = sk_row_text(rows, row, column + 1),
		.line2 = sk_row_text(rows, row, column + 2),
		.city = sk_row_text(rows, row, column + 3),
		.postal_code = sk_row_text(rows, row, column + 4),
		.country = sk_row_text(rows, row, column + 5),
	};
}

static void read_order(const struct sk_rows *rows, int row, struct order *order)
{
	*order = (struct order) {
		.id = sk_row_text(rows, row, 0),
		.number = sk_row_text(rows, row, 1),
		.status = order_status_parse(sk_row_text(rows, row, 2)),
		.reason = sk_row_text(rows, row, 3),
		.account_id = sk_row_text(rows, row, 4),
		.email = sk_row_text(rows, row, 5),
		.access_hash = sk_row_text(rows, row, 6),
		.cart_hash = sk_row_text(rows, row, 7),
		.currency = sk_row_text(rows, row, 8),
		.subtotal_minor = sk_row_int(rows, row, 9),
		.shipping_minor = sk_row_int(rows, row, 10),
		.tax_minor = sk_row_int(rows, row, 11),
		.total_minor = sk_row_int(rows, row, 12),
		.address = read_address(rows, row, 13),
		.provider = sk_row_text(rows, row, 19),
		.token = sk_row_text(rows, row, 20),
		.payment = order_payment_parse(sk_row_text(rows, row, 21)),
		.payment_id = sk_row_text(rows, row, 22),
		.refund_requested_minor = sk_row_int(rows, row, 23),
		.refunded_minor = sk_row_int(rows, row, 24),
		.stock_settled = sk_row_bool(rows, row, 25),
		.parcel = order_parcel_parse(sk_row_text(rows, row, 26)),
		.version = sk_row_int(rows, row, 27),
		.status_version = sk_row_int(rows, row, 28),
		.attempts = (int)sk_row_int(rows, row, 29),
		.traceparent = sk_row_text(rows, row, 30),
		.created_us = sk_row_time_us(rows, row, 31),
		.updated_us = sk_row_time_us(rows, row, 32),
		.overdue_ms = sk_row_int(rows, row, 33),
	};
}

static void read_orders(const struct sk_rows *rows, struct sk_arena *arena, struct orders *orders)
{
	orders->count = rows->count;
	orders->list = sk_arena_array(arena, (size_t)rows->count + 1, sizeof(*orders->list));
	for (int i = 0; i < rows->count; i++)
		read_order(rows, i, &orders->list[i]);
}

static enum sk_status not_found(struct sk_context *context)
{
	return sk_fail(context, SK_NOT_FOUND, "order_not_found", "there is no such order");
}

/* How many rows from *row on are of this order; *row then stands behind them. */
static int rows_of(const struct sk_rows *rows, const struct order *order, int *row)
{
	int first = *row;

	while (*row < rows->count && strcmp(sk_row_text(rows, *row, 0), order->id) == 0)
		(*row)++;
	return *row - first;
}

/* The first row of this order: the rows are in groups by order, the groups in any order. */
static int first_row_of(const struct sk_rows *rows, const struct order *order)
{
	int row = 0;

	while (row < rows->count && strcmp(sk_row_text(rows, row, 0), order->id) != 0)
		row++;
	return row;
}

static void take_lines(const struct sk_rows *rows, struct sk_arena *arena, struct order *order)
{
	int row = first_row_of(rows, order), first = row;

	order->lines_count = rows_of(rows, order, &row);
	order->lines = sk_arena_array(arena, (size_t)order->lines_count + 1, sizeof(*order->lines));
	for (int i = 0; i < order->lines_count; i++)
		order->lines[i] = (struct order_line) {
			.sku = sk_row_text(rows, first + i, 1),
			.product_id = sk_row_text(rows, first + i, 2),
			.title = sk_row_text(rows, first + i, 3),
			.quantity = sk_row_int(rows, first + i, 4),
			.unit_price_minor = sk_row_int(rows, first + i, 5),
			.line_total_minor = sk_row_int(rows, first + i, 6),
		};
}

static void take_shipments(const struct sk_rows *rows, struct sk_arena *arena, struct order *order)
{
	int row = first_row_of(rows, order), first = row;

	order->shipments_count = rows_of(rows, order, &row);
	order->shipments = sk_arena_array(arena, (size_t)order->shipments_count + 1,
					  sizeof(*order->shipments));
	for (int i = 0; i < order->shipments_count; i++)
		order->shipments[i] = (struct order_shipment) {
			.id = sk_row_text(rows, first + i, 1),
			.carrier = sk_row_text(rows, first + i, 2),
			.tracking_number = sk_row_text(rows, first + i, 3),
			.status = sk_row_text(rows, first + i, 4),
		};
}

enum sk_status order_store_details(struct sk_tx *tx, struct order *list, int count)
{
	struct sk_arena *arena = sk_tx_arena(tx);
	const char **ids = sk_arena_array(arena, (size_t)count + 1, sizeof(*ids));
	struct sk_rows lines, shipments;
	enum sk_status st;

	for (int i = 0; i < count; i++)
		ids[i] = list[i].id;
	st = sk_tx_run(tx, &SQL_LINES, SK_PARAMS(sk_text_array(arena, ids, (size_t)count)), &lines);
	if (st == SK_OK)
		st = sk_tx_run(tx, &SQL_SHIPMENTS,
			       SK_PARAMS(sk_text_array(arena, ids, (size_t)count)), &shipments);
	for (int i = 0; i < count && st == SK_OK; i++) {
		take_lines(&lines, arena, &list[i]);
		take_shipments(&shipments, arena, &list[i]);
	}
	return st;
}

enum sk_status order_store_head(struct sk_pg *pg, struct sk_context *context, const char *id,
				struct order_head *head)
{
	struct sk_rows rows;
	enum sk_status st = sk_pg_run(pg, context, &SQL_HEAD, SK_PARAMS(sk_text(id)), &rows);

	if (st != SK_OK)
		return st;
	if (rows.count == 0)
		return not_found(context);
	*head = (struct order_head) {
		.account_id = sk_row_text(&rows, 0, 0),
		.access_hash = sk_row_text(&rows, 0, 1),
		.version = sk_row_int(&rows, 0, 2),
	};
	return SK_OK;
}

/* One reading of orders: their rows first, then what belongs to them. A change between the
 * two shows a shipment a moment before its version, never an old one after it. */
struct reading {
	const struct sk_sql *sql;
	const struct order_filter *filter; /* NULL: the one order of id */
	const char *id;
	struct orders orders;
};

static enum sk_status read_whole(struct sk_tx *tx, void *arg)
{
	struct reading *reading = arg;
	const struct order_filter *filter = reading->filter;
	struct sk_rows rows;
	enum sk_status st;

	if (filter == NULL)
		st = sk_tx_run(tx, &SQL_READ, SK_PARAMS(sk_text(reading->id)), &rows);
	else
		st = sk_tx_run(tx, &SQL_LIST,
			       SK_PARAMS(sk_text(filter->account_id), sk_text(filter->email),
					 sk_text(filter->status), sk_text(filter->before),
					 sk_int(filter->limit)),
			       &rows);
	if (st != SK_OK)
		return st;
	read_orders(&rows, sk_tx_arena(tx), &reading->orders);
	if (reading->orders.count == 0)
		return SK_OK;
	return order_store_details(tx, reading->orders.list, reading->orders.count);
}

enum sk_status order_store_read(struct sk_pg *pg, struct sk_context *context, const char *id,
				struct order *order)
{
	struct reading reading = { .id = id };
	enum sk_status st = sk_pg_transact(pg, context, read_whole, &reading);

	if (st == SK_OK && reading.orders.count == 0)
		st = not_found(context);
	if (st == SK_OK)
		*order = reading.orders.list[0];
	return st;
}

enum sk_status order_store_list(struct sk_pg *pg, struct sk_context *context,
				const struct order_filter *filter, struct orders *orders)
{
	struct reading reading = { .filter = filter };
	enum sk_status st = sk_pg_transact(pg, context, read_whole, &reading);

	if (st == SK_OK)
		*orders = reading.orders;
	return st;
}

enum sk_status order_store_hold(struct sk_tx *tx, const char *id, struct order *order)
{
	struct sk_rows rows;
	enum sk_status st = sk_tx_run(tx, &SQL_HOLD, SK_PARAMS(sk_text(id)), &rows);

	if (st != SK_OK)
		return st;
	if (rows.count == 0)
		return not_found(sk_tx_context(tx));
	read_order(&rows, 0, order);
	return SK_OK;
}

enum sk_status order_store_hold_due(struct sk_tx *tx, struct orders *due)
{
	struct sk_rows rows;
	enum sk_status st = sk_tx_run(tx, &SQL_HOLD_DUE, SK_PARAMS(sk_int(ORDER_DUE_MAX)), &rows);

	if (st == SK_OK)
		read_orders(&rows, sk_tx_arena(tx), due);
	return st;
}

/* ---- writing ---- */

static struct sk_param id_or_null(const char *id)
{
	return sk_text(*id != '\0' ? id : NULL);
}

/* The lines as the arrays of SQL_PLACE. */
struct columns {
	const char **skus, **product_ids, **titles;
	int64_t *quantities, *prices, *totals;
};

static struct columns columns_of(struct sk_arena *arena, const struct order *order)
{
	size_t count = (size_t)order->lines_count;
	struct columns columns = {
		.skus = sk_arena_array(arena, count, sizeof(char *)),
		.product_ids = sk_arena_array(arena, count, sizeof(char *)),
		.titles = sk_arena_array(arena, count, sizeof(char *)),
		.quantities = sk_arena_array(arena, count, sizeof(int64_t)),
		.prices = sk_arena_array(arena, count, sizeof(int64_t)),
		.totals = sk_arena_array(arena, count, sizeof(int64_t)),
	};

	for (size_t i = 0; i < count; i++) {
		columns.skus[i] = order->lines[i].sku;
		columns.product_ids[i] = order->lines[i].product_id;
		columns.titles[i] = order->lines[i].title;
		columns.quantities[i] = order->lines[i].quantity;
		columns.prices[i] = order->lines[i].unit_price_minor;
		columns.totals[i] = order->lines[i].line_total_minor;
	}
	return columns;
}

enum sk_status order_place(struct sk_tx *tx, struct order *order, int64_t patience_ms)
{
	struct sk_arena *arena = sk_tx_arena(tx);
	const struct order_address *to = &order->address;
	size_t count = (size_t)order->lines_count;
	struct columns lines = columns_of(arena, order);
	struct sk_rows rows;
	enum sk_status st = sk_tx_run(
		tx, &SQL_PLACE,
		SK_PARAMS(sk_text(order->id), sk_text(order_status_name(order->status)),
			  id_or_null(order->account_id), sk_text(order->email),
			  sk_text(order->access_hash), sk_text(order->cart_hash),
			  sk_text(order->currency), sk_int(order->subtotal_minor),
			  sk_int(order->shipping_minor), sk_int(order->tax_minor),
			  sk_int(order->total_minor), sk_text(to->name), sk_text(to->line1),
			  sk_text(to->line2), sk_text(to->city), sk_text(to->postal_code),
			  sk_text(to->country), sk_text(order->provider), sk_text(order->token),
			  sk_text(order->traceparent), sk_int(patience_ms),
			  sk_text_array(arena, lines.skus, count),
			  sk_text_array(arena, lines.product_ids, count),
			  sk_text_array(arena, lines.titles, count),
			  sk_int_array(arena, lines.quantities, count),
			  sk_int_array(arena, lines.prices, count),
			  sk_int_array(arena, lines.totals, count)),
		&rows);

	if (st != SK_OK)
		return st;
	order->number = sk_row_text(&rows, 0, 0);
	order->created_us = sk_row_time_us(&rows, 0, 1);
	order->updated_us = sk_row_time_us(&rows, 0, 2);
	return SK_OK;
}

enum sk_status order_store_move(struct sk_tx *tx, const struct order *was, struct order *order,
				int64_t patience_ms)
{
	struct sk_rows rows;
	enum sk_status st = sk_tx_run(
		tx, &SQL_MOVE,
		SK_PARAMS(sk_text(was->id), sk_text(order_status_name(was->status)),
			  sk_int(was->version), sk_text(order_status_name(order->status)),
			  sk_text(order->reason), sk_text(order_payment_name(order->payment)),
			  id_or_null(order->payment_id), sk_int(order->refund_requested_minor),
			  sk_int(order->refunded_minor), sk_bool(order->stock_settled),
			  sk_text(order_parcel_name(order->parcel)), sk_int(patience_ms)),
		&rows);

	if (st != SK_OK)
		return st;
	if (rows.count == 0)
		return sk_fail(sk_tx_context(tx), SK_INTERNAL, "order_moved",
			       "order %s was moved by somebody who did not hold it", was->number);
	order->version = sk_row_int(&rows, 0, 0);
	order->status_version = sk_row_int(&rows, 0, 1);
	order->updated_us = sk_row_time_us(&rows, 0, 2);
	return SK_OK;
}

enum sk_status order_store_wait(struct sk_tx *tx, const char *id, int attempts, int64_t patience_ms)
{
	return sk_tx_run(tx, &SQL_WAIT,
			 SK_PARAMS(sk_text(id), sk_int(attempts), sk_int(patience_ms)), NULL);
}
