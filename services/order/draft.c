/* From what a shopper sends to a priced order: the body is decoded with all its errors at
 * once, the same SKU twice becomes one line, and every price is the price list's. The
 * body's expected_total is only compared, never believed. */
#include "order.h"

#include <stdlib.h>
#include <string.h>

#define TOKEN_MAX_BYTES 255 /* of a payment provider; as in PaymentRequested */

/* ---- decoding ---- */

static int by_sku(const void *a, const void *b)
{
	const struct order_item *first = a, *second = b;
	int order = strcmp(first->sku, second->sku);

	return order != 0 ? order : first->position - second->position;
}

static int by_position(const void *a, const void *b)
{
	const struct order_item *first = a, *second = b;

	return first->position - second->position;
}

/* The same SKU twice is one line, in the place of the first. */
static void merge_items(struct order_draft *draft)
{
	struct order_item *items = draft->items;
	int kept = 0;

	if (draft->count < 2)
		return;
	qsort(items, (size_t)draft->count, sizeof(*items), by_sku);
	for (int i = 1; i < draft->count; i++) {
		if (strcmp(items[kept].sku, items[i].sku) == 0)
			items[kept].quantity += items[i].quantity;
		else
			items[++kept] = items[i];
	}
	draft->count = kept + 1;
	qsort(items, (size_t)draft->count, sizeof(*items), by_position);
}

static void decode_items(struct sk_fields *fields, struct sk_arena *arena,
			 struct order_draft *draft)
{
	int count = sk_field_array(fields, "items", 1, ORDER_ITEMS_MAX, SK_FIELD_REQUIRED);

	draft->items = sk_arena_array(arena, (size_t)count + 1, sizeof(*draft->items));
	draft->count = 0;
	for (int i = 0; i < count; i++) {
		struct sk_fields item = sk_field_element(fields, "items", i);
		struct order_item *at = &draft->items[draft->count];

		if (item.object == NULL)
			continue;
		at->position = i;
		at->sku = sk_field_sku(&item, "sku", SK_FIELD_REQUIRED);
		at->quantity = sk_field_int(&item, "quantity", 1, ORDER_QUANTITY_MAX,
					    SK_FIELD_REQUIRED, 1);
		if (at->sku != NULL)
			draft->count++;
	}
	merge_items(draft);
	for (int i = 0; i < draft->count; i++) {
		struct sk_fields item;

		if (draft->items[i].quantity <= ORDER_QUANTITY_MAX)
			continue;
		item = sk_field_element(fields, "items", draft->items[i].position);
		sk_field_reject(&item, "quantity", "is too much of one SKU in all");
	}
}

static const char *or_empty(const char *text)
{
	return text != NULL ? text : "";
}

static void decode_address(struct sk_fields *fields, struct order_address *address)
{
	struct sk_fields object = sk_field_object(fields, "shipping_address", SK_FIELD_REQUIRED);
	bool coded;

	address->name = sk_field_text(&object, "name", 1, 200, SK_FIELD_REQUIRED);
	address->line1 = sk_field_text(&object, "line1", 1, 200, SK_FIELD_REQUIRED);
	address->line2 = or_empty(sk_field_text(&object, "line2", 0, 200, SK_FIELD_OPTIONAL));
	address->city = sk_field_text(&object, "city", 1, 100, SK_FIELD_REQUIRED);
	address->country = sk_field_text(&object, "country", 2, 2, SK_FIELD_REQUIRED);
	if (address->country != NULL && !order_country_known(address->country))
		sk_field_reject(&object, "country",
				"must be a country of ISO 3166, as two capital letters");
	coded = address->country == NULL || order_country_has_postal_codes(address->country);
	address->postal_code = or_empty(
		sk_field_text(&object, "postal_code", coded ? 1 : 0, 32,
			      coded ? SK_FIELD_REQUIRED : SK_FIELD_OPTIONAL));
}

/* Whether name is one of the list "a,b,c". */
static bool listed(const char *list, const char *name)
{
	size_t len = strlen(name);

	for (; *list != '\0'; list += strcspn(list, ","), list += *list == ',')
		if (strcspn(list, ",") == len && strncmp(list, name, len) == 0)
			return true;
	return false;
}

static void decode_payment(struct sk_fields *fields, const char *providers,
			   struct order_draft *draft)
{
	struct sk_fields object = sk_field_object(fields, "payment", SK_FIELD_REQUIRED);

	draft->provider = sk_field_text(&object, "provider", 1, 32, SK_FIELD_REQUIRED);
	draft->token = sk_field_text(&object, "token", 1, TOKEN_MAX_BYTES, SK_FIELD_REQUIRED);
	if (draft->provider != NULL && !listed(providers, draft->provider))
		sk_field_reject(&object, "provider", "is not a provider of this shop");
}

enum sk_status order_draft_decode(struct sk_fields *fields, struct sk_context *context,
				  const char *providers, struct order_draft *draft)
{
	const struct sk_actor *actor = &context->actor;

	*draft = (struct order_draft) { .count = 0 };
	decode_items(fields, context->arena, draft);
	decode_address(fields, &draft->address);
	decode_payment(fields, providers, draft);
	draft->total_expected = sk_field_money(fields, "expected_total", SK_FIELD_OPTIONAL,
					       &draft->expected_total);
	/* Who is logged in is written to at the account's address and at no other. */
	draft->email = *actor->account_id != '\0'
			       ? actor->email
			       : sk_field_email(fields, "email", SK_FIELD_REQUIRED);
	return sk_fields_finish(fields, context);
}

enum sk_status order_refund_decode(struct sk_fields *fields, struct sk_context *context,
				   struct sk_money *amount, const char **reason)
{
	*amount = (struct sk_money) { .minor = 0 };
	*reason = sk_field_text(fields, "reason", 1, ORDER_REASON_MAX_BYTES, SK_FIELD_REQUIRED);
	if (sk_field_money(fields, "amount", SK_FIELD_OPTIONAL, amount) && amount->minor == 0)
		sk_field_reject(fields, "amount", "must be more than nothing");
	return sk_fields_finish(fields, context);
}

/* ---- pricing ---- */

static enum sk_status reject_unknown(struct sk_fields *fields, struct sk_context *context,
				     const struct order_draft *draft,
				     const struct order_price *prices)
{
	const char *unknown = NULL;

	for (int i = 0; i < draft->count; i++) {
		struct sk_fields item;

		if (prices[i].active)
			continue;
		item = sk_field_element(fields, "items", draft->items[i].position);
		sk_field_reject(&item, "sku", "is not sold here");
		if (unknown == NULL)
			unknown = draft->items[i].sku;
	}
	if (unknown == NULL)
		return SK_OK;
	return sk_fail(context, SK_INVALID, "unknown_sku", "%s is not sold here", unknown);
}

static enum sk_status reject_mixed(struct sk_fields *fields, struct sk_context *context,
				   const struct order_draft *draft,
				   const struct order_price *prices)
{
	for (int i = 1; i < draft->count; i++) {
		struct sk_fields item;

		if (strcmp(prices[i].price.currency, prices[0].price.currency) == 0)
			continue;
		item = sk_field_element(fields, "items", draft->items[i].position);
		sk_field_reject(&item, "sku", "has another currency than the first item");
		return sk_fail(context, SK_INVALID, "mixed_currencies",
			       "an order is paid in one currency");
	}
	return SK_OK;
}

static void make_lines(struct sk_arena *arena, const struct order_draft *draft,
		       const struct order_price *prices, struct order *order)
{
	order->lines_count = draft->count;
	order->lines = sk_arena_array(arena, (size_t)draft->count, sizeof(*order->lines));
	for (int i = 0; i < draft->count; i++)
		order->lines[i] = (struct order_line) {
			.sku = draft->items[i].sku,
			.product_id = prices[i].product_id,
			.title = prices[i].title,
			.quantity = draft->items[i].quantity,
			.unit_price_minor = prices[i].price.minor,
		};
}

enum sk_status order_draft_price(struct sk_fields *fields, struct sk_context *context,
				 const struct order_draft *draft, const struct order_price *prices,
				 struct order *order)
{
	char total[SK_MONEY_TEXT_BYTES];
	enum sk_status st = reject_unknown(fields, context, draft, prices);

	if (st == SK_OK)
		st = reject_mixed(fields, context, draft, prices);
	if (st != SK_OK)
		return st;
	order->currency = prices[0].price.currency;
	order->address = draft->address;
	make_lines(context->arena, draft, prices, order);
	st = order_total(order, context);
	if (st != SK_OK || !draft->total_expected)
		return st;
	if (draft->expected_total.minor != order->total_minor ||
	    strcmp(draft->expected_total.currency, order->currency) != 0)
		return sk_fail(
			context, SK_CONFLICT, "price_changed",
			"the order's total is %s now, not what was expected",
			sk_money_format(sk_money_of(order->total_minor, order->currency), total));
	return SK_OK;
}
