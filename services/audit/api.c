#include <stdlib.h>

#include "audit.h"

#define VERIFY_PAGE	 1000
#define VERIFY_MAX	 200000 /* entries in one call; the answer says where to go on */
#define EXPORT_MAX	 5000
#define EXPORT_MAX_BYTES SK_REPLY_MAX_BYTES

static void write_entry(struct sk_json *json, const struct audit_entry *entry,
			struct sk_arena *arena)
{
	sk_json_int(json, "seq", entry->seq);
	sk_json_text(json, "id", entry->id);
	sk_json_time(json, "at", entry->at_us);
	sk_json_text(json, "action", entry->action);
	sk_json_text(json, "entity", entry->entity);
	sk_json_text(json, "entity_id", entry->entity_id);
	sk_json_text(json, "user_id", entry->account_id[0] != '\0' ? entry->account_id : NULL);
	sk_json_text(json, "role", entry->role);
	sk_json_text(json, "address", entry->address);
	sk_json_text(json, "detail", entry->detail);
	sk_json_text(json, "trace_id", entry->trace_id);
	sk_json_text(json, "subject", entry->subject);
	sk_json_text(json, "type", entry->type);
	sk_json_text(json, "source", entry->source);
	sk_json_text(json, "prev_hash", audit_hex(arena, entry->prev_hash, AUDIT_HASH_BYTES));
	sk_json_text(json, "hash", audit_hex(arena, entry->hash, AUDIT_HASH_BYTES));
}

static enum sk_status decode_filter(struct sk_request *request, struct audit_filter *filter)
{
	struct sk_page page;
	enum sk_status st = sk_request_page(request, &page);

	if (st == SK_OK)
		st = sk_request_query_time(request, "from", 0, &filter->from_us);
	if (st == SK_OK)
		st = sk_request_query_time(request, "to", 0, &filter->to_us);
	if (st != SK_OK)
		return st;
	filter->account_id = sk_request_query(request, "user_id");
	filter->action = sk_request_query(request, "action");
	filter->trace_id = sk_request_query(request, "trace_id");
	filter->entity_id = sk_request_query(request, "entity");
	filter->before_seq = page.after != NULL ? strtoll(page.after, NULL, 10) : 0;
	filter->limit = page.limit + 1; /* one more tells whether there is a next page */
	if (page.after != NULL && filter->before_seq <= 0)
		return sk_fail(sk_request_context(request), SK_INVALID, "invalid_cursor",
			       "the cursor is not one of ours");
	return SK_OK;
}

/* GET /v1/audit: newest first. */
static enum sk_status get_entries(struct sk_request *request, struct sk_reply *reply, void *app)
{
	struct audit_service *audit = app;
	struct sk_arena *arena = sk_request_arena(request);
	struct audit_filter filter = { 0 };
	struct audit_entries found;
	const char *cursor = NULL;
	struct sk_json *json;
	enum sk_status st = decode_filter(request, &filter);

	if (st == SK_OK)
		st = audit_find(audit->parts->pg, sk_request_context(request), &filter, &found);
	if (st != SK_OK)
		return st;
	if (found.count == filter.limit) {
		found.count--;
		cursor = sk_cursor_make(
			arena,
			sk_arena_printf(arena, "%lld", (long long)found.list[found.count - 1].seq));
	}
	json = sk_reply_json(reply, 200);
	sk_json_begin_list(json);
	for (int i = 0; i < found.count; i++) {
		sk_json_begin_object(json, NULL);
		write_entry(json, &found.list[i], arena);
		sk_json_end_object(json);
	}
	sk_json_end_list(json, cursor);
	return SK_OK;
}

/* How far a verification came. */
struct verification {
	int64_t from_seq, verified;
	struct audit_entry last; /* the last entry that was right; seq 0: none yet */
	int64_t bad_seq;
	const char *reason; /* NULL while all is right */
	bool complete;
};

/* Checks one page; its entries live in the page's own context. */
static enum sk_status verify_page(struct audit_service *audit, struct sk_context *context,
				  struct verification *state)
{
	struct audit_entries page;
	int64_t from = state->last.seq > 0 ? state->last.seq + 1 : state->from_seq;
	enum sk_status st = audit_read(audit->parts->pg, context, from, VERIFY_PAGE, &page);

	if (st != SK_OK)
		return st;
	state->complete = page.count < VERIFY_PAGE;
	for (int i = 0; i < page.count && state->reason == NULL; i++) {
		/* What comes before the first one asked for is taken on trust. */
		bool trusted = state->last.seq == 0 && state->from_seq > 1;

		if (trusted) {
			state->last = page.list[i];
			continue;
		}
		state->reason = audit_check(state->last.seq > 0 ? &state->last : NULL,
					    &page.list[i]);
		if (state->reason != NULL) {
			state->bad_seq = page.list[i].seq;
		} else {
			state->last = page.list[i];
			state->verified++;
		}
	}
	return SK_OK;
}

static enum sk_status verify(struct audit_service *audit, struct sk_context *context,
			     struct verification *state)
{
	enum sk_status st = SK_OK;

	while (st == SK_OK && !state->complete && state->reason == NULL &&
	       state->verified < VERIFY_MAX) {
		struct sk_context page;

		sk_context_init(&page, sk_context_remaining_ms(context, 5000));
		st = verify_page(audit, &page, state);
		if (st != SK_OK)
			context->error = page.error;
		sk_context_release(&page);
	}
	return st;
}

/* GET /v1/audit/verify?from= */
static enum sk_status get_verify(struct sk_request *request, struct sk_reply *reply, void *app)
{
	struct sk_context *context = sk_request_context(request);
	struct verification state = { 0 };
	struct sk_json *json;
	enum sk_status st = sk_request_query_int(request, "from", 1, INT64_MAX / 2, 1,
						 &state.from_seq);

	if (st == SK_OK)
		st = verify(app, context, &state);
	if (st != SK_OK)
		return st;
	json = sk_reply_json(reply, 200);
	sk_json_begin_object(json, NULL);
	sk_json_bool(json, "valid", state.reason == NULL);
	sk_json_int(json, "verified", state.verified);
	sk_json_bool(json, "complete", state.complete && state.reason == NULL);
	sk_json_int(json, "head_seq", state.last.seq);
	sk_json_text(json, "head_hash",
		     audit_hex(context->arena, state.last.hash, AUDIT_HASH_BYTES));
	if (state.reason != NULL) {
		sk_json_int(json, "bad_seq", state.bad_seq);
		sk_json_text(json, "reason", state.reason);
	}
	sk_json_end_object(json);
	return SK_OK;
}

/* GET /v1/audit/export?from=&limit=: NDJSON, oldest first, everything that is hashed. */
static enum sk_status get_export(struct sk_request *request, struct sk_reply *reply, void *app)
{
	struct audit_service *audit = app;
	struct sk_arena *arena = sk_request_arena(request);
	struct audit_entries page;
	struct sk_buf lines;
	int64_t from = 1, limit = EXPORT_MAX;
	enum sk_status st = sk_request_query_int(request, "from", 1, INT64_MAX / 2, 1, &from);

	if (st == SK_OK)
		st = sk_request_query_int(request, "limit", 1, EXPORT_MAX, EXPORT_MAX, &limit);
	if (st == SK_OK)
		st = audit_read(audit->parts->pg, sk_request_context(request), from, (int)limit,
				&page);
	if (st != SK_OK)
		return st;
	sk_buf_init(&lines, arena, EXPORT_MAX_BYTES);
	for (int i = 0; i < page.count; i++) {
		const struct audit_entry *entry = &page.list[i];
		struct sk_json json;

		sk_json_init(&json, arena, EXPORT_MAX_BYTES);
		sk_json_begin_object(&json, NULL);
		write_entry(&json, entry, arena);
		sk_json_int(&json, "at_us", entry->at_us);
		sk_json_text(&json, "data", audit_hex(arena, entry->data, entry->len));
		sk_json_end_object(&json);
		if (lines.len + json.buf.len + 1 > EXPORT_MAX_BYTES) {
			page.count = i; /* the rest comes with the next call */
			break;
		}
		sk_buf_put(&lines, json.buf.data, json.buf.len);
		sk_buf_putc(&lines, '\n');
	}
	if (page.count > 0)
		sk_reply_header(reply, "X-Next-From",
				sk_arena_printf(arena, "%lld",
						(long long)page.list[page.count - 1].seq + 1));
	sk_reply_bytes(reply, 200, "application/x-ndjson", sk_buf_text(&lines), lines.len);
	return SK_OK;
}

const struct sk_route AUDIT_ROUTES[] = {
	{ .method = "GET", .path = "/v1/audit", .handle = get_entries, .access = SK_ADMIN },
	{ .method = "GET", .path = "/v1/audit/verify", .handle = get_verify, .access = SK_ADMIN },
	{ .method = "GET", .path = "/v1/audit/export", .handle = get_export, .access = SK_ADMIN },
	{ .method = NULL },
};
