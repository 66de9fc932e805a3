/* An order counts on the day of its event, in UTC. Sales count when they are paid. */
#include <string.h>

#include "analytics.h"
#include "souk/carts/v1/events.pb-c.h"
#include "souk/orders/v1/events.pb-c.h"

/* The day of the message, in the arena. */
static const char *day_of(const struct sk_message *message)
{
	return analytics_day(message->delivery->time_us,
			     sk_arena_alloc(message->context->arena, ANALYTICS_DATE_BYTES));
}

/* One line a SKU: the statement that adds them may touch each row once only. */
static size_t sum_lines(Souk__Orders__V1__Line **lines, size_t count, struct analytics_line *sums)
{
	size_t used = 0;

	for (size_t i = 0; i < count; i++) {
		size_t at = 0;

		while (at < used && strcmp(sums[at].sku, lines[i]->sku) != 0)
			at++;
		if (at == used)
			sums[used++] = (struct analytics_line) { .sku = lines[i]->sku,
								 .title = lines[i]->title };
		sums[at].quantity += lines[i]->quantity;
		sums[at].revenue += lines[i]->line_total_minor;
	}
	return used;
}

static enum sk_status on_created(struct sk_tx *tx, const struct sk_message *message, void *app)
{
	const Souk__Orders__V1__OrderCreated *event = (const void *)message->body;

	(void)app;
	return analytics_order_created(tx, &(struct analytics_sale) { .order_id = event->order_id,
								      .currency = event->currency,
								      .total = event->total_minor,
								      .day = day_of(message) });
}

static enum sk_status on_paid(struct sk_tx *tx, const struct sk_message *message, void *app)
{
	const Souk__Orders__V1__OrderPaid *event = (const void *)message->body;
	struct analytics_line *lines = sk_arena_array(message->context->arena, event->n_lines + 1,
						      sizeof(*lines));

	(void)app;
	return analytics_order_paid(
		tx, &(struct analytics_sale) {
			    .order_id = event->order_id,
			    .currency = event->currency,
			    .total = event->total_minor,
			    .day = day_of(message),
			    .lines = lines,
			    .lines_count = sum_lines(event->lines, event->n_lines, lines) });
}

static enum sk_status on_rejected(struct sk_tx *tx, const struct sk_message *message, void *app)
{
	const Souk__Orders__V1__OrderRejected *event = (const void *)message->body;

	(void)app;
	return analytics_order_ended(tx,
				     &(struct analytics_sale) { .order_id = event->order_id,
								.currency = event->currency,
								.total = event->total_minor,
								.day = day_of(message) },
				     ANALYTICS_REJECTED);
}

static enum sk_status on_payment_failed(struct sk_tx *tx, const struct sk_message *message,
					void *app)
{
	const Souk__Orders__V1__OrderPaymentFailed *event = (const void *)message->body;

	(void)app;
	return analytics_order_ended(tx,
				     &(struct analytics_sale) { .order_id = event->order_id,
								.currency = event->currency,
								.total = event->total_minor,
								.day = day_of(message) },
				     ANALYTICS_PAYMENT_FAILED);
}

static enum sk_status on_cancelled(struct sk_tx *tx, const struct sk_message *message, void *app)
{
	const Souk__Orders__V1__OrderCancelled *event = (const void *)message->body;

	(void)app;
	return analytics_order_ended(tx,
				     &(struct analytics_sale) { .order_id = event->order_id,
								.currency = event->currency,
								.total = event->total_minor,
								.day = day_of(message) },
				     ANALYTICS_CANCELLED);
}

static enum sk_status on_refunded(struct sk_tx *tx, const struct sk_message *message, void *app)
{
	const Souk__Orders__V1__OrderRefunded *event = (const void *)message->body;

	(void)app;
	return analytics_refunded(tx,
				  &(struct analytics_sale) { .order_id = event->order_id,
							     .currency = event->currency,
							     .day = day_of(message) },
				  event->refund_id, event->amount_minor);
}

static enum sk_status on_cart_opened(struct sk_tx *tx, const struct sk_message *message, void *app)
{
	(void)app;
	return analytics_count(tx, ANALYTICS_CART, day_of(message));
}

static enum sk_status on_item_added(struct sk_tx *tx, const struct sk_message *message, void *app)
{
	(void)app;
	return analytics_count(tx, ANALYTICS_ITEM_ADDED, day_of(message));
}

static const struct sk_handler ON_ORDER[] = {
	{ &souk__orders__v1__order_created__descriptor, on_created },
	{ &souk__orders__v1__order_paid__descriptor, on_paid },
	{ &souk__orders__v1__order_rejected__descriptor, on_rejected },
	{ &souk__orders__v1__order_payment_failed__descriptor, on_payment_failed },
	{ &souk__orders__v1__order_cancelled__descriptor, on_cancelled },
	{ &souk__orders__v1__order_refunded__descriptor, on_refunded },
	{ NULL, NULL },
};

static const struct sk_handler ON_CART[] = {
	{ &souk__carts__v1__cart_opened__descriptor, on_cart_opened },
	{ &souk__carts__v1__item_added__descriptor, on_item_added },
	{ NULL, NULL },
};

const struct sk_consumer ANALYTICS_CONSUMERS[] = {
	{ "analytics-orders", "orders", "orders.>", ON_ORDER },
	{ "analytics-carts", "carts", "carts.>", ON_CART },
	{ NULL, NULL, NULL, NULL },
};
