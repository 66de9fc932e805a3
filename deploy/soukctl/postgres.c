/* The database, a role and a schema for each service, and their migrations.
 *
 * The objects belong to souk_owner, who cannot log in. A service's role may use its schema
 * and its rows and nothing else: no DDL, no other schema, no other database. What PostgreSQL lets
 * everybody do (PUBLIC) counts as given to each service, so it is taken back where it reaches beyond
 * the service's own rows. tests/rights tries all of it. All of it runs under one advisory lock,
 * so that two provisionings do not meet, and each migration in a transaction of its own,
 * recorded with the checksum of its text: a migration that was applied never changes. */
#include <cjson/cJSON.h>
#include <libpq-fe.h>
#include <stdlib.h>
#include <string.h>

#include "sk_id.h"
#include "sk_log.h"
#include "soukctl.h"

/* One connection of the administrator, and what it works for. */
struct admin {
	struct sk_context *context;
	PGconn *connection;
	int *changes;
};

static enum sk_status failed(const struct admin *admin, const char *what)
{
	const char *words = PQerrorMessage(admin->connection);

	return sk_fail(admin->context, SK_INTERNAL, "database_refused", "PostgreSQL, %s: %.*s",
		       what, (int)strcspn(words, "\n"), words);
}

/* Runs statements of our own making. */
static enum sk_status run(const struct admin *admin, const char *what, const char *sql)
{
	PGresult *result = PQexec(admin->connection, sql);
	ExecStatusType kind = PQresultStatus(result);

	PQclear(result);
	return kind == PGRES_COMMAND_OK || kind == PGRES_TUPLES_OK ? SK_OK : failed(admin, what);
}

/* The first value of a query with one parameter; NULL where there is no row. */
static enum sk_status query(const struct admin *admin, const char *sql, const char *parameter,
			    const char **value)
{
	PGresult *result = PQexecParams(admin->connection, sql, 1, NULL, &parameter, NULL, NULL, 0);
	enum sk_status st = SK_OK;

	*value = NULL;
	if (PQresultStatus(result) != PGRES_TUPLES_OK)
		st = failed(admin, sql);
	else if (PQntuples(result) > 0)
		*value = sk_arena_strdup(admin->context->arena, PQgetvalue(result, 0, 0));
	PQclear(result);
	return st;
}

static void finish(void *connection)
{
	PQfinish(connection);
}

static enum sk_status connect_to(struct sk_context *context, const char *url, const char *database,
				 PGconn **out)
{
	const char *const names[] = { "dbname", "dbname", "connect_timeout", "options", NULL };
	const char *const values[] = { url, database, "3", "-c client_min_messages=warning", NULL };

	*out = PQconnectdbParams(names, values, 1);
	sk_arena_defer(context->arena, finish, *out);
	if (PQstatus(*out) != CONNECTION_OK) {
		const char *words = PQerrorMessage(*out);

		return sk_fail(context, SK_UNAVAILABLE, "database_unavailable",
			       "cannot reach PostgreSQL: %.*s", (int)strcspn(words, "\n"), words);
	}
	return SK_OK;
}

static enum sk_status ensure_database(struct admin *admin)
{
	const char *there;
	enum sk_status st = query(admin, "SELECT 1 FROM pg_database WHERE datname = $1", "souk",
				  &there);

	if (st != SK_OK || there != NULL)
		return st;
	(*admin->changes)++;
	return run(admin, "database souk",
		   "CREATE DATABASE souk TEMPLATE template0 ENCODING 'UTF8'");
}

/* ---- roles and schemas ---- */

static enum sk_status ensure_owner(struct admin *admin)
{
	return run(admin, "role souk_owner",
		   "DO $$ BEGIN"
		   " IF NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'souk_owner') THEN"
		   "  CREATE ROLE souk_owner NOLOGIN; END IF; END $$;"
		   "REVOKE ALL ON DATABASE souk FROM PUBLIC;"
		   "REVOKE ALL ON SCHEMA public FROM PUBLIC;");
}

/* Everybody may enter the databases that initdb makes, and make large objects, which are in no schema:
 * a place to leave data where no other right is looked at. */
static enum sk_status take_back_from_public(struct admin *admin)
{
	return run(admin, "the rights of everybody",
		   "REVOKE ALL ON DATABASE postgres, template1 FROM PUBLIC;"
		   "DO $$ DECLARE f regprocedure; BEGIN"
		   " FOR f IN SELECT oid FROM pg_proc"
		   "  WHERE pronamespace = 'pg_catalog'::regnamespace"
		   "  AND (proname ~ '^lo_' OR proname IN ('loread', 'lowrite'))"
		   "  AND has_function_privilege('public', oid, 'EXECUTE')"
		   " LOOP EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', f);"
		   " END LOOP; END $$;");
}

/* The role and the schema; both have the name `role`, which is ours: souk_<service>. */
static enum sk_status ensure_role(struct admin *admin, const char *role, const char *password)
{
	struct sk_arena *arena = admin->context->arena;
	const char *there;
	char *quoted;
	enum sk_status st = query(admin, "SELECT 1 FROM pg_roles WHERE rolname = $1", role, &there);

	if (st != SK_OK || there != NULL)
		return st;
	/* Sent as its SCRAM verifier: the password itself does not reach the server's log. */
	quoted = PQencryptPasswordConn(admin->connection, password, role, "scram-sha-256");
	if (quoted == NULL)
		return failed(admin, "a password");
	st = run(admin, role,
		 sk_arena_printf(arena,
				 "CREATE ROLE %s LOGIN PASSWORD '%s' NOSUPERUSER NOCREATEDB "
				 "NOCREATEROLE NOINHERIT;"
				 "GRANT CONNECT ON DATABASE souk TO %s;"
				 "CREATE SCHEMA %s AUTHORIZATION souk_owner;"
				 "ALTER ROLE %s SET search_path = %s",
				 role, quoted, role, role, role, role));
	PQfreemem(quoted);
	(*admin->changes)++;
	return st;
}

static enum sk_status grant_rights(struct admin *admin, const char *role, const char *tables)
{
	return run(admin, role,
		   sk_arena_printf(admin->context->arena,
				   "GRANT USAGE ON SCHEMA %s TO %s;"
				   "REVOKE ALL ON ALL TABLES IN SCHEMA %s FROM %s;"
				   "GRANT %s ON ALL TABLES IN SCHEMA %s TO %s;"
				   "GRANT SELECT, INSERT, UPDATE, DELETE ON %s.outbox, "
				   "%s.outbox_stream, %s.inbox, %s.idempotency_key TO %s;"
				   "REVOKE ALL ON %s.schema_migration FROM %s;"
				   "GRANT SELECT ON %s.schema_migration TO %s;"
				   "GRANT USAGE ON ALL SEQUENCES IN SCHEMA %s TO %s",
				   role, role, role, role, tables, role, role, role, role, role,
				   role, role, role, role, role, role, role, role));
}

/* ---- migrations ---- */

static enum sk_status record(struct admin *admin, const char *name, const char *checksum)
{
	const char *const values[] = { name, checksum };
	PGresult *result = PQexecParams(
		admin->connection, "INSERT INTO schema_migration (name, checksum) VALUES ($1, $2)",
		2, NULL, values, NULL, NULL, 0);
	bool ok = PQresultStatus(result) == PGRES_COMMAND_OK;

	PQclear(result);
	return ok ? SK_OK : failed(admin, name);
}

static enum sk_status apply(struct admin *admin, const char *role, const struct cJSON *migration)
{
	const char *name = topology_text(migration, "name"), *sql = topology_text(migration, "sql");
	const char *checksum = sk_token_hash(admin->context->arena, sql), *applied;
	enum sk_status st = query(admin, "SELECT checksum FROM schema_migration WHERE name = $1",
				  name, &applied);

	if (st != SK_OK)
		return st;
	if (applied != NULL && strcmp(applied, checksum) != 0)
		return sk_fail(admin->context, SK_CONFLICT, "migration_changed",
			       "%s: migration %s was applied and has changed since; add a new one",
			       role, name);
	if (applied != NULL)
		return SK_OK;
	st = run(admin, name, "BEGIN");
	if (st == SK_OK)
		st = run(admin, name, sql);
	if (st == SK_OK)
		st = record(admin, name, checksum);
	if (st == SK_OK)
		st = run(admin, name, "COMMIT");
	if (st == SK_OK) {
		(*admin->changes)++;
		sk_log(SK_LOG_INFO, NULL, "%s: applied %s", role, name);
	}
	return st;
}

static enum sk_status migrate(struct admin *admin, const char *role, const struct cJSON *service)
{
	const struct cJSON *migration;
	enum sk_status st = run(admin, role,
				sk_arena_printf(admin->context->arena,
						"SET ROLE souk_owner; SET search_path = %s;"
						"CREATE TABLE IF NOT EXISTS schema_migration ("
						" name text PRIMARY KEY, checksum text NOT NULL,"
						" applied_at timestamptz NOT NULL DEFAULT now())",
						role));

	cJSON_ArrayForEach(migration, topology_list(service, "migrations"))
	{
		if (st == SK_OK)
			st = apply(admin, role, migration);
	}
	return st == SK_OK ? run(admin, role, "RESET ROLE") : st;
}

static enum sk_status provision_service(struct admin *admin, const struct cJSON *service,
					const char *secrets)
{
	const char *name = topology_text(service, "name"), *password,
		   *grants = topology_text(service, "grants");
	const char *role = sk_arena_printf(admin->context->arena, "souk_%s", name);
	enum sk_status st = secret_read(admin->context, secrets, name, "postgres.password",
					&password);

	if (st == SK_OK)
		st = ensure_role(admin, role, password);
	if (st == SK_OK)
		st = migrate(admin, role, service);
	/* Each time: what was given by hand in this schema goes, what the service newly says comes. */
	if (st == SK_OK)
		st = grant_rights(admin, role,
				  grants[0] != '\0' ? grants : "SELECT, INSERT, UPDATE, DELETE");
	return st;
}

enum sk_status provision_postgres(struct provisioning *pass)
{
	struct admin admin = { .context = pass->context, .changes = &pass->changes };
	const struct cJSON *service;
	const char *url;
	enum sk_status st = secret_read(pass->context, pass->secrets, "admin", "postgres_url",
					&url);

	if (st == SK_OK)
		st = connect_to(pass->context, url, "postgres", &admin.connection);
	if (st == SK_OK)
		st = ensure_database(&admin);
	if (st == SK_OK)
		st = connect_to(pass->context, url, "souk", &admin.connection);
	if (st == SK_OK)
		st = run(&admin, "the lock", "SELECT pg_advisory_lock(hashtext('souk provision'))");
	if (st == SK_OK)
		st = ensure_owner(&admin);
	if (st == SK_OK)
		st = take_back_from_public(&admin);
	cJSON_ArrayForEach(service, topology_list(pass->topology, "services"))
	{
		if (st == SK_OK && topology_flag(service, "uses_pg"))
			st = provision_service(&admin, service, pass->secrets);
	}
	return st;
}
