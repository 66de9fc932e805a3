#include "session.h"

#include "sk_pg.h"

#define ACCOUNT_COLUMNS                                                                            \
	" id, email, name, role, password_hash, version, credential_version,"                      \
	" created_at, updated_at "

static const struct sk_sql SQL_FIND = {
	"account_find",
	"SELECT" ACCOUNT_COLUMNS "FROM account WHERE id = $1",
};

static const struct sk_sql SQL_FIND_BY_EMAIL = {
	"account_find_by_email",
	"SELECT" ACCOUNT_COLUMNS "FROM account WHERE lower(email) = lower($1)",
};

/* Two that register one address at once: the second waits for the first and gets no row. */
static const struct sk_sql SQL_INSERT = {
	"account_insert",
	"INSERT INTO account (id, email, name, role, password_hash)"
	" VALUES ($1, $2, $3, $4, $5)"
	" ON CONFLICT (lower(email)) DO NOTHING"
	" RETURNING" ACCOUNT_COLUMNS,
};

static const struct sk_sql SQL_RENAME = {
	"account_rename",
	"UPDATE account SET name = $2, version = version + 1, updated_at = now()"
	" WHERE id = $1"
	" RETURNING" ACCOUNT_COLUMNS,
};

/* The condition is what makes a reset token and a proof by password good for one
 * change: who comes second waits for the row, and finds another version. */
static const struct sk_sql SQL_REPLACE_PASSWORD = {
	"account_replace_password",
	"UPDATE account"
	" SET password_hash = $3, version = version + 1, credential_version = version + 1,"
	"     updated_at = now()"
	" WHERE id = $1 AND credential_version = $2"
	" RETURNING" ACCOUNT_COLUMNS,
};

static const struct sk_sql SQL_REHASH = {
	"account_rehash",
	"UPDATE account SET password_hash = $3 WHERE id = $1 AND credential_version = $2",
};

/* FOR SHARE: log-ins of one account do not wait for each other, only for a change. */
static const struct sk_sql SQL_HOLD = {
	"account_hold",
	"SELECT" ACCOUNT_COLUMNS "FROM account WHERE id = $1 FOR SHARE",
};

static void read_account(const struct sk_rows *rows, struct session_account *account)
{
	*account = (struct session_account) {
		.id = sk_row_text(rows, 0, 0),
		.email = sk_row_text(rows, 0, 1),
		.name = sk_row_text(rows, 0, 2),
		.role = sk_role_parse(sk_row_text(rows, 0, 3)),
		.password_hash = sk_row_text(rows, 0, 4),
		.version = sk_row_int(rows, 0, 5),
		.credential_version = sk_row_int(rows, 0, 6),
		.created_at_us = sk_row_time_us(rows, 0, 7),
		.updated_at_us = sk_row_time_us(rows, 0, 8),
	};
}

static enum sk_status one_account(const struct sk_rows *rows, struct sk_context *context,
				  struct session_account *account)
{
	if (rows->count == 0)
		return sk_fail(context, SK_NOT_FOUND, "account_not_found",
			       "there is no such account");
	read_account(rows, account);
	return SK_OK;
}

enum sk_status session_store_find(struct sk_pg *pg, struct sk_context *context, const char *id,
				  struct session_account *account)
{
	struct sk_rows rows;
	enum sk_status st = sk_pg_run(pg, context, &SQL_FIND, SK_PARAMS(sk_text(id)), &rows);

	return st == SK_OK ? one_account(&rows, context, account) : st;
}

enum sk_status session_store_find_by_email(struct sk_pg *pg, struct sk_context *context,
					   const char *email, struct session_account *account)
{
	struct sk_rows rows;
	enum sk_status st = sk_pg_run(pg, context, &SQL_FIND_BY_EMAIL, SK_PARAMS(sk_text(email)),
				      &rows);

	return st == SK_OK ? one_account(&rows, context, account) : st;
}

enum sk_status session_store_insert(struct sk_tx *tx, struct session_account *account)
{
	struct sk_rows rows;
	enum sk_status st = sk_tx_run(tx, &SQL_INSERT,
				      SK_PARAMS(sk_text(sk_id_make(sk_tx_arena(tx))),
						sk_text(account->email), sk_text(account->name),
						sk_text(sk_role_name(account->role)),
						sk_text(account->password_hash)),
				      &rows);

	if (st != SK_OK)
		return st;
	if (rows.count == 0)
		return sk_fail(sk_tx_context(tx), SK_CONFLICT, "email_taken",
			       "an account with this e-mail address exists");
	read_account(&rows, account);
	return SK_OK;
}

enum sk_status session_store_rename(struct sk_tx *tx, const char *id, const char *name,
				    struct session_account *account)
{
	struct sk_rows rows;
	enum sk_status st = sk_tx_run(tx, &SQL_RENAME, SK_PARAMS(sk_text(id), sk_text(name)),
				      &rows);

	return st == SK_OK ? one_account(&rows, sk_tx_context(tx), account) : st;
}

enum sk_status session_store_replace_password(struct sk_tx *tx, const char *id,
					      int64_t credential_version, const char *hash,
					      struct session_account *account)
{
	struct sk_rows rows;
	enum sk_status st = sk_tx_run(
		tx, &SQL_REPLACE_PASSWORD,
		SK_PARAMS(sk_text(id), sk_int(credential_version), sk_text(hash)), &rows);

	if (st != SK_OK)
		return st;
	if (rows.count == 0)
		return sk_fail(sk_tx_context(tx), SK_CONFLICT, "password_changed",
			       "the password was changed at the same time");
	read_account(&rows, account);
	return SK_OK;
}

enum sk_status session_store_rehash(struct sk_pg *pg, struct sk_context *context,
				    const struct session_account *account, const char *hash)
{
	return sk_pg_run(
		pg, context, &SQL_REHASH,
		SK_PARAMS(sk_text(account->id), sk_int(account->credential_version), sk_text(hash)),
		NULL);
}

enum sk_status session_store_hold(struct sk_tx *tx, const char *id, struct session_account *account)
{
	struct sk_rows rows;
	enum sk_status st = sk_tx_run(tx, &SQL_HOLD, SK_PARAMS(sk_text(id)), &rows);

	return st == SK_OK ? one_account(&rows, sk_tx_context(tx), account) : st;
}
