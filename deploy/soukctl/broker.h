/* The broker as an administrator's program uses it. */
#ifndef BROKER_H
#define BROKER_H

#include <nats/nats.h>

#include "sk_context.h"

struct cJSON;

/* Connects with the administrator's secret. The caller destroys *nats. */
SK_MUST_CHECK enum sk_status broker_connect(struct sk_context *context, const char *secrets,
					    natsConnection **nats);

/* One call of $JS.API.<subject>. *answer lives in the arena; an answer with an error is one, too. */
SK_MUST_CHECK enum sk_status broker_call(struct sk_context *context, natsConnection *nats,
					 const char *subject, const struct cJSON *body,
					 const struct cJSON **answer);
/* What the broker says is wrong; NULL: nothing. */
const char *broker_error(const struct cJSON *answer);
int broker_error_code(const struct cJSON *answer); /* as in HTTP; 0: nothing is wrong */

/* A stream's number; 0 where it is absent, or none that JSON carries exactly. */
uint64_t broker_number(const struct cJSON *object, const char *name);
/* The same where an error is a failure. */
SK_MUST_CHECK enum sk_status broker_call_well(struct sk_context *context, natsConnection *nats,
					      const char *subject, const struct cJSON *body);

/* Publishes to a stream and waits for its acknowledgement. */
SK_MUST_CHECK enum sk_status broker_publish(struct sk_context *context, natsConnection *nats,
					    natsMsg *message);

/* cJSON writes large numbers with an exponent, which the broker does not take for an integer. */
void broker_add_integer(struct cJSON *object, const char *name, long long value);

#endif
