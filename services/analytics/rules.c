#include "analytics.h"

#include <string.h>

#define DEFAULT_DAYS 30

const char *analytics_day(int64_t time_us, char out[ANALYTICS_DATE_BYTES])
{
	char text[SK_RFC3339_BYTES];

	sk_time_format(time_us, text);
	memcpy(out, text, ANALYTICS_DATE_BYTES - 1);
	out[ANALYTICS_DATE_BYTES - 1] = '\0';
	return out;
}

enum sk_status analytics_range_make(int64_t from_us, int64_t to_us, int64_t now_us,
				    struct analytics_range *range, struct sk_context *context)
{
	if (to_us == 0)
		to_us = now_us + 1;
	if (from_us == 0)
		from_us = to_us - 1 - (DEFAULT_DAYS - 1) * SK_DAY_US;
	if (from_us >= to_us)
		return sk_fail(context, SK_INVALID, "invalid_range", "from must be before to");
	if (to_us - from_us > ANALYTICS_DAYS_MAX * SK_DAY_US)
		return sk_fail(context, SK_INVALID, "invalid_range", "at most %d days",
			       ANALYTICS_DAYS_MAX);
	analytics_day(from_us, range->first);
	analytics_day(to_us - 1, range->last);
	return SK_OK;
}

const char *analytics_step_name(enum analytics_step step)
{
	static const char *const names[ANALYTICS_STEPS] = {
		[ANALYTICS_CART] = "carts",	     [ANALYTICS_ITEM_ADDED] = "items_added",
		[ANALYTICS_ORDER] = "orders",	     [ANALYTICS_PAID] = "paid",
		[ANALYTICS_REJECTED] = "rejected",   [ANALYTICS_PAYMENT_FAILED] = "payment_failed",
		[ANALYTICS_CANCELLED] = "cancelled",
	};

	return names[step];
}
