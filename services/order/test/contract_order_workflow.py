"""order: led through its states by one table, and every end undoes what was done."""
import pytest

from ordering import TYPES, confirm, parcel, pay_back, place, pounds, reaches, read, reserve, tell
from support.messages import new_id
from support.waiting import eventually


# ---- the way of an order ----

def test_an_order_goes_through_all_its_states(bus, shopper, sku):
    label = parcel()
    with bus.listening("orders.*.*") as heard:
        made = place(shopper, sku)
        created = heard("souk.orders.v1.OrderCreated", order_id=made["id"])
        reserve(bus, made["id"])
        requested = heard("souk.orders.v1.PaymentRequested", order_id=made["id"])
        assert (requested.total_minor, requested.provider, requested.token) == (1000, "test", "tok_ok")
        confirm(bus, made["id"])
        paid = heard("souk.orders.v1.OrderPaid", order_id=made["id"])
        assert paid.lines[0].sku == sku
        tell(bus, "inventory.sold", made["id"], 2)
        wanted = heard("souk.orders.v1.ShipmentRequested", order_id=made["id"])
        assert (wanted.lines[0].sku, wanted.shipping_address.city) == (sku, "London")
        tell(bus, "shipments.label_created", made["id"], 1, **label)
        tell(bus, "shipments.shipped", made["id"], 2, **label)
        shipped = heard("souk.orders.v1.OrderShipped", order_id=made["id"])
        assert shipped.tracking_number == label["tracking_number"]
        tell(bus, "shipments.delivered", made["id"], 3, **label)
        delivered = heard("souk.orders.v1.OrderDelivered", order_id=made["id"])
    assert created.version < requested.version < paid.version < shipped.version < delivered.version
    order = read(shopper, made["id"])
    assert (order["status"], order["payment"]["status"]) == ("delivered", "captured")
    assert [(s["tracking_number"], s["status"]) for s in order["shipments"]] == [(label["tracking_number"], "delivered")]


def test_what_comes_too_early_waits_and_what_comes_twice_changes_nothing(bus, shopper, sku, stores):
    label = parcel()
    with bus.listening("orders.*.*") as heard:
        made = place(shopper, sku)
        tell(bus, "shipments.shipped", made["id"], 2, **label)  # before it is even reserved
        confirm(bus, made["id"])
        reserve(bus, made["id"])
        reaches(shopper, made["id"], "shipped")
        late = [reserve(bus, made["id"]), confirm(bus, made["id"]),
                tell(bus, "shipments.label_created", made["id"], 1, **label),
                tell(bus, "shipments.shipped", made["id"], 2, **label)]
        eventually("all are handled", lambda: all(stores.handled("order", event_id) for event_id in late))
        assert [heard.count(f"souk.orders.v1.{name}", order_id=made["id"])
                for name in ("OrderPaid", "OrderShipped")] == [1, 1]
    assert reaches(shopper, made["id"], "shipped")["shipments"][0]["status"] == "shipped"


def test_an_order_without_stock_is_rejected(bus, shopper, sku):
    made = place(shopper, sku)
    with bus.listening("orders.rejected.*") as heard:
        tell(bus, "inventory.rejected", made["id"], shortages=[{"sku": sku, "wanted": 2, "available": 1}])
        rejected = heard("souk.orders.v1.OrderRejected", order_id=made["id"])
    assert f"{sku} (2 wanted, 1 left)" in rejected.reason
    assert reaches(shopper, made["id"], "rejected")["reason"] == rejected.reason


def test_a_declined_payment_ends_the_order(bus, shopper, sku):
    made = place(shopper, sku)
    reserve(bus, made["id"])
    with bus.listening("orders.payment_failed.*") as heard:
        tell(bus, "payments.failed", made["id"], payment_id=new_id(), reason="declined")
        assert heard("souk.orders.v1.OrderPaymentFailed", order_id=made["id"]).reason == "declined"
    order = read(shopper, made["id"])
    assert (order["status"], order["payment"]["status"], order["reason"]) == ("payment_failed", "failed", "declined")
    refused = shopper.post(f"/v1/orders/{made['id']}/cancel")
    assert (refused.status, refused.json["code"]) == (409, "order_not_cancellable")


def test_the_token_of_a_payment_is_forgotten_when_it_is_of_no_more_use(paid, stores):
    assert stores.rows("order", "SELECT payment_token FROM customer_order WHERE id = %s", paid) == [("",)]


# ---- cancelling ----

def test_an_order_that_is_cancelled_unpaid_is_given_back_once(bus, shopper, sku):
    with bus.listening("orders.*.*") as heard:
        made = place(shopper, sku)
        reserve(bus, made["id"])
        reaches(shopper, made["id"], "reserved")
        first, again = (shopper.post(f"/v1/orders/{made['id']}/cancel") for _ in range(2))
        cancelled = heard("souk.orders.v1.OrderCancelled", order_id=made["id"])
        tell(bus, "inventory.released", made["id"], 2)
        assert (first.json["status"], again.json["status"]) == ("cancelled", "cancelled")
        assert (cancelled.reason, cancelled.lines[0].quantity) == ("cancelled by the customer", 2)
        assert heard.count("souk.orders.v1.RefundRequested", order_id=made["id"]) == 0
    assert read(shopper, made["id"])["payment"]["status"] == "cancelled"


def test_a_paid_order_that_is_cancelled_is_paid_back(bus, shopper, staff, paid):
    with bus.listening("orders.*.*") as heard:
        assert staff.post(f"/v1/orders/{paid}/cancel").json["reason"] == "cancelled by the shop"
        heard("souk.orders.v1.OrderCancelled", order_id=paid)
        refund = heard("souk.orders.v1.RefundRequested", order_id=paid)
        pay_back(bus, refund)
        heard("souk.orders.v1.OrderRefunded", order_id=paid, fully=True)
    order = read(shopper, paid)
    assert (refund.amount_minor, order["status"], order["payment"]["status"]) == (1000, "cancelled", "refunded")


def test_a_payment_that_comes_after_the_cancel_is_paid_back_once(bus, shopper, sku, stores):
    made = place(shopper, sku)
    reserve(bus, made["id"])
    reaches(shopper, made["id"], "reserved")
    shopper.post(f"/v1/orders/{made['id']}/cancel")
    with bus.listening("orders.refund_requested.*") as heard:
        confirm(bus, made["id"])
        refund = heard("souk.orders.v1.RefundRequested", order_id=made["id"])
        again = confirm(bus, made["id"])
        eventually("it is handled", lambda: stores.handled("order", again))
        assert stores.rows("order", "SELECT refund_id::text, amount_minor FROM order_refund WHERE order_id = %s",
                           made["id"]) == [(refund.refund_id, 1000)]
        pay_back(bus, refund)
    eventually("it is refunded", lambda: read(shopper, made["id"])["payment"]["status"] == "refunded")
    assert read(shopper, made["id"])["status"] == "cancelled"


def test_an_order_that_has_left_cannot_be_cancelled(bus, shopper, paid):
    tell(bus, "shipments.shipped", paid, 2, **parcel())
    reaches(shopper, paid, "shipped")
    assert shopper.post(f"/v1/orders/{paid}/cancel").status == 409


# ---- refunds ----

def test_staff_pay_back_a_part_and_then_the_rest_and_never_more(bus, shopper, staff, paid):
    refunds = f"/v1/orders/{paid}/refunds"
    with bus.listening("orders.*.*") as heard:
        part = staff.post(refunds, {"amount": pounds(400), "reason": "late"})
        assert (part.status, part.json["amount"]) == (201, pounds(400)), part
        pay_back(bus, heard("souk.orders.v1.RefundRequested", refund_id=part.json["id"], amount_minor=400))
        heard("souk.orders.v1.OrderRefunded", order_id=paid, amount_minor=400, fully=False)
        order = read(shopper, paid)
        assert (order["status"], order["payment"]["status"], order["refunded"]) == (
            "paid", "partially_refunded", pounds(400))
        too_much = staff.post(refunds, {"amount": pounds(601), "reason": "more"})
        assert (too_much.status, too_much.json["code"]) == (409, "refund_too_high")
        rest = staff.post(refunds, {"reason": "broken"})
        assert rest.json["amount"] == pounds(600)
        event = heard("souk.orders.v1.RefundRequested", refund_id=rest.json["id"])
        pay_back(bus, event)
        pay_back(bus, event)  # told twice, counted once
        heard("souk.orders.v1.OrderRefunded", order_id=paid, amount_minor=600, fully=True)
    order = reaches(shopper, paid, "refunded")
    assert (order["payment"]["status"], order["refunded"]) == ("refunded", pounds(1000))


def test_an_order_that_is_partly_paid_back_and_cancelled_is_paid_back_the_rest(bus, shopper, staff, paid):
    with bus.listening("orders.*.*") as heard:
        staff.post(f"/v1/orders/{paid}/refunds", {"amount": pounds(400), "reason": "late"})
        part = heard("souk.orders.v1.RefundRequested", order_id=paid, amount_minor=400)
        shopper.post(f"/v1/orders/{paid}/cancel")
        rest = heard("souk.orders.v1.RefundRequested", order_id=paid, amount_minor=600)
        pay_back(bus, rest)
        pay_back(bus, part)
        heard("souk.orders.v1.OrderRefunded", order_id=paid, fully=True)


@pytest.mark.parametrize("wanted, status", [
    ({"amount": {"amount": 0, "currency": "GBP"}, "reason": "none"}, 422),
    ({"amount": {"amount": 1, "currency": "EUR"}, "reason": "other money"}, 422),
    ({"amount": {"amount": 1, "currency": "GBP"}}, 422),
])
def test_a_wrong_refund_is_422(staff, paid, wanted, status):
    assert staff.post(f"/v1/orders/{paid}/refunds", wanted).status == status


def test_only_staff_pay_back_and_only_what_was_paid(order, shopper, staff, sku):
    made = place(shopper, sku)
    refunds = f"/v1/orders/{made['id']}/refunds"
    assert [who.post(refunds, {"reason": "mine"}).status for who in (order, shopper)] == [401, 403]
    unpaid = staff.post(refunds, {"reason": "unpaid"})
    assert (unpaid.status, unpaid.json["code"]) == (409, "order_not_refundable")
    assert staff.post(f"/v1/orders/{new_id()}/refunds", {"reason": "none"}).status == 404


# ---- when others do not answer, or say what cannot be ----

def test_a_step_without_an_answer_is_asked_again_and_given_up_in_the_end(bus, shopper, sku):
    with bus.listening("orders.*.*") as heard:
        unreserved, unpaid = place(shopper, sku)["id"], place(shopper, sku)["id"]
        reserve(bus, unpaid)
        for made in (unreserved, unpaid):
            assert "too long" in heard("souk.orders.v1.OrderCancelled", within=15, order_id=made).reason
        assert heard.count("souk.orders.v1.OrderCreated", order_id=unreserved, version=1) == 3
        assert heard.count("souk.orders.v1.PaymentRequested", order_id=unpaid, version=2) == 3
    assert read(shopper, unreserved)["status"] == read(shopper, unpaid)["status"] == "cancelled"


@pytest.mark.parametrize("what, fields", [
    ("payments.confirmed", {"payment_id": new_id(), "amount_minor": 999, "currency": "GBP"}),
    ("payments.confirmed", {"payment_id": "no id", "amount_minor": 1000, "currency": "GBP"}),
    ("payments.refunded", {"payment_id": new_id(), "refund_id": new_id(), "amount_minor": 1, "currency": "GBP"}),
    ("payments.refund_failed", {"payment_id": new_id(), "refund_id": new_id(), "amount_minor": 1, "currency": "GBP"}),
])
def test_a_message_that_cannot_be_is_kept_as_a_dead_letter(bus, shopper, sku, what, fields):
    made = place(shopper, sku)
    reserve(bus, made["id"])
    reaches(shopper, made["id"], "reserved")
    before = bus.dead_letters("payments", "order-payments")
    tell(bus, what, made["id"], **fields)
    eventually("the dead letter", lambda: bus.dead_letters("payments", "order-payments") == before + 1)
    assert read(shopper, made["id"])["status"] == "reserved"


def test_bytes_that_are_no_protobuf_do_not_hold_up_their_neighbours(bus, shopper, sku):
    made = place(shopper, sku)
    before = bus.dead_letters("inventory", "order-reserved")
    bus.client.publish_acked("inventory.reserved.broken", b"\xff\xff",
                             {"ce-id": new_id(), "ce-type": TYPES["inventory.reserved"]})
    reserve(bus, made["id"])
    reaches(shopper, made["id"], "reserved")
    eventually("the dead letter", lambda: bus.dead_letters("inventory", "order-reserved") == before + 1)


def test_orders_are_accepted_while_the_broker_is_down_and_flow_later(bus, shopper, sku, stores):
    with stores.without("nats"):
        made = place(shopper, sku)
    eventually("the stream has it", lambda: "error" not in bus.client.api(
        "STREAM.MSG.GET.orders", {"last_by_subj": f"orders.created.{made['id']}"}), within=20)
    reserve(bus, made["id"])
    reaches(shopper, made["id"], "reserved")
