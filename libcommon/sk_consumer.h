/* Consumers: the heart of Souk's promise that an effect happens once.
 *
 * A service declares rows; libcommon runs a thread for each. A handler gets a
 * message and an open transaction. The framework takes up to SK_BATCH_MAX messages,
 * opens one transaction, inserts their ids into the inbox, skips those already there,
 * runs the handlers, commits, and only then acknowledges. If one handler
 * fails, the batch is rolled back and every message runs alone in a transaction
 * of its own, so that a bad message stands alone.
 *
 * What a handler's status means:
 *   SK_OK, SK_DUPLICATE         committed and acknowledged
 *   SK_UNAVAILABLE, SK_TIMEOUT  nobody's fault: the message is held and tried again
 *                               with back-off until it works, and counts no attempt
 *   SK_NOT_FOUND, SK_INTERNAL and the rest
 *                               rolled back, delivered again later (two streams have
 *                               no common order), and buried after CONSUMER_MAX_DELIVERIES
 *   SK_INVALID, SK_MALFORMED, SK_CONFLICT
 *                               buried at once in dead.<stream>.<consumer>
 * What arrives with more than CONSUMER_MAX_DELIVERIES is buried before it is handled: a message on
 * which the process dies each time ends so, too.
 * A type the row does not name is acknowledged and left alone; bytes that do not
 * unpack or break a rule are buried.
 *
 * A service without PostgreSQL gets tx == NULL, and its effect must be idempotent
 * by the message's id itself. */
#ifndef SK_CONSUMER_H
#define SK_CONSUMER_H

#include "sk_bus.h"
#include "sk_message.h"
#include "sk_pg.h"

struct sk_message {
	struct sk_context *context;	    /* its trace is the message's */
	const struct sk_delivery *delivery; /* id, subject, time, raw bytes … */
	const ProtobufCMessage
		*body; /* unpacked and checked; NULL for SK_ANY_TYPE rows of unknown types */
};

typedef enum sk_status sk_message_fn(struct sk_tx *tx, const struct sk_message *message, void *app);

struct sk_handler {
	const ProtobufCMessageDescriptor *type; /* NULL: any type, known or not */
	sk_message_fn *handle;
};

/* A row; a table ends with a row whose name is NULL. The handlers end with a row
 * whose handle is NULL. */
struct sk_consumer {
	const char *name;   /* durable name: "order-inventory" */
	const char *stream; /* "inventory" */
	const char
		*filter; /* one subject with wildcards: "inventory.reserved.*" or "inventory.>" */
	const struct sk_handler *handlers;
};

struct sk_consumers;

/* Starts a thread for each row, and one for letters that are replayed. sk_service does this. pg may
 * be NULL. */
struct sk_consumers *sk_consumers_open(const struct sk_consumer *rows, struct sk_bus *bus,
				       struct sk_pg *pg, void *app, int max_deliveries,
				       struct sk_metrics *metrics);
/* Lets the batches at hand finish, then joins. */
void sk_consumers_close(struct sk_consumers **consumers);

#endif
