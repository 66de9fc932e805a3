#include "provider.h"

#include <string.h>

#define WEBHOOK_ID_MAX_BYTES 255

/* ---- webhooks ---- */

static enum sk_status take_webhook(struct sk_tx *tx, struct sk_request *request,
				   struct sk_reply *reply, void *arg)
{
	enum sk_status st = payment_take_notice(tx, arg);

	(void)request;
	if (st == SK_OK)
		sk_reply_empty(reply, 200);
	return st;
}

/* POST /v1/payments/webhooks/{provider}: the signature first, over the bytes as they
 * came; nothing of an unsigned body is looked at. */
static enum sk_status post_webhook(struct sk_request *request, struct sk_reply *reply, void *app)
{
	struct payment_service *service = app;
	struct sk_context *context = sk_request_context(request);
	const struct payment_provider *provider = payment_provider_find(
		service, sk_request_param(request, "provider"));
	struct sk_webhook webhook = sk_webhook_of_request(request);
	struct payment_notice notice = { .reason = "" };
	enum sk_status st;

	if (provider == NULL)
		return sk_fail(context, SK_NOT_FOUND, "provider_not_found",
			       "there is no such payment provider");
	st = provider->read(service, context, &webhook, &notice);
	if (st != SK_OK)
		return st;
	if (strlen(webhook.id) > WEBHOOK_ID_MAX_BYTES)
		return sk_fail(context, SK_INVALID, "invalid_input", "webhook-id is too long");
	notice.provider = provider->name;
	notice.webhook_id = webhook.id;
	st = sk_request_transact(request, reply, service->parts->pg, take_webhook, &notice);
	if (st == SK_INVALID || st == SK_CONFLICT) /* signed, and yet wrong: money is at stake */
		sk_log_failure(SK_LOG_ERROR, context, "a provider's webhook was refused");
	return st;
}

/* ---- staff ---- */

static void encode_payment(struct sk_json *json, const struct payment *payment)
{
	sk_json_begin_object(json, NULL);
	sk_json_text(json, "id", payment->id);
	sk_json_text(json, "order_id", payment->order_id);
	sk_json_text(json, "order_number", payment->number);
	sk_json_money(json, "amount", payment->amount);
	sk_json_money(json, "refunded",
		      sk_money_of(payment->refunded_minor, payment->amount.currency));
	sk_json_text(json, "status", payment_status(payment));
	sk_json_text(json, "reason", payment->reason);
	sk_json_text(json, "provider", payment->provider);
	sk_json_time(json, "created_at", payment->created_at_us);
	sk_json_end_object(json);
}

static enum sk_status decode_filter(struct sk_request *request, struct payment_filter *filter)
{
	struct sk_context *context = sk_request_context(request);
	struct sk_page page;
	enum sk_status st = sk_request_page(request, &page);

	if (st != SK_OK)
		return st;
	filter->order_id = sk_request_query(request, "order_id");
	filter->before = page.after;
	filter->limit = page.limit + 1; /* one more tells whether there is a next page */
	if (filter->order_id != NULL && !sk_id_valid(filter->order_id))
		return sk_fail(context, SK_INVALID, "invalid_input", "order_id is not an id");
	if (filter->before != NULL && !sk_id_valid(filter->before))
		return sk_fail(context, SK_INVALID, "invalid_cursor",
			       "the cursor is not one of ours");
	return SK_OK;
}

/* GET /v1/payments: newest first. */
static enum sk_status get_payments(struct sk_request *request, struct sk_reply *reply, void *app)
{
	struct payment_service *service = app;
	struct payment_filter filter;
	struct payments found;
	const char *cursor = NULL;
	struct sk_json *json;
	enum sk_status st = decode_filter(request, &filter);

	if (st == SK_OK)
		st = payment_store_list(service->parts->pg, sk_request_context(request), &filter,
					&found);
	if (st != SK_OK)
		return st;
	if (found.count == filter.limit) {
		found.count--;
		cursor = sk_cursor_make(sk_request_arena(request), found.list[found.count - 1].id);
	}
	json = sk_reply_json(reply, 200);
	sk_json_begin_list(json);
	for (int i = 0; i < found.count; i++)
		encode_payment(json, &found.list[i]);
	sk_json_end_list(json, cursor);
	return SK_OK;
}

const struct sk_route PAYMENT_ROUTES[] = {
	{ "POST", "/v1/payments/webhooks/{provider}", post_webhook, SK_OPEN,
	  SK_BODY_RAW | SK_ACCESS_BY_HANDLER, PAYMENT_WEBHOOK_MAX_BYTES, NULL },
	{ "GET", "/v1/payments", get_payments, SK_STAFF, 0, 0, NULL },
	{ NULL, NULL, NULL, SK_OPEN, 0, 0, NULL },
};
