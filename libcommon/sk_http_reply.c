#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "sk_http_internal.h"

#define PROBLEM_MAX_BYTES      65536
#define HEADER_VALUE_MAX_BYTES 960		   /* the longest of our own: a cookie of 200 */
#define HEAD_MAX_BYTES	       ((size_t)17 * 1024) /* SK_REPLY_HEADERS_MAX of them, and our own */
#define KEPT_BYTES	       ((size_t)64 * 1024)
#define RETRY_AFTER_S	       1 /* where nothing more is known */

int sk__http_status_of(enum sk_status status)
{
	switch (status) {
	case SK_OK:
	case SK_DUPLICATE:
		return 200;
	case SK_MALFORMED:
		return 400;
	case SK_INVALID:
		return 422;
	case SK_UNAUTHENTICATED:
		return 401;
	case SK_FORBIDDEN:
		return 403;
	case SK_NOT_FOUND:
		return 404;
	case SK_CONFLICT:
		return 409;
	case SK_PRECONDITION:
		return 412;
	case SK_TOO_LARGE:
		return 413;
	case SK_TOO_MANY:
		return 429;
	case SK_UNAVAILABLE:
	case SK_TIMEOUT:
	case SK_NO_MEMORY:
		return 503;
	case SK_INTERNAL:
		return 500;
	}
	return 500;
}

const char *sk__http_reason(int status)
{
	static const struct {
		int status;
		const char *reason;
	} reasons[] = {
		{ 200, "OK" },
		{ 201, "Created" },
		{ 202, "Accepted" },
		{ 204, "No Content" },
		{ 304, "Not Modified" },
		{ 400, "Bad Request" },
		{ 401, "Unauthorized" },
		{ 403, "Forbidden" },
		{ 404, "Not Found" },
		{ 405, "Method Not Allowed" },
		{ 408, "Request Timeout" },
		{ 409, "Conflict" },
		{ 412, "Precondition Failed" },
		{ 413, "Content Too Large" },
		{ 415, "Unsupported Media Type" },
		{ 421, "Misdirected Request" },
		{ 422, "Unprocessable Content" },
		{ 429, "Too Many Requests" },
		{ 500, "Internal Server Error" },
		{ 503, "Service Unavailable" },
		{ 505, "HTTP Version Not Supported" },
	};

	for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
		if (reasons[i].status == status)
			return reasons[i].reason;
	return "Status";
}

void sk__reply_reset(struct sk_reply *reply)
{
	struct sk_request *request = reply->request;

	*reply = (struct sk_reply) { .request = request };
}

struct sk_json *sk_reply_json(struct sk_reply *reply, int status)
{
	struct sk_arena *arena = reply->request->context.arena;

	reply->status = status;
	reply->content_type = "application/json";
	reply->json = sk_arena_alloc(arena, sizeof(*reply->json));
	sk_json_init(reply->json, arena, SK_REPLY_MAX_BYTES);
	return reply->json;
}

void sk_reply_empty(struct sk_reply *reply, int status)
{
	sk_reply_bytes(reply, status, NULL, NULL, 0);
}

void sk_reply_bytes(struct sk_reply *reply, int status, const char *content_type, const void *data,
		    size_t len)
{
	reply->status = status;
	reply->content_type = content_type;
	reply->json = NULL;
	reply->data = data;
	reply->len = len;
}

void sk_reply_header(struct sk_reply *reply, const char *name, const char *value)
{
	struct sk_arena *arena = reply->request->context.arena;

	for (const char *at = value; *at != '\0'; at++)
		if ((unsigned char)*at < ' ' || *at == 127)
			abort(); /* a header that could be split: a bug of the caller */
	assert(strlen(value) <= HEADER_VALUE_MAX_BYTES &&
	       reply->headers_count < SK_REPLY_HEADERS_MAX);
	reply->headers[reply->headers_count++] = (struct sk__pair) {
		.name = sk_arena_strdup(arena, name),
		.value = sk_arena_strdup(arena, value),
	};
}

void sk_reply_cookie(struct sk_reply *reply, const char *name, const char *value, int max_age_s)
{
	const char *scheme = sk_request_header(reply->request, "X-Forwarded-Proto");
	bool secure = scheme != NULL && strcmp(scheme, "https") == 0;

	sk_reply_header(reply, "Set-Cookie",
			sk_arena_printf(reply->request->context.arena,
					"%s=%s; Path=/; HttpOnly; SameSite=Lax; Max-Age=%d%s", name,
					value, max_age_s, secure ? "; Secure" : ""));
}

bool sk_reply_etag(struct sk_request *request, struct sk_reply *reply, const char *tag)
{
	const char *known = sk_request_header(request, "If-None-Match");

	sk_reply_header(reply, "ETag", sk_arena_printf(request->context.arena, "\"%s\"", tag));
	if (known == NULL || (strcmp(known, "*") != 0 && !sk__etag_listed(known, tag, true)))
		return false;
	sk_reply_empty(reply, 304);
	return true;
}

/* ---- problems ---- */

static void write_errors(struct sk_json *json, const struct sk_field_errors *errors)
{
	if (errors->count == 0)
		return;
	sk_json_begin_array(json, "errors");
	for (int i = 0; i < errors->count; i++) {
		sk_json_begin_object(json, NULL);
		sk_json_text(json, "pointer", errors->list[i].pointer);
		sk_json_text(json, "detail", errors->list[i].detail);
		sk_json_end_object(json);
	}
	sk_json_end_array(json);
}

static void write_problem(struct sk_request *request, int status, const char *code,
			  const char *detail)
{
	struct sk_arena *arena = request->context.arena;
	struct sk_json *json = sk_reply_json(&request->reply, status);

	request->reply.content_type = "application/problem+json";
	sk_json_init(json, arena, PROBLEM_MAX_BYTES);
	sk_json_begin_object(json, NULL);
	sk_json_text(json, "type", sk_arena_printf(arena, "urn:souk:problem:%s", code));
	sk_json_text(json, "title", sk__http_reason(status));
	sk_json_int(json, "status", status);
	sk_json_text(json, "detail", detail);
	if (request->path[0] != '\0')
		sk_json_text(json, "instance", request->path);
	sk_json_text(json, "code", code);
	sk_json_text(json, "trace_id", request->context.trace.trace_id);
	if (status == 422)
		write_errors(json, &request->errors);
	sk_json_end_object(json);
}

void sk__reply_refuse(struct sk_request *request, int status, const char *code, const char *detail)
{
	sk__reply_reset(&request->reply);
	write_problem(request, status, code, detail);
}

void sk__reply_problem(struct sk_request *request, enum sk_status status)
{
	const struct sk_error *error = &request->context.error;
	int http = sk__http_status_of(status);
	int retry_s = error->retry_after_s > 0 ? error->retry_after_s : RETRY_AFTER_S;

	sk__reply_reset(&request->reply);
	write_problem(request, http, error->code[0] != '\0' ? error->code : sk_status_name(status),
		      error->detail[0] != '\0' ? error->detail : sk__http_reason(http));
	if (http == 401)
		sk_reply_header(&request->reply, "WWW-Authenticate", "Bearer");
	if (http == 503 || http == 429)
		sk_reply_header(&request->reply, "Retry-After",
				sk_arena_printf(request->context.arena, "%d", retry_s));
}

/* ---- bytes ---- */

/* A buffer for an answer with so many bytes of body. What is kept from request to request
 * has the size of a usual answer; a larger one is the arena's. */
static struct sk_buf room_for(struct sk_request *request, size_t body_len)
{
	size_t capacity = HEAD_MAX_BYTES + body_len;
	char *data;

	if (capacity > KEPT_BYTES) {
		data = sk_arena_alloc(request->context.arena, capacity);
	} else {
		capacity = KEPT_BYTES;
		if (request->kept == NULL)
			request->kept = malloc(KEPT_BYTES);
		if (request->kept == NULL)
			abort();
		data = request->kept;
	}
	return (struct sk_buf) { .arena = request->context.arena,
				 .data = data,
				 .capacity = capacity,
				 .max_bytes = capacity - 1 };
}

const char *sk__reply_bytes(struct sk_request *request, bool head_only, size_t *len)
{
	struct sk_reply *reply = &request->reply;
	char traceparent[SK_TRACEPARENT_BYTES];
	struct sk_buf out;

	if (reply->json != NULL) {
		reply->data = sk_buf_text(&reply->json->buf);
		reply->len = reply->json->buf.len;
	}
	out = room_for(request, reply->len);
	sk_buf_printf(&out, "HTTP/1.1 %d %s\r\n", reply->status, sk__http_reason(reply->status));
	if (reply->content_type != NULL)
		sk_buf_printf(&out, "Content-Type: %s\r\n", reply->content_type);
	if (reply->status != 304 && reply->status != 204 && reply->plan.read == NULL)
		sk_buf_printf(&out, "Content-Length: %zu\r\n", reply->len);
	sk_buf_printf(&out, "traceparent: %s\r\n",
		      sk_trace_format(&request->context.trace, traceparent));
	for (int i = 0; i < reply->headers_count; i++)
		sk_buf_printf(&out, "%s: %s\r\n", reply->headers[i].name, reply->headers[i].value);
	sk_buf_puts(&out, request->close ? "Connection: close\r\n\r\n" : "\r\n");
	if (!head_only && reply->len > 0 && reply->status != 304 && reply->status != 204)
		sk_buf_put(&out, reply->data, reply->len);
	assert(sk_buf_ok(&out)); /* sk_reply_header keeps the head within its bound */
	*len = out.len;
	return sk_buf_text(&out);
}
