/* The loop behind each row of a consumer table. The guarantee is in sk_consumer.h;
 * how it is kept:
 *
 * - The inbox rows of a batch are inserted first, in the transaction of the effects.
 *   A message whose row was there already is skipped, and whoever holds the
 *   same row uncommitted (another replica) makes us wait for its end.
 * - Acknowledgements follow the commit. If they are lost, the message comes again and
 *   the inbox knows it. Double acknowledgement would not help: a killed broker
 *   forgets acknowledged ones too (stack.md, 0.1).
 * - While a store is down the messages at hand are held and the broker is told that
 *   we still work, so that an outage counts no delivery and buries nothing. */
#include "sk_consumer.h"

#include <assert.h>
#include <nats/nats.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "sk_condition.h"
#include "sk_log.h"
#include "sk_metrics.h"
#include "sk_time.h"

#define FETCH_WAIT_MS	 200   /* also how long a stop waits for an idle consumer */
#define BATCH_TIMEOUT_MS 10000 /* well below the consumers' ack_wait of 30 s */
#define HOLD_BASE_MS	 50
#define HOLD_MAX_MS	 5000
#define CONSUMER_MAGIC	 0x636f6e73u

/* How long a message that failed stays away, by the number of its deliveries. */
static const int RETRY_DELAY_MS[] = { 50, 200, 500, 1000, 3000, 10000, 30000, 60000 };

static const struct sk_sql SQL_INBOX_ADD = {
	"inbox_add",
	"INSERT INTO inbox (consumer, message_id)"
	" SELECT $1, id FROM unnest($2::text[]) AS id"
	" ON CONFLICT DO NOTHING"
	" RETURNING message_id",
};

enum verdict {
	ACKNOWLEDGE, /* the effect is committed */
	HOLD,	     /* a store is down: keep it and try again */
	RETRY,	     /* deliver it again later, a limited number of times */
	BURY,	     /* it will never work */
};

/* One row of the table and its thread. */
struct consumer {
	unsigned magic;
	const struct sk_consumer *row;
	struct sk_consumers *all;
	pthread_t thread;
	struct sk_context context;
	struct sk_pull *pull;
	struct sk_delivery deliveries[SK_BATCH_MAX];
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
	struct consumer *list;
	int count;
};

static enum verdict verdict_for(enum sk_status status)
{
	switch (status) {
	case SK_OK:
	case SK_DUPLICATE:
		return ACKNOWLEDGE;
	case SK_UNAVAILABLE:
	case SK_TIMEOUT:
		return HOLD;
	case SK_NOT_FOUND: /* may be early: two streams have no common order */
	case SK_NO_MEMORY:
	case SK_INTERNAL:
	case SK_PRECONDITION:
	case SK_TOO_MANY:
	case SK_UNAUTHENTICATED:
	case SK_FORBIDDEN:
		return RETRY;
	case SK_INVALID:
	case SK_MALFORMED:
	case SK_TOO_LARGE:
	case SK_CONFLICT: /* a transition that must not be: a person has to look */
		return BURY;
	}
	return BURY;
}

/* Sleeps, unless or until a stop is asked for. Returns whether to go on. */
static bool wait_unless_stopping(struct sk_consumers *all, int64_t ms)
{
	int64_t until_us = sk_time_monotonic_us() + ms * 1000;
	bool in_time = true;

	pthread_mutex_lock(&all->mutex);
	while (!atomic_load(&all->stopping) && in_time)
		in_time = sk_condition_wait(&all->stop, &all->mutex, until_us);
	pthread_mutex_unlock(&all->mutex);
	return !atomic_load(&all->stopping);
}

/* The inbox knows messages by their ce-id; one without (not of our making) by its place. */
static const char *message_id(struct consumer *consumer, const struct sk_delivery *delivery)
{
	if (delivery->id[0] != '\0')
		return delivery->id;
	return sk_arena_printf(consumer->context.arena, "%s:%llu", delivery->stream,
			       (unsigned long long)delivery->sequence);
}

static const struct sk_handler *find_handler(const struct sk_consumer *row, const char *type)
{
	for (const struct sk_handler *handler = row->handlers; handler->handle != NULL; handler++)
		if (handler->type == NULL || strcmp(handler->type->name, type) == 0)
			return handler;
	return NULL;
}

/* Unpacks one message and runs its handler. tx is NULL without PostgreSQL. */
static enum sk_status dispatch(struct consumer *consumer, struct sk_tx *tx,
			       const struct sk_delivery *delivery)
{
	const struct sk_handler *handler = find_handler(consumer->row, delivery->type);
	struct sk_context *context = &consumer->context;
	struct sk_message message = { .context = context, .delivery = delivery };
	const struct sk_message_type *type;
	ProtobufCMessage *body = NULL;
	enum sk_status st;

	context->trace = sk_trace_continue(delivery->traceparent);
	if (handler == NULL)
		return SK_OK;
	type = handler->type != NULL ? NULL : sk_message_type_find(delivery->type);
	if (handler->type != NULL || type != NULL) {
		st = sk_message_unpack(context,
				       handler->type != NULL ? handler->type : type->descriptor,
				       delivery->data, delivery->len, &body);
		if (st != SK_OK)
			return st;
	}
	message.body = body;
	return handler->handle(tx, &message, consumer->all->app);
}

/* Marks in fresh[] the messages that the inbox did not know. */
static enum sk_status add_to_inbox(struct consumer *consumer, struct sk_tx *tx,
				   const struct sk_delivery *deliveries, int count, bool *fresh)
{
	const char *ids[SK_BATCH_MAX];
	struct sk_rows rows;
	enum sk_status st;

	for (int i = 0; i < count; i++)
		ids[i] = message_id(consumer, &deliveries[i]);
	st = sk_tx_run(tx, &SQL_INBOX_ADD,
		       SK_PARAMS(sk_text(consumer->row->name),
				 sk_text_array(sk_tx_arena(tx), ids, (size_t)count)),
		       &rows);
	if (st != SK_OK)
		return st;
	for (int row = 0; row < rows.count; row++) {
		const char *id = sk_row_text(&rows, row, 0);
		int i = 0;

		/* The first of several with the same id in one batch. */
		while (i < count && (fresh[i] || strcmp(ids[i], id) != 0))
			i++;
		if (i < count)
			fresh[i] = true;
	}
	return SK_OK;
}

static enum sk_status run_handlers(struct consumer *consumer, struct sk_tx *tx,
				   const struct sk_delivery *deliveries, int count)
{
	bool fresh[SK_BATCH_MAX] = { false };
	enum sk_status st = add_to_inbox(consumer, tx, deliveries, count, fresh);

	for (int i = 0; i < count && st == SK_OK; i++) {
		if (!fresh[i]) {
			sk_metric_add(consumer->duplicates, 1);
			continue;
		}
		st = dispatch(consumer, tx, &deliveries[i]);
		if (st == SK_DUPLICATE)
			st = SK_OK;
	}
	return st;
}

/* Inbox, handlers, commit: the whole effect of these messages, or nothing of it. */
static enum sk_status try_messages(struct consumer *consumer, const struct sk_delivery *deliveries,
				   int count)
{
	struct sk_consumers *all = consumer->all;
	struct sk_tx *tx = NULL;
	enum sk_status st;

	sk_context_reset(&consumer->context, BATCH_TIMEOUT_MS);
	if (all->pg == NULL) {
		assert(count == 1);
		return dispatch(consumer, NULL, deliveries);
	}
	st = sk_tx_begin(all->pg, &consumer->context, &tx);
	if (st != SK_OK)
		return st;
	st = run_handlers(consumer, tx, deliveries, count);
	if (st != SK_OK) {
		sk_tx_rollback(&tx);
		return st;
	}
	return sk_tx_commit(&tx);
}

/* Tells the broker that we still work on these, and waits. */
static bool hold(struct consumer *consumer, const struct sk_delivery *deliveries, int count,
		 int attempt)
{
	if (attempt == 0)
		sk_log_failure(SK_LOG_WARN, &consumer->context, consumer->row->name);
	for (int i = 0; i < count; i++)
		sk_ignore(sk_bus_still_working(consumer->all->bus, &deliveries[i]),
			  "a broker that is down will deliver them again");
	return wait_unless_stopping(consumer->all,
				    HOLD_BASE_MS +
					    sk_time_backoff_ms(attempt, HOLD_BASE_MS, HOLD_MAX_MS));
}

/* Tries again while a store is down. A stop ends it: the messages come again. */
static enum sk_status try_until_answered(struct consumer *consumer,
					 const struct sk_delivery *deliveries, int count)
{
	enum sk_status st = try_messages(consumer, deliveries, count);

	for (int attempt = 0; verdict_for(st) == HOLD; attempt++) {
		if (!hold(consumer, deliveries, count, attempt))
			break;
		st = try_messages(consumer, deliveries, count);
	}
	return st;
}

static void acknowledge(struct consumer *consumer, const struct sk_delivery *deliveries, int count)
{
	for (int i = 0; i < count; i++)
		sk_ignore(sk_bus_ack(consumer->all->bus, &deliveries[i]),
			  "it comes again, and the inbox knows it");
	sk_metric_add(consumer->handled, count);
}

static void bury(struct consumer *consumer, const struct sk_delivery *delivery)
{
	struct sk_error error = consumer->context.error;
	enum sk_status st;

	sk_log_failure(SK_LOG_ERROR, &consumer->context, consumer->row->name);
	for (int attempt = 0;; attempt++) {
		sk_context_clear_error(&consumer->context);
		st = sk_bus_bury(consumer->all->bus, &consumer->context, delivery, &error);
		if (st == SK_OK) {
			sk_metric_add(consumer->buried, 1);
			sk_log(SK_LOG_ERROR, &consumer->context,
			       "%s: message %s of type %s buried in dead.%s.%s",
			       consumer->row->name, delivery->id, delivery->type, delivery->stream,
			       delivery->consumer);
			return;
		}
		if (!hold(consumer, delivery, 1, attempt))
			return;
		sk_context_reset(&consumer->context, BATCH_TIMEOUT_MS);
	}
}

static void retry_or_bury(struct consumer *consumer, const struct sk_delivery *delivery)
{
	const int delays = (int)(sizeof(RETRY_DELAY_MS) / sizeof(RETRY_DELAY_MS[0]));
	int at = delivery->deliveries <= delays ? delivery->deliveries - 1 : delays - 1;

	if (delivery->deliveries >= consumer->all->max_deliveries) {
		bury(consumer, delivery);
		return;
	}
	sk_log_failure(SK_LOG_INFO, &consumer->context, consumer->row->name);
	sk_metric_add(consumer->retried, 1);
	sk_ignore(sk_bus_retry(consumer->all->bus, delivery, RETRY_DELAY_MS[at < 0 ? 0 : at]),
		  "without it the broker delivers again after its ack_wait");
}

/* A stop comes between: let another replica have it now, and not after the ack_wait. */
static void give_back(struct consumer *consumer, const struct sk_delivery *delivery)
{
	sk_ignore(sk_bus_retry(consumer->all->bus, delivery, 0),
		  "without it the broker delivers again after its ack_wait");
}

static void handle_alone(struct consumer *consumer, const struct sk_delivery *delivery)
{
	switch (verdict_for(try_until_answered(consumer, delivery, 1))) {
	case ACKNOWLEDGE:
		acknowledge(consumer, delivery, 1);
		break;
	case HOLD: /* stopping */
		give_back(consumer, delivery);
		break;
	case RETRY:
		retry_or_bury(consumer, delivery);
		break;
	case BURY:
		bury(consumer, delivery);
		break;
	}
}

static void handle_batch(struct consumer *consumer, int count)
{
	int64_t began_us = sk_time_monotonic_us();

	if (consumer->all->pg != NULL && count > 1 &&
	    try_until_answered(consumer, consumer->deliveries, count) == SK_OK) {
		acknowledge(consumer, consumer->deliveries, count);
	} else {
		int i = 0;

		for (; i < count && !atomic_load(&consumer->all->stopping); i++)
			handle_alone(consumer, &consumer->deliveries[i]);
		for (; i < count; i++)
			give_back(consumer, &consumer->deliveries[i]);
	}
	sk_metric_set(consumer->pending, (int64_t)consumer->deliveries[count - 1].pending);
	sk_metric_observe_us(consumer->duration, sk_time_monotonic_us() - began_us);
}

static void *consume(void *closure)
{
	struct consumer *consumer = closure;
	struct sk_consumers *all = consumer->all;
	int failures = 0;

	assert(consumer->magic == CONSUMER_MAGIC);
	while (!atomic_load(&all->stopping)) {
		int count = 0;
		enum sk_status st;

		sk_context_reset(&consumer->context, 0);
		st = sk_pull_fetch(consumer->pull, &consumer->context, SK_BATCH_MAX, FETCH_WAIT_MS,
				   consumer->deliveries, &count);
		if (st != SK_OK) {
			/* At start the broker is still being connected: not worth a line. */
			if (failures == 10)
				sk_log_failure(SK_LOG_WARN, &consumer->context,
					       consumer->row->name);
			wait_unless_stopping(all, 10 + sk_time_backoff_ms(failures++, 20, 1000));
			continue;
		}
		failures = 0;
		if (count > 0)
			handle_batch(consumer, count);
	}
	sk_pull_end(consumer->pull);
	nats_ReleaseThreadMemory();
	return NULL;
}

static void register_metrics(struct consumer *consumer, struct sk_metrics *metrics)
{
	struct sk_arena *arena = consumer->context.arena;
	const char *name = consumer->row->name;

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

static void start(struct sk_consumers *all, int index, const struct sk_consumer *row,
		  struct sk_metrics *metrics)
{
	struct consumer *consumer = &all->list[index];

	consumer->magic = CONSUMER_MAGIC;
	consumer->row = row;
	consumer->all = all;
	sk_context_init(&consumer->context, 0);
	register_metrics(consumer, metrics);
	if (sk_bus_bind(all->bus, row->stream, row->name, &consumer->pull, &consumer->context) !=
		    SK_OK ||
	    pthread_create(&consumer->thread, NULL, consume, consumer) != 0)
		abort();
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
	while (rows != NULL && rows[all->count].name != NULL)
		all->count++;
	all->list = calloc((size_t)all->count + 1, sizeof(*all->list));
	if (all->list == NULL)
		abort();
	for (int i = 0; rows != NULL && i < all->count; i++)
		start(all, i, &rows[i], metrics);
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
	free(all->list);
	free(all);
}
