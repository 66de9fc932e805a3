/* What is checked of a request before its handler runs, in order of what it costs us: framing
 * (nothing), the limit (one command of Valkey), conditions and query, the session (one command).
 *
 * civetweb 1.15 takes the first of two lengths, a length beside chunks, "5 apples" as
 * five, an unknown transfer coding as no body, and leaves out what comes after the 64th header.
 * A proxy in front may read each of them otherwise, and what one of them takes for a body
 * the other takes for a request (request smuggling, RFC 9112, 11.2). So all are refused. */
#include "sk_http_internal.h"

#include <string.h>
#include <strings.h>

#include <civetweb.h>

#include "sk_audit.h"
#include "sk_auth.h"
#include "sk_log.h"

/* ---- framing ---- */

/* How often the headers that frame a request occur, and whether they say what they may. */
struct framing {
	int lengths, encodings, hosts;
	bool odd;
};

static struct framing read_framing(const struct mg_request_info *info)
{
	struct framing framing = { .odd = info->num_headers >= MG_MAX_HEADERS };

	for (int i = 0; i < info->num_headers; i++) {
		const char *name = info->http_headers[i].name, *value = info->http_headers[i].value;

		if (strcasecmp(name, "Content-Length") == 0) {
			framing.lengths++;
			framing.odd |= value[0] == '\0' ||
				       value[strspn(value, "0123456789")] != '\0';
		} else if (strcasecmp(name, "Transfer-Encoding") == 0) {
			framing.encodings++;
			framing.odd |= strcasecmp(value, "chunked") != 0;
		} else if (strcasecmp(name, "Host") == 0) {
			framing.hosts++;
		}
	}
	return framing;
}

bool sk__guard_framing(struct sk_request *request)
{
	struct framing framing = read_framing(request->info);
	bool needs_host = strcmp(request->info->http_version, "1.0") != 0;

	request->body_expected = framing.encodings > 0 ? -1 : request->info->content_length;
	if (framing.encodings + framing.lengths == 0)
		request->body_expected = 0;
	request->body_taken = request->body_expected == 0;
	if (!framing.odd && framing.lengths + framing.encodings <= 1 && framing.hosts <= 1 &&
	    (framing.hosts == 1 || !needs_host))
		return true;
	request->close = request->body_taken = true; /* where it ends nobody knows */
	sk__reply_refuse(request, 400, "ambiguous_request",
			 "a request has one Host, one length and fewer than 64 headers");
	return false;
}

/* ---- conditions ---- */

/* What a client makes its request depend on. sk_request_header takes bytes that are no UTF-8 for
 * nothing, and without its condition the request would be done. */
static enum sk_status check_conditions(struct sk_request *request)
{
	static const char *const names[] = { "Idempotency-Key", "If-Match" };

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		const char *value = mg_get_header(request->connection, names[i]);

		if (value != NULL && sk_request_header(request, names[i]) == NULL)
			return sk_fail(&request->context, SK_MALFORMED, "malformed_header",
				       "%s is not in UTF-8", names[i]);
	}
	return SK_OK;
}

/* ---- sessions ---- */

bool sk__request_is_write(const struct sk_request *request)
{
	return strcmp(request->method, "GET") != 0 && strcmp(request->method, "HEAD") != 0;
}

/* The host of "https://host:port", compared with the one we were asked under. */
static bool same_host(const char *origin, const char *host)
{
	const char *at = origin != NULL ? strstr(origin, "://") : NULL;

	return at != NULL && host != NULL && strcasecmp(at + 3, host) == 0;
}

/* A browser sends cookies with requests that another site made it send. A write by cookie
 * must show that it comes from our own pages: by what browsers tell of its origin, or by a
 * header that only a script of ours can set. "same-site" does not do: every port of
 * localhost and every sister domain is that. */
static bool shows_own_origin(struct sk_request *request)
{
	const char *own = sk_request_header(request, "X-Souk-CSRF");
	const char *site = sk_request_header(request, "Sec-Fetch-Site");
	const char *origin = sk_request_header(request, "Origin");

	if (own != NULL && strcmp(own, "1") == 0)
		return true;
	if (site != NULL)
		return strcmp(site, "same-origin") == 0 || strcmp(site, "none") == 0;
	return same_host(origin, sk_request_header(request, "X-Forwarded-Host")) ||
	       same_host(origin, sk_request_header(request, "Host"));
}

/* The token of the request, NULL without one; *by_cookie says where it was. */
static const char *find_token(struct sk_request *request, bool *by_cookie)
{
	const char *header = sk_request_header(request, "Authorization");
	const char *cookie;

	*by_cookie = false;
	if (header != NULL && strncasecmp(header, "Bearer ", 7) == 0)
		return header + 7;
	cookie = sk_request_cookie(request, SK_SESSION_COOKIE);
	*by_cookie = cookie != NULL;
	return cookie;
}

static enum sk_role least_role(enum sk_route_access access)
{
	switch (access) {
	case SK_OPEN:
	case SK_GUEST:
		return SK_ROLE_NONE;
	case SK_CUSTOMER:
		return SK_ROLE_CUSTOMER;
	case SK_STAFF:
		return SK_ROLE_STAFF;
	case SK_ADMIN:
		return SK_ROLE_ADMIN;
	}
	return SK_ROLE_ADMIN;
}

/* Fills the actor from the token; its address was known before. */
static enum sk_status find_actor(struct sk_request *request, const char *token)
{
	struct sk_context *context = &request->context;
	const char *address = context->actor.address;
	enum sk_status st = sk_auth_actor(request->http->parts->kv, request->http->parts->bus,
					  context, token);

	context->actor.address = address;
	return st;
}

static enum sk_status authenticate(struct sk_request *request)
{
	const struct sk_route *row = request->route->row;
	struct sk_context *context = &request->context;
	const char *token;
	bool by_cookie;
	enum sk_status st;

	if (row->access == SK_OPEN || (row->flags & SK_ACCESS_BY_HANDLER) != 0)
		return SK_OK;
	token = find_token(request, &by_cookie);
	if (token == NULL)
		return row->access == SK_GUEST ? SK_OK
					       : sk_fail(context, SK_UNAUTHENTICATED, "no_token",
							 "a session is required");
	st = find_actor(request, token);
	if (st != SK_OK)
		return st;
	if (by_cookie && sk__request_is_write(request) && !shows_own_origin(request))
		return sk_fail(context, SK_FORBIDDEN, "csrf",
			       "a write by cookie must come from the shop's own pages");
	if (context->actor.role < least_role(row->access))
		return sk_fail(context, SK_FORBIDDEN, "forbidden", "the role %s does not suffice",
			       sk_role_name(context->actor.role));
	return SK_OK;
}

/* ---- limits ---- */

static enum sk_status count(struct sk_request *request)
{
	const struct sk_ratelimit_class *limit = request->route->row->limit;
	struct sk_ratelimiter *limiter = request->http->parts->ratelimiter;
	struct sk_context *context = &request->context;

	if (limit == NULL || limiter == NULL)
		return SK_OK;
	request->verdict = sk_ratelimit_take(limiter, context, limit, context->actor.address);
	request->counted = true;
	if (request->verdict.allowed)
		return SK_OK;
	context->error.retry_after_s = request->verdict.retry_after_s;
	return sk_fail(context, SK_TOO_MANY, "too_many_requests",
		       "too many requests; try again in %d s", request->verdict.retry_after_s);
}

void sk__guard_write_limit(struct sk_request *request)
{
	struct sk_arena *arena = request->context.arena;
	const struct sk_ratelimit_verdict *verdict = &request->verdict;

	if (!request->counted)
		return;
	sk_reply_header(&request->reply, "RateLimit-Limit",
			sk_arena_printf(arena, "%d", request->route->row->limit->burst));
	sk_reply_header(&request->reply, "RateLimit-Remaining",
			sk_arena_printf(arena, "%d", verdict->remaining));
	sk_reply_header(&request->reply, "RateLimit-Reset",
			sk_arena_printf(arena, "%d", verdict->reset_s));
}

/* ---- refusals ---- */

/* Entries of the audit log that one account, and one address, can cause by being refused. What comes
 * faster is in the access log alone: nobody fills the audit log by asking for what he may not. */
static const struct sk_ratelimit_class REFUSALS = { "refusals", 10, 20 };

static bool is_worth_an_entry(struct sk_request *request, const char *kind, const char *who)
{
	struct sk_context *context = &request->context;
	struct sk_ratelimiter *limiter = request->http->parts->ratelimiter;

	if (limiter == NULL || who[0] == '\0')
		return true;
	who = sk_arena_printf(context->arena, "%s:%s", kind, who);
	return sk_ratelimit_take(limiter, context, &REFUSALS, who).allowed;
}

/* The row's path and not the request's: that may hold a secret. The trace leads to the rest. */
static enum sk_status record_refusal(struct sk_tx *tx, void *arg)
{
	const struct sk_request *request = arg;
	const struct sk_route *row = request->route->row;

	return sk_audit_action(tx, "access.refused", "route",
			       sk_arena_printf(sk_tx_arena(tx), "%s %s", row->method, row->path),
			       request->refusal.code);
}

void sk__guard_record_refusal(struct sk_request *request)
{
	struct sk_context *context = &request->context;
	struct sk_pg *pg = request->http->parts->pg;

	if (pg == NULL || !is_worth_an_entry(request, "address", context->actor.address) ||
	    !is_worth_an_entry(request, "account", context->actor.account_id))
		return;
	request->refusal = context->error;
	sk_context_clear_error(context);
	if (sk_pg_transact(pg, context, record_refusal, request) != SK_OK)
		sk_log_failure(SK_LOG_WARN, context, "a refused access is not in the audit log");
	context->error = request->refusal;
}

bool sk__guard_admit(struct sk_request *request)
{
	enum sk_status st = count(request);

	if (st == SK_OK)
		st = check_conditions(request);
	if (st == SK_OK)
		st = sk__request_parse_query(request);
	if (st == SK_OK)
		st = authenticate(request);
	if (st != SK_OK)
		sk__reply_problem(request, st);
	return st == SK_OK;
}
