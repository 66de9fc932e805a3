/* The inventory service's own types, and the functions between its files.
 *
 * Every order gets one decision, all of its lines or none, kept in its reservation; what
 * each later event does to it is one table (rules.c). */
#ifndef INVENTORY_H
#define INVENTORY_H

#include <stdbool.h>
#include <stdint.h>

#include "sk_service.h"

#define INVENTORY_STREAM	 "inventory"
#define INVENTORY_SWEEP_EXPIRIES "inventory-expiries"

#define INVENTORY_QUANTITY_MAX	   1000000000 /* on hand, of one SKU */
#define INVENTORY_REASON_MAX_BYTES 500
#define INVENTORY_DUE_MAX	   64 /* reservations that one run of the sweep looks at */

enum inventory_state {
	INVENTORY_NONE, /* nothing is known of the order */
	INVENTORY_RESERVED,
	INVENTORY_REJECTED,
	INVENTORY_RELEASED, /* given back, from reserved or sold: the order is over */
	INVENTORY_SOLD,
	INVENTORY_EXPIRED,	   /* given back, since nothing was heard of the order for long */
	INVENTORY_CANCELLED_EARLY, /* cancelled before it was created: nothing will be reserved */
	INVENTORY_STATES,
};

enum inventory_event {
	INVENTORY_ORDER_CREATED,
	INVENTORY_ORDER_PAID,
	INVENTORY_ORDER_PAYMENT_FAILED,
	INVENTORY_ORDER_CANCELLED,
	INVENTORY_ORDER_RECALLED, /* no parcel leaves, or will leave */
	INVENTORY_TIME_IS_UP,
	INVENTORY_EVENTS,
};

/* What an event does to a reservation. */
enum inventory_action {
	INVENTORY_REFUSE, /* must not be: a dead letter */
	INVENTORY_WAIT,	  /* came before what it follows from: deliver it again */
	INVENTORY_DECIDE, /* reserve all lines, or reject */
	INVENTORY_SELL,
	INVENTORY_TAKE,	   /* reserve and sell in one step, or reject */
	INVENTORY_RELEASE, /* give the reservation back */
	INVENTORY_RETURN,  /* give back what was sold */
	INVENTORY_EXPIRE,  /* give the reservation back, until the order asks again */
	INVENTORY_CLOSE,   /* nothing is held; from now on nothing will be */
	INVENTORY_ENTOMB,  /* remember that it is cancelled, before it is created */
	INVENTORY_ANSWER,  /* nothing changes; tell (again) how it stands */
	INVENTORY_IGNORE,  /* nothing changes, and nobody waits for an answer */
	INVENTORY_ACTIONS,
};

/* What is told of an order. */
enum inventory_answer {
	INVENTORY_SAY_NOTHING,
	INVENTORY_SAY_RESERVED,
	INVENTORY_SAY_REJECTED,
	INVENTORY_SAY_SOLD,
	INVENTORY_SAY_RELEASED,
	INVENTORY_SAY_EXPIRED,
};

struct inventory_step {
	enum inventory_action action;
	enum inventory_answer answer; /* of ANSWER */
};

/* The level of a SKU. */
struct inventory_level {
	const char *sku;
	int64_t on_hand, reserved, version;
};

struct inventory_levels {
	struct inventory_level *list;
	int count;
};

struct inventory_line {
	const char *sku;
	int64_t quantity;
	bool is_short;
	int64_t available; /* where it is short */
};

struct inventory_reservation {
	const char *order_id;
	enum inventory_state state;
	int64_t version;
	struct inventory_line *lines; /* sorted by SKU, each once */
	int count;
	int64_t overdue_ms; /* since its time was up; only of those that are due */
};

struct inventory_reservations {
	struct inventory_reservation *list;
	int count;
};

/* What an order's event changes in the stock of its lines, and what the ledger calls it. */
struct inventory_change {
	int on_hand_sign, reserved_sign; /* times the quantity */
	const char *movement;		 /* NULL: on hand stays as it is, and so does the ledger */
};

struct inventory_movement {
	const char *id, *sku;
	int64_t delta;
	const char *kind, *reason;
	const char *order_id, *account_id; /* "": none */
	int64_t at_us;
};

struct inventory_movements {
	struct inventory_movement *list;
	int count;
};

struct inventory_filter {
	const char *sku;
	const char *before; /* movements with an id below it, newest first; NULL: from the newest */
	int limit;
};

/* A product's SKUs with the stock to begin with. Parallel arrays. */
struct inventory_product {
	const char **skus;
	int64_t *quantities;
	size_t count;
};

struct inventory_service {
	struct sk_parts *parts;
	int64_t reservation_ms; /* how long one is held for an order that is not heard of */
};

/* ---- rules.c: pure ---- */

const char *inventory_state_name(enum inventory_state state);
enum inventory_state inventory_state_parse(const char *name);
struct inventory_step inventory_next(enum inventory_state state, enum inventory_event event);

int64_t inventory_available(const struct inventory_level *level);

/* Sorts the lines by SKU and makes one of those with the same. */
void inventory_sort(struct inventory_reservation *reservation);

/* Whether every line can be reserved from the levels (sorted by SKU; a SKU that is missing
 * has none). Marks those that are short. */
bool inventory_allocate(struct inventory_reservation *reservation,
			const struct inventory_levels *levels);

/* What an action changes in the stock; DECIDE and TAKE where all is there. */
struct inventory_change inventory_change_of(enum inventory_action action);

/* Whether a reservation whose time is up so long was missed because we were down: then nobody
 * could say that it is still wanted, and it gets its time once more. */
bool inventory_missed(int64_t overdue_ms);

/* Whether on hand may change by delta. SK_CONFLICT ("stock_reserved"): below what orders hold.
 * SK_INVALID ("stock_out_of_range"): beyond INVENTORY_QUANTITY_MAX. */
SK_MUST_CHECK enum sk_status inventory_check_delta(struct sk_context *context,
						   const struct inventory_level *level,
						   int64_t delta);

/* ---- reserving.c: what orders do to the stock ---- */

/* Does to the order's reservation what the table says, and tells. lines may be NULL but for
 * ORDER_CREATED. SK_NOT_FOUND: too early. SK_CONFLICT: refused. */
SK_MUST_CHECK enum sk_status inventory_advance(struct sk_tx *tx,
					       const struct inventory_service *service,
					       enum inventory_event event,
					       const struct inventory_reservation *order);
/* The sweep over reservations whose time is up. */
SK_MUST_CHECK enum sk_status inventory_sweep_expiries(struct sk_context *context, void *app,
						      bool *again);

/* ---- events.c ---- */

SK_MUST_CHECK enum sk_status inventory_tell_levels(struct sk_tx *tx,
						   const struct inventory_levels *levels);
/* sk_retell_fn of the stream: levels by SKU. */
SK_MUST_CHECK enum sk_status inventory_retell(struct sk_tx *tx, const char *after, int max,
					      const char **last);
SK_MUST_CHECK enum sk_status inventory_tell(struct sk_tx *tx, enum inventory_answer answer,
					    const struct inventory_reservation *reservation);

/* ---- store.c ---- */

/* Waits until no other transaction changes stock for an order, until this one ends. */
SK_MUST_CHECK enum sk_status inventory_store_take_turn(struct sk_tx *tx);
/* The order's reservation with its lines; state NONE where there is none. */
SK_MUST_CHECK enum sk_status inventory_store_find(struct sk_tx *tx, const char *order_id,
						  struct inventory_reservation *reservation);
/* Adds it with its lines; in state RESERVED it is held for hold_ms. */
SK_MUST_CHECK enum sk_status
inventory_store_add(struct sk_tx *tx, struct inventory_reservation *reservation, int64_t hold_ms);
SK_MUST_CHECK enum sk_status inventory_store_move(struct sk_tx *tx,
						  struct inventory_reservation *reservation,
						  enum inventory_state next, int64_t hold_ms);
/* Writes which lines are short. */
SK_MUST_CHECK enum sk_status
inventory_store_shortages(struct sk_tx *tx, const struct inventory_reservation *reservation);
/* Up to INVENTORY_DUE_MAX reservations whose time is up, without their lines. */
SK_MUST_CHECK enum sk_status inventory_store_due(struct sk_tx *tx,
						 struct inventory_reservations *due);
SK_MUST_CHECK enum sk_status inventory_store_prolong(struct sk_tx *tx, const char *order_id,
						     int64_t hold_ms);
/* Locks the rows of the lines, sorted by SKU, and reads them. */
SK_MUST_CHECK enum sk_status inventory_store_hold(struct sk_tx *tx,
						  const struct inventory_reservation *reservation,
						  struct inventory_levels *levels);
/* Changes the held rows, writes the ledger, and gives the new levels. */
SK_MUST_CHECK enum sk_status inventory_store_change(struct sk_tx *tx,
						    const struct inventory_reservation *reservation,
						    const struct inventory_change *change,
						    struct inventory_levels *levels);
/* Adds the SKUs that are new. */
SK_MUST_CHECK enum sk_status inventory_store_begin(struct sk_tx *tx,
						   const struct inventory_product *product,
						   struct inventory_levels *added);
SK_MUST_CHECK enum sk_status inventory_store_read(struct sk_pg *pg, struct sk_context *context,
						  const char *sku, struct inventory_level *level);
/* The next max levels after that SKU ("": the first). */
SK_MUST_CHECK enum sk_status inventory_store_page(struct sk_tx *tx, const char *after, int max,
						  struct inventory_levels *levels);
SK_MUST_CHECK enum sk_status inventory_store_hold_one(struct sk_tx *tx, const char *sku,
						      struct inventory_level *level);
/* Changes the held level's on hand by movement->delta and writes the movement. */
SK_MUST_CHECK enum sk_status inventory_store_adjust(struct sk_tx *tx,
						    const struct inventory_movement *movement,
						    struct inventory_level *level);
SK_MUST_CHECK enum sk_status inventory_store_movements(struct sk_pg *pg, struct sk_context *context,
						       const struct inventory_filter *filter,
						       struct inventory_movements *found);

/* ---- the tables of main.c ---- */

extern const struct sk_route INVENTORY_ROUTES[];
extern const struct sk_consumer INVENTORY_CONSUMERS[];
extern const struct sk_file INVENTORY_MIGRATIONS[];

#endif
