/* The kinds of messages, and what each event gives to write about. Pure: an event in, a
 * draft out. A unit test makes every event and fills every template with its draft, so a
 * placeholder that no handler gives is found before it is needed. */
#include "notification.h"

#include <assert.h>
#include <string.h>

#include "sk_message.h"
#include "souk/orders/v1/events.pb-c.h"
#include "souk/sessions/v1/events.pb-c.h"

const struct notification_kind_row NOTIFICATION_KIND_ROWS[NOTIFICATION_KINDS] = {
	[NOTIFICATION_WELCOME] = { "welcome", false, { "name", "email" } },
	[NOTIFICATION_ONE_TIME_CODE] = { "one_time_code", true, { "name", "code" } },
	[NOTIFICATION_PASSWORD_RESET] = { "password_reset", true, { "name", "token" } },
	[NOTIFICATION_PASSWORD_CHANGED] = { "password_changed", false, { "name" } },
	[NOTIFICATION_ORDER_CONFIRMATION] = { "order_confirmation",
					      false,
					      { "number", "total", "items", "subtotal", "shipping",
						"tax", "address" } },
	[NOTIFICATION_ORDER_REJECTED] = { "order_rejected",
					  false,
					  { "number", "total", "reason" } },
	[NOTIFICATION_PAYMENT_FAILED] = { "payment_failed",
					  false,
					  { "number", "total", "reason" } },
	[NOTIFICATION_ORDER_CANCELLED] = { "order_cancelled",
					   false,
					   { "number", "total", "reason" } },
	[NOTIFICATION_ORDER_SHIPPED] = { "order_shipped",
					 false,
					 { "number", "total", "carrier", "tracking_number" } },
	[NOTIFICATION_ORDER_DELIVERED] = { "order_delivered", false, { "number", "total" } },
	[NOTIFICATION_ORDER_REFUNDED] = { "order_refunded",
					  false,
					  { "number", "total", "amount" } },
};

bool notification_kind_is_secret(const char *name)
{
	for (int i = 0; i < NOTIFICATION_KINDS; i++)
		if (strcmp(NOTIFICATION_KIND_ROWS[i].name, name) == 0)
			return NOTIFICATION_KIND_ROWS[i].secret;
	return true;
}

/* ---- putting values into a draft ---- */

/* A text of several lines, made of clean parts. */
static void put_block(struct notification_draft *draft, const char *name, const char *text)
{
	assert(draft->values_count < NOTIFICATION_PLACEHOLDERS_MAX);
	draft->values[draft->values_count++] = (struct notification_value) { name, text };
}

static void put(struct sk_arena *arena, struct notification_draft *draft, const char *name,
		const char *text)
{
	put_block(draft, name, notification_one_line(arena, text));
}

static const char *money(struct sk_arena *arena, int64_t minor, const char *currency)
{
	char buffer[SK_MONEY_TEXT_BYTES];

	return sk_arena_strdup(arena, sk_money_format(sk_money_of(minor, currency), buffer));
}

/* What all events of an order have. */
struct order_facts {
	const char *order_id, *number, *email;
	int64_t total_minor;
	const char *currency;
};

static void put_order(struct sk_arena *arena, struct notification_draft *draft,
		      const struct order_facts *facts)
{
	draft->entity_id = facts->order_id;
	draft->order_id = facts->order_id;
	draft->recipient = facts->email;
	put(arena, draft, "number", facts->number);
	put(arena, draft, "total", money(arena, facts->total_minor, facts->currency));
}

/* ---- accounts: about the event itself, since an account may ask more than once ---- */

static void draft_registered(struct sk_arena *arena, const ProtobufCMessage *body,
			     struct notification_draft *draft)
{
	const Souk__Sessions__V1__AccountRegistered *account = (const void *)body;

	draft->recipient = account->email;
	put(arena, draft, "name", account->name);
	put(arena, draft, "email", account->email);
}

static void draft_code(struct sk_arena *arena, const ProtobufCMessage *body,
		       struct notification_draft *draft)
{
	const Souk__Sessions__V1__OtpRequested *request = (const void *)body;

	draft->recipient = request->email;
	draft->expires_at_us = request->expires_at_us;
	put(arena, draft, "name", request->name);
	put(arena, draft, "code", request->code);
}

static void draft_reset(struct sk_arena *arena, const ProtobufCMessage *body,
			struct notification_draft *draft)
{
	const Souk__Sessions__V1__PasswordResetRequested *request = (const void *)body;

	draft->recipient = request->email;
	draft->expires_at_us = request->expires_at_us;
	put(arena, draft, "name", request->name);
	put(arena, draft, "token", request->token);
}

static void draft_password(struct sk_arena *arena, const ProtobufCMessage *body,
			   struct notification_draft *draft)
{
	const Souk__Sessions__V1__PasswordChanged *changed = (const void *)body;

	draft->recipient = changed->email;
	put(arena, draft, "name", changed->name);
}

/* ---- orders ---- */

static const char *items_text(struct sk_arena *arena, const Souk__Orders__V1__OrderCreated *order)
{
	struct sk_buf text;

	sk_buf_init(&text, arena, NOTIFICATION_TEXT_MAX_BYTES);
	for (size_t i = 0; i < order->n_lines; i++) {
		const Souk__Orders__V1__Line *line = order->lines[i];

		sk_buf_printf(&text, "%s%lld x %s (%s): %s", i > 0 ? "\n" : "",
			      (long long)line->quantity, notification_one_line(arena, line->title),
			      line->sku, money(arena, line->line_total_minor, order->currency));
	}
	return sk_buf_text(&text);
}

static const char *address_text(struct sk_arena *arena, const Souk__Orders__V1__Address *address)
{
	const char *lines[] = {
		address->name,
		address->line1,
		address->line2,
		sk_arena_printf(arena, "%s %s", address->postal_code, address->city),
		address->country,
	};
	struct sk_buf text;

	sk_buf_init(&text, arena, NOTIFICATION_TEXT_MAX_BYTES);
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		if (*lines[i] != '\0')
			sk_buf_printf(&text, "%s%s", text.len > 0 ? "\n" : "",
				      notification_one_line(arena, lines[i]));
	return sk_buf_text(&text);
}

static void draft_created(struct sk_arena *arena, const ProtobufCMessage *body,
			  struct notification_draft *draft)
{
	const Souk__Orders__V1__OrderCreated *order = (const void *)body;
	struct order_facts facts = { order->order_id, order->number, order->email,
				     order->total_minor, order->currency };

	put_order(arena, draft, &facts);
	put_block(draft, "items", items_text(arena, order));
	put(arena, draft, "subtotal", money(arena, order->subtotal_minor, order->currency));
	put(arena, draft, "shipping", money(arena, order->shipping_minor, order->currency));
	put(arena, draft, "tax", money(arena, order->tax_minor, order->currency));
	put_block(draft, "address", address_text(arena, order->shipping_address));
}

static void draft_rejected(struct sk_arena *arena, const ProtobufCMessage *body,
			   struct notification_draft *draft)
{
	const Souk__Orders__V1__OrderRejected *order = (const void *)body;
	struct order_facts facts = { order->order_id, order->number, order->email,
				     order->total_minor, order->currency };

	put_order(arena, draft, &facts);
	put(arena, draft, "reason", order->reason);
}

static void draft_payment_failed(struct sk_arena *arena, const ProtobufCMessage *body,
				 struct notification_draft *draft)
{
	const Souk__Orders__V1__OrderPaymentFailed *order = (const void *)body;
	struct order_facts facts = { order->order_id, order->number, order->email,
				     order->total_minor, order->currency };

	put_order(arena, draft, &facts);
	put(arena, draft, "reason", order->reason);
}

static void draft_cancelled(struct sk_arena *arena, const ProtobufCMessage *body,
			    struct notification_draft *draft)
{
	const Souk__Orders__V1__OrderCancelled *order = (const void *)body;
	struct order_facts facts = { order->order_id, order->number, order->email,
				     order->total_minor, order->currency };

	put_order(arena, draft, &facts);
	put(arena, draft, "reason", order->reason);
}

static void draft_shipped(struct sk_arena *arena, const ProtobufCMessage *body,
			  struct notification_draft *draft)
{
	const Souk__Orders__V1__OrderShipped *order = (const void *)body;
	struct order_facts facts = { order->order_id, order->number, order->email,
				     order->total_minor, order->currency };

	put_order(arena, draft, &facts);
	put(arena, draft, "carrier", order->carrier);
	put(arena, draft, "tracking_number", order->tracking_number);
}

static void draft_delivered(struct sk_arena *arena, const ProtobufCMessage *body,
			    struct notification_draft *draft)
{
	const Souk__Orders__V1__OrderDelivered *order = (const void *)body;
	struct order_facts facts = { order->order_id, order->number, order->email,
				     order->total_minor, order->currency };

	put_order(arena, draft, &facts);
}

/* About the refund: an order may have several. */
static void draft_refunded(struct sk_arena *arena, const ProtobufCMessage *body,
			   struct notification_draft *draft)
{
	const Souk__Orders__V1__OrderRefunded *order = (const void *)body;
	struct order_facts facts = { order->order_id, order->number, order->email,
				     order->total_minor, order->currency };

	put_order(arena, draft, &facts);
	draft->entity_id = order->refund_id;
	put(arena, draft, "amount", money(arena, order->amount_minor, order->currency));
}

/* ---- which event is written about, as what ---- */

static const struct {
	const ProtobufCMessageDescriptor *type;
	enum notification_kind kind;
	void (*fill)(struct sk_arena *arena, const ProtobufCMessage *body,
		     struct notification_draft *draft);
} SOURCES[] = {
	{ &souk__sessions__v1__account_registered__descriptor, NOTIFICATION_WELCOME,
	  draft_registered },
	{ &souk__sessions__v1__otp_requested__descriptor, NOTIFICATION_ONE_TIME_CODE, draft_code },
	{ &souk__sessions__v1__password_reset_requested__descriptor, NOTIFICATION_PASSWORD_RESET,
	  draft_reset },
	{ &souk__sessions__v1__password_changed__descriptor, NOTIFICATION_PASSWORD_CHANGED,
	  draft_password },
	{ &souk__orders__v1__order_created__descriptor, NOTIFICATION_ORDER_CONFIRMATION,
	  draft_created },
	{ &souk__orders__v1__order_rejected__descriptor, NOTIFICATION_ORDER_REJECTED,
	  draft_rejected },
	{ &souk__orders__v1__order_payment_failed__descriptor, NOTIFICATION_PAYMENT_FAILED,
	  draft_payment_failed },
	{ &souk__orders__v1__order_cancelled__descriptor, NOTIFICATION_ORDER_CANCELLED,
	  draft_cancelled },
	{ &souk__orders__v1__order_shipped__descriptor, NOTIFICATION_ORDER_SHIPPED, draft_shipped },
	{ &souk__orders__v1__order_delivered__descriptor, NOTIFICATION_ORDER_DELIVERED,
	  draft_delivered },
	{ &souk__orders__v1__order_refunded__descriptor, NOTIFICATION_ORDER_REFUNDED,
	  draft_refunded },
};

bool notification_draft_of(struct sk_arena *arena, const ProtobufCMessage *body,
			   const char *event_id, struct notification_draft *draft)
{
	for (size_t i = 0; i < sizeof(SOURCES) / sizeof(SOURCES[0]); i++) {
		if (SOURCES[i].type != body->descriptor)
			continue;
		*draft = (struct notification_draft) {
			.kind = SOURCES[i].kind,
			.entity_id = event_id,
			.order_id = "",
		};
		SOURCES[i].fill(arena, body, draft);
		return true;
	}
	return false;
}
