/* One-time codes, resets, and the end of what an old password opened.
 *
 * Whoever asks for a code or a reset learns nothing: the answer is the same whether
 * or not the account exists, and the secret travels by mail only.
 *
 * A reset token is good once because of PostgreSQL, not of Valkey: it names the
 * version of the password that it may replace, and the update is conditional on it.
 * So a token also dies with any other change of the password, two requests with it
 * cannot both win, and a failure in between costs no token.
 *
 * A change of the password ends every session that an older one opened, twice:
 * at once, and again by our own event (events.c), which the outbox does not lose. */
#include "session.h"

#include <sodium.h>

#include "sk_audit.h"

static const struct sk_ratelimit_class CODES_OF_ACCOUNT = { "session-code", 5, 5 };
static const struct sk_ratelimit_class RESETS_OF_ACCOUNT = { "session-reset", 5, 5 };
/* Wrong tokens of one address that are told to the audit log. */
static const struct sk_ratelimit_class WRONG_TOKENS = { "session-reset-refused", 10, 20 };

/* SK_OK with known false where no account has the address. */
static enum sk_status find(struct session_service *service, struct sk_context *context,
			   const char *email, struct session_account *account, bool *known)
{
	enum sk_status st = session_store_find_by_email(service->parts->pg, context, email,
							account);

	*known = st == SK_OK;
	if (st != SK_NOT_FOUND)
		return st;
	sk_context_clear_error(context);
	return SK_OK;
}

struct telling {
	const struct session_account *account;
	const char *secret;
	int64_t expires_at_us;
};

static enum sk_status tell_code(struct sk_tx *tx, void *arg)
{
	const struct telling *telling = arg;
	enum sk_status st = session_tell_code(tx, telling->account, telling->secret,
					      telling->expires_at_us);

	return st == SK_OK
		       ? sk_audit_action(tx, "otp.requested", "account", telling->account->id, NULL)
		       : st;
}

enum sk_status session_request_code(struct session_service *service, struct sk_context *context,
				    const char *email)
{
	struct session_account account;
	struct telling telling = {
		.account = &account,
		.secret = session_code_text(context->arena, randombytes_uniform(1000000)),
		.expires_at_us = context->now_us + SESSION_CODE_TTL_S * SK_SECOND_US,
	};
	bool known = false;
	enum sk_status st = session_limit(service, context, &CODES_OF_ACCOUNT, email);

	if (st == SK_OK)
		st = find(service, context, email, &account, &known);
	if (st != SK_OK || !known)
		return st;
	st = session_cache_put_code(
		service->parts->kv, context, account.id,
		session_code_digest(context->arena, account.id, telling.secret));
	if (st == SK_OK)
		st = sk_pg_transact(service->parts->pg, context, tell_code, &telling);
	return st;
}

static enum sk_status tell_reset(struct sk_tx *tx, void *arg)
{
	const struct telling *telling = arg;
	enum sk_status st = session_tell_reset(tx, telling->account, telling->secret,
					       telling->expires_at_us);

	return st == SK_OK ? sk_audit_action(tx, "password_reset.requested", "account",
					     telling->account->id, NULL)
			   : st;
}

enum sk_status session_request_reset(struct session_service *service, struct sk_context *context,
				     const char *email)
{
	struct session_account account;
	struct session_reset reset;
	struct telling telling = {
		.account = &account,
		.secret = sk_token_make(context->arena),
		.expires_at_us = context->now_us + SESSION_RESET_TTL_S * SK_SECOND_US,
	};
	bool known = false;
	enum sk_status st = session_limit(service, context, &RESETS_OF_ACCOUNT, email);

	if (st == SK_OK)
		st = find(service, context, email, &account, &known);
	if (st != SK_OK || !known)
		return st;
	reset = (struct session_reset) { account.id, account.credential_version };
	st = session_cache_put_reset(service->parts->kv, context,
				     sk_token_hash(context->arena, telling.secret), &reset);
	if (st == SK_OK)
		st = sk_pg_transact(service->parts->pg, context, tell_reset, &telling);
	return st;
}

/* ---- the reset itself ---- */

struct resetting {
	struct session_reset reset;
	struct session_account account;
	const char *hash;
	const char *event_id;
};

static enum sk_status reset_in(struct sk_tx *tx, void *arg)
{
	struct resetting *resetting = arg;
	struct session_account *account = &resetting->account;
	enum sk_status st = session_store_replace_password(tx, resetting->reset.account_id,
							   resetting->reset.credential_version,
							   resetting->hash, account);

	if (st != SK_OK)
		return st;
	session_act_as(&sk_tx_context(tx)->actor, account);
	st = session_tell_password(tx, account, resetting->event_id);
	if (st == SK_OK)
		st = sk_audit_action(tx, "password.reset", "account", account->id, NULL);
	return st;
}

static enum sk_status token_unknown(struct session_service *service, struct sk_context *context)
{
	sk_context_clear_error(context);
	if (sk_ratelimit_take(service->parts->ratelimiter, context, &WRONG_TOKENS,
			      context->actor.address)
		    .allowed)
		session_audit_refusal(
			service, context,
			(struct session_refusal) { "password_reset.refused", NULL,
						   "the token is unknown, used or expired" });
	return sk_fail(context, SK_NOT_FOUND, "reset_token_unknown",
		       "the token is unknown, used or expired");
}

enum sk_status session_reset_password(struct session_service *service, struct sk_context *context,
				      const char *token, const char *password)
{
	struct resetting resetting = { .event_id = sk_id_make(context->arena) };
	const char *token_hash = sk_token_hash(context->arena, token);
	enum sk_status st;

	if (!session_token_valid(token))
		return token_unknown(service, context);
	st = session_cache_get_reset(service->parts->kv, context, token_hash, &resetting.reset);
	if (st == SK_OK)
		st = session_password_hash(service->hasher, context, password, &resetting.hash);
	if (st == SK_OK)
		st = sk_pg_transact(service->parts->pg, context, reset_in, &resetting);
	if (st == SK_CONFLICT || st == SK_NOT_FOUND)
		return token_unknown(service, context);
	if (st != SK_OK)
		return st;
	st = session_end_outdated(service, context, &resetting.account, resetting.event_id);
	if (st == SK_OK)
		st = session_cache_drop_reset(service->parts->kv, context, token_hash);
	if (st != SK_OK) {
		sk_log_failure(SK_LOG_WARN, context, "sessions end when the event arrives");
		sk_context_clear_error(context);
	}
	return SK_OK;
}

enum sk_status session_end_outdated(struct session_service *service, struct sk_context *context,
				    const struct session_account *account, const char *event_id)
{
	struct session_records records;
	enum sk_status st = session_cache_list(service->parts->kv, context, account->id, &records);

	for (size_t i = 0; st == SK_OK && i < records.count; i++) {
		if (session_outlives_change(&records.list[i], account->version, event_id))
			continue;
		st = session_cache_close(service->parts->kv, context, &records.list[i]);
		if (st == SK_NOT_FOUND) { /* it ended by itself meanwhile */
			sk_context_clear_error(context);
			st = SK_OK;
		}
	}
	return st;
}
