/* The bus: NATS JetStream through cnats.
 *
 * One connection a process. A publish counts only once the stream has
 * acknowledged it; Nats-Msg-Id equals ce-id, so a repeated publish within the
 * stream's window is dropped by the broker, and beyond it by the inbox.
 *
 * Consuming is a pull loop of our own on $JS.API.CONSUMER.MSG.NEXT: cnats 3.4.1's
 * Fetch overflows its array with batches over 1 (stack.md, 1.3). Services bind to
 * durable consumers that the provisioning made and hold no right to make any.
 *
 * While disconnected every call fails at once with SK_UNAVAILABLE instead of
 * filling the client's reconnect buffer, which would send it later behind the
 * caller's back. Thread-safe. */
#ifndef SK_BUS_H
#define SK_BUS_H

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sk_context.h"

struct sk_bus;
struct sk_metrics;

/* An event about to leave. */
struct sk_event {
	const char *subject; /* "orders.created.<order id>" */
	const ProtobufCMessage *body;
	const char *id; /* ce-id; NULL: a new UUIDv7 */
};

/* The same, packed: a row of the outbox. */
struct sk_packed_event {
	const char *id, *subject, *type, *traceparent;
	int64_t time_us;
	const void *data;
	size_t len;
};

struct sk_bus_options {
	const char *url;     /* nats://user:password@host:port */
	const char *service; /* ce-source is "souk/<service>"; inboxes begin "_INBOX_<service>" */
	int publish_timeout_ms;
};

/* Connects in the background and keeps trying, with back-off. Never fails for a
 * broker that is down. */
struct sk_bus *sk_bus_open(const struct sk_bus_options *options, struct sk_metrics *metrics);

/* Flushes and closes, within 2 s. */
void sk_bus_close(struct sk_bus **bus);

SK_MUST_CHECK enum sk_status sk_bus_ping(struct sk_bus *bus, struct sk_context *context);
bool sk_bus_connected(const struct sk_bus *bus);
/* Grows with each connection: what was asked of the broker before may be forgotten. */
unsigned sk_bus_epoch(const struct sk_bus *bus);
const char *sk_bus_service(const struct sk_bus *bus);

/* Publishes and waits for the stream's acknowledgement. SK_UNAVAILABLE: not
 * connected, or no stream takes the subject. SK_TIMEOUT: no answer; it may have
 * arrived. For events that may be lost; what must not be goes through the outbox. */
SK_MUST_CHECK enum sk_status sk_bus_publish(struct sk_bus *bus, struct sk_context *context,
					    const struct sk_event *event);

/* What the stream answered to one event. */
struct sk_ack {
	bool stored;	   /* it has the event; without an answer nobody knows */
	bool duplicate;	   /* it had the event before, under this sequence */
	uint64_t sequence; /* in the stream */
};

/* Publishes count events asynchronously, in order, and waits for all the
 * acknowledgements; acks[i] says which arrived. SK_OK only if all did. */
SK_MUST_CHECK enum sk_status sk_bus_publish_all(struct sk_bus *bus, struct sk_context *context,
						const struct sk_packed_event *events, size_t count,
						struct sk_ack *acks);

/* What a stream is now. created is its identity: a stream that was made anew has another. */
struct sk_stream_state {
	const char *created;
	uint64_t last_sequence; /* never lower than before, unless the stream lost messages */
	uint64_t messages;
};

/* Needs the right to $JS.API.STREAM.INFO.<stream>. SK_NOT_FOUND: there is no such stream. */
SK_MUST_CHECK enum sk_status sk_bus_stream_state(struct sk_bus *bus, struct sk_context *context,
						 const char *stream, struct sk_stream_state *state);

/* ---- consuming (used by sk_consumer; services declare rows instead) ---- */

struct sk_delivery {
	const char *subject, *id, *type, *traceparent, *source;
	const char *stream, *consumer;
	const void *data;
	size_t len;
	int64_t time_us;   /* ce-time, or the stream's time where absent */
	uint64_t sequence; /* in the stream */
	uint64_t pending;  /* messages that wait behind this one, as the broker knew */
	int deliveries;	   /* 1 the first time */
	int buried_after;  /* deliveries before it was buried and replayed; 0: never was */
	uint64_t
		replayed; /* its sequence in the stream "replay"; 0: it comes from its own stream */
	const char *reply; /* where to acknowledge */
	void *raw;	   /* the natsMsg, kept until sk_bus_fetch is called again */
};

struct sk_pull; /* a bound durable consumer */

SK_MUST_CHECK enum sk_status sk_bus_bind(struct sk_bus *bus, const char *stream,
					 const char *consumer, struct sk_pull **out,
					 struct sk_context *context);
void sk_pull_close(struct sk_pull **pull);

/* Nothing more is wanted, and what was sent to us and not yet fetched goes back to the broker,
 * which gives it to another replica at once instead of after the consumer's ack_wait. */
void sk_pull_end(struct sk_pull *pull);

/* Up to max messages: waits up to wait_ms for the first, then takes what is
 * there. 0 messages is SK_OK. The deliveries live until the next call. */
SK_MUST_CHECK enum sk_status sk_pull_fetch(struct sk_pull *pull, struct sk_context *context,
					   int max, int wait_ms, struct sk_delivery *deliveries,
					   int *count);

/* Takes back what was asked for: what has arrived and is not at hand goes back to the broker, and nothing
 * comes until the next fetch. The deliveries at hand live on. */
void sk_pull_stop_asking(struct sk_pull *pull, struct sk_context *context);

SK_MUST_CHECK enum sk_status sk_bus_ack(struct sk_bus *bus, const struct sk_delivery *delivery);
SK_MUST_CHECK enum sk_status sk_bus_retry(struct sk_bus *bus, const struct sk_delivery *delivery,
					  int64_t delay_ms);
SK_MUST_CHECK enum sk_status sk_bus_still_working(struct sk_bus *bus,
						  const struct sk_delivery *delivery);
/* Publishes the delivery to dead.<stream>.<consumer> with its original headers and
 * the error, waits for that acknowledgement, then terminates the delivery. */
SK_MUST_CHECK enum sk_status sk_bus_bury(struct sk_bus *bus, struct sk_context *context,
					 const struct sk_delivery *delivery,
					 const struct sk_error *error);

/* Turns the delivery of a replayed letter into what it was: subject, stream, consumer and
 * sequence of the message that was buried. Answers still go to the stream "replay".
 * SK_MALFORMED: the headers of a letter are not there. */
SK_MUST_CHECK enum sk_status sk_bus_unbury(struct sk_context *context,
					   struct sk_delivery *delivery);

/* ---- a compacted stream, read whole ---- */

/* Calls each(delivery, arg) for every message of stream from sequence *next on (0: the
 * first), in order, until the end or until each returns other than SK_OK. *next gets
 * the sequence to go on from. For rebuilding a read model from the last message per
 * subject; needs the right to $JS.API.DIRECT.GET.<stream> and nothing more. */
typedef enum sk_status sk_replay_fn(const struct sk_delivery *delivery, void *arg);
SK_MUST_CHECK enum sk_status sk_bus_replay(struct sk_bus *bus, struct sk_context *context,
					   const char *stream, uint64_t *next, sk_replay_fn *each,
					   void *arg);

/* Calls seen(delivery, arg) on the client's thread for every message published to
 * subject from now on, without a consumer: each replica sees each message, none is
 * repeated, some may be missed. For what only makes something come sooner: a cache's
 * invalidation, a wake. Once per subject at start. */
typedef void sk_watch_fn(const struct sk_delivery *delivery, void *arg);
SK_MUST_CHECK enum sk_status sk_bus_watch(struct sk_bus *bus, const char *subject,
					  sk_watch_fn *seen, void *arg);

#endif
