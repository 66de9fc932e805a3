/* Dead letters as they lie in the stream "dead": what could not be handled, with its own headers
 * and, in headers souk-*, where it came from and why it failed (libcommon/sk_bus_letter.c). */
#ifndef LETTER_H
#define LETTER_H

#include <nats/nats.h>

#include "sk_context.h"

#define LETTER_HEADERS_MAX 64

struct letter {
	uint64_t sequence; /* in the stream "dead": its number */
	const char *time;  /* of its burial */
	struct {
		const char *name, *value;
	} headers[LETTER_HEADERS_MAX];
	int headers_count;
	const void *data;
	size_t len;
};

/* "" where it is absent. */
const char *letter_header(const struct letter *letter, const char *name);

/* The letter with this number. SK_NOT_FOUND: there is none. It lives in the arena. */
SK_MUST_CHECK enum sk_status letter_get(struct sk_context *context, natsConnection *nats,
					uint64_t number, struct letter *letter);
/* The first one from this number on; consumer: of this one only ("": of any). SK_NOT_FOUND: the end. */
SK_MUST_CHECK enum sk_status letter_next(struct sk_context *context, natsConnection *nats,
					 uint64_t from, const char *consumer,
					 struct letter *letter);
/* The number of the newest letter that there ever was. */
SK_MUST_CHECK enum sk_status letter_last(struct sk_context *context, natsConnection *nats,
					 uint64_t *number);

/* Puts a copy into the stream "replay", for the consumer that failed, and waits until it is
 * there. Again is safe: the stream drops it, and later the consumer's inbox does. */
SK_MUST_CHECK enum sk_status letter_replay(struct sk_context *context, natsConnection *nats,
					   const struct letter *letter, const char *service);
SK_MUST_CHECK enum sk_status letter_delete(struct sk_context *context, natsConnection *nats,
					   const struct letter *letter);
/* Tells the audit log what an operator did: "dead_letter.replayed". Once, however often. */
SK_MUST_CHECK enum sk_status letter_audit(struct sk_context *context, natsConnection *nats,
					  const struct letter *letter, const char *action);

#endif
