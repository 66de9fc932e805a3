/* What orders do to the stock: the table of rules.c decides, the rows change, and the
 * outbox tells, in one transaction.
 *
 * All lines of an order or none: the rows of its SKUs are locked, looked at together, and
 * changed together. Nothing is reserved a piece at a time and given back on failure, which
 * would let two orders that each want the last two pieces both fail.
 *
 * A reservation is held for INVENTORY_RESERVATION_S, which is longer than an order itself waits
 * for its payment: it is the backstop for orders that are gone. An outage must cost no order its
 * goods. While the broker is away no time runs out; what ran out more than a minute before the
 * sweep came by ran out while we were down, and gets its time once more; and where it was
 * the order service that was down, it asks again when it hears of the expiry. */
#include "inventory.h"

/* One order's event at work. */
struct step {
	struct sk_tx *tx;
	const struct inventory_service *service;
	struct inventory_reservation reservation;
};

/* Changes stock, reservation and ledger, and tells. The rows of the stock are held. */
static enum sk_status change(struct step *step, enum inventory_action action,
			     enum inventory_state next, enum inventory_answer answer)
{
	struct inventory_change what = inventory_change_of(action);
	struct inventory_levels levels;
	enum sk_status st = inventory_store_change(step->tx, &step->reservation, &what, &levels);

	if (st == SK_OK && step->reservation.state != next)
		st = inventory_store_move(step->tx, &step->reservation, next,
					  step->service->reservation_ms);
	if (st == SK_OK)
		st = inventory_tell(step->tx, answer, &step->reservation);
	return st == SK_OK ? inventory_tell_levels(step->tx, &levels) : st;
}

static enum sk_status hold_and_change(struct step *step, enum inventory_action action,
				      enum inventory_state next, enum inventory_answer answer)
{
	struct inventory_levels levels;
	enum sk_status st = inventory_store_hold(step->tx, &step->reservation, &levels);

	return st == SK_OK ? change(step, action, next, answer) : st;
}

/* Another state, and no piece changes its place. */
static enum sk_status move(struct step *step, enum inventory_state next,
			   enum inventory_answer answer)
{
	enum sk_status st = inventory_store_move(step->tx, &step->reservation, next, 0);

	return st == SK_OK ? inventory_tell(step->tx, answer, &step->reservation) : st;
}

/* The first decision about an order. */
static enum sk_status decide(struct step *step, const struct inventory_reservation *order)
{
	struct inventory_reservation *reservation = &step->reservation;
	struct inventory_levels levels;
	bool all;
	enum sk_status st;

	*reservation = *order;
	inventory_sort(reservation);
	st = inventory_store_hold(step->tx, reservation, &levels);
	if (st != SK_OK)
		return st;
	all = inventory_allocate(reservation, &levels);
	reservation->state = all ? INVENTORY_RESERVED : INVENTORY_REJECTED;
	st = inventory_store_add(step->tx, reservation, step->service->reservation_ms);
	if (st != SK_OK)
		return st;
	if (!all)
		return inventory_tell(step->tx, INVENTORY_SAY_REJECTED, reservation);
	return change(step, INVENTORY_DECIDE, INVENTORY_RESERVED, INVENTORY_SAY_RESERVED);
}

/* An order came back whose reservation has expired: action is DECIDE, or TAKE where it is paid. */
static enum sk_status decide_again(struct step *step, enum inventory_action action)
{
	struct inventory_levels levels;
	enum sk_status st = inventory_store_hold(step->tx, &step->reservation, &levels);

	if (st != SK_OK)
		return st;
	if (!inventory_allocate(&step->reservation, &levels)) {
		st = inventory_store_shortages(step->tx, &step->reservation);
		return st == SK_OK ? move(step, INVENTORY_REJECTED, INVENTORY_SAY_REJECTED) : st;
	}
	if (action == INVENTORY_TAKE)
		return change(step, action, INVENTORY_SOLD, INVENTORY_SAY_SOLD);
	return change(step, action, INVENTORY_RESERVED, INVENTORY_SAY_RESERVED);
}

static enum sk_status entomb(struct step *step, const char *order_id)
{
	struct inventory_reservation tombstone = { .order_id = order_id,
						   .state = INVENTORY_CANCELLED_EARLY };
	enum sk_status st = inventory_store_add(step->tx, &tombstone, 0);

	return st == SK_OK ? inventory_tell(step->tx, INVENTORY_SAY_RELEASED, &tombstone) : st;
}

static enum sk_status act(struct step *step, const struct inventory_step *what,
			  const struct inventory_reservation *order)
{
	switch (what->action) {
	case INVENTORY_DECIDE:
		return step->reservation.state == INVENTORY_NONE
			       ? decide(step, order)
			       : decide_again(step, INVENTORY_DECIDE);
	case INVENTORY_TAKE:
		return decide_again(step, INVENTORY_TAKE);
	case INVENTORY_SELL:
		return hold_and_change(step, INVENTORY_SELL, INVENTORY_SOLD, INVENTORY_SAY_SOLD);
	case INVENTORY_RELEASE:
	case INVENTORY_RETURN:
		return hold_and_change(step, what->action, INVENTORY_RELEASED,
				       INVENTORY_SAY_RELEASED);
	case INVENTORY_EXPIRE:
		return hold_and_change(step, INVENTORY_EXPIRE, INVENTORY_EXPIRED,
				       INVENTORY_SAY_EXPIRED);
	case INVENTORY_CLOSE:
		return move(step, INVENTORY_RELEASED, INVENTORY_SAY_RELEASED);
	case INVENTORY_ENTOMB:
		return entomb(step, order->order_id);
	case INVENTORY_ANSWER:
		return inventory_tell(step->tx, what->answer, &step->reservation);
	case INVENTORY_IGNORE:
		return SK_OK;
	case INVENTORY_WAIT:
		return sk_fail(sk_tx_context(step->tx), SK_NOT_FOUND, "too_early",
			       "nothing is reserved yet for order %s", order->order_id);
	case INVENTORY_REFUSE:
	case INVENTORY_ACTIONS:
		break;
	}
	return sk_fail(sk_tx_context(step->tx), SK_CONFLICT, "reservation_contradicted",
		       "what is told of order %s contradicts that it is %s", order->order_id,
		       inventory_state_name(step->reservation.state));
}

enum sk_status inventory_advance(struct sk_tx *tx, const struct inventory_service *service,
				 enum inventory_event event,
				 const struct inventory_reservation *order)
{
	struct step step = { .tx = tx, .service = service };
	struct inventory_step what;
	enum sk_status st = inventory_store_take_turn(tx);

	if (st == SK_OK)
		st = inventory_store_find(tx, order->order_id, &step.reservation);
	if (st != SK_OK)
		return st;
	what = inventory_next(step.reservation.state, event);
	return act(&step, &what, order);
}

/* ---- reservations whose time is up ---- */

struct sweeping {
	const struct inventory_service *service;
	int looked_at;
};

static enum sk_status look_at(struct sk_tx *tx, const struct inventory_service *service,
			      const struct inventory_reservation *due)
{
	if (inventory_missed(due->overdue_ms))
		return inventory_store_prolong(tx, due->order_id, service->reservation_ms);
	sk_log(SK_LOG_WARN, sk_tx_context(tx), "the reservation of order %s has expired",
	       due->order_id);
	return inventory_advance(tx, service, INVENTORY_TIME_IS_UP, due);
}

/* The turn comes first, as for whoever changes stock: locks are taken in one order. */
static enum sk_status look_at_due(struct sk_tx *tx, void *arg)
{
	struct sweeping *sweeping = arg;
	struct inventory_reservations due = { .count = 0 };
	enum sk_status st = inventory_store_take_turn(tx);

	if (st == SK_OK)
		st = inventory_store_due(tx, &due);
	sweeping->looked_at = due.count;
	for (int i = 0; i < due.count && st == SK_OK; i++)
		st = look_at(tx, sweeping->service, &due.list[i]);
	return st;
}

enum sk_status inventory_sweep_expiries(struct sk_context *context, void *app, bool *again)
{
	struct inventory_service *service = app;
	struct sweeping sweeping = { .service = service };
	enum sk_status st;

	/* Without the broker no order can say that it is still there. */
	if (!sk_bus_connected(service->parts->bus))
		return SK_OK;
	st = sk_pg_transact(service->parts->pg, context, look_at_due, &sweeping);
	*again = st == SK_OK && sweeping.looked_at == INVENTORY_DUE_MAX;
	return st;
}
