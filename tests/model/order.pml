/* The order workflow with its failures: order, inventory, payment, shipping, and those around them.
 *
 * What each does about an event is not written here: it is asked of the services' own tables and
 * rules (bridge.c). Here is what stands around them: which rows a step writes, who hears what, and
 * everything that can go wrong. README.md says what is proved, and what the model leaves out.
 *
 * One process is one order with all that the four services know of it; a step of a service is
 * atomic, as its transaction is (rows, outbox and inbox in one commit). Messages are a set: they
 * arrive in any order and as late as can be, twice (dups) or never (losses). A crash before a commit
 * changes nothing, and after it nothing that a message which comes twice would not. */
#include "words.h"

#ifndef ORDERS
#define ORDERS 1
#endif
#ifndef STOCK
#define STOCK 2 /* pieces */
#endif
#ifndef WANTED
#define WANTED 1 /* pieces that each order wants */
#endif
#ifndef CANCELS
#define CANCELS 1 /* orders that somebody may cancel, at any moment that allows it */
#endif
#ifndef STAFF
#define STAFF 0 /* refunds that staff may ask for, of a part or of all */
#endif
#ifndef DECLINES
#define DECLINES 1
#endif
#ifndef REFUSALS
#define REFUSALS 0 /* refunds that the provider may refuse for ever */
#endif
#ifndef EXPIRIES
#define EXPIRIES 0 /* reservations whose time may be up, at any moment */
#endif
#ifndef OTHERS
#define OTHERS 0 /* pieces that others may buy */
#endif
#ifndef DUPS
#define DUPS 0
#endif
#ifndef LOSSES
#define LOSSES 0
#endif

c_decl {
	\#include "bridge.h"

	static int told, before;

	\#define ORDER(p) { (p)->status, (p)->parcel, (p)->settled, (p)->money, (p)->asked, (p)->back }
};

/* The stock, one SKU, and how often each thing may still happen. */
short on_hand = STOCK, reserved = 0;
byte gone = 0;   /* pieces that left the house */
byte bought = 0; /* by others */
byte cancels = CANCELS, staff = STAFF, declines = DECLINES, refusals = REFUSALS, expiries = EXPIRIES;
byte others = OTHERS, dups = DUPS, losses = LOSSES;

/* ---- messages ---- */

/* The message is handled; it may stay to come once more, or be lost instead. */
#define FATE(message)                                                                                \
	if                                                                                           \
	:: net = net & ~(message); heard = true                                                      \
	:: dups > 0 -> dups--; heard = true                                                          \
	:: losses > 0 -> losses--; net = net & ~(message); lost = true                               \
	fi

/* What shipping tells by itself: its outbox keeps it, and nobody would ask for it. */
#define FATE_WITHOUT_LOSS(message)                                                                   \
	if                                                                                           \
	:: net = net & ~(message); heard = true                                                      \
	:: dups > 0 -> dups--; heard = true                                                          \
	fi

#define IF_HEARD(what)                                                                               \
	if                                                                                           \
	:: heard -> heard = false; what                                                              \
	:: else                                                                                      \
	fi

/* ---- the order ---- */

#define WOULD(event) c_expr { MODEL.order_would[Porder->status][event] }

/* A step of the order. What it asks back by itself goes into the first slot. */
#define HEAR(event, minor, slot)                                                                     \
	c_code {                                                                                     \
		struct model_order order = ORDER(Porder);                                            \
		before = order.asked;                                                                \
		told = model_order_hears(&order, event, minor, slot);                                \
		Porder->status = order.status;                                                       \
		Porder->parcel = order.parcel;                                                       \
		Porder->settled = order.settled;                                                     \
		Porder->money = order.money;                                                         \
		Porder->asked = order.asked;                                                         \
		Porder->back = order.back;                                                           \
		Porder->net |= told;                                                                 \
	};                                                                                           \
	if                                                                                           \
	:: event != HEARS_REFUND_ASKED && c_expr { told & TELL_REFUND_REQUESTED } ->          \
		assert(mine[0] == A_NONE); /* its id follows from the order: once only */            \
		mine[0] = A_REQUESTED;                                                               \
		c_code { Porder->amount[0] = Porder->asked - before; }                               \
	:: else                                                                                      \
	fi

/* A message that contradicts becomes a dead letter: there must be none. */
#define ANSWERED(message, event)                                                                     \
	atomic { (net & message) && WOULD(event) != SAYS_WAIT ->                                     \
		FATE(message);                                                                       \
		IF_HEARD(assert(WOULD(event) != SAYS_REFUSE); HEAR(event, 0, 0)) }

#define TOLD_BY_SHIPPING(message, event)                                                             \
	atomic { (net & message) && WOULD(event) != SAYS_WAIT ->                                     \
		FATE_WITHOUT_LOSS(message);                                                          \
		IF_HEARD(assert(WOULD(event) != SAYS_REFUSE); HEAR(event, 0, 0)) }

/* on_refunded and on_refund_failed. */
#define PAID_BACK(slot)                                                                              \
	atomic { (net & (TELL_REFUNDED << slot)) ->                                                  \
		FATE((TELL_REFUNDED << slot));                                                       \
		IF_HEARD(                                                                            \
			assert(mine[slot] == A_REQUESTED || mine[slot] == A_DONE);                   \
			if                                                                           \
			:: mine[slot] == A_REQUESTED && back + amount[slot] == MODEL_TOTAL ->        \
				mine[slot] = A_DONE;                                                 \
				assert(WOULD(HEARS_REFUNDED_FULLY) == SAYS_GO);                      \
				HEAR(HEARS_REFUNDED_FULLY, Porder->amount[slot], 0)                  \
			:: mine[slot] == A_REQUESTED && back + amount[slot] != MODEL_TOTAL ->        \
				mine[slot] = A_DONE;                                                 \
				assert(WOULD(HEARS_REFUNDED_PARTLY) == SAYS_GO);                     \
				HEAR(HEARS_REFUNDED_PARTLY, Porder->amount[slot], 0)                 \
			:: else                                                                      \
			fi) }

#define NOT_PAID_BACK(slot)                                                                          \
	atomic { (net & (TELL_REFUND_FAILED << slot)) ->                                             \
		FATE((TELL_REFUND_FAILED << slot));                                                  \
		IF_HEARD(                                                                            \
			assert(mine[slot] == A_REQUESTED || mine[slot] == A_FAILED);                 \
			if                                                                           \
			:: mine[slot] == A_REQUESTED ->                                              \
				mine[slot] = A_FAILED;                                               \
				assert(WOULD(HEARS_REFUND_FAILED) == SAYS_GO);                       \
				HEAR(HEARS_REFUND_FAILED, Porder->amount[slot], 0)                   \
			:: else                                                                      \
			fi) }

#define OF_IT [Porder->status][Porder->parcel][Porder->settled][Porder->money][Porder->asked][Porder->back]
#define OWES c_expr { MODEL.order_owes OF_IT }
#define LEFT_TO_REFUND c_expr { MODEL.order_refundable OF_IT }

/* The sweep. It is modelled where nothing is under way any more (an earlier repetition is a message
 * that comes twice). Nothing was lost, and the same is asked once more: then it is asked for ever. */
#define SWEEP                                                                                        \
	atomic { net == 0 && !charging && !refunding && OWES != 0 ->                                 \
		assert(lost || asked_for != OWES);                                                   \
		asked_for = OWES;                                                                    \
		lost = false;                                                                        \
		net = net | (asked_for & ~TELL_REFUND_REQUESTED);                                    \
		if :: mine[0] == A_REQUESTED -> net = net | TELL_REFUND_REQUESTED :: else fi;        \
		if :: mine[1] == A_REQUESTED -> net = net | (TELL_REFUND_REQUESTED << 1) :: else fi }

/* ---- inventory: reserving.c ---- */

#define CHANGE(action)                                                                               \
	c_code { now.on_hand += MODEL.on_hand[action] * WANTED;                                      \
		 now.reserved += MODEL.reserved[action] * WANTED; };                                 \
	assert(reserved >= 0 && reserved <= on_hand)

#define GOODS(state, message) goods = state; net = net | message

#define DECIDE(action, state, message)                                                               \
	if                                                                                           \
	:: on_hand - reserved >= WANTED -> CHANGE(action); GOODS(state, message)                     \
	:: else -> GOODS(G_REJECTED, TELL_REJECTED)                                                  \
	fi

#ifdef BUG_RETURN_AT_CANCEL
#define GOODS_DO(event) (goods == G_SOLD && event == G_HEARS_CANCELLED -> DO_RETURN : c_expr { MODEL.goods_do[Porder->goods][event] })
#else
#ifdef BUG_EXPIRED_IS_SOLD
#define GOODS_DO(event) (goods == G_EXPIRED && event == G_HEARS_PAID -> DO_SELL : c_expr { MODEL.goods_do[Porder->goods][event] })
#else
#define GOODS_DO(event) c_expr { MODEL.goods_do[Porder->goods][event] }
#endif
#endif

#define GOODS_HEAR(event)                                                                            \
	does = GOODS_DO(event);                                                                      \
	assert(does != DO_REFUSE);                                                                   \
	if                                                                                           \
	:: does == DO_DECIDE -> DECIDE(DO_DECIDE, G_RESERVED, TELL_RESERVED)                         \
	:: does == DO_TAKE -> DECIDE(DO_TAKE, G_SOLD, TELL_SOLD)                                     \
	:: does == DO_SELL -> CHANGE(DO_SELL); GOODS(G_SOLD, TELL_SOLD)                              \
	:: does == DO_RELEASE -> CHANGE(DO_RELEASE); GOODS(G_RELEASED, TELL_RELEASED)                \
	:: does == DO_RETURN -> CHANGE(DO_RETURN); GOODS(G_RELEASED, TELL_RELEASED)                  \
	:: does == DO_EXPIRE -> CHANGE(DO_EXPIRE); GOODS(G_EXPIRED, TELL_EXPIRED)                    \
	:: does == DO_CLOSE -> GOODS(G_RELEASED, TELL_RELEASED)                                      \
	:: does == DO_ENTOMB -> GOODS(G_CANCELLED_EARLY, TELL_RELEASED)                              \
	:: does == DO_ANSWER -> c_code { Porder->net |= MODEL.goods_answer[Porder->goods][event]; }  \
	:: does == DO_IGNORE                                                                         \
	fi;                                                                                          \
	does = 0

#define TO_GOODS(message, event)                                                                     \
	atomic { (net & message) && c_expr { MODEL.goods_do[Porder->goods][event] } != DO_WAIT ->    \
		FATE(message);                                                                       \
		IF_HEARD(GOODS_HEAR(event)) }

/* ---- payment: workflow.c, charging.c, and its provider ---- */

#define charging (pay == P_REQUESTED || pay == P_CHARGING)
#define refunding (theirs[0] == R_REQUESTED || theirs[1] == R_REQUESTED)
#define captured (pay == P_CAPTURED)

#define TELL_PAYMENT                                                                                 \
	if                                                                                           \
	:: pay == P_CAPTURED -> net = net | TELL_CONFIRMED                                           \
	:: pay == P_FAILED -> net = net | TELL_DECLINED                                              \
	:: pay == P_CANCELLED -> net = net | TELL_NOT_CHARGED                                        \
	:: else                                                                                      \
	fi

#define PAYMENT_HEAR(event)                                                                          \
	does = c_expr { MODEL.payment_says[Porder->pay][event] };                                    \
	assert(does != SAYS_REFUSE);                                                                 \
	if                                                                                           \
	:: does == SAYS_GO -> pay = c_expr { MODEL.payment_next[Porder->pay][event] }; TELL_PAYMENT  \
	:: does == SAYS_ANSWER -> TELL_PAYMENT                                                       \
	:: does == SAYS_IGNORE                                                                       \
	fi;                                                                                          \
	does = 0

#define TELL_REFUND(slot)                                                                            \
	if                                                                                           \
	:: theirs[slot] == R_DONE -> net = net | (TELL_REFUNDED << slot)                             \
	:: theirs[slot] == R_REFUSED -> net = net | (TELL_REFUND_FAILED << slot)                     \
	:: else                                                                                      \
	fi

/* What does not fit is a contradiction, and there must be none. */
#define TO_REFUNDS(slot)                                                                             \
	atomic { (net & (TELL_REFUND_REQUESTED << slot)) && !charging && pay != P_NONE ->            \
		FATE((TELL_REFUND_REQUESTED << slot));                                               \
		IF_HEARD(                                                                            \
			assert(captured);                                                            \
			if                                                                           \
			:: theirs[slot] == R_NONE ->                                                 \
				taken = (theirs[1 - slot] == R_NONE || theirs[1 - slot] == R_REFUSED -> 0 : amount[1 - slot]); \
				assert(c_expr { MODEL.refund_fits[Porder->pay][Porder->taken][Porder->amount[slot]] }); \
				taken = 0;                                                           \
				theirs[slot] = R_REQUESTED                                           \
			:: else ->                                                                   \
				assert(c_expr { MODEL.refund_says[Porder->theirs[slot]][R_HEARS_ASKED] } != SAYS_REFUSE); \
				TELL_REFUND(slot)                                                    \
			fi) }

/* The provider's word, and what payment does about it. */
#define PROVIDER_REFUNDS(slot)                                                                       \
	atomic { theirs[slot] == R_REQUESTED ->                                                      \
		if                                                                                   \
		:: theirs[slot] = c_expr { MODEL.refund_next[R_SENT][R_HEARS_SUCCEEDED] };           \
		   paid_back = paid_back + amount[slot]                                              \
		:: refusals > 0 -> refusals--; refused = true;                                       \
		   theirs[slot] = c_expr { MODEL.refund_next[R_SENT][R_HEARS_DECLINED] }             \
		fi;                                                                                  \
		TELL_REFUND(slot) }

/* ---- shipping: workflow.c, and its carrier ---- */

#define TELL_SHIPMENT                                                                                \
	if                                                                                           \
	:: ship == S_LABELLED -> net = net | TELL_LABEL                                              \
	:: ship == S_SHIPPED -> net = net | TELL_LABEL | TELL_SHIPPED                                \
	:: ship == S_DELIVERED -> net = net | TELL_LABEL | TELL_SHIPPED | TELL_DELIVERED             \
	:: ship == S_VOIDED -> net = net | TELL_LABEL | TELL_VOIDED                                  \
	:: ship == S_CANCELLED -> net = net | TELL_VOIDED                                            \
	fi

#define SHIPMENT_HEAR(event)                                                                         \
	does = c_expr { MODEL.shipment_says[Porder->ship][event] };                                  \
	assert(does != SAYS_REFUSE);                                                                 \
	if                                                                                           \
	:: does == SAYS_GO -> ship = c_expr { MODEL.shipment_next[Porder->ship][event] };            \
		if                                                                                   \
		:: ship == S_SHIPPED -> net = net | TELL_SHIPPED                                     \
		:: ship == S_DELIVERED -> net = net | TELL_DELIVERED                                 \
		:: ship == S_VOIDED -> net = net | TELL_VOIDED                                       \
		fi                                                                                   \
	:: does == SAYS_ANSWER -> TELL_SHIPMENT                                                      \
	:: does == SAYS_IGNORE                                                                       \
	fi;                                                                                          \
	does = 0

/* ---- what must hold when nothing can happen any more ---- */

#define ENDED (status == O_DELIVERED || status == O_REJECTED || status == O_PAYMENT_FAILED ||        \
	       status == O_CANCELLED || status == O_REFUNDED)

#define AT_THE_END                                                                                   \
	/* no order is stuck, and none holds what it does not need */                                \
	assert(ENDED && net == 0 && OWES == 0);                                                      \
	assert(goods != G_RESERVED);                                                                 \
	/* the stock is what was there, less what left the house */                                  \
	assert((goods == G_SOLD) == left);                                                           \
	assert(reserved == 0 && on_hand == STOCK - bought - gone);                                   \
	/* both sides say the same of the money */                                                   \
	assert((money == M_CAPTURED) == captured && back == paid_back && asked == back);             \
	/* it went back where it was taken and nothing left, or the provider refuses to */           \
	assert(!captured || left || paid_back == MODEL_TOTAL || refused);                            \
	assert(!captured || status != O_CANCELLED || paid_back == MODEL_TOTAL || refused);           \
	/* and nowhere else, unless staff wanted it */                                               \
	assert(status != O_DELIVERED || (left && captured && (paid_back == 0 || wanted)));           \
	assert(status != O_REFUNDED || paid_back == MODEL_TOTAL);                                    \
	assert(captured || paid_back == 0)

active [ORDERS] proctype order()
{
	byte status = O_PENDING, parcel = 0, money = M_PENDING, asked = 0, back = 0;
	bool settled = false;
	byte goods = G_NONE, pay = P_NONE, ship = S_NONE;
	byte amount[2] = 0, mine[2] = A_NONE, theirs[2] = R_NONE;
	int net = TELL_CREATED; /* the messages under way */
	int asked_for = 0;      /* by the last sweep */
	bool lost = false;      /* something, since then */
	bool left = false;      /* the parcel has left the house */
	bool refused = false, wanted = false;
	byte paid_back = 0;
	/* of one step only */
	bool heard = false;
	byte does = 0, taken = 0;

	do
	/* the order hears */
	:: ANSWERED(TELL_RESERVED, HEARS_RESERVED)
	:: ANSWERED(TELL_REJECTED, HEARS_REJECTED)
	:: ANSWERED(TELL_SOLD, HEARS_SOLD)
	:: ANSWERED(TELL_RELEASED, HEARS_RELEASED)
	:: ANSWERED(TELL_EXPIRED, HEARS_EXPIRED)
	:: ANSWERED(TELL_CONFIRMED, HEARS_CONFIRMED)
#ifdef BUG_DROP_LATE_MONEY
	:: atomic { (net & TELL_CONFIRMED) && status == O_CANCELLED -> net = net & ~TELL_CONFIRMED }
#endif
	:: ANSWERED(TELL_DECLINED, HEARS_DECLINED)
	:: ANSWERED(TELL_NOT_CHARGED, HEARS_NOT_CHARGED)
	:: ANSWERED(TELL_LABEL, HEARS_LABEL)
	:: TOLD_BY_SHIPPING(TELL_SHIPPED, HEARS_SHIPPED)
	:: TOLD_BY_SHIPPING(TELL_DELIVERED, HEARS_DELIVERED)
	:: ANSWERED(TELL_VOIDED, HEARS_VOIDED)
	:: PAID_BACK(0)
	:: PAID_BACK(1)
	:: NOT_PAID_BACK(0)
	:: NOT_PAID_BACK(1)
#ifndef BUG_NO_SWEEP
	:: SWEEP
#endif

	/* inventory hears, and its time runs out */
	:: TO_GOODS(TELL_CREATED, G_HEARS_CREATED)
	:: TO_GOODS(TELL_PAID, G_HEARS_PAID)
	:: TO_GOODS(TELL_PAYMENT_FAILED, G_HEARS_PAYMENT_FAILED)
	:: TO_GOODS(TELL_CANCELLED_TO_STOCK, G_HEARS_CANCELLED)
	:: TO_GOODS(TELL_RECALLED, G_HEARS_RECALLED)
	:: atomic { expiries > 0 && goods == G_RESERVED -> expiries--; GOODS_HEAR(G_HEARS_TIME_IS_UP) }

	/* payment hears, and the provider answers */
	:: atomic { (net & TELL_PAYMENT_REQUESTED) ->
		FATE(TELL_PAYMENT_REQUESTED);
		IF_HEARD(
			if
			:: pay == P_NONE -> pay = P_REQUESTED
			:: else -> PAYMENT_HEAR(P_HEARS_ASKED)
			fi) }
	:: atomic { (net & TELL_CANCELLED_TO_MONEY) ->
		FATE(TELL_CANCELLED_TO_MONEY);
		IF_HEARD(
			if
			:: pay == P_NONE -> pay = P_CANCELLED; TELL_PAYMENT
			:: else -> PAYMENT_HEAR(P_HEARS_CANCELLED)
			fi) }
	:: atomic { pay == P_REQUESTED -> pay = P_CHARGING } /* claimed: from now on it may be taken */
	:: atomic { pay == P_CHARGING -> PAYMENT_HEAR(P_HEARS_SUCCEEDED) }
	:: atomic { pay == P_CHARGING && declines > 0 -> declines--; PAYMENT_HEAR(P_HEARS_DECLINED) }
	:: TO_REFUNDS(0)
	:: TO_REFUNDS(1)
	:: PROVIDER_REFUNDS(0)
	:: PROVIDER_REFUNDS(1)

	/* shipping hears, and the carrier takes the parcel and brings it */
	:: atomic { (net & TELL_SHIPMENT_REQUESTED) ->
		FATE(TELL_SHIPMENT_REQUESTED);
		IF_HEARD(
			if
			:: ship == S_NONE -> ship = S_LABELLED; net = net | TELL_LABEL
			:: else -> SHIPMENT_HEAR(S_HEARS_REQUESTED)
			fi) }
	:: atomic { (net & TELL_RECALL_REQUESTED) ->
		FATE(TELL_RECALL_REQUESTED);
		IF_HEARD(
			if
#ifdef BUG_NO_ANSWER
			:: ship == S_NONE || ship == S_CANCELLED -> ship = S_CANCELLED
#else
			:: ship == S_NONE -> ship = S_CANCELLED; net = net | TELL_VOIDED
#endif
			:: else -> SHIPMENT_HEAR(S_HEARS_RECALLED)
			fi) }
	:: atomic { ship == S_LABELLED ->
		SHIPMENT_HEAR(S_HEARS_SHIPPED);
		left = true;
		gone = gone + WANTED;
		assert(goods == G_SOLD);                /* nothing leaves that was not sold */
		assert(gone + bought <= STOCK) }        /* nothing is oversold */
	:: atomic { ship == S_SHIPPED -> SHIPMENT_HEAR(S_HEARS_DELIVERED) }

	/* people */
	:: atomic { cancels > 0 && WOULD(HEARS_CANCEL_ASKED) == SAYS_GO ->
		cancels--;
		HEAR(HEARS_CANCEL_ASKED, 0, 0) }
	:: atomic { staff > 0 && WOULD(HEARS_REFUND_ASKED) == SAYS_GO && LEFT_TO_REFUND > 0 &&
		    (mine[1] == A_NONE || mine[1] == A_FAILED) &&
		    !(net & ((TELL_REFUND_REQUESTED | TELL_REFUNDED | TELL_REFUND_FAILED) << 1)) ->
		staff--;
		wanted = true;
		theirs[1] = R_NONE; /* anew, under an id of its own */
		mine[1] = A_REQUESTED;
		if
		:: amount[1] = LEFT_TO_REFUND
		:: amount[1] = 1
		fi;
		HEAR(HEARS_REFUND_ASKED, Porder->amount[1], 1) }
#ifdef BUG_LABEL_WITH_PAYMENT
	:: atomic { (net & TELL_PAID) && ship == S_NONE -> net = net | TELL_SHIPMENT_REQUESTED }
#endif

	:: timeout -> break
	od;
	AT_THE_END
}

/* Other shoppers, who leave nothing behind. */
active proctype shoppers()
{
end:
	do
	:: atomic { others > 0 && on_hand - reserved > 0 -> others--; on_hand--; bought++ }
	od
}
