/* HTTP on civetweb: a table of routes, and everything around a handler.
 *
 * For each request the router finds the row, checks method, size, token, role,
 * rate limit and idempotency key as the row says, parses the JSON body, runs the
 * handler in a context with a deadline (HTTP_TIMEOUT_MS), and writes one answer in
 * one send. Any status but SK_OK becomes problem+json (RFC 9457). Logs, metrics and trace
 * are per row, and a 403 is an entry of the audit log ("access.refused"), up to a rate. A
 * handler can neither forget these nor do them differently.
 *
 * A write whose session came by cookie must show that our own page made it: by the header
 * X-Souk-CSRF: 1, by Sec-Fetch-Site: same-origin, or by an Origin that is our Host.
 *
 * /healthz, /readyz and /metrics are served on the same listener and are not
 * routed by the gateway. */
#ifndef SK_HTTP_H
#define SK_HTTP_H

#include "sk_json.h"
#include "sk_pg.h"
#include "sk_ratelimit.h"

struct sk_request;
struct sk_reply;

typedef enum sk_status sk_route_fn(struct sk_request *request, struct sk_reply *reply, void *app);

enum sk_route_access {
	SK_OPEN = 0, /* no session is looked at: reads that anyone may cache */
	SK_GUEST,    /* anyone; a token that is given must be good and fills the actor */
	SK_CUSTOMER, /* a session of any role */
	SK_STAFF,    /* staff or admin */
	SK_ADMIN,
};

enum sk_route_flags {
	SK_BODY_JSON = 1,	   /* a JSON body is required and parsed: sk_request_fields */
	SK_BODY_RAW = 2,	   /* bytes as they are: sk_request_body */
	SK_IDEMPOTENT = 4,	   /* takes an Idempotency-Key (every POST that creates) */
	SK_KEY_REQUIRED = 8,	   /* and refuses to do without */
	SK_ACCESS_BY_HANDLER = 16, /* signed webhooks: the handler checks the signature itself */
	SK_LIVE = 32,		   /* an answer that stays open: see sk_live.h */
	SK_SLOW = 64,		   /* may take a minute: the gateway waits so long */
};

/* A row; a table ends with a row whose method is NULL. */
struct sk_route {
	const char *method;
	const char *path; /* "/v1/orders/{id}/cancel" */
	sk_route_fn *handle;
	enum sk_route_access access;
	unsigned flags;
	size_t body_max_bytes;			/* 0: SK_BODY_MAX_BYTES */
	const struct sk_ratelimit_class *limit; /* per client address; NULL: none */
};

/* ---- request ---- */

struct sk_context *sk_request_context(struct sk_request *request);
struct sk_arena *sk_request_arena(struct sk_request *request);
const struct sk_actor *sk_request_actor(struct sk_request *request);

/* A path parameter, percent-decoded. Never NULL for a name in the row's path. */
const char *sk_request_param(struct sk_request *request, const char *name);
/* The same as an id: SK_NOT_FOUND where it is no UUID. */
SK_MUST_CHECK enum sk_status sk_request_id(struct sk_request *request, const char *name,
					   const char **id);
/* A query parameter, decoded and valid UTF-8 without NUL; NULL where absent. */
const char *sk_request_query(struct sk_request *request, const char *name);
/* An integer query parameter in [min, max]: SK_INVALID otherwise. */
SK_MUST_CHECK enum sk_status sk_request_query_int(struct sk_request *request, const char *name,
						  int64_t min, int64_t max, int64_t fallback,
						  int64_t *value);
/* A date or RFC 3339 time; fallback where absent. */
SK_MUST_CHECK enum sk_status sk_request_query_time(struct sk_request *request, const char *name,
						   int64_t fallback_us, int64_t *time_us);
/* NULL: absent, or no UTF-8. The first one where there are several. */
const char *sk_request_header(struct sk_request *request, const char *name);
const char *sk_request_cookie(struct sk_request *request, const char *name);
struct sk_fields sk_request_fields(struct sk_request *request);
const char *sk_request_body(struct sk_request *request, size_t *len); /* ends in NUL */

/* ?limit= and ?cursor=. A cursor is what sk_cursor_make made: opaque to clients,
 * text to us. SK_INVALID where either is wrong. */
struct sk_page {
	int limit;
	const char *after; /* decoded cursor; NULL: from the start */
};
SK_MUST_CHECK enum sk_status sk_request_page(struct sk_request *request, struct sk_page *page);
const char *sk_cursor_make(struct sk_arena *arena, const char *text);

/* ---- reply ---- */

/* Starts a JSON answer and gives its writer. */
struct sk_json *sk_reply_json(struct sk_reply *reply, int status);
void sk_reply_empty(struct sk_reply *reply, int status);
void sk_reply_bytes(struct sk_reply *reply, int status, const char *content_type, const void *data,
		    size_t len); /* data must live as long as the request's arena */
/* value is checked: a control character in it is a bug and aborts. */
void sk_reply_header(struct sk_reply *reply, const char *name, const char *value);
void sk_reply_cookie(struct sk_reply *reply, const char *name, const char *value, int max_age_s);

/* Sets a strong ETag. True where If-None-Match has it: the answer is then 304 and
 * the handler returns SK_OK without writing more. */
bool sk_reply_etag(struct sk_request *request, struct sk_reply *reply, const char *tag);
/* SK_PRECONDITION ("precondition_failed") where If-Match is given and is neither * nor tag. */
SK_MUST_CHECK enum sk_status sk_request_if_match(struct sk_request *request, const char *tag);

/* The Idempotency-Key; NULL where there is none, or where the row takes none. SK_INVALID where
 * it is not 1 to 255 printable characters, SK_MALFORMED where the row requires one. For
 * handlers whose effect is in Valkey; those with PostgreSQL have the next function. */
SK_MUST_CHECK enum sk_status sk_request_idempotency_key(struct sk_request *request,
							const char **key);

/* Runs work(tx, request, reply, arg) in one transaction together with the
 * Idempotency-Key: the key's row is written first (a second request with it waits
 * for the first to end, and past its deadline gets 409), the answer last. A
 * key that is known gives its stored answer, and work does not run. Without a key it is a
 * plain transaction. Failures are not kept: what rolled back may be tried again with its key.
 * Keys are an account's, a guest cart's or the other guests' own, and a route's. */
typedef enum sk_status sk_request_tx_fn(struct sk_tx *tx, struct sk_request *request,
					struct sk_reply *reply, void *arg);
SK_MUST_CHECK enum sk_status sk_request_transact(struct sk_request *request, struct sk_reply *reply,
						 struct sk_pg *pg, sk_request_tx_fn *work,
						 void *arg);

/* ---- server (used by sk_service) ---- */

struct sk_http;
struct sk_service;
struct sk_parts;

SK_MUST_CHECK enum sk_status sk_http_open(const struct sk_service *service, struct sk_parts *parts,
					  void *app, struct sk_http **out,
					  struct sk_context *context);
/* Lets running requests finish, for HTTP_TIMEOUT_MS at most; new ones get 503. */
void sk_http_close(struct sk_http **http);

#endif
