"""A real wholesaler's day, placed through the gateway: what the shop says afterwards is what the file says."""
import pathlib
import subprocess

import pytest

from support.stack import BUILD, ROOT

DATA = ROOT.parent / "shared" / "data" / "online-retail-2010-12-01.csv"


@pytest.mark.skipif(not DATA.exists(), reason="../shared/data is not here")
def test_the_sums_of_orders_payments_and_analytics_are_the_files(shop):
    done = subprocess.run([BUILD / "bin" / "soukctl", "replay", "--file", DATA, "--shop", shop.gateway],
                          capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    lines = {line.split()[0]: line for line in done.stdout.splitlines() if line}
    for who in ("file", "orders", "payments", "analytics"):
        assert "127 orders" in lines[who] and "58960.79 GBP" in lines[who], done.stdout
    assert "cancellations: 6" in done.stdout


def test_a_file_that_is_none_is_one_clear_line(shop, tmp_path: pathlib.Path):
    broken = tmp_path / "broken.csv"
    broken.write_text("a,b\n1,2\n")
    done = subprocess.run([BUILD / "bin" / "soukctl", "replay", "--file", broken, "--shop", shop.gateway],
                          capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "the file has no column InvoiceNo" in done.stderr
