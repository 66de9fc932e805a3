/* Carriers: who brings the parcel. To add one: a file carrier_<name>.c, and its row in
 * carrier.c. The first row's carrier gets new shipments. */
#ifndef SHIPPING_CARRIER_H
#define SHIPPING_CARRIER_H

#include "shipping.h"

struct shipping_carrier {
	const char *name; /* as events and webhook paths say it: "test" */

	/* Verifies the signature over the raw bytes first (SK_UNAUTHENTICATED), then decodes
	 * (SK_MALFORMED, SK_INVALID). Sets tracking_number and event. */
	enum sk_status (*read)(const struct shipping_service *service, struct sk_context *context,
			       const struct sk_webhook *webhook, struct shipping_notice *notice);
};

extern const struct shipping_carrier SHIPPING_TEST_CARRIER;

/* NULL where there is none of that name. */
const struct shipping_carrier *shipping_carrier_find(const char *name);

/* The carrier of new shipments. */
const struct shipping_carrier *shipping_carrier_first(void);

/* The sweep that sends the test carrier's webhooks. */
SK_MUST_CHECK enum sk_status shipping_sweep_test_carrier(struct sk_context *context, void *app,
							 bool *again);

#endif
