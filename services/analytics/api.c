#include <string.h>

#include "analytics.h"

#define CURRENCIES_MAX 16
#define TOP_MAX	       100

/* The columns of the sales report, as store.c selects them. */
enum { SALES_DAY, SALES_CURRENCY, SALES_ORDERS, SALES_GROSS, SALES_REFUNDS, SALES_REFUNDED };

struct sales_total {
	char currency[4];
	int64_t orders, gross, refunds, refunded;
};

static enum sk_status decode_range(struct sk_request *request, struct analytics_range *range)
{
	struct sk_context *context = sk_request_context(request);
	int64_t from_us = 0, to_us = 0;
	enum sk_status st = sk_request_query_time(request, "from", 0, &from_us);

	if (st == SK_OK)
		st = sk_request_query_time(request, "to", 0, &to_us);
	return st == SK_OK ? analytics_range_make(from_us, to_us, context->now_us, range, context)
			   : st;
}

static void write_sales(struct sk_json *json, const struct sales_total *sales)
{
	sk_json_int(json, "orders", sales->orders);
	sk_json_money(json, "gross", sk_money_of(sales->gross, sales->currency));
	sk_json_int(json, "refunds", sales->refunds);
	sk_json_money(json, "refunded", sk_money_of(sales->refunded, sales->currency));
	sk_json_money(json, "net", sk_money_of(sales->gross - sales->refunded, sales->currency));
}

static struct sales_total read_sales(const struct sk_rows *rows, int row)
{
	struct sales_total sales = {
		.orders = sk_row_int(rows, row, SALES_ORDERS),
		.gross = sk_row_int(rows, row, SALES_GROSS),
		.refunds = sk_row_int(rows, row, SALES_REFUNDS),
		.refunded = sk_row_int(rows, row, SALES_REFUNDED),
	};

	memcpy(sales.currency, sk_row_text(rows, row, SALES_CURRENCY), 3);
	return sales;
}

/* Adds to the total of the currency. Beyond CURRENCIES_MAX there is none, which no shop has. */
static int add_to_totals(struct sales_total *totals, int count, const struct sales_total *sales)
{
	int at = 0;

	while (at < count && strcmp(totals[at].currency, sales->currency) != 0)
		at++;
	if (at == CURRENCIES_MAX)
		return count;
	if (at == count) {
		memcpy(totals[at].currency, sales->currency, sizeof(totals[at].currency));
		count++;
	}
	totals[at].orders += sales->orders;
	totals[at].gross += sales->gross;
	totals[at].refunds += sales->refunds;
	totals[at].refunded += sales->refunded;
	return count;
}

/* GET /v1/analytics/sales?from=&to=&interval=day */
static enum sk_status get_sales(struct sk_request *request, struct sk_reply *reply, void *app)
{
	struct analytics_service *analytics = app;
	struct sk_context *context = sk_request_context(request);
	const char *interval = sk_request_query(request, "interval");
	struct sales_total totals[CURRENCIES_MAX] = { 0 };
	struct analytics_range range;
	struct sk_rows rows;
	struct sk_json *json;
	int count = 0;
	enum sk_status st = decode_range(request, &range);

	if (st == SK_OK && interval != NULL && strcmp(interval, "day") != 0)
		st = sk_fail(context, SK_INVALID, "invalid_interval", "interval must be day");
	if (st == SK_OK)
		st = analytics_sales(analytics->parts->pg, context, &range, &rows);
	if (st != SK_OK)
		return st;
	json = sk_reply_json(reply, 200);
	sk_json_begin_object(json, NULL);
	sk_json_begin_array(json, "items");
	for (int row = 0; row < rows.count; row++) {
		struct sales_total sales = read_sales(&rows, row);

		sk_json_begin_object(json, NULL);
		sk_json_text(json, "day", sk_row_text(&rows, row, SALES_DAY));
		write_sales(json, &sales);
		sk_json_end_object(json);
		count = add_to_totals(totals, count, &sales);
	}
	sk_json_end_array(json);
	sk_json_begin_array(json, "totals");
	for (int i = 0; i < count; i++) {
		sk_json_begin_object(json, NULL);
		write_sales(json, &totals[i]);
		sk_json_end_object(json);
	}
	sk_json_end_array(json);
	sk_json_null(json, "next_cursor");
	sk_json_end_object(json);
	return SK_OK;
}

/* GET /v1/analytics/top-products?from=&to=&limit= */
static enum sk_status get_top_products(struct sk_request *request, struct sk_reply *reply,
				       void *app)
{
	struct analytics_service *analytics = app;
	struct analytics_range range;
	struct sk_rows rows;
	struct sk_json *json;
	int64_t limit = SK_PAGE_DEFAULT;
	enum sk_status st = decode_range(request, &range);

	if (st == SK_OK)
		st = sk_request_query_int(request, "limit", 1, TOP_MAX, SK_PAGE_DEFAULT, &limit);
	if (st == SK_OK)
		st = analytics_top(analytics->parts->pg, sk_request_context(request), &range,
				   (int)limit, &rows);
	if (st != SK_OK)
		return st;
	json = sk_reply_json(reply, 200);
	sk_json_begin_list(json);
	for (int row = 0; row < rows.count; row++) {
		sk_json_begin_object(json, NULL);
		sk_json_text(json, "sku", sk_row_text(&rows, row, 0));
		sk_json_text(json, "title", sk_row_text(&rows, row, 1));
		sk_json_int(json, "quantity", sk_row_int(&rows, row, 3));
		sk_json_money(json, "revenue",
			      sk_money_of(sk_row_int(&rows, row, 4), sk_row_text(&rows, row, 2)));
		sk_json_end_object(json);
	}
	sk_json_end_list(json, NULL);
	return SK_OK;
}

static void write_steps(struct sk_json *json, const int64_t counts[ANALYTICS_STEPS])
{
	for (int step = 0; step < ANALYTICS_STEPS; step++)
		sk_json_int(json, analytics_step_name((enum analytics_step)step), counts[step]);
}

/* GET /v1/analytics/funnel?from=&to= */
static enum sk_status get_funnel(struct sk_request *request, struct sk_reply *reply, void *app)
{
	struct analytics_service *analytics = app;
	int64_t totals[ANALYTICS_STEPS] = { 0 };
	struct analytics_range range;
	struct sk_rows rows;
	struct sk_json *json;
	enum sk_status st = decode_range(request, &range);

	if (st == SK_OK)
		st = analytics_funnel(analytics->parts->pg, sk_request_context(request), &range,
				      &rows);
	if (st != SK_OK)
		return st;
	json = sk_reply_json(reply, 200);
	sk_json_begin_object(json, NULL);
	sk_json_begin_array(json, "items");
	for (int row = 0; row < rows.count; row++) {
		int64_t counts[ANALYTICS_STEPS];

		for (int step = 0; step < ANALYTICS_STEPS; step++) {
			counts[step] = sk_row_int(&rows, row, step + 1);
			totals[step] += counts[step];
		}
		sk_json_begin_object(json, NULL);
		sk_json_text(json, "day", sk_row_text(&rows, row, 0));
		write_steps(json, counts);
		sk_json_end_object(json);
	}
	sk_json_end_array(json);
	sk_json_begin_object(json, "totals");
	write_steps(json, totals);
	sk_json_end_object(json);
	sk_json_null(json, "next_cursor");
	sk_json_end_object(json);
	return SK_OK;
}

const struct sk_route ANALYTICS_ROUTES[] = {
	{ .method = "GET", .path = "/v1/analytics/sales", .handle = get_sales, .access = SK_STAFF },
	{ .method = "GET",
	  .path = "/v1/analytics/top-products",
	  .handle = get_top_products,
	  .access = SK_STAFF },
	{ .method = "GET",
	  .path = "/v1/analytics/funnel",
	  .handle = get_funnel,
	  .access = SK_STAFF },
	{ .method = NULL },
};
