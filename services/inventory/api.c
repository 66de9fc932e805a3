#include "inventory.h"

#include "sk_audit.h"

static void write_level(struct sk_json *json, const struct inventory_level *level)
{
	sk_json_text(json, "sku", level->sku);
	sk_json_int(json, "on_hand", level->on_hand);
	sk_json_int(json, "reserved", level->reserved);
	sk_json_int(json, "available", inventory_available(level));
}

static enum sk_status reply_level(struct sk_reply *reply, int status,
				  const struct inventory_level *level)
{
	struct sk_json *json = sk_reply_json(reply, status);

	sk_json_begin_object(json, NULL);
	write_level(json, level);
	sk_json_end_object(json);
	return SK_OK;
}

/* What cannot be a SKU is none that we know. */
static enum sk_status sku_of(struct sk_request *request, const char **sku)
{
	*sku = sk_request_param(request, "sku");
	if (sk_sku_valid(*sku))
		return SK_OK;
	return sk_fail(sk_request_context(request), SK_NOT_FOUND, "sku_not_found",
		       "there is no such SKU");
}

/* ---- reading ---- */

static enum sk_status get_stock(struct sk_request *request, struct sk_reply *reply, void *app)
{
	struct inventory_service *service = app;
	struct inventory_level level;
	const char *sku;
	enum sk_status st = sku_of(request, &sku);

	if (st == SK_OK)
		st = inventory_store_read(service->parts->pg, sk_request_context(request), sku,
					  &level);
	if (st != SK_OK)
		return st;
	sk_reply_header(reply, "Cache-Control", "no-cache");
	return reply_level(reply, 200, &level);
}

static void write_movement(struct sk_json *json, const struct inventory_movement *movement)
{
	sk_json_begin_object(json, NULL);
	sk_json_text(json, "id", movement->id);
	sk_json_text(json, "sku", movement->sku);
	sk_json_int(json, "delta", movement->delta);
	sk_json_text(json, "kind", movement->kind);
	sk_json_text(json, "reason", *movement->reason != '\0' ? movement->reason : NULL);
	sk_json_text(json, "order_id", *movement->order_id != '\0' ? movement->order_id : NULL);
	sk_json_text(json, "account_id",
		     *movement->account_id != '\0' ? movement->account_id : NULL);
	sk_json_time(json, "created_at", movement->at_us);
	sk_json_end_object(json);
}

static enum sk_status decode_filter(struct sk_request *request, struct inventory_filter *filter)
{
	struct sk_page page;
	enum sk_status st = sku_of(request, &filter->sku);

	if (st == SK_OK)
		st = sk_request_page(request, &page);
	if (st != SK_OK)
		return st;
	filter->before = page.after;
	filter->limit = page.limit + 1; /* one more tells whether there is a next page */
	if (filter->before != NULL && !sk_id_valid(filter->before))
		return sk_fail(sk_request_context(request), SK_INVALID, "invalid_cursor",
			       "the cursor is not one of ours");
	return SK_OK;
}

/* GET /v1/stock/{sku}/movements: newest first. */
static enum sk_status get_movements(struct sk_request *request, struct sk_reply *reply, void *app)
{
	struct inventory_service *service = app;
	struct sk_context *context = sk_request_context(request);
	struct inventory_filter filter;
	struct inventory_level level;
	struct inventory_movements found;
	const char *cursor = NULL;
	struct sk_json *json;
	enum sk_status st = decode_filter(request, &filter);

	if (st == SK_OK)
		st = inventory_store_read(service->parts->pg, context, filter.sku, &level);
	if (st == SK_OK)
		st = inventory_store_movements(service->parts->pg, context, &filter, &found);
	if (st != SK_OK)
		return st;
	if (found.count == filter.limit) {
		found.count--;
		cursor = sk_cursor_make(context->arena, found.list[found.count - 1].id);
	}
	json = sk_reply_json(reply, 200);
	sk_json_begin_list(json);
	for (int i = 0; i < found.count; i++)
		write_movement(json, &found.list[i]);
	sk_json_end_list(json, cursor);
	return SK_OK;
}

/* ---- changing ---- */

struct changing {
	const char *sku;
	int64_t number; /* the new on hand, or the delta */
	const char *reason;
};

/* Changes the held level, tells it, and records who did it. */
static enum sk_status adjust(struct sk_tx *tx, struct inventory_level *level,
			     const struct changing *changing, int64_t delta,
			     struct inventory_movement *movement)
{
	struct sk_context *context = sk_tx_context(tx);
	enum sk_status st = inventory_check_delta(context, level, delta);

	*movement = (struct inventory_movement) {
		.id = sk_id_make(context->arena),
		.sku = changing->sku,
		.delta = delta,
		.kind = "adjustment",
		.reason = changing->reason,
		.account_id = context->actor.account_id,
	};
	if (st == SK_OK)
		st = inventory_store_adjust(tx, movement, level);
	if (st == SK_OK)
		st = inventory_tell_levels(tx, &(struct inventory_levels) { level, 1 });
	if (st != SK_OK)
		return st;
	return sk_audit_action(tx, "stock.adjusted", "stock", changing->sku,
			       sk_arena_printf(context->arena, "%+lld, now %lld: %s",
					       (long long)delta, (long long)level->on_hand,
					       changing->reason));
}

static enum sk_status set_stock(struct sk_tx *tx, struct sk_request *request,
				struct sk_reply *reply, void *arg)
{
	const struct changing *changing = arg;
	struct inventory_level level;
	struct inventory_movement movement;
	enum sk_status st = inventory_store_hold_one(tx, changing->sku, &level);

	(void)request;
	if (st == SK_OK && changing->number != level.on_hand)
		st = adjust(tx, &level, changing, changing->number - level.on_hand, &movement);
	return st == SK_OK ? reply_level(reply, 200, &level) : st;
}

static enum sk_status put_stock(struct sk_request *request, struct sk_reply *reply, void *app)
{
	struct inventory_service *service = app;
	struct sk_fields fields = sk_request_fields(request);
	struct changing changing = {
		.number = sk_field_int(&fields, "on_hand", 0, INVENTORY_QUANTITY_MAX,
				       SK_FIELD_REQUIRED, 0),
		.reason = sk_field_text(&fields, "reason", 1, INVENTORY_REASON_MAX_BYTES,
					SK_FIELD_OPTIONAL),
	};
	enum sk_status st = sk_fields_finish(&fields, sk_request_context(request));

	if (changing.reason == NULL)
		changing.reason = "counted";
	if (st == SK_OK)
		st = sku_of(request, &changing.sku);
	if (st != SK_OK)
		return st;
	return sk_request_transact(request, reply, service->parts->pg, set_stock, &changing);
}

static enum sk_status add_adjustment(struct sk_tx *tx, struct sk_request *request,
				     struct sk_reply *reply, void *arg)
{
	const struct changing *changing = arg;
	struct inventory_level level;
	struct inventory_movement movement;
	struct sk_json *json;
	enum sk_status st = inventory_store_hold_one(tx, changing->sku, &level);

	(void)request;
	if (st == SK_OK)
		st = adjust(tx, &level, changing, changing->number, &movement);
	if (st != SK_OK)
		return st;
	json = sk_reply_json(reply, 201);
	sk_json_begin_object(json, NULL);
	sk_json_text(json, "id", movement.id);
	sk_json_int(json, "delta", movement.delta);
	sk_json_text(json, "reason", movement.reason);
	write_level(json, &level);
	sk_json_end_object(json);
	return SK_OK;
}

static enum sk_status post_adjustment(struct sk_request *request, struct sk_reply *reply, void *app)
{
	struct inventory_service *service = app;
	struct sk_fields fields = sk_request_fields(request);
	struct changing changing = {
		.number = sk_field_int(&fields, "delta", -INVENTORY_QUANTITY_MAX,
				       INVENTORY_QUANTITY_MAX, SK_FIELD_REQUIRED, 1),
		.reason = sk_field_text(&fields, "reason", 1, INVENTORY_REASON_MAX_BYTES,
					SK_FIELD_REQUIRED),
	};
	enum sk_status st;

	if (changing.number == 0)
		sk_field_reject(&fields, "delta", "must not be 0");
	st = sk_fields_finish(&fields, sk_request_context(request));
	if (st == SK_OK)
		st = sku_of(request, &changing.sku);
	if (st != SK_OK)
		return st;
	return sk_request_transact(request, reply, service->parts->pg, add_adjustment, &changing);
}

const struct sk_route INVENTORY_ROUTES[] = {
	{ "GET", "/v1/stock/{sku}", get_stock, SK_OPEN, 0, 0, NULL },
	{ "PUT", "/v1/stock/{sku}", put_stock, SK_STAFF, SK_BODY_JSON, 0, NULL },
	{ "POST", "/v1/stock/{sku}/adjustments", post_adjustment, SK_STAFF,
	  SK_BODY_JSON | SK_IDEMPOTENT, 0, NULL },
	{ "GET", "/v1/stock/{sku}/movements", get_movements, SK_STAFF, 0, 0, NULL },
	{ NULL, NULL, NULL, SK_OPEN, 0, 0, NULL },
};
