#include "inventory.h"

/* One transaction at a time changes the stock of several SKUs.
 *
 * Locking an order's rows sorted by SKU (SQL_HOLD) keeps two orders from waiting for each
 * other. It does not suffice here, because a consumer handles up to 64 messages in a
 * transaction: order 1 may hold A and come to B, while another consumer's batch holds B and
 * comes to A. PostgreSQL would notice after a second and roll one whole batch back, again
 * and again on a busy day. So whoever changes stock for orders takes this turn first; a
 * transaction is a few milliseconds long, and popular rows would make them wait anyway.
 * Staff's changes touch one row, can be part of no circle, and need no turn. */
static const struct sk_sql SQL_TAKE_TURN = {
	"stock_turn",
	"SELECT pg_advisory_xact_lock(hashtext('souk inventory'), hashtext('stock'))",
};

static const struct sk_sql SQL_FIND = {
	"reservation_find",
	"SELECT reservation.state, reservation.version, line.sku, line.quantity, line.available"
	" FROM reservation LEFT JOIN reservation_line line USING (order_id)"
	" WHERE reservation.order_id = $1 ORDER BY line.sku COLLATE \"C\"",
};

static const struct sk_sql SQL_ADD = {
	"reservation_add",
	"WITH added AS ("
	" INSERT INTO reservation (order_id, state, expires_at)"
	" VALUES ($1, $2, CASE WHEN $2 = 'reserved' THEN now() + $6 * interval '1 millisecond' END)"
	" RETURNING order_id, version),"
	" lines AS ("
	" INSERT INTO reservation_line (order_id, sku, quantity, available)"
	" SELECT added.order_id, line.sku, line.quantity, nullif(line.available, -1)"
	" FROM added, unnest($3::text[], $4::bigint[], $5::bigint[])"
	"  AS line (sku, quantity, available))"
	" SELECT version FROM added",
};

static const struct sk_sql SQL_MOVE = {
	"reservation_move",
	"UPDATE reservation SET state = $3, version = version + 1, updated_at = now(),"
	"  expires_at = CASE WHEN $3 = 'reserved' THEN now() + $4 * interval '1 millisecond' END"
	" WHERE order_id = $1 AND state = $2"
	" RETURNING version",
};

static const struct sk_sql SQL_SHORTAGES = {
	"reservation_shortages",
	"UPDATE reservation_line SET available = nullif(line.available, -1)"
	" FROM unnest($2::text[], $3::bigint[]) AS line (sku, available)"
	" WHERE order_id = $1 AND reservation_line.sku = line.sku",
};

/* SKIP LOCKED, though the caller has the turn: the rule for sweeps costs nothing. */
static const struct sk_sql SQL_DUE = {
	"reservation_due",
	"SELECT order_id, (extract(epoch FROM now() - expires_at) * 1000)::bigint FROM reservation"
	" WHERE state = 'reserved' AND expires_at <= now()"
	" ORDER BY expires_at LIMIT $1 FOR UPDATE SKIP LOCKED",
};

static const struct sk_sql SQL_PROLONG = {
	"reservation_prolong",
	"UPDATE reservation SET expires_at = now() + $2 * interval '1 millisecond'"
	" WHERE order_id = $1 AND state = 'reserved'",
};

/* Sorted, in the byte order of strcmp, so that two transactions take their locks in
 * the same order; UPDATE … FROM unnest() would take them in any. */
static const struct sk_sql SQL_HOLD = {
	"stock_hold",
	"SELECT sku, on_hand, reserved, version FROM stock WHERE sku = ANY ($1::text[])"
	" ORDER BY sku COLLATE \"C\" FOR UPDATE",
};

/* Quantities come with their signs: what is added to on_hand and to reserved. */
static const struct sk_sql SQL_CHANGE = {
	"stock_change",
	"UPDATE stock SET on_hand = on_hand + line.arriving, reserved = reserved + line.reserving,"
	"  version = version + 1, updated_at = now()"
	" FROM unnest($1::text[], $2::bigint[], $3::bigint[]) AS line (sku, arriving, reserving)"
	" WHERE stock.sku = line.sku"
	" RETURNING stock.sku, stock.on_hand, stock.reserved, stock.version",
};

static const struct sk_sql SQL_RECORD = {
	"movement_add",
	"INSERT INTO movement (id, sku, delta, kind, order_id)"
	" SELECT line.id, line.sku, line.delta, $1, $2::uuid"
	" FROM unnest($3::uuid[], $4::text[], $5::bigint[]) AS line (id, sku, delta)",
};

/* A SKU that is known keeps its stock, whatever the catalogue says it began with. */
static const struct sk_sql SQL_BEGIN = {
	"stock_begin",
	"WITH variant AS ("
	" SELECT DISTINCT ON (sku) id, sku, quantity"
	" FROM unnest($1::uuid[], $2::text[], $3::bigint[]) AS told (id, sku, quantity)"
	" ORDER BY sku),"
	" added AS ("
	" INSERT INTO stock (sku, on_hand) SELECT sku, quantity FROM variant"
	" ON CONFLICT (sku) DO NOTHING RETURNING sku, on_hand, reserved, version),"
	" recorded AS ("
	" INSERT INTO movement (id, sku, delta, kind)"
	" SELECT variant.id, added.sku, added.on_hand, 'initial'"
	" FROM added JOIN variant USING (sku) WHERE added.on_hand > 0)"
	" SELECT sku, on_hand, reserved, version FROM added",
};

static const struct sk_sql SQL_READ = {
	"stock_read",
	"SELECT sku, on_hand, reserved, version FROM stock WHERE sku = $1",
};

static const struct sk_sql SQL_PAGE = {
	"stock_page",
	"SELECT sku, on_hand, reserved, version FROM stock WHERE sku > $1 ORDER BY sku LIMIT $2",
};

static const struct sk_sql SQL_HOLD_ONE = {
	"stock_hold_one",
	"SELECT sku, on_hand, reserved, version FROM stock WHERE sku = $1 FOR UPDATE",
};

static const struct sk_sql SQL_ADJUST = {
	"stock_adjust",
	"WITH recorded AS ("
	" INSERT INTO movement (id, sku, delta, kind, reason, account_id)"
	" VALUES ($1, $2, $3, $4, $5, $6))"
	" UPDATE stock SET on_hand = on_hand + $3, version = version + 1, updated_at = now()"
	" WHERE sku = $2"
	" RETURNING sku, on_hand, reserved, version",
};

static const struct sk_sql SQL_MOVEMENTS = {
	"movement_list",
	"SELECT id, sku, delta, kind, reason, order_id, account_id, at FROM movement"
	" WHERE sku = $1 AND ($2::uuid IS NULL OR id < $2) ORDER BY id DESC LIMIT $3",
};

/* ---- reading ---- */

static struct inventory_level read_level(const struct sk_rows *rows, int row)
{
	return (struct inventory_level) {
		.sku = sk_row_text(rows, row, 0),
		.on_hand = sk_row_int(rows, row, 1),
		.reserved = sk_row_int(rows, row, 2),
		.version = sk_row_int(rows, row, 3),
	};
}

static void read_levels(const struct sk_rows *rows, struct sk_arena *arena,
			struct inventory_levels *levels)
{
	levels->count = rows->count;
	levels->list = sk_arena_array(arena, (size_t)rows->count + 1, sizeof(*levels->list));
	for (int i = 0; i < rows->count; i++)
		levels->list[i] = read_level(rows, i);
}

static enum sk_status one_level(struct sk_context *context, const struct sk_rows *rows,
				struct inventory_level *level)
{
	if (rows->count == 0)
		return sk_fail(context, SK_NOT_FOUND, "sku_not_found", "there is no such SKU");
	*level = read_level(rows, 0);
	return SK_OK;
}

enum sk_status inventory_store_read(struct sk_pg *pg, struct sk_context *context, const char *sku,
				    struct inventory_level *level)
{
	struct sk_rows rows;
	enum sk_status st = sk_pg_run(pg, context, &SQL_READ, SK_PARAMS(sk_text(sku)), &rows);

	return st == SK_OK ? one_level(context, &rows, level) : st;
}

enum sk_status inventory_store_hold_one(struct sk_tx *tx, const char *sku,
					struct inventory_level *level)
{
	struct sk_rows rows;
	enum sk_status st = sk_tx_run(tx, &SQL_HOLD_ONE, SK_PARAMS(sk_text(sku)), &rows);

	return st == SK_OK ? one_level(sk_tx_context(tx), &rows, level) : st;
}

enum sk_status inventory_store_page(struct sk_tx *tx, const char *after, int max,
				    struct inventory_levels *levels)
{
	struct sk_rows rows;
	enum sk_status st = sk_tx_run(tx, &SQL_PAGE, SK_PARAMS(sk_text(after), sk_int(max)), &rows);

	if (st == SK_OK)
		read_levels(&rows, sk_tx_arena(tx), levels);
	return st;
}

enum sk_status inventory_store_movements(struct sk_pg *pg, struct sk_context *context,
					 const struct inventory_filter *filter,
					 struct inventory_movements *found)
{
	struct sk_rows rows;
	enum sk_status st = sk_pg_run(
		pg, context, &SQL_MOVEMENTS,
		SK_PARAMS(sk_text(filter->sku), sk_text(filter->before), sk_int(filter->limit)),
		&rows);

	if (st != SK_OK)
		return st;
	found->count = rows.count;
	found->list = sk_arena_array(context->arena, (size_t)rows.count + 1, sizeof(*found->list));
	for (int i = 0; i < rows.count; i++)
		found->list[i] = (struct inventory_movement) {
			.id = sk_row_text(&rows, i, 0),
			.sku = sk_row_text(&rows, i, 1),
			.delta = sk_row_int(&rows, i, 2),
			.kind = sk_row_text(&rows, i, 3),
			.reason = sk_row_text(&rows, i, 4),
			.order_id = sk_row_text(&rows, i, 5),
			.account_id = sk_row_text(&rows, i, 6),
			.at_us = sk_row_time_us(&rows, i, 7),
		};
	return SK_OK;
}

enum sk_status inventory_store_find(struct sk_tx *tx, const char *order_id,
				    struct inventory_reservation *reservation)
{
	struct sk_rows rows;
	enum sk_status st = sk_tx_run(tx, &SQL_FIND, SK_PARAMS(sk_text(order_id)), &rows);

	*reservation = (struct inventory_reservation) { .order_id = order_id };
	if (st != SK_OK || rows.count == 0)
		return st;
	reservation->state = inventory_state_parse(sk_row_text(&rows, 0, 0));
	reservation->version = sk_row_int(&rows, 0, 1);
	reservation->lines = sk_arena_array(sk_tx_arena(tx), (size_t)rows.count,
					    sizeof(*reservation->lines));
	for (int i = 0; i < rows.count && !sk_row_is_null(&rows, i, 2); i++)
		reservation->lines[reservation->count++] = (struct inventory_line) {
			.sku = sk_row_text(&rows, i, 2),
			.quantity = sk_row_int(&rows, i, 3),
			.is_short = !sk_row_is_null(&rows, i, 4),
			.available = sk_row_int(&rows, i, 4),
		};
	return SK_OK;
}

/* ---- writing: reservations ---- */

enum sk_status inventory_store_take_turn(struct sk_tx *tx)
{
	return sk_tx_run(tx, &SQL_TAKE_TURN, SK_NO_PARAMS, NULL);
}

static struct sk_param skus_of(struct sk_arena *arena,
			       const struct inventory_reservation *reservation)
{
	size_t count = (size_t)reservation->count;
	const char **skus = sk_arena_array(arena, count + 1, sizeof(*skus));

	for (size_t i = 0; i < count; i++)
		skus[i] = reservation->lines[i].sku;
	return sk_text_array(arena, skus, count);
}

static struct sk_param quantities_of(struct sk_arena *arena,
				     const struct inventory_reservation *reservation, int sign)
{
	size_t count = (size_t)reservation->count;
	int64_t *quantities = sk_arena_array(arena, count + 1, sizeof(*quantities));

	for (size_t i = 0; i < count; i++)
		quantities[i] = sign * reservation->lines[i].quantity;
	return sk_int_array(arena, quantities, count);
}

static struct sk_param ids(struct sk_arena *arena, size_t count)
{
	const char **list = sk_arena_array(arena, count + 1, sizeof(*list));

	for (size_t i = 0; i < count; i++)
		list[i] = sk_id_make(arena);
	return sk_text_array(arena, list, count);
}

/* What there is of the lines that are short, -1 of the others. */
static struct sk_param shortages_of(struct sk_arena *arena,
				    const struct inventory_reservation *reservation)
{
	size_t count = (size_t)reservation->count;
	int64_t *available = sk_arena_array(arena, count + 1, sizeof(*available));

	for (size_t i = 0; i < count; i++)
		available[i] = reservation->lines[i].is_short ? reservation->lines[i].available
							      : -1;
	return sk_int_array(arena, available, count);
}

enum sk_status inventory_store_add(struct sk_tx *tx, struct inventory_reservation *reservation,
				   int64_t hold_ms)
{
	struct sk_arena *arena = sk_tx_arena(tx);
	struct sk_rows rows;
	enum sk_status st = sk_tx_run(tx, &SQL_ADD,
				      SK_PARAMS(sk_text(reservation->order_id),
						sk_text(inventory_state_name(reservation->state)),
						skus_of(arena, reservation),
						quantities_of(arena, reservation, 1),
						shortages_of(arena, reservation), sk_int(hold_ms)),
				      &rows);

	if (st == SK_OK)
		reservation->version = sk_row_int(&rows, 0, 0);
	return st;
}

enum sk_status inventory_store_move(struct sk_tx *tx, struct inventory_reservation *reservation,
				    enum inventory_state next, int64_t hold_ms)
{
	struct sk_rows rows;
	enum sk_status st = sk_tx_run(tx, &SQL_MOVE,
				      SK_PARAMS(sk_text(reservation->order_id),
						sk_text(inventory_state_name(reservation->state)),
						sk_text(inventory_state_name(next)),
						sk_int(hold_ms)),
				      &rows);

	if (st != SK_OK)
		return st;
	if (rows.count == 0)
		return sk_fail(sk_tx_context(tx), SK_INTERNAL, "reservation_moved",
			       "the reservation of order %s was moved out of turn",
			       reservation->order_id);
	reservation->state = next;
	reservation->version = sk_row_int(&rows, 0, 0);
	return SK_OK;
}

enum sk_status inventory_store_shortages(struct sk_tx *tx,
					 const struct inventory_reservation *reservation)
{
	struct sk_arena *arena = sk_tx_arena(tx);

	return sk_tx_run(tx, &SQL_SHORTAGES,
			 SK_PARAMS(sk_text(reservation->order_id), skus_of(arena, reservation),
				   shortages_of(arena, reservation)),
			 NULL);
}

/* ---- writing: reservations whose time is up ---- */

enum sk_status inventory_store_due(struct sk_tx *tx, struct inventory_reservations *due)
{
	struct sk_rows rows;
	enum sk_status st = sk_tx_run(tx, &SQL_DUE, SK_PARAMS(sk_int(INVENTORY_DUE_MAX)), &rows);

	if (st != SK_OK)
		return st;
	due->count = rows.count;
	due->list = sk_arena_array(sk_tx_arena(tx), (size_t)rows.count + 1, sizeof(*due->list));
	for (int i = 0; i < rows.count; i++)
		due->list[i] = (struct inventory_reservation) {
			.order_id = sk_row_text(&rows, i, 0),
			.overdue_ms = sk_row_int(&rows, i, 1),
		};
	return SK_OK;
}

enum sk_status inventory_store_prolong(struct sk_tx *tx, const char *order_id, int64_t hold_ms)
{
	return sk_tx_run(tx, &SQL_PROLONG, SK_PARAMS(sk_text(order_id), sk_int(hold_ms)), NULL);
}

/* ---- writing: stock ---- */

enum sk_status inventory_store_hold(struct sk_tx *tx,
				    const struct inventory_reservation *reservation,
				    struct inventory_levels *levels)
{
	struct sk_rows rows;
	enum sk_status st = sk_tx_run(tx, &SQL_HOLD,
				      SK_PARAMS(skus_of(sk_tx_arena(tx), reservation)), &rows);

	if (st == SK_OK)
		read_levels(&rows, sk_tx_arena(tx), levels);
	return st;
}

enum sk_status inventory_store_change(struct sk_tx *tx,
				      const struct inventory_reservation *reservation,
				      const struct inventory_change *change,
				      struct inventory_levels *levels)
{
	struct sk_arena *arena = sk_tx_arena(tx);
	struct sk_param skus = skus_of(arena, reservation);
	struct sk_param deltas = quantities_of(arena, reservation, change->on_hand_sign);
	struct sk_rows rows;
	enum sk_status st = sk_tx_run(
		tx, &SQL_CHANGE,
		SK_PARAMS(skus, deltas, quantities_of(arena, reservation, change->reserved_sign)),
		&rows);

	if (st != SK_OK)
		return st;
	read_levels(&rows, arena, levels);
	if (levels->count != reservation->count)
		return sk_fail(sk_tx_context(tx), SK_INTERNAL, "stock_missing",
			       "a SKU of order %s has no stock row any more",
			       reservation->order_id);
	if (change->movement == NULL)
		return SK_OK;
	return sk_tx_run(tx, &SQL_RECORD,
			 SK_PARAMS(sk_text(change->movement), sk_text(reservation->order_id),
				   ids(arena, (size_t)reservation->count), skus, deltas),
			 NULL);
}

enum sk_status inventory_store_begin(struct sk_tx *tx, const struct inventory_product *product,
				     struct inventory_levels *added)
{
	struct sk_arena *arena = sk_tx_arena(tx);
	struct sk_rows rows;
	enum sk_status st = sk_tx_run(
		tx, &SQL_BEGIN,
		SK_PARAMS(ids(arena, product->count),
			  sk_text_array(arena, product->skus, product->count),
			  sk_int_array(arena, product->quantities, product->count)),
		&rows);

	if (st == SK_OK)
		read_levels(&rows, arena, added);
	return st;
}

enum sk_status inventory_store_adjust(struct sk_tx *tx, const struct inventory_movement *movement,
				      struct inventory_level *level)
{
	struct sk_rows rows;
	enum sk_status st = sk_tx_run(
		tx, &SQL_ADJUST,
		SK_PARAMS(sk_text(movement->id), sk_text(movement->sku), sk_int(movement->delta),
			  sk_text(movement->kind), sk_text(movement->reason),
			  sk_text(*movement->account_id != '\0' ? movement->account_id : NULL)),
		&rows);

	return st == SK_OK ? one_level(sk_tx_context(tx), &rows, level) : st;
}
