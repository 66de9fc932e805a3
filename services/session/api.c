#include "session.h"

#include <string.h>

/* Per client address. Registering is generous: a shop's own tools make accounts by the hundred. */
static const struct sk_ratelimit_class REGISTRATIONS = { "session-register", 600, 300 };
/* Per address; an office has many people behind one. The account's own limit is the strict one. */
static const struct sk_ratelimit_class LOGINS = { "session-login", 300, 150 };
static const struct sk_ratelimit_class RECOVERIES = { "session-recovery", 60, 60 };

/* ---- encoding ---- */

static void encode_account(struct sk_json *json, const char *key,
			   const struct session_account *account)
{
	sk_json_begin_object(json, key);
	sk_json_text(json, "id", account->id);
	sk_json_text(json, "email", account->email);
	sk_json_text(json, "name", account->name);
	sk_json_text(json, "role", sk_role_name(account->role));
	sk_json_time(json, "created_at", account->created_at_us);
	sk_json_time(json, "updated_at", account->updated_at_us);
	sk_json_end_object(json);
}

static void encode_session(struct sk_json *json, const struct session_record *session,
			   const struct sk_actor *actor)
{
	sk_json_begin_object(json, NULL);
	sk_json_text(json, "id", session->id);
	sk_json_bool(json, "current", strcmp(session->id, actor->session_id) == 0);
	sk_json_begin_object(json, "account");
	sk_json_text(json, "id", session->account_id);
	sk_json_text(json, "email", session->email);
	sk_json_text(json, "role", sk_role_name(session->role));
	sk_json_end_object(json);
	sk_json_time(json, "created_at", session->created_at_us);
	sk_json_time(json, "last_seen_at", session->last_seen_s * SK_SECOND_US);
	sk_json_time(json, "expires_at", session_expires_at_us(session));
	sk_json_text(json, "user_agent", session->user_agent);
	sk_json_text(json, "address", session->address);
	sk_json_end_object(json);
}

/* Answers with secrets or with what one person may see are nobody's to keep. */
static struct sk_json *private_reply(struct sk_reply *reply, int status)
{
	sk_reply_header(reply, "Cache-Control", "no-store");
	return sk_reply_json(reply, status);
}

/* ---- accounts ---- */

static enum sk_status register_in(struct sk_tx *tx, struct sk_request *request,
				  struct sk_reply *reply, void *arg)
{
	struct session_account *account = arg;
	enum sk_status st = session_register(tx, account);

	(void)request;
	if (st == SK_OK)
		encode_account(private_reply(reply, 201), NULL, account);
	return st;
}

/* POST /v1/accounts: the hash is made before the transaction, which it would keep open. */
static enum sk_status post_account(struct sk_request *request, struct sk_reply *reply, void *app)
{
	struct session_service *service = app;
	struct sk_context *context = sk_request_context(request);
	struct sk_fields fields = sk_request_fields(request);
	const char *password = sk_field_text(&fields, "password", SESSION_PASSWORD_MIN_BYTES,
					     SESSION_PASSWORD_MAX_BYTES, SK_FIELD_REQUIRED);
	struct session_account account = {
		.email = sk_field_email(&fields, "email", SK_FIELD_REQUIRED),
		.name = sk_field_text(&fields, "name", 1, SESSION_NAME_MAX_BYTES,
				      SK_FIELD_REQUIRED),
		.role = SK_ROLE_CUSTOMER,
	};
	enum sk_status st = sk_fields_finish(&fields, context);

	if (st == SK_OK)
		st = session_password_hash(service->hasher, context, password,
					   &account.password_hash);
	if (st == SK_OK)
		st = sk_request_transact(request, reply, service->parts->pg, register_in, &account);
	return st;
}

static enum sk_status get_account(struct sk_request *request, struct sk_reply *reply, void *app)
{
	struct session_service *service = app;
	struct session_account account;
	enum sk_status st = session_store_find(service->parts->pg, sk_request_context(request),
					       sk_request_actor(request)->account_id, &account);

	if (st == SK_OK)
		encode_account(private_reply(reply, 200), NULL, &account);
	return st;
}

static enum sk_status patch_account(struct sk_request *request, struct sk_reply *reply, void *app)
{
	struct sk_context *context = sk_request_context(request);
	struct sk_fields fields = sk_request_fields(request);
	struct session_change change = {
		.name = sk_field_text(&fields, "name", 1, SESSION_NAME_MAX_BYTES,
				      SK_FIELD_OPTIONAL),
		.password = sk_field_text(&fields, "password", SESSION_PASSWORD_MIN_BYTES,
					  SESSION_PASSWORD_MAX_BYTES, SK_FIELD_OPTIONAL),
	};
	struct session_account account;
	enum sk_status st;

	change.current_password = sk_field_text(
		&fields, "current_password", 1, SESSION_PASSWORD_MAX_BYTES,
		change.password == NULL ? SK_FIELD_OPTIONAL : SK_FIELD_REQUIRED);
	st = sk_fields_finish(&fields, context);
	if (st == SK_OK)
		st = session_change_account(app, context, &change, &account);
	if (st == SK_OK)
		encode_account(private_reply(reply, 200), NULL, &account);
	return st;
}

/* ---- sessions ---- */

static const char *cart_token_hash(struct sk_request *request)
{
	const char *token = sk_request_header(request, SK_CART_HEADER);

	if (token == NULL)
		token = sk_request_cookie(request, SK_CART_COOKIE);
	return session_token_valid(token) ? sk_token_hash(sk_request_arena(request), token) : "";
}

static enum sk_status decode_login(struct sk_request *request, struct session_login *login)
{
	struct sk_fields fields = sk_request_fields(request);
	bool by_code = sk_field_present(&fields, "otp");

	*login = (struct session_login) {
		.email = sk_field_email(&fields, "email", SK_FIELD_REQUIRED),
		.code = sk_field_text(&fields, "otp", 1, SESSION_PASSWORD_MAX_BYTES,
				      SK_FIELD_OPTIONAL),
		.password = sk_field_text(&fields, "password", 1, SESSION_PASSWORD_MAX_BYTES,
					  by_code ? SK_FIELD_OPTIONAL : SK_FIELD_REQUIRED),
		.cart_token_hash = cart_token_hash(request),
		.user_agent = session_user_agent(sk_request_arena(request),
						 sk_request_header(request, "User-Agent")),
	};
	if (by_code && login->password != NULL)
		sk_field_reject(&fields, "otp", "give a password or a one-time code, not both");
	return sk_fields_finish(&fields, sk_request_context(request));
}

/* POST /v1/sessions takes no Idempotency-Key: a kept answer would be a kept token. */
static enum sk_status post_session(struct sk_request *request, struct sk_reply *reply, void *app)
{
	struct session_login login;
	struct session_opened opened;
	struct sk_json *json;
	enum sk_status st = decode_login(request, &login);

	if (st == SK_OK)
		st = session_log_in(app, sk_request_context(request), &login, &opened);
	if (st != SK_OK)
		return st;
	sk_reply_cookie(reply, SK_SESSION_COOKIE, opened.token, SK_SESSION_TTL_S);
	json = private_reply(reply, 201);
	sk_json_begin_object(json, NULL);
	sk_json_text(json, "id", opened.session.id);
	sk_json_text(json, "token", opened.token);
	sk_json_time(json, "expires_at", session_expires_at_us(&opened.session));
	encode_account(json, "account", &opened.account);
	sk_json_end_object(json);
	return SK_OK;
}

static enum sk_status get_sessions(struct sk_request *request, struct sk_reply *reply, void *app)
{
	struct session_service *service = app;
	const struct sk_actor *actor = sk_request_actor(request);
	struct session_records records;
	struct sk_page page;
	struct sk_json *json;
	bool more;
	enum sk_status st = sk_request_page(request, &page);

	if (st == SK_OK)
		st = session_cache_list(service->parts->kv, sk_request_context(request),
					actor->account_id, &records);
	if (st != SK_OK)
		return st;
	more = session_records_page(&records, page.after, page.limit);
	json = private_reply(reply, 200);
	sk_json_begin_list(json);
	for (size_t i = 0; i < records.count; i++)
		encode_session(json, &records.list[i], actor);
	sk_json_end_list(json, more ? sk_cursor_make(sk_request_arena(request),
						     records.list[records.count - 1].id)
				    : NULL);
	return SK_OK;
}

static enum sk_status get_current(struct sk_request *request, struct sk_reply *reply, void *app)
{
	struct session_service *service = app;
	const struct sk_actor *actor = sk_request_actor(request);
	struct session_record session;
	enum sk_status st = session_cache_find(service->parts->kv, sk_request_context(request),
					       actor->account_id, actor->session_id, &session);

	if (st == SK_OK)
		encode_session(private_reply(reply, 200), &session, actor);
	return st;
}

static enum sk_status delete_current(struct sk_request *request, struct sk_reply *reply, void *app)
{
	enum sk_status st = session_log_out(app, sk_request_context(request),
					    sk_request_actor(request)->session_id);

	if (st != SK_OK)
		return st;
	sk_reply_cookie(reply, SK_SESSION_COOKIE, "", 0);
	sk_reply_empty(reply, 204);
	return SK_OK;
}

static enum sk_status delete_session(struct sk_request *request, struct sk_reply *reply, void *app)
{
	const char *id;
	enum sk_status st = sk_request_id(request, "id", &id);

	if (st == SK_OK)
		st = session_log_out(app, sk_request_context(request), id);
	if (st == SK_OK)
		sk_reply_empty(reply, 204);
	return st;
}

/* ---- one-time codes and resets ---- */

typedef enum sk_status request_fn(struct session_service *service, struct sk_context *context,
				  const char *email);

static enum sk_status accept_email(struct sk_request *request, struct sk_reply *reply,
				   request_fn *act, struct session_service *service)
{
	struct sk_fields fields = sk_request_fields(request);
	const char *email = sk_field_email(&fields, "email", SK_FIELD_REQUIRED);
	enum sk_status st = sk_fields_finish(&fields, sk_request_context(request));

	if (st == SK_OK)
		st = act(service, sk_request_context(request), email);
	if (st == SK_OK)
		sk_reply_empty(reply, 202);
	return st;
}

static enum sk_status post_code(struct sk_request *request, struct sk_reply *reply, void *app)
{
	return accept_email(request, reply, session_request_code, app);
}

static enum sk_status post_reset(struct sk_request *request, struct sk_reply *reply, void *app)
{
	return accept_email(request, reply, session_request_reset, app);
}

static enum sk_status put_reset(struct sk_request *request, struct sk_reply *reply, void *app)
{
	struct sk_fields fields = sk_request_fields(request);
	const char *password = sk_field_text(&fields, "password", SESSION_PASSWORD_MIN_BYTES,
					     SESSION_PASSWORD_MAX_BYTES, SK_FIELD_REQUIRED);
	enum sk_status st = sk_fields_finish(&fields, sk_request_context(request));

	if (st == SK_OK)
		st = session_reset_password(app, sk_request_context(request),
					    sk_request_param(request, "token"), password);
	if (st == SK_OK)
		sk_reply_empty(reply, 204);
	return st;
}

/* Logging in, registering and recovering look at no session: one that has expired in
 * a browser's cookie must not stand in the way of a new one. */
const struct sk_route SESSION_ROUTES[] = {
	{ "POST", "/v1/accounts", post_account, SK_OPEN, SK_BODY_JSON | SK_IDEMPOTENT, 0,
	  &REGISTRATIONS },
	{ "GET", "/v1/accounts/me", get_account, SK_CUSTOMER, 0, 0, NULL },
	{ "PATCH", "/v1/accounts/me", patch_account, SK_CUSTOMER, SK_BODY_JSON, 0, NULL },
	{ "POST", "/v1/sessions", post_session, SK_OPEN, SK_BODY_JSON, 0, &LOGINS },
	{ "GET", "/v1/sessions", get_sessions, SK_CUSTOMER, 0, 0, NULL },
	{ "GET", "/v1/sessions/current", get_current, SK_CUSTOMER, 0, 0, NULL },
	{ "DELETE", "/v1/sessions/current", delete_current, SK_CUSTOMER, 0, 0, NULL },
	{ "DELETE", "/v1/sessions/{id}", delete_session, SK_CUSTOMER, 0, 0, NULL },
	{ "POST", "/v1/otp", post_code, SK_OPEN, SK_BODY_JSON, 0, &RECOVERIES },
	{ "POST", "/v1/password-resets", post_reset, SK_OPEN, SK_BODY_JSON, 0, &RECOVERIES },
	{ "PUT", "/v1/password-resets/{token}", put_reset, SK_OPEN, SK_BODY_JSON, 0, &RECOVERIES },
	{ NULL, NULL, NULL, SK_OPEN, 0, 0, NULL },
};
