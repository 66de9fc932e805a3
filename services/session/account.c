#include "session.h"

#include "sk_audit.h"

enum sk_status session_register(struct sk_tx *tx, struct session_account *account)
{
	enum sk_status st = session_store_insert(tx, account);

	if (st != SK_OK)
		return st;
	session_act_as(&sk_tx_context(tx)->actor, account);
	st = session_tell_registered(tx, account);
	if (st == SK_OK)
		st = sk_audit_action(tx, "account.registered", "account", account->id, NULL);
	return st;
}

/* ---- changes ---- */

struct changing {
	const struct session_change *change;
	struct session_account *account;
	int64_t proved_version; /* of the password that was proved */
	const char *hash;	/* of the new password; NULL: it stays */
	const char *event_id;	/* of the password's change */
};

static enum sk_status change_in(struct sk_tx *tx, void *arg)
{
	struct changing *changing = arg;
	struct session_account *account = changing->account;
	enum sk_status st = SK_OK;

	if (changing->change->name != NULL) {
		st = session_store_rename(tx, account->id, changing->change->name, account);
		if (st == SK_OK)
			st = session_tell_updated(tx, account);
		if (st == SK_OK)
			st = sk_audit_action(tx, "account.updated", "account", account->id, NULL);
	}
	if (st != SK_OK || changing->hash == NULL)
		return st;
	st = session_store_replace_password(tx, account->id, changing->proved_version,
					    changing->hash, account);
	if (st == SK_OK)
		st = session_tell_password(tx, account, changing->event_id);
	if (st == SK_OK)
		st = sk_audit_action(tx, "password.changed", "account", account->id, NULL);
	return st;
}

static enum sk_status prove_password(struct session_service *service, struct sk_context *context,
				     const char *password, const struct session_account *account)
{
	bool right = false;
	enum sk_status st = session_limit(service, context, &service->logins, account->email);

	if (st == SK_OK)
		st = session_password_verify(service->hasher, context, account->password_hash,
					     password, &right);
	if (st == SK_OK && !right)
		st = sk_fail(context, SK_FORBIDDEN, "wrong_password",
			     "the current password is wrong");
	return st;
}

/* Marks the session of this request before the commit, so that no consumer of the
 * change can be faster than the mark. A change that is rolled back leaves a mark
 * that no event will ever name. */
static enum sk_status keep_this_session(struct session_service *service, struct sk_context *context,
					const char *event_id)
{
	struct session_record session;
	enum sk_status st = session_cache_find(service->parts->kv, context,
					       context->actor.account_id, context->actor.session_id,
					       &session);

	if (st == SK_NOT_FOUND) {
		sk_context_clear_error(context);
		return SK_OK;
	}
	if (st == SK_OK)
		st = session_cache_keep(service->parts->kv, context, &session, event_id);
	return st;
}

static enum sk_status prepare_password(struct session_service *service, struct sk_context *context,
				       struct changing *changing)
{
	const struct session_change *change = changing->change;
	enum sk_status st = prove_password(service, context, change->current_password,
					   changing->account);

	changing->proved_version = changing->account->credential_version;
	if (st == SK_OK)
		st = session_password_hash(service->hasher, context, change->password,
					   &changing->hash);
	if (st == SK_OK)
		st = keep_this_session(service, context, changing->event_id);
	return st;
}

enum sk_status session_change_account(struct session_service *service, struct sk_context *context,
				      const struct session_change *change,
				      struct session_account *account)
{
	struct changing changing = {
		.change = change,
		.account = account,
		.event_id = sk_id_make(context->arena),
	};
	enum sk_status st = session_store_find(service->parts->pg, context,
					       context->actor.account_id, account);

	if (st == SK_OK && change->password != NULL)
		st = prepare_password(service, context, &changing);
	if (st == SK_OK)
		st = sk_pg_transact(service->parts->pg, context, change_in, &changing);
	if (st != SK_OK || changing.hash == NULL)
		return st;
	if (session_end_outdated(service, context, account, changing.event_id) != SK_OK) {
		sk_log_failure(SK_LOG_WARN, context, "sessions end when the event arrives");
		sk_context_clear_error(context);
	}
	return SK_OK;
}

/* ---- the first administrator ---- */

static enum sk_status insert_admin(struct sk_tx *tx, void *arg)
{
	return session_register(tx, arg);
}

static enum sk_status create_admin(struct session_service *service, struct sk_context *context,
				   const char *email)
{
	struct session_account admin = {
		.email = email,
		.name = "Administrator",
		.role = SK_ROLE_ADMIN,
	};
	const char *password = sk_config_text(service->parts->config, "SESSION_ADMIN_PASSWORD");
	enum sk_status st = session_password_hash(service->hasher, context, password,
						  &admin.password_hash);

	if (st == SK_OK)
		st = sk_pg_transact(service->parts->pg, context, insert_admin, &admin);
	if (st == SK_CONFLICT) /* another replica was faster */
		return SK_OK;
	if (st == SK_OK)
		sk_log(SK_LOG_INFO, context, "created the administrator's account");
	return st;
}

/* A sweep and not a step of the start, because the service starts without PostgreSQL too. */
enum sk_status session_ensure_admin(struct sk_context *context, void *app, bool *again)
{
	struct session_service *service = app;
	const char *email = sk_config_text(service->parts->config, "SESSION_ADMIN_EMAIL");
	struct session_account account;
	enum sk_status st;

	(void)again;
	if (service->admin_exists || *email == '\0')
		return SK_OK;
	st = session_store_find_by_email(service->parts->pg, context, email, &account);
	if (st == SK_NOT_FOUND) {
		sk_context_clear_error(context);
		st = create_admin(service, context, email);
	}
	service->admin_exists = st == SK_OK;
	return st;
}
