#include "provider.h"

#include <string.h>

static const struct payment_provider *const PROVIDERS[] = { &PAYMENT_TEST_PROVIDER, NULL };

const struct payment_provider *payment_provider_find(const struct payment_service *service,
						     const char *name)
{
	for (int i = 0; PROVIDERS[i] != NULL; i++) {
		if (PROVIDERS[i] == &PAYMENT_TEST_PROVIDER && !service->test_provider)
			continue;
		if (strcmp(PROVIDERS[i]->name, name) == 0)
			return PROVIDERS[i];
	}
	return NULL;
}
