#include "shop.h"

#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>

#include "sk_client.h"
#include "sk_time.h"

#define CALL_TIMEOUT_MS 30000
#define PATIENCE_US	(60 * SK_SECOND_US)
#define BODY_MAX_BYTES	4096

const char *shop_text(const struct cJSON *object, const char *name)
{
	const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, name));

	return text != NULL ? text : "";
}

int64_t shop_amount(const struct cJSON *object, const char *name)
{
	const cJSON *money = cJSON_GetObjectItemCaseSensitive(object, name);
	const cJSON *amount = cJSON_GetObjectItemCaseSensitive(money, "amount");

	return cJSON_IsNumber(amount) ? (int64_t)amount->valuedouble : 0;
}

static enum sk_status send_once(const struct shop *shop, struct sk_context *context,
				const struct shop_call *call, struct sk_client_answer *answer)
{
	const char *headers[4];
	size_t count = 0;

	headers[count++] = sk_arena_printf(context->arena, "Content-Type: %s",
					   call->content_type != NULL ? call->content_type
								      : "application/json");
	if (call->token != NULL)
		headers[count++] = sk_arena_printf(context->arena, "Authorization: Bearer %s",
						   call->token);
	if (call->idempotency_key != NULL)
		headers[count++] = sk_arena_printf(context->arena, "Idempotency-Key: %s",
						   call->idempotency_key);
	headers[count] = NULL;
	return sk_client_send(
		context,
		&(struct sk_client_request) {
			.method = call->method,
			.url = sk_arena_printf(context->arena, "%s%s", shop->base_url, call->path),
			.headers = headers,
			.body = call->body,
			.body_len = call->len,
			.timeout_ms = CALL_TIMEOUT_MS,
		},
		answer);
}

static bool worth_again(const struct shop_call *call, enum sk_status st, int status)
{
	if (st == SK_OK)
		return status == 429 || status == 503;
	/* No answer: it may have been done. Only what may be done twice is asked again. */
	return call->idempotency_key != NULL || strcmp(call->method, "GET") == 0;
}

enum sk_status shop_send(const struct shop *shop, struct sk_context *context,
			 const struct shop_call *call, int *status, const struct cJSON **json)
{
	int64_t end_us = sk_time_monotonic_us() + PATIENCE_US;
	struct sk_client_answer answer = { 0 };
	enum sk_status st = send_once(shop, context, call, &answer);

	for (int attempt = 0;
	     worth_again(call, st, answer.status) && sk_time_monotonic_us() < end_us; attempt++) {
		sk_time_sleep_ms(20 + sk_time_backoff_ms(attempt, 50, 2000));
		sk_context_clear_error(context);
		st = send_once(shop, context, call, &answer);
	}
	*json = NULL;
	*status = answer.status;
	if (st != SK_OK || answer.len == 0)
		return st;
	st = sk_json_parse(context, answer.body, answer.len, json);
	if (st == SK_OK && answer.status >= 400)
		sk_ignore(sk_fail(context, SK_INVALID, shop_text(*json, "code"), "%s %s: %d %s",
				  call->method, call->path, answer.status,
				  shop_text(*json, "detail")),
			  "the caller looks at the HTTP status");
	return st;
}

enum sk_status shop_expect(const struct shop *shop, struct sk_context *context,
			   const struct shop_call *call, const struct cJSON **json)
{
	int status = 0;
	enum sk_status st = shop_send(shop, context, call, &status, json);

	if (st == SK_OK && (status < 200 || status > 299))
		return sk_fail(context, SK_INVALID, "unexpected_status", "%s %s answered %d",
			       call->method, call->path, status);
	return st;
}

enum sk_status shop_log_in(const struct shop *shop, struct sk_context *context, const char *email,
			   const char *password, const char **token)
{
	const struct cJSON *answer = NULL;
	struct sk_json body;
	enum sk_status st;

	sk_json_init(&body, context->arena, BODY_MAX_BYTES);
	sk_json_begin_object(&body, NULL);
	sk_json_text(&body, "email", email);
	sk_json_text(&body, "password", password);
	sk_json_end_object(&body);
	st = shop_expect(shop, context,
			 &(struct shop_call) { .method = "POST",
					       .path = "/v1/sessions",
					       .body = sk_buf_text(&body.buf),
					       .len = body.buf.len },
			 &answer);
	if (st == SK_OK)
		*token = sk_arena_strdup(context->arena, shop_text(answer, "token"));
	return st;
}

enum sk_status shop_each(const struct shop *shop, struct sk_context *context, const char *path,
			 const char *token, shop_item_fn *each, void *arg)
{
	const char *cursor = "";
	enum sk_status st = SK_OK;

	do {
		const char *url = sk_arena_printf(context->arena, "%s%climit=100%s%s", path,
						  strchr(path, '?') != NULL ? '&' : '?',
						  cursor[0] != '\0' ? "&cursor=" : "", cursor);
		const struct cJSON *page = NULL, *item;

		st = shop_expect(
			shop, context,
			&(struct shop_call) { .method = "GET", .path = url, .token = token },
			&page);
		if (st != SK_OK)
			return st;
		cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(page, "items"))
		{
			st = each(item, arg);
			if (st != SK_OK)
				return st;
		}
		cursor = shop_text(page, "next_cursor");
	} while (cursor[0] != '\0');
	return st;
}
