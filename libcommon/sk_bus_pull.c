/* Pulling from a durable consumer, and answering deliveries.
 *
 * A request asks for a batch and stays with the broker until it is filled or
 * expires; messages come to an inbox of this pull, whoever asked for them. So a
 * message that arrives late, after its request has expired, is still handled, and
 * nothing is ever lost between two requests. Only status messages (no data; "404",
 * "408", "409") carry the number of their request, and those of an old one are
 * ignored (stack.md, 1.3 row 2).
 *
 * A consumer that was deleted looks like one that is idle (row 10). So each request asks for a sign
 * of life a second; after SILENCE_MS without one, or with a status that says more than "nothing
 * came", we ask whether the consumer is there before we ask it for messages again. So a
 * consumer that was made anew, with its stream or without, is pulled from within seconds. */
#include "sk_bus_internal.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sk_log.h"
#include "sk_time.h"

#define REQUEST_EXPIRES_MS 10000
#define HEARTBEAT_MS	   1000
#define SILENCE_MS	   3000 /* after which a request is given up */
#define INFO_TIMEOUT_MS	   2000
#define END_TIMEOUT_MS	   1000
#define PULL_MAGIC	   0x70756c6cu

struct sk_pull {
	unsigned magic;
	struct sk_bus *bus;
	char *stream, *consumer;
	char *inbox; /* replies go to <inbox>.<request number> */
	natsSubscription *subscription;
	unsigned epoch;	       /* of the connection that the request was made on */
	unsigned long request; /* number of the request under way */
	int outstanding;       /* messages it may still bring; 0: none under way */
	int64_t heard_us;      /* the last sign of life, or when it was asked for */
	bool doubtful;	       /* whether the consumer is there has to be asked first */
	natsMsg *held[SK_BATCH_MAX];
	int held_count;
};

/* ---- what a delivery says of itself ---- */

/* $JS.ACK.<stream>.<consumer>.<deliveries>.<sequence>.<consumer sequence>.<time ns>.<pending>,
 * or with <domain>.<account hash> before the stream and a token after the last. */
static void read_reply(const char *reply, struct sk_delivery *delivery)
{
	const char *tokens[12];
	int count = 0, first;

	for (const char *at = reply; at != NULL && count < 12; count++) {
		tokens[count] = at;
		at = strchr(at, '.');
		if (at != NULL)
			at++;
	}
	/* Ten are neither form: the longer one has eleven and may have the token. */
	if (count < 9 || count == 10 || strncmp(reply, "$JS.ACK.", 8) != 0)
		return;
	first = count == 9 ? 2 : 4;
	delivery->deliveries = (int)strtol(tokens[first + 2], NULL, 10);
	delivery->sequence = strtoull(tokens[first + 3], NULL, 10);
	delivery->pending = strtoull(tokens[first + 6], NULL, 10);
	if (delivery->time_us == 0)
		delivery->time_us = strtoll(tokens[first + 5], NULL, 10) / 1000;
}

void sk__bus_read_delivery(natsMsg *message, struct sk_delivery *delivery)
{
	const char *time = sk__bus_header(message, "ce-time");

	*delivery = (struct sk_delivery) {
		.subject = natsMsg_GetSubject(message),
		.id = sk__bus_header(message, "ce-id"),
		.type = sk__bus_header(message, "ce-type"),
		.traceparent = sk__bus_header(message, "traceparent"),
		.source = sk__bus_header(message, "ce-source"),
		.data = natsMsg_GetData(message),
		.len = (size_t)natsMsg_GetDataLength(message),
		.reply = natsMsg_GetReply(message),
		.deliveries = 1,
		.raw = message,
	};
	if (delivery->id == NULL)
		delivery->id = "";
	if (delivery->type == NULL)
		delivery->type = "";
	if (delivery->source == NULL)
		delivery->source = "";
	if (time != NULL)
		sk_time_parse(time, &delivery->time_us);
	if (delivery->reply != NULL)
		read_reply(delivery->reply, delivery);
}

/* ---- pull ---- */

enum sk_status sk_bus_bind(struct sk_bus *bus, const char *stream, const char *consumer,
			   struct sk_pull **out, struct sk_context *context)
{
	struct sk_pull *pull = calloc(1, sizeof(*pull));

	if (pull == NULL)
		abort();
	pull->magic = PULL_MAGIC;
	pull->bus = bus;
	pull->stream = strdup(stream);
	pull->consumer = strdup(consumer);
	pull->inbox = strdup(sk__bus_inbox(bus, context->arena));
	if (pull->stream == NULL || pull->consumer == NULL || pull->inbox == NULL)
		abort();
	*out = pull;
	return SK_OK;
}

static void release_held(struct sk_pull *pull)
{
	for (int i = 0; i < pull->held_count; i++)
		natsMsg_Destroy(pull->held[i]);
	pull->held_count = 0;
}

void sk_pull_close(struct sk_pull **pull_in)
{
	struct sk_pull *pull = *pull_in;

	if (pull == NULL)
		return;
	*pull_in = NULL;
	assert(pull->magic == PULL_MAGIC);
	release_held(pull);
	natsSubscription_Destroy(pull->subscription);
	free(pull->inbox);
	free(pull->consumer);
	free(pull->stream);
	pull->magic = 0;
	free(pull);
}

static enum sk_status ensure_subscribed(struct sk_pull *pull, struct sk_context *context,
					natsConnection *connection)
{
	char subject[SK_SUBJECT_MAX_BYTES];

	if (pull->subscription != NULL)
		return SK_OK;
	snprintf(subject, sizeof(subject), "%s.*", pull->inbox);
	if (natsConnection_SubscribeSync(&pull->subscription, connection, subject) != NATS_OK)
		return sk_fail(context, SK_UNAVAILABLE, "broker_unavailable", "cannot subscribe");
	return SK_OK;
}

/* Asks whether the consumer is there at all, since an absent one just stays silent. */
static enum sk_status look_for_consumer(struct sk_pull *pull, struct sk_context *context)
{
	const char *subject = sk_arena_printf(context->arena, "$JS.API.CONSUMER.INFO.%s.%s",
					      pull->stream, pull->consumer);
	natsMsg *message = NULL, *answer = NULL;
	enum sk_status st;

	if (natsMsg_Create(&message, subject, NULL, "", 0) != NATS_OK)
		return sk_fail(context, SK_NO_MEMORY, "no_memory", "cannot make the message");
	st = sk__bus_request(pull->bus, context, message, INFO_TIMEOUT_MS, &answer);
	if (st == SK_OK && memmem(natsMsg_GetData(answer), (size_t)natsMsg_GetDataLength(answer),
				  "\"error\"", 7) != NULL)
		st = sk_fail(context, SK_UNAVAILABLE, "no_consumer",
			     "there is no consumer %s on stream %s: run soukctl provision",
			     pull->consumer, pull->stream);
	natsMsg_Destroy(answer);
	natsMsg_Destroy(message);
	return st;
}

static enum sk_status send_request(struct sk_pull *pull, struct sk_context *context,
				   natsConnection *connection, int max)
{
	char subject[SK_SUBJECT_MAX_BYTES], reply[SK_SUBJECT_MAX_BYTES], body[128];

	pull->request++;
	snprintf(subject, sizeof(subject), "$JS.API.CONSUMER.MSG.NEXT.%s.%s", pull->stream,
		 pull->consumer);
	snprintf(reply, sizeof(reply), "%s.%lu", pull->inbox, pull->request);
	snprintf(body, sizeof(body), "{\"batch\":%d,\"expires\":%lld,\"idle_heartbeat\":%lld}", max,
		 (long long)REQUEST_EXPIRES_MS * 1000000, (long long)HEARTBEAT_MS * 1000000);
	if (natsConnection_PublishRequestString(connection, subject, reply, body) != NATS_OK)
		return sk_fail(context, SK_UNAVAILABLE, "broker_unavailable",
			       "cannot ask for messages");
	pull->outstanding = max;
	pull->heard_us = sk_time_monotonic_us();
	return SK_OK;
}

/* While we worked, signs of life may have come that nobody has looked at yet. */
static bool is_silent(const struct sk_pull *pull)
{
	uint64_t queued = 0;

	if (sk_time_monotonic_us() - pull->heard_us < (int64_t)SILENCE_MS * 1000)
		return false;
	return natsSubscription_QueuedMsgs(pull->subscription, &queued) != NATS_OK || queued == 0;
}

/* Makes sure that a request is under way. */
static enum sk_status ensure_request(struct sk_pull *pull, struct sk_context *context,
				     natsConnection *connection, int max)
{
	unsigned epoch = atomic_load(&pull->bus->epoch);
	enum sk_status st;

	/* What was asked on another connection died with it. */
	if (pull->epoch != epoch || (pull->outstanding > 0 && is_silent(pull))) {
		pull->outstanding = 0;
		pull->doubtful = true;
		pull->epoch = epoch;
	}
	if (pull->doubtful) {
		st = look_for_consumer(pull, context);
		if (st != SK_OK)
			return st;
		pull->doubtful = false;
	}
	return pull->outstanding > 0 ? SK_OK : send_request(pull, context, connection, max);
}

/* A status message ends its request, if that is still the one under way. A sign of life ("100") does
 * not; and one that says neither "nothing there" (404) nor "too late" (408) makes us doubt. */
static bool is_status(struct sk_pull *pull, natsMsg *message)
{
	const char *code = sk__bus_header(message, "Status"), *number;

	if (natsMsg_GetDataLength(message) > 0 || code == NULL)
		return false;
	if (strcmp(code, "100") == 0)
		return true;
	number = strrchr(natsMsg_GetSubject(message), '.');
	if (number == NULL || strtoul(number + 1, NULL, 10) != pull->request)
		return true;
	pull->outstanding = 0;
	pull->doubtful = strcmp(code, "404") != 0 && strcmp(code, "408") != 0;
	return true;
}

/* The next message of the inbox that is data; NULL when none came in time. */
static natsMsg *next_message(struct sk_pull *pull, int64_t wait_ms)
{
	int64_t end_us = sk_time_monotonic_us() + wait_ms * 1000;

	for (;;) {
		natsMsg *message = NULL;
		int64_t left_ms = (end_us - sk_time_monotonic_us()) / 1000;

		if (natsSubscription_NextMsg(&message, pull->subscription,
					     left_ms > 0 ? left_ms : 0) != NATS_OK)
			return NULL;
		pull->heard_us = sk_time_monotonic_us();
		if (!is_status(pull, message))
			return message;
		natsMsg_Destroy(message);
		if (pull->outstanding == 0)
			return NULL; /* the request is over: let the caller ask again */
	}
}

enum sk_status sk_pull_fetch(struct sk_pull *pull, struct sk_context *context, int max, int wait_ms,
			     struct sk_delivery *deliveries, int *count)
{
	natsConnection *connection = sk__bus_up(pull->bus, context);
	enum sk_status st;

	assert(pull->magic == PULL_MAGIC && max <= SK_BATCH_MAX);
	*count = 0;
	release_held(pull);
	if (connection == NULL)
		return SK_UNAVAILABLE;
	st = ensure_subscribed(pull, context, connection);
	if (st == SK_OK)
		st = ensure_request(pull, context, connection, max);
	if (st != SK_OK)
		return st;
	while (*count < max) {
		natsMsg *message = next_message(pull, *count == 0 ? wait_ms : 0);

		if (message == NULL)
			break;
		if (pull->outstanding > 0)
			pull->outstanding--;
		pull->held[pull->held_count++] = message;
		sk__bus_read_delivery(message, &deliveries[*count]);
		deliveries[*count].stream = pull->stream;
		deliveries[*count].consumer = pull->consumer;
		(*count)++;
	}
	return SK_OK;
}

/* ---- answers to a delivery ---- */

enum sk_status sk__bus_answer(struct sk_bus *bus, const struct sk_delivery *delivery,
			      const char *word)
{
	natsConnection *connection = atomic_load(&bus->connection);

	/* Not natsMsg_Ack: it dereferences NULL for messages of a plain subscription. */
	if (!atomic_load(&bus->connected) || delivery->reply == NULL ||
	    natsConnection_PublishString(connection, delivery->reply, word) != NATS_OK)
		return SK_UNAVAILABLE;
	return SK_OK;
}

enum sk_status sk_bus_ack(struct sk_bus *bus, const struct sk_delivery *delivery)
{
	return sk__bus_answer(bus, delivery, "+ACK");
}

enum sk_status sk_bus_still_working(struct sk_bus *bus, const struct sk_delivery *delivery)
{
	return sk__bus_answer(bus, delivery, "+WPI");
}

enum sk_status sk_bus_retry(struct sk_bus *bus, const struct sk_delivery *delivery,
			    int64_t delay_ms)
{
	char word[64] = "-NAK";

	if (delay_ms > 0) /* of 0 it would still wait for the broker's timer */
		snprintf(word, sizeof(word), "-NAK {\"delay\": %lld}",
			 (long long)delay_ms * 1000000);
	return sk__bus_answer(bus, delivery, word);
}

void sk_pull_end(struct sk_pull *pull)
{
	natsConnection *connection = atomic_load(&pull->bus->connection);
	natsMsg *message = NULL;

	assert(pull->magic == PULL_MAGIC);
	if (pull->subscription == NULL || !atomic_load(&pull->bus->connected) ||
	    natsSubscription_DrainTimeout(pull->subscription, END_TIMEOUT_MS) != NATS_OK ||
	    natsConnection_FlushTimeout(connection, END_TIMEOUT_MS) != NATS_OK)
		return;
	/* The broker sends nothing more, and what it had sent is here. */
	while (natsSubscription_NextMsg(&message, pull->subscription, 0) == NATS_OK) {
		struct sk_delivery delivery;

		sk__bus_read_delivery(message, &delivery);
		if (!is_status(pull, message))
			sk_ignore(sk_bus_retry(pull->bus, &delivery, 0),
				  "without it the broker delivers again after its ack_wait");
		natsMsg_Destroy(message);
	}
}

/* A request cannot be taken back but by leaving the inbox that its answers go to. The drain has ended the
 * subscription on both sides, so that nothing arrives at it while it is destroyed. */
void sk_pull_stop_asking(struct sk_pull *pull, struct sk_context *context)
{
	uint64_t queued = 0;

	if (pull->outstanding == 0 &&
	    natsSubscription_QueuedMsgs(pull->subscription, &queued) == NATS_OK && queued == 0)
		return;
	sk_pull_end(pull);
	natsSubscription_Destroy(pull->subscription);
	pull->subscription = NULL;
	free(pull->inbox);
	pull->inbox = strdup(sk__bus_inbox(pull->bus, context->arena));
	if (pull->inbox == NULL)
		abort();
	pull->outstanding = 0;
}
