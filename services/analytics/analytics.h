/* The analytics service: sales, products and the funnel, by day. */
#ifndef ANALYTICS_H
#define ANALYTICS_H

#include <stdint.h>

#include "sk_service.h"

#define ANALYTICS_DAYS_MAX   366
#define ANALYTICS_DATE_BYTES 11 /* 2026-11-23 and NUL */

/* Days from the first to the last, both included. */
struct analytics_range {
	char first[ANALYTICS_DATE_BYTES], last[ANALYTICS_DATE_BYTES];
};

struct analytics_line {
	const char *sku, *title;
	int64_t quantity, revenue;
};

struct analytics_sale {
	const char *order_id, *currency;
	int64_t total;
	const char *day;
	const struct analytics_line *lines; /* one a SKU */
	size_t lines_count;
};

/* What the funnel counts, by the column of funnel_day. */
enum analytics_step {
	ANALYTICS_CART,
	ANALYTICS_ITEM_ADDED,
	ANALYTICS_ORDER,
	ANALYTICS_PAID,
	ANALYTICS_REJECTED,
	ANALYTICS_PAYMENT_FAILED,
	ANALYTICS_CANCELLED,
	ANALYTICS_STEPS
};

struct analytics_service {
	struct sk_parts *parts;
};

extern const struct sk_route ANALYTICS_ROUTES[];
extern const struct sk_consumer ANALYTICS_CONSUMERS[];
extern const struct sk_file ANALYTICS_MIGRATIONS[];

/* ---- rules.c: pure ---- */

/* The UTC day of a time. Returns out. */
const char *analytics_day(int64_t time_us, char out[ANALYTICS_DATE_BYTES]);

/* from_us inclusive and to_us exclusive as days; 0 gives the last 30 days up to
 * now_us. SK_INVALID where it is empty or longer than ANALYTICS_DAYS_MAX. */
SK_MUST_CHECK enum sk_status analytics_range_make(int64_t from_us, int64_t to_us, int64_t now_us,
						  struct analytics_range *range,
						  struct sk_context *context);

/* The column of a step, for JSON and for people. */
const char *analytics_step_name(enum analytics_step step);

/* ---- store.c ---- */

/* Each records its fact once: a second call for the same order or refund changes nothing. */
SK_MUST_CHECK enum sk_status analytics_order_created(struct sk_tx *tx,
						     const struct analytics_sale *sale);
SK_MUST_CHECK enum sk_status analytics_order_paid(struct sk_tx *tx,
						  const struct analytics_sale *sale);
SK_MUST_CHECK enum sk_status
analytics_order_ended(struct sk_tx *tx, const struct analytics_sale *sale, enum analytics_step how);
SK_MUST_CHECK enum sk_status analytics_refunded(struct sk_tx *tx, const struct analytics_sale *sale,
						const char *refund_id, int64_t amount);

/* Counts one of the events that have no fact of their own (carts). */
SK_MUST_CHECK enum sk_status analytics_count(struct sk_tx *tx, enum analytics_step step,
					     const char *day);

SK_MUST_CHECK enum sk_status analytics_sales(struct sk_pg *pg, struct sk_context *context,
					     const struct analytics_range *range,
					     struct sk_rows *rows);
SK_MUST_CHECK enum sk_status analytics_top(struct sk_pg *pg, struct sk_context *context,
					   const struct analytics_range *range, int limit,
					   struct sk_rows *rows);
SK_MUST_CHECK enum sk_status analytics_funnel(struct sk_pg *pg, struct sk_context *context,
					      const struct analytics_range *range,
					      struct sk_rows *rows);

#endif
