#include "inventory.h"

static const struct sk_stream STREAMS[] = {
	{ .name = INVENTORY_STREAM, .retell = inventory_retell },
	{ .name = NULL },
};

static enum sk_status open_service(struct sk_parts *parts, void *app, struct sk_context *context)
{
	struct inventory_service *service = app;

	(void)context;
	service->parts = parts;
	return SK_OK;
}

static const struct sk_service INVENTORY_SERVICE = {
	.name = "inventory",
	.summary = "keeps the stock and reserves it for orders, all lines or none",
	.port = 8105,
	.uses_pg = true,
	.uses_kv = true,
	.routes = INVENTORY_ROUTES,
	.consumers = INVENTORY_CONSUMERS,
	.streams = STREAMS,
	.migrations = INVENTORY_MIGRATIONS,
	.open = open_service,
};

int main(int argc, char **argv)
{
	struct inventory_service inventory = { 0 };

	return sk_service_main(argc, argv, &INVENTORY_SERVICE, &inventory);
}
