/* What the files of sk_http share. Not for anybody else, but for its tests.
 *
 *     sk_http_server.c     civetweb, the life of the server
 *     sk_http.c            the life of a request
 *     sk_http_guard.c      who may ask: framing, limits, sessions, forged writes
 *     sk_http_body.c       bodies: read to a limit, dropped, or left with the connection
 *     sk_http_watch.c      lets go of a thread that waits for a slow client
 *     sk_http_drain.c      the end: no new connection, every request answered
 *     sk_http_router.c     from a path to a row and its parameters
 *     sk_http_request.c    what a handler asks of a request
 *     sk_http_reply.c      what it answers; from a status to a problem
 *     sk_http_own.c        /healthz, /readyz, /metrics
 *     sk_http_turn.c       requests with one key run one after the other
 *     sk_http_live.c       answers that stay open: see sk_live_internal.h
 *     sk_idempotency.c     the same answer to the same key */
#ifndef SK_HTTP_INTERNAL_H
#define SK_HTTP_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "sk_http.h"
#include "sk_live_internal.h"
#include "sk_metrics.h"
#include "sk_service.h"

#define SK__HTTP_MAGIC	  0x68747470u
#define SK__REQUEST_MAGIC 0x72657173u
#define SK__QUERY_MAX	  24 /* parameters; further ones are refused */

struct mg_connection;
struct mg_context;
struct mg_request_info;

struct sk__pair {
	const char *name, *value;
};

/* A route with what is computed from its row once. */
struct sk__route {
	const struct sk_route *row;
	size_t prefix_len; /* of the path, before its first parameter */
	bool has_params;
	struct sk_metric *answers[6]; /* by the status's first digit */
	struct sk_metric *duration;
};

/* Where a thread is with its connection. */
enum sk__place {
	SK__PLACE_NONE,	 /* it has none */
	SK__PLACE_FIRST, /* waits for the first request */
	SK__PLACE_BUSY,	 /* a request is there */
	SK__PLACE_NEXT,	 /* answered one, waits for another */
};

/* A thread that may wait for a client, and until when. */
struct sk__waiter {
	pthread_t thread;
	atomic_llong until_us; /* monotonic; 0: it does not wait for a body */
	atomic_int place;      /* enum sk__place */
	struct sk__waiter *next;
};

/* Where it listens: rows with SK_LIVE have threads of their own. */
struct sk__listener {
	struct sk_http *http;
	struct mg_context *server; /* NULL: not open */
	int socket;		   /* the one that civetweb accepts on; -1: it was not found */
	bool live;		   /* takes the rows with SK_LIVE and no others */
};

struct sk_http {
	unsigned magic;
	const struct sk_service *service;
	struct sk_parts *parts;
	void *app;
	int64_t timeout_ms;
	struct sk__listener plain, live;
	struct sk__watch *watch;
	struct sk__turns *turns;
	struct sk__route *routes;
	int routes_count;
	struct sk_metric *unrouted;
	atomic_uint reached;   /* a bit for each store that /readyz has found once */
	atomic_bool draining;  /* answers close their connections */
	atomic_int idle_count; /* connections that are kept for a next request */
	int idle_max;
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
	struct sk_live_plan plan; /* its read is NULL: the answer ends */
};

struct sk_request {
	unsigned magic;
	struct sk_http *http;
	const struct sk__listener *listener;
	struct mg_connection *connection; /* NULL in unit tests */
	const struct mg_request_info *info;
	struct sk__waiter waiter; /* this thread */
	struct sk_context context;
	const char *method, *path, *query; /* query NULL: none */
	const struct sk__route *route;
	struct sk__pair params[SK_PATH_PARAMS_MAX];
	int params_count;
	struct sk__pair query_pairs[SK__QUERY_MAX];
	int query_count;
	long long body_expected; /* bytes; -1: told chunk by chunk */
	bool body_taken;	 /* read to its end, or there is none */
	const char *body;
	size_t body_len;
	const struct cJSON *json;
	struct sk_field_errors errors;
	struct sk_ratelimit_verdict verdict; /* where the row has a limit */
	bool counted;			     /* whether verdict is one */
	struct sk_error refusal;	     /* why it got 403 */
	bool close;			     /* the connection cannot be used again */
	bool idle;			     /* it is counted in idle_count */
	struct sk_reply reply;
	struct sk__live_stream *stream; /* a place among the streams, while it opens; NULL: none */
	char *kept; /* the buffer of usual answers, kept from request to request */
};

/* ---- sk_http.c: what civetweb calls ---- */

int sk__on_request(struct mg_connection *connection);
int sk__on_refusal(struct mg_connection *connection, int status, const char *message);

/* The thread's connection does not wait for a next request any more. */
void sk__end_idling(struct sk_request *request);

/* ---- sk_http_router.c: pure ---- */

enum sk__match { SK__MATCH_NONE, SK__MATCH_OTHER_METHOD, SK__MATCH_FOUND };

void sk__route_init(struct sk__route *route, const struct sk_route *row);

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

/* Whether a list of entity tags (If-Match, If-None-Match) has the tag. Weak comparison
 * looks past W/; the strong one takes no weak tag (RFC 9110, 8.8.3.2). */
bool sk__etag_listed(const char *list, const char *tag, bool weak);

/* ---- sk_http_guard.c ---- */

/* Whether two parsers would read the request alike. Where not, it is answered and its
 * connection will be closed. Also notes what body is to come. */
bool sk__guard_framing(struct sk_request *request);

/* Whether the row lets the request in: limit, query, session, role, origin of a write.
 * Where not, it is answered. */
bool sk__guard_admit(struct sk_request *request);

/* Tells the audit log who was refused which route with 403, and why. A service without
 * PostgreSQL has no outbox to tell it with; the access log has it there, too. */
void sk__guard_record_refusal(struct sk_request *request);

/* The RateLimit headers of an answer to a counted request. */
void sk__guard_write_limit(struct sk_request *request);

bool sk__request_is_write(const struct sk_request *request);

/* ---- sk_http_body.c ---- */

/* Reads the body as its row says. False: it is answered. */
bool sk__body_take(struct sk_request *request);

/* Reads past a body that nobody took, so that the connection can be used again; where that
 * would take long, the connection is closed instead. Before the answer. */
void sk__body_drop(struct sk_request *request);

/* After an answer that closes: reads on for a moment. To close with bytes unread would
 * reset the connection and could take the answer from the client. */
void sk__body_linger(struct sk_request *request);

/* ---- sk_http_watch.c ---- */

struct sk__watch;

struct sk__watch *sk__watch_open(void);
void sk__watch_close(struct sk__watch **watch);
void sk__watch_add(struct sk__watch *watch, struct sk__waiter *me); /* by the thread itself */
void sk__watch_remove(struct sk__watch *watch, struct sk__waiter *me);

/* Who is let go, from now on and again and again until close: who waits for a further request;
 * those and who waits for a first one; everybody. */
enum sk__release { SK__RELEASE_NONE, SK__RELEASE_KEPT, SK__RELEASE_SILENT, SK__RELEASE_ALL };
void sk__watch_release(struct sk__watch *watch, enum sk__release release);
int sk__watch_connections(struct sk__watch *watch); /* how many threads have one */

/* ---- sk_http_drain.c ---- */

/* The socket that a server just started listens on; -1 where it is not to be found. */
int sk__drain_find_listener(struct mg_context *server);

/* Returns when every request is answered, or their time is over. */
void sk__drain(struct sk_http *http);

/* ---- sk_http_turn.c ---- */

struct sk__turns;

/* A request's place; its memory must last from take to give. */
struct sk__turn {
	const char *scope, *key;
	struct sk__turn *next;
};

struct sk__turns *sk__turns_open(int workers, struct sk_metrics *metrics);
void sk__turns_close(struct sk__turns **turns);
/* Waits while another request with the scope and key runs, until the monotonic until_us. Where
 * true, the turn must be given back. */
SK_MUST_CHECK bool sk__turn_take(struct sk__turns *turns, struct sk__turn *turn, int64_t until_us);
void sk__turn_give(struct sk__turns *turns, const struct sk__turn *turn);

/* ---- sk_http_reply.c ---- */

/* The HTTP status of a status: the one place that decides. */
int sk__http_status_of(enum sk_status status);

/* Turns the context's error into problem+json, whatever was written before. */
void sk__reply_problem(struct sk_request *request, enum sk_status status);

/* A problem of the server's own that no status has: 405, 415 … */
void sk__reply_refuse(struct sk_request *request, int status, const char *code, const char *detail);

/* Empties the reply, for a transaction that runs again. */
void sk__reply_reset(struct sk_reply *reply);

/* Head and body as one run of bytes, until the next request. */
const char *sk__reply_bytes(struct sk_request *request, bool head_only, size_t *len);

const char *sk__http_reason(int status);

/* ---- sk_http_live.c ---- */

/* Takes a place among the streams, and a turn to ask the stores, which the caller ends after
 * the handler. False: it is answered. */
bool sk__live_admit(struct sk_request *request);

/* Lets the process have as many files as so many streams need. */
void sk__live_allow_files(int64_t streams);

/* After the answer's head: the connection is the stream's that the handler asked for. Where it
 * did not, its place is free again. */
void sk__live_hand_over(struct sk_request *request);

/* ---- sk_http_own.c ---- */

extern const struct sk_route SK__OWN_ROUTES[];

#endif
