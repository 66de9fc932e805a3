"""inventory: who says one thing again and again, while the first time still runs, keeps nobody else waiting."""
import concurrent.futures
import contextlib
import re

import pytest

from support.events import product_changed
from support.messages import new_id
from support.waiting import eventually


@pytest.fixture(scope="module")
def inventory(start_service):
    """With fewer connections than requests, and as patient with a slow one as a test on a slow machine needs."""
    return start_service("inventory", POSTGRES_CONNECTIONS="4", HTTP_TIMEOUT_MS="60000")


@pytest.fixture
def skus(bus, inventory, stores):
    """Two SKUs with 10 pieces each."""
    names = [f"SKU-{new_id()[-12:]}" for _ in range(2)]
    for name in names:
        event = product_changed(name)
        told = bus.tell(f"catalog.product.{event.product_id}", event)
        eventually("it is known", lambda t=told: stores.handled("inventory", t))
    return names


@contextlib.contextmanager
def held(stores, sku: str):
    """Whoever changes the SKU waits, until this ends."""
    connection = stores.database("inventory")
    connection.autocommit = False
    with contextlib.closing(connection), connection.cursor() as cursor:
        cursor.execute("SELECT 1 FROM stock WHERE sku = %s FOR UPDATE", (sku,))
        yield


def waiting(inventory) -> int:
    text = inventory.call("GET", "/metrics", checked=False).text
    return int(re.search(r"^souk_idempotency_waiting (\d+)$", text, re.MULTILINE).group(1))


def test_thirty_requests_with_one_key_hold_one_connection_and_others_go_on(inventory, stores, skus):
    slow, other = skus
    session, key = stores.log_in("staff"), new_id()

    def adjust(sku: str, with_key: str):
        return inventory.as_user(session).post(
            f"/v1/stock/{sku}/adjustments", {"delta": 5, "reason": "found"}, Idempotency_Key=with_key)

    with concurrent.futures.ThreadPoolExecutor(30) as pool:
        with held(stores, slow):
            said = [pool.submit(adjust, slow, key) for _ in range(30)]
            eventually("they wait for the first", lambda: waiting(inventory) >= 10)
            for _ in range(5):
                assert adjust(other, new_id()).status == 201
                assert inventory.get(f"/v1/stock/{other}").status == 200
            assert stores.rows("inventory", "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'inventory'"
                               " AND wait_event_type = 'Lock'")[0][0] <= 1
        answers = [done.result() for done in said]
    # 503: the first ones, whom the lock kept too long; 409: those who came when half of the workers waited already.
    assert {a.status for a in answers} <= {201, 409, 503}
    assert len({a.bytes for a in answers if a.status == 201}) <= 1
    last = adjust(slow, key)
    assert last.status == 201 and {a.bytes for a in answers if a.status == 201} <= {last.bytes}
    assert inventory.get(f"/v1/stock/{slow}").json["on_hand"] == 15, "it happened once"
