/* A message's frame, as the broker hands it over: a line with the reply subject (which holds
 * JetStream's numbers), lines of headers. */
#include "fuzz.h"

#include <nats/nats.h>

#include "libcommon/sk_bus_internal.h"
#include "sk_bus.h"

void fuzz(struct sk_context *context, struct fuzz_input *input)
{
	struct sk_delivery delivery;
	natsMsg *message = NULL;
	char *line = fuzz_line(context, input);

	FUZZ_HOLDS(nats_Open(-1) == NATS_OK); /* the first time; then it is open */
	FUZZ_HOLDS(natsMsg_Create(&message, "orders.created.1", line[0] != '\0' ? line : NULL, NULL,
				  0) == NATS_OK);
	while (*(line = fuzz_line(context, input)) != '\0') {
		char *colon = strchr(line, ':');

		if (colon == NULL || colon == line)
			continue;
		*colon++ = '\0';
		/* What the client refuses does not come this way. */
		(void)natsMsgHeader_Set(message, line, colon + strspn(colon, " "));
	}
	sk__bus_read_delivery(message, &delivery);
	FUZZ_HOLDS(delivery.id != NULL && delivery.type != NULL && delivery.source != NULL);
	(void)sk_trace_continue(delivery.traceparent);
	natsMsg_Destroy(message);
}
