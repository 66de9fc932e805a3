/* Valkey: sessions, codes and reset tokens, each under a hash of its secret.
 *
 *     session:<SHA-256 of the token>  a hash; every service reads it (sk_auth.h)
 *     session:account:<account id>    session id -> token hash: the account's sessions
 *     otp:<account id>                the one code that is good now, and its tries
 *     otp:<account id>:misses         wrong codes of a day
 *     reset:<SHA-256 of the token>    whose password it may replace
 *
 * The index may name sessions that expired; whoever reads it clears them. The other
 * way round cannot be: a session enters both in one step (functions/session.lua). */
#include "session.h"

#include <stdlib.h>
#include <string.h>

#include "sk_kv.h"

#define FIELD_CREATED	 "created_at" /* microseconds */
#define FIELD_CREDENTIAL "credential_version"
#define FIELD_KEPT	 "kept_by"
#define FIELD_USER_AGENT "user_agent"
#define FIELD_ADDRESS	 "address"

#define DAY_S "86400"

static const char *token_key(struct sk_arena *arena, const char *token_hash)
{
	return sk_arena_printf(arena, "session:%s", token_hash);
}

static const char *index_key(struct sk_arena *arena, const char *account_id)
{
	return sk_arena_printf(arena, "session:account:%s", account_id);
}

/* A command that changes something. */
static enum sk_status write_kv(struct sk_kv *kv, struct sk_context *context,
			       struct sk_kv_command command, struct sk_kv_reply *reply)
{
	enum sk_status st;

	sk_crash_here(SK_CRASH_KV_BEFORE_WRITE);
	st = sk_kv_run(kv, context, command, reply);
	sk_crash_here(SK_CRASH_KV_AFTER_WRITE);
	return st;
}

enum sk_status session_cache_open(struct sk_kv *kv, struct sk_context *context,
				  const struct session_record *session, int64_t *open_sessions)
{
	struct sk_arena *arena = context->arena;
	struct sk_kv_reply reply;
	enum sk_status st = write_kv(
		kv, context,
		SK_KV("FCALL", "souk_session_open", "2", token_key(arena, session->token_hash),
		      index_key(arena, session->account_id),
		      sk_kv_number(arena, session->last_seen_s + SK_SESSION_TTL_S), session->id,
		      session->token_hash, SK_SESSION_FIELD_ID, session->id,
		      SK_SESSION_FIELD_ACCOUNT, session->account_id, SK_SESSION_FIELD_EMAIL,
		      session->email, SK_SESSION_FIELD_ROLE, sk_role_name(session->role),
		      SK_SESSION_FIELD_SEEN, sk_kv_number(arena, session->last_seen_s),
		      FIELD_CREATED, sk_kv_number(arena, session->created_at_us), FIELD_CREDENTIAL,
		      sk_kv_number(arena, session->credential_version), FIELD_KEPT, "",
		      FIELD_USER_AGENT, session->user_agent, FIELD_ADDRESS, session->address),
		&reply);

	if (st == SK_OK)
		*open_sessions = reply.number;
	return st;
}

enum sk_status session_cache_prolong(struct sk_kv *kv, struct sk_context *context,
				     const struct session_record *session)
{
	struct sk_arena *arena = context->arena;

	return write_kv(kv, context,
			SK_KV("FCALL", "souk_session_prolong", "2",
			      token_key(arena, session->token_hash),
			      index_key(arena, session->account_id),
			      sk_kv_number(arena, session->last_seen_s),
			      sk_kv_number(arena, session->last_seen_s + SK_SESSION_TTL_S)),
			NULL);
}

enum sk_status session_cache_close(struct sk_kv *kv, struct sk_context *context,
				   const struct session_record *session)
{
	struct sk_kv_reply reply;
	enum sk_status st = write_kv(kv, context,
				     SK_KV("FCALL", "souk_session_close", "2",
					   token_key(context->arena, session->token_hash),
					   index_key(context->arena, session->account_id),
					   session->id),
				     &reply);

	if (st == SK_OK && reply.number == 0)
		return sk_fail(context, SK_NOT_FOUND, "session_not_found",
			       "there is no such session");
	return st;
}

enum sk_status session_cache_keep(struct sk_kv *kv, struct sk_context *context,
				  const struct session_record *session, const char *event_id)
{
	return write_kv(kv, context,
			SK_KV("FCALL", "souk_session_keep", "1",
			      token_key(context->arena, session->token_hash), event_id),
			NULL);
}

/* ---- reading ---- */

enum {
	AT_ID,
	AT_ACCOUNT,
	AT_EMAIL,
	AT_ROLE,
	AT_SEEN,
	AT_CREATED,
	AT_CREDENTIAL,
	AT_KEPT,
	AT_USER_AGENT,
	AT_ADDRESS,
	FIELDS
};

static struct sk_kv_command read_command(struct sk_arena *arena, const char *token_hash)
{
	static const char *const NAMES[FIELDS] = {
		[AT_ID] = SK_SESSION_FIELD_ID,	     [AT_ACCOUNT] = SK_SESSION_FIELD_ACCOUNT,
		[AT_EMAIL] = SK_SESSION_FIELD_EMAIL, [AT_ROLE] = SK_SESSION_FIELD_ROLE,
		[AT_SEEN] = SK_SESSION_FIELD_SEEN,   [AT_CREATED] = FIELD_CREATED,
		[AT_CREDENTIAL] = FIELD_CREDENTIAL,  [AT_KEPT] = FIELD_KEPT,
		[AT_USER_AGENT] = FIELD_USER_AGENT,  [AT_ADDRESS] = FIELD_ADDRESS,
	};
	const char **argv = sk_arena_array(arena, FIELDS + 2, sizeof(*argv));

	argv[0] = "HMGET";
	argv[1] = token_key(arena, token_hash);
	memcpy(argv + 2, NAMES, sizeof(NAMES));
	return (struct sk_kv_command) { argv, NULL, FIELDS + 2 };
}

static const char *field_text(const struct sk_kv_reply *reply, int at)
{
	const struct sk_kv_reply *field = &reply->items[at];

	return field->kind == SK_KV_TEXT ? field->text : "";
}

static int64_t field_number(const struct sk_kv_reply *reply, int at)
{
	return strtoll(field_text(reply, at), NULL, 10);
}

/* False where the session is gone. */
static bool read_session(const struct sk_kv_reply *reply, const char *token_hash,
			 struct session_record *session)
{
	if (reply->kind != SK_KV_LIST || reply->count != FIELDS ||
	    reply->items[AT_ID].kind != SK_KV_TEXT)
		return false;
	*session = (struct session_record) {
		.id = field_text(reply, AT_ID),
		.token_hash = token_hash,
		.account_id = field_text(reply, AT_ACCOUNT),
		.email = field_text(reply, AT_EMAIL),
		.role = sk_role_parse(field_text(reply, AT_ROLE)),
		.credential_version = field_number(reply, AT_CREDENTIAL),
		.created_at_us = field_number(reply, AT_CREATED),
		.last_seen_s = field_number(reply, AT_SEEN),
		.kept_by = field_text(reply, AT_KEPT),
		.user_agent = field_text(reply, AT_USER_AGENT),
		.address = field_text(reply, AT_ADDRESS),
	};
	return true;
}

/* Keeps the sessions that are there; the index loses its places of those that are not. */
static enum sk_status read_sessions(struct sk_kv *kv, struct sk_context *context,
				    const char *account_id, const struct sk_kv_reply *index,
				    struct session_records *records)
{
	struct sk_arena *arena = context->arena;
	size_t places = index->count / 2, expired = 0;
	struct sk_kv_command *commands = sk_arena_array(arena, places, sizeof(*commands));
	struct sk_kv_reply *replies = sk_arena_array(arena, places, sizeof(*replies));
	const char **clear = sk_arena_array(arena, places + 2, sizeof(*clear));
	enum sk_status st;

	for (size_t i = 0; i < places; i++)
		commands[i] = read_command(arena, index->items[2 * i + 1].text);
	st = sk_kv_pipeline(kv, context, commands, places, replies);
	if (st != SK_OK)
		return st;
	clear[0] = "HDEL";
	clear[1] = index_key(arena, account_id);
	records->list = sk_arena_array(arena, places, sizeof(*records->list));
	for (size_t i = 0; i < places; i++) {
		if (read_session(&replies[i], index->items[2 * i + 1].text,
				 &records->list[records->count]))
			records->count++;
		else
			clear[2 + expired++] = index->items[2 * i].text;
	}
	if (expired > 0)
		st = sk_kv_run(kv, context, (struct sk_kv_command) { clear, NULL, expired + 2 },
			       NULL);
	return st;
}

enum sk_status session_cache_list(struct sk_kv *kv, struct sk_context *context,
				  const char *account_id, struct session_records *records)
{
	struct sk_kv_reply index;
	enum sk_status st = sk_kv_run(
		kv, context, SK_KV("HGETALL", index_key(context->arena, account_id)), &index);

	*records = (struct session_records) { NULL, 0 };
	if (st != SK_OK || index.kind != SK_KV_LIST || index.count < 2)
		return st;
	return read_sessions(kv, context, account_id, &index, records);
}

enum sk_status session_cache_find(struct sk_kv *kv, struct sk_context *context,
				  const char *account_id, const char *session_id,
				  struct session_record *session)
{
	struct sk_kv_reply place, reply = { .kind = SK_KV_NIL };
	enum sk_status st = sk_kv_run(
		kv, context, SK_KV("HGET", index_key(context->arena, account_id), session_id),
		&place);

	if (st == SK_OK && place.kind == SK_KV_TEXT)
		st = sk_kv_run(kv, context, read_command(context->arena, place.text), &reply);
	if (st != SK_OK)
		return st;
	if (!read_session(&reply, place.text, session))
		return sk_fail(context, SK_NOT_FOUND, "session_not_found",
			       "there is no such session");
	return SK_OK;
}

/* ---- codes ---- */

static const char *code_key(struct sk_arena *arena, const char *account_id)
{
	return sk_arena_printf(arena, "otp:%s", account_id);
}

enum sk_status session_cache_put_code(struct sk_kv *kv, struct sk_context *context,
				      const char *account_id, const char *digest)
{
	struct sk_arena *arena = context->arena;

	return write_kv(kv, context,
			SK_KV("FCALL", "souk_otp_put", "1", code_key(arena, account_id),
			      sk_kv_number(arena, SESSION_CODE_TTL_S), digest,
			      sk_kv_number(arena, SESSION_CODE_TRIES)),
			NULL);
}

enum sk_status session_cache_take_code(struct sk_kv *kv, struct sk_context *context,
				       const char *account_id, const char *digest, bool *right)
{
	struct sk_arena *arena = context->arena;
	struct sk_kv_reply reply;
	enum sk_status st = write_kv(
		kv, context,
		SK_KV("FCALL", "souk_otp_take", "2", code_key(arena, account_id),
		      sk_arena_printf(arena, "otp:%s:misses", account_id), digest,
		      sk_kv_number(arena, SESSION_CODE_MISSES_A_DAY), DAY_S),
		&reply);

	*right = st == SK_OK && reply.number == 1;
	return st;
}

/* ---- resets ---- */

static const char *reset_key(struct sk_arena *arena, const char *token_hash)
{
	return sk_arena_printf(arena, "reset:%s", token_hash);
}

enum sk_status session_cache_put_reset(struct sk_kv *kv, struct sk_context *context,
				       const char *token_hash, const struct session_reset *reset)
{
	struct sk_arena *arena = context->arena;
	const char *value = sk_arena_printf(arena, "%s %lld", reset->account_id,
					    (long long)reset->credential_version);

	return write_kv(kv, context,
			SK_KV("SET", reset_key(arena, token_hash), value, "EX",
			      sk_kv_number(arena, SESSION_RESET_TTL_S)),
			NULL);
}

enum sk_status session_cache_get_reset(struct sk_kv *kv, struct sk_context *context,
				       const char *token_hash, struct session_reset *reset)
{
	struct sk_kv_reply reply;
	enum sk_status st = sk_kv_run(kv, context,
				      SK_KV("GET", reset_key(context->arena, token_hash)), &reply);
	const char *space;

	if (st != SK_OK)
		return st;
	space = reply.kind == SK_KV_TEXT ? strchr(reply.text, ' ') : NULL;
	if (space == NULL)
		return sk_fail(context, SK_NOT_FOUND, "reset_token_unknown",
			       "the token is unknown, used or expired");
	reset->account_id = sk_arena_memdup(context->arena, reply.text,
					    (size_t)(space - reply.text));
	reset->credential_version = strtoll(space + 1, NULL, 10);
	return SK_OK;
}

enum sk_status session_cache_drop_reset(struct sk_kv *kv, struct sk_context *context,
					const char *token_hash)
{
	return write_kv(kv, context, SK_KV("DEL", reset_key(context->arena, token_hash)), NULL);
}
