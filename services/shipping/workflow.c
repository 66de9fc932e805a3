/* The life of a shipment: the table of rules.c decides, the held row moves, and the
 * outbox tells, in one transaction. */
#include "carrier.h"

/* How many steps one event can take: the carrier may skip one word. */
#define STEPS_MAX 2

/* Whoever asks again gets every step: the answer that was lost may be any of them. */
static enum sk_status tell_all(struct sk_tx *tx, const struct shipment *shipment)
{
	enum sk_status st = SK_OK;

	if (shipment->state != SHIPPING_CANCELLED)
		st = shipping_tell(tx, shipment, SHIPPING_LABEL_CREATED);
	if (st == SK_OK &&
	    (shipment->state == SHIPPING_VOIDED || shipment->state == SHIPPING_CANCELLED))
		return shipping_tell(tx, shipment, SHIPPING_VOIDED);
	if (st == SK_OK &&
	    (shipment->state == SHIPPING_SHIPPED || shipment->state == SHIPPING_DELIVERED))
		st = shipping_tell(tx, shipment, SHIPPING_SHIPPED);
	if (st == SK_OK && shipment->state == SHIPPING_DELIVERED)
		st = shipping_tell(tx, shipment, SHIPPING_DELIVERED);
	return st;
}

static enum sk_status move(struct sk_tx *tx, struct shipment *shipment, enum shipping_state next,
			   int64_t advance_ms)
{
	enum sk_status st;

	shipment->state = next;
	st = shipping_store_move(tx, shipment, advance_ms);
	return st == SK_OK ? shipping_tell(tx, shipment, next) : st;
}

static enum sk_status advance(struct sk_tx *tx, struct shipment *shipment,
			      enum shipping_event event, int64_t advance_ms)
{
	enum sk_status st = SK_OK;

	for (int i = 0; st == SK_OK && i < STEPS_MAX; i++) {
		struct shipping_step step = shipping_next(shipment->state, event);

		switch (step.verdict) {
		case SHIPPING_IGNORE:
			return SK_OK;
		case SHIPPING_ANSWER:
			return tell_all(tx, shipment);
		case SHIPPING_GO:
			return move(tx, shipment, step.next, advance_ms);
		case SHIPPING_THROUGH:
			st = move(tx, shipment, step.next, advance_ms);
			break;
		case SHIPPING_REFUSE:
			return sk_fail(sk_tx_context(tx), SK_CONFLICT, "shipment_voided",
				       "shipment %s is %s", shipment->id,
				       shipping_state_name(shipment->state));
		}
	}
	return st;
}

/* The row of the order, held. *known is false where there is none. */
static enum sk_status hold(struct sk_tx *tx, const char *order_id, struct shipment *shipment,
			   bool *known)
{
	enum sk_status st = shipping_store_hold_of_order(tx, order_id, shipment);

	*known = st == SK_OK;
	if (st != SK_NOT_FOUND)
		return st;
	sk_context_clear_error(sk_tx_context(tx));
	return SK_OK;
}

static enum sk_status add(struct sk_tx *tx, const struct shipping_service *service,
			  const struct shipment *wanted, bool *added)
{
	struct sk_arena *arena = sk_tx_arena(tx);
	struct shipment shipment = *wanted;
	struct shipping_label label;
	enum sk_status st;

	shipment.id = sk_id_make(arena);
	shipment.carrier = shipping_carrier_first()->name;
	shipment.tracking_number = shipping_tracking_number(arena, shipment.id);
	shipment.state = SHIPPING_LABEL_CREATED;
	st = shipping_label_make(sk_tx_context(tx), service, &shipment, &label);
	sk_crash_here(SK_CRASH_LABEL_MADE);
	if (st == SK_OK)
		st = shipping_store_add(tx, &shipment, &label, service->advance_ms, added);
	if (st == SK_OK && *added)
		st = shipping_tell(tx, &shipment, SHIPPING_LABEL_CREATED);
	return st;
}

enum sk_status shipping_request(struct sk_tx *tx, const struct shipping_service *service,
				const struct shipment *wanted)
{
	struct shipment shipment;
	bool known, added = false;
	enum sk_status st = hold(tx, wanted->order_id, &shipment, &known);

	if (st == SK_OK && !known) {
		st = add(tx, service, wanted, &added);
		if (st == SK_OK && !added) /* somebody else came between: look again */
			st = shipping_store_hold_of_order(tx, wanted->order_id, &shipment);
	}
	if (st != SK_OK || added)
		return st;
	return advance(tx, &shipment, SHIPPING_REQUESTED, service->advance_ms);
}

enum sk_status shipping_recall(struct sk_tx *tx, const struct shipment *recalled)
{
	struct shipment shipment = *recalled;
	bool added;
	enum sk_status st;

	shipment.id = sk_id_make(sk_tx_arena(tx));
	shipment.carrier = "";
	shipment.tracking_number = "";
	shipment.state = SHIPPING_CANCELLED;
	st = shipping_store_add(tx, &shipment, NULL, 0, &added);
	if (st != SK_OK)
		return st;
	if (added)
		return shipping_tell(tx, &shipment, SHIPPING_VOIDED);
	st = shipping_store_hold_of_order(tx, recalled->order_id, &shipment);
	return st == SK_OK ? advance(tx, &shipment, SHIPPING_RECALLED, 0) : st;
}

enum sk_status shipping_take_notice(struct sk_tx *tx, const struct shipping_service *service,
				    const struct shipping_notice *notice)
{
	struct shipment shipment;
	bool fresh;
	enum sk_status st = shipping_store_see_webhook(tx, notice, &fresh);

	if (st != SK_OK || !fresh)
		return st;
	st = shipping_store_hold_tracked(tx, notice->carrier, notice->tracking_number, &shipment);
	if (st != SK_OK)
		return st;
	/* The carrier knows nothing of the order's trace; what follows belongs to it. */
	sk_tx_context(tx)->trace = sk_trace_continue(shipment.traceparent);
	return advance(tx, &shipment, notice->event, service->advance_ms);
}
