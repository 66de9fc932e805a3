"""The HTTP side of libcommon, as C programs that start the server in-process."""
import os
import pathlib
import subprocess

import pytest


def run(program: str, **environment: str) -> None:
    path = pathlib.Path(os.environ["SOUK_BUILD"]) / "test/libcommon/test" / program
    done = subprocess.run([path], env=os.environ | environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("program", ["contract_http", "contract_http_wire"])
def test_the_server_keeps_its_contract_without_stores(program: str) -> None:
    run(program)


def test_the_server_keeps_its_contract_with_stores(stores) -> None:
    """As order, which has both stores; its own tables are not touched."""
    run("contract_http_stores", POSTGRES_URL=stores.secret("order", "postgres_url"),
        VALKEY_URL=stores.secret("order", "valkey_url"), TEST_TOKEN=stores.log_in()["token"])
