/* catalog: what the shop sells. */
#include "catalog.h"

static const struct sk_config_field CONFIG[] = {
	{ "CATALOG_CURRENCY", SK_CONFIG_TEXT, "GBP", 3, 3, 0,
	  "ISO 4217 code of the currency that every price is in" },
	{ "CATALOG_IMPORT_TIMEOUT_S", SK_CONFIG_INT, "55", 1, 600, 0,
	  "seconds that one import may take" },
	{ NULL, SK_CONFIG_TEXT, NULL, 0, 0, 0, NULL },
};

static const struct sk_sweep SWEEPS[] = {
	{ "catalog-cache", 1000, 2000, catalog_cache_settle },
	{ NULL, 0, 0, NULL },
};

static enum sk_status catalog_open(struct sk_parts *parts, void *app, struct sk_context *context)
{
	struct catalog_service *service = app;

	service->parts = parts;
	service->currency = sk_config_text(parts->config, "CATALOG_CURRENCY");
	atomic_store(&service->cache_owed, true);
	if (!sk_currency_valid(service->currency))
		return sk_fail(context, SK_INVALID, "invalid_config",
			       "CATALOG_CURRENCY must be an ISO 4217 code");
	return SK_OK;
}

static const struct sk_service CATALOG_SERVICE = {
	.name = "catalog",
	.summary = "products, variants, categories and prices",
	.port = 8102,
	.uses_pg = true,
	.uses_kv = true,
	.config = CONFIG,
	.routes = CATALOG_ROUTES,
	.consumers = CATALOG_CONSUMERS,
	.sweeps = SWEEPS,
	.streams = (const struct sk_stream[]) { { .name = "catalog",
						  .compacted = true,
						  .retell = catalog_retell },
						{ .name = NULL } },
	.keys = (const char *const[]) { "product:*", "products:*", "lock:catalog:*", NULL },
	.migrations = CATALOG_MIGRATIONS,
	.functions = CATALOG_FUNCTIONS,
	.open = catalog_open,
};

int main(int argc, char **argv)
{
	struct catalog_service service = { 0 };

	return sk_service_main(argc, argv, &CATALOG_SERVICE, &service);
}
