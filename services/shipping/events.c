#include "shipping.h"

#include "souk/orders/v1/events.pb-c.h"
#include "souk/shipments/v1/events.pb-c.h"

/* ---- published ---- */

/* protobuf-c's strings are not const; a copy in the arena is cheaper than a doubtful cast. */
static char *text(struct sk_tx *tx, const char *value)
{
	return sk_arena_strdup(sk_tx_arena(tx), value);
}

static enum sk_status tell(struct sk_tx *tx, const char *what, const char *order_id,
			   const ProtobufCMessage *body)
{
	struct sk_event event = {
		.subject = sk_arena_printf(sk_tx_arena(tx), SHIPPING_STREAM ".%s.%s", what,
					   order_id),
		.body = body,
	};

	return sk_outbox_add(tx, &event);
}

static enum sk_status tell_label_created(struct sk_tx *tx, const struct shipment *shipment)
{
	Souk__Shipments__V1__LabelCreated body;

	souk__shipments__v1__label_created__init(&body);
	body.order_id = text(tx, shipment->order_id);
	body.version = 1;
	body.shipment_id = text(tx, shipment->id);
	body.carrier = text(tx, shipment->carrier);
	body.tracking_number = text(tx, shipment->tracking_number);
	return tell(tx, "label_created", shipment->order_id, &body.base);
}

static enum sk_status tell_shipped(struct sk_tx *tx, const struct shipment *shipment)
{
	Souk__Shipments__V1__ParcelShipped body;

	souk__shipments__v1__parcel_shipped__init(&body);
	body.order_id = text(tx, shipment->order_id);
	body.version = 2;
	body.shipment_id = text(tx, shipment->id);
	body.carrier = text(tx, shipment->carrier);
	body.tracking_number = text(tx, shipment->tracking_number);
	return tell(tx, "shipped", shipment->order_id, &body.base);
}

static enum sk_status tell_delivered(struct sk_tx *tx, const struct shipment *shipment)
{
	Souk__Shipments__V1__ParcelDelivered body;

	souk__shipments__v1__parcel_delivered__init(&body);
	body.order_id = text(tx, shipment->order_id);
	body.version = 3;
	body.shipment_id = text(tx, shipment->id);
	body.carrier = text(tx, shipment->carrier);
	body.tracking_number = text(tx, shipment->tracking_number);
	return tell(tx, "delivered", shipment->order_id, &body.base);
}

static enum sk_status tell_voided(struct sk_tx *tx, const struct shipment *shipment)
{
	Souk__Shipments__V1__LabelVoided body;

	souk__shipments__v1__label_voided__init(&body);
	body.order_id = text(tx, shipment->order_id);
	body.version = 2;
	body.shipment_id = text(tx, shipment->id);
	body.carrier = text(tx, shipment->carrier);
	body.tracking_number = text(tx, shipment->tracking_number);
	return tell(tx, "voided", shipment->order_id, &body.base);
}

/* The versions follow from the steps, so that an answer given again has the same one. */
enum sk_status shipping_tell(struct sk_tx *tx, const struct shipment *shipment,
			     enum shipping_state step)
{
	switch (step) {
	case SHIPPING_LABEL_CREATED:
		return tell_label_created(tx, shipment);
	case SHIPPING_SHIPPED:
		return tell_shipped(tx, shipment);
	case SHIPPING_DELIVERED:
		return tell_delivered(tx, shipment);
	case SHIPPING_VOIDED:
		return tell_voided(tx, shipment);
	case SHIPPING_CANCELLED:
	case SHIPPING_STATES:
		break;
	}
	return SK_OK;
}

/* ---- consumed ---- */

static const char *traceparent_of(const struct sk_message *message)
{
	char buffer[SK_TRACEPARENT_BYTES];

	return sk_arena_strdup(message->context->arena,
			       sk_trace_format(&message->context->trace, buffer));
}

static enum sk_status on_requested(struct sk_tx *tx, const struct sk_message *message, void *app)
{
	const Souk__Orders__V1__ShipmentRequested *order = (const void *)message->body;
	const Souk__Orders__V1__Address *address = order->shipping_address;
	struct shipment wanted = {
		.order_id = order->order_id,
		.number = order->number,
		.account_id = order->account_id,
		.address = {
			.name = address->name,
			.line1 = address->line1,
			.line2 = address->line2,
			.city = address->city,
			.postal_code = address->postal_code,
			.country = address->country,
		},
		.traceparent = traceparent_of(message),
	};

	return shipping_request(tx, app, &wanted);
}

static enum sk_status on_recall_requested(struct sk_tx *tx, const struct sk_message *message,
					  void *app)
{
	const Souk__Orders__V1__RecallRequested *order = (const void *)message->body;
	struct shipment recalled = {
		.order_id = order->order_id,
		.number = order->number,
		.account_id = order->account_id,
		.address = { "", "", "", "", "", "" },
		.traceparent = traceparent_of(message),
	};

	(void)app;
	return shipping_recall(tx, &recalled);
}

static const struct sk_handler REQUESTS[] = {
	{ &souk__orders__v1__shipment_requested__descriptor, on_requested },
	{ NULL, NULL },
};

static const struct sk_handler RECALLS[] = {
	{ &souk__orders__v1__recall_requested__descriptor, on_recall_requested },
	{ NULL, NULL },
};

const struct sk_consumer SHIPPING_CONSUMERS[] = {
	{ "shipping-requested", "orders", "orders.shipment_requested.*", REQUESTS },
	{ "shipping-recalled", "orders", "orders.recall_requested.*", RECALLS },
	{ NULL, NULL, NULL, NULL },
};
