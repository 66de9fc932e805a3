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
 *   we still work, so that an outage counts no delivery and buries nothing.
 * - A message on which the process dies is never answered, and would come for ever. So what arrives
 *   with more deliveries than are allowed is buried before it is handled. Its neighbours died
 *   with it and must not be buried for that: a message that was not answered twice is suspect,
 *   and is handled with nothing else at hand or on its way; what came with it goes back to the
 *   broker, and for a while we take messages one by one. For so long and not for so many: each
 *   time that it goes back is a delivery, too, and under traffic other messages would be the
 *   many, and what came back with other suspects would go back until it has come too often.
 * - A letter that is replayed comes by a consumer of its own, and is handled as if it came to the
 *   row that failed: same inbox name, same id, same place. So it happens once, however often it
 *   is replayed, and one that fails again is buried again in the same place. */
#include <assert.h>
#include <nats/nats.h>
#include <string.h>

#include "sk_condition.h"
#include "sk_consumer_internal.h"
#include "sk_crash.h"
#include "sk_log.h"
#include "sk_metrics.h"
#include "sk_time.h"

#define FETCH_WAIT_MS	 200   /* also how long a stop waits for an idle consumer */
#define BATCH_TIMEOUT_MS 10000 /* well below the consumers' ack_wait of 30 s */
#define HOLD_BASE_MS	 50
#define HOLD_MAX_MS	 5000
#define SUSPECT_FROM	 3    /* deliveries: two were not answered, or answered with "again" */
#define ALONE_MS	 5000 /* what went back has come again, and been handled, before */
#define NO_ROW_RETRY_MS	 60000

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
static const char *message_id(struct sk__consumer *consumer, const struct sk_delivery *delivery)
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
static enum sk_status dispatch(struct sk__consumer *consumer, struct sk_tx *tx,
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
static enum sk_status add_to_inbox(struct sk__consumer *consumer, struct sk_tx *tx,
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

static enum sk_status run_handlers(struct sk__consumer *consumer, struct sk_tx *tx,
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
static enum sk_status try_messages(struct sk__consumer *consumer,
				   const struct sk_delivery *deliveries, int count)
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
	sk_crash_here(SK_CRASH_CONSUMER_BEFORE_COMMIT);
	return sk_tx_commit(&tx);
}

/* Tells the broker that we still work on these, and waits. */
static bool hold(struct sk__consumer *consumer, const struct sk_delivery *deliveries, int count,
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
static enum sk_status try_until_answered(struct sk__consumer *consumer,
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

static void acknowledge(struct sk__consumer *consumer, const struct sk_delivery *deliveries,
			int count)
{
	sk_crash_here(SK_CRASH_CONSUMER_BEFORE_ACK);
	for (int i = 0; i < count; i++)
		sk_ignore(sk_bus_ack(consumer->all->bus, &deliveries[i]),
			  "it comes again, and the inbox knows it");
	sk_metric_add(consumer->handled, count);
	sk_crash_here(SK_CRASH_CONSUMER_ACKNOWLEDGED);
}

static void bury(struct sk__consumer *consumer, const struct sk_delivery *delivery)
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

static void retry_or_bury(struct sk__consumer *consumer, const struct sk_delivery *delivery)
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

/* Lets another replica have it: at once where a stop comes between, and not after the ack_wait. */
static void give_back(struct sk__consumer *consumer, const struct sk_delivery *delivery,
		      int64_t delay_ms)
{
	sk_ignore(sk_bus_retry(consumer->all->bus, delivery, delay_ms),
		  "without it the broker delivers again after its ack_wait");
}

/* Whether it came more often than it may. Nobody knows why it was never answered. */
static bool is_exhausted(struct sk__consumer *consumer, const struct sk_delivery *delivery)
{
	if (delivery->deliveries <= consumer->all->max_deliveries)
		return false;
	sk_context_reset(&consumer->context, BATCH_TIMEOUT_MS);
	consumer->context.trace = sk_trace_continue(delivery->traceparent);
	sk_ignore(sk_fail(&consumer->context, SK_INTERNAL, "never_answered",
			  "it was delivered %d times and not answered the last time: the service "
			  "may have died on it",
			  delivery->deliveries),
		  "the letter tells");
	return true;
}

static void handle_alone(struct sk__consumer *consumer, const struct sk_delivery *delivery)
{
	if (is_exhausted(consumer, delivery)) {
		bury(consumer, delivery);
		return;
	}
	switch (verdict_for(try_until_answered(consumer, delivery, 1))) {
	case ACKNOWLEDGE:
		acknowledge(consumer, delivery, 1);
		break;
	case HOLD: /* stopping */
		give_back(consumer, delivery, 0);
		break;
	case RETRY:
		retry_or_bury(consumer, delivery);
		break;
	case BURY:
		bury(consumer, delivery);
		break;
	}
}

/* Gives back what came with a suspect message, and asks for nothing while that is handled, so that
 * nothing dies with it. Returns how many deliveries remain at hand: the suspect, or all of them. */
static int set_aside(struct sk__consumer *consumer, int count)
{
	struct sk_delivery *deliveries = consumer->deliveries;
	struct sk_delivery suspect;
	int at = 0;

	while (at < count && deliveries[at].deliveries < SUSPECT_FROM)
		at++;
	if (at == count)
		return count;
	consumer->alone_until_us = sk_time_monotonic_us() + ALONE_MS * (SK_SECOND_US / 1000);
	sk_pull_stop_asking(consumer->pull, &consumer->context);
	suspect = deliveries[at];
	for (int i = 0; i < count; i++)
		if (i != at)
			give_back(consumer, &deliveries[i], 0);
	deliveries[0] = suspect;
	return 1;
}

static const struct sk_consumer *find_row(const struct sk_consumers *all,
					  const struct sk_delivery *delivery)
{
	for (int i = 0; i < all->rows; i++) {
		const struct sk_consumer *row = all->list[i].row;

		if (strcmp(row->stream, delivery->stream) == 0 &&
		    strcmp(row->name, delivery->consumer) == 0)
			return row;
	}
	return NULL;
}

/* A dead letter comes back. One that we have no row for stays in the stream "replay": the version
 * that has it may be about to start. */
static void handle_letter(struct sk__consumer *consumer, struct sk_delivery *delivery)
{
	const struct sk_consumer *row = NULL;

	sk_context_reset(&consumer->context, BATCH_TIMEOUT_MS);
	if (sk_bus_unbury(&consumer->context, delivery) == SK_OK)
		row = find_row(consumer->all, delivery);
	if (row == NULL) {
		sk_log(SK_LOG_ERROR, &consumer->context,
		       "%s: nobody here can handle the letter for %s of %s", consumer->name,
		       delivery->consumer, delivery->stream);
		give_back(consumer, delivery, NO_ROW_RETRY_MS);
		return;
	}
	consumer->row = row;
	handle_alone(consumer, delivery);
}

static void handle_batch(struct sk__consumer *consumer, int count)
{
	int64_t began_us = sk_time_monotonic_us();
	uint64_t pending = consumer->deliveries[count - 1].pending;

	sk_crash_here(SK_CRASH_CONSUMER_FETCHED);
	count = set_aside(consumer, count);
	if (consumer->replays) {
		handle_letter(consumer, &consumer->deliveries[0]);
	} else if (consumer->all->pg != NULL && count > 1 &&
		   try_until_answered(consumer, consumer->deliveries, count) == SK_OK) {
		acknowledge(consumer, consumer->deliveries, count);
	} else {
		int i = 0;

		for (; i < count && !atomic_load(&consumer->all->stopping); i++)
			handle_alone(consumer, &consumer->deliveries[i]);
		for (; i < count; i++)
			give_back(consumer, &consumer->deliveries[i], 0);
	}
	sk_metric_set(consumer->pending, (int64_t)pending);
	sk_metric_observe_us(consumer->duration, sk_time_monotonic_us() - began_us);
}

void *sk__consume(void *closure)
{
	struct sk__consumer *consumer = closure;
	struct sk_consumers *all = consumer->all;
	int failures = 0;

	assert(consumer->magic == SK__CONSUMER_MAGIC);
	while (!atomic_load(&all->stopping)) {
		bool alone = consumer->replays || sk_time_monotonic_us() < consumer->alone_until_us;
		int count = 0;
		enum sk_status st;

		sk_context_reset(&consumer->context, 0);
		st = sk_pull_fetch(consumer->pull, &consumer->context, alone ? 1 : SK_BATCH_MAX,
				   FETCH_WAIT_MS, consumer->deliveries, &count);
		if (st != SK_OK) {
			/* At start the broker is still being connected: not worth a line. */
			if (failures == 10)
				sk_log_failure(SK_LOG_WARN, &consumer->context, consumer->name);
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
