/* The payment service's own types, and the functions between its files.
 *
 * A payment belongs to one order and moves by one table (rules.c): the order asks,
 * a provider is asked to charge, the provider's signed webhook says how it ended. */
#ifndef PAYMENT_H
#define PAYMENT_H

#include <stdbool.h>
#include <stdint.h>

#include "sk_service.h"
#include "sk_webhook.h"

#define PAYMENT_STREAM "payments"

#define PAYMENT_SWEEP_CHARGES	    "payment-charges"
#define PAYMENT_SWEEP_REFUNDS	    "payment-refunds"
#define PAYMENT_SWEEP_TEST_PROVIDER "payment-test-provider"
#define PAYMENT_SWEEP_PRUNE	    "payment-prune"

#define PAYMENT_WEBHOOK_MAX_BYTES ((size_t)64 * 1024)
#define PAYMENT_REASON_MAX_BYTES  500

/* How many rows one run of a sweep takes, and how long they stay its own. A run
 * ends before its rows are free again, so no two ask a provider at the same time. */
#define PAYMENT_CLAIM_MAX 32
#define PAYMENT_RUN_MS	  10000
#define PAYMENT_LEASE_MS  15000

enum payment_state {
	PAYMENT_REQUESTED, /* the order asked; no provider knows yet */
	PAYMENT_CHARGING,  /* a provider may have been asked: only its word ends this */
	PAYMENT_CAPTURED,
	PAYMENT_FAILED,
	PAYMENT_CANCELLED, /* the order was cancelled before any provider was asked */
	PAYMENT_STATES,
};

enum payment_event {
	PAYMENT_ASKED,	   /* PaymentRequested, of an order that has a payment already */
	PAYMENT_SUCCEEDED, /* the provider took the money */
	PAYMENT_DECLINED,  /* the provider did not */
	PAYMENT_ORDER_CANCELLED,
	PAYMENT_EVENTS,
};

enum payment_verdict {
	PAYMENT_REFUSE, /* must not be: a person has to look */
	PAYMENT_IGNORE,
	PAYMENT_ANSWER, /* nothing changes; tell once more how it ended */
	PAYMENT_GO,	/* move to next and tell */
};

struct payment_step {
	enum payment_verdict verdict;
	enum payment_state next;
};

/* A payment. Strings are never NULL and live as long as the arena they were read into. */
struct payment {
	const char *id, *order_id;
	const char *account_id; /* "": a guest */
	const char *number;
	struct sk_money amount;
	const char *provider, *token;
	enum payment_state state;
	int64_t refunded_minor;
	int64_t version;
	const char *reason;
	const char *traceparent;
	int attempts;
	int64_t created_at_us;
};

enum payment_refund_state {
	PAYMENT_REFUND_REQUESTED,
	PAYMENT_REFUND_SENT, /* the provider may have been asked */
	PAYMENT_REFUND_DONE,
	PAYMENT_REFUND_REFUSED,
	PAYMENT_REFUND_STATES,
};

enum payment_refund_event {
	PAYMENT_REFUND_ASKED, /* RefundRequested, of a refund that is known already */
	PAYMENT_REFUND_SUCCEEDED,
	PAYMENT_REFUND_DECLINED, /* the provider refuses it for ever */
	PAYMENT_REFUND_EVENTS,
};

struct payment_refund_step {
	enum payment_verdict verdict;
	enum payment_refund_state next;
};

struct payment_refund {
	const char *id, *payment_id, *order_id;
	const char *provider, *traceparent;
	struct sk_money amount;
	const char *reason;
	enum payment_refund_state state;
	const char *failure; /* why the provider refused it; "" */
	int attempts;
};

struct payments {
	struct payment *list;
	int count;
};

struct payment_refunds {
	struct payment_refund *list;
	int count;
};

struct payment_filter {
	const char *order_id; /* NULL: of any order */
	const char *before; /* payments with an id below it, newest first; NULL: from the newest */
	int limit;
};

/* What a provider's webhook says. */
enum payment_notice_kind {
	PAYMENT_NOTICE_SUCCEEDED,
	PAYMENT_NOTICE_FAILED,
	PAYMENT_NOTICE_REFUNDED,
	PAYMENT_NOTICE_REFUND_REFUSED,
};

struct payment_notice {
	const char *provider, *webhook_id;
	enum payment_notice_kind kind;
	const char *payment_id;
	const char *refund_id; /* "" where it is about no refund */
	struct sk_money amount;
	const char *reason;
};

struct payment_service {
	struct sk_parts *parts;
	bool test_provider;	 /* whether orders may pay with it */
	const char *test_secret; /* signs and verifies its webhooks */
	const char *test_url;	 /* where it sends them */
	char own_url[300];	 /* the same, where it is this process */
};

/* ---- rules.c: pure ---- */

/* The words of the state columns and of the API. */
const char *payment_state_name(enum payment_state state);
enum payment_state payment_state_parse(const char *name);
const char *payment_refund_state_name(enum payment_refund_state state);
enum payment_refund_state payment_refund_state_parse(const char *name);

/* The status of the API: requested and charging are both "pending"; "refunded" where
 * all the money went back. */
const char *payment_status(const struct payment *payment);

/* What an event does to a payment in a state. */
struct payment_step payment_next(enum payment_state state, enum payment_event event);

/* The same for a refund. */
struct payment_refund_step payment_refund_next(enum payment_refund_state state,
					       enum payment_refund_event event);

/* How long after a charge or a refund was sent the provider is asked again, with the same
 * key: its word may have been lost. Longer each time, an hour at most. */
int64_t payment_ask_again_ms(int attempts);

/* How long after a provider did not answer it is tried again; five minutes at most. */
int64_t payment_retry_ms(int attempts);

/* Whether a refund may be made beside those that were (or are being) made already. */
bool payment_refund_fits(const struct payment *payment, int64_t others_minor,
			 const struct sk_money *refund);

/* Whether the provider speaks of the same amount. */
bool payment_amount_matches(const struct sk_money *ours, const struct sk_money *theirs);

/* The kind for a webhook's type ("payment.succeeded"). False where unknown. */
bool payment_notice_kind_parse(const char *type, enum payment_notice_kind *kind);

/* What the test provider does with a token. */
struct payment_test_outcome {
	bool succeeds;
	const char *reason; /* "" where it succeeds */
	int64_t delay_ms;
	bool refunds; /* whether it pays back what it took */
};
struct payment_test_outcome payment_test_outcome_of(const char *token);

/* ---- workflow.c: the only place that moves a payment or a refund ---- */

/* PaymentRequested: a new payment, or another look at the one that is there. */
SK_MUST_CHECK enum sk_status payment_ask(struct sk_tx *tx, struct payment_service *service,
					 const struct payment *wanted);

/* OrderCancelled: stops what has not begun, and tells; a charge that has begun is told when it
 * ends. order names the order, whose payment may not be known yet: then a cancelled one is
 * left, and none is charged later. */
SK_MUST_CHECK enum sk_status payment_cancel(struct sk_tx *tx, const struct payment *order);

/* RefundRequested. SK_NOT_FOUND: no money is taken yet; deliver it again. SK_CONFLICT: none
 * will be, or more than was taken would go back. */
SK_MUST_CHECK enum sk_status payment_refund_ask(struct sk_tx *tx, struct payment_service *service,
						const struct payment_refund *wanted);

/* A provider's webhook, verified. SK_NOT_FOUND: not our payment. SK_INVALID
 * ("amount_mismatch"). SK_CONFLICT: it contradicts what it said before. */
SK_MUST_CHECK enum sk_status payment_take_notice(struct sk_tx *tx,
						 const struct payment_notice *notice);

/* ---- charging.c: the sweeps that ask the providers ---- */

SK_MUST_CHECK enum sk_status payment_sweep_charges(struct sk_context *context, void *app,
						   bool *again);
SK_MUST_CHECK enum sk_status payment_sweep_refunds(struct sk_context *context, void *app,
						   bool *again);
SK_MUST_CHECK enum sk_status payment_sweep_prune(struct sk_context *context, void *app,
						 bool *again);

/* ---- events.c ---- */

/* Tells how the payment ended (confirmed, failed or cancelled), under a fresh event id. Nothing
 * where it has not. */
SK_MUST_CHECK enum sk_status payment_tell(struct sk_tx *tx, const struct payment *payment);
/* Tells how the refund ended (done or refused). Nothing where it has not. */
SK_MUST_CHECK enum sk_status payment_tell_refund(struct sk_tx *tx, const struct payment *payment,
						 const struct payment_refund *refund);

/* ---- store.c ---- */

/* Adds the payment in wanted->state, due at once where that is requested. *added is
 * false where the order has one already. */
SK_MUST_CHECK enum sk_status payment_store_add(struct sk_tx *tx, const struct payment *wanted,
					       bool *added);
/* Both hold the row until the transaction ends. SK_NOT_FOUND. */
SK_MUST_CHECK enum sk_status payment_store_hold(struct sk_tx *tx, const char *id,
						struct payment *payment);
SK_MUST_CHECK enum sk_status payment_store_hold_of_order(struct sk_tx *tx, const char *order_id,
							 struct payment *payment);
/* Writes the held row's state, reason and refunded total, and raises its version. */
SK_MUST_CHECK enum sk_status payment_store_move(struct sk_tx *tx, struct payment *payment);
/* Takes due payments: they are charging from now on, and due again after the lease. */
SK_MUST_CHECK enum sk_status
payment_store_claim_charges(struct sk_pg *pg, struct sk_context *context, struct payments *claimed);
/* Sets when the provider is asked next. */
SK_MUST_CHECK enum sk_status payment_store_ask_later(struct sk_pg *pg, struct sk_context *context,
						     const char *id, int64_t delay_ms);
SK_MUST_CHECK enum sk_status payment_store_list(struct sk_pg *pg, struct sk_context *context,
						const struct payment_filter *filter,
						struct payments *found);
/* *fresh is false where this webhook was taken before; SK_CONFLICT ("webhook_id_reused") where its
 * id then told something else. */
SK_MUST_CHECK enum sk_status
payment_store_see_webhook(struct sk_tx *tx, const struct payment_notice *notice, bool *fresh);
SK_MUST_CHECK enum sk_status payment_store_prune(struct sk_pg *pg, struct sk_context *context);

/* ---- store_refund.c: the payment's row is held by the caller ---- */

SK_MUST_CHECK enum sk_status payment_store_find_refund(struct sk_tx *tx, const char *id,
						       struct payment_refund *refund);
/* The sum of the payment's refunds that are not refused. */
SK_MUST_CHECK enum sk_status payment_store_sum_refunds(struct sk_tx *tx, const char *payment_id,
						       int64_t *minor);
SK_MUST_CHECK enum sk_status payment_store_add_refund(struct sk_tx *tx,
						      const struct payment_refund *refund);
/* Writes how it ended: its state and failure. */
SK_MUST_CHECK enum sk_status payment_store_end_refund(struct sk_tx *tx,
						      const struct payment_refund *refund);
SK_MUST_CHECK enum sk_status payment_store_claim_refunds(struct sk_pg *pg,
							 struct sk_context *context,
							 struct payment_refunds *claimed);
SK_MUST_CHECK enum sk_status payment_store_refund_later(struct sk_pg *pg,
							struct sk_context *context, const char *id,
							int64_t delay_ms);

/* ---- the tables of main.c ---- */

extern const struct sk_route PAYMENT_ROUTES[];
extern const struct sk_consumer PAYMENT_CONSUMERS[];
extern const struct sk_file PAYMENT_MIGRATIONS[];

#endif
