#include "inventory.h"

static const struct sk_config_field CONFIG[] = {
	{ "INVENTORY_RESERVATION_S", SK_CONFIG_INT, "3600", 1, 604800, 0,
	  "seconds that stock stays reserved for an order that is not heard of; more than "
	  "ORDER_STEP_TIMEOUT_S" },
	{ NULL, SK_CONFIG_TEXT, NULL, 0, 0, 0, NULL },
};

static const struct sk_sweep SWEEPS[] = {
	{ INVENTORY_SWEEP_EXPIRIES, 1000, 10000, inventory_sweep_expiries },
	{ NULL, 0, 0, NULL },
};

static const struct sk_stream STREAMS[] = {
	{ .name = INVENTORY_STREAM, .retell = inventory_retell },
	{ .name = NULL },
};

static enum sk_status open_service(struct sk_parts *parts, void *app, struct sk_context *context)
{
	struct inventory_service *service = app;

	(void)context;
	service->parts = parts;
	service->reservation_ms = sk_config_int(parts->config, "INVENTORY_RESERVATION_S") * 1000;
	return SK_OK;
}

static const struct sk_service INVENTORY_SERVICE = {
	.name = "inventory",
	.summary = "keeps the stock and reserves it for orders, all lines or none",
	.port = 8105,
	.uses_pg = true,
	.uses_kv = true,
	.config = CONFIG,
	.routes = INVENTORY_ROUTES,
	.consumers = INVENTORY_CONSUMERS,
	.sweeps = SWEEPS,
	.streams = STREAMS,
	.migrations = INVENTORY_MIGRATIONS,
	.open = open_service,
};

int main(int argc, char **argv)
{
	struct inventory_service inventory = { 0 };

	return sk_service_main(argc, argv, &INVENTORY_SERVICE, &inventory);
}
