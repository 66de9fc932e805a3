/* `<service> --crash-points` of the test build: which points this service can get to, one a
 * line: name, tab, words. tests/crash visits exactly these. */
#ifndef SK_CRASH_REPORT_H
#define SK_CRASH_REPORT_H

#include <stdio.h>

#include "sk_service.h"

/* Whether the service's declaration has what the point needs. */
bool sk_crash_declared(const struct sk_service *service, enum sk_crash_need need);

void sk_crash_report(const struct sk_service *service, FILE *out);

#endif
