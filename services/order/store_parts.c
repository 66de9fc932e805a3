/* What hangs on orders in PostgreSQL (shipments, refunds), and the price list. */
#include "order.h"

/* ---- shipments ---- */

/* A label that is heard of late must not make a shipped parcel unshipped. */
static const struct sk_sql SQL_SHIPMENT = {
	"order_shipment_put",
	"INSERT INTO order_shipment (shipment_id, order_id, carrier, tracking_number, status)"
	" VALUES ($1, $2, $3, $4, $5)"
	" ON CONFLICT (shipment_id) DO UPDATE"
	" SET carrier = EXCLUDED.carrier, tracking_number = EXCLUDED.tracking_number,"
	"     status = EXCLUDED.status"
	" WHERE array_position(ARRAY['label_created', 'voided', 'shipped', 'delivered'],"
	"                      EXCLUDED.status)"
	"     > array_position(ARRAY['label_created', 'voided', 'shipped', 'delivered'],"
	"                      order_shipment.status)",
};

enum sk_status order_store_shipment(struct sk_tx *tx, const char *order_id,
				    const struct order_shipment *shipment)
{
	if (*shipment->tracking_number == '\0') /* it was stopped before there was a label */
		return SK_OK;
	return sk_tx_run(tx, &SQL_SHIPMENT,
			 SK_PARAMS(sk_text(shipment->id), sk_text(order_id),
				   sk_text(shipment->carrier), sk_text(shipment->tracking_number),
				   sk_text(shipment->status)),
			 NULL);
}

/* ---- refunds: the order's row is held by the caller ---- */

static const struct sk_sql SQL_ADD_REFUND = {
	"order_refund_add",
	"INSERT INTO order_refund (refund_id, order_id, amount_minor, reason)"
	" VALUES ($1, $2, $3, $4)",
};

static const struct sk_sql SQL_END_REFUND = {
	"order_refund_end",
	"UPDATE order_refund SET state = $2, failure = $3"
	" WHERE refund_id = $1 AND state = 'requested'",
};

#define REFUND_COLUMNS                                                                             \
	" refund_id, amount_minor, order_refund.reason, state, failure, order_refund.created_at "

static const struct sk_sql SQL_FIND_REFUND = {
	"order_refund_find",
	"SELECT" REFUND_COLUMNS "FROM order_refund WHERE order_id = $1 AND refund_id = $2",
};

static const struct sk_sql SQL_OPEN_REFUNDS = {
	"order_refund_open",
	"SELECT" REFUND_COLUMNS "FROM order_refund WHERE order_id = $1 AND state = 'requested'"
	" ORDER BY refund_id",
};

/* One row without a refund where the order has none, no row where there is no order. */
static const struct sk_sql SQL_REFUNDS = {
	"order_refund_list",
	"SELECT" REFUND_COLUMNS ", currency"
	" FROM customer_order LEFT JOIN order_refund ON order_id = id"
	" WHERE id = $1 ORDER BY order_refund.created_at, refund_id",
};

static struct order_refund read_refund(const struct sk_rows *rows, int row)
{
	return (struct order_refund) {
		.id = sk_row_text(rows, row, 0),
		.amount_minor = sk_row_int(rows, row, 1),
		.reason = sk_row_text(rows, row, 2),
		.state = order_refund_state_parse(sk_row_text(rows, row, 3)),
		.failure = sk_row_text(rows, row, 4),
		.created_us = sk_row_time_us(rows, row, 5),
	};
}

static void read_refunds(const struct sk_rows *rows, struct sk_arena *arena,
			 struct order_refunds *refunds)
{
	refunds->list = sk_arena_array(arena, (size_t)rows->count + 1, sizeof(*refunds->list));
	refunds->count = 0;
	for (int i = 0; i < rows->count && !sk_row_is_null(rows, i, 0); i++)
		refunds->list[refunds->count++] = read_refund(rows, i);
}

enum sk_status order_store_add_refund(struct sk_tx *tx, const char *order_id,
				      const struct order_refund *refund)
{
	return sk_tx_run(tx, &SQL_ADD_REFUND,
			 SK_PARAMS(sk_text(refund->id), sk_text(order_id),
				   sk_int(refund->amount_minor), sk_text(refund->reason)),
			 NULL);
}

enum sk_status order_store_end_refund(struct sk_tx *tx, const struct order_refund *refund)
{
	return sk_tx_run(tx, &SQL_END_REFUND,
			 SK_PARAMS(sk_text(refund->id),
				   sk_text(order_refund_state_name(refund->state)),
				   sk_text(refund->failure)),
			 NULL);
}

enum sk_status order_store_find_refund(struct sk_tx *tx, const char *order_id,
				       const char *refund_id, struct order_refund *refund)
{
	struct sk_rows rows;
	enum sk_status st = sk_tx_run(tx, &SQL_FIND_REFUND,
				      SK_PARAMS(sk_text(order_id), sk_text(refund_id)), &rows);

	if (st != SK_OK)
		return st;
	if (rows.count == 0) /* the row is written with the request: nobody else can be early */
		return sk_fail(sk_tx_context(tx), SK_CONFLICT, "refund_unknown",
			       "refund %s was never asked for", refund_id);
	*refund = read_refund(&rows, 0);
	return SK_OK;
}

enum sk_status order_store_open_refunds(struct sk_tx *tx, const char *order_id,
					struct order_refunds *refunds)
{
	struct sk_rows rows;
	enum sk_status st = sk_tx_run(tx, &SQL_OPEN_REFUNDS, SK_PARAMS(sk_text(order_id)), &rows);

	if (st == SK_OK)
		read_refunds(&rows, sk_tx_arena(tx), refunds);
	return st;
}

enum sk_status order_store_refunds(struct sk_pg *pg, struct sk_context *context,
				   const char *order_id, struct order_refunds *refunds)
{
	struct sk_rows rows;
	enum sk_status st = sk_pg_run(pg, context, &SQL_REFUNDS, SK_PARAMS(sk_text(order_id)),
				      &rows);

	if (st != SK_OK)
		return st;
	if (rows.count == 0)
		return sk_fail(context, SK_NOT_FOUND, "order_not_found", "there is no such order");
	refunds->currency = sk_row_text(&rows, 0, 6);
	read_refunds(&rows, context->arena, refunds);
	return SK_OK;
}

/* ---- the price list ---- */

/* One row for each SKU that is asked for, in the order asked. */
static const struct sk_sql SQL_PRICES = {
	"price_find",
	"SELECT coalesce(price.active, false), price.product_id, price.title, price.price_minor,"
	"       price.currency"
	" FROM unnest($1::text[]) WITH ORDINALITY AS item (sku, position)"
	" LEFT JOIN price ON price.sku = item.sku"
	" ORDER BY item.position",
};

/* No row where this version or a newer one was heard before. */
static const struct sk_sql SQL_SEE_PRODUCT = {
	"product_see",
	"INSERT INTO product_seen (product_id, version) VALUES ($1, $2)"
	" ON CONFLICT (product_id) DO UPDATE SET version = EXCLUDED.version"
	" WHERE product_seen.version < EXCLUDED.version",
};

static const struct sk_sql SQL_PUT_PRICES = {
	"price_put",
	"INSERT INTO price (sku, product_id, title, price_minor, currency, active)"
	" SELECT DISTINCT ON (variant.sku) variant.sku, $1::uuid, variant.title,"
	"  variant.price_minor, variant.currency, $2::boolean"
	" FROM unnest($3::text[], $4::text[], $5::bigint[], $6::text[])"
	"  AS variant (sku, title, price_minor, currency)"
	" ORDER BY variant.sku"
	" ON CONFLICT (sku) DO UPDATE"
	" SET product_id = EXCLUDED.product_id, title = EXCLUDED.title,"
	"     price_minor = EXCLUDED.price_minor, currency = EXCLUDED.currency,"
	"     active = EXCLUDED.active",
};

/* What the product no longer has. A SKU that another product took over is not touched. */
static const struct sk_sql SQL_RETIRE_PRICES = {
	"price_retire",
	"UPDATE price SET active = false"
	" WHERE product_id = $1 AND active AND sku <> ALL ($2::text[])",
};

enum sk_status order_store_prices(struct sk_tx *tx, const struct order_draft *draft,
				  struct order_price **prices)
{
	struct sk_arena *arena = sk_tx_arena(tx);
	size_t count = (size_t)draft->count;
	const char **skus = sk_arena_array(arena, count + 1, sizeof(*skus));
	struct sk_rows rows;
	enum sk_status st;

	for (size_t i = 0; i < count; i++)
		skus[i] = draft->items[i].sku;
	st = sk_tx_run(tx, &SQL_PRICES, SK_PARAMS(sk_text_array(arena, skus, count)), &rows);
	if (st != SK_OK)
		return st;
	*prices = sk_arena_array(arena, count + 1, sizeof(**prices));
	for (int i = 0; i < rows.count && i < draft->count; i++)
		(*prices)[i] = (struct order_price) {
			.active = sk_row_bool(&rows, i, 0),
			.product_id = sk_row_text(&rows, i, 1),
			.title = sk_row_text(&rows, i, 2),
			.price = sk_money_of(sk_row_int(&rows, i, 3), sk_row_text(&rows, i, 4)),
		};
	return SK_OK;
}

enum sk_status order_store_product(struct sk_tx *tx, const struct order_product *product)
{
	struct sk_arena *arena = sk_tx_arena(tx);
	struct sk_param skus = sk_text_array(arena, product->skus, product->count);
	struct sk_rows rows;
	enum sk_status st = sk_tx_run(tx, &SQL_SEE_PRODUCT,
				      SK_PARAMS(sk_text(product->id), sk_int(product->version)),
				      &rows);

	if (st != SK_OK)
		return st;
	if (rows.affected == 0)
		return SK_DUPLICATE;
	st = sk_tx_run(tx, &SQL_PUT_PRICES,
		       SK_PARAMS(sk_text(product->id), sk_bool(product->active), skus,
				 sk_text_array(arena, product->titles, product->count),
				 sk_int_array(arena, product->prices_minor, product->count),
				 sk_text_array(arena, product->currencies, product->count)),
		       NULL);
	if (st == SK_OK)
		st = sk_tx_run(tx, &SQL_RETIRE_PRICES, SK_PARAMS(sk_text(product->id), skus), NULL);
	return st;
}
