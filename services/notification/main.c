#include "notification.h"

static const struct sk_config_field CONFIG[] = {
	{ "SMTP_URL", SK_CONFIG_TEXT, "smtp://127.0.0.1:8025", 1, 1024, 0,
	  "the mail server: smtp://host:port or smtps://host:port" },
	{ "SMTP_USER", SK_CONFIG_TEXT, "", 0, 255, 0, "name at the mail server; empty: none" },
	{ "SMTP_PASSWORD", SK_CONFIG_TEXT, "", 0, 255, SK_CONFIG_SECRET,
	  "password at the mail server" },
	{ "NOTIFICATION_FROM", SK_CONFIG_TEXT, "shop@souk.localhost", 3, SK_EMAIL_MAX_BYTES, 0,
	  "address that mails come from" },
	{ "NOTIFICATION_SHOP_NAME", SK_CONFIG_TEXT, "Souk", 1, 100, 0,
	  "name of the shop, as mails give it" },
	{ "NOTIFICATION_MAX_ATTEMPTS", SK_CONFIG_INT, "24", 1, 100, 0,
	  "times that a mail is tried before it is given up; 24 take some 14 hours" },
	{ "NOTIFICATION_WEBHOOK_ALLOW_PRIVATE", SK_CONFIG_BOOL, "false", 0, 0, 0,
	  "whether webhooks may be sent to private and loopback addresses" },
	{ NULL, SK_CONFIG_TEXT, NULL, 0, 0, 0, NULL },
};

static const struct sk_sweep SWEEPS[] = {
	{ NOTIFICATION_SWEEP_SMTP, 500, NOTIFICATION_RUN_MS, notification_sweep_smtp },
	{ NOTIFICATION_SWEEP_WEBHOOKS, 500, NOTIFICATION_RUN_MS, notification_sweep_webhooks },
	{ NOTIFICATION_SWEEP_PRUNE, 3600 * 1000, 10000, notification_sweep_prune },
	{ NULL, 0, 0, NULL },
};

static const struct sk_stream STREAMS[] = {
	{ .name = NOTIFICATION_STREAM },
	{ .name = NULL },
};

static enum sk_status open_service(struct sk_parts *parts, void *app, struct sk_context *context)
{
	struct notification_service *service = app;
	const struct sk_config *config = parts->config;

	service->parts = parts;
	service->shop = sk_config_text(config, "NOTIFICATION_SHOP_NAME");
	service->shop_url = sk_config_text(config, "PUBLIC_URL");
	service->from = sk_config_text(config, "NOTIFICATION_FROM");
	service->smtp_url = sk_config_text(config, "SMTP_URL");
	service->smtp_user = sk_config_text(config, "SMTP_USER");
	service->smtp_password = sk_config_text(config, "SMTP_PASSWORD");
	service->max_attempts = (int)sk_config_int(config, "NOTIFICATION_MAX_ATTEMPTS");
	service->allow_private = sk_config_bool(config, "NOTIFICATION_WEBHOOK_ALLOW_PRIVATE");
	if (!sk_email_valid(service->from))
		return sk_fail(context, SK_INVALID, "invalid_configuration",
			       "NOTIFICATION_FROM is not an e-mail address");
	return notification_templates_load(context, NOTIFICATION_TEMPLATES, service->templates);
}

static const struct sk_service NOTIFICATION_SERVICE = {
	.name = "notification",
	.summary = "e-mails to shoppers and webhooks to registered endpoints",
	.port = 8108,
	.uses_pg = true,
	.uses_kv = true,
	.config = CONFIG,
	.routes = NOTIFICATION_ROUTES,
	.consumers = NOTIFICATION_CONSUMERS,
	.sweeps = SWEEPS,
	.streams = STREAMS,
	.migrations = NOTIFICATION_MIGRATIONS,
	.open = open_service,
};

int main(int argc, char **argv)
{
	struct notification_service notification = { 0 };

	return sk_service_main(argc, argv, &NOTIFICATION_SERVICE, &notification);
}
