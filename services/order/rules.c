/* The rules of orders that need no store: who may see one, what it costs, what a step
 * changes in it, and how long an answer is waited for.
 *
 * What is owed (order_owed) is computed from the order itself, never remembered apart. So
 * whatever is lost between the services, a stream, a message, a process, the order still
 * knows which question has no answer yet, and the sweep asks it again. */
#include "order.h"

#include <sodium.h>
#include <string.h>

#define PATIENCE_MAX_MS ((int64_t)6 * 3600 * 1000) /* between two repetitions, in the end */
/* A deadline missed by more than this was missed by us (or the broker) being down. Nobody
 * could have answered, so it does not count against the step. */
#define OUTAGE_MS	((int64_t)60 * 1000)

/* ---- who may see it ---- */

bool order_may_see(const struct order_head *head, const struct sk_actor *actor,
		   const char *token_hash)
{
	size_t len = strlen(head->access_hash);

	if (actor->role >= SK_ROLE_STAFF)
		return true;
	if (*head->account_id != '\0' && strcmp(head->account_id, actor->account_id) == 0)
		return true;
	return token_hash != NULL && len > 0 && strlen(token_hash) == len &&
	       sodium_memcmp(head->access_hash, token_hash, len) == 0;
}

/* ---- words ---- */

static const char *const PAYMENT_NAMES[] = {
	[ORDER_PAYMENT_PENDING] = "pending",
	[ORDER_PAYMENT_CAPTURED] = "captured",
	[ORDER_PAYMENT_DENIED] = "failed",
};

const char *order_payment_name(enum order_payment payment)
{
	return PAYMENT_NAMES[payment];
}

/* The column's check allows no other word. */
enum order_payment order_payment_parse(const char *name)
{
	if (strcmp(name, PAYMENT_NAMES[ORDER_PAYMENT_CAPTURED]) == 0)
		return ORDER_PAYMENT_CAPTURED;
	return strcmp(name, PAYMENT_NAMES[ORDER_PAYMENT_DENIED]) == 0 ? ORDER_PAYMENT_DENIED
								      : ORDER_PAYMENT_PENDING;
}

static const char *const PARCEL_NAMES[ORDER_PARCELS] = {
	[ORDER_PARCEL_NONE] = "none",	      [ORDER_PARCEL_ASKED] = "asked",
	[ORDER_PARCEL_LABELLED] = "labelled", [ORDER_PARCEL_LEFT] = "left",
	[ORDER_PARCEL_VOIDED] = "voided",
};

const char *order_parcel_name(enum order_parcel parcel)
{
	return PARCEL_NAMES[parcel];
}

/* As for all columns of words: the check allows no other. */
enum order_parcel order_parcel_parse(const char *name)
{
	for (int i = 0; i < ORDER_PARCELS; i++)
		if (strcmp(PARCEL_NAMES[i], name) == 0)
			return (enum order_parcel)i;
	return ORDER_PARCEL_NONE;
}

static const char *const REFUND_STATE_NAMES[ORDER_REFUND_STATES] = {
	[ORDER_REFUND_REQUESTED] = "requested",
	[ORDER_REFUND_DONE] = "done",
	[ORDER_REFUND_REFUSED] = "failed",
};

const char *order_refund_state_name(enum order_refund_state state)
{
	return REFUND_STATE_NAMES[state];
}

enum order_refund_state order_refund_state_parse(const char *name)
{
	for (int i = 0; i < ORDER_REFUND_STATES; i++)
		if (strcmp(REFUND_STATE_NAMES[i], name) == 0)
			return (enum order_refund_state)i;
	return ORDER_REFUND_REQUESTED;
}

const char *order_payment_status(const struct order *order)
{
	bool ended = order->status == ORDER_CANCELLED || order->status == ORDER_REJECTED;

	if (order->payment != ORDER_PAYMENT_CAPTURED && ended)
		return "cancelled";
	if (order->payment != ORDER_PAYMENT_CAPTURED || order->refunded_minor == 0)
		return PAYMENT_NAMES[order->payment];
	return order->refunded_minor == order->total_minor ? "refunded" : "partially_refunded";
}

/* ---- what it costs ---- */

/* Everything ships free and prices include their tax, until a shop says otherwise. */
int64_t order_shipping_minor(const struct order_address *address, int64_t subtotal_minor)
{
	(void)address;
	(void)subtotal_minor;
	return 0;
}

int64_t order_tax_minor(const struct order_address *address, int64_t subtotal_minor)
{
	(void)address;
	(void)subtotal_minor;
	return 0;
}

enum sk_status order_total(struct order *order, struct sk_context *context)
{
	struct sk_money sum = sk_money_of(0, order->currency), line;
	enum sk_status st = SK_OK;

	for (int i = 0; i < order->lines_count && st == SK_OK; i++) {
		struct order_line *at = &order->lines[i];

		st = sk_money_times(sk_money_of(at->unit_price_minor, order->currency),
				    at->quantity, &line);
		if (st == SK_OK)
			st = sk_money_add(sum, line, &sum);
		if (st == SK_OK)
			at->line_total_minor = line.minor;
	}
	order->subtotal_minor = sum.minor;
	order->shipping_minor = order_shipping_minor(&order->address, sum.minor);
	order->tax_minor = order_tax_minor(&order->address, sum.minor);
	if (st == SK_OK)
		st = sk_money_add(sum, sk_money_of(order->shipping_minor, order->currency), &sum);
	if (st == SK_OK)
		st = sk_money_add(sum, sk_money_of(order->tax_minor, order->currency), &sum);
	order->total_minor = sum.minor;
	if (st != SK_OK)
		return sk_fail(context, SK_INVALID, "total_too_large",
			       "the order's total is more than can be paid");
	return SK_OK;
}

/* ---- what a step changes ---- */

static bool settle(struct order *order)
{
	bool changed = !order->stock_settled;

	order->stock_settled = true;
	return changed;
}

/* Money that was taken was taken, whatever is told late. */
static bool deny(struct order *order)
{
	bool changed = order->payment == ORDER_PAYMENT_PENDING;

	if (changed)
		order->payment = ORDER_PAYMENT_DENIED;
	return changed;
}

/* The goods are ours to give away: from here on a parcel is on order. */
static bool sell(struct order *order)
{
	if (order->status == ORDER_PAID && order->parcel == ORDER_PARCEL_NONE)
		order->parcel = ORDER_PARCEL_ASKED;
	return settle(order);
}

static bool label(struct order *order)
{
	bool changed = order->parcel == ORDER_PARCEL_NONE || order->parcel == ORDER_PARCEL_ASKED;

	if (changed)
		order->parcel = ORDER_PARCEL_LABELLED;
	return changed;
}

static bool leave(struct order *order)
{
	order->parcel = ORDER_PARCEL_LEFT;
	return true; /* shipped, then delivered: there is always something to record */
}

/* What left cannot be stopped any more, whoever says so. */
static bool stop(struct order *order)
{
	bool changed = order->parcel != ORDER_PARCEL_VOIDED && order->parcel != ORDER_PARCEL_LEFT;

	if (changed)
		order->parcel = ORDER_PARCEL_VOIDED;
	return changed;
}

static bool capture(struct order *order, const char *payment_id)
{
	bool changed = order->payment != ORDER_PAYMENT_CAPTURED;

	order->payment = ORDER_PAYMENT_CAPTURED;
	order->payment_id = payment_id;
	return changed;
}

static bool apply_fact(struct order *order, const struct order_fact *fact)
{
	switch (fact->event) {
	case ORDER_STOCK_SOLD:
		return sell(order);
	case ORDER_STOCK_REJECTED:
	case ORDER_STOCK_RELEASED:
		return settle(order);
	case ORDER_PAYMENT_CONFIRMED:
		return capture(order, fact->payment_id);
	case ORDER_PAYMENT_DECLINED:
	case ORDER_PAYMENT_CANCELLED:
		return deny(order);
	case ORDER_LABEL_CREATED:
		return label(order);
	case ORDER_PARCEL_SHIPPED:
	case ORDER_PARCEL_DELIVERED:
		return leave(order);
	case ORDER_LABEL_VOIDED:
		return stop(order);
	case ORDER_REFUND_ASKED:
		order->refund_requested_minor += fact->refund->amount_minor;
		return true;
	case ORDER_REFUNDED_PARTLY:
	case ORDER_REFUNDED_FULLY:
		order->refunded_minor += fact->refund->amount_minor;
		return true;
	case ORDER_REFUND_FAILED:
		order->refund_requested_minor -= fact->refund->amount_minor;
		return true;
	case ORDER_STOCK_EXPIRED: /* changes nothing, and is answered each time */
		return true;
	case ORDER_STOCK_RESERVED:
	case ORDER_CANCEL_ASKED:
	case ORDER_STEP_TIMED_OUT:
	case ORDER_EVENTS:
		break;
	}
	return false;
}

bool order_apply(struct order *order, const struct order_step *step, const struct order_fact *fact)
{
	/* These ask inventory for something new: what it answered before is of no account. */
	const unsigned asks = ORDER_SEND_PAID | ORDER_SEND_PAYMENT_FAILED | ORDER_SEND_CANCELLED |
			      ORDER_SEND_RECALL;
	bool moved = order->status != step->next;

	order->status = step->next;
	if (moved && fact->reason != NULL)
		order->reason = fact->reason;
	if (moved && (step->sends & asks) != 0)
		order->stock_settled = false;
	return apply_fact(order, fact) || moved;
}

unsigned order_recall(const struct order *order)
{
	switch (order->parcel) {
	case ORDER_PARCEL_NONE:
	case ORDER_PARCEL_VOIDED:
		return ORDER_SEND_RECALLED;
	case ORDER_PARCEL_ASKED:
	case ORDER_PARCEL_LABELLED:
		return ORDER_SEND_RECALL_REQUEST;
	case ORDER_PARCEL_LEFT:
	case ORDER_PARCELS:
		break;
	}
	return ORDER_SEND_NOTHING;
}

int64_t order_refundable_minor(const struct order *order)
{
	return order->payment == ORDER_PAYMENT_CAPTURED
		       ? order->total_minor - order->refund_requested_minor
		       : 0;
}

/* ---- what is still to be answered ---- */

static unsigned owed_by_paid(const struct order *order)
{
	if (!order->stock_settled)
		return ORDER_SEND_PAID;
	return order->parcel == ORDER_PARCEL_ASKED ? ORDER_SEND_SHIPMENT_REQUEST : 0;
}

/* Inventory and payment both answer a cancel. What was paid is called back instead. */
static unsigned owed_by_cancelled(const struct order *order)
{
	bool unpaid = order->parcel == ORDER_PARCEL_NONE &&
		      order->payment != ORDER_PAYMENT_CAPTURED;
	unsigned owed = order->payment == ORDER_PAYMENT_PENDING ? ORDER_SEND_CANCELLED : 0;

	if (!order->stock_settled)
		owed |= unpaid ? ORDER_SEND_CANCELLED : order_recall(order);
	return owed;
}

static unsigned owed_by_status(const struct order *order)
{
	switch (order->status) {
	case ORDER_PENDING:
		return ORDER_SEND_CREATED;
	case ORDER_RESERVED:
		return ORDER_SEND_PAYMENT_REQUEST;
	case ORDER_PAID:
		return owed_by_paid(order);
	case ORDER_SHIPPED:
	case ORDER_DELIVERED:
		return order->stock_settled ? 0 : ORDER_SEND_PAID;
	case ORDER_PAYMENT_FAILED:
		return order->stock_settled ? 0 : ORDER_SEND_PAYMENT_FAILED;
	case ORDER_CANCELLED:
		return owed_by_cancelled(order);
	case ORDER_REFUNDED:
		return order->stock_settled ? 0 : order_recall(order);
	case ORDER_REJECTED:
	case ORDER_STATUSES:
		break;
	}
	return 0;
}

unsigned order_owed(const struct order *order)
{
	unsigned refund = order->refund_requested_minor > order->refunded_minor
				  ? ORDER_SEND_REFUND_REQUEST
				  : 0;

	return owed_by_status(order) | refund;
}

static int64_t doubled_ms(int64_t base_ms, int times)
{
	while (times-- > 0 && base_ms < PATIENCE_MAX_MS)
		base_ms *= 2;
	return base_ms < PATIENCE_MAX_MS ? base_ms : PATIENCE_MAX_MS;
}

static bool may_time_out(const struct order *order)
{
	return order_next(order->status, ORDER_STEP_TIMED_OUT).verdict == ORDER_GO;
}

/* The sum of the waits before this many repetitions. */
static int64_t waited_ms(int attempts, const struct order_service *service)
{
	int64_t sum = 0;

	for (int i = 0; i < attempts && sum < service->step_timeout_ms; i++)
		sum += doubled_ms(service->resend_ms, i);
	return sum;
}

int64_t order_patience_ms(const struct order *order, int attempts,
			  const struct order_service *service)
{
	int64_t patience = doubled_ms(service->resend_ms, attempts);
	int64_t left = service->step_timeout_ms - waited_ms(attempts, service);

	return may_time_out(order) && left < patience ? left : patience;
}

enum order_look order_look_at(const struct order *order, const struct order_service *service)
{
	if (order->overdue_ms > OUTAGE_MS)
		return ORDER_LOOK_RESEND_UNCOUNTED;
	if (may_time_out(order) &&
	    waited_ms(order->attempts + 1, service) >= service->step_timeout_ms)
		return ORDER_LOOK_GIVE_UP;
	return ORDER_LOOK_RESEND;
}

/* ---- titles ---- */

const char *order_title(struct sk_arena *arena, const char *product, const char *variant)
{
	char *title = *variant == '\0' ? sk_arena_strdup(arena, product)
				       : sk_arena_printf(arena, "%s - %s", product, variant);
	size_t len = strlen(title);

	if (len > ORDER_TITLE_MAX_BYTES) {
		len = ORDER_TITLE_MAX_BYTES;
		while (len > 0 && ((unsigned char)title[len] & 0xC0) == 0x80)
			len--; /* not in the middle of a character */
		title[len] = '\0';
	}
	return title;
}
