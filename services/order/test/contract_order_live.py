"""order: looked at while it moves: each step once, in order, from where the client was."""
import contextlib

import pytest
import requests

from ordering import body, confirm, parcel, place, pounds, reaches, reserve, tell, try_to_place
from support.live import Stream
from support.messages import new_id
from support.stack import ROOT
from support.waiting import eventually


@pytest.fixture(scope="module")
def order(start_service):
    return start_service("order", LIVE_HEARTBEAT_MS="500")


@pytest.fixture
def follow(order, account):
    """follow(order id, query="", Last_Event_ID=…): the account's stream, closed at the end."""
    with contextlib.ExitStack() as streams:
        def open_stream(order_id, query="", token=account["token"], service=order, **headers) -> Stream:
            return streams.enter_context(
                Stream(service.live_url, f"/v1/orders/{order_id}/events{query}", token, **headers))

        yield open_stream


def deliver(bus, order_id) -> dict:
    """What the other services tell of an order that goes well; returns its parcel."""
    label = parcel()
    reserve(bus, order_id)
    confirm(bus, order_id)
    tell(bus, "inventory.sold", order_id, 2)
    tell(bus, "shipments.label_created", order_id, 1, **label)
    tell(bus, "shipments.shipped", order_id, 2, **label)
    tell(bus, "shipments.delivered", order_id, 3, **label)
    return label


def timeline(client, order_id) -> list[dict]:
    answer = client.get(f"/v1/orders/{order_id}/timeline?limit=100")
    assert answer.status == 200, answer
    return answer.json["items"]


def metric(service, name) -> float:
    text = service.call("GET", "/metrics", checked=False).text
    return sum(float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line.startswith(name))


# ---- the timeline ----

def test_the_timeline_tells_each_step_with_its_time(bus, shopper, sku):
    made = place(shopper, sku)
    label = deliver(bus, made["id"])
    reaches(shopper, made["id"], "delivered")
    moments = eventually("all steps", lambda: (lambda m: m if len(m) == 7 else None)(timeline(shopper, made["id"])))
    assert [m["version"] for m in moments] == list(range(1, 8))
    assert [m["at"] for m in moments] == sorted(m["at"] for m in moments)
    by_event = {m["event"]: m for m in moments}
    assert list(by_event)[:3] == ["orders.created", "inventory.reserved", "payments.confirmed"]
    assert set(list(by_event)[3:]) == {"inventory.sold", "shipments.label_created", "shipments.shipped",
                                       "shipments.delivered"}
    assert by_event["orders.created"]["status"] == "pending" and by_event["orders.created"]["amount"] == pounds(1000)
    assert by_event["inventory.reserved"]["told"] == ["orders.payment_requested"]
    assert (by_event["payments.confirmed"]["status"], by_event["payments.confirmed"]["told"]) == ("paid", ["orders.paid"])
    assert by_event["shipments.shipped"]["tracking_number"] == label["tracking_number"]
    assert by_event["shipments.delivered"]["told"] == ["orders.delivered"]
    assert moments[-1]["status"] == "delivered"


def test_a_bad_end_and_its_refund_are_told_with_reason_and_amount(shopper, paid):
    assert shopper.post(f"/v1/orders/{paid}/cancel").status == 200
    last = timeline(shopper, paid)[-1]
    assert (last["event"], last["status"], last["reason"]) == ("orders.cancelled", "cancelled", "cancelled by the customer")
    assert (last["told"], last["amount"]) == (["orders.cancelled", "orders.refund_requested", "orders.recalled"], pounds(1000))


def test_the_timeline_is_read_page_by_page(bus, shopper, sku):
    made = place(shopper, sku)
    deliver(bus, made["id"])
    reaches(shopper, made["id"], "delivered")
    path, cursor, seen = f"/v1/orders/{made['id']}/timeline?limit=2", "", []
    while cursor is not None:
        page = shopper.get(path + (f"&cursor={cursor}" if cursor else "")).json
        assert len(page["items"]) <= 2
        seen, cursor = seen + page["items"], page["next_cursor"]
    assert seen == timeline(shopper, made["id"])
    assert shopper.get(path + "&cursor=eHg").status == 422


def test_the_timeline_is_for_those_who_may_see_the_order(order, stores, staff, shopper, sku):
    made = try_to_place(order, body(sku, email="guest@example.org")).json
    path = f"/v1/orders/{made['id']}/timeline"
    assert [order.get(path).status, order.get(f"{path}?access_token=x").status, shopper.get(path).status] == [404] * 3
    assert order.get(f"{path}?access_token={made['access_token']}").status == staff.get(path).status == 200
    assert staff.get(f"/v1/orders/{new_id()}/timeline").status == 404


def test_orders_from_before_the_timeline_have_their_beginning_and_what_they_are(shopper, sku, paid, stores):
    """The migration's own words, on these orders as if they were old; nothing of it stays."""
    pending = place(shopper, sku)["id"]
    migration = (ROOT / "services/order/migrations/002_timeline.sql").read_text()
    fill = migration[migration.index("INSERT INTO"):]
    connection = stores.database("order")
    connection.autocommit = False
    try:
        with connection.cursor() as cursor:
            cursor.execute("DELETE FROM order_timeline")
            cursor.execute(fill)
            cursor.execute("SELECT order_id::text, version, event, status FROM order_timeline"
                           " WHERE order_id = ANY(%s::uuid[]) ORDER BY order_id, version", ([pending, paid],))
            rows = cursor.fetchall()
    finally:
        connection.rollback()
        connection.close()
    assert sorted(rows) == sorted([(pending, 1, "orders.created", "pending"), (paid, 1, "orders.created", "pending"),
                                   (paid, 3, "payments.confirmed", "paid")])


# ---- the stream ----

def test_a_stream_begins_with_what_was_and_goes_on_with_what_comes(bus, shopper, sku, follow):
    made = place(shopper, sku)
    stream = follow(made["id"])
    assert (stream.status, stream.headers["content-type"]) == (200, "text/event-stream")
    assert stream.headers["cache-control"] == "no-store" and "traceparent" in stream.headers
    stream.reaches("pending")
    assert stream.retry == 3000
    deliver(bus, made["id"])
    events = stream.reaches("delivered")
    eventually("every step", lambda: len(stream.poll()) == 7)
    assert stream.ids == list(range(1, 8))
    assert {e["event"] for e in events} == {"status"}
    assert [e["data"] for e in events] == timeline(shopper, made["id"])
    assert [int(e["id"]) for e in events] == [e["data"]["version"] for e in events]


def test_a_stream_that_comes_back_has_exactly_the_rest(bus, shopper, sku, follow):
    made = place(shopper, sku)
    first = follow(made["id"])
    reserve(bus, made["id"])
    first.reaches("reserved")
    first.close()
    confirm(bus, made["id"])  # while nobody looks on
    reaches(shopper, made["id"], "paid")
    again = follow(made["id"], Last_Event_ID="2")
    again.reaches("paid")
    tell(bus, "shipments.shipped", made["id"], 2, **parcel())
    again.reaches("shipped")
    assert again.ids == [3, 4]
    by_query = follow(made["id"], query="?last_event_id=3")
    by_query.reaches("shipped")
    assert by_query.ids == [4]
    by_both = follow(made["id"], query="?last_event_id=0", Last_Event_ID="3")
    by_both.reaches("shipped")
    assert by_both.ids == [4], "the header is the newer of the two"


@pytest.mark.parametrize("value", ["-1", "text", "1.5", "0x2", "9223372036854775808", "9" * 400, "2 2"])
def test_an_event_id_that_is_none_of_ours_is_422(shopper, sku, follow, value):
    stream = follow(place(shopper, sku)["id"], Last_Event_ID=value)
    assert (stream.status, stream.problem["code"]) == (422, "invalid_last_event_id")


@pytest.mark.parametrize("value", ["0", "999", "9223372036854775807", ""])
def test_an_event_id_that_the_order_has_not_reached_begins_at_the_first(shopper, sku, follow, value):
    stream = follow(place(shopper, sku)["id"], Last_Event_ID=value)
    stream.reaches("pending")
    assert stream.ids == [1]


def test_a_stream_is_for_those_who_may_see_the_order(order, stores, staff, shopper, sku, follow):
    made = try_to_place(order, body(sku, email="guest@example.org")).json
    with_token = f"?access_token={made['access_token']}"
    assert follow(made["id"], with_token, token=None).status == 200
    assert follow(made["id"], token=staff.headers["Authorization"].split()[1]).status == 200
    refused = [follow(made["id"], token=None), follow(made["id"], "?access_token=wrong", token=None), follow(made["id"]),
               follow(new_id(), with_token, token=None), follow("no-id", with_token, token=None)]
    assert [s.status for s in refused] == [404] * 5
    assert {s.problem["code"] for s in refused[:4]} == {"order_not_found"}
    assert follow(made["id"], token="no-such-token").status == 401


def test_each_path_is_served_on_one_port(order, shopper, sku):
    made = place(shopper, sku)
    here = shopper.call("GET", f"/v1/orders/{made['id']}/events", checked=False)
    assert (here.status, here.json["code"]) == (421, "misdirected_request")
    with Stream(order.live_url, f"/v1/orders/{made['id']}") as there:
        assert (there.status, there.problem["code"]) == (421, "misdirected_request")


def test_a_stream_that_is_silent_sends_signs_of_life(shopper, sku, follow):
    stream = follow(place(shopper, sku)["id"])
    eventually("two signs of life", lambda: stream.poll() and len(stream.comments) >= 2, within=30)
    assert stream.ids == [1]


def test_streams_are_counted_and_a_client_that_is_gone_is_not(order, shopper, sku, follow):
    eventually("those of other tests are gone", lambda: metric(order, "souk_live_open") == 0)
    stream = follow(place(shopper, sku)["id"])
    assert metric(order, "souk_live_open") == 1
    stream.close()
    eventually("it is not counted any more", lambda: metric(order, "souk_live_open") == 0)


def test_head_tells_what_a_stream_would_be_and_opens_none(order, shopper, sku):
    path = f"{order.live_url}/v1/orders/{place(shopper, sku)['id']}/events"
    answer = requests.head(path, headers=shopper.headers, timeout=30)
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "text/event-stream")


def test_many_steps_reach_many_streams_in_order(bus, shopper, staff, paid, follow):
    streams = [follow(paid) for _ in range(10)]
    for number in range(1, 61):  # more than one reading takes
        answer = staff.post(f"/v1/orders/{paid}/refunds", {"amount": pounds(1), "reason": f"crumb {number}"})
        assert answer.status == 201, answer
    for stream in streams:
        eventually("all steps", lambda: len(stream.poll()) == 63, within=30)
        assert stream.ids == list(range(1, 64))
    late = follow(paid)
    eventually("all steps at once", lambda: len(late.poll()) == 63, within=30)
    assert late.ids == list(range(1, 64))


# ---- when things fail ----

def test_a_stream_goes_on_through_a_restart_of_the_broker(bus, shopper, sku, stores, follow):
    made = place(shopper, sku)
    stream = follow(made["id"])
    stream.reaches("pending")
    with stores.without("nats"):
        pass
    reserve(bus, made["id"])
    stream.reaches("reserved")
    with stores.without("nats"):
        assert shopper.post(f"/v1/orders/{made['id']}/cancel").status == 200
        stream.reaches("cancelled")
    assert stream.ids == [1, 2, 3]


def test_a_stream_outlives_postgresql_and_valkey(bus, shopper, sku, stores, follow, order):
    made = place(shopper, sku)
    stream = follow(made["id"])
    stream.reaches("pending")
    with stores.without("valkey"):
        assert follow(made["id"]).status == 503, "whose session it is cannot be told"
    failures = metric(order, "souk_live_read_failures_total")
    with stores.without("postgres"):
        eventually("a reading failed", lambda: metric(order, "souk_live_read_failures_total") > failures, within=30)
        assert follow(made["id"]).status == 503
        assert not stream.over()
    eventually("PostgreSQL is back for it", lambda: shopper.get(f"/v1/orders/{made['id']}").status == 200, within=30)
    reserve(bus, made["id"])
    stream.reaches("reserved")
    assert stream.ids == [1, 2]


def test_a_step_taken_by_another_replica_is_told(bus, order, shopper, sku, follow, start_service):
    """Whichever of the two takes the step, both tell it."""
    other = start_service("order")  # its heartbeat is 15 s: it is the event that wakes it
    made = place(shopper, sku)
    streams = [follow(made["id"], service=service) for service in (order, other)]
    deliver(bus, made["id"])
    for stream in streams:
        stream.reaches("delivered")
        assert stream.ids == sorted(set(stream.ids)) and stream.ids[:3] == [1, 2, 3]


# ---- limits ----

def test_one_client_cannot_have_the_last_places_and_nobody_more_than_there_are(start_service, stores, sku, follow):
    small = start_service("order", LIVE_MAX_OPEN="8", LIVE_SHARE="2")
    account = stores.log_in()
    made = place(small.as_user(account), sku)["id"]

    def open_one(address: str) -> Stream:
        return follow(made, token=account["token"], service=small, X_Real_IP=address)

    assert [open_one("192.0.2.1").status for _ in range(7)] == [200] * 7
    greedy = open_one("192.0.2.1")
    assert (greedy.status, greedy.problem["code"]) == (429, "too_many_streams")
    assert int(greedy.headers["retry-after"]) > 0
    last = open_one("192.0.2.2")
    assert last.status == 200
    full = open_one("192.0.2.3")
    assert (full.status, full.problem["code"]) == (503, "streams_full")
    assert int(full.headers["retry-after"]) > 0
    assert small.as_user(account).get(f"/v1/orders/{made}").status == 200, "who asks is not one who looks on"
    last.close()
    eventually("there is a place again", lambda: open_one("192.0.2.3").status == 200)
    assert metric(small, "souk_live_refused_total") >= 2


def test_a_stream_ends_after_its_lifetime(start_service, stores, sku, follow):
    brief = start_service("order", LIVE_LIFETIME_S="1")
    account = stores.log_in()
    stream = follow(place(brief.as_user(account), sku)["id"], token=account["token"], service=brief)
    eventually("its end", stream.over, within=30)
    assert stream.ids == [1]


def test_a_stop_does_not_wait_for_streams(start_service, stores, sku, follow):
    service = start_service("order")
    account = stores.log_in()
    made = place(service.as_user(account), sku)["id"]
    streams = [follow(made, token=account["token"], service=service) for _ in range(30)]
    for stream in streams:
        stream.reaches("pending")
    service.stop()  # 20 s are too long for it (DRAIN_TIMEOUT_S): it would exit with 1
    assert all(stream.over() for stream in streams)
