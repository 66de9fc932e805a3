#include "provider.h"

static const struct sk_config_field CONFIG[] = {
	{ "PAYMENT_TEST_PROVIDER", SK_CONFIG_BOOL, "true", 0, 0, 0,
	  "whether orders may pay with the built-in test provider, which takes no money" },
	{ "PAYMENT_WEBHOOK_SECRET", SK_CONFIG_TEXT, NULL, 16, 255,
	  SK_CONFIG_REQUIRED | SK_CONFIG_SECRET,
	  "signs the test provider's webhooks: whsec_<base64> or 16 bytes at least" },
	{ "PAYMENT_TEST_WEBHOOK_URL", SK_CONFIG_TEXT, "", 0, 1024, 0,
	  "where the test provider sends its webhooks; empty: this process" },
	{ NULL, SK_CONFIG_TEXT, NULL, 0, 0, 0, NULL },
};

static const struct sk_sweep SWEEPS[] = {
	{ PAYMENT_SWEEP_CHARGES, 500, PAYMENT_RUN_MS, payment_sweep_charges },
	{ PAYMENT_SWEEP_REFUNDS, 1000, PAYMENT_RUN_MS, payment_sweep_refunds },
	{ PAYMENT_SWEEP_TEST_PROVIDER, 250, PAYMENT_RUN_MS, payment_sweep_test_provider },
	{ PAYMENT_SWEEP_PRUNE, 3600 * 1000, 10000, payment_sweep_prune },
	{ NULL, 0, 0, NULL },
};

static const struct sk_stream STREAMS[] = {
	{ .name = PAYMENT_STREAM },
	{ .name = NULL },
};

static enum sk_status open_service(struct sk_parts *parts, void *app, struct sk_context *context)
{
	struct payment_service *service = app;

	service->parts = parts;
	service->test_provider = sk_config_bool(parts->config, "PAYMENT_TEST_PROVIDER");
	service->test_secret = sk_config_text(parts->config, "PAYMENT_WEBHOOK_SECRET");
	service->test_url = sk_config_text(parts->config, "PAYMENT_TEST_WEBHOOK_URL");
	if (*service->test_url == '\0') {
		int len = snprintf(service->own_url, sizeof(service->own_url),
				   "%s/v1/payments/webhooks/test", parts->self_url);

		if (len < 0 || (size_t)len >= sizeof(service->own_url))
			return sk_fail(context, SK_INVALID, "invalid_configuration",
				       "HTTP_LISTEN is too long");
		service->test_url = service->own_url;
	}
	return SK_OK;
}

static const struct sk_service PAYMENT_SERVICE = {
	.name = "payment",
	.summary = "charges and refunds, once an order, by a provider and its signed webhooks",
	.port = 8106,
	.uses_pg = true,
	.uses_kv = true,
	.config = CONFIG,
	.routes = PAYMENT_ROUTES,
	.consumers = PAYMENT_CONSUMERS,
	.sweeps = SWEEPS,
	.streams = STREAMS,
	.migrations = PAYMENT_MIGRATIONS,
	.open = open_service,
};

int main(int argc, char **argv)
{
	struct payment_service payment = { 0 };

	return sk_service_main(argc, argv, &PAYMENT_SERVICE, &payment);
}
