/* An order's way as others may see it: what a step adds to the timeline, and how that reads.
 *
 * A moment is named after the event that was heard; where a person or the clock asked for the step,
 * after the event that was told of it. */
#include "order.h"

#include <string.h>

static const char *const EVENTS[ORDER_EVENTS] = {
	[ORDER_STOCK_RESERVED] = "inventory.reserved",
	[ORDER_STOCK_REJECTED] = "inventory.rejected",
	[ORDER_STOCK_SOLD] = "inventory.sold",
	[ORDER_STOCK_RELEASED] = "inventory.released",
	[ORDER_STOCK_EXPIRED] = "inventory.expired",
	[ORDER_PAYMENT_CONFIRMED] = "payments.confirmed",
	[ORDER_PAYMENT_DECLINED] = "payments.failed",
	[ORDER_PAYMENT_CANCELLED] = "payments.cancelled",
	[ORDER_LABEL_CREATED] = "shipments.label_created",
	[ORDER_PARCEL_SHIPPED] = "shipments.shipped",
	[ORDER_PARCEL_DELIVERED] = "shipments.delivered",
	[ORDER_LABEL_VOIDED] = "shipments.voided",
	[ORDER_CANCEL_ASKED] = "orders.cancelled",
	[ORDER_REFUND_ASKED] = "orders.refund_requested",
	[ORDER_REFUNDED_PARTLY] = "payments.refunded",
	[ORDER_REFUNDED_FULLY] = "payments.refunded",
	[ORDER_REFUND_FAILED] = "payments.refund_failed",
	[ORDER_STEP_TIMED_OUT] = "orders.cancelled",
};

/* ---- what a step adds ---- */

static const char *told_words(struct sk_arena *arena, unsigned sends)
{
	const char *told = "";

	for (unsigned send = 1; send <= sends; send <<= 1)
		if ((sends & send) != 0)
			told = sk_arena_printf(arena, "%s%s%s", told, *told != '\0' ? " " : "",
					       order_send_subject((enum order_sends)send));
	return told;
}

struct order_moment order_moment_placed(const struct order *order)
{
	return (struct order_moment) { .version = order->version,
				       .event = "orders.created",
				       .status = order_status_name(order->status),
				       .told = "orders.created",
				       .reason = "",
				       .carrier = "",
				       .tracking_number = "",
				       .amount_minor = order->total_minor };
}

static int64_t amount_of(const struct order *order, const struct order_fact *fact)
{
	if (fact->refund != NULL)
		return fact->refund->amount_minor;
	return fact->event == ORDER_PAYMENT_CONFIRMED ? order->total_minor : 0;
}

struct order_moment order_moment_of(struct sk_arena *arena, const struct order *order,
				    const struct order_fact *fact, unsigned sends)
{
	const struct order_shipment *shipment = fact->shipment;

	return (struct order_moment) {
		.version = order->version,
		.event = EVENTS[fact->event],
		.status = order_status_name(order->status),
		.told = told_words(arena, sends),
		.reason = fact->reason != NULL ? fact->reason : "",
		.carrier = shipment != NULL ? shipment->carrier : "",
		.tracking_number = shipment != NULL ? shipment->tracking_number : "",
		.amount_minor = amount_of(order, fact),
	};
}

/* ---- how it reads ---- */

static void write_told(struct sk_json *json, const char *told)
{
	struct sk_arena *arena = json->buf.arena;

	sk_json_begin_array(json, "told");
	while (*told != '\0') {
		size_t len = strcspn(told, " ");

		sk_json_text(json, NULL, sk_arena_memdup(arena, told, len));
		told += len + (told[len] == ' ');
	}
	sk_json_end_array(json);
}

static void write_text(struct sk_json *json, const char *key, const char *text)
{
	if (*text != '\0')
		sk_json_text(json, key, text);
}

void order_moment_write(struct sk_json *json, const struct order_moment *moment)
{
	sk_json_begin_object(json, NULL);
	sk_json_int(json, "version", moment->version);
	sk_json_time(json, "at", moment->at_us);
	sk_json_text(json, "event", moment->event);
	sk_json_text(json, "status", moment->status);
	write_told(json, moment->told);
	write_text(json, "reason", moment->reason);
	write_text(json, "carrier", moment->carrier);
	write_text(json, "tracking_number", moment->tracking_number);
	if (moment->amount_minor > 0)
		sk_json_money(json, "amount", sk_money_of(moment->amount_minor, moment->currency));
	sk_json_end_object(json);
}
