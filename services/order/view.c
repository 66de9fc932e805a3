#include "order.h"

static void write_lines(struct sk_json *json, const struct order *order)
{
	sk_json_begin_array(json, "items");
	for (int i = 0; i < order->lines_count; i++) {
		const struct order_line *line = &order->lines[i];

		sk_json_begin_object(json, NULL);
		sk_json_text(json, "sku", line->sku);
		sk_json_text(json, "title", line->title);
		sk_json_int(json, "quantity", line->quantity);
		sk_json_money(json, "unit_price",
			      sk_money_of(line->unit_price_minor, order->currency));
		sk_json_money(json, "line_total",
			      sk_money_of(line->line_total_minor, order->currency));
		sk_json_end_object(json);
	}
	sk_json_end_array(json);
}

static void write_address(struct sk_json *json, const struct order_address *address)
{
	sk_json_begin_object(json, "shipping_address");
	sk_json_text(json, "name", address->name);
	sk_json_text(json, "line1", address->line1);
	sk_json_text(json, "line2", address->line2);
	sk_json_text(json, "city", address->city);
	sk_json_text(json, "postal_code", address->postal_code);
	sk_json_text(json, "country", address->country);
	sk_json_end_object(json);
}

static void write_shipments(struct sk_json *json, const struct order *order)
{
	sk_json_begin_array(json, "shipments");
	for (int i = 0; i < order->shipments_count; i++) {
		const struct order_shipment *shipment = &order->shipments[i];

		sk_json_begin_object(json, NULL);
		sk_json_text(json, "id", shipment->id);
		sk_json_text(json, "carrier", shipment->carrier);
		sk_json_text(json, "tracking_number", shipment->tracking_number);
		sk_json_text(json, "status", shipment->status);
		sk_json_end_object(json);
	}
	sk_json_end_array(json);
}

void order_write(struct sk_json *json, const char *key, const struct order *order,
		 const char *access_token)
{
	sk_json_begin_object(json, key);
	sk_json_text(json, "id", order->id);
	sk_json_text(json, "number", order->number);
	sk_json_text(json, "status", order_status_name(order->status));
	sk_json_text(json, "reason", *order->reason != '\0' ? order->reason : NULL);
	write_lines(json, order);
	sk_json_money(json, "subtotal", sk_money_of(order->subtotal_minor, order->currency));
	sk_json_money(json, "shipping", sk_money_of(order->shipping_minor, order->currency));
	sk_json_money(json, "tax", sk_money_of(order->tax_minor, order->currency));
	sk_json_money(json, "total", sk_money_of(order->total_minor, order->currency));
	sk_json_money(json, "refunded", sk_money_of(order->refunded_minor, order->currency));
	sk_json_text(json, "email", order->email);
	write_address(json, &order->address);
	sk_json_begin_object(json, "payment");
	sk_json_text(json, "status", order_payment_status(order));
	sk_json_end_object(json);
	write_shipments(json, order);
	sk_json_time(json, "created_at", order->created_us);
	sk_json_time(json, "updated_at", order->updated_us);
	if (access_token != NULL)
		sk_json_text(json, "access_token", access_token);
	sk_json_end_object(json);
}

void order_write_refund(struct sk_json *json, const char *order_id, const char *currency,
			const struct order_refund *refund)
{
	sk_json_begin_object(json, NULL);
	sk_json_text(json, "id", refund->id);
	sk_json_text(json, "order_id", order_id);
	sk_json_money(json, "amount", sk_money_of(refund->amount_minor, currency));
	sk_json_text(json, "reason", refund->reason);
	sk_json_text(json, "status", order_refund_state_name(refund->state));
	sk_json_text(json, "failure", *refund->failure != '\0' ? refund->failure : NULL);
	if (refund->created_us != 0)
		sk_json_time(json, "created_at", refund->created_us);
	sk_json_end_object(json);
}

const char *order_tag(struct sk_arena *arena, int64_t version)
{
	return sk_arena_printf(arena, "%lld", (long long)version);
}
