/* The connection to the broker, and publishing.
 *
 * cnats has a retry of its own for the first connection, but it gives up where the
 * peer accepts and then drops (stack.md, 1.3 row 7), so a thread here connects and keeps
 * trying; after the first success the client's own reconnect takes over. If
 * the client ever closes for good (an authentication error twice in a row) the process asks
 * itself to stop, and its supervisor starts it anew.
 *
 * Publishing many waits for acknowledgements on a subscription of our own instead of
 * js_PublishAsync, whose defaults keep a lost acknowledgement pending for ever. */
#include "sk_bus_internal.h"

#include <assert.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sodium.h>

#include "sk_condition.h"
#include "sk_id.h"
#include "sk_log.h"
#include "sk_message.h"
#include "sk_time.h"

#define CONNECT_TIMEOUT_MS 2000
#define PING_INTERVAL_MS   5000
#define PINGS_LOST_MAX	   2
#define RECONNECT_WAIT_MS  250
#define WRITE_DEADLINE_MS  2000
#define FLUSH_TIMEOUT_MS   2000

static struct sk_bus *bus_of(void *closure)
{
	struct sk_bus *bus = closure;

	assert(bus != NULL && bus->magic == SK__BUS_MAGIC);
	return bus;
}

static void set_connected(struct sk_bus *bus, bool connected)
{
	atomic_store(&bus->connected, connected);
	if (connected)
		atomic_fetch_add(&bus->epoch, 1);
	if (bus->connected_metric != NULL)
		sk_metric_set(bus->connected_metric, connected);
}

static bool is_stopping(struct sk_bus *bus)
{
	bool stopping;

	pthread_mutex_lock(&bus->mutex);
	stopping = bus->stopping;
	pthread_mutex_unlock(&bus->mutex);
	return stopping;
}

static void on_disconnected(natsConnection *connection, void *closure)
{
	struct sk_bus *bus = bus_of(closure);

	(void)connection;
	set_connected(bus, false);
	if (!is_stopping(bus))
		sk_log(SK_LOG_WARN, NULL, "the broker is gone; trying to reconnect");
}

static void on_reconnected(natsConnection *connection, void *closure)
{
	(void)connection;
	set_connected(bus_of(closure), true);
	sk_log(SK_LOG_INFO, NULL, "the broker is back");
}

static void on_closed(natsConnection *connection, void *closure)
{
	struct sk_bus *bus = bus_of(closure);

	(void)connection;
	set_connected(bus, false);
	if (!is_stopping(bus)) {
		sk_log(SK_LOG_ERROR, NULL, "the broker closed the connection for good; stopping");
		kill(getpid(), SIGTERM);
	}
}

static void on_error(natsConnection *connection, natsSubscription *subscription, natsStatus status,
		     void *closure)
{
	const char *text = NULL;

	(void)subscription; /* may be freed already: stack.md, 1.3 row 3 */
	(void)closure;
	if (natsConnection_GetLastError(connection, &text) != NATS_OK || text == NULL)
		text = "";
	sk_log(SK_LOG_ERROR, NULL, "broker: %s %s", natsStatus_GetText(status), text);
}

static natsStatus set_servers(natsOptions *options, const char *urls)
{
	const char *servers[16];
	int count = 0;
	char *copy = strdup(urls), *rest = copy, *one;
	natsStatus status;

	if (copy == NULL)
		return NATS_NO_MEMORY;
	while ((one = strsep(&rest, ",")) != NULL && count < 16)
		servers[count++] = one;
	status = natsOptions_SetServers(options, servers, count);
	free(copy);
	return status;
}

static natsStatus make_options(struct sk_bus *bus, const char *urls)
{
	natsOptions *options = NULL;
	natsStatus status = natsOptions_Create(&options);

	if (status != NATS_OK)
		return status;
	bus->options = options;
	if ((status = set_servers(options, urls)) != NATS_OK ||
	    (status = natsOptions_SetName(options, bus->service)) != NATS_OK ||
	    (status = natsOptions_SetTimeout(options, CONNECT_TIMEOUT_MS)) != NATS_OK ||
	    (status = natsOptions_SetSendAsap(options, true)) != NATS_OK ||
	    (status = natsOptions_SetMaxReconnect(options, -1)) != NATS_OK ||
	    (status = natsOptions_SetReconnectWait(options, RECONNECT_WAIT_MS)) != NATS_OK ||
	    (status = natsOptions_SetReconnectJitter(options, 100, 100)) != NATS_OK ||
	    (status = natsOptions_SetPingInterval(options, PING_INTERVAL_MS)) != NATS_OK ||
	    (status = natsOptions_SetMaxPingsOut(options, PINGS_LOST_MAX)) != NATS_OK ||
	    (status = natsOptions_SetWriteDeadline(options, WRITE_DEADLINE_MS)) != NATS_OK ||
	    (status = natsOptions_SetFailRequestsOnDisconnect(options, true)) != NATS_OK ||
	    (status = natsOptions_SetCustomInboxPrefix(options, bus->inbox)) != NATS_OK ||
	    (status = natsOptions_SetDisconnectedCB(options, on_disconnected, bus)) != NATS_OK ||
	    (status = natsOptions_SetReconnectedCB(options, on_reconnected, bus)) != NATS_OK ||
	    (status = natsOptions_SetClosedCB(options, on_closed, bus)) != NATS_OK)
		return status;
	return natsOptions_SetErrorHandler(options, on_error, bus);
}

static void on_watched(natsConnection *connection, natsSubscription *subscription, natsMsg *message,
		       void *closure)
{
	struct sk__bus_watch *watch = closure;
	struct sk_delivery delivery;

	(void)connection;
	(void)subscription;
	sk__bus_read_delivery(message, &delivery);
	watch->seen(&delivery, watch->arg);
	natsMsg_Destroy(message);
}

/* Subscriptions that live as long as the connection. Caller holds bus->mutex. */
static natsStatus subscribe_watches(struct sk_bus *bus, natsConnection *connection)
{
	natsStatus status = NATS_OK;

	for (int i = 0; i < bus->watches_count && status == NATS_OK; i++) {
		struct sk__bus_watch *watch = &bus->watches[i];

		if (watch->subscription == NULL)
			status = natsConnection_Subscribe(&watch->subscription, connection,
							  watch->subject, on_watched, watch);
	}
	return status;
}

static natsStatus subscribe_acks(struct sk_bus *bus, natsConnection *connection)
{
	char subject[SK_SUBJECT_MAX_BYTES];

	snprintf(subject, sizeof(subject), "%s.acks.*", bus->inbox);
	return natsConnection_SubscribeSync(&bus->acks, connection, subject);
}

/* One attempt at the first connection. */
static bool try_connect(struct sk_bus *bus)
{
	natsConnection *connection = NULL;
	natsStatus status = natsConnection_Connect(&connection, bus->options);

	if (status != NATS_OK) {
		sk_log(SK_LOG_WARN, NULL, "cannot reach the broker (NATS_URL): %s",
		       natsStatus_GetText(status));
		return false;
	}
	pthread_mutex_lock(&bus->mutex);
	status = subscribe_acks(bus, connection);
	if (status == NATS_OK)
		status = subscribe_watches(bus, connection);
	if (status == NATS_OK)
		atomic_store(&bus->connection, connection);
	pthread_mutex_unlock(&bus->mutex);
	if (status != NATS_OK) {
		sk_log(SK_LOG_ERROR, NULL, "cannot subscribe: %s", natsStatus_GetText(status));
		kill(getpid(), SIGTERM);
		return true;
	}
	set_connected(bus, true);
	return true;
}

static void *connect_until_done(void *closure)
{
	struct sk_bus *bus = bus_of(closure);

	for (int attempt = 0; !try_connect(bus); attempt++) {
		int64_t wait_ms = 20 + sk_time_backoff_ms(attempt, 50, 1000);
		int64_t until_us = sk_time_monotonic_us() + wait_ms * 1000;
		bool stopping;

		pthread_mutex_lock(&bus->mutex);
		if (!bus->stopping)
			sk_condition_wait(&bus->changed, &bus->mutex, until_us);
		stopping = bus->stopping;
		pthread_mutex_unlock(&bus->mutex);
		if (stopping)
			break;
	}
	nats_ReleaseThreadMemory();
	return NULL;
}

/* Another replica has the same name and the same rights, so the name alone would bring us its
 * acknowledgements, too, and one of those could pass for one of ours. */
static char *make_inbox_prefix(const char *service)
{
	char *out = NULL;

	if (asprintf(&out, "_INBOX_%s.%08x%08x", service, randombytes_random(),
		     randombytes_random()) < 0)
		abort();
	return out;
}

struct sk_bus *sk_bus_open(const struct sk_bus_options *options, struct sk_metrics *metrics)
{
	struct sk_bus *bus = calloc(1, sizeof(*bus));

	if (bus == NULL)
		abort();
	bus->magic = SK__BUS_MAGIC;
	bus->service = strdup(options->service);
	if (bus->service == NULL)
		abort();
	bus->inbox = make_inbox_prefix(options->service);
	bus->publish_timeout_ms = options->publish_timeout_ms;
	pthread_mutex_init(&bus->mutex, NULL);
	pthread_mutex_init(&bus->publish_mutex, NULL);
	sk_condition_init(&bus->changed);
	if (metrics != NULL) {
		bus->connected_metric = sk_metrics_gauge(metrics, "souk_bus_connected",
							 "1 while the broker is connected", "");
		bus->published = sk_metrics_counter(metrics, "souk_bus_published_total",
						    "events that a stream acknowledged", "");
		bus->publish_errors = sk_metrics_counter(metrics, "souk_bus_publish_errors_total",
							 "publishes that were not acknowledged",
							 "");
	}
	/* -1: condition variables instead of spinning. */
	if (nats_Open(-1) != NATS_OK || make_options(bus, options->url) != NATS_OK) {
		sk_log(SK_LOG_ERROR, NULL, "cannot set up the broker's client; is NATS_URL right?");
		abort();
	}
	if (pthread_create(&bus->connector, NULL, connect_until_done, bus) != 0)
		abort();
	return bus;
}

static void destroy_subscriptions(struct sk_bus *bus)
{
	for (int i = 0; i < bus->watches_count; i++)
		natsSubscription_Destroy(bus->watches[i].subscription);
	natsSubscription_Destroy(bus->acks);
}

void sk_bus_close(struct sk_bus **bus_in)
{
	struct sk_bus *bus = *bus_in;
	natsConnection *connection;

	if (bus == NULL)
		return;
	*bus_in = NULL;
	bus_of(bus);
	pthread_mutex_lock(&bus->mutex);
	bus->stopping = true;
	pthread_cond_broadcast(&bus->changed);
	pthread_mutex_unlock(&bus->mutex);
	pthread_join(bus->connector, NULL);
	connection = atomic_load(&bus->connection);
	if (connection != NULL) {
		/* Acknowledgements may still be in the client's buffer: close may drop them. */
		if (atomic_load(&bus->connected))
			natsConnection_FlushTimeout(connection, FLUSH_TIMEOUT_MS);
		natsConnection_Close(connection);
		destroy_subscriptions(bus);
		natsConnection_Destroy(connection);
	}
	natsOptions_Destroy(bus->options);
	nats_CloseAndWait(FLUSH_TIMEOUT_MS);
	pthread_cond_destroy(&bus->changed);
	pthread_mutex_destroy(&bus->publish_mutex);
	pthread_mutex_destroy(&bus->mutex);
	free(bus->inbox);
	free(bus->service);
	bus->magic = 0;
	free(bus);
}

bool sk_bus_connected(const struct sk_bus *bus)
{
	return atomic_load(&bus->connected);
}

unsigned sk_bus_epoch(const struct sk_bus *bus)
{
	return atomic_load(&bus->epoch);
}

const char *sk_bus_service(const struct sk_bus *bus)
{
	return bus->service;
}

natsConnection *sk__bus_up(struct sk_bus *bus, struct sk_context *context)
{
	if (!atomic_load(&bus->connected)) {
		sk_ignore(sk_fail(context, SK_UNAVAILABLE, "broker_unavailable",
				  "the broker cannot be reached"),
			  "the caller sees NULL");
		return NULL;
	}
	return atomic_load(&bus->connection);
}

enum sk_status sk_bus_ping(struct sk_bus *bus, struct sk_context *context)
{
	natsConnection *connection = sk__bus_up(bus, context);

	if (connection == NULL)
		return SK_UNAVAILABLE;
	if (natsConnection_FlushTimeout(connection, sk_context_remaining_ms(context, 1000) + 1) !=
	    NATS_OK)
		return sk_fail(context, SK_TIMEOUT, "broker_timeout", "the broker does not answer");
	return SK_OK;
}

const char *sk__bus_header(natsMsg *message, const char *name)
{
	const char *value = NULL;

	return natsMsgHeader_Get(message, name, &value) == NATS_OK ? value : NULL;
}

const char *sk__bus_inbox(struct sk_bus *bus, struct sk_arena *arena)
{
	return sk_arena_printf(arena, "%s.%u", bus->inbox, atomic_fetch_add(&bus->next_inbox, 1));
}

enum sk_status sk__bus_request(struct sk_bus *bus, struct sk_context *context, natsMsg *message,
			       int timeout_ms, natsMsg **answer)
{
	natsConnection *connection = sk__bus_up(bus, context);
	natsStatus status;

	*answer = NULL;
	if (connection == NULL)
		return SK_UNAVAILABLE;
	status = natsConnection_RequestMsg(answer, connection, message,
					   sk_context_remaining_ms(context, timeout_ms) + 1);
	if (status == NATS_OK)
		return SK_OK;
	if (status == NATS_TIMEOUT)
		return sk_fail(context, SK_TIMEOUT, "broker_timeout",
			       "the broker did not answer in time");
	return sk_fail(context, SK_UNAVAILABLE, "broker_unavailable", "the broker says: %s",
		       natsStatus_GetText(status));
}

enum sk_status sk__bus_check_ack(struct sk_context *context, natsMsg *answer)
{
	/* {"stream":"orders","seq":17} or {"error":{"code":…,"description":"…"},…}. Looking
	 * for the word is enough: streams are named by us. */
	if (natsMsg_IsNoResponders(answer))
		return sk_fail(context, SK_UNAVAILABLE, "no_stream", "no stream takes the subject");
	if (memmem(natsMsg_GetData(answer), (size_t)natsMsg_GetDataLength(answer), "\"error\"",
		   7) != NULL)
		return sk_fail(context, SK_UNAVAILABLE, "publish_refused",
			       "the stream refuses: %.*s", natsMsg_GetDataLength(answer),
			       natsMsg_GetData(answer));
	return SK_OK;
}

/* {"stream":"orders","seq":17} or the same with ,"duplicate": true */
static struct sk_ack read_ack(natsMsg *answer)
{
	struct sk_ack ack = { .stored = true };
	char text[256];
	const char *at;

	snprintf(text, sizeof(text), "%.*s", natsMsg_GetDataLength(answer),
		 natsMsg_GetData(answer));
	at = strstr(text, "\"seq\":");
	if (at != NULL)
		ack.sequence = strtoull(at + strlen("\"seq\":"), NULL, 10);
	at = strstr(text, "\"duplicate\":");
	ack.duplicate = at != NULL && strstr(at, "true") != NULL;
	return ack;
}

/* The message with the headers of the CloudEvents 1.0 NATS binding. */
static natsStatus make_message(const struct sk_bus *bus, const struct sk_packed_event *event,
			       const char *reply, natsMsg **out)
{
	char source[64], time[SK_RFC3339_BYTES];
	const char *entity = strrchr(event->subject, '.');
	natsStatus status = natsMsg_Create(out, event->subject, reply, event->data,
					   (int)event->len);

	if (status != NATS_OK)
		return status;
	snprintf(source, sizeof(source), "souk/%s", bus->service);
	sk_time_format(event->time_us, time);
	if ((status = natsMsgHeader_Set(*out, "Nats-Msg-Id", event->id)) != NATS_OK ||
	    (status = natsMsgHeader_Set(*out, "ce-specversion", "1.0")) != NATS_OK ||
	    (status = natsMsgHeader_Set(*out, "ce-id", event->id)) != NATS_OK ||
	    (status = natsMsgHeader_Set(*out, "ce-type", event->type)) != NATS_OK ||
	    (status = natsMsgHeader_Set(*out, "ce-source", source)) != NATS_OK ||
	    (status = natsMsgHeader_Set(*out, "ce-time", time)) != NATS_OK ||
	    (status = natsMsgHeader_Set(*out, "ce-subject", entity ? entity + 1 : "")) != NATS_OK ||
	    (status = natsMsgHeader_Set(*out, "traceparent", event->traceparent)) != NATS_OK ||
	    (status = natsMsgHeader_Set(*out, "content-type", "application/protobuf")) != NATS_OK) {
		natsMsg_Destroy(*out);
		*out = NULL;
	}
	return status;
}

static enum sk_status pack_event(struct sk_context *context, const struct sk_event *event,
				 struct sk_packed_event *packed)
{
	char *traceparent = sk_arena_alloc(context->arena, SK_TRACEPARENT_BYTES);

	sk_trace_format(&context->trace, traceparent);
	*packed = (struct sk_packed_event) {
		.id = event->id != NULL ? event->id : sk_id_make(context->arena),
		.subject = event->subject,
		.type = event->body->descriptor->name,
		.traceparent = traceparent,
		.time_us = context->now_us,
	};
	return sk_message_pack(context, event->body, &packed->data, &packed->len);
}

enum sk_status sk_bus_publish(struct sk_bus *bus, struct sk_context *context,
			      const struct sk_event *event)
{
	struct sk_packed_event packed;
	natsMsg *message = NULL, *answer = NULL;
	enum sk_status st = pack_event(context, event, &packed);

	if (st != SK_OK)
		return st;
	if (make_message(bus, &packed, NULL, &message) != NATS_OK)
		return sk_fail(context, SK_NO_MEMORY, "no_memory", "cannot make the message");
	st = sk__bus_request(bus, context, message, bus->publish_timeout_ms, &answer);
	if (st == SK_OK)
		st = sk__bus_check_ack(context, answer);
	natsMsg_Destroy(answer);
	natsMsg_Destroy(message);
	if (bus->published != NULL)
		sk_metric_add(st == SK_OK ? bus->published : bus->publish_errors, 1);
	return st;
}

/* Sends one event of a round; its acknowledgement goes to <inbox>.acks.<round>-<index>. */
static natsStatus send_one(struct sk_bus *bus, natsConnection *connection,
			   const struct sk_packed_event *event, size_t index)
{
	char reply[SK_SUBJECT_MAX_BYTES];
	natsMsg *message = NULL;
	natsStatus status;

	snprintf(reply, sizeof(reply), "%s.acks.%llu-%zu", bus->inbox,
		 (unsigned long long)bus->acks_round, index);
	status = make_message(bus, event, reply, &message);
	if (status == NATS_OK)
		status = natsConnection_PublishMsg(connection, message);
	natsMsg_Destroy(message);
	return status;
}

/* Which event of this round an acknowledgement is for; -1: of an earlier round. */
static long acked_index(const struct sk_bus *bus, natsMsg *answer)
{
	const char *token = strrchr(natsMsg_GetSubject(answer), '.');
	char *end = NULL;
	unsigned long long round;

	if (token == NULL)
		return -1;
	round = strtoull(token + 1, &end, 10);
	if (round != bus->acks_round || *end != '-')
		return -1;
	return strtol(end + 1, NULL, 10);
}

/* Caller holds bus->publish_mutex. */
static enum sk_status await_acks(struct sk_bus *bus, struct sk_context *context, size_t sent,
				 struct sk_ack *acks)
{
	int64_t end_us = sk_time_monotonic_us() + (int64_t)bus->publish_timeout_ms * 1000;
	enum sk_status st = SK_OK;
	size_t answered = 0;

	while (answered < sent) {
		int64_t left_ms = (end_us - sk_time_monotonic_us()) / 1000;
		natsMsg *answer = NULL;
		long index;

		if (left_ms <= 0 ||
		    natsSubscription_NextMsg(&answer, bus->acks, left_ms) != NATS_OK)
			return sk_fail(context, SK_TIMEOUT, "publish_timeout",
				       "%zu of %zu events were not acknowledged", sent - answered,
				       sent);
		index = acked_index(bus, answer);
		if (index >= 0 && (size_t)index < sent) {
			enum sk_status one = sk__bus_check_ack(context, answer);

			if (one == SK_OK)
				acks[index] = read_ack(answer);
			answered++;
			st = st == SK_OK ? one : st;
		}
		natsMsg_Destroy(answer);
	}
	return st;
}

enum sk_status sk_bus_publish_all(struct sk_bus *bus, struct sk_context *context,
				  const struct sk_packed_event *events, size_t count,
				  struct sk_ack *acks)
{
	natsConnection *connection = sk__bus_up(bus, context);
	enum sk_status st;
	size_t sent = 0, good = 0;

	memset(acks, 0, count * sizeof(*acks));
	if (connection == NULL)
		return SK_UNAVAILABLE;
	pthread_mutex_lock(&bus->publish_mutex);
	bus->acks_round++;
	while (sent < count && send_one(bus, connection, &events[sent], sent) == NATS_OK)
		sent++;
	st = await_acks(bus, context, sent, acks);
	pthread_mutex_unlock(&bus->publish_mutex);
	for (size_t i = 0; i < count; i++)
		good += acks[i].stored;
	if (bus->published != NULL) {
		sk_metric_add(bus->published, (int64_t)good);
		sk_metric_add(bus->publish_errors, (int64_t)(count - good));
	}
	if (st == SK_OK && sent < count)
		return sk_fail(context, SK_UNAVAILABLE, "broker_unavailable",
			       "%zu of %zu events could not be sent", count - sent, count);
	return st;
}

enum sk_status sk_bus_watch(struct sk_bus *bus, const char *subject, sk_watch_fn *seen, void *arg)
{
	natsConnection *connection;
	natsStatus status = NATS_OK;

	pthread_mutex_lock(&bus->mutex);
	assert(bus->watches_count < SK__BUS_WATCHES_MAX);
	bus->watches[bus->watches_count++] =
		(struct sk__bus_watch) { .bus = bus, .subject = subject, .seen = seen, .arg = arg };
	connection = atomic_load(&bus->connection);
	if (connection != NULL)
		status = subscribe_watches(bus, connection);
	pthread_mutex_unlock(&bus->mutex);
	return status == NATS_OK ? SK_OK : SK_UNAVAILABLE;
}
