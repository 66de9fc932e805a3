/* The session service's own types, and the functions between its files.
 *
 * An account is PostgreSQL's and must be true tomorrow; a session, a one-time
 * code and a reset token are Valkey's and may be lost: the shopper logs in again. */
#ifndef SESSION_H
#define SESSION_H

#include "sk_service.h"

#define SESSION_PASSWORD_MIN_BYTES   8
#define SESSION_PASSWORD_MAX_BYTES   256 /* bounds the work of hashing what a stranger sends */
#define SESSION_NAME_MAX_BYTES	     200
#define SESSION_USER_AGENT_MAX_BYTES 200
#define SESSION_PER_ACCOUNT_MAX	     200 /* beyond it the one unused for longest is ended */

#define SESSION_CODE_DIGITS	  6
#define SESSION_CODE_TTL_S	  600
#define SESSION_CODE_TRIES	  5
#define SESSION_CODE_MISSES_A_DAY 30 /* of a million codes: one chance in 33,000 a day */
#define SESSION_RESET_TTL_S	  3600

#define SESSION_STREAM	    "sessions"
#define SESSION_SWEEP_ADMIN "session-admin"

struct session_account {
	const char *id, *email, *name, *password_hash;
	enum sk_role role;
	int64_t version;	    /* one more with each change */
	int64_t credential_version; /* the version that set the password */
	int64_t created_at_us, updated_at_us;
};

/* A session as Valkey keeps it under the hash of its token. */
struct session_record {
	const char *id, *token_hash, *account_id, *email;
	enum sk_role role;
	int64_t credential_version; /* of the password that opened it */
	int64_t created_at_us;
	int64_t last_seen_s;
	const char *kept_by; /* the password change that it outlives; "" */
	const char *user_agent, *address;
};

struct session_records {
	struct session_record *list;
	size_t count;
};

struct session_hasher;

struct session_service {
	struct sk_parts *parts;
	struct session_hasher *hasher;
	struct sk_ratelimit_class logins; /* of one account, whatever the address */
	bool admin_exists;		  /* only the sweep's thread looks at it */
};

/* ---- rules.c: pure ---- */

/* What stands for the address in keys of Valkey: hashed, since keys are seen by operators,
 * and the same for A@B.c and a@b.C. */
const char *session_email_digest(struct sk_arena *arena, const char *email);

/* number (0 to 999999) as a code; the digest that is kept instead of it. */
const char *session_code_text(struct sk_arena *arena, uint32_t number);
const char *session_code_digest(struct sk_arena *arena, const char *account_id, const char *code);
bool session_code_valid(const char *code);

/* Whether text could be one of our tokens: 43 characters of URL-safe base64. NULL is not. */
bool session_token_valid(const char *text);

/* The header cut to its limit, without control characters and half letters; "" for NULL. */
const char *session_user_agent(struct sk_arena *arena, const char *header);

/* Whether a session stays when the account's password changes in the given version. */
bool session_outlives_change(const struct session_record *session, int64_t version,
			     const char *event_id);

/* Who proved to be the account's owner is the actor from then on, for the audit log. */
void session_act_as(struct sk_actor *actor, const struct session_account *account);

int64_t session_expires_at_us(const struct session_record *session);

/* The page after the id `after` (NULL: the first), newest first. Sorts the records. True
 * where more follow. */
bool session_records_page(struct session_records *records, const char *after, int limit);

/* Moves the sessions beyond max that were not used for longest to the end; returns their number. */
size_t session_records_surplus(struct session_records *records, size_t max);

/* ---- password.c: argon2id, a bounded number at once ---- */

struct session_hashing {
	int64_t operations, memory_kib;
	int at_once;
};

SK_MUST_CHECK enum sk_status session_hasher_open(const struct session_hashing *options,
						 struct session_hasher **out,
						 struct sk_context *context);
void session_hasher_close(struct session_hasher **hasher);

/* SK_UNAVAILABLE where its turn did not come in half of the time left. Thread-safe. */
SK_MUST_CHECK enum sk_status session_password_hash(struct session_hasher *hasher,
						   struct sk_context *context, const char *password,
						   const char **hash);

/* hash NULL: nobody's password, refused after the same work. */
SK_MUST_CHECK enum sk_status session_password_verify(struct session_hasher *hasher,
						     struct sk_context *context, const char *hash,
						     const char *password, bool *right);

/* Whether hash was made with other parameters than those of now. */
bool session_password_outdated(const struct session_hasher *hasher, const char *hash);

/* ---- store.c: PostgreSQL. The strings live as long as the arena of the call ---- */

SK_MUST_CHECK enum sk_status session_store_find(struct sk_pg *pg, struct sk_context *context,
						const char *id, struct session_account *account);
SK_MUST_CHECK enum sk_status session_store_find_by_email(struct sk_pg *pg,
							 struct sk_context *context,
							 const char *email,
							 struct session_account *account);
/* Inserts email, name, role and hash under a new id. SK_CONFLICT ("email_taken"). */
SK_MUST_CHECK enum sk_status session_store_insert(struct sk_tx *tx,
						  struct session_account *account);
SK_MUST_CHECK enum sk_status session_store_rename(struct sk_tx *tx, const char *id,
						  const char *name,
						  struct session_account *account);
/* SK_CONFLICT ("password_changed") where the password is no longer the one of
 * credential_version: of two changes by the same proof only one comes through. */
SK_MUST_CHECK enum sk_status session_store_replace_password(struct sk_tx *tx, const char *id,
							    int64_t credential_version,
							    const char *hash,
							    struct session_account *account);
/* The same password hashed anew: no change that anyone could notice. */
SK_MUST_CHECK enum sk_status session_store_rehash(struct sk_pg *pg, struct sk_context *context,
						  const struct session_account *account,
						  const char *hash);
/* Reads the account and holds its row against change until the commit. SK_NOT_FOUND. */
SK_MUST_CHECK enum sk_status session_store_hold(struct sk_tx *tx, const char *id,
						struct session_account *account);

/* ---- cache.c: Valkey ---- */

SK_MUST_CHECK enum sk_status session_cache_open(struct sk_kv *kv, struct sk_context *context,
						const struct session_record *session,
						int64_t *open_sessions);
SK_MUST_CHECK enum sk_status session_cache_prolong(struct sk_kv *kv, struct sk_context *context,
						   const struct session_record *session);
/* SK_NOT_FOUND where it was not there; its place in the index is gone then too. */
SK_MUST_CHECK enum sk_status session_cache_close(struct sk_kv *kv, struct sk_context *context,
						 const struct session_record *session);
SK_MUST_CHECK enum sk_status session_cache_keep(struct sk_kv *kv, struct sk_context *context,
						const struct session_record *session,
						const char *event_id);
/* All of an account's sessions; places of the index whose session expired are cleared. */
SK_MUST_CHECK enum sk_status session_cache_list(struct sk_kv *kv, struct sk_context *context,
						const char *account_id,
						struct session_records *records);
/* One of the account's. SK_NOT_FOUND. */
SK_MUST_CHECK enum sk_status session_cache_find(struct sk_kv *kv, struct sk_context *context,
						const char *account_id, const char *session_id,
						struct session_record *session);

SK_MUST_CHECK enum sk_status session_cache_put_code(struct sk_kv *kv, struct sk_context *context,
						    const char *account_id, const char *digest);
/* *right: the code was the account's and is now used up. */
SK_MUST_CHECK enum sk_status session_cache_take_code(struct sk_kv *kv, struct sk_context *context,
						     const char *account_id, const char *digest,
						     bool *right);

/* What a reset token stands for: the account, and the password that it may replace. */
struct session_reset {
	const char *account_id;
	int64_t credential_version;
};

SK_MUST_CHECK enum sk_status session_cache_put_reset(struct sk_kv *kv, struct sk_context *context,
						     const char *token_hash,
						     const struct session_reset *reset);
/* SK_NOT_FOUND. */
SK_MUST_CHECK enum sk_status session_cache_get_reset(struct sk_kv *kv, struct sk_context *context,
						     const char *token_hash,
						     struct session_reset *reset);
SK_MUST_CHECK enum sk_status session_cache_drop_reset(struct sk_kv *kv, struct sk_context *context,
						      const char *token_hash);

/* ---- events.c: what is told, in the transaction that makes it true ---- */

SK_MUST_CHECK enum sk_status session_tell_registered(struct sk_tx *tx,
						     const struct session_account *account);
SK_MUST_CHECK enum sk_status session_tell_updated(struct sk_tx *tx,
						  const struct session_account *account);
SK_MUST_CHECK enum sk_status session_tell_opened(struct sk_tx *tx,
						 const struct session_account *account,
						 const char *session_id,
						 const char *cart_token_hash);
SK_MUST_CHECK enum sk_status session_tell_closed(struct sk_tx *tx,
						 const struct session_account *account,
						 const char *session_id);
SK_MUST_CHECK enum sk_status session_tell_code(struct sk_tx *tx,
					       const struct session_account *account,
					       const char *code, int64_t expires_at_us);
SK_MUST_CHECK enum sk_status session_tell_reset(struct sk_tx *tx,
						const struct session_account *account,
						const char *token, int64_t expires_at_us);
/* event_id: see session_outlives_change. */
SK_MUST_CHECK enum sk_status session_tell_password(struct sk_tx *tx,
						   const struct session_account *account,
						   const char *event_id);

/* ---- account.c: registering, changing, the first administrator ---- */

/* To be called in a transaction with a hash that is ready. */
SK_MUST_CHECK enum sk_status session_register(struct sk_tx *tx, struct session_account *account);

struct session_change {
	const char *name;	      /* NULL: stays */
	const char *password;	      /* NULL: stays */
	const char *current_password; /* proves the right to set another */
};

/* Changes the actor's account. SK_FORBIDDEN ("wrong_password") where the proof fails. */
SK_MUST_CHECK enum sk_status session_change_account(struct session_service *service,
						    struct sk_context *context,
						    const struct session_change *change,
						    struct session_account *account);

/* The sweep that makes the first administrator, once. */
SK_MUST_CHECK enum sk_status session_ensure_admin(struct sk_context *context, void *app,
						  bool *again);

/* ---- login.c ---- */

struct session_login {
	const char *email;
	const char *password, *code; /* one of them; the other is NULL */
	const char *cart_token_hash; /* of the guest's cart; "" */
	const char *user_agent;
};

struct session_opened {
	const char *token; /* told once, kept nowhere */
	struct session_account account;
	struct session_record session;
};

/* Counts an attempt to prove something about an account; SK_TOO_MANY over the limit. */
SK_MUST_CHECK enum sk_status session_limit(struct session_service *service,
					   struct sk_context *context,
					   const struct sk_ratelimit_class *limit,
					   const char *email);

struct session_refusal {
	const char *action;
	const char *account_id; /* NULL: no account is known */
	const char *detail;	/* NULL: none */
};

/* Tells the audit log in a transaction of its own. The context keeps its error; where the log
 * cannot be told, the service's own log says so. */
void session_audit_refusal(struct session_service *service, struct sk_context *context,
			   struct session_refusal refusal);

/* SK_UNAUTHENTICATED ("invalid_credentials"), in the same time and words for
 * an account that does not exist. */
SK_MUST_CHECK enum sk_status session_log_in(struct session_service *service,
					    struct sk_context *context,
					    const struct session_login *login,
					    struct session_opened *opened);

/* Ends one of the actor's sessions. SK_NOT_FOUND. */
SK_MUST_CHECK enum sk_status session_log_out(struct session_service *service,
					     struct sk_context *context, const char *session_id);

/* ---- recovery.c: one-time codes, resets, the end of what an old password opened ---- */

/* Both are SK_OK whether or not the account exists. */
SK_MUST_CHECK enum sk_status session_request_code(struct session_service *service,
						  struct sk_context *context, const char *email);
SK_MUST_CHECK enum sk_status session_request_reset(struct session_service *service,
						   struct sk_context *context, const char *email);

/* SK_NOT_FOUND ("reset_token_unknown"). */
SK_MUST_CHECK enum sk_status session_reset_password(struct session_service *service,
						    struct sk_context *context, const char *token,
						    const char *password);

/* Ends the sessions that do not outlive the password change. May be repeated. */
SK_MUST_CHECK enum sk_status session_end_outdated(struct session_service *service,
						  struct sk_context *context,
						  const struct session_account *account,
						  const char *event_id);

/* ---- the tables of main.c ---- */

extern const struct sk_route SESSION_ROUTES[];
extern const struct sk_consumer SESSION_CONSUMERS[];
extern const struct sk_file SESSION_MIGRATIONS[], SESSION_FUNCTIONS[];

#endif
