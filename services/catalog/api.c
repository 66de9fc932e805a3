/* The catalogue's HTTP. Reads are open and look at no session, so that the shop can be
 * looked at while sessions cannot be checked; only where somebody asks for
 * what is not on sale is their token looked at. */
#include "catalog.h"

#include <string.h>

#include "shopify.h"
#include "sk_audit.h"

#define PUBLIC_CACHE	       "public, max-age=0, must-revalidate"
#define PRIVATE_CACHE	       "private, no-store"
#define LIST_SOFT_MAX_BYTES    ((size_t)4 * 1024 * 1024) /* a page ends early behind it */
#define PRODUCT_BODY_MAX_BYTES ((size_t)1024 * 1024)
#define IMPORT_BODY_MAX_BYTES  ((size_t)8 * 1024 * 1024)

/* ---- who asks ---- */

static const char *token_of(struct sk_request *request)
{
	const char *authorization = sk_request_header(request, "Authorization");

	if (authorization && strncasecmp(authorization, "Bearer ", 7) == 0)
		return authorization + 7;
	return authorization ? NULL : sk_request_cookie(request, SK_SESSION_COOKIE);
}

static enum sk_status require_staff(struct sk_request *request, struct catalog_service *service)
{
	struct sk_context *context = sk_request_context(request);
	const char *token = token_of(request);
	enum sk_status status;

	if (!token)
		return sk_fail(context, SK_UNAUTHENTICATED, "token_required",
			       "only staff may see what is not on sale");
	status = sk_auth_actor(service->parts->kv, service->parts->bus, context, token);
	if (status == SK_OK && context->actor.role < SK_ROLE_STAFF)
		return sk_fail(context, SK_FORBIDDEN, "forbidden",
			       "only staff may see what is not on sale");
	return status;
}

/* ---- answers ---- */

static enum sk_status encode_product(struct sk_context *context,
				     const struct catalog_product *product,
				     struct catalog_answer *answer)
{
	struct sk_json json;

	sk_json_init(&json, context->arena, SK_REPLY_MAX_BYTES);
	catalog_product_write(&json, product);
	if (!sk_buf_ok(&json.buf))
		return sk_fail(context, SK_INTERNAL, "answer_too_large",
			       "the product does not fit");
	answer->json = sk_buf_text(&json.buf);
	answer->len = json.buf.len;
	answer->tag = catalog_product_tag(context->arena, product, answer->json);
	return SK_OK;
}

/* Whether the cache-control, the tag and the body were sent, or a 304 instead of them. */
static void send(struct sk_request *request, struct sk_reply *reply,
		 const struct catalog_answer *answer, const char *cache_control)
{
	sk_reply_header(reply, "Cache-Control", cache_control);
	if (!sk_reply_etag(request, reply, answer->tag))
		sk_reply_bytes(reply, 200, "application/json", answer->json, answer->len);
}

/* ---- one product ---- */

static enum sk_status product_not_found(struct sk_context *context)
{
	return sk_fail(context, SK_NOT_FOUND, "product_not_found", "there is no such product");
}

/* What the public may see. */
static enum sk_status load_product(struct catalog_service *service, struct sk_context *context,
				   const void *key, struct catalog_answer *answer)
{
	struct catalog_product product;
	enum sk_status status = catalog_store_find(service->parts->pg, context, key, &product);

	if (status == SK_OK && product.status != CATALOG_ACTIVE)
		return product_not_found(context);
	return status == SK_OK ? encode_product(context, &product, answer) : status;
}

/* A product that is not on sale, for staff; for others there is none. */
static enum sk_status load_for_staff(struct sk_request *request, struct catalog_service *service,
				     const char *key, struct catalog_answer *answer)
{
	struct sk_context *context = sk_request_context(request);
	struct catalog_product product;
	enum sk_status status;

	if (!token_of(request))
		return SK_NOT_FOUND;
	sk_context_clear_error(context);
	status = require_staff(request, service);
	if (status == SK_UNAUTHENTICATED || status == SK_FORBIDDEN) {
		sk_context_clear_error(context);
		return product_not_found(context);
	}
	if (status == SK_OK)
		status = catalog_store_find(service->parts->pg, context, key, &product);
	return status == SK_OK ? encode_product(context, &product, answer) : status;
}

static enum sk_status get_product(struct sk_request *request, struct sk_reply *reply, void *app)
{
	struct sk_context *context = sk_request_context(request);
	const char *key = sk_request_param(request, "id");
	struct catalog_question question = catalog_question_product(context->arena, key);
	const char *cache_control = PUBLIC_CACHE;
	struct catalog_answer answer = { 0 };
	enum sk_status status;

	if (!sk_id_valid(key) && !catalog_slug_valid(key))
		return product_not_found(context);
	question.load = load_product;
	question.arg = key;
	status = catalog_cache_read(app, context, &question, &answer);
	if (status == SK_NOT_FOUND) {
		status = load_for_staff(request, app, key, &answer);
		cache_control = PRIVATE_CACHE;
	}
	if (status == SK_OK)
		send(request, reply, &answer, cache_control);
	return status;
}

/* ---- lists ---- */

static enum sk_status decode_query(struct sk_request *request, struct catalog_query *query)
{
	struct sk_context *context = sk_request_context(request);
	const char *status_name = sk_request_query(request, "status");
	enum catalog_status unused;
	struct sk_page page;
	enum sk_status status;

	*query = (struct catalog_query) {
		.text = sk_request_query(request, "q"),
		.category = sk_request_query(request, "category"),
		.status = status_name ? status_name : "active",
	};
	if (query->text && query->text[0] == '\0')
		query->text = NULL;
	if (query->category && query->category[0] == '\0')
		query->category = NULL;
	if ((query->text && strlen(query->text) > CATALOG_QUERY_MAX_BYTES) ||
	    (query->category && strlen(query->category) > CATALOG_TITLE_MAX_BYTES))
		return sk_fail(context, SK_INVALID, "invalid_query", "q or category is too long");
	if (!catalog_sort_parse(sk_request_query(request, "sort"), &query->sort))
		return sk_fail(context, SK_INVALID, "invalid_query",
			       "sort must be newest, title, price or -price");
	if (strcmp(query->status, "all") != 0 && !catalog_status_parse(query->status, &unused))
		return sk_fail(context, SK_INVALID, "invalid_query",
			       "status must be draft, active, archived or all");
	status = sk_request_page(request, &page);
	query->limit = page.limit;
	if (status == SK_OK && page.after &&
	    !catalog_cursor_decode(context->arena, query->sort, page.after, &query->after))
		return sk_fail(context, SK_INVALID, "invalid_cursor",
			       "the cursor is not one of this list");
	return status;
}

static enum sk_status encode_list(struct sk_context *context, const struct catalog_query *query,
				  const struct catalog_page *page, struct catalog_answer *answer)
{
	struct sk_arena *arena = context->arena;
	const char *next = NULL;
	struct sk_json json;
	int written = 0;

	sk_json_init(&json, arena, SK_REPLY_MAX_BYTES);
	sk_json_begin_list(&json);
	while (written < page->count && json.buf.len < LIST_SOFT_MAX_BYTES)
		catalog_product_write(&json, &page->products[written++]);
	if (written > 0 && (page->more || written < page->count))
		next = sk_cursor_make(
			arena,
			catalog_cursor_encode(
				arena, query->sort,
				&(struct catalog_cursor) { .key = page->keys[written - 1],
							   .id = page->products[written - 1].id }));
	sk_json_end_list(&json, next);
	if (!sk_buf_ok(&json.buf))
		return sk_fail(context, SK_INTERNAL, "answer_too_large", "the list does not fit");
	answer->json = sk_buf_text(&json.buf);
	answer->len = json.buf.len;
	answer->tag = sk_token_hash(arena, answer->json);
	return SK_OK;
}

static enum sk_status load_list(struct catalog_service *service, struct sk_context *context,
				const void *query, struct catalog_answer *answer)
{
	struct catalog_page page;
	enum sk_status status = catalog_store_list(service->parts->pg, context, query, &page);

	return status == SK_OK ? encode_list(context, query, &page, answer) : status;
}

/* The query as one text, the same only for the same query. */
static const char *query_words(struct sk_arena *arena, const struct catalog_query *query)
{
	const char *text = query->text ? query->text : "";
	const char *category = query->category ? query->category : "";

	return sk_arena_printf(arena, "%s %d %s %zu:%s%zu:%s%s", catalog_sort_name(query->sort),
			       query->limit, query->after.id ? query->after.id : "-", strlen(text),
			       text, strlen(category), category,
			       query->after.key ? query->after.key : "");
}

static enum sk_status get_products(struct sk_request *request, struct sk_reply *reply, void *app)
{
	struct sk_context *context = sk_request_context(request);
	bool as_staff = sk_request_query(request, "status") != NULL;
	struct catalog_query query;
	struct catalog_question question;
	struct catalog_answer answer = { 0 };
	enum sk_status status = decode_query(request, &query);

	if (status == SK_OK && as_staff)
		status = require_staff(request, app);
	if (status != SK_OK)
		return status;
	question = catalog_question_list(context->arena, query_words(context->arena, &query));
	question.load = load_list;
	question.arg = &query;
	status = as_staff ? load_list(app, context, &query, &answer)
			  : catalog_cache_read(app, context, &question, &answer);
	if (status == SK_OK)
		send(request, reply, &answer, as_staff ? PRIVATE_CACHE : PUBLIC_CACHE);
	return status;
}

static enum sk_status load_categories(struct catalog_service *service, struct sk_context *context,
				      const void *arg, struct catalog_answer *answer)
{
	struct catalog_category *list;
	struct sk_json json;
	int count;
	enum sk_status status = catalog_store_categories(service->parts->pg, context, &list,
							 &count);

	(void)arg;
	if (status != SK_OK)
		return status;
	sk_json_init(&json, context->arena, SK_REPLY_MAX_BYTES);
	sk_json_begin_object(&json, NULL);
	sk_json_begin_array(&json, "items");
	for (int i = 0; i < count; i++) {
		sk_json_begin_object(&json, NULL);
		sk_json_text(&json, "name", list[i].name);
		sk_json_int(&json, "products", list[i].products);
		sk_json_end_object(&json);
	}
	sk_json_end_array(&json);
	sk_json_end_object(&json);
	answer->json = sk_buf_text(&json.buf);
	answer->len = json.buf.len;
	answer->tag = sk_token_hash(context->arena, answer->json);
	return SK_OK;
}

static enum sk_status get_categories(struct sk_request *request, struct sk_reply *reply, void *app)
{
	struct sk_context *context = sk_request_context(request);
	struct catalog_question question = catalog_question_list(context->arena, "categories");
	struct catalog_answer answer = { 0 };
	enum sk_status status;

	question.load = load_categories;
	status = catalog_cache_read(app, context, &question, &answer);
	if (status == SK_OK)
		send(request, reply, &answer, PUBLIC_CACHE);
	return status;
}

/* ---- writes ---- */

/* Publishes and audits what was written, and answers with it as it now is. */
static enum sk_status finish_write(struct sk_tx *tx, struct sk_reply *reply, int http_status,
				   const char *action, struct catalog_product *product)
{
	struct sk_context *context = sk_tx_context(tx);
	struct catalog_answer answer = { 0 };
	enum sk_status status = catalog_store_lock(tx, product->id, product);

	if (status == SK_OK && action)
		status = catalog_publish(tx, product);
	if (status == SK_OK && action)
		status = sk_audit_action(tx, action, "product", product->id, NULL);
	if (status == SK_OK)
		status = encode_product(context, product, &answer);
	if (status != SK_OK)
		return status;
	sk_reply_header(reply, "Cache-Control", PRIVATE_CACHE);
	sk_reply_header(reply, "ETag", sk_arena_printf(context->arena, "\"%s\"", answer.tag));
	sk_reply_bytes(reply, http_status, "application/json", answer.json, answer.len);
	return SK_OK;
}

static enum sk_status create(struct sk_tx *tx, struct sk_request *request, struct sk_reply *reply,
			     void *app)
{
	struct catalog_service *service = app;
	struct sk_context *context = sk_request_context(request);
	struct sk_fields fields = sk_request_fields(request);
	struct catalog_product product = { .description_html = "", .vendor = "", .category = "" };
	enum sk_status status;

	catalog_product_decode(&fields, context->arena, true, &product);
	catalog_product_complete(&fields, context->arena, service->currency, &product);
	status = sk_fields_finish(&fields, context);
	if (status != SK_OK)
		return status;
	product.id = sk_id_make(context->arena);
	product.version = 1;
	status = catalog_store_insert(tx, &product);
	if (status != SK_OK)
		return status;
	catalog_forget_product(service, tx, &product);
	sk_reply_header(reply, "Location",
			sk_arena_printf(context->arena, "/v1/products/%s", product.id));
	return finish_write(tx, reply, 201, "product.created", &product);
}

static enum sk_status post_product(struct sk_request *request, struct sk_reply *reply, void *app)
{
	struct catalog_service *service = app;

	return sk_request_transact(request, reply, service->parts->pg, create, service);
}

/* Locks the product of the path and checks If-Match. */
static enum sk_status lock_for_write(struct sk_tx *tx, struct sk_request *request,
				     struct catalog_product *product)
{
	const char *id;
	enum sk_status status = sk_request_id(request, "id", &id);

	if (status == SK_OK)
		status = catalog_store_lock(tx, id, product);
	if (status == SK_OK &&
	    !catalog_if_match(sk_request_header(request, "If-Match"), product->version))
		return sk_fail(sk_request_context(request), SK_PRECONDITION, "precondition_failed",
			       "the product has changed since");
	return status;
}

static enum sk_status change(struct sk_tx *tx, struct sk_request *request, struct sk_reply *reply,
			     void *app)
{
	struct catalog_service *service = app;
	struct sk_context *context = sk_request_context(request);
	struct sk_fields fields = sk_request_fields(request);
	struct catalog_product before, product;
	enum sk_status status = lock_for_write(tx, request, &before);

	if (status != SK_OK)
		return status;
	product = before;
	catalog_product_decode(&fields, context->arena, false, &product);
	catalog_product_complete(&fields, context->arena, service->currency, &product);
	status = sk_fields_finish(&fields, context);
	if (status != SK_OK)
		return status;
	if (catalog_product_same(&before, &product))
		return finish_write(tx, reply, 200, NULL, &product);
	product.version++;
	status = catalog_store_update(tx, &product);
	if (status != SK_OK)
		return status;
	catalog_forget_product(service, tx, &product);
	return finish_write(tx, reply, 200, "product.updated", &product);
}

static enum sk_status patch_product(struct sk_request *request, struct sk_reply *reply, void *app)
{
	struct catalog_service *service = app;

	return sk_request_transact(request, reply, service->parts->pg, change, service);
}

static enum sk_status discard(struct sk_tx *tx, struct sk_request *request, struct sk_reply *reply,
			      void *app)
{
	struct catalog_product product;
	enum sk_status status = lock_for_write(tx, request, &product);

	if (status != SK_OK)
		return status;
	product.status = CATALOG_DELETED;
	product.version++;
	status = catalog_store_delete(tx, &product);
	if (status == SK_OK)
		status = catalog_publish(tx, &product);
	if (status == SK_OK)
		status = sk_audit_action(tx, "product.deleted", "product", product.id, NULL);
	if (status != SK_OK)
		return status;
	catalog_forget_product(app, tx, &product);
	sk_reply_empty(reply, 204);
	return SK_OK;
}

static enum sk_status delete_product(struct sk_request *request, struct sk_reply *reply, void *app)
{
	struct catalog_service *service = app;

	return sk_request_transact(request, reply, service->parts->pg, discard, service);
}

/* The file is read inside the transaction: a transaction that is run again must not find
 * the lines that the first run rejected. */
static enum sk_status import_file(struct sk_tx *tx, struct sk_request *request,
				  struct sk_reply *reply, void *app)
{
	struct catalog_service *service = app;
	struct catalog_import import;
	struct catalog_report report;
	size_t len;
	const char *text = sk_request_body(request, &len);
	enum sk_status status = catalog_shopify_read(sk_request_context(request), text, len,
						     service->currency, &import);

	if (status == SK_OK)
		status = catalog_import_apply(service, tx, &import, &report);
	if (status == SK_OK)
		catalog_report_write(sk_reply_json(reply, 200), &import, &report);
	return status;
}

static enum sk_status post_import(struct sk_request *request, struct sk_reply *reply, void *app)
{
	struct catalog_service *service = app;
	int64_t timeout_s = sk_config_int(service->parts->config, "CATALOG_IMPORT_TIMEOUT_S");

	sk_request_context(request)->deadline_us = sk_time_monotonic_us() +
						   timeout_s * SK_SECOND_US;
	return sk_request_transact(request, reply, service->parts->pg, import_file, service);
}

const struct sk_route CATALOG_ROUTES[] = {
	{ "GET", "/v1/products", get_products, SK_OPEN, 0, 0, NULL },
	{ "GET", "/v1/products/{id}", get_product, SK_OPEN, 0, 0, NULL },
	{ "GET", "/v1/categories", get_categories, SK_OPEN, 0, 0, NULL },
	{ "POST", "/v1/products", post_product, SK_STAFF, SK_BODY_JSON | SK_IDEMPOTENT,
	  PRODUCT_BODY_MAX_BYTES, NULL },
	{ "PATCH", "/v1/products/{id}", patch_product, SK_STAFF, SK_BODY_JSON,
	  PRODUCT_BODY_MAX_BYTES, NULL },
	{ "DELETE", "/v1/products/{id}", delete_product, SK_STAFF, 0, 0, NULL },
	{ "POST", "/v1/products/import", post_import, SK_STAFF,
	  SK_BODY_RAW | SK_IDEMPOTENT | SK_SLOW, IMPORT_BODY_MAX_BYTES, NULL },
	{ NULL, NULL, NULL, SK_OPEN, 0, 0, NULL },
};
