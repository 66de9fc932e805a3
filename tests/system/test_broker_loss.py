"""The broker loses everything it had stored, in the middle of the traffic; then Valkey does, too.

No accepted order is lost or doubled, every mail is sent once, and the audit log has each event once.
"""
import contextlib
import datetime
import json
import shutil

import pytest

from support.events import ADDRESS
from support.messages import new_id
from support.stack import BUILD, Client
from support.waiting import eventually
from support.webhooks import signed

PRICE = 1999
# What an order is placed with, how it ends, and the last words of the mails that its shopper gets.
KINDS = {
    "paid": ({"quantity": 1, "token": "tok_ok"}, "delivered", ["", " has arrived", " is on its way"]),
    "declined": ({"quantity": 1, "token": "tok_decline"}, "payment_failed", None),
    "too many": ({"quantity": 5000, "token": "tok_ok"}, "rejected", None),
}
STEPS = {"delivered": {"orders.created", "inventory.reserved", "payments.confirmed", "orders.paid", "inventory.sold",
                       "shipments.label_created", "orders.shipped", "orders.delivered"},
         "payment_failed": {"orders.created", "inventory.reserved", "payments.failed", "inventory.released"},
         "rejected": {"orders.created", "inventory.rejected"}}
UNAUDITED = ("souk.inventory.v1.StockLevel", "souk.sessions.v1.SessionSeen")


@pytest.fixture(scope="module")
def anyone(shop):
    return Client(shop.gateway)


def log_in(anyone):
    session = anyone.post("/v1/sessions", {"email": "admin@souk.localhost", "password": "souk-admin"})
    assert session.status == 201, session
    return anyone.as_user(session.json)


@pytest.fixture(scope="module")
def sku(shop, anyone):
    """A product with 1,000 in stock, known to every service."""
    name, admin = f"LOSS-{new_id()[-12:]}".upper(), log_in(anyone)
    made = admin.post("/v1/products", {
        "title": f"Lamp {name}", "status": "active", "category": "Tests",
        "variants": [{"sku": name, "price": {"amount": PRICE, "currency": "GBP"}}]})
    assert made.status == 201, made
    eventually("inventory knows it", lambda: anyone.get(f"/v1/stock/{name}").status == 200)
    assert admin.put(f"/v1/stock/{name}", {"on_hand": 1000}).status == 200
    eventually("the price list knows it", lambda: shop.rows("order", "SELECT 1 FROM price WHERE sku = %s", name))
    return name


@contextlib.contextmanager
def without_broker(shop, lose: bool):
    """The broker is stopped, and starts again afterwards: with what it had stored, or without."""
    with shop.without("nats"):
        if lose:
            shutil.rmtree(shop.folder / "nats" / "jetstream")
        yield


def place(client, sku: str, kind: str) -> dict:
    """An accepted order of a guest with an address of its own."""
    options, end, _ = KINDS[kind]
    email = f"{new_id()[-12:]}@example.org"
    answer = client.post("/v1/orders", {
        "items": [{"sku": sku, "quantity": options["quantity"]}], "email": email, "shipping_address": ADDRESS,
        "payment": {"provider": "test", "token": options["token"]}}, Idempotency_Key=new_id())
    assert answer.status == 201, answer
    return answer.json | {"kind": kind, "end": end, "email": email}


def place_each(client, sku: str) -> list[dict]:
    return [place(client, sku, kind) for kind in KINDS]


def status_of(client, order) -> str:
    return client.get(f"/v1/orders/{order['id']}?access_token={order['access_token']}").json["status"]


def finish(shop, admin, client, order) -> None:
    """Brings it to its end: of what is paid the carrier says that it is shipped, then delivered."""
    if order["end"] == "delivered":
        tracking = eventually("the label", lambda: admin.get(f"/v1/orders/{order['id']}").json["shipments"][0], within=90)
        for word in ("shipped", "delivered"):
            body = {"tracking_number": tracking["tracking_number"], "status": word}
            answer = client.call("POST", "/v1/shipments/webhooks/test",
                                 **signed(shop.secret("shipping", "webhook_secret"), body))
            assert answer.status in (200, 204), answer
            eventually(f"the order is {word}", lambda w=word: status_of(client, order) == w, within=60)
    eventually(f"the order is {order['end']}", lambda: status_of(client, order) == order["end"], within=90)


def sales(admin) -> tuple[int, int]:
    """Orders and their sum, of all days and in pounds."""
    tomorrow = datetime.datetime.now(datetime.timezone.utc).date() + datetime.timedelta(days=2)
    items = admin.get(f"/v1/analytics/sales?from={tomorrow - datetime.timedelta(days=5)}&to={tomorrow}").json["items"]
    pounds = [i for i in items if i["gross"]["currency"] == "GBP"]
    return sum(i["orders"] for i in pounds), sum(i["gross"]["amount"] for i in pounds)


def services() -> list[dict]:
    return json.loads((BUILD / "topology.json").read_text())["services"]


def told(shop) -> set[str]:
    """The id of every event that a service has told and audit records."""
    ids = set()
    for service in services():
        if service["uses_pg"]:
            ids |= {str(row[0]) for row in shop.rows(
                service["name"], "SELECT id FROM outbox WHERE type <> ALL(%s)", list(UNAUDITED))}
    return ids


def at_rest(shop) -> bool:
    """Whether every mail and every event has left, and every consumer has handled all there is."""
    if shop.rows("notification", "SELECT 1 FROM message WHERE state NOT IN ('sent', 'failed') LIMIT 1"):
        return False
    for service in services():
        if service["uses_pg"] and shop.rows(service["name"], "SELECT 1 FROM outbox WHERE sent_at IS NULL LIMIT 1"):
            return False
    with contextlib.closing(shop.bus()) as bus:
        for consumer in (c for s in services() for c in s["consumers"]):
            info = bus.api(f"CONSUMER.INFO.{consumer['stream']}.{consumer['name']}")
            if info["num_pending"] or info["num_ack_pending"]:
                return False
    return True


def recalled(shop, service: str) -> float:
    """How many events the service says that it sent again."""
    return shop.metrics(service)["souk_outbox_recalled_total"]


def test_a_broker_that_comes_back_with_all_it_had_is_told_nothing_again(shop, anyone, sku):
    tellers, admin = ("order", "inventory", "payment"), log_in(anyone)
    finish(shop, admin, anyone, place(anyone, sku, "paid"))
    before = [recalled(shop, name) for name in tellers]
    with without_broker(shop, lose=False):
        order = place(anyone, sku, "paid")
    finish(shop, admin, anyone, order)  # each of them has told something since
    assert [recalled(shop, name) for name in tellers] == before


def test_every_accepted_order_ends_once_though_the_broker_lost_all_it_had(shop, anyone, sku):
    admin = log_in(anyone)
    eventually("all is at rest", lambda: at_rest(shop), within=60)
    sales_before = sales(admin)
    # Given orders that are on their way,
    orders = [order for _ in range(3) for order in place_each(anyone, sku)]
    # when the broker stops and loses everything, while further orders come, before and after,
    with without_broker(shop, lose=True):
        orders += [order for _ in range(2) for order in place_each(anyone, sku)]
    orders += [order for _ in range(2) for order in place_each(anyone, sku)]
    # then each of them ends as it should.
    for order in orders:
        finish(shop, admin, anyone, order)
    eventually("all is at rest", lambda: at_rest(shop), within=90)
    assert any(recalled(shop, name) > 0 for name in ("order", "inventory", "payment", "session"))
    check_mails(shop, orders)
    check_audit(shop, admin, orders)
    paid = [order for order in orders if order["end"] == "delivered"]
    eventually("analytics count them once", lambda: sales(admin) == (
        sales_before[0] + len(paid), sales_before[1] + PRICE * len(paid)), within=30)
    level = anyone.get(f"/v1/stock/{sku}").json
    assert (level["reserved"], level["on_hand"]) == (0, 1000 - len(sold(shop, sku)))
    with contextlib.closing(shop.bus()) as bus:
        assert bus.api("STREAM.INFO.dead")["state"]["messages"] == 0


def sold(shop, sku: str) -> list[tuple]:
    return shop.rows("inventory", "SELECT order_id FROM movement WHERE sku = %s AND kind = 'sale'", sku)


def check_mails(shop, orders: list[dict]) -> None:
    """Every mail once: of a kind, to a shopper."""
    for order in orders:
        def subjects(to=order["email"]):
            return sorted(mail["subject"] for mail in shop.mails(to=to))

        wanted = KINDS[order["kind"]][2]
        if wanted is not None:
            wanted = [f"Your order {order['number']}{words}" for words in wanted]
            eventually("its mails", lambda w=wanted, s=subjects: set(s()) >= set(w), within=30)
            assert subjects() == wanted
        assert len(subjects()) == len(set(subjects())), (order["kind"], subjects())


def check_audit(shop, admin, orders: list[dict]) -> None:
    """Every event that was told is an entry, once; and the chain verifies."""
    for order in orders:
        actions = [e["action"] for e in admin.get(f"/v1/audit?entity={order['id']}&limit=100").json["items"]]
        assert STEPS[order["end"]] <= set(actions), actions
        assert actions.count("orders.created") == 1
    def entries() -> list[str]:
        return [row[0] for row in shop.rows("audit", "SELECT id FROM entry")]

    eventually("every event is an entry", lambda: told(shop) <= set(entries()), within=60)
    assert len(entries()) == len(set(entries()))
    assert admin.get("/v1/audit/verify").json["valid"]


def compacted(shop) -> int:
    """How many products the compacted stream has."""
    with contextlib.closing(shop.bus()) as bus:
        return bus.api("STREAM.INFO.catalog")["state"]["messages"]


def test_the_catalogue_and_the_levels_come_back_though_broker_and_valkey_lost_all(shop, anyone, sku):
    eventually("all is at rest", lambda: at_rest(shop), within=60)
    with without_broker(shop, lose=True):
        shop.valkey().flushall()
    products = shop.rows("catalog", "SELECT count(*) FROM product")[0][0]
    eventually("every product is in the stream again", lambda: compacted(shop) == products, within=90)
    available = 1000 - len(sold(shop, sku))

    def added():
        answer = anyone.post("/v1/cart/items", {"sku": sku, "quantity": 1})
        return answer.status == 200 and answer.json["items"][0]["available"] == available

    eventually("the cart knows the product and how many there are", added, within=90)
    product = eventually("and so does the catalogue", lambda: anyone.get(f"/v1/products?q={sku}").json["items"][0])
    assert product["variants"][0]["available"] == available
    # And the whole shop works.
    finish(shop, log_in(anyone), anyone, place(anyone, sku, "paid"))
    eventually("all is at rest", lambda: at_rest(shop), within=90)


def test_the_levels_come_back_though_valkey_alone_lost_all(shop, anyone, sku):
    shop.valkey().flushall()
    available = 1000 - len(sold(shop, sku))

    def added():
        answer = anyone.post("/v1/cart/items", {"sku": sku, "quantity": 1})
        return answer.status == 200 and answer.json["items"][0]["available"] == available

    eventually("the cart knows the product and how many there are", added, within=90)
