/* The shipping service's own types, and the functions between its files.
 *
 * An order that asks for it becomes a shipment with a label; the carrier's signed webhooks move it
 * on. It moves by one table (rules.c), and workflow.c is its only mover. */
#ifndef SHIPPING_H
#define SHIPPING_H

#include <stdbool.h>
#include <stdint.h>

#include "sk_service.h"
#include "sk_webhook.h"

#define SHIPPING_STREAM		    "shipments"
#define SHIPPING_SWEEP_TEST_CARRIER "shipping-test-carrier"
#define SHIPPING_SWEEP_PRUNE	    "shipping-prune"

#define SHIPPING_WEBHOOK_MAX_BYTES ((size_t)64 * 1024)
#define SHIPPING_TRACKING_DIGITS   18 /* and a check digit */
#define SHIPPING_TRACKING_BYTES	   (2 + SHIPPING_TRACKING_DIGITS + 1 + 1)

enum shipping_state {
	SHIPPING_LABEL_CREATED,
	SHIPPING_SHIPPED,
	SHIPPING_DELIVERED,
	SHIPPING_VOIDED,    /* recalled before the parcel left */
	SHIPPING_CANCELLED, /* recalled before it was asked for: there is no label */
	SHIPPING_STATES,
};

enum shipping_event {
	SHIPPING_REQUESTED, /* again: the first time there is no shipment yet */
	SHIPPING_RECALLED,
	SHIPPING_PARCEL_SHIPPED,
	SHIPPING_PARCEL_DELIVERED,
	SHIPPING_EVENTS,
};

enum shipping_verdict {
	SHIPPING_REFUSE, /* must not be: a person has to look */
	SHIPPING_IGNORE,
	SHIPPING_ANSWER,  /* nothing changes; tell all that has happened once more */
	SHIPPING_GO,	  /* move to next and tell */
	SHIPPING_THROUGH, /* the same, and then the event once more: the carrier skipped a word */
};

struct shipping_step {
	enum shipping_verdict verdict;
	enum shipping_state next;
};

struct shipping_address {
	const char *name, *line1, *line2, *city, *postal_code, *country;
};

/* A shipment. Strings are never NULL and live as long as the arena they were read into. */
struct shipment {
	const char *id, *order_id, *number;
	const char *account_id; /* "": a guest */
	const char *carrier, *tracking_number;
	enum shipping_state state;
	int64_t version;
	struct shipping_address address;
	const char *traceparent;
	int64_t created_at_us, updated_at_us, shipped_at_us, delivered_at_us; /* 0: not yet */
};

struct shipments {
	struct shipment *list;
	int count;
};

struct shipping_label {
	const void *pdf;
	size_t len;
};

/* A carrier's webhook, verified and decoded. */
struct shipping_notice {
	const char *carrier, *webhook_id;
	const char *tracking_number;
	enum shipping_event event; /* SHIPPING_PARCEL_SHIPPED or SHIPPING_PARCEL_DELIVERED */
};

struct shipping_service {
	struct sk_parts *parts;
	const char *sender;	/* printed on the label, lines separated by '|' */
	const char *label_font; /* a TrueType file, "" for the PDF's own Helvetica */
	const char *secret;	/* signs and verifies the test carrier's webhooks */
	const char *test_url;	/* where it sends them */
	int64_t advance_ms;	/* how long it takes for each step; 0: it never calls */
	char own_url[300];	/* test_url, where it is this process */
};

/* ---- rules.c: pure ---- */

const char *shipping_state_name(enum shipping_state state);
enum shipping_state shipping_state_parse(const char *name);

/* What an event does to a shipment in a state. */
struct shipping_step shipping_next(enum shipping_state state, enum shipping_event event);

/* The carrier's word ("shipped") as an event. False where unknown. */
bool shipping_word_parse(const char *word, enum shipping_event *event);

/* Whether the actor may see the shipment: staff, or who ordered it. */
bool shipping_visible(const struct shipment *shipment, const struct sk_actor *actor);

/* "SK", 18 digits that follow from the shipment's id, and a check digit (Luhn). */
const char *shipping_tracking_number(struct sk_arena *arena, const char *shipment_id);

/* The last digit that makes Luhn's sum of all digits a multiple of ten. */
char shipping_check_digit(const char *digits);

/* UTF-8 as Windows-1252, which is what a PDF's built-in fonts can show. Letters beyond it
 * lose their accents; what has no Latin letter becomes '?'. */
const char *shipping_plain_text(struct sk_arena *arena, const char *utf8);

/* ---- barcode.c: pure ---- */

#define SHIPPING_BARCODE_TEXT_MAX   40
/* Six bars and spaces for start, each character and the check; seven for the stop. */
#define SHIPPING_BARCODE_WIDTHS_MAX ((SHIPPING_BARCODE_TEXT_MAX + 2) * 6 + 7)

/* Code 128, set B. Widths in modules, a bar first, then a space, and so on. */
struct shipping_barcode {
	unsigned char widths[SHIPPING_BARCODE_WIDTHS_MAX];
	int count;
	int modules; /* the sum of the widths */
};

/* False where text is too long or has a character beyond printable ASCII. */
bool shipping_barcode_make(const char *text, struct shipping_barcode *barcode);

/* ---- label.c ---- */

/* A PDF of 100 x 150 mm, in the context's arena. SK_INTERNAL where it cannot be made. */
SK_MUST_CHECK enum sk_status shipping_label_make(struct sk_context *context,
						 const struct shipping_service *service,
						 const struct shipment *shipment,
						 struct shipping_label *label);

/* ---- workflow.c: the only place that moves a shipment ---- */

/* ShipmentRequested: a label, or the answer to a repeated question. wanted has no id yet. */
SK_MUST_CHECK enum sk_status shipping_request(struct sk_tx *tx,
					      const struct shipping_service *service,
					      const struct shipment *wanted);
/* RecallRequested: voids the label, or tells that the parcel left. Where there is none yet it
 * leaves a mark, so that no label is made later. It is answered in any case. */
SK_MUST_CHECK enum sk_status shipping_recall(struct sk_tx *tx, const struct shipment *recalled);
/* The carrier's webhook, once. SK_NOT_FOUND: not our parcel. SK_CONFLICT: of a voided label. */
SK_MUST_CHECK enum sk_status shipping_take_notice(struct sk_tx *tx,
						  const struct shipping_service *service,
						  const struct shipping_notice *notice);

/* ---- events.c ---- */

/* Tells the step that led to the state: label_created, shipped, delivered or voided (also where
 * there never was a label). */
SK_MUST_CHECK enum sk_status shipping_tell(struct sk_tx *tx, const struct shipment *shipment,
					   enum shipping_state step);

/* ---- store.c ---- */

/* Adds the shipment. label is NULL for a cancelled one. advance_ms as in the service. *added
 * is false where the order has one already. */
SK_MUST_CHECK enum sk_status shipping_store_add(struct sk_tx *tx, const struct shipment *shipment,
						const struct shipping_label *label,
						int64_t advance_ms, bool *added);
/* Both hold the row until the transaction ends. SK_NOT_FOUND. */
SK_MUST_CHECK enum sk_status shipping_store_hold_of_order(struct sk_tx *tx, const char *order_id,
							  struct shipment *shipment);
SK_MUST_CHECK enum sk_status shipping_store_hold_tracked(struct sk_tx *tx, const char *carrier,
							 const char *tracking_number,
							 struct shipment *shipment);
/* Writes the held row's state and raises its version. */
SK_MUST_CHECK enum sk_status shipping_store_move(struct sk_tx *tx, struct shipment *shipment,
						 int64_t advance_ms);
SK_MUST_CHECK enum sk_status shipping_store_find(struct sk_pg *pg, struct sk_context *context,
						 const char *id, struct shipment *shipment);
/* SK_NOT_FOUND where there is none, or it is voided. */
SK_MUST_CHECK enum sk_status shipping_store_label(struct sk_pg *pg, struct sk_context *context,
						  const char *id, struct shipping_label *label);
/* *fresh is false where this webhook was taken before; SK_CONFLICT ("webhook_id_reused") where its
 * id then told something else. */
SK_MUST_CHECK enum sk_status
shipping_store_see_webhook(struct sk_tx *tx, const struct shipping_notice *notice, bool *fresh);
SK_MUST_CHECK enum sk_status shipping_store_prune(struct sk_pg *pg, struct sk_context *context);
/* The parcels of which the test carrier has something to say, kept for lease_ms. */
SK_MUST_CHECK enum sk_status shipping_store_claim(struct sk_pg *pg, struct sk_context *context,
						  int limit, int64_t lease_ms,
						  struct shipments *claimed);

/* ---- the tables of main.c ---- */

extern const struct sk_route SHIPPING_ROUTES[];
extern const struct sk_consumer SHIPPING_CONSUMERS[];
extern const struct sk_file SHIPPING_MIGRATIONS[];

#endif
