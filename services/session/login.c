/* Logging in: a proof becomes a session in Valkey and an event in PostgreSQL.
 *
 * The session is made first, the event (with which the guest's cart is merged) in
 * a transaction after it, and the token is told only when both are there. If the
 * transaction fails, the session is taken back and the shopper, who got no token,
 * tries again with the same cart: no merge is lost, and no event tells of a
 * session that never was. The other order would merge for a log-in that failed.
 *
 * The order also closes the race with a change of password. The transaction holds
 * the account's row and looks whether the password that was proved is still the one:
 * a change that committed before is seen here; one that commits later finds the session
 * in Valkey and ends it (session_end_outdated). */
#include "session.h"

#include "sk_audit.h"

enum sk_status session_limit(struct session_service *service, struct sk_context *context,
			     const struct sk_ratelimit_class *limit, const char *email)
{
	struct sk_ratelimit_verdict verdict = sk_ratelimit_take(
		service->parts->ratelimiter, context, limit,
		session_email_digest(context->arena, email));
	enum sk_status st;

	if (verdict.allowed)
		return SK_OK;
	st = sk_fail(context, SK_TOO_MANY, "too_many_attempts",
		     "too many attempts for this account; wait %d seconds", verdict.retry_after_s);
	context->error.retry_after_s = verdict.retry_after_s;
	return st;
}

/* ---- the proof ---- */

static enum sk_status prove_by_code(struct session_service *service, struct sk_context *context,
				    const char *code, const struct session_account *account,
				    bool *right)
{
	*right = false;
	if (account->id == NULL || !session_code_valid(code))
		return SK_OK;
	return session_cache_take_code(service->parts->kv, context, account->id,
				       session_code_digest(context->arena, account->id, code),
				       right);
}

/* An account that does not exist stays all NULL, and is refused like any other. */
static enum sk_status prove(struct session_service *service, struct sk_context *context,
			    const struct session_login *login, struct session_account *account,
			    bool *right)
{
	enum sk_status st = session_store_find_by_email(service->parts->pg, context, login->email,
							account);

	if (st == SK_NOT_FOUND) {
		sk_context_clear_error(context);
		*account = (struct session_account) { .id = NULL };
		st = SK_OK;
	}
	if (st != SK_OK)
		return st;
	if (login->password == NULL)
		return prove_by_code(service, context, login->code, account, right);
	return session_password_verify(service->hasher, context, account->password_hash,
				       login->password, right);
}

static enum sk_status record_refusal(struct sk_tx *tx, void *arg)
{
	const struct session_refusal *refusal = arg;

	return sk_audit_action(tx, refusal->action, "account", refusal->account_id,
			       refusal->detail);
}

void session_audit_refusal(struct session_service *service, struct sk_context *context,
			   struct session_refusal refusal)
{
	struct sk_error error = context->error;

	sk_context_clear_error(context);
	if (sk_pg_transact(service->parts->pg, context, record_refusal, &refusal) != SK_OK)
		sk_log_failure(SK_LOG_WARN, context, "a refusal is not in the audit log");
	context->error = error;
}

static enum sk_status refuse(struct session_service *service, struct sk_context *context,
			     const struct session_account *account)
{
	session_audit_refusal(
		service, context,
		(struct session_refusal) { "session.refused", account->id,
					   account->id == NULL ? "no such account" : NULL });
	return sk_fail(context, SK_UNAUTHENTICATED, "invalid_credentials",
		       "the e-mail address, the password or the code is wrong");
}

/* That somebody keeps guessing is told once a minute for each account: each guess would fill
 * the audit log, none would hide an attack. */
static void tell_throttled(struct session_service *service, struct sk_context *context,
			   const char *email)
{
	static const struct sk_ratelimit_class TELLINGS = { "session-throttled", 1, 1 };
	struct sk_error error = context->error;
	struct session_account account = { .id = NULL };

	if (!sk_ratelimit_take(service->parts->ratelimiter, context, &TELLINGS,
			       session_email_digest(context->arena, email))
		     .allowed)
		return;
	sk_context_clear_error(context);
	if (session_store_find_by_email(service->parts->pg, context, email, &account) != SK_OK)
		account.id = NULL;
	context->error = error;
	session_audit_refusal(
		service, context,
		(struct session_refusal) { "session.throttled", account.id, "too many attempts" });
}

/* ---- the session ---- */

struct recording {
	struct session_opened *opened;
	const struct session_login *login;
};

static enum sk_status record_opened(struct sk_tx *tx, void *arg)
{
	struct recording *recording = arg;
	struct session_account *account = &recording->opened->account;
	const struct session_record *session = &recording->opened->session;
	enum sk_status st = session_store_hold(tx, session->account_id, account);

	if (st == SK_OK && account->credential_version != session->credential_version)
		st = sk_fail(sk_tx_context(tx), SK_UNAUTHENTICATED, "invalid_credentials",
			     "the password was changed at this moment");
	if (st == SK_OK)
		st = session_tell_opened(tx, account, session->id,
					 recording->login->cart_token_hash);
	if (st == SK_OK)
		st = sk_audit_action(tx, "session.opened", "session", session->id, NULL);
	return st;
}

/* Ends the sessions over the limit; some later log-in does it where this fails. */
static enum sk_status trim_sessions(struct session_service *service, struct sk_context *context,
				    const char *account_id)
{
	struct session_records records;
	enum sk_status st = session_cache_list(service->parts->kv, context, account_id, &records);
	size_t surplus = st == SK_OK ? session_records_surplus(&records, SESSION_PER_ACCOUNT_MAX)
				     : 0;

	while (st == SK_OK && surplus-- > 0)
		st = session_cache_close(service->parts->kv, context,
					 &records.list[--records.count]);
	return st;
}

static enum sk_status rehash(struct session_service *service, struct sk_context *context,
			     const struct session_login *login,
			     const struct session_account *account)
{
	const char *hash;
	enum sk_status st;

	if (login->password == NULL ||
	    !session_password_outdated(service->hasher, account->password_hash))
		return SK_OK;
	st = session_password_hash(service->hasher, context, login->password, &hash);
	if (st == SK_OK)
		st = session_store_rehash(service->parts->pg, context, account, hash);
	return st;
}

/* What can wait for another log-in must not fail this one. */
static void tidy_up(struct session_service *service, struct sk_context *context,
		    const struct session_login *login, const struct session_opened *opened,
		    int64_t open_sessions)
{
	enum sk_status st = rehash(service, context, login, &opened->account);

	if (st == SK_OK && open_sessions > SESSION_PER_ACCOUNT_MAX)
		st = trim_sessions(service, context, opened->account.id);
	if (st != SK_OK) {
		sk_log_failure(SK_LOG_WARN, context, "tidying up after a log-in");
		sk_context_clear_error(context);
	}
}

static struct session_record new_session(struct sk_context *context,
					 const struct session_account *account,
					 const struct session_login *login, const char *token)
{
	return (struct session_record) {
		.id = sk_id_make(context->arena),
		.token_hash = sk_token_hash(context->arena, token),
		.account_id = account->id,
		.email = account->email,
		.role = account->role,
		.credential_version = account->credential_version,
		.created_at_us = context->now_us,
		.last_seen_s = context->now_us / SK_SECOND_US,
		.kept_by = "",
		.user_agent = login->user_agent,
		.address = context->actor.address,
	};
}

static enum sk_status open_session(struct session_service *service, struct sk_context *context,
				   const struct session_login *login, struct session_opened *opened)
{
	struct recording recording = { opened, login };
	int64_t open_sessions = 0;
	enum sk_status st;

	opened->token = sk_token_make(context->arena);
	opened->session = new_session(context, &opened->account, login, opened->token);
	st = session_cache_open(service->parts->kv, context, &opened->session, &open_sessions);
	if (st != SK_OK)
		return st;
	session_act_as(&context->actor, &opened->account);
	context->actor.session_id = opened->session.id;
	st = sk_pg_transact(service->parts->pg, context, record_opened, &recording);
	if (st != SK_OK) {
		sk_ignore(session_cache_close(service->parts->kv, context, &opened->session),
			  "nobody has its token; it expires unused");
		return st;
	}
	tidy_up(service, context, login, opened, open_sessions);
	return SK_OK;
}

enum sk_status session_log_in(struct session_service *service, struct sk_context *context,
			      const struct session_login *login, struct session_opened *opened)
{
	bool right = false;
	enum sk_status st = session_limit(service, context, &service->logins, login->email);

	if (st == SK_TOO_MANY)
		tell_throttled(service, context, login->email);
	if (st == SK_OK)
		st = prove(service, context, login, &opened->account, &right);
	if (st == SK_OK && !right)
		return refuse(service, context, &opened->account);
	if (st == SK_OK)
		st = open_session(service, context, login, opened);
	return st;
}

/* ---- logging out ---- */

static enum sk_status record_closed(struct sk_tx *tx, void *arg)
{
	const struct session_record *session = arg;
	struct session_account account;
	enum sk_status st = session_store_hold(tx, session->account_id, &account);

	if (st == SK_OK)
		st = session_tell_closed(tx, &account, session->id);
	if (st == SK_OK)
		st = sk_audit_action(tx, "session.closed", "session", session->id, NULL);
	return st;
}

enum sk_status session_log_out(struct session_service *service, struct sk_context *context,
			       const char *session_id)
{
	struct session_record session;
	enum sk_status st = session_cache_find(service->parts->kv, context,
					       context->actor.account_id, session_id, &session);

	if (st == SK_OK)
		st = session_cache_close(service->parts->kv, context, &session);
	if (st != SK_OK)
		return st;
	/* The session is over, and that is what was asked for: a record that cannot be
	 * written must not say otherwise, since no token is left to ask again with. */
	if (sk_pg_transact(service->parts->pg, context, record_closed, &session) != SK_OK) {
		sk_log_failure(SK_LOG_WARN, context, "a closed session is not in the audit log");
		sk_context_clear_error(context);
	}
	return SK_OK;
}
