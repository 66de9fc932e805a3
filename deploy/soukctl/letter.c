#include "letter.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "broker.h"
#include "sk_id.h"
#include "sk_message.h"
#include "sk_time.h"
#include "souk/audit/v1/events.pb-c.h"
#include "soukctl.h"

/* ---- reading ---- */

const char *letter_header(const struct letter *letter, const char *name)
{
	for (int i = 0; i < letter->headers_count; i++)
		if (strcmp(letter->headers[i].name, name) == 0)
			return letter->headers[i].value;
	return "";
}

/* Base64 as the API gives it; the bytes end in a NUL that is not counted. */
static char *decode(struct sk_arena *arena, const char *text, size_t *len)
{
	size_t size = strlen(text);
	char *bytes = sk_arena_alloc(arena, size + 1);

	if (sodium_base642bin((unsigned char *)bytes, size, text, size, NULL, len, NULL,
			      sodium_base64_VARIANT_ORIGINAL) != 0)
		*len = 0;
	bytes[*len] = '\0';
	return bytes;
}

/* "NATS/1.0" and lines of "name: value". */
static void read_headers(char *text, struct letter *letter)
{
	char *line;

	strsep(&text, "\n");
	while ((line = strsep(&text, "\n")) != NULL && letter->headers_count < LETTER_HEADERS_MAX) {
		char *colon = strchr(line, ':');

		if (colon == NULL)
			continue;
		*colon++ = '\0';
		colon += strspn(colon, " ");
		colon[strcspn(colon, "\r")] = '\0';
		letter->headers[letter->headers_count].name = line;
		letter->headers[letter->headers_count++].value = colon;
	}
}

static void read_letter(struct sk_arena *arena, const cJSON *message, struct letter *letter)
{
	size_t len = 0;

	*letter = (struct letter) {
		.sequence = broker_number(message, "seq"),
		.time = topology_text(message, "time"),
	};
	read_headers(decode(arena, topology_text(message, "hdrs"), &len), letter);
	letter->data = decode(arena, topology_text(message, "data"), &letter->len);
}

static enum sk_status get(struct sk_context *context, natsConnection *nats, cJSON *request,
			  struct letter *letter)
{
	const cJSON *answer = NULL;
	enum sk_status st = broker_call(context, nats, "STREAM.MSG.GET." DEAD_STREAM, request,
					&answer);

	cJSON_Delete(request);
	if (st != SK_OK)
		return st;
	if (broker_error_code(answer) == 404)
		return sk_fail(context, SK_NOT_FOUND, "no_letter", "there is no such letter");
	if (broker_error(answer) != NULL)
		return sk_fail(context, SK_INTERNAL, "broker_refused", "the stream %s: %s",
			       DEAD_STREAM, broker_error(answer));
	read_letter(context->arena, cJSON_GetObjectItemCaseSensitive(answer, "message"), letter);
	return SK_OK;
}

static cJSON *request_of(uint64_t number)
{
	cJSON *request = cJSON_CreateObject();

	broker_add_integer(request, "seq", (long long)number);
	return request;
}

enum sk_status letter_get(struct sk_context *context, natsConnection *nats, uint64_t number,
			  struct letter *letter)
{
	return get(context, nats, request_of(number), letter);
}

enum sk_status letter_next(struct sk_context *context, natsConnection *nats, uint64_t from,
			   const char *consumer, struct letter *letter)
{
	cJSON *request = request_of(from);
	const char *filter = consumer[0] == '\0' ? DEAD_STREAM ".>"
						 : sk_arena_printf(context->arena,
								   DEAD_STREAM ".*.%s", consumer);

	cJSON_AddStringToObject(request, "next_by_subj", filter);
	return get(context, nats, request, letter);
}

enum sk_status letter_last(struct sk_context *context, natsConnection *nats, uint64_t *number)
{
	const cJSON *answer = NULL;
	enum sk_status st = broker_call(context, nats, "STREAM.INFO." DEAD_STREAM, NULL, &answer);

	if (st == SK_OK && broker_error(answer) != NULL)
		st = sk_fail(context, SK_NOT_FOUND, "no_stream",
			     "there is no stream %s: run soukctl provision", DEAD_STREAM);
	if (st != SK_OK)
		return st;
	*number = broker_number(cJSON_GetObjectItemCaseSensitive(answer, "state"), "last_seq");
	return SK_OK;
}

/* ---- acting ---- */

/* Names this letter among all that there ever were: numbers begin anew with the stream. */
static const char *name_of(struct sk_arena *arena, const struct letter *letter, const char *what)
{
	return sk_arena_printf(arena, "%s-%llu-%s-%s", what, (unsigned long long)letter->sequence,
			       letter->time, letter_header(letter, "ce-id"));
}

static natsStatus copy_headers(const struct letter *letter, natsMsg *message)
{
	natsStatus status = NATS_OK;

	for (int i = 0; i < letter->headers_count && status == NATS_OK; i++)
		if (strncmp(letter->headers[i].name, "Nats-", 5) != 0)
			status = natsMsgHeader_Set(message, letter->headers[i].name,
						   letter->headers[i].value);
	return status;
}

enum sk_status letter_replay(struct sk_context *context, natsConnection *nats,
			     const struct letter *letter, const char *service)
{
	const char *subject = sk_arena_printf(context->arena, REPLAY_STREAM ".%s.%s.%s", service,
					      letter_header(letter, "souk-stream"),
					      letter_header(letter, "souk-consumer"));
	natsMsg *message = NULL;
	enum sk_status st = SK_OK;

	if (natsMsg_Create(&message, subject, NULL, letter->data, (int)letter->len) != NATS_OK ||
	    copy_headers(letter, message) != NATS_OK ||
	    natsMsgHeader_Set(message, "Nats-Msg-Id",
			      name_of(context->arena, letter, REPLAY_STREAM)) != NATS_OK)
		st = sk_fail(context, SK_NO_MEMORY, "no_memory", "cannot make the message");
	if (st == SK_OK)
		st = broker_publish(context, nats, message);
	natsMsg_Destroy(message);
	return st;
}

enum sk_status letter_delete(struct sk_context *context, natsConnection *nats,
			     const struct letter *letter)
{
	cJSON *request = request_of(letter->sequence);
	enum sk_status st;

	cJSON_AddTrueToObject(request, "no_erase");
	st = broker_call_well(context, nats, "STREAM.MSG.DELETE." DEAD_STREAM, request);
	cJSON_Delete(request);
	return st;
}

static natsStatus set_event_headers(natsMsg *message, const struct letter *letter, const char *id)
{
	struct sk_trace trace = sk_trace_continue(letter_header(letter, "traceparent"));
	char time[SK_RFC3339_BYTES], traceparent[SK_TRACEPARENT_BYTES];
	const struct {
		const char *name, *value;
	} headers[] = {
		{ "Nats-Msg-Id", id },
		{ "ce-specversion", "1.0" },
		{ "ce-id", id },
		{ "ce-type", souk__audit__v1__user_action__descriptor.name },
		{ "ce-source", "souk/soukctl" },
		{ "ce-time", sk_time_format(sk_time_now_us(), time) },
		{ "ce-subject", "operator" },
		{ "traceparent", sk_trace_format(&trace, traceparent) },
		{ "content-type", "application/protobuf" },
	};
	natsStatus status = NATS_OK;

	for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]) && status == NATS_OK; i++)
		status = natsMsgHeader_Set(message, headers[i].name, headers[i].value);
	return status;
}

static enum sk_status pack_action(struct sk_context *context, const struct letter *letter,
				  const char *action, const void **data, size_t *len)
{
	struct sk_arena *arena = context->arena;
	Souk__Audit__V1__UserAction event;

	souk__audit__v1__user_action__init(&event);
	event.version = 1;
	event.action = sk_arena_strdup(arena, action);
	event.entity = sk_arena_strdup(arena, "dead_letter");
	event.entity_id = sk_arena_printf(arena, "%llu", (unsigned long long)letter->sequence);
	event.role = sk_arena_strdup(arena, "operator");
	event.detail = sk_arena_printf(
		arena, "%.200s %.200s, for %.100s", letter_header(letter, "souk-subject"),
		letter_header(letter, "ce-id"), letter_header(letter, "souk-consumer"));
	return sk_message_pack(context, &event.base, data, len);
}

enum sk_status letter_audit(struct sk_context *context, natsConnection *nats,
			    const struct letter *letter, const char *action)
{
	const char *id = sk_id_derive(context->arena, name_of(context->arena, letter, action));
	const void *data = NULL;
	natsMsg *message = NULL;
	size_t len = 0;
	enum sk_status st = pack_action(context, letter, action, &data, &len);

	if (st != SK_OK)
		return st;
	if (natsMsg_Create(&message, "audit.user_actions.operator", NULL, data, (int)len) !=
		    NATS_OK ||
	    set_event_headers(message, letter, id) != NATS_OK)
		st = sk_fail(context, SK_NO_MEMORY, "no_memory", "cannot make the message");
	if (st == SK_OK)
		st = broker_publish(context, nats, message);
	natsMsg_Destroy(message);
	return st;
}
