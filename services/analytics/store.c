#include "analytics.h"

/* The facts: each statement returns a row only where it made the fact true, so that an
 * event sent twice is counted once, whichever of the two comes first. */
static const struct sk_sql SQL_CREATED = {
	"created",
	"INSERT INTO order_fact (order_id, currency, total, created_on) VALUES ($1, $2, $3, $4)"
	" ON CONFLICT (order_id) DO UPDATE SET created_on = EXCLUDED.created_on"
	"   WHERE order_fact.created_on IS NULL"
	" RETURNING 1",
};

static const struct sk_sql SQL_PAID = {
	"paid",
	"INSERT INTO order_fact (order_id, currency, total, paid_on) VALUES ($1, $2, $3, $4)"
	" ON CONFLICT (order_id) DO UPDATE SET paid_on = EXCLUDED.paid_on"
	"   WHERE order_fact.paid_on IS NULL"
	" RETURNING 1",
};

static const struct sk_sql SQL_ENDED = {
	"ended",
	"INSERT INTO order_fact (order_id, currency, total, ended_as) VALUES ($1, $2, $3, $4)"
	" ON CONFLICT (order_id) DO UPDATE SET ended_as = EXCLUDED.ended_as"
	"   WHERE order_fact.ended_as IS NULL"
	" RETURNING 1",
};

static const struct sk_sql SQL_REFUNDED = {
	"refunded",
	"INSERT INTO refund_fact (refund_id, order_id, amount, refunded_on) VALUES ($1, $2, $3, $4)"
	" ON CONFLICT DO NOTHING RETURNING 1",
};

/* The sums. Rows of one day are hot: each transaction takes sales_day, product_day (in
 * SKU order) and funnel_day in this order, and a deadlock between batches is retried. */
static const struct sk_sql SQL_ADD_SALE = {
	"add_sale",
	"INSERT INTO sales_day (day, currency, orders, gross) VALUES ($1, $2, 1, $3)"
	" ON CONFLICT (day, currency) DO UPDATE"
	"   SET orders = sales_day.orders + 1, gross = sales_day.gross + EXCLUDED.gross",
};

static const struct sk_sql SQL_ADD_REFUND = {
	"add_refund",
	"INSERT INTO sales_day (day, currency, refunds, refunded) VALUES ($1, $2, 1, $3)"
	" ON CONFLICT (day, currency) DO UPDATE"
	"   SET refunds = sales_day.refunds + 1, refunded = sales_day.refunded + EXCLUDED.refunded",
};

static const struct sk_sql SQL_ADD_PRODUCTS = {
	"add_products",
	"INSERT INTO product_day (day, currency, sku, title, quantity, revenue)"
	" SELECT $1, $2, sku, title, quantity, revenue"
	"   FROM unnest($3::text[], $4::text[], $5::bigint[], $6::bigint[])"
	"     AS line (sku, title, quantity, revenue)"
	"   ORDER BY sku"
	" ON CONFLICT (day, currency, sku) DO UPDATE"
	"   SET quantity = product_day.quantity + EXCLUDED.quantity,"
	"       revenue = product_day.revenue + EXCLUDED.revenue, title = EXCLUDED.title",
};

#define COUNT_SQL(column)                                                                          \
	{                                                                                          \
		"count_" #column, "INSERT INTO funnel_day (day, " #column ") VALUES ($1, 1)"       \
				  " ON CONFLICT (day) DO UPDATE SET " #column                      \
				  " = funnel_day." #column " + 1"                                  \
	}

static const struct sk_sql SQL_COUNT[ANALYTICS_STEPS] = {
	[ANALYTICS_CART] = COUNT_SQL(carts),
	[ANALYTICS_ITEM_ADDED] = COUNT_SQL(items_added),
	[ANALYTICS_ORDER] = COUNT_SQL(orders),
	[ANALYTICS_PAID] = COUNT_SQL(paid),
	[ANALYTICS_REJECTED] = COUNT_SQL(rejected),
	[ANALYTICS_PAYMENT_FAILED] = COUNT_SQL(payment_failed),
	[ANALYTICS_CANCELLED] = COUNT_SQL(cancelled),
};

static const struct sk_sql SQL_SALES = {
	"sales",
	"SELECT day, currency, orders, gross, refunds, refunded FROM sales_day"
	" WHERE day BETWEEN $1::date AND $2::date ORDER BY day, currency",
};

static const struct sk_sql SQL_TOP = {
	"top",
	"SELECT sku, max(title), currency, sum(quantity), sum(revenue) FROM product_day"
	" WHERE day BETWEEN $1::date AND $2::date"
	" GROUP BY sku, currency ORDER BY sum(revenue) DESC, sku LIMIT $3",
};

static const struct sk_sql SQL_FUNNEL = {
	"funnel",
	"SELECT day, carts, items_added, orders, paid, rejected, payment_failed, cancelled"
	" FROM funnel_day WHERE day BETWEEN $1::date AND $2::date ORDER BY day",
};

/* Runs a statement that makes a fact; *made says whether it was new. */
static enum sk_status make_fact(struct sk_tx *tx, const struct sk_sql *sql,
				const struct sk_param *params, size_t count, bool *made)
{
	struct sk_rows rows;
	enum sk_status st = sk_tx_run(tx, sql, params, count, &rows);

	*made = st == SK_OK && rows.count > 0;
	return st;
}

enum sk_status analytics_count(struct sk_tx *tx, enum analytics_step step, const char *day)
{
	return sk_tx_run(tx, &SQL_COUNT[step], SK_PARAMS(sk_text(day)), NULL);
}

enum sk_status analytics_order_created(struct sk_tx *tx, const struct analytics_sale *sale)
{
	bool made = false;
	enum sk_status st = make_fact(tx, &SQL_CREATED,
				      SK_PARAMS(sk_text(sale->order_id), sk_text(sale->currency),
						sk_int(sale->total), sk_text(sale->day)),
				      &made);

	return st == SK_OK && made ? analytics_count(tx, ANALYTICS_ORDER, sale->day) : st;
}

static enum sk_status add_products(struct sk_tx *tx, const struct analytics_sale *sale)
{
	struct sk_arena *arena = sk_tx_arena(tx);
	size_t count = sale->lines_count;
	const char **skus = sk_arena_array(arena, count + 1, sizeof(*skus));
	const char **titles = sk_arena_array(arena, count + 1, sizeof(*titles));
	int64_t *quantities = sk_arena_array(arena, count + 1, sizeof(*quantities));
	int64_t *revenues = sk_arena_array(arena, count + 1, sizeof(*revenues));

	for (size_t i = 0; i < count; i++) {
		skus[i] = sale->lines[i].sku;
		titles[i] = sale->lines[i].title;
		quantities[i] = sale->lines[i].quantity;
		revenues[i] = sale->lines[i].revenue;
	}
	return sk_tx_run(tx, &SQL_ADD_PRODUCTS,
			 SK_PARAMS(sk_text(sale->day), sk_text(sale->currency),
				   sk_text_array(arena, skus, count),
				   sk_text_array(arena, titles, count),
				   sk_int_array(arena, quantities, count),
				   sk_int_array(arena, revenues, count)),
			 NULL);
}

enum sk_status analytics_order_paid(struct sk_tx *tx, const struct analytics_sale *sale)
{
	bool made = false;
	enum sk_status st = make_fact(tx, &SQL_PAID,
				      SK_PARAMS(sk_text(sale->order_id), sk_text(sale->currency),
						sk_int(sale->total), sk_text(sale->day)),
				      &made);

	if (st != SK_OK || !made)
		return st;
	st = sk_tx_run(tx, &SQL_ADD_SALE,
		       SK_PARAMS(sk_text(sale->day), sk_text(sale->currency), sk_int(sale->total)),
		       NULL);
	if (st == SK_OK)
		st = add_products(tx, sale);
	return st == SK_OK ? analytics_count(tx, ANALYTICS_PAID, sale->day) : st;
}

enum sk_status analytics_order_ended(struct sk_tx *tx, const struct analytics_sale *sale,
				     enum analytics_step how)
{
	bool made = false;
	enum sk_status st = make_fact(tx, &SQL_ENDED,
				      SK_PARAMS(sk_text(sale->order_id), sk_text(sale->currency),
						sk_int(sale->total),
						sk_text(analytics_step_name(how))),
				      &made);

	return st == SK_OK && made ? analytics_count(tx, how, sale->day) : st;
}

enum sk_status analytics_refunded(struct sk_tx *tx, const struct analytics_sale *sale,
				  const char *refund_id, int64_t amount)
{
	bool made = false;
	enum sk_status st = make_fact(tx, &SQL_REFUNDED,
				      SK_PARAMS(sk_text(refund_id), sk_text(sale->order_id),
						sk_int(amount), sk_text(sale->day)),
				      &made);

	if (st != SK_OK || !made)
		return st;
	return sk_tx_run(tx, &SQL_ADD_REFUND,
			 SK_PARAMS(sk_text(sale->day), sk_text(sale->currency), sk_int(amount)),
			 NULL);
}

enum sk_status analytics_sales(struct sk_pg *pg, struct sk_context *context,
			       const struct analytics_range *range, struct sk_rows *rows)
{
	return sk_pg_run(pg, context, &SQL_SALES,
			 SK_PARAMS(sk_text(range->first), sk_text(range->last)), rows);
}

enum sk_status analytics_top(struct sk_pg *pg, struct sk_context *context,
			     const struct analytics_range *range, int limit, struct sk_rows *rows)
{
	return sk_pg_run(pg, context, &SQL_TOP,
			 SK_PARAMS(sk_text(range->first), sk_text(range->last), sk_int(limit)),
			 rows);
}

enum sk_status analytics_funnel(struct sk_pg *pg, struct sk_context *context,
				const struct analytics_range *range, struct sk_rows *rows)
{
	return sk_pg_run(pg, context, &SQL_FUNNEL,
			 SK_PARAMS(sk_text(range->first), sk_text(range->last)), rows);
}
