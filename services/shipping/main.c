#include "carrier.h"

static const struct sk_config_field CONFIG[] = {
	{ "SHIPPING_SENDER", SK_CONFIG_TEXT, "Souk|1 Market Street|London EC1A 1AA|GB", 1, 500, 0,
	  "who sends, as printed on labels; lines are separated by |" },
	{ "SHIPPING_LABEL_FONT", SK_CONFIG_TEXT, "", 0, 1024, 0,
	  "path of a TrueType font for labels beyond Latin letters; empty: Helvetica" },
	{ "SHIPPING_WEBHOOK_SECRET", SK_CONFIG_TEXT, NULL, 16, 255,
	  SK_CONFIG_REQUIRED | SK_CONFIG_SECRET,
	  "signs the test carrier's webhooks: whsec_<base64> or 16 bytes at least" },
	{ "SHIPPING_TEST_ADVANCE_MS", SK_CONFIG_INT, "0", 0, 86400000, 0,
	  "milliseconds after which the test carrier ships, then delivers, by itself; 0: never" },
	{ "SHIPPING_TEST_WEBHOOK_URL", SK_CONFIG_TEXT, "", 0, 1024, 0,
	  "where the test carrier sends its webhooks; empty: this process" },
	{ NULL, SK_CONFIG_TEXT, NULL, 0, 0, 0, NULL },
};

static enum sk_status prune(struct sk_context *context, void *app, bool *again)
{
	struct shipping_service *service = app;

	(void)again;
	return shipping_store_prune(service->parts->pg, context);
}

static const struct sk_sweep SWEEPS[] = {
	{ SHIPPING_SWEEP_TEST_CARRIER, 200, 20000, shipping_sweep_test_carrier },
	{ SHIPPING_SWEEP_PRUNE, 3600 * 1000, 10000, prune },
	{ NULL, 0, 0, NULL },
};

static const struct sk_stream STREAMS[] = {
	{ .name = SHIPPING_STREAM },
	{ .name = NULL },
};

static enum sk_status open_service(struct sk_parts *parts, void *app, struct sk_context *context)
{
	struct shipping_service *service = app;
	int len = snprintf(service->own_url, sizeof(service->own_url),
			   "%s/v1/shipments/webhooks/test", parts->self_url);

	if (len < 0 || (size_t)len >= sizeof(service->own_url))
		return sk_fail(context, SK_INVALID, "invalid_configuration",
			       "HTTP_LISTEN is too long");
	service->parts = parts;
	service->sender = sk_config_text(parts->config, "SHIPPING_SENDER");
	service->label_font = sk_config_text(parts->config, "SHIPPING_LABEL_FONT");
	service->secret = sk_config_text(parts->config, "SHIPPING_WEBHOOK_SECRET");
	service->advance_ms = sk_config_int(parts->config, "SHIPPING_TEST_ADVANCE_MS");
	service->test_url = sk_config_text(parts->config, "SHIPPING_TEST_WEBHOOK_URL");
	if (*service->test_url == '\0')
		service->test_url = service->own_url;
	return SK_OK;
}

static const struct sk_service SHIPPING_SERVICE = {
	.name = "shipping",
	.summary = "a label for each order whose goods are sold, and what its carrier says of the "
		   "parcel",
	.port = 8107,
	.uses_pg = true,
	.uses_kv = true,
	.config = CONFIG,
	.routes = SHIPPING_ROUTES,
	.consumers = SHIPPING_CONSUMERS,
	.sweeps = SWEEPS,
	.streams = STREAMS,
	.migrations = SHIPPING_MIGRATIONS,
	.open = open_service,
};

int main(int argc, char **argv)
{
	struct shipping_service shipping = { 0 };

	return sk_service_main(argc, argv, &SHIPPING_SERVICE, &shipping);
}
