"""The whole shop through its gateway: one purchase from catalogue to audit, and the unhappy ends."""

import pytest

from support.messages import new_id
from support.stack import Client
from support.waiting import eventually
from support.webhooks import signed

ADDRESS = {"name": "Ada Lovelace", "line1": "12 St James's Square", "city": "London", "postal_code": "SW1Y 4JH",
           "country": "GB"}
END_STATES = ("delivered", "rejected", "payment_failed", "cancelled", "refunded")


@pytest.fixture(scope="module")
def anyone(shop):
    return Client(shop.gateway)


@pytest.fixture(scope="module")
def admin(anyone):
    session = anyone.post("/v1/sessions", {"email": "admin@souk.localhost", "password": "souk-admin"})
    assert session.status == 201, session
    return anyone.as_user(session.json)


@pytest.fixture
def shopper(anyone):
    """A new account, logged in."""
    email = f"{new_id()[-12:]}@example.org"
    made = anyone.post("/v1/accounts", {"email": email, "password": "correct horse", "name": "Ada"})
    assert made.status == 201, made
    session = anyone.post("/v1/sessions", {"email": email, "password": "correct horse"})
    assert session.status == 201, session
    client = anyone.as_user(session.json)
    client.email = email
    return client


@pytest.fixture
def product(admin, anyone):
    """A product of its own for each test, 10 in stock, known to every service."""
    sku = f"TEST-{new_id()[-12:]}".upper()
    made = admin.post("/v1/products", {
        "title": f"Test lamp {sku}", "status": "active", "category": "Tests",
        "variants": [{"sku": sku, "price": {"amount": 1999, "currency": "GBP"}}]})
    assert made.status == 201, made
    eventually("inventory knows it", lambda: anyone.get(f"/v1/stock/{sku}").status == 200)
    assert admin.put(f"/v1/stock/{sku}", {"on_hand": 10}).status == 200
    eventually("the catalogue shows its stock", lambda: available(anyone, made.json["id"]) == 10)
    return {"id": made.json["id"], "sku": sku}


def available(client, product_id) -> int:
    return client.get(f"/v1/products/{product_id}").json["variants"][0]["available"]


def stock(client, sku) -> dict:
    return client.get(f"/v1/stock/{sku}").json


def order_body(product, quantity=1, token="tok_ok", **more) -> dict:
    return {"items": [{"sku": product["sku"], "quantity": quantity}], "shipping_address": ADDRESS,
            "payment": {"provider": "test", "token": token}} | more


def place(client, product, **options):
    def attempt():
        answer = client.post("/v1/orders", order_body(product, **options), Idempotency_Key=new_id())
        # The order service may not have heard of a product that was made a moment ago.
        return None if answer.status == 422 and answer.json["code"] == "unknown_sku" else answer

    answer = eventually("the price list knows the SKU", attempt)
    assert answer.status == 201, answer
    return answer.json


def status_of(client, order) -> str:
    token = order.get("access_token")
    return client.get(f"/v1/orders/{order['id']}" + (f"?access_token={token}" if token else "")).json["status"]


def reaches(client, order, status: str) -> None:
    eventually(f"the order is {status}", lambda: status_of(client, order) == status, within=20)


def deliver(shop, admin, order) -> dict:
    """What the carrier would say: shipped, then delivered, by its signed webhook."""
    tracking = eventually("the label", lambda: (admin.get(f"/v1/orders/{order['id']}").json["shipments"] or [None])[0])
    for status in ("shipped", "delivered"):
        answer = Client(shop.gateway).call("POST", "/v1/shipments/webhooks/test", **signed(
            shop.secret("shipping", "webhook_secret"),
            {"tracking_number": tracking["tracking_number"], "status": status}))
        assert answer.status in (200, 204), answer
        reaches(admin, order, status)
    return tracking


def test_a_purchase_goes_from_the_catalogue_to_the_audit_log(shop, admin, anyone, shopper, product):
    # Given a shopper who found the product and filled the cart,
    found = anyone.get(f"/v1/products?q={product['sku']}")
    assert found.status == 200
    added = eventually("the cart knows the product", lambda: (
        lambda a: a if a.status == 200 else None)(shopper.post("/v1/cart/items", {"sku": product["sku"], "quantity": 3})))
    assert added.json["subtotal"] == {"amount": 5997, "currency": "GBP"}
    # when the order is placed and paid,
    order = place(shopper, product, quantity=3, expected_total={"amount": 5997, "currency": "GBP"})
    assert order["status"] == "pending" and order["total"] == {"amount": 5997, "currency": "GBP"}
    eventually("it is paid", lambda: status_of(shopper, order) in ("paid", "shipped"))
    # then the stock is sold, the cart is empty, and the label is there;
    eventually("the stock is sold", lambda: (stock(anyone, product["sku"])["on_hand"],
                                             stock(anyone, product["sku"])["reserved"]) == (7, 0))
    eventually("the cart is empty", lambda: shopper.get("/v1/cart").json["items"] == [])
    shipped = deliver(shop, admin, order)
    listed = admin.get(f"/v1/payments?order_id={order['id']}").json["items"]
    assert [p["amount"]["amount"] for p in listed] == [5997]
    # the shopper has every mail once,
    mails = eventually("the mails", lambda: (lambda m: m if len(m) >= 4 else None)(shop.mails(to=shopper.email)))
    number = f"Your order {order['number']}"
    assert sorted(m["subject"] for m in mails) == [
        "Welcome to Souk", number, f"{number} has arrived", f"{number} is on its way"]
    assert any(shipped["tracking_number"] in m["text"] for m in mails)
    # and the audit log every step, in a chain that verifies.
    actions = eventually("the audit entries", lambda: (lambda found: found if "orders.delivered" in found else None)(
        [e["action"] for e in admin.get(f"/v1/audit?entity={order['id']}&limit=100").json["items"]]))
    for action in ("orders.created", "inventory.reserved", "orders.payment_requested", "payments.confirmed",
                   "orders.paid", "inventory.sold", "orders.shipment_requested", "shipments.label_created", "orders.shipped"):
        assert actions.count(action) == 1, (action, actions)
    assert admin.get("/v1/audit/verify").json["valid"]


def test_a_guest_can_order_and_read_the_order_with_its_token(anyone, product):
    order = place(anyone, product, email="guest@example.org")
    assert order["access_token"]
    assert anyone.get(f"/v1/orders/{order['id']}").status in (401, 404)
    assert anyone.get(f"/v1/orders/{order['id']}?access_token=wrong").status == 404
    eventually("it is paid", lambda: status_of(anyone, order) == "paid")


def test_a_guests_cart_is_the_accounts_after_the_log_in(anyone, product):
    first = eventually("the cart knows the product", lambda: (
        lambda a: a if a.status == 200 else None)(anyone.post("/v1/cart/items", {"sku": product["sku"], "quantity": 2})))
    token = first.json["cart_token"]
    email = f"{new_id()[-12:]}@example.org"
    anyone.post("/v1/accounts", {"email": email, "password": "correct horse", "name": "Ada"})
    session = anyone.post("/v1/sessions", {"email": email, "password": "correct horse"}, X_Cart_Token=token)
    shopper = anyone.as_user(session.json)
    eventually("the carts are merged", lambda: [
        (i["sku"], i["quantity"]) for i in shopper.get("/v1/cart").json["items"]] == [(product["sku"], 2)])
    assert anyone.get("/v1/cart", X_Cart_Token=token).json["items"] == []


def test_an_order_of_more_than_there_is_is_rejected(shop, anyone, shopper, product):
    order = place(shopper, product, quantity=11)
    reaches(shopper, order, "rejected")
    assert stock(anyone, product["sku"])["reserved"] == 0
    eventually("the shopper is told", lambda: len(shop.mails(to=shopper.email)) >= 3)


def test_a_declined_payment_gives_the_stock_back(anyone, admin, shopper, product):
    order = place(shopper, product, quantity=4, token="tok_decline")
    reaches(shopper, order, "payment_failed")
    eventually("nothing is reserved", lambda: stock(anyone, product["sku"])["reserved"] == 0)
    assert stock(anyone, product["sku"])["on_hand"] == 10
    assert shopper.get(f"/v1/orders/{order['id']}").json["payment"]["status"] == "failed"


def test_a_cancelled_order_gives_stock_and_money_back(anyone, admin, shopper, product):
    order = place(shopper, product, quantity=2)
    eventually("it is paid", lambda: status_of(shopper, order) == "paid")
    cancelled = shopper.post(f"/v1/orders/{order['id']}/cancel")
    assert (cancelled.status, cancelled.json["status"]) == (200, "cancelled")
    eventually("the stock is back", lambda: (stock(anyone, product["sku"])["on_hand"],
                                             stock(anyone, product["sku"])["reserved"]) == (10, 0))
    eventually("the money is back", lambda: shopper.get(
        f"/v1/orders/{order['id']}").json["payment"]["status"] == "refunded")
    assert shopper.post(f"/v1/orders/{order['id']}/cancel").status == 200


def test_a_full_refund_before_the_parcel_leaves_calls_parcel_and_goods_back(shop, anyone, admin, shopper, product):
    order = place(shopper, product, quantity=2)
    label = eventually("the label", lambda: admin.get(f"/v1/orders/{order['id']}").json["shipments"])[0]
    assert admin.post(f"/v1/orders/{order['id']}/refunds", {"reason": "not wanted"}).status == 201
    reaches(shopper, order, "refunded")
    eventually("the stock is back", lambda: (stock(anyone, product["sku"])["on_hand"],
                                             stock(anyone, product["sku"])["reserved"]) == (10, 0))
    assert admin.get(f"/v1/shipments/{label['id']}").json["status"] == "voided"


def test_a_refund_that_the_provider_refuses_is_shown_to_staff(anyone, admin, shopper, product):
    order = place(shopper, product, token="tok_refund_refused")
    reaches(shopper, order, "paid")
    assert shopper.post(f"/v1/orders/{order['id']}/cancel").json["status"] == "cancelled"
    refunds = eventually("the refund has failed", lambda: (lambda found: found if found[0]["status"] == "failed" else None)(
        admin.get(f"/v1/orders/{order['id']}/refunds").json["items"]))
    assert [(r["amount"]["amount"], r["failure"]) for r in refunds] == [(1999, "the card does not take money back")]
    eventually("the stock is back all the same", lambda: stock(anyone, product["sku"])["on_hand"] == 10)
    eventually("the audit log has it", lambda: "payments.refund_failed" in [
        e["action"] for e in admin.get(f"/v1/audit?entity={order['id']}&limit=100").json["items"]])
    assert status_of(shopper, order) == "cancelled"


def test_an_order_that_is_cancelled_while_it_is_paid_is_refunded(anyone, shopper, product):
    order = place(shopper, product, token="tok_slow")
    reaches(shopper, order, "reserved")
    assert shopper.post(f"/v1/orders/{order['id']}/cancel").json["status"] == "cancelled"
    eventually("nothing is reserved", lambda: stock(anyone, product["sku"])["reserved"] == 0)
    eventually("the money is back, or was never taken", lambda: shopper.get(
        f"/v1/orders/{order['id']}").json["payment"]["status"] in ("refunded", "cancelled"), within=20)


def test_the_same_key_gives_the_first_answer_again(shopper, product):
    key, body = new_id(), order_body(product)
    first = eventually("the price list knows the SKU", lambda: (
        lambda a: a if a.status == 201 else None)(shopper.post("/v1/orders", body, Idempotency_Key=key)))
    again = shopper.post("/v1/orders", body, Idempotency_Key=key)
    assert (again.status, again.json["id"]) == (201, first.json["id"])
    assert again.headers["Idempotent-Replayed"] == "true"
    other = shopper.post("/v1/orders", order_body(product, quantity=2), Idempotency_Key=key)
    assert (other.status, other.json["code"]) == (422, "idempotency_key_reused")


def test_one_trace_goes_from_the_request_to_the_audit_log(admin, shopper, product):
    place(shopper, product)  # the product is known now
    trace = new_id().replace("-", "")
    answer = shopper.post("/v1/orders", order_body(product), Idempotency_Key=new_id(),
                          traceparent=f"00-{trace}-00f067aa0ba902b7-01")
    assert trace in answer.headers["traceparent"]
    eventually("its entries", lambda: {"orders.created", "payments.confirmed"} <= {
        e["action"] for e in admin.get(f"/v1/audit?trace_id={trace}&limit=100").json["items"]})


@pytest.mark.parametrize("body, status, pointer", [
    ({"items": []}, 422, "/items"),
    ({"items": [{"sku": "NO-SUCH-SKU", "quantity": 1}]}, 422, "/items/0/sku"),
    ({"items": [{"sku": "NO-SUCH-SKU", "quantity": 0}]}, 422, "/items/0/quantity"),
    ({"items": [{"sku": "NO-SUCH-SKU", "quantity": 1000000000}]}, 422, "/items/0/quantity"),
    ({"items": "all"}, 422, "/items"),
])
def test_a_wrong_order_is_told_what_is_wrong(shopper, body, status, pointer):
    answer = shopper.post("/v1/orders", {"shipping_address": ADDRESS,
                                         "payment": {"provider": "test", "token": "tok_ok"}} | body,
                          Idempotency_Key=new_id())
    assert answer.status == status, answer
    assert pointer in [e["pointer"] for e in answer.json["errors"]]


def test_json_that_is_none_is_400_and_changes_nothing(shopper):
    answer = shopper.call("POST", "/v1/orders", data=b"{broken", **{"Content-Type": "application/json",
                                                                    "Idempotency-Key": new_id()})
    assert (answer.status, answer.json["code"]) == (400, "malformed_json")
    assert shopper.get("/v1/orders").json["items"] == []


def test_an_order_without_a_key_is_refused(shopper, product):
    assert shopper.post("/v1/orders", order_body(product)).status == 400


def test_every_path_of_the_contract_is_served(shop, anyone):
    served = anyone.call("GET", "/openapi.yaml", checked=False)
    assert served.status == 200 and "openapi: 3.1" in served.text
    assert anyone.call("GET", "/v1/nothing", checked=False).json["code"] == "not_found"
    for path in ("/healthz", "/readyz", "/metrics"):
        assert anyone.call("GET", path, checked=False).status == 404
