/* What stands before a body: "GET /v1/products?limit=5", then lines of headers. Framing, the way
 * to a row of any service, parameters, query, pages and cursors, cookies, conditions, keys. */
#include "fuzz.h"

#include <strings.h>

#include <civetweb.h>

#include "libcommon/sk_http_internal.h"
#include "services/analytics/analytics.h"
#include "services/audit/audit.h"
#include "services/cart/cart.h"
#include "services/catalog/catalog.h"
#include "services/inventory/inventory.h"
#include "services/notification/notification.h"
#include "services/order/order.h"
#include "services/payment/payment.h"
#include "services/session/session.h"
#include "services/shipping/shipping.h"

#define ROUTES_MAX 128
#define TAG	   "3-abc"

const char *__wrap_mg_get_header(const struct mg_connection *connection, const char *name);

static const struct sk_route *const TABLES[] = {
	ANALYTICS_ROUTES, AUDIT_ROUTES,	       CART_ROUTES,    CATALOG_ROUTES,
	INVENTORY_ROUTES, NOTIFICATION_ROUTES, ORDER_ROUTES,   PAYMENT_ROUTES,
	SESSION_ROUTES,	  SHIPPING_ROUTES,     SK__OWN_ROUTES,
};

static struct sk__route routes[ROUTES_MAX];
static int routes_count;
static struct mg_request_info info; /* of the request at hand */

/* As civetweb: the first of the name. */
const char *__wrap_mg_get_header(const struct mg_connection *connection, const char *name)
{
	(void)connection;
	for (int i = 0; i < info.num_headers; i++)
		if (strcasecmp(info.http_headers[i].name, name) == 0)
			return info.http_headers[i].value;
	return NULL;
}

static void collect_routes(void)
{
	for (size_t i = 0; i < sizeof(TABLES) / sizeof(TABLES[0]); i++) {
		for (const struct sk_route *row = TABLES[i]; row->method != NULL; row++) {
			FUZZ_HOLDS(routes_count < ROUTES_MAX);
			sk__route_init(&routes[routes_count++], row);
		}
	}
}

static void read_headers(struct sk_context *context, struct fuzz_input *input)
{
	info = (struct mg_request_info) { .http_version = "1.1", .content_length = -1 };
	while (input->left > 0 && info.num_headers < MG_MAX_HEADERS) {
		struct mg_header *header = &info.http_headers[info.num_headers];
		char *name = fuzz_line(context, input), *colon = strchr(name, ':');

		if (colon == NULL)
			continue;
		*colon++ = '\0';
		*header = (struct mg_header) { name, colon + strspn(colon, " ") };
		info.num_headers++;
	}
}

static void route(struct sk_context *context, struct sk_request *request, char *line)
{
	char *path = strchr(line, ' '), *query;
	struct sk_buf allow;

	if (path != NULL)
		*path++ = '\0';
	request->method = line;
	request->path = path != NULL ? path : line;
	query = path != NULL ? strchr(path, '?') : NULL;
	if (query != NULL)
		*query++ = '\0';
	request->query = query;
	sk_buf_init(&allow, context->arena, 256);
	if (sk__http_route(routes, routes_count, request, &allow) != SK__MATCH_FOUND)
		request->route = &routes[fuzz_index(line, (size_t)routes_count)];
	else
		FUZZ_HOLDS(request->params_count <= SK_PATH_PARAMS_MAX);
	(void)sk__http_decode(context->arena, request->path, strlen(request->path), false);
}

static void read_page(struct sk_context *context, struct sk_request *request)
{
	struct catalog_cursor cursor;
	struct sk_page page;

	if (sk_request_page(request, &page) != SK_OK)
		return;
	FUZZ_HOLDS(page.limit >= 1 && page.limit <= SK_PAGE_MAX);
	if (page.after == NULL)
		return;
	FUZZ_HOLDS(sk_cursor_make(context->arena, page.after) != NULL);
	for (int sort = CATALOG_NEWEST; sort <= CATALOG_DEAREST; sort++)
		if (catalog_cursor_decode(context->arena, (enum catalog_sort)sort, page.after,
					  &cursor))
			FUZZ_HOLDS(cursor.key != NULL && cursor.id != NULL);
}

static void read_query(struct sk_context *context, struct sk_request *request)
{
	enum catalog_status status;
	enum catalog_sort sort;
	int64_t number, time_us;

	if (sk__request_parse_query(request) != SK_OK)
		return;
	read_page(context, request);
	if (sk_request_query_int(request, "days", 1, 90, 7, &number) == SK_OK)
		FUZZ_HOLDS(number >= 1 && number <= 90);
	if (sk_request_query_time(request, "from", 0, &time_us) == SK_OK)
		FUZZ_HOLDS(time_us >= 0);
	(void)catalog_status_parse(sk_request_query(request, "status"), &status);
	(void)catalog_sort_parse(sk_request_query(request, "sort"), &sort);
}

static void read_conditions(struct sk_context *context, struct sk_request *request)
{
	const char *key, *cookie = sk_request_cookie(request, "souk_session");
	size_t len;

	if (sk_request_idempotency_key(request, &key) == SK_OK && key != NULL)
		FUZZ_HOLDS(strlen(key) <= SK_IDEMPOTENCY_KEY_MAX_BYTES);
	FUZZ_HOLDS(cookie == NULL || strchr(cookie, ';') == NULL);
	(void)sk_request_if_match(request, TAG);
	(void)sk_reply_etag(request, &request->reply, TAG);
	(void)catalog_if_match(sk_request_header(request, "If-Match"), 3);
	(void)cart_owner_of(context->arena, "", sk_request_header(request, "X-Souk-Cart"));
	(void)session_user_agent(context->arena, sk_request_header(request, "User-Agent"));
	(void)sk_trace_continue(sk_request_header(request, "traceparent"));
	/* The answer's head and body, with all that came of the request. */
	sk__reply_problem(request, SK_INVALID);
	FUZZ_HOLDS(sk__reply_bytes(request, false, &len) != NULL);
}

void fuzz(struct sk_context *context, struct fuzz_input *input)
{
	struct sk_request *request = sk_arena_alloc(context->arena, sizeof(*request));
	char *line = fuzz_line(context, input);

	if (routes_count == 0)
		collect_routes();
	read_headers(context, input);
	request->context = *context;
	request->errors.arena = context->arena;
	request->reply.request = request;
	request->info = &info;
	request->connection = (struct mg_connection *)(void *)&info; /* not looked into */
	route(context, request, line);
	if (!sk__guard_framing(request))
		sk__reply_reset(&request->reply);
	read_query(context, request);
	read_conditions(context, request);
	free(request->kept);
}
