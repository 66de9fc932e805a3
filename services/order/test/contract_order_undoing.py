"""order: what was done is undone the other way round: the parcel, then the stock, and the money meanwhile."""
import pytest

from ordering import (confirm, parcel, pay_back, place, pounds, reaches, read, refuse_to_pay_back, reserve, tell)
from support.messages import new_id
from support.waiting import eventually

RECALL, RECALLED = "souk.orders.v1.RecallRequested", "souk.orders.v1.OrderRecalled"


@pytest.fixture(scope="module")
def order(start_service):
    """It asks again after a second, and gives up on nobody."""
    return start_service("order", ORDER_RESEND_S="1", ORDER_STEP_TIMEOUT_S="86400")


@pytest.fixture
def label():
    return parcel()


@pytest.fixture
def labelled(bus, paid, label, stores):
    """The id of a paid order whose goods are sold and whose parcel has a label."""
    tell(bus, "inventory.sold", paid, 2)
    known = tell(bus, "shipments.label_created", paid, 1, **label)
    eventually("the label is known", lambda: stores.handled("order", known))
    eventually("the parcel is on order", lambda: asks_nothing(stores, paid))
    return paid


def asks_nothing(stores, order_id) -> bool:
    """Whether the order waits for nobody's answer any more."""
    return stores.rows("order", "SELECT deadline_at FROM customer_order WHERE id = %s", order_id) == [(None,)]


def cancel(client, order_id) -> None:
    assert client.post(f"/v1/orders/{order_id}/cancel").json["status"] == "cancelled"


def refund(staff, order_id, **wanted) -> dict:
    answer = staff.post(f"/v1/orders/{order_id}/refunds", {"reason": "broken"} | wanted)
    assert answer.status == 201, answer
    return answer.json


def refunds_of(staff, order_id) -> list[tuple]:
    return [(r["status"], r["amount"]["amount"], r["failure"])
            for r in staff.get(f"/v1/orders/{order_id}/refunds").json["items"]]


# ---- the parcel, then the stock ----

def test_the_parcel_is_asked_for_once_the_goods_are_sold(bus, shopper, paid, stores):
    with bus.listening("orders.shipment_requested.*") as heard:
        for version in (2, 3):  # the answer comes twice
            last = tell(bus, "inventory.sold", paid, version)
        heard("souk.orders.v1.ShipmentRequested", order_id=paid, version=4)
        told = [m["told"] for m in shopper.get(f"/v1/orders/{paid}/timeline").json["items"] if m["event"] == "inventory.sold"]
        assert told == [["orders.shipment_requested"]]
        eventually("both are handled", lambda: stores.handled("order", last))
        eventually("it is asked again while nobody answers",
                   lambda: heard.count("souk.orders.v1.ShipmentRequested", order_id=paid) > 1)
        tell(bus, "shipments.label_created", paid, 1, **parcel())
    eventually("nothing is owed", lambda: asks_nothing(stores, paid))


def test_a_cancel_calls_back_the_parcel_and_then_the_stock(bus, shopper, labelled, label, stores):
    with bus.listening("orders.*.*") as heard:
        cancel(shopper, labelled)
        heard(RECALL, order_id=labelled)
        refund_asked = heard("souk.orders.v1.RefundRequested", order_id=labelled)
        assert heard.count(RECALLED, order_id=labelled) == 0, "the parcel may have left"
        tell(bus, "shipments.voided", labelled, 2, **label)
        heard(RECALLED, order_id=labelled)
        tell(bus, "inventory.released", labelled, 3)
        pay_back(bus, refund_asked)
        heard("souk.orders.v1.OrderRefunded", order_id=labelled, fully=True)
    eventually("nothing is owed", lambda: asks_nothing(stores, labelled))
    assert [s["status"] for s in read(shopper, labelled)["shipments"]] == ["voided"]


def test_a_parcel_that_left_before_the_cancel_stays_sold_and_is_paid_back(bus, shopper, labelled, label, stores):
    with bus.listening("orders.*.*") as heard:
        cancel(shopper, labelled)
        heard(RECALL, order_id=labelled)
        tell(bus, "shipments.label_created", labelled, 1, **label)  # shipping tells all there was
        tell(bus, "shipments.shipped", labelled, 2, **label)
        tell(bus, "shipments.delivered", labelled, 3, **label)
        pay_back(bus, heard("souk.orders.v1.RefundRequested", order_id=labelled))
        heard("souk.orders.v1.OrderRefunded", order_id=labelled, fully=True)
        eventually("nothing is owed", lambda: asks_nothing(stores, labelled))
        assert heard.count(RECALLED, order_id=labelled) == 0
    eventually("the parcel is recorded", lambda: [
        s["status"] for s in read(shopper, labelled)["shipments"]] == ["delivered"])
    assert read(shopper, labelled)["status"] == "cancelled"


def test_where_shipping_was_not_asked_yet_the_stock_is_called_back_at_once(bus, shopper, paid, stores):
    with bus.listening("orders.*.*") as heard:
        cancel(shopper, paid)
        heard(RECALLED, order_id=paid)
        late = tell(bus, "inventory.sold", paid, 2)
        eventually("it is handled", lambda: stores.handled("order", late))
        tell(bus, "inventory.released", paid, 3)
        pay_back(bus, heard("souk.orders.v1.RefundRequested", order_id=paid))
        eventually("nothing is owed", lambda: asks_nothing(stores, paid))
        assert [heard.count(f"souk.orders.v1.{name}", order_id=paid)
                for name in ("ShipmentRequested", "RecallRequested")] == [0, 0]


def test_each_question_of_the_way_back_is_asked_until_it_is_answered(bus, shopper, labelled, label, stores):
    with bus.listening("orders.*.*") as heard:
        cancel(shopper, labelled)
        eventually("the recall is asked again", lambda: heard.count(RECALL, order_id=labelled) > 1, within=20)
        tell(bus, "shipments.voided", labelled, 2, **label)
        eventually("the goods are asked for again", lambda: heard.count(RECALLED, order_id=labelled) > 1, within=20)
        tell(bus, "inventory.released", labelled, 3)
        pay_back(bus, heard("souk.orders.v1.RefundRequested", order_id=labelled))
    eventually("nothing is owed", lambda: asks_nothing(stores, labelled))


def test_a_parcel_that_never_had_a_label_is_not_shown(bus, shopper, paid, stores):
    known = tell(bus, "inventory.sold", paid, 2)
    eventually("it is handled", lambda: stores.handled("order", known))
    with bus.listening("orders.*.*") as heard:
        cancel(shopper, paid)
        heard(RECALL, order_id=paid)
        tell(bus, "shipments.voided", paid, 2, shipment_id=new_id())
        heard(RECALLED, order_id=paid)
    assert read(shopper, paid)["shipments"] == []


def test_a_cancel_is_asked_until_inventory_and_payment_have_answered(bus, shopper, sku, stores):
    made = place(shopper, sku)["id"]
    reserve(bus, made)
    reaches(shopper, made, "reserved")
    with bus.listening("orders.cancelled.*") as heard:
        cancel(shopper, made)
        released = tell(bus, "inventory.released", made, 2)
        eventually("it is handled", lambda: stores.handled("order", released))
        seen = heard.count("souk.orders.v1.OrderCancelled", order_id=made)
        eventually("payment is asked again", lambda: heard.count(
            "souk.orders.v1.OrderCancelled", order_id=made) > seen, within=20)
        tell(bus, "payments.cancelled", made, payment_id=new_id())
    eventually("nothing is owed", lambda: asks_nothing(stores, made))
    assert read(shopper, made)["payment"]["status"] == "cancelled"


# ---- refunds of all there is ----

def test_a_full_refund_before_the_parcel_leaves_calls_it_back(bus, shopper, staff, labelled, label, stores):
    with bus.listening("orders.*.*") as heard:
        refund(staff, labelled)
        asked = heard("souk.orders.v1.RefundRequested", order_id=labelled)
        assert heard.count(RECALL, order_id=labelled) == 0, "the refund may still fail"
        pay_back(bus, asked)
        heard(RECALL, order_id=labelled)
        tell(bus, "shipments.voided", labelled, 2, **label)
        heard(RECALLED, order_id=labelled)
        tell(bus, "inventory.released", labelled, 3)
    assert reaches(shopper, labelled, "refunded")["payment"]["status"] == "refunded"
    eventually("nothing is owed", lambda: asks_nothing(stores, labelled))


def test_a_full_refund_of_what_has_left_is_money_only(bus, shopper, staff, labelled, label, stores):
    tell(bus, "shipments.shipped", labelled, 2, **label)
    reaches(shopper, labelled, "shipped")
    with bus.listening("orders.*.*") as heard:
        refund(staff, labelled)
        pay_back(bus, heard("souk.orders.v1.RefundRequested", order_id=labelled))
        heard("souk.orders.v1.OrderRefunded", order_id=labelled, fully=True)
        reaches(shopper, labelled, "refunded")
        assert asks_nothing(stores, labelled)
        assert [heard.count(name, order_id=labelled) for name in (RECALL, RECALLED)] == [0, 0]


# ---- refunds that fail ----

def test_a_refund_that_is_refused_for_ever_can_be_asked_for_anew(bus, shopper, staff, labelled, stores):
    with bus.listening("orders.*.*") as heard:
        first = refund(staff, labelled, amount=pounds(400))
        asked = heard("souk.orders.v1.RefundRequested", refund_id=first["id"])
        assert refunds_of(staff, labelled) == [("requested", 400, None)]
        told = [refuse_to_pay_back(bus, asked), refuse_to_pay_back(bus, asked)]
        eventually("both are handled", lambda: all(stores.handled("order", event_id) for event_id in told))
        assert refunds_of(staff, labelled) == [("failed", 400, "the card is gone")]
        assert asks_nothing(stores, labelled)
        second = refund(staff, labelled)
        assert second["amount"] == pounds(1000), "nothing went back so far"
        pay_back(bus, heard("souk.orders.v1.RefundRequested", refund_id=second["id"]))
        heard("souk.orders.v1.OrderRefunded", order_id=labelled, fully=True)
    assert refunds_of(staff, labelled) == [("failed", 400, "the card is gone"), ("done", 1000, None)]
    assert read(shopper, labelled)["refunded"] == pounds(1000)


def test_a_cancelled_order_whose_refund_failed_stays_cancelled_and_is_paid_back_later(bus, shopper, staff, paid):
    with bus.listening("orders.*.*") as heard:
        cancel(shopper, paid)
        refuse_to_pay_back(bus, heard("souk.orders.v1.RefundRequested", order_id=paid))
        eventually("it has failed", lambda: refunds_of(staff, paid) == [("failed", 1000, "the card is gone")])
        order = read(shopper, paid)
        assert (order["status"], order["payment"]["status"]) == ("cancelled", "captured")
        again = refund(staff, paid)
        pay_back(bus, heard("souk.orders.v1.RefundRequested", refund_id=again["id"]))
        heard("souk.orders.v1.OrderRefunded", order_id=paid, fully=True)
    order = read(shopper, paid)
    assert (order["status"], order["payment"]["status"]) == ("cancelled", "refunded")


def test_a_provider_that_contradicts_itself_or_the_order_is_a_dead_letter(bus, shopper, staff, paid):
    before = bus.dead_letters("payments", "order-payments")
    with bus.listening("orders.refund_requested.*") as heard:
        asked = refund(staff, paid, amount=pounds(400))
        event = heard("souk.orders.v1.RefundRequested", refund_id=asked["id"])
    event.amount_minor = 401
    pay_back(bus, event)
    eventually("another amount", lambda: bus.dead_letters("payments", "order-payments") == before + 1)
    event.amount_minor = 400
    refuse_to_pay_back(bus, event)
    eventually("it has failed", lambda: refunds_of(staff, paid)[0][0] == "failed")
    pay_back(bus, event)
    eventually("paid back after all", lambda: bus.dead_letters("payments", "order-payments") == before + 2)
    assert read(shopper, paid)["refunded"] == pounds(0)


def test_refunds_are_listed_for_staff_only(order, shopper, staff, paid):
    path = f"/v1/orders/{paid}/refunds"
    assert [order.get(path).status, shopper.get(path).status] == [401, 403]
    assert staff.get(path).json == {"items": [], "next_cursor": None}
    assert staff.get(f"/v1/orders/{new_id()}/refunds").status == 404


def test_a_cancelled_order_that_was_never_paid_has_nothing_to_pay_back(shopper, staff, sku):
    made = place(shopper, sku)
    cancel(shopper, made["id"])
    refused = staff.post(f"/v1/orders/{made['id']}/refunds", {"reason": "none"})
    assert (refused.status, refused.json["code"]) == (409, "order_not_refundable")


# ---- reservations that expire ----

def test_an_order_whose_reservation_expired_asks_for_it_again(bus, shopper, sku, stores):
    made = place(shopper, sku)
    reserve(bus, made["id"])
    reaches(shopper, made["id"], "reserved")
    with bus.listening("orders.*.*") as heard:
        tell(bus, "inventory.expired", made["id"], 2)
        again = heard("souk.orders.v1.OrderCreated", order_id=made["id"])
        assert (again.lines[0].sku, again.lines[0].quantity) == (sku, 2)
        told = reserve(bus, made["id"])
        eventually("it is handled", lambda: stores.handled("order", told))
        assert read(shopper, made["id"])["status"] == "reserved"
        confirm(bus, made["id"])
        heard("souk.orders.v1.OrderPaid", order_id=made["id"])


def test_an_order_whose_goods_are_gone_meanwhile_is_cancelled_and_a_late_payment_paid_back(bus, shopper, sku, stores):
    made = place(shopper, sku)
    reserve(bus, made["id"])
    reaches(shopper, made["id"], "reserved")
    with bus.listening("orders.*.*") as heard:
        tell(bus, "inventory.expired", made["id"], 2)
        heard("souk.orders.v1.OrderCreated", order_id=made["id"])
        tell(bus, "inventory.rejected", made["id"], 3, shortages=[{"sku": sku, "wanted": 2, "available": 1}])
        cancelled = heard("souk.orders.v1.OrderCancelled", order_id=made["id"])
        assert f"{sku} (2 wanted, 1 left)" in cancelled.reason
        confirm(bus, made["id"])
        pay_back(bus, heard("souk.orders.v1.RefundRequested", order_id=made["id"]))
        heard("souk.orders.v1.OrderRefunded", order_id=made["id"], fully=True)
    eventually("nothing is owed", lambda: asks_nothing(stores, made["id"]))


def test_a_paid_order_whose_goods_are_gone_is_cancelled_and_paid_back(bus, shopper, sku, paid, stores):
    expired = tell(bus, "inventory.expired", paid, 2)
    eventually("it is handled", lambda: stores.handled("order", expired))
    assert read(shopper, paid)["status"] == "paid", "orders.paid is asked until it is answered"
    with bus.listening("orders.*.*") as heard:
        tell(bus, "inventory.rejected", paid, 3, shortages=[{"sku": sku, "wanted": 2, "available": 0}])
        heard("souk.orders.v1.OrderCancelled", order_id=paid)
        pay_back(bus, heard("souk.orders.v1.RefundRequested", order_id=paid))
        heard("souk.orders.v1.OrderRefunded", order_id=paid, fully=True)
        eventually("nothing is owed", lambda: asks_nothing(stores, paid))
        assert heard.count("souk.orders.v1.ShipmentRequested", order_id=paid) == 0
