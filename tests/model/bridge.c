/* What the model asks of the services: their own tables and rules, linked from their own objects.
 *
 * So the model cannot say one thing and the code another. What it repeats by hand is what
 * stands around the tables: which rows a step writes, and who hears which message. */
#include "words.h"

#include "../../services/inventory/inventory.h"
#include "../../services/order/order.h"
#include "../../services/payment/payment.h"
#include "../../services/shipping/shipping.h"

#include "bridge.h"

#define SAME(word, theirs) _Static_assert((int)(word) == (int)(theirs), #word)

SAME(O_PENDING, ORDER_PENDING);
SAME(O_RESERVED, ORDER_RESERVED);
SAME(O_PAID, ORDER_PAID);
SAME(O_SHIPPED, ORDER_SHIPPED);
SAME(O_DELIVERED, ORDER_DELIVERED);
SAME(O_REJECTED, ORDER_REJECTED);
SAME(O_PAYMENT_FAILED, ORDER_PAYMENT_FAILED);
SAME(O_CANCELLED, ORDER_CANCELLED);
SAME(O_REFUNDED, ORDER_REFUNDED);
SAME(HEARS_RESERVED, ORDER_STOCK_RESERVED);
SAME(HEARS_REJECTED, ORDER_STOCK_REJECTED);
SAME(HEARS_SOLD, ORDER_STOCK_SOLD);
SAME(HEARS_RELEASED, ORDER_STOCK_RELEASED);
SAME(HEARS_EXPIRED, ORDER_STOCK_EXPIRED);
SAME(HEARS_CONFIRMED, ORDER_PAYMENT_CONFIRMED);
SAME(HEARS_DECLINED, ORDER_PAYMENT_DECLINED);
SAME(HEARS_NOT_CHARGED, ORDER_PAYMENT_CANCELLED);
SAME(HEARS_LABEL, ORDER_LABEL_CREATED);
SAME(HEARS_SHIPPED, ORDER_PARCEL_SHIPPED);
SAME(HEARS_DELIVERED, ORDER_PARCEL_DELIVERED);
SAME(HEARS_VOIDED, ORDER_LABEL_VOIDED);
SAME(HEARS_CANCEL_ASKED, ORDER_CANCEL_ASKED);
SAME(HEARS_REFUND_ASKED, ORDER_REFUND_ASKED);
SAME(HEARS_REFUNDED_PARTLY, ORDER_REFUNDED_PARTLY);
SAME(HEARS_REFUNDED_FULLY, ORDER_REFUNDED_FULLY);
SAME(HEARS_REFUND_FAILED, ORDER_REFUND_FAILED);
SAME(M_PENDING, ORDER_PAYMENT_PENDING);
SAME(M_CAPTURED, ORDER_PAYMENT_CAPTURED);
SAME(M_DENIED, ORDER_PAYMENT_DENIED);
SAME(A_REQUESTED, ORDER_REFUND_REQUESTED);
SAME(A_DONE, ORDER_REFUND_DONE);
SAME(A_FAILED, ORDER_REFUND_REFUSED);
SAME(A_NONE, ORDER_REFUND_STATES);
SAME(G_NONE, INVENTORY_NONE);
SAME(G_RESERVED, INVENTORY_RESERVED);
SAME(G_REJECTED, INVENTORY_REJECTED);
SAME(G_RELEASED, INVENTORY_RELEASED);
SAME(G_SOLD, INVENTORY_SOLD);
SAME(G_EXPIRED, INVENTORY_EXPIRED);
SAME(G_CANCELLED_EARLY, INVENTORY_CANCELLED_EARLY);
SAME(G_HEARS_CREATED, INVENTORY_ORDER_CREATED);
SAME(G_HEARS_PAID, INVENTORY_ORDER_PAID);
SAME(G_HEARS_PAYMENT_FAILED, INVENTORY_ORDER_PAYMENT_FAILED);
SAME(G_HEARS_CANCELLED, INVENTORY_ORDER_CANCELLED);
SAME(G_HEARS_RECALLED, INVENTORY_ORDER_RECALLED);
SAME(G_HEARS_TIME_IS_UP, INVENTORY_TIME_IS_UP);
SAME(DO_REFUSE, INVENTORY_REFUSE);
SAME(DO_WAIT, INVENTORY_WAIT);
SAME(DO_DECIDE, INVENTORY_DECIDE);
SAME(DO_SELL, INVENTORY_SELL);
SAME(DO_TAKE, INVENTORY_TAKE);
SAME(DO_RELEASE, INVENTORY_RELEASE);
SAME(DO_RETURN, INVENTORY_RETURN);
SAME(DO_EXPIRE, INVENTORY_EXPIRE);
SAME(DO_CLOSE, INVENTORY_CLOSE);
SAME(DO_ENTOMB, INVENTORY_ENTOMB);
SAME(DO_ANSWER, INVENTORY_ANSWER);
SAME(DO_IGNORE, INVENTORY_IGNORE);
SAME(P_REQUESTED, PAYMENT_REQUESTED);
SAME(P_CHARGING, PAYMENT_CHARGING);
SAME(P_CAPTURED, PAYMENT_CAPTURED);
SAME(P_FAILED, PAYMENT_FAILED);
SAME(P_CANCELLED, PAYMENT_CANCELLED);
SAME(P_NONE, PAYMENT_STATES);
SAME(P_HEARS_ASKED, PAYMENT_ASKED);
SAME(P_HEARS_SUCCEEDED, PAYMENT_SUCCEEDED);
SAME(P_HEARS_DECLINED, PAYMENT_DECLINED);
SAME(P_HEARS_CANCELLED, PAYMENT_ORDER_CANCELLED);
SAME(R_REQUESTED, PAYMENT_REFUND_REQUESTED);
SAME(R_SENT, PAYMENT_REFUND_SENT);
SAME(R_DONE, PAYMENT_REFUND_DONE);
SAME(R_REFUSED, PAYMENT_REFUND_REFUSED);
SAME(R_NONE, PAYMENT_REFUND_STATES);
SAME(R_HEARS_ASKED, PAYMENT_REFUND_ASKED);
SAME(R_HEARS_SUCCEEDED, PAYMENT_REFUND_SUCCEEDED);
SAME(R_HEARS_DECLINED, PAYMENT_REFUND_DECLINED);
SAME(S_LABELLED, SHIPPING_LABEL_CREATED);
SAME(S_SHIPPED, SHIPPING_SHIPPED);
SAME(S_DELIVERED, SHIPPING_DELIVERED);
SAME(S_VOIDED, SHIPPING_VOIDED);
SAME(S_CANCELLED, SHIPPING_CANCELLED);
SAME(S_NONE, SHIPPING_STATES);
SAME(S_HEARS_REQUESTED, SHIPPING_REQUESTED);
SAME(S_HEARS_RECALLED, SHIPPING_RECALLED);
SAME(S_HEARS_SHIPPED, SHIPPING_PARCEL_SHIPPED);
SAME(S_HEARS_DELIVERED, SHIPPING_PARCEL_DELIVERED);
SAME(SAYS_REFUSE, PAYMENT_REFUSE);
SAME(SAYS_IGNORE, PAYMENT_IGNORE);
SAME(SAYS_ANSWER, PAYMENT_ANSWER);
SAME(SAYS_GO, PAYMENT_GO);
SAME(SAYS_REFUSE, SHIPPING_REFUSE);
SAME(SAYS_IGNORE, SHIPPING_IGNORE);
SAME(SAYS_ANSWER, SHIPPING_ANSWER);
SAME(SAYS_GO, SHIPPING_GO);
SAME(SAYS_THROUGH, SHIPPING_THROUGH);
SAME(ORDER_STATUSES, 9); /* the dimensions of struct model_tables */
SAME(ORDER_PARCELS, 5);
SAME(MODEL_TOTAL, 2);
SAME(ORDER_EVENTS, MODEL_ORDER_EVENTS);
SAME(INVENTORY_STATES, 7);
SAME(INVENTORY_EVENTS, 6);
SAME(INVENTORY_ACTIONS, 12);
SAME(PAYMENT_EVENTS, 4);
SAME(PAYMENT_REFUND_EVENTS, 3);
SAME(SHIPPING_EVENTS, 4);

/* ---- the order: workflow_table.c and rules.c ---- */

static struct order order_of(const struct model_order *model)
{
	return (struct order) {
		.status = (enum order_status)model->status,
		.parcel = (enum order_parcel)model->parcel,
		.stock_settled = model->settled,
		.payment = (enum order_payment)model->money,
		.payment_id = "",
		.refund_requested_minor = model->asked,
		.refunded_minor = model->back,
		.total_minor = MODEL_TOTAL,
	};
}

/* Who hears what the order sends. A refund's message is that of its slot. */
static int told_by(unsigned sends, int slot)
{
	static const struct {
		unsigned send;
		int messages;
	} TOLD[] = {
		{ ORDER_SEND_CREATED, TELL_CREATED },
		{ ORDER_SEND_PAYMENT_REQUEST, TELL_PAYMENT_REQUESTED },
		{ ORDER_SEND_PAID, TELL_PAID },
		{ ORDER_SEND_SHIPMENT_REQUEST, TELL_SHIPMENT_REQUESTED },
		{ ORDER_SEND_PAYMENT_FAILED, TELL_PAYMENT_FAILED },
		{ ORDER_SEND_CANCELLED, TELL_CANCELLED_TO_STOCK | TELL_CANCELLED_TO_MONEY },
		{ ORDER_SEND_RECALL_REQUEST, TELL_RECALL_REQUESTED },
		{ ORDER_SEND_RECALLED, TELL_RECALLED },
	};
	int told = (sends & ORDER_SEND_REFUND_REQUEST) != 0 ? TELL_REFUND_REQUESTED << slot : 0;

	for (size_t i = 0; i < sizeof(TOLD) / sizeof(*TOLD); i++)
		if ((sends & TOLD[i].send) != 0)
			told |= TOLD[i].messages;
	return told;
}

/* What go() of services/order/workflow.c does around the rules, without its rows. */
int model_order_hears(struct model_order *model, int event, int minor, int slot)
{
	const struct order_refund refund = { .amount_minor = minor };
	const struct order_fact fact = { .event = (enum order_event)event, .refund = &refund };
	struct order order = order_of(model);
	struct order_step step = order_next(order.status, fact.event);
	unsigned sends = step.sends;
	int64_t left;

	if (step.verdict != ORDER_GO || !order_apply(&order, &step, &fact))
		return 0;
	if ((sends & ORDER_SEND_RECALL) != 0)
		sends = (sends & ~(unsigned)ORDER_SEND_RECALL) | order_recall(&order);
	if ((sends & ORDER_SEND_REFUND_REQUEST) != 0 && fact.event != ORDER_REFUND_ASKED) {
		left = order_refundable_minor(&order);
		order.refund_requested_minor += left;
		if (left == 0)
			sends &= ~(unsigned)ORDER_SEND_REFUND_REQUEST;
	}
	*model = (struct model_order) {
		.status = (unsigned char)order.status,
		.parcel = (unsigned char)order.parcel,
		.settled = order.stock_settled,
		.money = (unsigned char)order.payment,
		.asked = (unsigned char)order.refund_requested_minor,
		.back = (unsigned char)order.refunded_minor,
	};
	return told_by(sends, slot);
}

/* ---- the tables of all four, spread out ---- */

struct model_tables MODEL;

static void fill_order(void)
{
	static const unsigned char SAYS[] = { [ORDER_REFUSE] = SAYS_REFUSE,
					      [ORDER_WAIT] = SAYS_WAIT,
					      [ORDER_IGNORE] = SAYS_IGNORE,
					      [ORDER_GO] = SAYS_GO };

	for (int status = 0; status < ORDER_STATUSES; status++)
		for (int event = 0; event < ORDER_EVENTS; event++)
			MODEL.order_would[status][event] =
				SAYS[order_next((enum order_status)status, (enum order_event)event)
					     .verdict];
}

/* All that an order can be, numbered. */
static void fill_owed(void)
{
	for (unsigned i = 0; i < sizeof(MODEL.order_owes) / sizeof(int); i++) {
		const struct model_order model = {
			.back = (unsigned char)(i % 3),
			.asked = (unsigned char)(i / 3 % 3),
			.money = (unsigned char)(i / 9 % 3),
			.settled = (unsigned char)(i / 27 % 2),
			.parcel = (unsigned char)(i / 54 % 5),
			.status = (unsigned char)(i / 270),
		};
		struct order order = order_of(&model);

		((int *)MODEL.order_owes)[i] = told_by(order_owed(&order), 0);
		((int *)MODEL.order_refundable)[i] = (int)order_refundable_minor(&order);
	}
}

static void fill_goods(void)
{
	static const int TOLD[] = {
		[INVENTORY_SAY_NOTHING] = 0,
		[INVENTORY_SAY_RESERVED] = TELL_RESERVED,
		[INVENTORY_SAY_REJECTED] = TELL_REJECTED,
		[INVENTORY_SAY_SOLD] = TELL_SOLD,
		[INVENTORY_SAY_RELEASED] = TELL_RELEASED,
		[INVENTORY_SAY_EXPIRED] = TELL_EXPIRED,
	};

	for (int state = 0; state < INVENTORY_STATES; state++) {
		for (int event = 0; event < INVENTORY_EVENTS; event++) {
			struct inventory_step step = inventory_next((enum inventory_state)state,
								    (enum inventory_event)event);

			MODEL.goods_do[state][event] = (unsigned char)step.action;
			MODEL.goods_answer[state][event] = TOLD[step.answer];
		}
	}
	for (int action = 0; action < INVENTORY_ACTIONS; action++) {
		struct inventory_change change = inventory_change_of((enum inventory_action)action);

		MODEL.on_hand[action] = change.on_hand_sign;
		MODEL.reserved[action] = change.reserved_sign;
	}
}

static void fill_payment(void)
{
	for (int state = 0; state < PAYMENT_STATES; state++) {
		for (int event = 0; event < PAYMENT_EVENTS; event++) {
			struct payment_step step = payment_next((enum payment_state)state,
								(enum payment_event)event);

			MODEL.payment_says[state][event] = (unsigned char)step.verdict;
			MODEL.payment_next[state][event] = (unsigned char)step.next;
		}
	}
	for (int state = 0; state < PAYMENT_REFUND_STATES; state++) {
		for (int event = 0; event < PAYMENT_REFUND_EVENTS; event++) {
			struct payment_refund_step step = payment_refund_next(
				(enum payment_refund_state)state, (enum payment_refund_event)event);

			MODEL.refund_says[state][event] = (unsigned char)step.verdict;
			MODEL.refund_next[state][event] = (unsigned char)step.next;
		}
	}
}

static void fill_refund_fits(void)
{
	for (int i = 0; i < PAYMENT_STATES * (MODEL_TOTAL + 1) * (MODEL_TOTAL + 1); i++) {
		int amount = i % (MODEL_TOTAL + 1),
		    others = i / (MODEL_TOTAL + 1) % (MODEL_TOTAL + 1);
		int state = i / (MODEL_TOTAL + 1) / (MODEL_TOTAL + 1);
		const struct payment payment = { .state = (enum payment_state)state,
						 .amount = { MODEL_TOTAL, "GBP" } };
		const struct sk_money refund = { amount, "GBP" };

		MODEL.refund_fits[state][others][amount] = payment_refund_fits(&payment, others,
									       &refund);
	}
}

static void fill_shipment(void)
{
	for (int state = 0; state < SHIPPING_STATES; state++) {
		for (int event = 0; event < SHIPPING_EVENTS; event++) {
			struct shipping_step step = shipping_next((enum shipping_state)state,
								  (enum shipping_event)event);

			MODEL.shipment_says[state][event] = (unsigned char)step.verdict;
			MODEL.shipment_next[state][event] = (unsigned char)step.next;
		}
	}
}

__attribute__((constructor)) static void fill(void)
{
	fill_order();
	fill_owed();
	fill_goods();
	fill_payment();
	fill_refund_fits();
	fill_shipment();
}
