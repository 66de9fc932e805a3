/* The shop's public API as an operator's program uses it: JSON in, JSON out, with
 * patience for 429 and 503. */
#ifndef SHOP_H
#define SHOP_H

#include "sk_context.h"
#include "sk_json.h"

struct shop {
	const char *base_url; /* http://localhost:8080 */
};

struct shop_call {
	const char *method, *path;
	const char *token;	     /* bearer; NULL: none */
	const char *idempotency_key; /* NULL: none */
	const char *content_type;    /* NULL: application/json */
	const char *body;	     /* NULL: none */
	size_t len;
};

/* Makes the call and waits out 429 and 503 (Retry-After is at most some seconds) for up to a
 * minute; with an idempotency key, or for a GET, a lost answer is asked for again. *status is the HTTP
 * status, *json the parsed body (NULL where there is none). SK_OK whatever the
 * status; a problem's detail is noted in context->error for statuses from 400 on. */
SK_MUST_CHECK enum sk_status shop_send(const struct shop *shop, struct sk_context *context,
				       const struct shop_call *call, int *status,
				       const struct cJSON **json);

/* The same where anything but 2xx is a failure. */
SK_MUST_CHECK enum sk_status shop_expect(const struct shop *shop, struct sk_context *context,
					 const struct shop_call *call, const struct cJSON **json);

/* Opens a session; *token lives in the arena. */
SK_MUST_CHECK enum sk_status shop_log_in(const struct shop *shop, struct sk_context *context,
					 const char *email, const char *password,
					 const char **token);

/* Calls each(item, arg) for every item of a list, page after page. path has no query or
 * one that "&cursor=" can be added to. */
typedef enum sk_status shop_item_fn(const struct cJSON *item, void *arg);
SK_MUST_CHECK enum sk_status shop_each(const struct shop *shop, struct sk_context *context,
				       const char *path, const char *token, shop_item_fn *each,
				       void *arg);

/* Members of an answer: "" and 0 where absent. */
const char *shop_text(const struct cJSON *object, const char *name);
int64_t shop_amount(const struct cJSON *object, const char *name); /* of a money member */

#endif
