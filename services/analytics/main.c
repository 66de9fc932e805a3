#include "analytics.h"

static enum sk_status open_analytics(struct sk_parts *parts, void *app, struct sk_context *context)
{
	struct analytics_service *analytics = app;

	(void)context;
	analytics->parts = parts;
	return SK_OK;
}

static const char *const KEYS[] = { "report:*", NULL };

static const struct sk_service ANALYTICS = {
	.name = "analytics",
	.summary = "Sales, products and the funnel, by day",
	.port = 8110,
	.uses_pg = true,
	.uses_kv = true,
	.routes = ANALYTICS_ROUTES,
	.consumers = ANALYTICS_CONSUMERS,
	.keys = KEYS,
	.migrations = ANALYTICS_MIGRATIONS,
	.open = open_analytics,
};

int main(int argc, char **argv)
{
	struct analytics_service analytics = { 0 };

	return sk_service_main(argc, argv, &ANALYTICS, &analytics);
}
