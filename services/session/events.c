#include "session.h"

#include <string.h>

#include "souk/sessions/v1/events.pb-c.h"

#define TOKEN_HASH_CHARACTERS 64

/* ---- published ---- */

/* protobuf-c's strings are not const; a copy in the arena is cheaper than a doubtful cast. */
static char *text(struct sk_tx *tx, const char *value)
{
	return sk_arena_strdup(sk_tx_arena(tx), value);
}

static enum sk_status tell(struct sk_tx *tx, const char *what, const char *account_id,
			   const ProtobufCMessage *body)
{
	struct sk_event event = {
		.subject = sk_arena_printf(sk_tx_arena(tx), "sessions.%s.%s", what, account_id),
		.body = body,
	};

	return sk_outbox_add(tx, &event);
}

enum sk_status session_tell_registered(struct sk_tx *tx, const struct session_account *account)
{
	Souk__Sessions__V1__AccountRegistered body;

	souk__sessions__v1__account_registered__init(&body);
	body.account_id = text(tx, account->id);
	body.version = account->version;
	body.email = text(tx, account->email);
	body.name = text(tx, account->name);
	return tell(tx, "registered", account->id, &body.base);
}

enum sk_status session_tell_updated(struct sk_tx *tx, const struct session_account *account)
{
	Souk__Sessions__V1__AccountUpdated body;

	souk__sessions__v1__account_updated__init(&body);
	body.account_id = text(tx, account->id);
	body.version = account->version;
	body.email = text(tx, account->email);
	body.name = text(tx, account->name);
	body.role = text(tx, sk_role_name(account->role));
	return tell(tx, "updated", account->id, &body.base);
}

enum sk_status session_tell_opened(struct sk_tx *tx, const struct session_account *account,
				   const char *session_id, const char *cart_token_hash)
{
	Souk__Sessions__V1__SessionOpened body;

	souk__sessions__v1__session_opened__init(&body);
	body.account_id = text(tx, account->id);
	body.version = account->version;
	body.session_id = text(tx, session_id);
	body.cart_token_hash = text(tx, cart_token_hash);
	return tell(tx, "opened", account->id, &body.base);
}

enum sk_status session_tell_closed(struct sk_tx *tx, const struct session_account *account,
				   const char *session_id)
{
	Souk__Sessions__V1__SessionClosed body;

	souk__sessions__v1__session_closed__init(&body);
	body.account_id = text(tx, account->id);
	body.version = account->version;
	body.session_id = text(tx, session_id);
	return tell(tx, "closed", account->id, &body.base);
}

enum sk_status session_tell_code(struct sk_tx *tx, const struct session_account *account,
				 const char *code, int64_t expires_at_us)
{
	Souk__Sessions__V1__OtpRequested body;

	souk__sessions__v1__otp_requested__init(&body);
	body.account_id = text(tx, account->id);
	body.version = account->version;
	body.email = text(tx, account->email);
	body.name = text(tx, account->name);
	body.code = text(tx, code);
	body.expires_at_us = expires_at_us;
	return tell(tx, "otp_requested", account->id, &body.base);
}

enum sk_status session_tell_reset(struct sk_tx *tx, const struct session_account *account,
				  const char *token, int64_t expires_at_us)
{
	Souk__Sessions__V1__PasswordResetRequested body;

	souk__sessions__v1__password_reset_requested__init(&body);
	body.account_id = text(tx, account->id);
	body.version = account->version;
	body.email = text(tx, account->email);
	body.name = text(tx, account->name);
	body.token = text(tx, token);
	body.expires_at_us = expires_at_us;
	return tell(tx, "reset_requested", account->id, &body.base);
}

enum sk_status session_tell_password(struct sk_tx *tx, const struct session_account *account,
				     const char *event_id)
{
	Souk__Sessions__V1__PasswordChanged body;
	struct sk_event event = {
		.subject = sk_arena_printf(sk_tx_arena(tx), "sessions.password_changed.%s",
					   account->id),
		.body = &body.base,
		.id = event_id,
	};

	souk__sessions__v1__password_changed__init(&body);
	body.account_id = text(tx, account->id);
	body.version = account->version;
	body.email = text(tx, account->email);
	body.name = text(tx, account->name);
	return sk_outbox_add(tx, &event);
}

/* ---- consumed: two of our own stream, effects in Valkey that may be repeated ---- */

/* A session that any service saw lives another 30 days from then. */
static enum sk_status on_seen(struct sk_tx *tx, const struct sk_message *message, void *app)
{
	const Souk__Sessions__V1__SessionSeen *seen =
		(const Souk__Sessions__V1__SessionSeen *)message->body;
	struct session_service *service = app;
	struct session_record session = {
		.token_hash = seen->token_hash,
		.account_id = seen->account_id,
		.last_seen_s = message->delivery->time_us / SK_SECOND_US,
	};

	(void)tx;
	if (strlen(seen->token_hash) != TOKEN_HASH_CHARACTERS)
		return sk_fail(message->context, SK_INVALID, "invalid_message",
			       "token_hash is no SHA-256");
	return session_cache_prolong(service->parts->kv, message->context, &session);
}

/* The request that changed the password ended the sessions already, unless Valkey or the
 * process failed between its commit and that. This makes it certain. */
static enum sk_status on_password_changed(struct sk_tx *tx, const struct sk_message *message,
					  void *app)
{
	const Souk__Sessions__V1__PasswordChanged *changed =
		(const Souk__Sessions__V1__PasswordChanged *)message->body;
	struct session_account account = { .id = changed->account_id, .version = changed->version };

	(void)tx;
	return session_end_outdated(app, message->context, &account, message->delivery->id);
}

static const struct sk_handler SEEN[] = {
	{ &souk__sessions__v1__session_seen__descriptor, on_seen },
	{ NULL, NULL },
};

static const struct sk_handler PASSWORDS[] = {
	{ &souk__sessions__v1__password_changed__descriptor, on_password_changed },
	{ NULL, NULL },
};

const struct sk_consumer SESSION_CONSUMERS[] = {
	{ "session-seen", SESSION_STREAM, "sessions.seen.*", SEEN },
	{ "session-passwords", SESSION_STREAM, "sessions.password_changed.*", PASSWORDS },
	{ NULL, NULL, NULL, NULL },
};
