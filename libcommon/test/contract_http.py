"""The HTTP server of libcommon, as C programs that start it in-process; they need no store."""
import os
import pathlib
import subprocess

import pytest


@pytest.mark.parametrize("program", ["contract_http", "contract_http_wire"])
def test_the_server_keeps_its_contract(program: str) -> None:
    path = pathlib.Path(os.environ["SOUK_BUILD"]) / "test/libcommon/test" / program
    done = subprocess.run([path], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
