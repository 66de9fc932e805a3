"""Every service dies at every crash point under traffic; then the stores say what the ledger says."""
import base64
import contextlib
import functools
import os
import re
from collections import Counter

import pytest

from crash.matrix import SERVICES, UNREACHED, Matrix, points_of
from crash.traffic import PLENTY, SCARCE
from support.stack import BUILD, Client
from support.waiting import eventually

ROUNDS = int(os.environ.get("SOUK_CRASH_ROUNDS", "1"))
SEED = int(os.environ.get("SOUK_CRASH_SEED", "1"))
NOISE = ("souk.sessions.v1.SessionSeen", "souk.inventory.v1.StockLevel")  # left out of the audit log by design
# A state and no event: its stream keeps the last of a product, and a reader that was away sees no other. What
# staff did to the product is an event of its own.
STATE = "souk.catalog.v1.ProductChanged"


@pytest.fixture(scope="module")
def matrix():
    walked = Matrix(ROUNDS, SEED)
    try:
        walked.run()
        walked.settle()
        yield walked
    finally:
        walked.close()


@pytest.fixture(scope="module")
def orders(matrix) -> dict:
    """Every order by its id, from its own table."""
    columns = ("id", "email", "status", "total", "captured", "refund_requested", "refunded")
    return {row[0]: dict(zip(columns, row)) for row in matrix.stack.rows(
        "order", "SELECT id::text, email, status, total_minor, payment_status = 'captured', refund_requested_minor,"
        " refunded_minor FROM customer_order")}


@pytest.fixture(scope="module")
def paid(matrix) -> set:
    """The orders of which orders.paid was told."""
    return {subject.rsplit(".", 1)[1] for subject, in matrix.stack.rows(
        "order", "SELECT DISTINCT subject FROM outbox WHERE split_part(subject, '.', 2) = 'paid'")}


def test_a_release_build_has_no_trace_of_the_points():
    for service in SERVICES:
        binary = (BUILD.parent / "bin" / service).read_bytes()
        for trace in (b"SOUK_CRASH_FILE", b"consumer_before_ack", b"crash-points"):
            assert trace not in binary, (service, trace)


def test_nothing_failed_on_the_way(matrix):
    assert matrix.failures == []


@pytest.mark.parametrize("service", SERVICES)
def test_the_service_died_at_each_of_its_points(matrix, service):
    wanted = [p for p in points_of(service) if (service, p) not in UNREACHED]
    visits = Counter(point for name, point in matrix.visited if name == service)
    assert {p: visits[p] for p in wanted} == {p: ROUNDS for p in wanted}
    assert matrix.crashes(service) == ROUNDS * len(wanted)


def test_points_that_are_left_out_are_points_of_the_service():
    for service, point in UNREACHED:
        assert point in points_of(service)


def test_every_accepted_order_is_there_once_and_has_come_to_its_end(matrix, orders):
    ledger = matrix.traffic.ledger
    accepted = [o["id"] for o in ledger.orders]
    assert len(accepted) > 50 and len(set(accepted)) == len(accepted)
    assert set(orders) == set(accepted)  # also: no key made a second one
    assert {o["id"]: o["total"] for o in ledger.orders} == {i: o["total"] for i, o in orders.items()}
    ends = Counter(o["status"] for o in orders.values())
    assert set(ends) <= {"delivered", "rejected", "payment_failed", "cancelled", "refunded"}
    for status in ("delivered", "rejected", "payment_failed", "cancelled", "refunded"):
        assert ends[status] > 0, ends
    assert {orders[i]["status"] for i in ledger.cancelled} == {"cancelled"}


def test_a_read_of_an_order_says_what_its_row_says(matrix, orders):
    admin = Client(matrix.stack.gateway, matrix.traffic.admin["token"])
    for order_id in list(orders)[-20:]:
        for _ in ("from the table or the cache", "from the cache"):
            assert admin.get(f"/v1/orders/{order_id}").json["status"] == orders[order_id]["status"]


def test_stock_is_what_was_there_and_has_not_left(matrix, orders):
    traffic, stack = matrix.traffic, matrix.stack
    left = {i for i, in stack.rows("shipping", "SELECT order_id::text FROM shipment WHERE state = 'delivered'")}
    # What left is sold, also where a cancel came after it; what did not leave is back.
    assert left == {i for i, in stack.rows("inventory", "SELECT order_id::text FROM reservation WHERE state = 'sold'")}
    sold = Counter()
    for order in traffic.ledger.orders:
        if order["id"] in left:
            sold[order["sku"]] += order["quantity"]
    for product, initial, adjusted in ((traffic.plenty, PLENTY, sum(traffic.ledger.adjustments)),
                                       (traffic.scarce, SCARCE, 0)):
        levels = stack.rows("inventory", "SELECT on_hand, reserved FROM stock WHERE sku = %s", product["sku"])
        assert levels == [(initial + adjusted - sold[product["sku"]], 0)]
    assert stack.rows("inventory", "SELECT sku FROM stock s WHERE on_hand <>"
                      " (SELECT coalesce(sum(delta), 0) FROM movement m WHERE m.sku = s.sku)") == []
    assert stack.rows("inventory", "SELECT order_id FROM movement WHERE order_id IS NOT NULL"
                      " GROUP BY order_id, sku, kind HAVING count(*) > 1") == []


def test_money_is_taken_once_and_goes_back_once(matrix, orders):
    stack, ledger = matrix.stack, matrix.traffic.ledger
    payments = {row[0]: row[1:] for row in stack.rows(
        "payment", "SELECT order_id::text, state, amount_minor, refunded_minor FROM payment WHERE provider <> ''")}
    asked = Counter()
    for order_id, minor in ledger.refunds:
        asked[order_id] += minor
    for order_id, order in orders.items():
        state, amount, refunded = payments.get(order_id, ("none", 0, 0))
        assert (state == "captured") == order["captured"], order
        if order["captured"]:
            # A refund that came as the order was being cancelled is part of the whole.
            back = order["total"] if order["status"] in ("cancelled", "refunded") else asked[order_id]
            assert (amount, refunded, order["refunded"]) == (order["total"], back, back), order
        else:
            assert order["refunded"] == 0 and refunded == 0, order
    # The provider knows of no charge and no refund that we do not know of, and the other way round.
    assert stack.rows("payment", "SELECT p.id, c.key FROM (SELECT id FROM payment WHERE state = 'captured') p"
                      " FULL JOIN (SELECT key FROM test_provider_charge WHERE outcome = 'succeeded') c ON c.key = p.id"
                      " WHERE p.id IS NULL OR c.key IS NULL") == []
    assert stack.rows("payment", "SELECT r.id, t.key FROM refund r FULL JOIN test_provider_refund t ON t.key = r.id"
                      " WHERE r.id IS NULL OR t.key IS NULL OR r.state <> 'done'"
                      " OR r.amount_minor <> t.amount_minor") == []


def test_every_paid_order_has_one_label_and_one_parcel(matrix, orders, paid):
    parcels = {row[0]: row[1:] for row in matrix.stack.rows(
        "shipping", "SELECT order_id::text, state, label IS NOT NULL FROM shipment")}
    labelled = {i for i, (_, label) in parcels.items() if label}
    undone = {i for i, order in orders.items() if order["status"] in ("cancelled", "refunded")}
    assert paid - labelled <= undone and labelled <= paid
    delivered = {i for i, (state, _) in parcels.items() if state == "delivered"}
    assert {i for i, order in orders.items() if order["status"] == "delivered"} == delivered - undone
    assert labelled <= {i for i, in matrix.stack.rows("order", "SELECT order_id::text FROM order_shipment")}


def test_every_mail_is_sent_once_or_again_only_where_notification_died(matrix, orders):
    messages = matrix.stack.rows("notification", "SELECT id::text, kind, order_id::text, state FROM message")
    assert {state for *_, state in messages} == {"sent"}
    kinds = Counter((kind, order_id) for _, kind, order_id, _ in messages if order_id and kind != "order_refunded")
    assert set(kinds.values()) == {1}
    words = {"rejected": "order_rejected", "payment_failed": "payment_failed", "cancelled": "order_cancelled",
             "delivered": "order_delivered"}
    for order_id, order in orders.items():
        assert kinds["order_confirmation", order_id] == 1
        assert order["status"] not in words or kinds[words[order["status"]], order_id] == 1, order
    # The sink's copies by Message-ID, which is the message's id: SMTP has no way to hand over exactly
    # once, so each death of notification may have cost one repetition, and no more.
    copies = Counter(re.search(r"^Message-ID: <(.+)@", path.read_text(errors="replace"), re.M).group(1)
                     for path in (matrix.stack.folder / "mail").glob("*.eml"))
    assert set(copies) == {i for i, *_ in messages}
    assert sum(copies.values()) - len(copies) <= matrix.crashes("notification")


def test_every_webhook_arrives_at_least_once(matrix):
    rows = matrix.stack.rows("notification", "SELECT message_id, state FROM webhook_delivery WHERE endpoint_id = %s",
                             matrix.traffic.endpoint)
    assert {state for _, state in rows} == {"delivered"}
    seen = Counter(matrix.receiver.seen)
    assert {message_id for message_id, _ in rows} <= set(seen)
    assert sum(seen.values()) - len(seen) <= matrix.crashes("notification")


def test_the_audit_log_has_one_entry_an_event_and_its_chain_verifies(matrix):
    told, last = {}, {}
    for service in SERVICES:
        if service != "cart":
            for event_id, kind, subject in matrix.stack.rows(
                    service, "SELECT id::text, type, subject FROM outbox ORDER BY seq"):
                told[event_id], last[subject] = kind, event_id
    rows = matrix.stack.rows("audit", "SELECT id FROM entry")
    entries, superseded = {event_id for event_id, in rows}, set(told) - set(last.values())
    assert len(entries) == len(rows) and entries <= set(told)
    missing = {i: kind for i, kind in told.items() if i not in entries and kind not in NOISE}
    assert {i: kind for i, kind in missing.items() if kind != STATE or i not in superseded} == {}
    admin = Client(matrix.stack.gateway, matrix.traffic.admin["token"])
    assert admin.get("/v1/audit/verify").json["valid"]


def test_analytics_is_the_sum_of_the_orders(matrix, orders, paid):
    sales = matrix.stack.rows("analytics", "SELECT sum(orders), sum(gross), sum(refunded) FROM sales_day")
    assert [tuple(map(int, row)) for row in sales] == [
        (len(paid), sum(orders[i]["total"] for i in paid), sum(o["refunded"] for o in orders.values()))]
    ends = Counter(o["status"] for o in orders.values())
    funnel = matrix.stack.rows("analytics", "SELECT sum(orders), sum(paid), sum(rejected), sum(payment_failed),"
                               " sum(cancelled) FROM funnel_day")
    assert [tuple(map(int, row)) for row in funnel] == [
        (len(orders), len(paid), ends["rejected"], ends["payment_failed"], ends["cancelled"])]


def letters_of(matrix) -> list[dict]:
    """The headers of every dead letter."""
    letters = []
    with contextlib.closing(matrix.stack.bus()) as bus:
        state = bus.api("STREAM.INFO.dead")["state"]
        for sequence in range(state["first_seq"], state["last_seq"] + 1):
            answer = eventually("the broker answers", functools.partial(
                bus.api, "STREAM.MSG.GET.dead", {"seq": sequence}))
            lines = base64.b64decode(answer["message"]["hdrs"]).decode().split("\r\n")
            letters.append(dict(line.split(": ", 1) for line in lines if ": " in line))
    return letters


def test_only_what_nobody_can_read_is_a_dead_letter_and_it_is_one_once(matrix):
    letters = Counter((h["ce-id"], h["souk-consumer"]) for h in letters_of(matrix))
    assert letters and set(letters.values()) == {1}
    assert {event_id for event_id, _ in letters} <= set(matrix.poisons)
    buried = {consumer.split("-")[0] for _, consumer in letters}
    assert buried == {s for s in SERVICES if "letter_buried" in points_of(s)}


def test_the_cart_holds_what_was_put_in_and_not_ordered(matrix):
    traffic = matrix.traffic
    cart = Client(matrix.stack.gateway, traffic.shopper["token"]).get("/v1/cart").json
    assert [(i["sku"], i["quantity"]) for i in cart["items"]] == [(traffic.plenty["sku"], traffic.ledger.cart)]


def test_what_the_catalogue_shows_is_the_last_that_was_written(matrix):
    traffic, anyone = matrix.traffic, Client(matrix.stack.gateway)
    shown = {i: anyone.get(f"/v1/products/{i}").json["title"] for i in traffic.ledger.products}
    assert shown and shown == traffic.ledger.products
    for product in (traffic.plenty, traffic.scarce):
        stock = anyone.get(f"/v1/stock/{product['sku']}").json
        assert anyone.get(f"/v1/products/{product['id']}").json["variants"][0]["available"] == stock["available"]


def test_every_account_is_there_once(matrix):
    emails = Counter(email for email, in matrix.stack.rows("session", "SELECT email FROM account"))
    emails.pop("admin@souk.localhost")
    assert emails == Counter(matrix.traffic.ledger.accounts)


def test_an_endpoint_that_was_removed_is_gone(matrix):
    left = [i for i, in matrix.stack.rows("notification", "SELECT id::text FROM webhook_endpoint")]
    assert left == [matrix.traffic.endpoint]
