/* What the files sk_consumer*.c share. Not for anybody else. */
#ifndef SK_CONSUMER_INTERNAL_H
#define SK_CONSUMER_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "sk_consumer.h"

#define SK__CONSUMER_MAGIC 0x636f6e73u

/* One durable consumer and its thread: a row's, or the one for letters that are replayed. */
struct sk__consumer {
	unsigned magic;
	const char *stream, *name;     /* of the durable consumer */
	const struct sk_consumer *row; /* whose handlers run; of replays: the letter's at hand */
	bool replays;
	struct sk_consumers *all;
	pthread_t thread;
	struct sk_context context;
	struct sk_pull *pull;
	struct sk_delivery deliveries[SK_BATCH_MAX];
	int64_t alone_until_us; /* until then messages are taken one by one: one was suspect */
	struct sk_metric *handled, *duplicates, *retried, *buried, *pending, *duration;
};

struct sk_consumers {
	struct sk_bus *bus;
	struct sk_pg *pg; /* NULL: handlers run without a transaction */
	void *app;
	int max_deliveries;
	atomic_bool stopping;
	pthread_mutex_t mutex;
	pthread_cond_t stop;
	struct sk__consumer *list; /* one for each row, and then the one that replays */
	int count, rows;
	char *replay_name;
};

/* The thread's function; closure is a struct sk__consumer. */
void *sk__consume(void *closure);

#endif
