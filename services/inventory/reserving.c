/* What orders do to the stock: the table of rules.c decides, the rows change, and the
 * outbox tells, in one transaction.
 *
 * All lines of an order or none: the rows of its SKUs are locked, looked at together, and
 * changed together. Nothing is reserved a piece at a time and given back on failure, which
 * would let two orders that each want the last two pieces both fail. */
#include "inventory.h"

/* Changes stock, reservation and ledger, and tells. The reservation's rows are held. */
static enum sk_status change(struct sk_tx *tx, struct inventory_reservation *reservation,
			     enum inventory_action action, enum inventory_state next,
			     enum inventory_answer answer)
{
	struct inventory_change what = inventory_change_of(action);
	struct inventory_levels levels;
	enum sk_status st = inventory_store_change(tx, reservation, &what, &levels);

	if (st == SK_OK && reservation->state != next)
		st = inventory_store_move(tx, reservation, next);
	if (st == SK_OK)
		st = inventory_tell(tx, answer, reservation);
	return st == SK_OK ? inventory_tell_levels(tx, &levels) : st;
}

static enum sk_status hold_and_change(struct sk_tx *tx, struct inventory_reservation *reservation,
				      enum inventory_action action, enum inventory_state next,
				      enum inventory_answer answer)
{
	struct inventory_levels levels;
	enum sk_status st = inventory_store_hold(tx, reservation, &levels);

	return st == SK_OK ? change(tx, reservation, action, next, answer) : st;
}

static enum sk_status decide(struct sk_tx *tx, const struct inventory_reservation *order)
{
	struct inventory_reservation reservation = *order;
	struct inventory_levels levels;
	bool all;
	enum sk_status st;

	inventory_sort(&reservation);
	st = inventory_store_hold(tx, &reservation, &levels);
	if (st != SK_OK)
		return st;
	all = inventory_allocate(&reservation, &levels);
	reservation.state = all ? INVENTORY_RESERVED : INVENTORY_REJECTED;
	st = inventory_store_add(tx, &reservation);
	if (st != SK_OK)
		return st;
	if (!all)
		return inventory_tell(tx, INVENTORY_SAY_REJECTED, &reservation);
	return change(tx, &reservation, INVENTORY_DECIDE, INVENTORY_RESERVED,
		      INVENTORY_SAY_RESERVED);
}

static enum sk_status entomb(struct sk_tx *tx, const char *order_id)
{
	struct inventory_reservation tombstone = { .order_id = order_id,
						   .state = INVENTORY_CANCELLED_EARLY };
	enum sk_status st = inventory_store_add(tx, &tombstone);

	return st == SK_OK ? inventory_tell(tx, INVENTORY_SAY_RELEASED, &tombstone) : st;
}

enum sk_status inventory_advance(struct sk_tx *tx, enum inventory_event event,
				 const struct inventory_reservation *order)
{
	struct inventory_reservation reservation;
	struct inventory_step step;
	enum sk_status st = inventory_store_take_turn(tx);

	if (st == SK_OK)
		st = inventory_store_find(tx, order->order_id, &reservation);
	if (st != SK_OK)
		return st;
	step = inventory_next(reservation.state, event);
	switch (step.action) {
	case INVENTORY_DECIDE:
		return decide(tx, order);
	case INVENTORY_SELL:
		return hold_and_change(tx, &reservation, INVENTORY_SELL, INVENTORY_SOLD,
				       INVENTORY_SAY_SOLD);
	case INVENTORY_RELEASE:
	case INVENTORY_RETURN:
		return hold_and_change(tx, &reservation, step.action, INVENTORY_RELEASED,
				       INVENTORY_SAY_RELEASED);
	case INVENTORY_ENTOMB:
		return entomb(tx, order->order_id);
	case INVENTORY_ANSWER:
		return inventory_tell(tx, step.answer, &reservation);
	case INVENTORY_WAIT:
		return sk_fail(sk_tx_context(tx), SK_NOT_FOUND, "too_early",
			       "nothing is reserved yet for order %s", order->order_id);
	case INVENTORY_REFUSE:
		break;
	}
	return sk_fail(sk_tx_context(tx), SK_CONFLICT, "reservation_contradicted",
		       "what is told of order %s contradicts that it is %s", order->order_id,
		       inventory_state_name(reservation.state));
}
