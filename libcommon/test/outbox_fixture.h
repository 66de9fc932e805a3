/* What the tests of the outbox share: replicas of a service, events to send, and what came of them. */
#ifndef OUTBOX_FIXTURE_H
#define OUTBOX_FIXTURE_H

#include "../sk_metrics.h"
#include "../sk_outbox.h"
#include "store_faults.h"

#define PATIENCE_MS 30000

/* One replica of a service. */
struct replica {
	struct sk_metrics *metrics;
	struct sk_pg *pg;
	struct sk_bus *bus;
	struct sk_outbox *outbox;
};

/* One test's world; opened and closed by set_up_outbox and tear_down_outbox. */
struct outbox_fixture {
	struct replica first, second;
	const struct sk_stream *streams; /* of the replicas that are opened next */
	struct sk_context context;
};

extern struct outbox_fixture fixture;

int set_up_outbox(void **state);
int tear_down_outbox(void **state);

void open_replica(struct replica *replica, const char *nats_url);
void close_replica(struct replica *replica);

int64_t gauge(const struct replica *replica, const char *name);
/* The first number of the answer, by the first replica. */
int64_t ask(const struct sk_sql *sql, const struct sk_param *params, size_t count);
void take_out(const char *subject);

/* For eventually(). */
bool nothing_waits(void *arg);
bool one_waits(void *arg);
bool is_connected(void *replica);

/* Adds events whose entity_id is their number. */
void add_events(const char *subject, int from, int count);
const char *new_subject(void);

/* What the stream has of one subject: the numbers in their order. */
struct heard {
	const char *subject;
	int count;
	bool in_order;
};

struct heard listen_for(const char *subject);

#endif
