"""order: accepted once, led through its states by one table, and every end undoes what was done."""
import concurrent.futures

import pytest

from support.events import ADDRESS, product_changed
from support.messages import message, new_id
from support.waiting import eventually


@pytest.fixture(scope="module")
def order(start_service):
    return start_service("order", ORDER_RESEND_S="1")


@pytest.fixture(scope="module")
def account(stores):
    return stores.log_in()


@pytest.fixture(scope="module")
def shopper(order, account):
    return order.as_user(account)


@pytest.fixture(scope="module")
def staff(order, stores):
    return order.as_user(stores.log_in("staff"))


@pytest.fixture(scope="module")
def sku(bus, order, stores):
    name = f"SKU-{new_id()[-12:]}"
    event = product_changed(name, price=500)
    bus.tell(f"catalog.product.{event.product_id}", event)
    eventually("it has a price", lambda: stores.rows("order", "SELECT 1 FROM price WHERE sku = %s", name))
    return name


def body(sku, quantity=2, **more) -> dict:
    return {"items": [{"sku": sku, "quantity": quantity}], "shipping_address": ADDRESS,
            "payment": {"provider": "test", "token": "tok_ok"}} | more


def place(client, sku, **more) -> dict:
    answer = client.post("/v1/orders", body(sku, **more), Idempotency_Key=new_id())
    assert answer.status == 201, answer
    return answer.json


def tell(bus, what: str, order_id: str, version: int = 1, **fields) -> None:
    types = {"inventory.reserved": "souk.inventory.v1.StockReserved", "inventory.rejected": "souk.inventory.v1.StockRejected",
             "payments.confirmed": "souk.payments.v1.PaymentConfirmed", "payments.failed": "souk.payments.v1.PaymentFailed",
             "payments.refunded": "souk.payments.v1.PaymentRefunded",
             "shipments.label_created": "souk.shipments.v1.LabelCreated", "shipments.shipped": "souk.shipments.v1.ParcelShipped",
             "shipments.delivered": "souk.shipments.v1.ParcelDelivered"}
    bus.tell(f"{what}.{order_id}", message(types[what], order_id=order_id, version=version, **fields))


def reserve(bus, order_id):
    tell(bus, "inventory.reserved", order_id)


def confirm(bus, order_id, payment_id=None):
    tell(bus, "payments.confirmed", order_id, payment_id=payment_id or new_id(), amount_minor=1000, currency="GBP",
         provider="test")


def reaches(client, order_id, status):
    eventually(f"it is {status}", lambda: client.get(f"/v1/orders/{order_id}").json["status"] == status)


def test_an_order_goes_through_all_its_states(bus, shopper, sku):
    parcel = {"shipment_id": new_id(), "carrier": "test", "tracking_number": "SK1"}
    with bus.listening("orders.*.*") as heard:
        made = place(shopper, sku, expected_total={"amount": 1000, "currency": "GBP"})
        created = heard("souk.orders.v1.OrderCreated", order_id=made["id"])
        assert (made["status"], created.total_minor, created.lines[0].quantity) == ("pending", 1000, 2)
        reserve(bus, made["id"])
        requested = heard("souk.orders.v1.PaymentRequested", order_id=made["id"])
        confirm(bus, made["id"])
        paid = heard("souk.orders.v1.OrderPaid", order_id=made["id"])
        tell(bus, "shipments.label_created", made["id"], 1, **parcel)
        tell(bus, "shipments.shipped", made["id"], 2, **parcel)
        shipped = heard("souk.orders.v1.OrderShipped", order_id=made["id"])
        tell(bus, "shipments.delivered", made["id"], 3, **parcel)
        delivered = heard("souk.orders.v1.OrderDelivered", order_id=made["id"])
    assert created.version < requested.version < paid.version < shipped.version < delivered.version
    order = shopper.get(f"/v1/orders/{made['id']}").json
    assert (order["status"], order["shipments"][0]["tracking_number"]) == ("delivered", "SK1")


def test_what_comes_twice_or_too_early_changes_nothing(bus, shopper, sku):
    made = place(shopper, sku)
    parcel = {"shipment_id": new_id(), "carrier": "test", "tracking_number": "SK2"}
    tell(bus, "shipments.shipped", made["id"], 2, **parcel)  # before it is even reserved
    reserve(bus, made["id"])
    reaches(shopper, made["id"], "reserved")
    reserve(bus, made["id"])
    payment = new_id()
    confirm(bus, made["id"], payment)
    confirm(bus, made["id"], payment)
    tell(bus, "shipments.label_created", made["id"], 1, **parcel)
    reaches(shopper, made["id"], "shipped")


def test_an_order_without_stock_is_rejected(bus, shopper, sku):
    made = place(shopper, sku)
    with bus.listening("orders.rejected.*") as heard:
        tell(bus, "inventory.rejected", made["id"], shortages=[{"sku": sku, "wanted": 2, "available": 1}])
        heard("souk.orders.v1.OrderRejected", order_id=made["id"])
    reaches(shopper, made["id"], "rejected")


def test_a_declined_payment_ends_the_order(bus, shopper, sku):
    made = place(shopper, sku)
    reserve(bus, made["id"])
    with bus.listening("orders.payment_failed.*") as heard:
        tell(bus, "payments.failed", made["id"], payment_id=new_id(), reason="declined")
        heard("souk.orders.v1.OrderPaymentFailed", order_id=made["id"])
    assert shopper.get(f"/v1/orders/{made['id']}").json["payment"]["status"] == "failed"


def test_a_payment_that_comes_after_the_cancel_is_refunded_once(bus, shopper, sku):
    made = place(shopper, sku)
    reserve(bus, made["id"])
    reaches(shopper, made["id"], "reserved")
    assert shopper.post(f"/v1/orders/{made['id']}/cancel").json["status"] == "cancelled"
    payment = new_id()
    with bus.listening("orders.*.*") as heard:
        confirm(bus, made["id"], payment)
        refund = heard("souk.orders.v1.RefundRequested", order_id=made["id"])
        tell(bus, "payments.refunded", made["id"], 2, payment_id=payment, refund_id=refund.refund_id,
             amount_minor=refund.amount_minor, currency="GBP", refunded_minor=refund.amount_minor)
        heard("souk.orders.v1.OrderRefunded", order_id=made["id"], fully=True)
    order = shopper.get(f"/v1/orders/{made['id']}").json
    assert (refund.amount_minor, order["status"], order["payment"]["status"]) == (1000, "cancelled", "refunded")


def test_a_step_without_an_answer_is_asked_again(bus, shopper, sku):
    with bus.listening("orders.created.*") as heard:
        made = place(shopper, sku)
        eventually("it is sent again", lambda: heard.count("souk.orders.v1.OrderCreated", order_id=made["id"]) >= 2)


def test_staff_refund_a_part_and_never_more_than_the_rest(bus, shopper, staff, sku):
    made = place(shopper, sku)
    reserve(bus, made["id"])
    confirm(bus, made["id"])
    reaches(shopper, made["id"], "paid")
    part = staff.post(f"/v1/orders/{made['id']}/refunds", {"amount": {"amount": 400, "currency": "GBP"}, "reason": "late"})
    assert part.status == 201, part
    assert staff.post(f"/v1/orders/{made['id']}/refunds", {
        "amount": {"amount": 601, "currency": "GBP"}, "reason": "more"}).status == 409
    assert shopper.post(f"/v1/orders/{made['id']}/refunds", {"reason": "mine"}).status == 403


def test_two_requests_with_one_key_at_one_moment_are_one_order(shopper, sku, account, stores):
    key, wanted = new_id(), body(sku)
    before = stores.rows("order", "SELECT count(*) FROM customer_order WHERE account_id = %s", account["account_id"])[0][0]
    clients = [shopper.as_user(account) for _ in range(8)]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda c: c.post("/v1/orders", wanted, Idempotency_Key=key), clients))
    assert {a.status for a in answers} == {201}
    assert len({a.json["id"] for a in answers}) == 1
    after = stores.rows("order", "SELECT count(*) FROM customer_order WHERE account_id = %s", account["account_id"])[0][0]
    assert after == before + 1
    assert shopper.post("/v1/orders", body(sku, 3), Idempotency_Key=key).json["code"] == "idempotency_key_reused"


def test_a_guest_reads_the_order_with_its_token_only(order, sku):
    made = place(order, sku, email="guest@example.org")
    assert order.get(f"/v1/orders/{made['id']}?access_token={made['access_token']}").status == 200
    assert order.get(f"/v1/orders/{made['id']}?access_token=x").status == 404


def test_anothers_order_is_404_and_lists_are_ones_own(order, stores, shopper, staff, sku):
    made = place(shopper, sku)
    other = order.as_user(stores.log_in())
    assert other.get(f"/v1/orders/{made['id']}").status == 404
    assert other.get("/v1/orders").json["items"] == []
    assert made["id"] in [o["id"] for o in staff.get("/v1/orders?limit=100").json["items"]]


def test_an_order_that_did_not_change_is_304(shopper, sku):
    made = place(shopper, sku)
    first = shopper.get(f"/v1/orders/{made['id']}")
    assert shopper.get(f"/v1/orders/{made['id']}", If_None_Match=first.headers["ETag"]).status == 304


@pytest.mark.parametrize("change, pointer", [
    ({"items": []}, "/items"),
    ({"items": [{"sku": "NO-SUCH", "quantity": 1}]}, "/items/0/sku"),
    ({"items": [{"sku": "A", "quantity": 0}]}, "/items/0/quantity"),
    ({"items": [{"sku": "A", "quantity": 1000000000}]}, "/items/0/quantity"),
    ({"items": [{"sku": "A", "quantity": 1}] * 1001}, "/items"),
    ({"shipping_address": ADDRESS | {"country": "XX"}}, "/shipping_address/country"),
    ({"payment": {"provider": "none", "token": "t"}}, "/payment/provider"),
    ({"payment": {"provider": "test"}}, "/payment/token"),
])
def test_a_wrong_order_is_told_what_is_wrong(shopper, sku, change, pointer):
    answer = shopper.post("/v1/orders", body(sku) | change, Idempotency_Key=new_id())
    assert answer.status == 422, answer
    assert pointer in [e["pointer"] for e in answer.json["errors"]], answer


def test_a_price_that_changed_is_told(shopper, sku):
    answer = shopper.post("/v1/orders", body(sku, expected_total={"amount": 1, "currency": "GBP"}),
                          Idempotency_Key=new_id())
    assert (answer.status, answer.json["code"]) == (409, "price_changed")


def test_orders_are_accepted_while_the_broker_is_down_and_flow_later(bus, shopper, sku, stores):
    with stores.without("nats"):
        made = place(shopper, sku)
    eventually("the event has left", lambda: stores.rows(
        "order", "SELECT 1 FROM outbox WHERE subject = %s AND sent_at IS NOT NULL", f"orders.created.{made['id']}"), within=20)
    reserve(bus, made["id"])
    reaches(shopper, made["id"], "reserved")
