#include "cart.h"

#define NEWS_CAPACITY 4096 /* a second of a busy shop, in 1.5 MiB */

static const struct sk_config_field CONFIG[] = {
	{ "CART_CURRENCY", SK_CONFIG_TEXT, "GBP", 3, 3, 0,
	  "ISO 4217 code in which the subtotal of an empty cart is given" },
	{ NULL, SK_CONFIG_TEXT, NULL, 0, 0, 0, NULL },
};

static const struct sk_sweep SWEEPS[] = {
	{ CART_SWEEP_CATALOG, 2000, 300000, cart_rebuild_catalog },
	{ CART_SWEEP_NEWS, 5000, 5000, cart_send_news },
	{ NULL, 0, 0, NULL },
};

static const struct sk_stream STREAMS[] = {
	{ .name = "carts" },
	{ .name = NULL },
};

static const char *const REPLAYS[] = { "catalog", NULL };
static const char *const KEYS[] = { "cart:*", NULL };

static enum sk_status open_service(struct sk_parts *parts, void *app, struct sk_context *context)
{
	struct cart_service *service = app;

	if (!sk_currency_valid(sk_config_text(parts->config, "CART_CURRENCY")))
		return sk_fail(context, SK_INVALID, "invalid_configuration",
			       "CART_CURRENCY is not a code of ISO 4217");
	service->parts = parts;
	service->announcer = cart_announcer_open(NEWS_CAPACITY, parts->metrics);
	return SK_OK;
}

static void close_service(void *app)
{
	struct cart_service *service = app;

	cart_announcer_close(&service->announcer);
}

static const struct sk_service CART_SERVICE = {
	.name = "cart",
	.summary = "carts of guests and accounts, merged at log-in",
	.port = 8103,
	.uses_kv = true,
	.config = CONFIG,
	.routes = CART_ROUTES,
	.consumers = CART_CONSUMERS,
	.sweeps = SWEEPS,
	.streams = STREAMS,
	.replays = REPLAYS,
	.keys = KEYS,
	.functions = CART_FUNCTIONS,
	.open = open_service,
	.close = close_service,
};

int main(int argc, char **argv)
{
	struct cart_service cart = { 0 };

	return sk_service_main(argc, argv, &CART_SERVICE, &cart);
}
