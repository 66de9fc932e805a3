"""What happens at one moment, through the gateway: whoever comes first, the end is one that may be."""
import itertools

import pytest

from races import hot_sku
from races.hot_sku import SOLD, Shopper, at_once, stock
from support.events import ADDRESS
from support.messages import new_id
from support.stack import Client
from support.waiting import eventually
from support.webhooks import signed

PATIENCE_S = 60


@pytest.fixture(scope="module")
def anyone(shop):
    return Client(shop.gateway)


@pytest.fixture(scope="module")
def admin(anyone):
    return anyone.as_user(anyone.post("/v1/sessions", {"email": "admin@souk.localhost", "password": "souk-admin"}).json)


@pytest.fixture
def sell(admin):
    """sell(10): a SKU with so many pieces, known to every service."""
    def put(pieces: int) -> str:
        sku = f"RACE-{new_id()[-12:]}"
        hot_sku.sell(admin, sku)
        assert admin.put(f"/v1/stock/{sku}", {"on_hand": pieces}).status == 200
        return sku

    return put


@pytest.fixture
def shopper(shop, anyone):
    return anyone.as_user(shop.log_in())


def wanted(*items: tuple[str, int]) -> dict:
    return {"items": [{"sku": sku, "quantity": quantity} for sku, quantity in items], "shipping_address": ADDRESS,
            "payment": {"provider": "test", "token": "tok_ok"}}


def place(client: Client, *items: tuple[str, int]) -> dict:
    answer = client.post("/v1/orders", wanted(*items), Idempotency_Key=new_id())
    assert answer.status == 201, answer
    return answer.json


def read(client: Client, order: dict) -> dict:
    return client.get(f"/v1/orders/{order['id']}").json


def reaches(client: Client, order: dict, *statuses: str) -> dict:
    """The order as it is in one of these statuses."""
    return eventually(f"it is {' or '.join(statuses)}", lambda: (
        lambda now: now if now["status"] in statuses else None)(read(client, order)), within=PATIENCE_S)


def is_paid_back(admin: Client, order: dict) -> bool:
    """Whether what was taken for it, if anything, went back to the last penny and not a penny more."""
    payments = admin.get(f"/v1/payments?order_id={order['id']}").json["items"]
    return all(p["status"] in ("failed", "cancelled", "refunded") and
               (p["status"] != "refunded" or p["refunded"] == p["amount"]) for p in payments)


# ---- the last pieces ----

def test_fifty_shoppers_for_ten_pieces_are_ten_sales_every_time(shop, admin):
    sku, shoppers = f"HOT-{new_id()[-12:]}", [Shopper(shop.gateway) for _ in range(50)]
    hot_sku.sell(admin, sku)
    for _ in range(3):
        hot_sku.race(admin, shoppers, sku, 10)
    assert hot_sku.movements_of(admin, sku) == {"adjustment": 30, "sale": -30}


def test_orders_of_the_same_skus_in_opposite_order_do_not_lock_each_other_out(shop, admin, sell):
    first, second, email = sell(20), sell(20), f"{new_id()}@example.org"
    lines = itertools.cycle([[(first, 1), (second, 1)], [(second, 1), (first, 1)]])
    shoppers = [Shopper(shop.gateway) for _ in range(30)]
    answers = at_once([lambda s=s, l=l: s.order(l, email) for s, l in zip(shoppers, lines)])
    assert {status for status, _ in answers} == {201}

    def decided():
        found = hot_sku.ends(admin, email)
        return None if {"pending", "reserved"} & found.keys() or sum(found.values()) < 30 else found

    ends = eventually("every order has its end", decided, within=PATIENCE_S)
    assert (sum(ends.get(status, 0) for status in SOLD), ends.get("rejected", 0)) == (20, 10)
    for sku in (first, second):
        eventually("nothing is left or held", lambda s=sku: stock(admin, s) == (0, 0), within=PATIENCE_S)


def test_a_count_and_orders_at_one_moment_lose_no_piece(shop, admin, sell):
    sku, email = sell(10), f"{new_id()}@example.org"
    shoppers = [Shopper(shop.gateway) for _ in range(10)]

    def adjust(delta: int):
        return admin.as_user({"token": admin.headers["Authorization"].removeprefix("Bearer ")}).post(
            f"/v1/stock/{sku}/adjustments", {"delta": delta, "reason": "counted in a hurry"})

    answers = at_once([lambda s=s: s.order([(sku, 1)], email) for s in shoppers] +
                      [lambda d=d: adjust(d) for d in (5, -3, 5, -3)])
    adjusted = answers[10:]
    assert {a.status for a in adjusted} <= {201, 409}, "409: below what is reserved"
    added = sum(a.json["delta"] for a in adjusted if a.status == 201)

    def adds_up() -> bool:
        found = hot_sku.ends(admin, email)
        sold = sum(found.get(status, 0) for status in SOLD)
        return sold + found.get("rejected", 0) == 10 and stock(admin, sku) == (10 + added - sold, 0)

    eventually("what is there is what there was, and came, less what was sold", adds_up, within=PATIENCE_S)


# ---- one account, two devices ----

def test_two_devices_fill_one_cart_and_lose_nothing(anyone, shop, sell):
    session, skus = shop.log_in(), [sell(100) for _ in range(2)]
    devices = [anyone.as_user(session) for _ in range(2)]
    for sku in skus:
        eventually("the cart knows it", lambda s=sku: devices[0].put(
            f"/v1/cart/items/{s}", {"quantity": 1}).status == 200, within=30)
    # each adds ten times one of each, and the other at the same time
    answers = at_once([lambda d=d, s=s: [d.post("/v1/cart/items", {"sku": s, "quantity": 1}).status for _ in range(10)]
                       for d, s in zip(devices, skus)] +
                      [lambda s=s: [anyone.as_user(session).post("/v1/cart/items", {"sku": s, "quantity": 1}).status
                                    for _ in range(10)] for s in skus])
    assert {status for statuses in answers for status in statuses} == {200}
    assert {i["sku"]: i["quantity"] for i in devices[0].get("/v1/cart").json["items"]} == {sku: 21 for sku in skus}


def test_two_devices_check_out_one_cart_and_the_stock_decides(admin, anyone, shop, sell):
    session, sku = shop.log_in(), sell(3)
    devices = [anyone.as_user(session) for _ in range(2)]
    eventually("the cart knows it", lambda: devices[0].put(
        f"/v1/cart/items/{sku}", {"quantity": 3}).status == 200, within=30)
    orders = at_once([lambda d=d: place(d, (sku, 3)) for d in devices])
    assert orders[0]["id"] != orders[1]["id"], "two keys are two orders"
    ends = [reaches(admin, order, *SOLD, "rejected")["status"] for order in orders]
    assert sorted(end == "rejected" for end in ends) == [False, True]
    eventually("the cart is empty", lambda: devices[0].get("/v1/cart").json["items"] == [], within=30)
    eventually("all is sold, once", lambda: stock(admin, sku) == (0, 0), within=PATIENCE_S)


# ---- ends that meet ----

def test_two_cancels_at_once_are_one(shop, admin, shopper, sell):
    sku = sell(10)
    order = place(shopper, (sku, 2))
    reaches(shopper, order, "paid")
    path, token = f"/v1/orders/{order['id']}/cancel", shopper.headers["Authorization"].removeprefix("Bearer ")
    answers = at_once([lambda: shopper.as_user({"token": token}).post(path)] * 6)
    assert [(a.status, a.json["status"]) for a in answers] == [(200, "cancelled")] * 6
    eventually("the money is back", lambda: is_paid_back(admin, order), within=PATIENCE_S)
    eventually("the goods are back", lambda: stock(admin, sku) == (10, 0), within=PATIENCE_S)
    assert shop.rows("order", "SELECT amount_minor FROM order_refund WHERE order_id = %s", order["id"]) == [(2000,)]
    assert hot_sku.movements_of(admin, sku) == {"adjustment": 10, "sale": -2, "return": 2}


@pytest.mark.parametrize("cancels_first", [True, False])
def test_a_cancel_against_the_carriers_word_ends_as_one_of_the_two(shop, admin, shopper, sell, cancels_first):
    sku = sell(10)
    orders = [place(shopper, (sku, 1)) for _ in range(5)]
    labels = [eventually("the label", lambda o=order: read(admin, o)["shipments"], within=PATIENCE_S)[0]
              for order in orders]
    secret, token = shop.secret("shipping", "webhook_secret"), shopper.headers["Authorization"].removeprefix("Bearer ")

    def cancel(order: dict):
        return shopper.as_user({"token": token}).post(f"/v1/orders/{order['id']}/cancel")

    def ship(label: dict):
        return Client(shop.gateway).call("POST", "/v1/shipments/webhooks/test", **signed(
            secret, {"tracking_number": label["tracking_number"], "status": "shipped"}))

    pairs = [(lambda o=o: cancel(o), lambda l=l: ship(l)) for o, l in zip(orders, labels)]
    answers = at_once([call for pair in pairs for call in (pair if cancels_first else reversed(pair))])
    for number, order in enumerate(orders):
        both = answers[2 * number:2 * number + 2]
        cancelled, shipped = both if cancels_first else reversed(both)
        assert cancelled.status in (200, 409) and shipped.status in (200, 409), (cancelled, shipped)
        if cancelled.status == 409:
            assert cancelled.json["code"] == "order_not_cancellable"
            assert reaches(admin, order, "shipped")["payment"]["status"] == "captured"
        else:
            assert reaches(admin, order, "cancelled")
            eventually("the money is back", lambda o=order: is_paid_back(admin, o), within=PATIENCE_S)
    eventually("nothing is held", lambda: stock(admin, sku)[1] == 0, within=PATIENCE_S)


def refund(admin: Client, order: dict, minor: int | None):
    body = {"reason": "raced"} | ({} if minor is None else {"amount": {"amount": minor, "currency": "GBP"}})
    return admin.as_user({"token": admin.headers["Authorization"].removeprefix("Bearer ")}).post(
        f"/v1/orders/{order['id']}/refunds", body)


@pytest.mark.parametrize("amounts, accepted, left", [
    ([600, 600], 1, 400),  # together more than was paid
    ([None, None], 1, 0),  # all of it, twice
    ([300, 300, 300, 300], 3, 100),
    ([400, 600], 2, 0),
])
def test_refunds_at_one_moment_never_pay_back_more_than_was_paid(admin, shopper, sell, amounts, accepted, left):
    order = place(shopper, (sell(1), 1))
    reaches(shopper, order, "paid")
    answers = at_once([lambda m=m: refund(admin, order, m) for m in amounts])
    assert sorted(a.status for a in answers) == [201] * accepted + [409] * (len(amounts) - accepted)
    assert {a.json["code"] for a in answers if a.status == 409} <= {"refund_too_high", "order_not_refundable"}
    eventually("it is paid back", lambda: [p["refunded"]["amount"] for p in admin.get(
        f"/v1/payments?order_id={order['id']}").json["items"]] == [1000 - left], within=PATIENCE_S)


def test_a_cancel_against_a_refund_pays_back_all_once(admin, shopper, sell):
    order = place(shopper, (sell(1), 1))
    reaches(shopper, order, "paid")
    token = shopper.headers["Authorization"].removeprefix("Bearer ")
    refunded, cancelled = at_once([lambda: refund(admin, order, 400), lambda: shopper.as_user({"token": token}).post(
        f"/v1/orders/{order['id']}/cancel")])
    assert (refunded.status, cancelled.status) in ((201, 200), (409, 200))
    eventually("all is paid back", lambda: is_paid_back(admin, order), within=PATIENCE_S)
    assert read(admin, order)["status"] == "cancelled"


def test_a_cancel_against_the_payment_ends_cancelled_with_the_money_back(admin, shopper, sell):
    sku = sell(20)
    token = shopper.headers["Authorization"].removeprefix("Bearer ")

    def place_and_cancel() -> dict:
        client = shopper.as_user({"token": token})
        order = place(client, (sku, 1))
        answer = client.post(f"/v1/orders/{order['id']}/cancel")
        assert (answer.status, answer.json["status"]) == (200, "cancelled"), answer
        return order

    # each at its own moment of reserving and paying, which go on meanwhile
    orders = [order for _ in range(3) for order in at_once([place_and_cancel] * 6)]
    for order in orders:
        assert read(admin, order)["status"] == "cancelled"
        eventually("nothing is owed", lambda o=order: is_paid_back(admin, o), within=PATIENCE_S)
    eventually("the goods are back", lambda: stock(admin, sku) == (20, 0), within=PATIENCE_S)
