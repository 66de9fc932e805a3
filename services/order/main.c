#include <string.h>

#include "order.h"

static const struct sk_config_field CONFIG[] = {
	{ "ORDER_PAYMENT_PROVIDERS", SK_CONFIG_TEXT, "test", 1, 255, 0,
	  "names of the payment providers that orders may be paid with, separated by commas" },
	{ "ORDER_RESEND_S", SK_CONFIG_INT, "30", 1, 3600, 0,
	  "seconds until what got no answer is asked again; doubled each time" },
	{ "ORDER_STEP_TIMEOUT_S", SK_CONFIG_INT, "900", 1, 86400, 0,
	  "seconds after which an order that is not paid is cancelled for want of an answer" },
	{ NULL, SK_CONFIG_TEXT, NULL, 0, 0, 0, NULL },
};

static const struct sk_sweep SWEEPS[] = {
	{ ORDER_SWEEP_DEADLINES, 1000, 10000, order_sweep_deadlines },
	{ NULL, 0, 0, NULL },
};

static const struct sk_stream STREAMS[] = {
	{ .name = ORDER_STREAM },
	{ .name = NULL },
};

static const char *const WATCHES[] = { ORDER_WATCHED, NULL };
static const char *const KEYS[] = { "order:*", NULL };

static enum sk_status open_service(struct sk_parts *parts, void *app, struct sk_context *context)
{
	struct order_service *service = app;

	service->parts = parts;
	service->providers = sk_config_text(parts->config, "ORDER_PAYMENT_PROVIDERS");
	service->resend_ms = sk_config_int(parts->config, "ORDER_RESEND_S") * 1000;
	service->step_timeout_ms = sk_config_int(parts->config, "ORDER_STEP_TIMEOUT_S") * 1000;
	if (order_watch(service) != SK_OK)
		return sk_fail(context, SK_UNAVAILABLE, "cannot_watch",
			       "cannot subscribe to " ORDER_WATCHED);
	return SK_OK;
}

static const struct sk_service ORDER_SERVICE = {
	.name = "order",
	.summary = "takes orders and leads them through stock, payment and shipping",
	.port = 8104,
	.live_port = 8154,
	.uses_pg = true,
	.uses_kv = true,
	.config = CONFIG,
	.routes = ORDER_ROUTES,
	.consumers = ORDER_CONSUMERS,
	.sweeps = SWEEPS,
	.streams = STREAMS,
	.watches = WATCHES,
	.keys = KEYS,
	.migrations = ORDER_MIGRATIONS,
	.open = open_service,
};

int main(int argc, char **argv)
{
	struct order_service order = { 0 };

	if (argc == 2 && strcmp(argv[1], "--diagram") == 0) {
		order_workflow_print(stdout);
		return 0;
	}
	return sk_service_main(argc, argv, &ORDER_SERVICE, &order);
}
