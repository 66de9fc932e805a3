/* The rules of payments, without any store.
 *
 * The table is the whole life of a payment. The cell that matters most is CHARGING x
 * ORDER_CANCELLED: once a provider may have been asked, a cancel cannot stop the charge
 * any more, and pretending so would lose a shopper's money. The charge goes on
 * to its end; if it succeeds the order is told and asks for the money back. For the same
 * reason money that arrives for a cancelled payment is confirmed and not denied. A cancel is
 * answered as every question is, now or when the charge ends: until then the order asks again.
 *
 * A refund that the provider refuses for ever stays refused: the order is told, and whoever
 * wants it anew asks under a new id. A provider that pays it back after all contradicts itself;
 * to take that word would make it possible to pay back twice. */
#include "payment.h"

#include <string.h>

static const char *const STATE_NAMES[PAYMENT_STATES] = {
	[PAYMENT_REQUESTED] = "requested", [PAYMENT_CHARGING] = "charging",
	[PAYMENT_CAPTURED] = "captured",   [PAYMENT_FAILED] = "failed",
	[PAYMENT_CANCELLED] = "cancelled",
};

static const char *const REFUND_STATE_NAMES[PAYMENT_REFUND_STATES] = {
	[PAYMENT_REFUND_REQUESTED] = "requested",
	[PAYMENT_REFUND_SENT] = "sent",
	[PAYMENT_REFUND_DONE] = "done",
	[PAYMENT_REFUND_REFUSED] = "refused",
};

static const struct payment_step STEPS[PAYMENT_STATES][PAYMENT_EVENTS] = {
	[PAYMENT_REQUESTED] = {
		[PAYMENT_ASKED] = { PAYMENT_IGNORE, PAYMENT_REQUESTED },
		[PAYMENT_SUCCEEDED] = { PAYMENT_GO, PAYMENT_CAPTURED },
		[PAYMENT_DECLINED] = { PAYMENT_GO, PAYMENT_FAILED },
		[PAYMENT_ORDER_CANCELLED] = { PAYMENT_GO, PAYMENT_CANCELLED },
	},
	[PAYMENT_CHARGING] = {
		[PAYMENT_ASKED] = { PAYMENT_IGNORE, PAYMENT_CHARGING },
		[PAYMENT_SUCCEEDED] = { PAYMENT_GO, PAYMENT_CAPTURED },
		[PAYMENT_DECLINED] = { PAYMENT_GO, PAYMENT_FAILED },
		[PAYMENT_ORDER_CANCELLED] = { PAYMENT_IGNORE, PAYMENT_CHARGING },
	},
	[PAYMENT_CAPTURED] = {
		[PAYMENT_ASKED] = { PAYMENT_ANSWER, PAYMENT_CAPTURED },
		[PAYMENT_SUCCEEDED] = { PAYMENT_IGNORE, PAYMENT_CAPTURED },
		[PAYMENT_DECLINED] = { PAYMENT_REFUSE, PAYMENT_CAPTURED },
		[PAYMENT_ORDER_CANCELLED] = { PAYMENT_ANSWER, PAYMENT_CAPTURED },
	},
	[PAYMENT_FAILED] = {
		[PAYMENT_ASKED] = { PAYMENT_ANSWER, PAYMENT_FAILED },
		[PAYMENT_SUCCEEDED] = { PAYMENT_REFUSE, PAYMENT_FAILED },
		[PAYMENT_DECLINED] = { PAYMENT_IGNORE, PAYMENT_FAILED },
		[PAYMENT_ORDER_CANCELLED] = { PAYMENT_ANSWER, PAYMENT_FAILED },
	},
	[PAYMENT_CANCELLED] = {
		[PAYMENT_ASKED] = { PAYMENT_IGNORE, PAYMENT_CANCELLED },
		[PAYMENT_SUCCEEDED] = { PAYMENT_GO, PAYMENT_CAPTURED },
		[PAYMENT_DECLINED] = { PAYMENT_IGNORE, PAYMENT_CANCELLED },
		[PAYMENT_ORDER_CANCELLED] = { PAYMENT_ANSWER, PAYMENT_CANCELLED },
	},
};

static const struct payment_refund_step REFUND_STEPS[PAYMENT_REFUND_STATES][PAYMENT_REFUND_EVENTS] = {
	[PAYMENT_REFUND_REQUESTED] = {
		[PAYMENT_REFUND_ASKED] = { PAYMENT_IGNORE, PAYMENT_REFUND_REQUESTED },
		[PAYMENT_REFUND_SUCCEEDED] = { PAYMENT_GO, PAYMENT_REFUND_DONE },
		[PAYMENT_REFUND_DECLINED] = { PAYMENT_GO, PAYMENT_REFUND_REFUSED },
	},
	[PAYMENT_REFUND_SENT] = {
		[PAYMENT_REFUND_ASKED] = { PAYMENT_IGNORE, PAYMENT_REFUND_SENT },
		[PAYMENT_REFUND_SUCCEEDED] = { PAYMENT_GO, PAYMENT_REFUND_DONE },
		[PAYMENT_REFUND_DECLINED] = { PAYMENT_GO, PAYMENT_REFUND_REFUSED },
	},
	[PAYMENT_REFUND_DONE] = {
		[PAYMENT_REFUND_ASKED] = { PAYMENT_ANSWER, PAYMENT_REFUND_DONE },
		[PAYMENT_REFUND_SUCCEEDED] = { PAYMENT_IGNORE, PAYMENT_REFUND_DONE },
		[PAYMENT_REFUND_DECLINED] = { PAYMENT_REFUSE, PAYMENT_REFUND_DONE },
	},
	[PAYMENT_REFUND_REFUSED] = {
		[PAYMENT_REFUND_ASKED] = { PAYMENT_ANSWER, PAYMENT_REFUND_REFUSED },
		[PAYMENT_REFUND_SUCCEEDED] = { PAYMENT_REFUSE, PAYMENT_REFUND_REFUSED },
		[PAYMENT_REFUND_DECLINED] = { PAYMENT_IGNORE, PAYMENT_REFUND_REFUSED },
	},
};

#define ASK_AGAIN_BASE_MS PAYMENT_LEASE_MS
#define ASK_AGAIN_MAX_MS  ((int64_t)3600 * 1000)
#define RETRY_BASE_MS	  500
#define RETRY_MAX_MS	  ((int64_t)300 * 1000)
#define SLOW_MS		  5000

const char *payment_state_name(enum payment_state state)
{
	return STATE_NAMES[state];
}

/* The column's check allows no other word; FAILED is what moves no money. */
enum payment_state payment_state_parse(const char *name)
{
	for (int i = 0; i < PAYMENT_STATES; i++)
		if (strcmp(STATE_NAMES[i], name) == 0)
			return (enum payment_state)i;
	return PAYMENT_FAILED;
}

const char *payment_refund_state_name(enum payment_refund_state state)
{
	return REFUND_STATE_NAMES[state];
}

enum payment_refund_state payment_refund_state_parse(const char *name)
{
	for (int i = 0; i < PAYMENT_REFUND_STATES; i++)
		if (strcmp(REFUND_STATE_NAMES[i], name) == 0)
			return (enum payment_refund_state)i;
	return PAYMENT_REFUND_REFUSED;
}

const char *payment_status(const struct payment *payment)
{
	if (payment->state == PAYMENT_REQUESTED || payment->state == PAYMENT_CHARGING)
		return "pending";
	if (payment->state == PAYMENT_CAPTURED && payment->refunded_minor > 0)
		return payment->refunded_minor == payment->amount.minor ? "refunded"
									: "partially_refunded";
	return payment_state_name(payment->state);
}

struct payment_step payment_next(enum payment_state state, enum payment_event event)
{
	return STEPS[state][event];
}

struct payment_refund_step payment_refund_next(enum payment_refund_state state,
					       enum payment_refund_event event)
{
	return REFUND_STEPS[state][event];
}

static int64_t doubled(int64_t base_ms, int times, int64_t max_ms)
{
	while (times-- > 0 && base_ms < max_ms)
		base_ms *= 2;
	return base_ms < max_ms ? base_ms : max_ms;
}

int64_t payment_ask_again_ms(int attempts)
{
	return doubled(ASK_AGAIN_BASE_MS, attempts - 1, ASK_AGAIN_MAX_MS);
}

int64_t payment_retry_ms(int attempts)
{
	return doubled(RETRY_BASE_MS, attempts - 1, RETRY_MAX_MS);
}

bool payment_refund_fits(const struct payment *payment, int64_t others_minor,
			 const struct sk_money *refund)
{
	return payment->state == PAYMENT_CAPTURED && refund->minor > 0 &&
	       strcmp(payment->amount.currency, refund->currency) == 0 && others_minor >= 0 &&
	       others_minor <= payment->amount.minor &&
	       refund->minor <= payment->amount.minor - others_minor;
}

bool payment_amount_matches(const struct sk_money *ours, const struct sk_money *theirs)
{
	return ours->minor == theirs->minor && strcmp(ours->currency, theirs->currency) == 0;
}

bool payment_notice_kind_parse(const char *type, enum payment_notice_kind *kind)
{
	static const char *const TYPES[] = {
		[PAYMENT_NOTICE_SUCCEEDED] = "payment.succeeded",
		[PAYMENT_NOTICE_FAILED] = "payment.failed",
		[PAYMENT_NOTICE_REFUNDED] = "refund.succeeded",
		[PAYMENT_NOTICE_REFUND_REFUSED] = "refund.failed",
	};

	for (size_t i = 0; i < sizeof(TYPES) / sizeof(TYPES[0]); i++) {
		if (strcmp(TYPES[i], type) == 0) {
			*kind = (enum payment_notice_kind)i;
			return true;
		}
	}
	return false;
}

struct payment_test_outcome payment_test_outcome_of(const char *token)
{
	if (strcmp(token, "tok_ok") == 0)
		return (struct payment_test_outcome) { true, "", 0, true };
	if (strcmp(token, "tok_slow") == 0)
		return (struct payment_test_outcome) { true, "", SLOW_MS, true };
	if (strcmp(token, "tok_refund_refused") == 0)
		return (struct payment_test_outcome) { true, "", 0, false };
	if (strcmp(token, "tok_decline") == 0)
		return (struct payment_test_outcome) { false, "card declined", 0, false };
	return (struct payment_test_outcome) { false, "unknown token", 0, false };
}
