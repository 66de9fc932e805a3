#include "notification.h"

#include <sodium.h>
#include <string.h>

#include "sk_audit.h"

#define SECRET_BYTES 32 /* Standard Webhooks: 24 to 64 */

/* ---- messages ---- */

static void encode_message(struct sk_json *json, const struct notification_message *message)
{
	bool secret = notification_kind_is_secret(message->kind);

	sk_json_begin_object(json, NULL);
	sk_json_text(json, "id", message->id);
	sk_json_text(json, "kind", message->kind);
	sk_json_text(json, "to", message->recipient);
	sk_json_text(json, "order_id", *message->order_id != '\0' ? message->order_id : NULL);
	sk_json_text(json, "subject", message->subject);
	sk_json_text(json, "body", secret ? NULL : message->body);
	sk_json_text(json, "status", notification_state_name(message->state));
	sk_json_int(json, "attempts", message->attempts);
	sk_json_text(json, "last_error", message->last_error);
	sk_json_time(json, "created_at", message->created_at_us);
	sk_json_time(json, "sent_at", message->sent_at_us);
	sk_json_end_object(json);
}

/* ?limit= and ?cursor=, one more than the page: it tells whether there is a next one. */
static enum sk_status decode_page(struct sk_request *request, const char **before, int *limit)
{
	struct sk_page page;
	enum sk_status st = sk_request_page(request, &page);

	if (st != SK_OK)
		return st;
	if (page.after != NULL && !sk_id_valid(page.after))
		return sk_fail(sk_request_context(request), SK_INVALID, "invalid_cursor",
			       "the cursor is not one of ours");
	*before = page.after;
	*limit = page.limit + 1;
	return SK_OK;
}

/* GET /v1/notifications: newest first. */
static enum sk_status get_messages(struct sk_request *request, struct sk_reply *reply, void *app)
{
	struct notification_service *service = app;
	struct sk_context *context = sk_request_context(request);
	struct notification_filter filter = {
		.recipient = sk_request_query(request, "to"),
		.order_id = sk_request_query(request, "order_id"),
	};
	struct notification_messages found;
	const char *cursor = NULL;
	struct sk_json *json;
	enum sk_status st = decode_page(request, &filter.before, &filter.limit);

	if (st == SK_OK && filter.order_id != NULL && !sk_id_valid(filter.order_id))
		st = sk_fail(context, SK_INVALID, "invalid_input", "order_id is not an id");
	if (st == SK_OK)
		st = notification_store_list(service->parts->pg, context, &filter, &found);
	if (st != SK_OK)
		return st;
	if (found.count == filter.limit) {
		found.count--;
		cursor = sk_cursor_make(context->arena, found.list[found.count - 1].id);
	}
	json = sk_reply_json(reply, 200);
	sk_json_begin_list(json);
	for (int i = 0; i < found.count; i++)
		encode_message(json, &found.list[i]);
	sk_json_end_list(json, cursor);
	return SK_OK;
}

/* ---- webhook endpoints ---- */

static void encode_endpoint(struct sk_json *json, const struct notification_endpoint *endpoint)
{
	sk_json_begin_object(json, NULL);
	sk_json_text(json, "id", endpoint->id);
	sk_json_text(json, "url", endpoint->url);
	sk_json_begin_array(json, "events");
	for (size_t i = 0; i < endpoint->events_count; i++)
		sk_json_text(json, NULL, endpoint->events[i]);
	sk_json_end_array(json);
	if (*endpoint->secret != '\0') /* only in the answer that made it */
		sk_json_text(json, "secret", endpoint->secret);
	sk_json_time(json, "created_at", endpoint->created_at_us);
	sk_json_end_object(json);
}

static const char *secret_make(struct sk_arena *arena)
{
	unsigned char bytes[SECRET_BYTES];
	char base64[sodium_base64_ENCODED_LEN(SECRET_BYTES, sodium_base64_VARIANT_ORIGINAL)];

	randombytes_buf(bytes, sizeof(bytes));
	sodium_bin2base64(base64, sizeof(base64), bytes, sizeof(bytes),
			  sodium_base64_VARIANT_ORIGINAL);
	return sk_arena_printf(arena, "whsec_%s", base64);
}

static void decode_events(struct sk_fields *fields, struct sk_arena *arena,
			  struct notification_endpoint *endpoint)
{
	struct sk_fields elements = { .pointer = "/events", .errors = fields->errors };
	int count = sk_field_array(fields, "events", 1, NOTIFICATION_PATTERNS_MAX,
				   SK_FIELD_REQUIRED);

	endpoint->events_count = (size_t)count;
	endpoint->events = sk_arena_array(arena, (size_t)count, sizeof(*endpoint->events));
	for (int i = 0; i < count; i++) {
		const char *pattern = sk_field_element_text(fields, "events", i, 1,
							    NOTIFICATION_PATTERN_MAX_BYTES);

		endpoint->events[i] = pattern;
		if (pattern != NULL && !notification_pattern_valid(pattern))
			sk_field_reject(&elements, sk_arena_printf(arena, "%d", i),
					"not like \"orders.created\", \"orders.*\" or \"*\" "
					"(orders, payments, shipments)");
	}
}

/* The address is looked at again for each delivery: what a name resolves to may change. */
static enum sk_status decode_endpoint(struct sk_request *request,
				      const struct notification_service *service,
				      struct notification_endpoint *endpoint)
{
	struct sk_context *context = sk_request_context(request);
	struct sk_fields fields = sk_request_fields(request);
	enum sk_status st;

	endpoint->url = sk_field_text(&fields, "url", 1, NOTIFICATION_URL_MAX_BYTES,
				      SK_FIELD_REQUIRED);
	decode_events(&fields, context->arena, endpoint);
	st = sk_fields_finish(&fields, context);
	if (st != SK_OK)
		return st;
	st = service->allow_private ? notification_target_check(context, endpoint->url)
				    : notification_target_resolve(context, endpoint->url);
	if (st != SK_UNAVAILABLE)
		return st;
	sk_context_clear_error(context);
	return sk_fail(context, SK_INVALID, "invalid_url", "the URL's host does not resolve");
}

static enum sk_status add_endpoint(struct sk_tx *tx, struct sk_request *request,
				   struct sk_reply *reply, void *arg)
{
	struct notification_endpoint *endpoint = arg;
	enum sk_status st = notification_store_add_endpoint(tx, endpoint);

	(void)request;
	if (st == SK_OK)
		st = sk_audit_action(tx, "webhook_endpoint.created", "webhook_endpoint",
				     endpoint->id, endpoint->url);
	if (st != SK_OK)
		return st;
	sk_reply_header(reply, "Cache-Control", "no-store");
	encode_endpoint(sk_reply_json(reply, 201), endpoint);
	return SK_OK;
}

/* POST /v1/webhook-endpoints: the secret is in this answer and in no other. */
static enum sk_status post_endpoint(struct sk_request *request, struct sk_reply *reply, void *app)
{
	struct notification_service *service = app;
	struct sk_arena *arena = sk_request_arena(request);
	struct notification_endpoint endpoint = {
		.id = sk_id_make(arena),
		.secret = secret_make(arena),
	};
	enum sk_status st = decode_endpoint(request, service, &endpoint);

	if (st == SK_OK)
		st = sk_request_transact(request, reply, service->parts->pg, add_endpoint,
					 &endpoint);
	return st;
}

static enum sk_status get_endpoints(struct sk_request *request, struct sk_reply *reply, void *app)
{
	struct notification_service *service = app;
	struct notification_endpoints found;
	const char *before = NULL, *cursor = NULL;
	struct sk_json *json;
	int limit = 0;
	enum sk_status st = decode_page(request, &before, &limit);

	if (st == SK_OK)
		st = notification_store_list_endpoints(
			service->parts->pg, sk_request_context(request), before, limit, &found);
	if (st != SK_OK)
		return st;
	if (found.count == limit) {
		found.count--;
		cursor = sk_cursor_make(sk_request_arena(request), found.list[found.count - 1].id);
	}
	json = sk_reply_json(reply, 200);
	sk_json_begin_list(json);
	for (int i = 0; i < found.count; i++)
		encode_endpoint(json, &found.list[i]);
	sk_json_end_list(json, cursor);
	return SK_OK;
}

static enum sk_status drop_endpoint(struct sk_tx *tx, struct sk_request *request,
				    struct sk_reply *reply, void *arg)
{
	const char *id = arg;
	enum sk_status st = notification_store_drop_endpoint(tx, id);

	(void)request;
	if (st == SK_OK)
		st = sk_audit_action(tx, "webhook_endpoint.deleted", "webhook_endpoint", id, NULL);
	if (st == SK_OK)
		sk_reply_empty(reply, 204);
	return st;
}

static enum sk_status delete_endpoint(struct sk_request *request, struct sk_reply *reply, void *app)
{
	struct notification_service *service = app;
	const char *id;
	enum sk_status st = sk_request_id(request, "id", &id);

	if (st == SK_OK)
		st = sk_request_transact(request, reply, service->parts->pg, drop_endpoint,
					 sk_arena_strdup(sk_request_arena(request), id));
	return st;
}

const struct sk_route NOTIFICATION_ROUTES[] = {
	{ "GET", "/v1/notifications", get_messages, SK_STAFF, 0, 0, NULL },
	{ "POST", "/v1/webhook-endpoints", post_endpoint, SK_STAFF, SK_BODY_JSON | SK_IDEMPOTENT, 0,
	  NULL },
	{ "GET", "/v1/webhook-endpoints", get_endpoints, SK_STAFF, 0, 0, NULL },
	{ "DELETE", "/v1/webhook-endpoints/{id}", delete_endpoint, SK_STAFF, 0, 0, NULL },
	{ NULL, NULL, NULL, SK_OPEN, 0, 0, NULL },
};
