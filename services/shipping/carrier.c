#include "carrier.h"

#include <string.h>

static const struct shipping_carrier *const CARRIERS[] = { &SHIPPING_TEST_CARRIER, NULL };

const struct shipping_carrier *shipping_carrier_find(const char *name)
{
	for (int i = 0; CARRIERS[i] != NULL; i++)
		if (strcmp(CARRIERS[i]->name, name) == 0)
			return CARRIERS[i];
	return NULL;
}

const struct shipping_carrier *shipping_carrier_first(void)
{
	return CARRIERS[0];
}
