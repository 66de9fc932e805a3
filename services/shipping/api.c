#include "carrier.h"

#include <string.h>

#define WEBHOOK_ID_MAX_BYTES 255

/* ---- shipments ---- */

static void encode_shipment(struct sk_json *json, const struct shipment *shipment)
{
	const struct shipping_address *address = &shipment->address;

	sk_json_begin_object(json, NULL);
	sk_json_text(json, "id", shipment->id);
	sk_json_text(json, "order_id", shipment->order_id);
	sk_json_text(json, "order_number", shipment->number);
	sk_json_text(json, "carrier", shipment->carrier);
	sk_json_text(json, "tracking_number", shipment->tracking_number);
	sk_json_text(json, "status", shipping_state_name(shipment->state));
	sk_json_begin_object(json, "shipping_address");
	sk_json_text(json, "name", address->name);
	sk_json_text(json, "line1", address->line1);
	sk_json_text(json, "line2", address->line2);
	sk_json_text(json, "city", address->city);
	sk_json_text(json, "postal_code", address->postal_code);
	sk_json_text(json, "country", address->country);
	sk_json_end_object(json);
	sk_json_time(json, "created_at", shipment->created_at_us);
	sk_json_time(json, "updated_at", shipment->updated_at_us);
	sk_json_time(json, "shipped_at", shipment->shipped_at_us);
	sk_json_time(json, "delivered_at", shipment->delivered_at_us);
	sk_json_end_object(json);
}

/* The shipment of the path, where the actor may see it. Another's is not there at all. */
static enum sk_status visible_shipment(struct sk_request *request,
				       const struct shipping_service *service,
				       struct shipment *shipment)
{
	struct sk_context *context = sk_request_context(request);
	const char *id;
	enum sk_status st = sk_request_id(request, "id", &id);

	if (st == SK_OK)
		st = shipping_store_find(service->parts->pg, context, id, shipment);
	if (st == SK_OK && !shipping_visible(shipment, sk_request_actor(request)))
		st = sk_fail(context, SK_NOT_FOUND, "shipment_not_found",
			     "there is no such shipment");
	return st;
}

static enum sk_status get_shipment(struct sk_request *request, struct sk_reply *reply, void *app)
{
	struct shipment shipment;
	enum sk_status st = visible_shipment(request, app, &shipment);

	if (st == SK_OK)
		encode_shipment(sk_reply_json(reply, 200), &shipment);
	return st;
}

static enum sk_status get_label(struct sk_request *request, struct sk_reply *reply, void *app)
{
	struct shipping_service *service = app;
	struct shipment shipment;
	struct shipping_label label;
	enum sk_status st = visible_shipment(request, service, &shipment);

	if (st == SK_OK)
		st = shipping_store_label(service->parts->pg, sk_request_context(request),
					  shipment.id, &label);
	if (st != SK_OK)
		return st;
	sk_reply_header(reply, "Content-Disposition",
			sk_arena_printf(sk_request_arena(request), "inline; filename=\"%s.pdf\"",
					shipment.tracking_number));
	sk_reply_bytes(reply, 200, "application/pdf", label.pdf, label.len);
	return SK_OK;
}

/* ---- webhooks ---- */

struct taking {
	const struct shipping_service *service;
	struct shipping_notice notice;
};

static enum sk_status take_webhook(struct sk_tx *tx, struct sk_request *request,
				   struct sk_reply *reply, void *arg)
{
	struct taking *taking = arg;
	enum sk_status st = shipping_take_notice(tx, taking->service, &taking->notice);

	(void)request;
	if (st == SK_OK)
		sk_reply_empty(reply, 200);
	return st;
}

/* POST /v1/shipments/webhooks/{carrier}: the signature first, over the bytes as they
 * came; nothing of an unsigned body is looked at. */
static enum sk_status post_webhook(struct sk_request *request, struct sk_reply *reply, void *app)
{
	struct shipping_service *service = app;
	struct sk_context *context = sk_request_context(request);
	const struct shipping_carrier *carrier = shipping_carrier_find(
		sk_request_param(request, "carrier"));
	struct sk_webhook webhook = sk_webhook_of_request(request);
	struct taking taking = { .service = service };
	enum sk_status st;

	if (carrier == NULL)
		return sk_fail(context, SK_NOT_FOUND, "carrier_not_found",
			       "there is no such carrier");
	st = carrier->read(service, context, &webhook, &taking.notice);
	if (st != SK_OK)
		return st;
	if (strlen(webhook.id) > WEBHOOK_ID_MAX_BYTES)
		return sk_fail(context, SK_INVALID, "invalid_input", "webhook-id is too long");
	taking.notice.carrier = carrier->name;
	taking.notice.webhook_id = webhook.id;
	st = sk_request_transact(request, reply, service->parts->pg, take_webhook, &taking);
	if (st == SK_CONFLICT) /* signed, and yet it must not be */
		sk_log_failure(SK_LOG_ERROR, context, "a carrier's webhook was refused");
	return st;
}

const struct sk_route SHIPPING_ROUTES[] = {
	{ "POST", "/v1/shipments/webhooks/{carrier}", post_webhook, SK_OPEN,
	  SK_BODY_RAW | SK_ACCESS_BY_HANDLER, SHIPPING_WEBHOOK_MAX_BYTES, NULL },
	{ "GET", "/v1/shipments/{id}", get_shipment, SK_CUSTOMER, 0, 0, NULL },
	{ "GET", "/v1/shipments/{id}/label", get_label, SK_CUSTOMER, 0, 0, NULL },
	{ NULL, NULL, NULL, SK_OPEN, 0, 0, NULL },
};
