#include "sk_auth.h"

#include <stdlib.h>
#include <string.h>

#include "sk_id.h"
#include "sk_time.h"
#include "souk/sessions/v1/events.pb-c.h"

#define SEEN_INTERVAL_S 3600
#define TOKEN_MAX_BYTES 128

const char *sk_session_key(struct sk_arena *arena, const char *token)
{
	return sk_arena_printf(arena, "session:%s", sk_token_hash(arena, token));
}

static char *copy(struct sk_context *context, const char *text)
{
	return sk_arena_strdup(context->arena, text);
}

/* Tells the session service that the session is used, so that it prolongs it. */
static void announce(struct sk_bus *bus, struct sk_context *context, const char *token)
{
	Souk__Sessions__V1__SessionSeen seen;
	struct sk_event event = {
		.subject = sk_arena_printf(context->arena, "sessions.seen.%s",
					   context->actor.session_id),
		.body = &seen.base,
		/* One a session and hour, whichever replicas and services see it: the broker drops the others. */
		.id = sk_id_derive(context->arena,
				   sk_arena_printf(context->arena, "seen:%s:%lld",
						   context->actor.session_id,
						   (long long)(context->now_us / SK_HOUR_US))),
	};

	souk__sessions__v1__session_seen__init(&seen);
	seen.session_id = copy(context, context->actor.session_id);
	seen.account_id = copy(context, context->actor.account_id);
	seen.token_hash = copy(context, sk_token_hash(context->arena, token));
	if (sk_bus_publish(bus, context, &event) != SK_OK)
		sk_context_clear_error(context); /* the next request tells it */
}

static const char *text_of(const struct sk_kv_reply *reply)
{
	return reply->kind == SK_KV_TEXT ? reply->text : "";
}

static enum sk_status unknown(struct sk_context *context)
{
	return sk_fail(context, SK_UNAUTHENTICATED, "invalid_token",
		       "the session is not known or has ended");
}

enum sk_status sk_auth_actor(struct sk_kv *kv, struct sk_bus *bus, struct sk_context *context,
			     const char *token)
{
	struct sk_kv_reply reply;
	int64_t seen_s;
	enum sk_status st;

	if (token[0] == '\0' || strlen(token) > TOKEN_MAX_BYTES)
		return unknown(context);
	if (kv == NULL)
		return sk_fail(context, SK_UNAVAILABLE, "valkey_unavailable",
			       "sessions cannot be checked here");
	st = sk_kv_run(kv, context,
		       SK_KV("HMGET", sk_session_key(context->arena, token), SK_SESSION_FIELD_ID,
			     SK_SESSION_FIELD_ACCOUNT, SK_SESSION_FIELD_EMAIL,
			     SK_SESSION_FIELD_ROLE, SK_SESSION_FIELD_SEEN),
		       &reply);
	if (st != SK_OK)
		return st == SK_TIMEOUT ? SK_TIMEOUT : SK_UNAVAILABLE;
	if (reply.kind != SK_KV_LIST || reply.count != 5 || reply.items[1].kind != SK_KV_TEXT)
		return unknown(context);
	context->actor.session_id = text_of(&reply.items[0]);
	context->actor.account_id = text_of(&reply.items[1]);
	context->actor.email = text_of(&reply.items[2]);
	context->actor.role = sk_role_parse(text_of(&reply.items[3]));
	seen_s = strtoll(text_of(&reply.items[4]), NULL, 10);
	if (bus != NULL && context->now_us / SK_SECOND_US - seen_s > SEEN_INTERVAL_S)
		announce(bus, context, token);
	return SK_OK;
}
