"""Orders looked at live through the gateway: one purchase from its first step to its last, and a crowd that looks on."""
import concurrent.futures
import contextlib
import pathlib
import resource
import statistics
import time

import pytest

from support.events import ADDRESS
from support.live import Stream
from support.messages import new_id
from support.stack import Client
from support.waiting import eventually
from support.webhooks import signed

CROWD = 500


@pytest.fixture(scope="module")
def anyone(shop):
    return Client(shop.gateway)


@pytest.fixture(scope="module")
def admin(anyone):
    session = anyone.post("/v1/sessions", {"email": "admin@souk.localhost", "password": "souk-admin"})
    assert session.status == 201, session
    return anyone.as_user(session.json)


@pytest.fixture(scope="module")
def sku(admin, anyone):
    """A SKU of its own, 100 in stock."""
    name = f"LIVE-{new_id()[-12:]}".upper()
    made = admin.post("/v1/products", {"title": f"Lamp {name}", "status": "active",
                                       "variants": [{"sku": name, "price": {"amount": 500, "currency": "GBP"}}]})
    assert made.status == 201, made
    eventually("inventory knows it", lambda: anyone.get(f"/v1/stock/{name}").status == 200)
    assert admin.put(f"/v1/stock/{name}", {"on_hand": 100}).status == 200
    return name


@pytest.fixture(scope="module")
def room_for_a_crowd():
    """As many files for this process as the streams need."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(4096, hard)), hard))


def place(anyone, sku) -> dict:
    def attempt():
        answer = anyone.post("/v1/orders", {
            "items": [{"sku": sku, "quantity": 1}], "email": f"{new_id()[-12:]}@example.org", "shipping_address": ADDRESS,
            "payment": {"provider": "test", "token": "tok_ok"}}, Idempotency_Key=new_id())
        # The order service may not have heard of a product that was made a moment ago.
        return None if answer.status == 422 and answer.json["code"] == "unknown_sku" else answer

    answer = eventually("the price list knows the SKU", attempt, within=30)
    assert answer.status == 201, answer
    return answer.json


def path_of(order, what="events") -> str:
    return f"/v1/orders/{order['id']}/{what}?access_token={order['access_token']}"


def carrier_says(shop, anyone, order, status) -> None:
    shipment = eventually("the label", lambda: anyone.get(
        f"/v1/orders/{order['id']}?access_token={order['access_token']}").json["shipments"])[0]
    answer = anyone.call("POST", "/v1/shipments/webhooks/test", **signed(
        shop.secret("shipping", "webhook_secret"), {"tracking_number": shipment["tracking_number"], "status": status}))
    assert answer.status in (200, 204), answer


def test_a_purchase_is_followed_live_from_pending_to_delivered(shop, anyone, sku):
    order = place(anyone, sku)
    with Stream(shop.gateway, path_of(order)) as stream:
        assert (stream.status, stream.headers["content-type"]) == (200, "text/event-stream")
        stream.reaches("paid")
        for status in ("shipped", "delivered"):
            carrier_says(shop, anyone, order, status)
            stream.reaches(status)
        eventually("the sale is told", lambda: "inventory.sold" in [e["data"]["event"] for e in stream.poll()], within=60)
        assert stream.ids == list(range(1, len(stream.ids) + 1)), "no gap, and nothing twice"
        in_order = list(dict.fromkeys(stream.statuses))
        assert in_order == ["pending", "reserved", "paid", "shipped", "delivered"]
        told = anyone.get(path_of(order, "timeline") + "&limit=100").json["items"]
        assert told == [e["data"] for e in stream.events]
        assert {"orders.created", "inventory.reserved", "payments.confirmed", "inventory.sold", "shipments.label_created",
                "shipments.shipped", "shipments.delivered"} == {m["event"] for m in told}
    with Stream(shop.gateway, path_of(order), Last_Event_ID=str(told[-3]["version"])) as rest:
        rest.reaches("delivered")
        assert [e["data"] for e in rest.events] == told[-2:]


def test_a_wrong_token_sees_nothing(shop, anyone, sku):
    order = place(anyone, sku)
    with Stream(shop.gateway, f"/v1/orders/{order['id']}/events?access_token=wrong") as stream:
        assert (stream.status, stream.problem["code"]) == (404, "order_not_found")


def measure(anyone, requests: int) -> float:
    """The median of as many reads of the catalogue, in milliseconds; each has to succeed."""
    took = []
    for _ in range(requests):
        began = time.monotonic()
        assert anyone.get("/v1/products?limit=5").status == 200
        took.append((time.monotonic() - began) * 1000)
    return statistics.median(took)


def memory_of(shop, service: str) -> float:
    """The process's own share of memory (PSS), in MB."""
    pid = shop.control("pid", f"shop:{service}").strip()
    lines = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


def test_a_crowd_that_looks_on_starves_nobody_and_misses_nothing(shop, anyone, sku, room_for_a_crowd):
    order = place(anyone, sku)
    eventually("it is paid", lambda: anyone.get(path_of(order, "timeline")).json["items"][-1]["status"] == "paid", within=30)
    before_ms, before_mb = measure(anyone, 100), memory_of(shop, "order")
    with contextlib.ExitStack() as crowd:
        with concurrent.futures.ThreadPoolExecutor(8) as doors:
            streams = [crowd.enter_context(stream) for stream in doors.map(
                lambda _: Stream(shop.gateway, path_of(order)), range(CROWD))]
        assert [stream.status for stream in streams] == [200] * CROWD
        for stream in streams:
            stream.reaches("paid", within=60)
        # Others are served meanwhile: they read, and they buy.
        during_ms, during_mb = measure(anyone, 100), memory_of(shop, "order")
        bought = [place(anyone, sku) for _ in range(5)]
        for other in bought:
            eventually("it is paid as well", lambda: anyone.get(path_of(other, "timeline")).json["items"][-1]["status"] == "paid",
                       within=60)
        began = time.monotonic()
        for status in ("shipped", "delivered"):
            carrier_says(shop, anyone, order, status)
            for stream in streams:
                stream.reaches(status, within=60)
        told_ms = (time.monotonic() - began) * 1000 / 2
        for stream in streams:
            assert not stream.over()
            assert stream.ids == list(range(1, len(stream.ids) + 1))
    print(f"\n{CROWD} streams: GET /v1/products {before_ms:.1f} ms without, {during_ms:.1f} ms with them (medians); "
          f"order's memory {before_mb:.1f} MB, then {during_mb:.1f} MB; a step is with all after {told_ms:.0f} ms")
    # And when they leave, there is room for as many again at once.
    with contextlib.ExitStack() as crowd:
        eventually("places are free again", lambda: crowd.enter_context(
            Stream(shop.gateway, path_of(order))).status == 200, within=60)
