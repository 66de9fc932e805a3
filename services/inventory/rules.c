/* The rules of stock, without any store.
 *
 * The table says what an order's event does to its reservation. Events of one order come
 * by several consumers and in any order; the cells that are not obvious:
 *
 * - SOLD x ORDER_CANCELLED gives nothing back: the parcel may have left already. The order finds
 *   that out first, and says ORDER_RECALLED where none leaves.
 * - NONE x ORDER_CANCELLED leaves a tombstone. OrderCreated may still be on its way, and what
 *   it would reserve nobody would ever give back.
 * - RELEASED x ORDER_PAID: the cancel overtook the payment. Nothing is sold; the order
 *   knows, and asks for its refund elsewhere.
 * - EXPIRED is a reservation that we gave up because nothing was heard of its order. An order that
 *   comes back gets its goods if they are still there (ORDER_PAID: sold at once), else REJECTED,
 *   which is final; one that is over closes it, so that a late ORDER_PAID takes nothing.
 * - Any question asked again is answered again, since the order asks again only when
 *   it did not hear the answer. SOLD x ORDER_CREATED therefore says reserved: that was it. */
#include "inventory.h"

#include <stdlib.h>
#include <string.h>

/* Far more than a sweep of a second is ever late by itself. */
#define MISSED_MS ((int64_t)60 * 1000)

static const char *const STATE_NAMES[INVENTORY_STATES] = {
	[INVENTORY_NONE] = "none",
	[INVENTORY_RESERVED] = "reserved",
	[INVENTORY_REJECTED] = "rejected",
	[INVENTORY_RELEASED] = "released",
	[INVENTORY_SOLD] = "sold",
	[INVENTORY_EXPIRED] = "expired",
	[INVENTORY_CANCELLED_EARLY] = "cancelled_early",
};

static const struct inventory_step STEPS[INVENTORY_STATES][INVENTORY_EVENTS] = {
	[INVENTORY_NONE] = {
		[INVENTORY_ORDER_CREATED] = { INVENTORY_DECIDE, INVENTORY_SAY_NOTHING },
		[INVENTORY_ORDER_PAID] = { INVENTORY_WAIT, INVENTORY_SAY_NOTHING },
		[INVENTORY_ORDER_PAYMENT_FAILED] = { INVENTORY_WAIT, INVENTORY_SAY_NOTHING },
		[INVENTORY_ORDER_CANCELLED] = { INVENTORY_ENTOMB, INVENTORY_SAY_NOTHING },
		[INVENTORY_ORDER_RECALLED] = { INVENTORY_ENTOMB, INVENTORY_SAY_NOTHING },
		[INVENTORY_TIME_IS_UP] = { INVENTORY_IGNORE, INVENTORY_SAY_NOTHING },
	},
	[INVENTORY_RESERVED] = {
		[INVENTORY_ORDER_CREATED] = { INVENTORY_ANSWER, INVENTORY_SAY_RESERVED },
		[INVENTORY_ORDER_PAID] = { INVENTORY_SELL, INVENTORY_SAY_NOTHING },
		[INVENTORY_ORDER_PAYMENT_FAILED] = { INVENTORY_RELEASE, INVENTORY_SAY_NOTHING },
		[INVENTORY_ORDER_CANCELLED] = { INVENTORY_RELEASE, INVENTORY_SAY_NOTHING },
		[INVENTORY_ORDER_RECALLED] = { INVENTORY_RELEASE, INVENTORY_SAY_NOTHING },
		[INVENTORY_TIME_IS_UP] = { INVENTORY_EXPIRE, INVENTORY_SAY_NOTHING },
	},
	[INVENTORY_REJECTED] = {
		[INVENTORY_ORDER_CREATED] = { INVENTORY_ANSWER, INVENTORY_SAY_REJECTED },
		[INVENTORY_ORDER_PAID] = { INVENTORY_ANSWER, INVENTORY_SAY_REJECTED },
		[INVENTORY_ORDER_PAYMENT_FAILED] = { INVENTORY_ANSWER, INVENTORY_SAY_RELEASED },
		[INVENTORY_ORDER_CANCELLED] = { INVENTORY_ANSWER, INVENTORY_SAY_RELEASED },
		[INVENTORY_ORDER_RECALLED] = { INVENTORY_ANSWER, INVENTORY_SAY_RELEASED },
		[INVENTORY_TIME_IS_UP] = { INVENTORY_IGNORE, INVENTORY_SAY_NOTHING },
	},
	[INVENTORY_RELEASED] = {
		[INVENTORY_ORDER_CREATED] = { INVENTORY_ANSWER, INVENTORY_SAY_RELEASED },
		[INVENTORY_ORDER_PAID] = { INVENTORY_ANSWER, INVENTORY_SAY_RELEASED },
		[INVENTORY_ORDER_PAYMENT_FAILED] = { INVENTORY_ANSWER, INVENTORY_SAY_RELEASED },
		[INVENTORY_ORDER_CANCELLED] = { INVENTORY_ANSWER, INVENTORY_SAY_RELEASED },
		[INVENTORY_ORDER_RECALLED] = { INVENTORY_ANSWER, INVENTORY_SAY_RELEASED },
		[INVENTORY_TIME_IS_UP] = { INVENTORY_IGNORE, INVENTORY_SAY_NOTHING },
	},
	[INVENTORY_SOLD] = {
		[INVENTORY_ORDER_CREATED] = { INVENTORY_ANSWER, INVENTORY_SAY_RESERVED },
		[INVENTORY_ORDER_PAID] = { INVENTORY_ANSWER, INVENTORY_SAY_SOLD },
		[INVENTORY_ORDER_PAYMENT_FAILED] = { INVENTORY_REFUSE, INVENTORY_SAY_NOTHING },
		[INVENTORY_ORDER_CANCELLED] = { INVENTORY_IGNORE, INVENTORY_SAY_NOTHING },
		[INVENTORY_ORDER_RECALLED] = { INVENTORY_RETURN, INVENTORY_SAY_NOTHING },
		[INVENTORY_TIME_IS_UP] = { INVENTORY_IGNORE, INVENTORY_SAY_NOTHING },
	},
	[INVENTORY_EXPIRED] = {
		[INVENTORY_ORDER_CREATED] = { INVENTORY_DECIDE, INVENTORY_SAY_NOTHING },
		[INVENTORY_ORDER_PAID] = { INVENTORY_TAKE, INVENTORY_SAY_NOTHING },
		[INVENTORY_ORDER_PAYMENT_FAILED] = { INVENTORY_CLOSE, INVENTORY_SAY_NOTHING },
		[INVENTORY_ORDER_CANCELLED] = { INVENTORY_CLOSE, INVENTORY_SAY_NOTHING },
		[INVENTORY_ORDER_RECALLED] = { INVENTORY_CLOSE, INVENTORY_SAY_NOTHING },
		[INVENTORY_TIME_IS_UP] = { INVENTORY_IGNORE, INVENTORY_SAY_NOTHING },
	},
	[INVENTORY_CANCELLED_EARLY] = {
		[INVENTORY_ORDER_CREATED] = { INVENTORY_ANSWER, INVENTORY_SAY_RELEASED },
		[INVENTORY_ORDER_PAID] = { INVENTORY_ANSWER, INVENTORY_SAY_RELEASED },
		[INVENTORY_ORDER_PAYMENT_FAILED] = { INVENTORY_ANSWER, INVENTORY_SAY_RELEASED },
		[INVENTORY_ORDER_CANCELLED] = { INVENTORY_ANSWER, INVENTORY_SAY_RELEASED },
		[INVENTORY_ORDER_RECALLED] = { INVENTORY_ANSWER, INVENTORY_SAY_RELEASED },
		[INVENTORY_TIME_IS_UP] = { INVENTORY_IGNORE, INVENTORY_SAY_NOTHING },
	},
};

const char *inventory_state_name(enum inventory_state state)
{
	return STATE_NAMES[state];
}

/* The column's check allows no other word. */
enum inventory_state inventory_state_parse(const char *name)
{
	for (int i = 0; i < INVENTORY_STATES; i++)
		if (strcmp(STATE_NAMES[i], name) == 0)
			return (enum inventory_state)i;
	return INVENTORY_NONE;
}

struct inventory_step inventory_next(enum inventory_state state, enum inventory_event event)
{
	return STEPS[state][event];
}

int64_t inventory_available(const struct inventory_level *level)
{
	return level->on_hand - level->reserved;
}

/* ---- allocation ---- */

static int by_sku(const void *a, const void *b)
{
	const struct inventory_line *first = a, *second = b;

	return strcmp(first->sku, second->sku);
}

void inventory_sort(struct inventory_reservation *reservation)
{
	struct inventory_line *lines = reservation->lines;
	int kept = 0;

	if (reservation->count < 2)
		return;
	qsort(lines, (size_t)reservation->count, sizeof(*lines), by_sku);
	for (int i = 1; i < reservation->count; i++) {
		if (strcmp(lines[kept].sku, lines[i].sku) == 0)
			lines[kept].quantity += lines[i].quantity;
		else
			lines[++kept] = lines[i];
	}
	reservation->count = kept + 1;
}

static int level_by_sku(const void *key, const void *element)
{
	const struct inventory_level *level = element;

	return strcmp(key, level->sku);
}

static const struct inventory_level *find_level(const struct inventory_levels *levels,
						const char *sku)
{
	return levels->count == 0 ? NULL
				  : bsearch(sku, levels->list, (size_t)levels->count,
					    sizeof(*levels->list), level_by_sku);
}

bool inventory_allocate(struct inventory_reservation *reservation,
			const struct inventory_levels *levels)
{
	bool all = true;

	for (int i = 0; i < reservation->count; i++) {
		struct inventory_line *line = &reservation->lines[i];
		const struct inventory_level *level = find_level(levels, line->sku);
		int64_t available = level == NULL ? 0 : inventory_available(level);

		line->is_short = available < line->quantity;
		line->available = line->is_short ? available : 0;
		all = all && !line->is_short;
	}
	return all;
}

struct inventory_change inventory_change_of(enum inventory_action action)
{
	switch (action) {
	case INVENTORY_DECIDE:
		return (struct inventory_change) { 0, +1, NULL };
	case INVENTORY_SELL:
		return (struct inventory_change) { -1, -1, "sale" };
	case INVENTORY_TAKE:
		return (struct inventory_change) { -1, 0, "sale" };
	case INVENTORY_RELEASE:
	case INVENTORY_EXPIRE:
		return (struct inventory_change) { 0, -1, NULL };
	case INVENTORY_RETURN:
		return (struct inventory_change) { +1, 0, "return" };
	case INVENTORY_REFUSE:
	case INVENTORY_WAIT:
	case INVENTORY_CLOSE:
	case INVENTORY_ENTOMB:
	case INVENTORY_ANSWER:
	case INVENTORY_IGNORE:
	case INVENTORY_ACTIONS:
		break;
	}
	return (struct inventory_change) { 0, 0, NULL };
}

bool inventory_missed(int64_t overdue_ms)
{
	return overdue_ms > MISSED_MS;
}

enum sk_status inventory_check_delta(struct sk_context *context,
				     const struct inventory_level *level, int64_t delta)
{
	int64_t on_hand;

	if (__builtin_add_overflow(level->on_hand, delta, &on_hand) ||
	    on_hand > INVENTORY_QUANTITY_MAX)
		return sk_fail(context, SK_INVALID, "stock_out_of_range",
			       "on hand can be %d at most", INVENTORY_QUANTITY_MAX);
	if (on_hand < level->reserved)
		return sk_fail(context, SK_CONFLICT, "stock_reserved",
			       "on hand cannot be less than the %lld that orders have reserved",
			       (long long)level->reserved);
	return SK_OK;
}
