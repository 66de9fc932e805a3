/* The declaration of a service as JSON: what --describe prints. */
#ifndef SK_DESCRIBE_H
#define SK_DESCRIBE_H

#include "sk_json.h"
#include "sk_service.h"

void sk_describe(const struct sk_service *service, struct sk_json *json);

#endif
