/* What a stream is, and a compacted stream read whole. */
#include "sk_bus_internal.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sk_json.h"

#define STATE_TIMEOUT_MS 1000
#define EXACT_MAX	 9007199254740991.0

/* ---- what it is ---- */

static uint64_t number(const cJSON *object, const char *name)
{
	const cJSON *value = cJSON_GetObjectItemCaseSensitive(object, name);

	/* Beyond an exact integer it is none, and its conversion would be undefined. */
	if (!cJSON_IsNumber(value) || !(value->valuedouble > 0 && value->valuedouble <= EXACT_MAX))
		return 0;
	return (uint64_t)value->valuedouble;
}

static enum sk_status read_state(struct sk_context *context, natsMsg *answer,
				 struct sk_stream_state *state)
{
	const cJSON *json = NULL, *part;
	enum sk_status st;

	if (natsMsg_IsNoResponders(answer))
		return sk_fail(context, SK_UNAVAILABLE, "no_jetstream", "JetStream is not there");
	st = sk_json_parse(context, natsMsg_GetData(answer), (size_t)natsMsg_GetDataLength(answer),
			   &json);
	if (st != SK_OK)
		return st;
	part = cJSON_GetObjectItemCaseSensitive(json, "error");
	if (part != NULL)
		return number(part, "code") == 404
			       ? sk_fail(context, SK_NOT_FOUND, "no_stream", "no such stream")
			       : sk_fail(context, SK_UNAVAILABLE, "broker_refused",
					 "the broker does not tell of the stream");
	part = cJSON_GetObjectItemCaseSensitive(json, "created");
	if (!cJSON_IsString(part))
		return sk_fail(context, SK_INTERNAL, "broker_answer", "a stream without a birth");
	state->created = part->valuestring;
	part = cJSON_GetObjectItemCaseSensitive(json, "state");
	state->last_sequence = number(part, "last_seq");
	state->messages = number(part, "messages");
	return SK_OK;
}

enum sk_status sk_bus_stream_state(struct sk_bus *bus, struct sk_context *context,
				   const char *stream, struct sk_stream_state *state)
{
	const char *subject = sk_arena_printf(context->arena, "$JS.API.STREAM.INFO.%s", stream);
	natsMsg *message = NULL, *answer = NULL;
	enum sk_status st;

	if (natsMsg_Create(&message, subject, NULL, "", 0) != NATS_OK)
		return sk_fail(context, SK_NO_MEMORY, "no_memory", "cannot make the message");
	st = sk__bus_request(bus, context, message, STATE_TIMEOUT_MS, &answer);
	if (st == SK_OK)
		st = read_state(context, answer, state);
	natsMsg_Destroy(answer);
	natsMsg_Destroy(message);
	return st;
}

/* ---- read whole ---- */

/* The first message of the stream at or after sequence, as a direct get. NULL with
 * SK_OK: the end. The caller destroys it. */
static enum sk_status direct_get(struct sk_bus *bus, struct sk_context *context, const char *stream,
				 uint64_t sequence, natsMsg **out)
{
	char subject[SK_SUBJECT_MAX_BYTES], body[SK_SUBJECT_MAX_BYTES];
	const char *code;
	natsMsg *message = NULL;
	enum sk_status st;

	*out = NULL;
	snprintf(subject, sizeof(subject), "$JS.API.DIRECT.GET.%s", stream);
	snprintf(body, sizeof(body), "{\"seq\":%llu,\"next_by_subj\":\"%s.>\"}",
		 (unsigned long long)sequence, stream);
	if (natsMsg_Create(&message, subject, NULL, body, (int)strlen(body)) != NATS_OK)
		return sk_fail(context, SK_NO_MEMORY, "no_memory", "cannot make the request");
	st = sk__bus_request(bus, context, message, bus->publish_timeout_ms, out);
	natsMsg_Destroy(message);
	if (st != SK_OK)
		return st;
	code = sk__bus_header(*out, "Status");
	if (code == NULL)
		return SK_OK;
	if (strcmp(code, "404") != 0)
		st = sk_fail(context, SK_UNAVAILABLE, "no_stream",
			     "stream %s cannot be read: status %s", stream, code);
	natsMsg_Destroy(*out);
	*out = NULL;
	return st;
}

static void read_stored(natsMsg *message, const char *stream, struct sk_delivery *delivery)
{
	const char *subject = sk__bus_header(message, "Nats-Subject");
	const char *sequence = sk__bus_header(message, "Nats-Sequence");

	sk__bus_read_delivery(message, delivery);
	delivery->stream = stream;
	delivery->consumer = "";
	if (subject != NULL)
		delivery->subject = subject;
	if (sequence != NULL)
		delivery->sequence = strtoull(sequence, NULL, 10);
}

enum sk_status sk_bus_replay(struct sk_bus *bus, struct sk_context *context, const char *stream,
			     uint64_t *next, sk_replay_fn *each, void *arg)
{
	enum sk_status st = SK_OK;

	if (*next == 0)
		*next = 1;
	while (st == SK_OK) {
		struct sk_delivery delivery;
		natsMsg *message = NULL;

		st = direct_get(bus, context, stream, *next, &message);
		if (st != SK_OK || message == NULL)
			break;
		read_stored(message, stream, &delivery);
		st = each(&delivery, arg);
		if (st == SK_OK)
			*next = delivery.sequence + 1;
		natsMsg_Destroy(message);
	}
	return st;
}
