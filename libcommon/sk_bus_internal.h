/* What the files sk_bus*.c share. Not for anybody else. */
#ifndef SK_BUS_INTERNAL_H
#define SK_BUS_INTERNAL_H

#include <nats/nats.h>
#include <pthread.h>
#include <stdatomic.h>

#include "sk_bus.h"
#include "sk_metrics.h"

#define SK__BUS_MAGIC	    0x62757331u
#define SK__BUS_WATCHES_MAX 8

struct sk__bus_watch {
	struct sk_bus *bus;
	const char *subject;
	sk_watch_fn *seen;
	void *arg;
	natsSubscription *subscription;
};

struct sk_bus {
	unsigned magic;
	char *service; /* name, for ce-source and inboxes */
	char *inbox;   /* "_INBOX_<service>.<random>": this process's alone */
	int publish_timeout_ms;
	natsOptions *options;

	pthread_t connector;
	pthread_mutex_t mutex; /* guards what follows, and the condition */
	pthread_cond_t changed;
	bool stopping;
	struct sk__bus_watch watches[SK__BUS_WATCHES_MAX];
	int watches_count;

	/* NULL until the first connection; from then on the client reconnects by itself. */
	_Atomic(natsConnection *) connection;
	atomic_bool connected;
	atomic_uint epoch; /* grows with each (re)connection: requests made before are lost */
	atomic_uint next_inbox;

	pthread_mutex_t publish_mutex; /* one sk_bus_publish_all at a time: they share acks */
	natsSubscription *acks;
	uint64_t acks_round;

	struct sk_metric *connected_metric, *published, *publish_errors;
};

/* The connection if it is up; otherwise NULL, with the error noted. */
natsConnection *sk__bus_up(struct sk_bus *bus, struct sk_context *context);

/* Sends message as a request and waits for the answer. The caller destroys *answer. */
SK_MUST_CHECK enum sk_status sk__bus_request(struct sk_bus *bus, struct sk_context *context,
					     natsMsg *message, int timeout_ms, natsMsg **answer);

/* SK_OK where a JetStream publish was acknowledged; the broker's words otherwise. */
SK_MUST_CHECK enum sk_status sk__bus_check_ack(struct sk_context *context, natsMsg *answer);

/* Fills a delivery from a message, which must live as long as the delivery. */
void sk__bus_read_delivery(natsMsg *message, struct sk_delivery *delivery);

/* A new inbox of this process: "_INBOX_<service>.<random>.<n>". In the arena. */
const char *sk__bus_inbox(struct sk_bus *bus, struct sk_arena *arena);

/* Answers a delivery: "+ACK". */
SK_MUST_CHECK enum sk_status sk__bus_answer(struct sk_bus *bus, const struct sk_delivery *delivery,
					    const char *word);

/* A header's value, NULL where absent. */
const char *sk__bus_header(natsMsg *message, const char *name);

#endif
