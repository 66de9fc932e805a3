/* Streams and durable consumers, by the JetStream API's own JSON: cnats's structs would set
 * back what newer servers know and it does not (stack.md, 1.2). */
#include <cjson/cJSON.h>
#include <nats/nats.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker.h"
#include "sk_log.h"
#include "soukctl.h"

#define NANOSECONDS	   1000000000LL
#define MAX_AGE_HOURS	   (7 * 24)
#define LETTER_HOURS	   (30 * 24)
#define DUPLICATE_WINDOW_S 120
#define MESSAGE_MAX_BYTES  (256LL * 1024)
#define ACK_WAIT_S	   30
#define MAX_ACK_PENDING	   1024
#define MAX_WAITING	   512 /* requests under way: two for each of many replicas */

/* ---- streams ---- */

struct stream {
	const char *name;
	bool compacted; /* the last message per subject, for ever */
	bool direct;	/* somebody reads it whole */
	bool erasable;	/* messages may be taken out: dead letters that were dealt with */
	int max_age_hours;
};

static int replicas(void)
{
	const char *text = getenv("SOUK_STREAM_REPLICAS");
	long count = text != NULL ? strtol(text, NULL, 10) : 1;

	return count >= 1 && count <= 5 ? (int)count : 1;
}

static cJSON *stream_config(const struct stream *stream)
{
	cJSON *config = cJSON_CreateObject(),
	      *subjects = cJSON_AddArrayToObject(config, "subjects");
	char subject[128];
	int hours = stream->max_age_hours > 0 ? stream->max_age_hours : MAX_AGE_HOURS;

	snprintf(subject, sizeof(subject), "%s.>", stream->name);
	cJSON_AddItemToArray(subjects, cJSON_CreateString(subject));
	cJSON_AddStringToObject(config, "name", stream->name);
	cJSON_AddStringToObject(config, "retention", "limits");
	cJSON_AddStringToObject(config, "storage", "file");
	/* A full stream refuses, loudly, and the outbox keeps the event. */
	cJSON_AddStringToObject(config, "discard", stream->compacted ? "old" : "new");
	broker_add_integer(config, "max_age", stream->compacted ? 0 : NANOSECONDS * 3600 * hours);
	broker_add_integer(config, "max_msgs_per_subject", stream->compacted ? 1 : -1);
	broker_add_integer(config, "max_msgs", -1);
	broker_add_integer(config, "max_bytes", -1);
	broker_add_integer(config, "max_consumers", -1);
	broker_add_integer(config, "max_msg_size", MESSAGE_MAX_BYTES);
	broker_add_integer(config, "duplicate_window", NANOSECONDS * DUPLICATE_WINDOW_S);
	broker_add_integer(config, "num_replicas", replicas());
	cJSON_AddBoolToObject(config, "allow_direct", stream->direct || stream->compacted);
	cJSON_AddBoolToObject(config, "deny_delete", !stream->erasable);
	return config;
}

static enum sk_status ensure_stream(struct sk_context *context, natsConnection *nats,
				    const struct stream *stream, int *changes)
{
	const cJSON *answer = NULL;
	cJSON *config;
	enum sk_status st = broker_call(
		context, nats, sk_arena_printf(context->arena, "STREAM.INFO.%s", stream->name),
		NULL, &answer);

	if (st != SK_OK || broker_error(answer) == NULL)
		return st;
	config = stream_config(stream);
	st = broker_call_well(context, nats,
			      sk_arena_printf(context->arena, "STREAM.CREATE.%s", stream->name),
			      config);
	cJSON_Delete(config);
	if (st == SK_OK) {
		(*changes)++;
		sk_log(SK_LOG_INFO, NULL, "made stream %s", stream->name);
	}
	return st;
}

/* Whether some service reads the stream whole. */
static bool is_replayed(const struct cJSON *topology, const char *stream)
{
	const struct cJSON *service, *replay;

	cJSON_ArrayForEach(service, topology_list(topology, "services"))
	{
		cJSON_ArrayForEach(replay, topology_list(service, "replays"))
		{
			if (strcmp(topology_text(replay, ""), stream) == 0)
				return true;
		}
	}
	return false;
}

static enum sk_status ensure_streams(struct sk_context *context, natsConnection *nats,
				     const struct cJSON *topology, int *changes)
{
	const struct cJSON *service, *row;
	struct stream dead = { .name = DEAD_STREAM,
			       .max_age_hours = LETTER_HOURS,
			       .erasable = true };
	struct stream replay = { .name = REPLAY_STREAM, .max_age_hours = LETTER_HOURS };
	enum sk_status st = ensure_stream(context, nats, &dead, changes);

	if (st == SK_OK)
		st = ensure_stream(context, nats, &replay, changes);

	cJSON_ArrayForEach(service, topology_list(topology, "services"))
	{
		cJSON_ArrayForEach(row, topology_list(service, "streams"))
		{
			struct stream stream = {
				.name = topology_text(row, "name"),
				.compacted = topology_flag(row, "compacted"),
				.direct = is_replayed(topology, topology_text(row, "name")),
				.max_age_hours = topology_int(row, "max_age_hours")
			};

			if (st == SK_OK)
				st = ensure_stream(context, nats, &stream, changes);
		}
	}
	return st;
}

/* ---- consumers ---- */

static cJSON *consumer_request(const char *stream, const char *name, const char *filter)
{
	cJSON *request = cJSON_CreateObject(), *config;

	cJSON_AddStringToObject(request, "stream_name", stream);
	config = cJSON_AddObjectToObject(request, "config");
	cJSON_AddStringToObject(config, "durable_name", name);
	cJSON_AddStringToObject(config, "name", name);
	cJSON_AddStringToObject(config, "filter_subject", filter);
	cJSON_AddStringToObject(config, "deliver_policy", "all");
	cJSON_AddStringToObject(config, "ack_policy", "explicit");
	cJSON_AddStringToObject(config, "replay_policy", "instant");
	broker_add_integer(config, "ack_wait", NANOSECONDS * ACK_WAIT_S);
	/* libcommon counts deliveries and buries; the broker must never drop one by itself. */
	broker_add_integer(config, "max_deliver", -1);
	broker_add_integer(config, "max_ack_pending", MAX_ACK_PENDING);
	broker_add_integer(config, "max_waiting", MAX_WAITING);
	return request;
}

static const char *filter_of(const cJSON *info)
{
	const char *filter = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(
		cJSON_GetObjectItemCaseSensitive(info, "config"), "filter_subject"));

	return filter != NULL ? filter : "";
}

struct durable {
	const char *stream, *name, *filter;
};

static enum sk_status ensure_consumer(struct sk_context *context, natsConnection *nats,
				      const struct durable *durable, int *changes)
{
	const char *stream = durable->stream, *name = durable->name, *filter = durable->filter;
	const char *place = sk_arena_printf(context->arena, "%s.%s", stream, name);
	const cJSON *info = NULL;
	cJSON *request;
	enum sk_status st = broker_call(context, nats,
					sk_arena_printf(context->arena, "CONSUMER.INFO.%s", place),
					NULL, &info);

	if (st != SK_OK || (broker_error(info) == NULL && strcmp(filter_of(info), filter) == 0))
		return st;
	if (broker_error(info) == NULL) {
		/* Another filter is another question: it starts from the beginning, and the
		 * inbox knows what was answered already. */
		sk_log(SK_LOG_WARN, NULL, "consumer %s had the filter %s; making it anew", place,
		       filter_of(info));
		st = broker_call_well(context, nats,
				      sk_arena_printf(context->arena, "CONSUMER.DELETE.%s", place),
				      NULL);
		if (st != SK_OK)
			return st;
	}
	request = consumer_request(stream, name, filter);
	st = broker_call_well(context, nats,
			      sk_arena_printf(context->arena, "CONSUMER.DURABLE.CREATE.%s", place),
			      request);
	cJSON_Delete(request);
	if (st == SK_OK) {
		(*changes)++;
		sk_log(SK_LOG_INFO, NULL, "made consumer %s", place);
	}
	return st;
}

static enum sk_status ensure_consumers(struct sk_context *context, natsConnection *nats,
				       const struct cJSON *topology, int *changes)
{
	const struct cJSON *service, *row;
	struct durable durable;
	enum sk_status st = SK_OK;

	cJSON_ArrayForEach(service, topology_list(topology, "services"))
	{
		cJSON_ArrayForEach(row, topology_list(service, "consumers"))
		{
			durable = (struct durable) { topology_text(row, "stream"),
						     topology_text(row, "name"),
						     topology_text(row, "filter") };
			if (st == SK_OK)
				st = ensure_consumer(context, nats, &durable, changes);
		}
		/* Dead letters come back to the service by one consumer of its own. */
		durable = (struct durable) { REPLAY_STREAM,
					     topology_replay_consumer(context->arena, service),
					     sk_arena_printf(context->arena, REPLAY_STREAM ".%s.>",
							     topology_text(service, "name")) };
		if (st == SK_OK && topology_has_consumers(service))
			st = ensure_consumer(context, nats, &durable, changes);
	}
	return st;
}

enum sk_status provision_broker(struct provisioning *pass)
{
	struct sk_context *context = pass->context;
	natsConnection *nats = NULL;
	enum sk_status st = broker_connect(context, pass->secrets, &nats);

	if (st == SK_OK)
		st = ensure_streams(context, nats, pass->topology, &pass->changes);
	if (st == SK_OK)
		st = ensure_consumers(context, nats, pass->topology, &pass->changes);
	natsConnection_Destroy(nats);
	return st;
}
