"""Each service logs in to PostgreSQL as itself and tries what is not its own."""
import psycopg2
import pytest
from rights.declared import APPEND_ONLY, ROOMS, SERVICES, WITH_TABLES, others

REFUSED = "42501"  # insufficient_privilege
LOG_IN_REFUSED = ("password authentication failed", "no password supplied", "permission denied for database",
                  "is not currently accepting connections", "is not permitted to log in",
                  "must be superuser or replication role")

ROWS = {
    "SELECT": "SELECT 1 FROM {table} LIMIT 1",
    "INSERT": "INSERT INTO {table} DEFAULT VALUES",
    "UPDATE": "UPDATE {table} SET {column} = DEFAULT WHERE false",
    "DELETE": "DELETE FROM {table} WHERE false",
    "TRUNCATE": "TRUNCATE {table}",
}
ON_OTHERS_TABLE = {
    "LOCK": "LOCK TABLE {table} IN ACCESS SHARE MODE",
    "ALTER": "ALTER TABLE {table} ADD COLUMN rights integer",
    "DROP": "DROP TABLE {table}",
    "TRIGGER": "ALTER TABLE {table} DISABLE TRIGGER ALL",
}
ON_OWN_TABLE = {
    "TRUNCATE": ROWS["TRUNCATE"], "ALTER": ON_OTHERS_TABLE["ALTER"], "DROP": ON_OTHERS_TABLE["DROP"],
    "TRIGGER": ON_OTHERS_TABLE["TRIGGER"], "OWNER": "ALTER TABLE {table} OWNER TO CURRENT_USER",
    "COMMENT": "COMMENT ON TABLE {table} IS 'rights'", "INDEX": "CREATE INDEX ON {table} ({column})",
    "RULE": "CREATE RULE rights AS ON INSERT TO {table} DO INSTEAD NOTHING",
    "POLICY": "CREATE POLICY rights ON {table}",
}
IN_A_SCHEMA = (
    "CREATE TABLE {schema}.rights (a integer)", "CREATE VIEW {schema}.rights AS SELECT 1",
    "CREATE SEQUENCE {schema}.rights", "CREATE TYPE {schema}.rights AS (a integer)",
    "CREATE FUNCTION {schema}.rights() RETURNS integer LANGUAGE sql AS 'SELECT 1'",
    "ALTER SCHEMA {schema} RENAME TO rights", "DROP SCHEMA {schema} CASCADE",
)
ON_THE_SERVER = (
    # objects beyond its schema
    "CREATE SCHEMA rights", "CREATE TEMPORARY TABLE rights (a integer)", "CREATE TABLE public.rights (a integer)",
    "CREATE FUNCTION pg_temp.rights() RETURNS integer LANGUAGE sql AS 'SELECT 1'",
    "CREATE EXTENSION dblink", "CREATE EXTENSION file_fdw", "CREATE PUBLICATION rights FOR ALL TABLES",
    "CREATE EVENT TRIGGER rights ON ddl_command_start EXECUTE FUNCTION rights()",
    "CREATE TABLESPACE rights LOCATION '/tmp/rights'",
    "CREATE SUBSCRIPTION rights CONNECTION 'dbname=souk' PUBLICATION rights WITH (connect = false)",
    "ALTER DATABASE souk SET work_mem = '1MB'", "ALTER DATABASE souk OWNER TO CURRENT_USER",
    # roles
    "SET ROLE souk_owner", "SET ROLE postgres", "SET SESSION AUTHORIZATION postgres", "CREATE ROLE rights LOGIN",
    "ALTER ROLE CURRENT_USER SUPERUSER", "ALTER ROLE CURRENT_USER CREATEROLE", "GRANT souk_owner TO CURRENT_USER",
    "GRANT pg_read_all_data TO CURRENT_USER", "ALTER ROLE postgres PASSWORD 'rights'",
    # large objects
    "SELECT lo_create(0)", "SELECT lo_creat(-1)", "SELECT lo_from_bytea(0, 'a')", "SELECT lo_get(1)",
    "SELECT lo_put(1, 0, 'a')", "SELECT lo_open(1, 131072)", "SELECT lo_unlink(1)", "SELECT loread(0, 1)",
    "SELECT lowrite(0, 'a')", "SELECT lo_import('/etc/passwd')", "SELECT lo_export(1, '/tmp/rights')",
    "SELECT * FROM pg_largeobject",
    # the machine
    "COPY (SELECT 1) TO PROGRAM 'true'", "COPY (SELECT 1) TO '/tmp/rights'", "SELECT pg_read_file('/etc/passwd')",
    "SELECT pg_read_binary_file('/etc/passwd')", "SELECT pg_ls_dir('.')", "SELECT pg_stat_file('.')",
    "SELECT pg_current_logfile()", "SELECT pg_ls_logdir()", "LOAD 'plpgsql'",
    # the server
    "ALTER SYSTEM SET work_mem = '1MB'", "SELECT pg_reload_conf()", "SELECT pg_rotate_logfile()", "CHECKPOINT",
    "SELECT pg_switch_wal()", "SELECT pg_stat_reset()", "SET session_replication_role = replica",
    "SET log_statement = 'none'", "SET log_min_duration_statement = -1",
    "SELECT pg_create_physical_replication_slot('rights')", "SELECT pg_backup_start('rights')",
    # secrets of the server
    "SELECT * FROM pg_authid", "SELECT * FROM pg_shadow", "SELECT * FROM pg_hba_file_rules",
    "SELECT * FROM pg_file_settings", "SELECT * FROM pg_statistic", "SELECT * FROM pg_user_mapping",
    "SELECT * FROM pg_subscription",
)


@pytest.fixture(scope="module")
def administrator(stores):
    connection = stores.database("audit")
    yield connection
    connection.close()


def rows(connection, sql: str, *parameters) -> list[tuple]:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return cursor.fetchall()


@pytest.fixture(scope="module")
def tables(administrator) -> dict[str, list[tuple[str, str]]]:
    """Every table of every service with its first column, as the server knows them."""
    found = rows(administrator, """
        SELECT n.nspname, c.relname, a.attname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = 1
        WHERE n.nspname LIKE 'souk\\_%%' AND c.relkind IN ('r', 'p', 'v', 'm') ORDER BY 1, 2""")
    by_service: dict[str, list[tuple[str, str]]] = {name: [] for name in WITH_TABLES}
    for schema, table, column in found:
        by_service[schema.removeprefix("souk_")].append((table, column))
    return by_service


def code_of(connection, sql: str) -> str | None:
    """The SQLSTATE that a statement fails with, None where it goes well. Nothing of it stays."""
    try:
        with connection.cursor() as cursor:
            cursor.execute(sql)
        return None
    except psycopg2.Error as error:
        return error.pgcode or str(error)
    finally:
        connection.rollback()


class Login:
    """A service's own connection, and the row that its tries fill."""

    def __init__(self, stores, service: str, row):
        self.connection = psycopg2.connect(stores.secret(service, "postgres_url"), options="-c statement_timeout=10s")
        self.row = row

    def cannot(self, sql: str) -> None:
        code = code_of(self.connection, sql)
        self.row.refuses(sql, code == REFUSED, code)

    def can(self, sql: str) -> None:
        """The right is there, whatever else the statement fails for."""
        code = code_of(self.connection, sql)
        self.row.allows(sql, code != REFUSED, code)


@pytest.fixture
def login(stores, matrix):
    opened = []

    def open_login(service: str) -> Login:
        opened.append(Login(stores, service, matrix.row(service, "postgresql")))
        return opened[-1]

    yield open_login
    for each in opened:
        each.connection.close()


def try_others_schemas(login: Login, service: str, tables) -> None:
    for other in others(service):
        for table, column in tables.get(other, ()):
            for statement in (ROWS | ON_OTHERS_TABLE).values():
                login.cannot(statement.format(table=f"souk_{other}.{table}", column=column))
        if ROOMS[other].tables:
            for statement in IN_A_SCHEMA:
                login.cannot(statement.format(schema=f"souk_{other}"))


def try_own_schema(login: Login, service: str, tables) -> None:
    for table, column in tables[service]:
        may = {"SELECT", "INSERT", "UPDATE", "DELETE"}
        if table == "schema_migration":
            may = {"SELECT"}
        elif table in APPEND_ONLY.get(service, ()):
            may = {"SELECT", "INSERT"}
        for word, statement in (ROWS | ON_OWN_TABLE).items():
            attempt = login.can if word in may else login.cannot
            attempt(statement.format(table=table, column=column))
    for statement in IN_A_SCHEMA:
        login.cannot(statement.format(schema=f"souk_{service}"))


def try_to_give_away(login: Login, service: str, table: str) -> None:
    """Who may not give rights away is not always told so (a warning): what counts is that nobody got them."""
    other = next(name for name in others(service) if ROOMS[name].tables)
    for grant, question in (
            (f"GRANT SELECT ON {table} TO PUBLIC", f"has_table_privilege('souk_{other}', '{table}', 'SELECT')"),
            (f"GRANT USAGE ON SCHEMA souk_{service} TO PUBLIC",
             f"has_schema_privilege('souk_{other}', 'souk_{service}', 'USAGE')")):
        with login.connection.cursor() as cursor:
            try:
                cursor.execute(grant)
                cursor.execute(f"SELECT {question}")
                given = cursor.fetchone()[0]
            except psycopg2.Error as error:
                given = error.pgcode != REFUSED
        login.connection.rollback()
        login.row.refuses(grant, not given)


def try_others_connections(login: Login, stores, service: str) -> None:
    other = next(name for name in others(service) if ROOMS[name].tables)
    victim = psycopg2.connect(stores.secret(other, "postgres_url"))
    try:
        pid = rows(victim, "SELECT pg_backend_pid()")[0][0]
        login.cannot(f"SELECT pg_terminate_backend({pid})")
        login.cannot(f"SELECT pg_cancel_backend({pid})")
        seen = rows(login.connection, "SELECT query FROM pg_stat_activity WHERE pid = %s", pid)
        login.connection.rollback()
        login.row.refuses("the text of another's statement", seen == [("<insufficient privilege>",)], seen)
    finally:
        victim.close()


@pytest.mark.parametrize("service", WITH_TABLES)
def test_postgresql_gives_a_service_its_own_rows_and_nothing_else(login, stores, tables, service):
    mine = login(service)
    try_own_schema(mine, service, tables)
    try_others_schemas(mine, service, tables)
    mine.connection.autocommit = True  # some of these are not looked at in a transaction
    for statement in ON_THE_SERVER:
        mine.cannot(statement)
    mine.connection.autocommit = False
    try_to_give_away(mine, service, tables[service][0][0])
    try_others_connections(mine, stores, service)
    mine.row.check()


@pytest.mark.parametrize("service", WITH_TABLES)
def test_no_right_waits_behind_the_locked_door_of_anothers_schema(administrator, matrix, service):
    """The refusals above could all be the schema's; this asks what the tables themselves would allow."""
    row = matrix.row(service, "behind it")
    for schema, table, right, has in rows(administrator, """
            SELECT n.nspname, c.relname, p.name, has_table_privilege(%s, c.oid, p.name)
            FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace,
            unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER']) AS p (name)
            WHERE n.nspname LIKE 'souk\\_%%' AND n.nspname <> %s AND c.relkind IN ('r', 'p', 'v', 'm')""",
                                         f"souk_{service}", f"souk_{service}"):
        row.refuses(f"{right} on {schema}.{table}", not has)
    for name, has in rows(administrator, """
            SELECT p.oid::regprocedure::text, has_function_privilege(%s, p.oid, 'EXECUTE') FROM pg_proc p
            WHERE p.proname ~ '^(lo_|loread|lowrite)'""", f"souk_{service}"):
        row.refuses(f"EXECUTE on {name}", not has)
    row.check()


def log_in(url: str, **options) -> str | None:
    """What a log-in fails with; None where it succeeds."""
    try:
        psycopg2.connect(url, connect_timeout=5, **options).close()
        return None
    except psycopg2.OperationalError as error:
        return str(error)


@pytest.mark.parametrize("service", SERVICES)
def test_postgresql_lets_a_service_in_as_itself_and_into_the_shops_database_only(
        administrator, matrix, stores, service):
    row, own = matrix.row(service, "pg log-in"), stores.secret(service, "postgres_url")

    def refuses(what: str, url: str, **options) -> None:
        answer = log_in(url, **options)
        row.refuses(what, answer is not None and any(words in answer for words in LOG_IN_REFUSED), answer)

    if ROOMS[service].tables:
        answer = log_in(own)
        row.allows("its own log-in", answer is None, answer)
        for (name,) in rows(administrator, "SELECT datname FROM pg_database WHERE datname <> 'souk'"):
            refuses(f"database {name}", own.replace("/souk?", f"/{name}?"))
        refuses("replication", own, replication="database")
    else:
        refuses("its own name, which has no role", own)
    for other in [f"souk_{name}" for name in others(service)] + ["postgres", "souk_owner"]:
        refuses(f"as {other} with its own password", own.replace(f"souk_{service}:", f"{other}:"))
        refuses(f"as {other} without a password", own.split("//")[0] + f"//{other}@" + own.split("@", 1)[1])
    row.check()
