/* The broker as an administrator's program uses it: one connection and calls of JetStream's API. */
#include "broker.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "soukctl.h"

#define CALL_TIMEOUT_MS 3000
#define EXACT_MAX	9007199254740991.0 /* JSON's exact integers */

enum sk_status broker_connect(struct sk_context *context, const char *secrets,
			      natsConnection **nats)
{
	natsOptions *options = NULL;
	const char *url;
	natsStatus status;
	enum sk_status st = secret_read(context, secrets, "admin", "nats_url", &url);

	if (st != SK_OK)
		return st;
	status = natsOptions_Create(&options);
	if (status == NATS_OK)
		status = natsOptions_SetURL(options, url);
	if (status == NATS_OK)
		status = natsOptions_SetSendAsap(options, true);
	if (status == NATS_OK)
		status = natsOptions_SetTimeout(options, CALL_TIMEOUT_MS);
	if (status == NATS_OK)
		status = natsConnection_Connect(nats, options);
	natsOptions_Destroy(options);
	if (status != NATS_OK)
		return sk_fail(context, SK_UNAVAILABLE, "broker_unavailable",
			       "cannot reach NATS: %s", natsStatus_GetText(status));
	return SK_OK;
}

static void free_tree(void *tree)
{
	cJSON_Delete(tree);
}

enum sk_status broker_call(struct sk_context *context, natsConnection *nats, const char *subject,
			   const cJSON *body, const cJSON **answer)
{
	char *text = body != NULL ? cJSON_PrintUnformatted(body) : strdup("");
	natsMsg *message = NULL;
	natsStatus status;
	cJSON *tree;

	if (text == NULL)
		abort();
	status = natsConnection_RequestString(
		&message, nats, sk_arena_printf(context->arena, "$JS.API.%s", subject), text,
		CALL_TIMEOUT_MS);
	free(text);
	if (status != NATS_OK)
		return sk_fail(context, SK_UNAVAILABLE, "broker_unavailable", "JetStream, %s: %s",
			       subject, natsStatus_GetText(status));
	tree = cJSON_ParseWithLength(natsMsg_GetData(message),
				     (size_t)natsMsg_GetDataLength(message));
	natsMsg_Destroy(message);
	if (tree == NULL)
		return sk_fail(context, SK_INTERNAL, "broker_answer", "JetStream, %s: no JSON",
			       subject);
	sk_arena_defer(context->arena, free_tree, tree);
	*answer = tree;
	return SK_OK;
}

int broker_error_code(const cJSON *answer)
{
	const cJSON *code = cJSON_GetObjectItemCaseSensitive(
		cJSON_GetObjectItemCaseSensitive(answer, "error"), "code");

	return cJSON_IsNumber(code) ? code->valueint : 0;
}

uint64_t broker_number(const cJSON *object, const char *name)
{
	const cJSON *number = cJSON_GetObjectItemCaseSensitive(object, name);

	/* Outside these the conversion is undefined. */
	if (!cJSON_IsNumber(number) ||
	    !(number->valuedouble >= 0 && number->valuedouble <= EXACT_MAX))
		return 0;
	return (uint64_t)number->valuedouble;
}

const char *broker_error(const cJSON *answer)
{
	return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(
		cJSON_GetObjectItemCaseSensitive(answer, "error"), "description"));
}

enum sk_status broker_call_well(struct sk_context *context, natsConnection *nats,
				const char *subject, const cJSON *body)
{
	const cJSON *answer = NULL;
	enum sk_status st = broker_call(context, nats, subject, body, &answer);

	if (st == SK_OK && broker_error(answer) != NULL)
		return sk_fail(context, SK_INTERNAL, "broker_refused", "JetStream, %s: %s", subject,
			       broker_error(answer));
	return st;
}

enum sk_status broker_publish(struct sk_context *context, natsConnection *nats, natsMsg *message)
{
	natsMsg *answer = NULL;
	natsStatus status = natsConnection_RequestMsg(&answer, nats, message, CALL_TIMEOUT_MS);
	cJSON *tree = NULL;
	enum sk_status st = SK_OK;

	if (status == NATS_OK)
		tree = cJSON_ParseWithLength(natsMsg_GetData(answer),
					     (size_t)natsMsg_GetDataLength(answer));
	if (tree == NULL)
		st = sk_fail(context, SK_UNAVAILABLE, "not_published", "%s: %s",
			     natsMsg_GetSubject(message),
			     status != NATS_OK ? natsStatus_GetText(status)
					       : "no stream takes it: run soukctl provision");
	else if (broker_error(tree) != NULL)
		st = sk_fail(context, SK_UNAVAILABLE, "not_published", "%s: %s",
			     natsMsg_GetSubject(message), broker_error(tree));
	cJSON_Delete(tree);
	natsMsg_Destroy(answer);
	return st;
}

void broker_add_integer(cJSON *object, const char *name, long long value)
{
	char digits[24];

	snprintf(digits, sizeof(digits), "%lld", value);
	cJSON_AddRawToObject(object, name, digits);
}
