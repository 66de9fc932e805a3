/* Bodies. civetweb bounds neither their size nor their time, and after a handler it reads
 * on for as long as a client sends. So nothing is left to it: a body is read here to
 * its row's limit and the request's deadline, or read past, or its connection is closed.
 *
 * civetweb 1.15 takes neither chunk extensions nor trailers; they end in 400. */
#include "sk_http_internal.h"

#include <string.h>
#include <strings.h>

#include <civetweb.h>

#include "sk_time.h"

/* Small: of a piece of a chunk mg_read wants every byte (see sk_http_watch.c). */
#define PIECE_BYTES	 2048
#define LINGER_MAX_BYTES 1048576
#define LINGER_MAX_US	 SK_SECOND_US

/* mg_read for as long as the thread may wait; 0: the end, -1: cut off, malformed, or late. */
static int read_some(struct sk_request *request, void *out, size_t max, int64_t until_us)
{
	int got;

	atomic_store(&request->waiter.until_us, until_us);
	got = mg_read(request->connection, out, max);
	atomic_store(&request->waiter.until_us, 0);
	return until_us != 0 && sk_time_monotonic_us() > until_us ? -1 : got;
}

/* Reads and forgets. Whether the end was within max bytes. */
static bool skip(struct sk_request *request, size_t max, int64_t until_us)
{
	char piece[PIECE_BYTES];
	size_t all = 0;
	int got;

	do {
		got = read_some(request, piece, sizeof(piece), until_us);
		all += got > 0 ? (size_t)got : 0;
	} while (got > 0 && all <= max);
	return got == 0 && (request->body_expected < 0 || all == (size_t)request->body_expected);
}

/* ---- taking ---- */

static bool refuse_size(struct sk_request *request, size_t max)
{
	request->close = true; /* the rest is not read */
	sk__reply_refuse(request, 413, "body_too_large",
			 sk_arena_printf(request->context.arena, "at most %zu bytes", max));
	return false;
}

static bool refuse_cut(struct sk_request *request)
{
	int64_t deadline_us = request->context.deadline_us;

	request->close = request->body_taken = true;
	if (deadline_us != 0 && sk_time_monotonic_us() > deadline_us)
		sk__reply_refuse(request, 408, "body_too_slow", "the body did not arrive in time");
	else
		sk__reply_refuse(request, 400, "incomplete_body",
				 "the body was cut off, or its chunks are malformed");
	return false;
}

/* Straight into its place: its length is known and within the limit. */
static bool take_sized(struct sk_request *request)
{
	size_t size = (size_t)request->body_expected;
	char *body = sk_arena_alloc(request->context.arena, size + 1);
	int got = read_some(request, body, size, request->context.deadline_us);

	if (got < 0 || (size_t)got < size)
		return refuse_cut(request);
	request->body = body;
	request->body_len = size;
	return true;
}

static bool take_chunks(struct sk_request *request, size_t max)
{
	char piece[PIECE_BYTES];
	struct sk_buf body;
	int got;

	sk_buf_init(&body, request->context.arena, max);
	while ((got = read_some(request, piece, sizeof(piece), request->context.deadline_us)) > 0) {
		sk_buf_put(&body, piece, (size_t)got);
		if (!sk_buf_ok(&body))
			return refuse_size(request, max);
	}
	if (got < 0)
		return refuse_cut(request);
	request->body = sk_buf_text(&body);
	request->body_len = body.len;
	return true;
}

static bool waits_for_leave(struct sk_request *request)
{
	const char *expect = sk_request_header(request, "Expect");

	return expect != NULL && strcasecmp(expect, "100-continue") == 0;
}

static bool read_body(struct sk_request *request, size_t max)
{
	static const char leave[] = "HTTP/1.1 100 Continue\r\n\r\n";

	request->body = "";
	if (request->body_expected > 0 && (unsigned long long)request->body_expected > max)
		return refuse_size(request, max);
	if (request->body_taken)
		return true;
	if (waits_for_leave(request))
		mg_write(request->connection, leave, sizeof(leave) - 1);
	if (request->body_expected > 0 ? !take_sized(request) : !take_chunks(request, max))
		return false;
	request->body_taken = true;
	return true;
}

/* Without a type it is taken for JSON too: no other would be. */
static bool says_json(struct sk_request *request)
{
	static const char json[] = "application/json";
	const char *type = sk_request_header(request, "Content-Type");

	return type == NULL || (strncasecmp(type, json, sizeof(json) - 1) == 0 &&
				strchr("; \t", type[sizeof(json) - 1]) != NULL);
}

bool sk__body_take(struct sk_request *request)
{
	const struct sk_route *row = request->route->row;
	enum sk_status st;

	if (!sk__request_is_write(request))
		return true;
	if ((row->flags & SK_BODY_JSON) != 0 && !says_json(request)) {
		sk__reply_refuse(request, 415, "unsupported_media_type",
				 "the body must be application/json");
		return false;
	}
	if (!read_body(request, row->body_max_bytes > 0 ? row->body_max_bytes : SK_BODY_MAX_BYTES))
		return false;
	if ((row->flags & SK_BODY_JSON) == 0)
		return true;
	st = sk_json_parse(&request->context, request->body, request->body_len, &request->json);
	if (st != SK_OK)
		sk__reply_problem(request, st);
	return st == SK_OK;
}

/* ---- not taking ---- */

void sk__body_drop(struct sk_request *request)
{
	if (request->body_taken || request->close)
		return;
	/* Who waits for leave to send sends nothing now, or everything later. */
	if (request->body_expected > SK_BODY_MAX_BYTES || waits_for_leave(request) ||
	    !skip(request, SK_BODY_MAX_BYTES, request->context.deadline_us))
		request->close = true;
	request->body_taken = !request->close;
}

void sk__body_linger(struct sk_request *request)
{
	if (!request->body_taken && !waits_for_leave(request))
		(void)skip(request, LINGER_MAX_BYTES, sk_time_monotonic_us() + LINGER_MAX_US);
}
