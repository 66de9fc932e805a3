#include "audit.h"

static enum sk_status open_audit(struct sk_parts *parts, void *app, struct sk_context *context)
{
	struct audit_service *audit = app;

	(void)context;
	audit->parts = parts;
	return SK_OK;
}

static const struct sk_stream STREAMS[] = {
	/* Told by every service that acts for somebody. */
	{ .name = "audit", .max_age_hours = 30 * 24 },
	{ .name = NULL },
};

static const struct sk_service AUDIT = {
	.name = "audit",
	.summary = "Every business event and user action, append-only and hash-chained",
	.port = 8109,
	.uses_pg = true,
	.uses_kv = true,
	.routes = AUDIT_ROUTES,
	.consumers = AUDIT_CONSUMERS,
	.streams = STREAMS,
	.migrations = AUDIT_MIGRATIONS,
	.grants = "SELECT, INSERT",
	.open = open_audit,
};

int main(int argc, char **argv)
{
	struct audit_service audit = { 0 };

	return sk_service_main(argc, argv, &AUDIT, &audit);
}
