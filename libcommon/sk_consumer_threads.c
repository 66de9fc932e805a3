/* The threads of a service's consumers: one for each row, and one for dead letters that
 * `soukctl dead replay` sends back (stream "replay", durable consumer <service>-replay). */
#include <stdio.h>
#include <stdlib.h>

#include "sk_condition.h"
#include "sk_consumer_internal.h"
#include "sk_metrics.h"

#define REPLAY_STREAM "replay"

static void register_metrics(struct sk__consumer *consumer, struct sk_metrics *metrics)
{
	struct sk_arena *arena = consumer->context.arena;
	const char *name = consumer->name;

#define RESULT(word) sk_arena_printf(arena, "consumer=\"%s\",result=\"%s\"", name, word)
	const char *help = "messages of a consumer by what became of them";
	consumer->handled = sk_metrics_counter(metrics, "souk_consumer_messages_total", help,
					       RESULT("handled"));
	consumer->duplicates = sk_metrics_counter(metrics, "souk_consumer_messages_total", help,
						  RESULT("duplicate"));
	consumer->retried = sk_metrics_counter(metrics, "souk_consumer_messages_total", help,
					       RESULT("retried"));
	consumer->buried = sk_metrics_counter(metrics, "souk_consumer_messages_total", help,
					      RESULT("buried"));
#undef RESULT
	consumer->pending = sk_metrics_gauge(metrics, "souk_consumer_pending",
					     "messages that waited behind the last one fetched",
					     sk_arena_printf(arena, "consumer=\"%s\"", name));
	consumer->duration = sk_metrics_histogram(
		metrics, "souk_consumer_batch_seconds",
		"time from a batch's fetch to its acknowledgement",
		sk_arena_printf(arena, "consumer=\"%s\"", name));
}

static void start(struct sk__consumer *consumer, struct sk_metrics *metrics)
{
	register_metrics(consumer, metrics);
	if (sk_bus_bind(consumer->all->bus, consumer->stream, consumer->name, &consumer->pull,
			&consumer->context) != SK_OK ||
	    pthread_create(&consumer->thread, NULL, sk__consume, consumer) != 0)
		abort();
}

static struct sk__consumer *add(struct sk_consumers *all, const char *stream, const char *name)
{
	struct sk__consumer *consumer = &all->list[all->count++];

	consumer->magic = SK__CONSUMER_MAGIC;
	consumer->all = all;
	consumer->stream = stream;
	consumer->name = name;
	sk_context_init(&consumer->context, 0);
	return consumer;
}

/* Makes them all before the first one starts: a replay looks for its row among the others. */
static void make(struct sk_consumers *all, const struct sk_consumer *rows)
{
	for (const struct sk_consumer *row = rows; row->name != NULL; row++)
		all->rows++;
	all->list = calloc((size_t)all->rows + 1, sizeof(*all->list));
	if (all->list == NULL ||
	    asprintf(&all->replay_name, "%s-replay", sk_bus_service(all->bus)) < 0)
		abort();
	for (const struct sk_consumer *row = rows; row->name != NULL; row++)
		add(all, row->stream, row->name)->row = row;
	add(all, REPLAY_STREAM, all->replay_name)->replays = true;
}

struct sk_consumers *sk_consumers_open(const struct sk_consumer *rows, struct sk_bus *bus,
				       struct sk_pg *pg, void *app, int max_deliveries,
				       struct sk_metrics *metrics)
{
	struct sk_consumers *all = calloc(1, sizeof(*all));

	if (all == NULL)
		abort();
	all->bus = bus;
	all->pg = pg;
	all->app = app;
	all->max_deliveries = max_deliveries;
	pthread_mutex_init(&all->mutex, NULL);
	sk_condition_init(&all->stop);
	if (rows != NULL && rows[0].name != NULL)
		make(all, rows);
	for (int i = 0; i < all->count; i++)
		start(&all->list[i], metrics);
	return all;
}

void sk_consumers_close(struct sk_consumers **consumers)
{
	struct sk_consumers *all = *consumers;

	if (all == NULL)
		return;
	*consumers = NULL;
	pthread_mutex_lock(&all->mutex);
	atomic_store(&all->stopping, true);
	pthread_cond_broadcast(&all->stop);
	pthread_mutex_unlock(&all->mutex);
	for (int i = 0; i < all->count; i++) {
		pthread_join(all->list[i].thread, NULL);
		sk_pull_close(&all->list[i].pull);
		sk_context_release(&all->list[i].context);
		all->list[i].magic = 0;
	}
	pthread_cond_destroy(&all->stop);
	pthread_mutex_destroy(&all->mutex);
	free(all->replay_name);
	free(all->list);
	free(all);
}
