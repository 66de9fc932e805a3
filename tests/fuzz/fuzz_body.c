/* JSON bodies of every route that takes one: a line "POST /v1/orders", then the body. The route's
 * own handler reads it. Whatever it finds, sk_fields_finish tells it that something is wrong,
 * so that it goes no further than reading: there are no stores here. Then the decoders that are
 * functions of their own, to their end. */
#include "fuzz.h"

#include "libcommon/sk_http_internal.h"
#include "services/cart/cart.h"
#include "services/catalog/catalog.h"
#include "services/inventory/inventory.h"
#include "services/notification/notification.h"
#include "services/order/order.h"
#include "services/session/session.h"

enum sk_status __real_sk_fields_finish(const struct sk_fields *fields, struct sk_context *context);
enum sk_status __wrap_sk_fields_finish(const struct sk_fields *fields, struct sk_context *context);
enum sk_status __wrap_sk_request_transact(struct sk_request *request, struct sk_reply *reply,
					  struct sk_pg *pg, sk_request_tx_fn *work, void *arg);

static bool handling; /* a handler runs, which must stop after reading */

enum sk_status __wrap_sk_fields_finish(const struct sk_fields *fields, struct sk_context *context)
{
	enum sk_status st = __real_sk_fields_finish(fields, context);

	return handling ? SK_INVALID : st;
}

/* POST /v1/products reads in its transaction. Who else comes here has read nothing wrong with a
 * body that was said to be wrong, or wants to read the product first: PATCH, see products(). */
enum sk_status __wrap_sk_request_transact(struct sk_request *request, struct sk_reply *reply,
					  struct sk_pg *pg, sk_request_tx_fn *work, void *arg)
{
	const struct sk_route *row = request->route->row;

	(void)pg;
	FUZZ_HOLDS(strncmp(row->path, "/v1/products", strlen("/v1/products")) == 0);
	return strcmp(row->method, "POST") == 0 ? work(NULL, request, reply, arg) : SK_INVALID;
}

static struct sk_parts parts;
static struct catalog_service catalog = { .parts = &parts, .currency = "GBP" };
static struct order_service order = { .parts = &parts, .providers = "test,other" };
static struct notification_service notification = { .parts = &parts };
static struct cart_service cart = { .parts = &parts };
static struct inventory_service inventory = { .parts = &parts };
static struct session_service session = { .parts = &parts };

static const struct {
	const struct sk_route *rows;
	void *app;
} SERVICES[] = {
	{ CATALOG_ROUTES, &catalog },		{ ORDER_ROUTES, &order },
	{ NOTIFICATION_ROUTES, &notification }, { CART_ROUTES, &cart },
	{ INVENTORY_ROUTES, &inventory },	{ SESSION_ROUTES, &session },
};
#define SERVICES_COUNT (sizeof(SERVICES) / sizeof(SERVICES[0]))
#define ROUTES_MAX     64

/* The rows with a JSON body, and the app of each. */
static struct sk__route routes[ROUTES_MAX];
static void *apps[ROUTES_MAX];
static int routes_count;

static void collect_routes(void)
{
	for (size_t i = 0; i < SERVICES_COUNT; i++) {
		for (const struct sk_route *row = SERVICES[i].rows; row->method != NULL; row++) {
			if ((row->flags & SK_BODY_JSON) == 0)
				continue;
			FUZZ_HOLDS(routes_count < ROUTES_MAX);
			apps[routes_count] = SERVICES[i].app;
			sk__route_init(&routes[routes_count++], row);
		}
	}
}

/* Finds the row of "POST /v1/orders", or one for any other line; fills in its parameters. */
static void route(struct sk_context *context, struct sk_request *request, char *line)
{
	char *space = strchr(line, ' ');
	struct sk_buf allow;

	request->method = line;
	request->path = "";
	if (space != NULL) {
		*space = '\0';
		request->path = space + 1;
	}
	sk_buf_init(&allow, context->arena, 256);
	if (sk__http_route(routes, routes_count, request, &allow) == SK__MATCH_FOUND)
		return;
	request->route = &routes[fuzz_index(line, (size_t)routes_count)];
	request->method = request->route->row->method;
	request->path = request->route->row->path;
	FUZZ_HOLDS(sk__http_route(routes, routes_count, request, &allow) == SK__MATCH_FOUND);
}

static void handle(struct sk_request *request)
{
	enum sk_status st;

	handling = true;
	st = request->route->row->handle(request, &request->reply, apps[request->route - routes]);
	handling = false;
	FUZZ_HOLDS(st != SK_OK);
}

/* A product that was read is written, and what was written is read as the same. */
static void products(struct sk_context *context, const struct cJSON *json, bool creating)
{
	struct sk_field_errors errors = { .arena = context->arena };
	struct sk_fields fields = sk_fields_of(json, &errors);
	struct catalog_product product = { .id = "",
					   .slug = "",
					   .title = "",
					   .vendor = "",
					   .category = "",
					   .description_html = "" };
	struct sk_json written;
	const struct cJSON *again;

	catalog_product_decode(&fields, context->arena, creating, &product);
	catalog_product_complete(&fields, context->arena, "GBP", &product);
	if (sk_fields_finish(&fields, context) != SK_OK)
		return;
	sk_json_init(&written, context->arena, (size_t)SK_REPLY_MAX_BYTES);
	catalog_product_write(&written, &product);
	FUZZ_HOLDS(sk_buf_ok(&written.buf));
	FUZZ_HOLDS(sk_json_parse(context, written.buf.data, written.buf.len, &again) == SK_OK);
}

static void orders(struct sk_context *context, const struct cJSON *json)
{
	struct sk_field_errors errors = { .arena = context->arena };
	struct sk_fields fields = sk_fields_of(json, &errors);
	struct order_draft draft;
	struct sk_money amount;
	const char *reason;

	if (order_draft_decode(&fields, context, "test,other", &draft) == SK_OK)
		FUZZ_HOLDS(draft.count >= 1 && draft.email != NULL && draft.provider != NULL &&
			   order_country_known(draft.address.country));
	errors.count = 0;
	if (order_refund_decode(&fields, context, &amount, &reason) == SK_OK)
		FUZZ_HOLDS(amount.minor >= 0);
}

void fuzz(struct sk_context *context, struct fuzz_input *input)
{
	struct sk_request request = { .context = *context };
	char *line = fuzz_line(context, input);

	if (routes_count == 0)
		collect_routes();
	if (sk_json_parse(context, fuzz_rest(context, input), input->left, &request.json) != SK_OK)
		return;
	request.context.actor =
		(struct sk_actor) { .account_id = "", .email = "", .session_id = "" };
	request.errors.arena = context->arena;
	request.reply.request = &request;
	route(context, &request, line);
	handle(&request);
	products(context, request.json, true);
	products(context, request.json, false);
	orders(context, request.json);
}
