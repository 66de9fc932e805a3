#include "sk_crash_report.h"

#include <string.h>

/* The linker's names for both ends of the section that sk_crash_here writes to. Weak: a program
 * without points has no section. */
extern const enum sk_crash_point SITES[] __asm__("__start_souk_crash") __attribute__((weak));
extern const enum sk_crash_point SITES_END[] __asm__("__stop_souk_crash") __attribute__((weak));

static bool has_route(const struct sk_service *service, unsigned flags)
{
	for (const struct sk_route *row = service->routes; row != NULL && row->method != NULL;
	     row++)
		if (strcmp(row->method, "GET") != 0 && (flags == 0 || (row->flags & flags) != 0))
			return true;
	return false;
}

bool sk_crash_declared(const struct sk_service *service, enum sk_crash_need need)
{
	bool consumes = service->consumers != NULL && service->consumers->name != NULL;

	switch (need) {
	case SK_CRASH_NEEDS_CODE:
		return true;
	case SK_CRASH_NEEDS_TX_ROUTE:
		return service->uses_pg && has_route(service, 0);
	case SK_CRASH_NEEDS_KEY_ROUTE:
		return service->uses_pg && has_route(service, SK_IDEMPOTENT | SK_KEY_REQUIRED);
	case SK_CRASH_NEEDS_CONSUMER:
		return consumes;
	case SK_CRASH_NEEDS_TX_CONSUMER:
		return consumes && service->uses_pg;
	case SK_CRASH_NEEDS_OUTBOX:
		return service->uses_pg;
	case SK_CRASH_NEEDS_EVENT:
		return service->uses_pg && (service->streams != NULL || service->publishes != NULL);
	case SK_CRASH_NEEDS_SWEEP:
		return service->sweeps != NULL && service->sweeps->name != NULL;
	}
	return false;
}

void sk_crash_report(const struct sk_service *service, FILE *out)
{
	bool has[SK_CRASH_COUNT] = { false };

	for (const enum sk_crash_point *site = SITES; site < SITES_END; site++)
		has[*site] = true;
	for (int i = 0; i < SK_CRASH_COUNT; i++) {
		const struct sk_crash_row *row = sk_crash_row_of((enum sk_crash_point)i);

		if (has[i] && sk_crash_declared(service, row->need))
			(void)fprintf(out, "%s\t%s\n", row->name, row->words);
	}
}
