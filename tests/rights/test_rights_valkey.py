"""Each service logs in to Valkey as itself and tries what is not its own."""
import pytest
import redis
from rights.declared import ROOMS, SERVICES, others, others_keys, sample

# What reads and what writes a key, with the key left out.
READS = ("GET {key}", "MGET {key}", "HGETALL {key}", "HMGET {key} role", "HGET {key} role", "HKEYS {key}", "HLEN {key}",
         "SMEMBERS {key}", "SCARD {key}", "EXISTS {key}", "TTL {key}", "PTTL {key}")
WRITES = ("SET {key} rights", "SETEX {key} 10 rights", "GETDEL {key}", "DEL {key}", "UNLINK {key}", "EXPIRE {key} 1",
          "PEXPIRE {key} 1", "EXPIREAT {key} 1", "INCR {key}", "INCRBY {key} 2", "HSET {key} role admin", "HDEL {key} role",
          "HINCRBY {key} role 1", "SADD {key} a", "SREM {key} a")

# No service's, on its own keys neither: what administers, blocks, loads code, lists keys or talks to others.
DANGEROUS = (
    "KEYS *", "SCAN 0", "RANDOMKEY", "DBSIZE", "SELECT 1", "SWAPDB 0 1", "MOVE {own} 1",
    "EVAL return1 0", "EVAL_RO return1 0", "EVALSHA 0000000000000000000000000000000000000000 0", "SCRIPT LOAD return1",
    "SCRIPT FLUSH", "SCRIPT EXISTS a", "FUNCTION LOAD a", "FUNCTION LIST", "FUNCTION DELETE souk_cart", "FUNCTION DUMP",
    "FUNCTION FLUSH", "FUNCTION RESTORE a", "FUNCTION STATS", "FUNCTION KILL",
    "ACL LIST", "ACL USERS", "ACL WHOAMI", "ACL GETUSER admin", "ACL SETUSER {service} +@all", "ACL DELUSER cart",
    "ACL LOG", "ACL LOAD", "ACL SAVE", "ACL GENPASS", "ACL CAT", "ACL DRYRUN admin get a",
    "CONFIG GET *", "CONFIG SET maxmemory 0", "CONFIG REWRITE", "CONFIG RESETSTAT", "DEBUG SLEEP 0", "DEBUG OBJECT {own}",
    "MODULE LIST", "MODULE LOAD /tmp/rights.so", "MONITOR", "SYNC", "PSYNC ? -1", "REPLCONF listening-port 1",
    "REPLICAOF NO ONE", "SLAVEOF NO ONE", "FAILOVER", "ROLE", "CLUSTER INFO", "INFO", "LATENCY DOCTOR", "MEMORY DOCTOR",
    "MEMORY USAGE {own}", "SLOWLOG GET", "LASTSAVE", "SAVE", "BGSAVE", "BGREWRITEAOF", "COMMAND",
    "CLIENT LIST", "CLIENT KILL TYPE normal", "CLIENT PAUSE 1", "CLIENT UNPAUSE", "CLIENT ID", "CLIENT INFO",
    "CLIENT SETNAME rights", "CLIENT NO-EVICT on", "CLIENT TRACKING on", "CLIENT REPLY on", "CLIENT UNBLOCK 1",
    "SUBSCRIBE rights", "PSUBSCRIBE *", "SSUBSCRIBE rights", "PUBLISH rights a", "SPUBLISH rights a", "PUBSUB CHANNELS",
    "MULTI", "WATCH {own}", "WAIT 0 1", "BLPOP {own} 1", "BRPOP {own} 1", "XREAD STREAMS {own} 0", "XADD {own} * a b",
    "DUMP {own}", "RESTORE {own} 0 a", "MIGRATE 127.0.0.1 1 {own} 0 1", "COPY {own} {other}", "RENAME {own} {other}",
    "RENAMENX {own} {other}", "OBJECT ENCODING {own}", "SORT {own}", "SORT_RO {own} BY {other}", "PERSIST {own}",
    "LPUSH {own} a", "ZADD {own} 1 a", "SETBIT {own} 1 1", "APPEND {own} a", "SETRANGE {own} 536870911 a",
    "FLUSHDB", "FLUSHALL", "SHUTDOWN NOSAVE",
)

# DEBUG and MODULE LOAD are nobody's, whatever his rights: the server says so before it looks at them.
SWITCHED_OFF = "command not allowed. If the enable-"


def answer_of(client: redis.Redis, command: str) -> str | None:
    """What a command is refused with, None where the right is there (whatever else it fails for)."""
    try:
        client.execute_command(*command.split())
        return None
    except redis.exceptions.NoPermissionError as refusal:
        return str(refusal)
    except redis.exceptions.ResponseError as error:
        return str(error) if SWITCHED_OFF in str(error) else None


@pytest.fixture
def login(stores, matrix):
    """login(service): (cannot, can, row), each a command's try."""
    opened = []

    def open_login(service: str):
        client = redis.Redis.from_url(stores.secret(service, "valkey_url"), decode_responses=True)
        row = matrix.row(service, "valkey")
        opened.append(client)

        def cannot(command: str) -> None:
            row.refuses(command, answer_of(client, command) is not None)

        def can(command: str) -> None:
            answer = answer_of(client, command)
            row.allows(command, answer is None, answer)

        return cannot, can, row

    yield open_login
    for client in opened:
        client.close()


@pytest.fixture(scope="module")
def functions(stores) -> list[str]:
    """Every function that is loaded."""
    listed = stores.valkey().execute_command("FUNCTION", "LIST")
    libraries = [dict(zip(flat[::2], flat[1::2])) if isinstance(flat, list) else flat for flat in listed]
    names = [dict(zip(f[::2], f[1::2]))["name"] if isinstance(f, list) else f["name"]
             for library in libraries for f in library["functions"]]
    assert "souk_gcra" in names and "souk_session_open" in names, names
    return names


@pytest.mark.parametrize("service", SERVICES)
def test_valkey_gives_a_service_its_own_keys_and_nothing_else(login, functions, service):
    cannot, can, row = login(service)
    own = [sample(p) for p in ROOMS[service].keys]
    shared = f"ratelimit:rights:{service}"
    for key in others_keys(service):
        for command in READS + WRITES:
            cannot(command.format(key=key))
        for function in functions:
            cannot(f"FCALL {function} 1 {key} 1 1 1 1 1 1")
            cannot(f"FCALL_RO {function} 1 {key} 1 1 1 1 1 1")
        # Beside a key that it may have.
        cannot(f"MGET {shared} {key}")
        cannot(f"DEL {shared} {key}")
        cannot(f"FCALL souk_gcra 2 {shared} {key} 60 60")
    # Everybody may read sessions, and the session service alone may write them.
    for command in READS:
        can(command.format(key="session:rights"))
    for command in WRITES:
        (can if service == "session" else cannot)(command.format(key="session:rights"))
    for function in functions if service != "session" else ():
        cannot(f"FCALL {function} 1 session:rights 1 1 1 1 1 1")
    for key in own + [shared]:
        for command in READS + WRITES:
            can(command.format(key=key))
        can(f"DEL {key}")
    can(f"FCALL souk_gcra 1 {shared} 60 60")
    can("PING")
    can("TIME")
    for command in DANGEROUS:
        cannot(command.format(own=(own + [shared])[0], other=others_keys(service)[0], service=service))
    row.check()


@pytest.mark.parametrize("service", SERVICES)
def test_valkey_lets_a_service_in_as_itself_only(stores, matrix, service):
    row, own = matrix.row(service, "valkey log-in"), stores.secret(service, "valkey_url")
    password, address = own.split("//")[1].split(":", 1)[1].split("@")

    def answer(url: str) -> str | None:
        try:
            redis.Redis.from_url(url).ping()
            return None
        except (redis.exceptions.AuthenticationError, redis.exceptions.ResponseError) as refusal:
            return str(refusal)

    row.allows("its own log-in", answer(own) is None)
    for other in others(service) + ["admin", "default"]:
        row.refuses(f"as {other}", answer(f"redis://{other}:{password}@{address}") is not None)
    row.refuses("its password alone", answer(f"redis://:{password}@{address}") is not None)
    row.refuses("without a log-in", answer(f"redis://{address}") is not None)
    row.check()
