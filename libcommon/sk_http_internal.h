/* What the files of sk_http share. Not for anybody else, but for its tests. */
#ifndef SK_HTTP_INTERNAL_H
#define SK_HTTP_INTERNAL_H

#include <stdbool.h>

#include "sk_http.h"
#include "sk_metrics.h"
#include "sk_service.h"

#define SK__REQUEST_MAGIC 0x72657173u
#define SK__QUERY_MAX 24 /* parameters; further ones are refused */

struct mg_connection;

struct sk__pair {
	const char *name, *value;
};

/* A route with its metrics. */
struct sk__route {
	const struct sk_route *row;
	struct sk_metric *answers[6]; /* by the status's first digit */
	struct sk_metric *duration;
};

struct sk_reply {
	struct sk_request *request;
	int status; /* 0: nothing written yet */
	const char *content_type;
	struct sk_json *json; /* NULL: data and len */
	const void *data;
	size_t len;
	struct sk__pair headers[SK_REPLY_HEADERS_MAX];
	int headers_count;
};

struct sk_request {
	unsigned magic;
	struct sk_http *http;
	struct mg_connection *connection; /* NULL in unit tests */
	struct sk_context context;
	const char *method, *path, *query; /* query NULL: none */
	const struct sk__route *route;
	struct sk__pair params[SK_PATH_PARAMS_MAX];
	int params_count;
	struct sk__pair query_pairs[SK__QUERY_MAX];
	int query_count; /* -1: not parsed yet */
	const char *body;
	size_t body_len;
	const struct cJSON *json;
	struct sk_field_errors errors;
	bool close; /* the connection cannot be used again */
	struct sk_reply reply;
};

/* ---- sk_http_router.c: pure ---- */

enum sk__match { SK__MATCH_NONE, SK__MATCH_OTHER_METHOD, SK__MATCH_FOUND };

/* The route of a method and a raw (percent-encoded) path; its parameters are decoded into the
 * request. A path without parameters wins over one with. allow gets the methods of
 * the path where only the method is wrong. */
enum sk__match sk__http_route(const struct sk__route *routes, int count, struct sk_request *request,
			      struct sk_buf *allow);

/* Percent-decoding into the arena; '+' is a space where plus is set. NULL where
 * an escape is none, or what comes out has a NUL or is no UTF-8. */
const char *sk__http_decode(struct sk_arena *arena, const char *text, size_t len, bool plus);

/* ---- sk_http_request.c ---- */

/* SK_MALFORMED where the query string cannot be decoded or has too many parameters. */
SK_MUST_CHECK enum sk_status sk__request_parse_query(struct sk_request *request);

/* ---- sk_http_reply.c ---- */

/* The HTTP status of a status: the one place that decides. */
int sk__http_status_of(enum sk_status status);

/* Turns the context's error into problem+json, whatever was written before. */
void sk__reply_problem(struct sk_request *request, enum sk_status status);

/* A problem of the router's own that no status has: 405, 415 … */
void sk__reply_refuse(struct sk_request *request, int status, const char *code, const char *detail);

/* Empties the reply, for a transaction that runs again. */
void sk__reply_reset(struct sk_reply *reply);

/* Head and body as one run of bytes. */
const char *sk__reply_bytes(struct sk_request *request, bool head_only, size_t *len);

const char *sk__http_reason(int status);

#endif
