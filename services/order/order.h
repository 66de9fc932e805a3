/* The order service's own types, and the functions between its files.
 *
 * An order is priced by the service's own price list, moves by one table
 * (workflow_table.c) through one function (order_advance), and asks the other services for
 * what it needs by events, again and again until they have answered. */
#ifndef ORDER_H
#define ORDER_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "sk_service.h"

#define ORDER_STREAM	      "orders"
#define ORDER_WATCHED	      "orders.*.*" /* what has streams look at their order */
#define ORDER_SWEEP_DEADLINES "order-deadlines"

#define ORDER_ITEMS_MAX	       1000
#define ORDER_QUANTITY_MAX     100000
#define ORDER_BODY_MAX_BYTES   ((size_t)256 * 1024) /* 1,000 items of 100 bytes, twice over */
/* Of a line: 1,000 lines with titles of this length just fit in SK_MESSAGE_MAX_BYTES. */
#define ORDER_TITLE_MAX_BYTES  120
#define ORDER_REASON_MAX_BYTES 500
#define ORDER_CACHE_TTL_S      "3600"
#define ORDER_DUE_MAX	       100 /* orders that one run of the sweep looks at */

/* ---- the workflow's words ---- */

enum order_status {
	ORDER_PENDING,	/* accepted; inventory is asked for the stock */
	ORDER_RESERVED, /* the stock is reserved; payment is asked for the money */
	ORDER_PAID,	/* the money is taken; the stock is sold, then shipping makes a label */
	ORDER_SHIPPED,
	ORDER_DELIVERED,
	ORDER_REJECTED, /* out of stock */
	ORDER_PAYMENT_FAILED,
	ORDER_CANCELLED,
	ORDER_REFUNDED, /* all of it, after it was paid */
	ORDER_STATUSES,
};

enum order_event {
	ORDER_STOCK_RESERVED,
	ORDER_STOCK_REJECTED,
	ORDER_STOCK_SOLD,
	ORDER_STOCK_RELEASED,
	ORDER_STOCK_EXPIRED,
	ORDER_PAYMENT_CONFIRMED,
	ORDER_PAYMENT_DECLINED,
	ORDER_PAYMENT_CANCELLED, /* no provider was asked, and none will be */
	ORDER_LABEL_CREATED,
	ORDER_PARCEL_SHIPPED,
	ORDER_PARCEL_DELIVERED,
	ORDER_LABEL_VOIDED,
	ORDER_CANCEL_ASKED,
	ORDER_REFUND_ASKED,
	ORDER_REFUNDED_PARTLY, /* some of the money went back */
	ORDER_REFUNDED_FULLY,  /* the last of it did */
	ORDER_REFUND_FAILED,   /* the provider refuses it for ever */
	ORDER_STEP_TIMED_OUT,
	ORDER_EVENTS,
};

enum order_verdict {
	ORDER_REFUSE, /* must not be: 409 to a person, a dead letter to a message */
	ORDER_WAIT,   /* came before what it follows from: deliver it again */
	ORDER_IGNORE, /* late or repeated: done already */
	ORDER_GO,     /* to next, and send */
};

/* What a step sends, as a set. */
enum order_sends {
	ORDER_SEND_NOTHING = 0,
	ORDER_SEND_CREATED = 1,
	ORDER_SEND_PAYMENT_REQUEST = 2,
	ORDER_SEND_PAID = 4,
	ORDER_SEND_REJECTED = 8,
	ORDER_SEND_PAYMENT_FAILED = 16,
	ORDER_SEND_CANCELLED = 32,
	ORDER_SEND_REFUND_REQUEST = 64,
	ORDER_SEND_REFUNDED = 128,
	ORDER_SEND_SHIPPED = 256,
	ORDER_SEND_DELIVERED = 512,
	ORDER_SEND_SHIPMENT_REQUEST = 1024,
	ORDER_SEND_RECALL_REQUEST = 2048,
	ORDER_SEND_RECALLED = 4096,
	ORDER_SEND_LAST = ORDER_SEND_RECALLED,
	/* One of the two, or none: what order_recall says. */
	ORDER_SEND_RECALL = ORDER_SEND_RECALL_REQUEST | ORDER_SEND_RECALLED,
};

struct order_step {
	enum order_verdict verdict;
	enum order_status next;
	unsigned sends; /* of enum order_sends */
};

/* ---- an order ---- */

enum order_payment { ORDER_PAYMENT_PENDING, ORDER_PAYMENT_CAPTURED, ORDER_PAYMENT_DENIED };

/* What shipping was asked for, and what it said of it last. */
enum order_parcel {
	ORDER_PARCEL_NONE, /* it was not asked: there is none, and will be none */
	ORDER_PARCEL_ASKED,
	ORDER_PARCEL_LABELLED,
	ORDER_PARCEL_LEFT,
	ORDER_PARCEL_VOIDED, /* there will be none */
	ORDER_PARCELS,
};

enum order_refund_state {
	ORDER_REFUND_REQUESTED,
	ORDER_REFUND_DONE,
	ORDER_REFUND_REFUSED,
	ORDER_REFUND_STATES,
};

struct order_line {
	const char *sku, *product_id, *title;
	int64_t quantity, unit_price_minor, line_total_minor;
};

struct order_address {
	const char *name, *line1, *line2, *city, *postal_code, *country;
};

struct order_shipment {
	const char *id, *carrier, *tracking_number;
	const char *status; /* label_created, shipped, delivered, voided */
};

struct order_refund {
	const char *id;
	int64_t amount_minor;
	const char *reason;
	enum order_refund_state state;
	const char *failure; /* why it was refused; "" */
	int64_t created_us;
};

struct order_refunds {
	const char *currency;
	struct order_refund *list;
	int count;
};

/* Strings are never NULL and live as long as the arena they were read into. */
struct order {
	const char *id, *number;
	enum order_status status;
	const char *reason;
	const char *account_id; /* "": a guest */
	const char *email;
	const char *access_hash; /* of the guest's token; "" */
	const char *cart_hash;	 /* of the guest's cart token; "" */
	const char *currency;
	int64_t subtotal_minor, shipping_minor, tax_minor, total_minor;
	struct order_address address;
	const char *provider, *token;
	enum order_payment payment;
	const char *payment_id; /* "" until the money is taken */
	int64_t refund_requested_minor, refunded_minor;
	bool stock_settled; /* inventory has answered what this status asks */
	enum order_parcel parcel;
	int64_t version, status_version;
	int attempts;
	int64_t overdue_ms; /* of its deadline; 0 where none has passed */
	const char *traceparent;
	int64_t created_us, updated_us;
	struct order_line *lines; /* NULL: not read */
	int lines_count;
	struct order_shipment *shipments;
	int shipments_count;
};

struct orders {
	struct order *list;
	int count;
};

/* What was heard: an event, and what it brings where that applies. */
struct order_fact {
	enum order_event event;
	const char *reason;		       /* NULL: none */
	const char *payment_id;		       /* PAYMENT_CONFIRMED */
	const struct order_shipment *shipment; /* LABEL_…, PARCEL_… */
	const struct order_refund *refund;     /* REFUND_ASKED, REFUND_FAILED, REFUNDED_… */
};

/* As much as says who may see an order, and whether a cached one is still right. */
struct order_head {
	const char *account_id, *access_hash;
	int64_t version;
};

/* ---- what a shopper sends ---- */

struct order_item {
	const char *sku;
	int64_t quantity;
	int position; /* in the body, where the SKU stands first: for the pointers of errors */
};

struct order_draft {
	struct order_item *items; /* each SKU once */
	int count;
	struct order_address address;
	const char *email, *provider, *token;
	bool total_expected;
	struct sk_money expected_total;
};

/* What the price list says of a SKU. Where it is not active the rest says nothing. */
struct order_price {
	bool active;
	const char *product_id, *title;
	struct sk_money price;
};

/* A product as the catalogue tells it, for the price list. Parallel arrays. */
struct order_product {
	const char *id;
	int64_t version;
	bool active;
	const char **skus, **titles, **currencies;
	int64_t *prices_minor;
	size_t count;
};

struct order_filter {
	const char *account_id, *email, *status; /* NULL: any */
	const char *before; /* orders with an id below it, newest first; NULL: from the newest */
	int limit;
};

/* One step of an order's way. Strings are never NULL, but for currency before it is stored. */
struct order_moment {
	int64_t version, at_us;
	const char *event, *status; /* what happened, and what the order was then */
	const char *told;	    /* "orders.cancelled orders.refund_requested" */
	const char *reason, *carrier, *tracking_number;
	int64_t amount_minor; /* 0: none */
	const char *currency;
};

struct order_moments {
	struct order_moment *list;
	int count;
};

struct order_moments_wanted {
	const char *order_id;
	int64_t after; /* a version */
	int limit;
};

struct order_service {
	struct sk_parts *parts;
	const char *providers; /* "test,other" */
	int64_t resend_ms;     /* until the first repetition of what got no answer */
	int64_t step_timeout_ms;
};

/* ---- workflow_table.c: pure ---- */

const char *order_status_name(enum order_status status);
/* ORDER_STATUSES where the word is none. */
enum order_status order_status_parse(const char *name);
const char *order_event_name(enum order_event event);
const char *order_send_subject(enum order_sends send); /* "orders.paid" */
struct order_step order_next(enum order_status status, enum order_event event);
/* The table as a Mermaid state diagram. */
void order_workflow_print(FILE *out);

/* ---- rules.c: pure ---- */

/* Customers see their own, guests those whose token they have, staff all. token may be NULL. */
bool order_may_see(const struct order_head *head, const struct sk_actor *actor,
		   const char *token_hash);

const char *order_payment_name(enum order_payment payment);
enum order_payment order_payment_parse(const char *name);
const char *order_parcel_name(enum order_parcel parcel);
enum order_parcel order_parcel_parse(const char *name);
/* As the API says it: requested, done, failed. */
const char *order_refund_state_name(enum order_refund_state state);
enum order_refund_state order_refund_state_parse(const char *name);
/* The payment's status as the API says it: pending, captured, failed, cancelled,
 * partially_refunded, refunded. */
const char *order_payment_status(const struct order *order);

int64_t order_shipping_minor(const struct order_address *address, int64_t subtotal_minor);
int64_t order_tax_minor(const struct order_address *address, int64_t subtotal_minor);
/* Sums the lines. SK_INVALID ("total_too_large") where a sum does not fit. */
SK_MUST_CHECK enum sk_status order_total(struct order *order, struct sk_context *context);

/* Changes the order as the step and the fact say. False where nothing is other than before. */
bool order_apply(struct order *order, const struct order_step *step, const struct order_fact *fact);

/* How the goods of a paid order come back: the parcel is to be stopped first
 * (ORDER_SEND_RECALL_REQUEST), or there is none and the stock may return (ORDER_SEND_RECALLED), or
 * it left (0). */
unsigned order_recall(const struct order *order);

/* How much may still be asked back. */
int64_t order_refundable_minor(const struct order *order);

/* What the order still waits for an answer to (enum order_sends); 0: nothing. */
unsigned order_owed(const struct order *order);

/* What to do about an answer that did not come by the deadline. */
enum order_look { ORDER_LOOK_RESEND, ORDER_LOOK_RESEND_UNCOUNTED, ORDER_LOOK_GIVE_UP };
enum order_look order_look_at(const struct order *order, const struct order_service *service);
/* The time to wait for an answer after so many repetitions. */
int64_t order_patience_ms(const struct order *order, int attempts,
			  const struct order_service *service);

/* A title of at most ORDER_TITLE_MAX_BYTES. */
const char *order_title(struct sk_arena *arena, const char *product, const char *variant);

/* ---- country.c: pure ---- */

bool order_country_known(const char *code); /* ISO 3166-1 alpha-2 */
bool order_country_has_postal_codes(const char *code);

/* ---- draft.c: pure ---- */

/* Reads the body of POST /v1/orders. providers is a list separated by commas. */
SK_MUST_CHECK enum sk_status order_draft_decode(struct sk_fields *fields,
						struct sk_context *context, const char *providers,
						struct order_draft *draft);
/* Lines and sums of the order from the draft; prices[i] is that of draft->items[i].
 * SK_INVALID ("unknown_sku", "mixed_currencies", "total_too_large"), SK_CONFLICT
 * ("price_changed"). */
SK_MUST_CHECK enum sk_status order_draft_price(struct sk_fields *fields, struct sk_context *context,
					       const struct order_draft *draft,
					       const struct order_price *prices,
					       struct order *order);
/* The body of POST /v1/orders/{id}/refunds: amount->minor is 0 where none is given. */
SK_MUST_CHECK enum sk_status order_refund_decode(struct sk_fields *fields,
						 struct sk_context *context,
						 struct sk_money *amount, const char **reason);

/* ---- view.c ---- */

/* The order as JSON; access_token may be NULL. Its lines and shipments are read. */
void order_write(struct sk_json *json, const char *key, const struct order *order,
		 const char *access_token);
void order_write_refund(struct sk_json *json, const char *order_id, const char *currency,
			const struct order_refund *refund);
/* Its ETag, without the quotes. */
const char *order_tag(struct sk_arena *arena, int64_t version);

/* ---- timeline.c: pure ---- */

struct order_moment order_moment_placed(const struct order *order);
/* What the order's step, already taken, adds to its timeline. */
struct order_moment order_moment_of(struct sk_arena *arena, const struct order *order,
				    const struct order_fact *fact, unsigned sends);
void order_moment_write(struct sk_json *json, const struct order_moment *moment);

/* ---- live.c ---- */

/* Answers with the order's moments from there on, as they come. */
void order_follow(const struct order_service *service, struct sk_reply *reply,
		  const struct order_moments_wanted *from);
/* Adds the moment to the held order's timeline; who looks on is told after the commit. */
SK_MUST_CHECK enum sk_status order_remember(struct sk_tx *tx, const struct order_service *service,
					    const struct order *order,
					    const struct order_moment *moment);
SK_MUST_CHECK enum sk_status order_watch(struct order_service *service);

/* ---- workflow.c: the only place that moves an order ---- */

/* Does to the held order what the table says, and tells. SK_NOT_FOUND: too early;
 * SK_CONFLICT: refused ("order_not_cancellable" …). */
SK_MUST_CHECK enum sk_status order_advance(struct sk_tx *tx, const struct order_service *service,
					   struct order *order, const struct order_fact *fact);
SK_MUST_CHECK enum sk_status order_sweep_deadlines(struct sk_context *context, void *app,
						   bool *again);

/* ---- telling.c ---- */

/* Adds the events of sends to the outbox. fact may be NULL (a repetition). */
SK_MUST_CHECK enum sk_status order_tell(struct sk_tx *tx, struct order *order, unsigned sends,
					const struct order_fact *fact);

/* ---- store.c ---- */

/* Adds the priced order and its lines; sets number and times. */
SK_MUST_CHECK enum sk_status order_place(struct sk_tx *tx, struct order *order,
					 int64_t patience_ms);
/* Holds the row until the transaction ends. SK_NOT_FOUND. */
SK_MUST_CHECK enum sk_status order_store_hold(struct sk_tx *tx, const char *id,
					      struct order *order);
/* Writes the held order over what it was, and raises its version. Its deadline is patience_ms from
 * now; -1: as it was, and so are the attempts; 0: there is none. */
SK_MUST_CHECK enum sk_status order_store_move(struct sk_tx *tx, const struct order *was,
					      struct order *order, int64_t patience_ms);
/* Reads what the order row itself does not have. */
SK_MUST_CHECK enum sk_status order_store_details(struct sk_tx *tx, struct order *list, int count);
SK_MUST_CHECK enum sk_status order_store_head(struct sk_pg *pg, struct sk_context *context,
					      const char *id, struct order_head *head);
SK_MUST_CHECK enum sk_status order_store_read(struct sk_pg *pg, struct sk_context *context,
					      const char *id, struct order *order);
SK_MUST_CHECK enum sk_status order_store_list(struct sk_pg *pg, struct sk_context *context,
					      const struct order_filter *filter,
					      struct orders *orders);
/* Up to ORDER_DUE_MAX orders whose deadline has passed and that nobody else holds. */
SK_MUST_CHECK enum sk_status order_store_hold_due(struct sk_tx *tx, struct orders *due);
SK_MUST_CHECK enum sk_status order_store_wait(struct sk_tx *tx, const char *id, int attempts,
					      int64_t patience_ms);

/* ---- store_timeline.c ---- */

SK_MUST_CHECK enum sk_status order_store_add_moment(struct sk_tx *tx, const char *order_id,
						    const struct order_moment *moment);
/* The oldest first. */
SK_MUST_CHECK enum sk_status order_store_moments(struct sk_pg *pg, struct sk_context *context,
						 const struct order_moments_wanted *wanted,
						 struct order_moments *moments);

/* ---- store_parts.c: shipments, refunds, the price list ---- */

SK_MUST_CHECK enum sk_status order_store_shipment(struct sk_tx *tx, const char *order_id,
						  const struct order_shipment *shipment);
SK_MUST_CHECK enum sk_status order_store_add_refund(struct sk_tx *tx, const char *order_id,
						    const struct order_refund *refund);
/* Writes how the refund ended: its state and failure. */
SK_MUST_CHECK enum sk_status order_store_end_refund(struct sk_tx *tx,
						    const struct order_refund *refund);
SK_MUST_CHECK enum sk_status order_store_find_refund(struct sk_tx *tx, const char *order_id,
						     const char *refund_id,
						     struct order_refund *refund);
/* The refunds that are asked for and have not ended; the list is the arena's. */
SK_MUST_CHECK enum sk_status order_store_open_refunds(struct sk_tx *tx, const char *order_id,
						      struct order_refunds *refunds);
/* All of an order, the oldest first. SK_NOT_FOUND: no such order. */
SK_MUST_CHECK enum sk_status order_store_refunds(struct sk_pg *pg, struct sk_context *context,
						 const char *order_id,
						 struct order_refunds *refunds);
SK_MUST_CHECK enum sk_status order_store_prices(struct sk_tx *tx, const struct order_draft *draft,
						struct order_price **prices);
/* Replaces what the price list says of the product. SK_DUPLICATE where that is not older. */
SK_MUST_CHECK enum sk_status order_store_product(struct sk_tx *tx,
						 const struct order_product *product);

/* ---- cache.c ---- */

/* The order's JSON of exactly this version; NULL: not cached, or no cache to be reached. */
const char *order_cache_get(struct sk_kv *cache, struct sk_context *context, const char *id,
			    int64_t version);
void order_cache_put(struct sk_kv *cache, struct sk_context *context, const struct order *order,
		     const char *json);

/* ---- the tables of main.c ---- */

extern const struct sk_route ORDER_ROUTES[];
extern const struct sk_consumer ORDER_CONSUMERS[];
extern const struct sk_file ORDER_MIGRATIONS[];

#endif
