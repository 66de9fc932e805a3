"""The stores as libcommon meets them, as C programs against the real servers."""
import contextlib
import os
import pathlib
import secrets
import subprocess

import pytest


def run(program: str, **environment: str) -> None:
    path = pathlib.Path(os.environ["SOUK_BUILD"]) / "test/libcommon/test" / program
    done = subprocess.run([path], env=os.environ | environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "SKIPPED" not in done.stdout, done.stdout


@pytest.fixture
def valkey_url(stores):
    """Of a user with keys and rights of its own, who may end other connections."""
    admin, password = stores.valkey(), secrets.token_urlsafe(16)
    admin.execute_command("ACL", "SETUSER", "contract", "reset", "on", f">{password}", "~contract:*",
                          "+@all", "-@admin", "-@scripting", "+fcall", "+client|kill")
    yield f"redis://contract:{password}@127.0.0.1:{admin.connection_pool.connection_kwargs['port']}"
    admin.execute_command("ACL", "DELUSER", "contract")


@pytest.fixture
def nats_url(stores):
    """With a stream of its own: no service hears what is published here."""
    with contextlib.closing(stores.bus()) as admin:
        admin.api("STREAM.CREATE.contract", {"name": "contract", "subjects": ["contract.>"],
                                             "storage": "memory", "allow_direct": True})
        yield stores.secret("admin", "nats_url")
        admin.api("STREAM.DELETE.contract")


def postmaster(stores) -> str:
    """The server's process, which may be stopped and let go on."""
    return stores.rows("order", "SELECT split_part(pg_read_file('postmaster.pid'), E'\\n', 1)")[0][0]


def test_postgresql_keeps_its_contract(stores) -> None:
    """As order, which is not running; nothing stays in its tables but rows of the inbox."""
    run("contract_pg", TEST_POSTGRES_URL=stores.secret("order", "postgres_url"), TEST_POSTGRES_PID=postmaster(stores))
    stores.rows("order", "DELETE FROM inbox")


def test_valkey_keeps_its_contract(stores, valkey_url) -> None:
    run("contract_kv", TEST_VALKEY_URL=valkey_url, TEST_VALKEY_PID=str(stores.valkey().info("server")["process_id"]))


def test_the_outbox_keeps_its_contract(stores, nats_url) -> None:
    """In order's schema: it is not running, and what others left in its outbox goes first."""
    stores.rows("order", "DELETE FROM outbox")
    run("contract_outbox", TEST_POSTGRES_URL=stores.secret("order", "postgres_url"), TEST_NATS_URL=nats_url)
    stores.rows("order", "DELETE FROM outbox; DELETE FROM outbox_stream")


def test_what_the_broker_lost_is_sent_again(stores, nats_url) -> None:
    """In order's schema, as above; nothing stays in its tables."""
    stores.rows("order", "DELETE FROM outbox")
    run("contract_recall", TEST_POSTGRES_URL=stores.secret("order", "postgres_url"), TEST_NATS_URL=nats_url)
    stores.rows("order", "DELETE FROM outbox; DELETE FROM outbox_stream")
