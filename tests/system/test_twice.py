"""Whatever was told is told again, to everybody who hears it, and nothing happens twice.

A purchase, a refund and a cancel run through the whole shop while every event is recorded. Then each is
published once more under its own ce-id, as a broker or a recall of an outbox would after a loss, and what the
services hold is as it was: no second mail, label, charge, entry, and no line less in a cart.
"""
import json

import pytest

from races import hot_sku
from support.events import ADDRESS
from support.messages import new_id
from support.stack import BUILD, Client
from support.waiting import eventually
from support.webhooks import signed

# The streams by their subjects' first token. What is told of the catalogue is told once a product in this test, so
# that the last message of each subject stays the newest.
STREAMS = ("audit", "carts", "catalog", "inventory", "notifications", "orders", "payments", "sessions", "shipments")


class World:
    def __init__(self, shop):
        self.shop, self.anyone = shop, Client(shop.gateway)
        self.admin = self.anyone.as_user(self.anyone.post("/v1/sessions", {
            "email": "admin@souk.localhost", "password": "souk-admin"}).json)
        self.sku, self.email = f"TWICE-{new_id()[-12:]}", f"{new_id()[-12:]}@example.org"
        self.shopper, self.orders = self.anyone, []

    def buy(self, quantity: int) -> dict:
        made = self.shopper.post("/v1/orders", {
            "items": [{"sku": self.sku, "quantity": quantity}], "shipping_address": ADDRESS,
            "payment": {"provider": "test", "token": "tok_ok"}}, Idempotency_Key=new_id())
        assert made.status == 201, made
        self.orders.append(made.json["id"])
        return made.json

    def reaches(self, order: dict, status: str) -> dict:
        path = f"/v1/orders/{order['id']}"
        eventually(f"it is {status}", lambda: self.shopper.get(path).json["status"] == status, within=60)
        return self.admin.get(path).json

    def live(self) -> None:
        """A guest fills a cart, registers, logs in and buys; one order is delivered and partly paid back, one cancelled."""
        hot_sku.sell(self.admin, self.sku)
        assert self.admin.put(f"/v1/stock/{self.sku}", {"on_hand": 50}).status == 200
        first = eventually("the cart knows it", lambda: (lambda a: a if a.status == 200 else None)(
            self.anyone.post("/v1/cart/items", {"sku": self.sku, "quantity": 9})), within=30)
        account = {"email": self.email, "password": "correct horse battery"}
        assert self.anyone.post("/v1/accounts", account | {"name": "Ada"}).status == 201
        self.shopper = self.anyone.as_user(self.anyone.post(
            "/v1/sessions", account, X_Cart_Token=first.json["cart_token"]).json)
        eventually("the carts are merged", lambda: self.cart() == [(self.sku, 9)], within=30)
        bought, cancelled = self.buy(2), self.buy(3)
        self.reaches(cancelled, "paid")
        assert self.shopper.post(f"/v1/orders/{cancelled['id']}/cancel").status == 200
        self.reaches(bought, "paid")
        label = eventually("the label", lambda: self.admin.get(f"/v1/orders/{bought['id']}").json["shipments"], within=60)[0]
        for status in ("shipped", "delivered"):
            assert self.anyone.call("POST", "/v1/shipments/webhooks/test", **signed(
                self.shop.secret("shipping", "webhook_secret"),
                {"tracking_number": label["tracking_number"], "status": status})).status == 200
            self.reaches(bought, status)
        assert self.admin.post(f"/v1/orders/{bought['id']}/refunds", {
            "amount": {"amount": 500, "currency": "GBP"}, "reason": "scratched"}).status == 201
        eventually("the part is paid back", lambda: self.payments(bought["id"]) == [("partially_refunded", 500)], within=60)
        eventually("the cancelled one too", lambda: self.payments(cancelled["id"]) == [("refunded", 3000)], within=60)
        eventually("the goods are back", lambda: hot_sku.stock(self.admin, self.sku) == (48, 0), within=60)
        eventually("what was ordered left the cart", lambda: self.cart() == [(self.sku, 4)], within=60)

    def cart(self) -> list:
        return [(i["sku"], i["quantity"]) for i in self.shopper.get("/v1/cart").json["items"]]

    def payments(self, order: str) -> list:
        return [(p["status"], p["refunded"]["amount"]) for p in self.admin.get(
            f"/v1/payments?order_id={order}").json["items"]]

    def state(self) -> dict:
        """All that the services hold of it."""
        return {
            "cart": self.shopper.get("/v1/cart", ).json["items"],
            "product": self.anyone.get(f"/v1/products?q={self.sku}").json["items"],
            "stock": hot_sku.stock(self.admin, self.sku),
            "movements": self.admin.get(f"/v1/stock/{self.sku}/movements?limit=100").json,
            "orders": [self.admin.get(f"/v1/orders/{order}").json for order in self.orders],
            "payments": [self.admin.get(f"/v1/payments?order_id={order}").json for order in self.orders],
            "mails": sorted(mail["subject"] for mail in self.shop.mails(to=self.email)),
            "notifications": self.admin.get(f"/v1/notifications?to={self.email}&limit=100").json,
            "audit": [len(self.admin.get(f"/v1/audit?entity={entity}&limit=100").json["items"])
                      for entity in (*self.orders, self.sku)],
            "sales": self.shop.rows("analytics", "SELECT * FROM order_fact WHERE order_id::text = ANY(%s)"
                                    " ORDER BY order_id", self.orders),
            "products_sold": self.shop.rows("analytics", "SELECT * FROM product_day WHERE sku = %s"
                                            " ORDER BY day", self.sku),
            "shipments": self.shop.rows("shipping", "SELECT order_id, id, state, version FROM shipment"
                                        " WHERE order_id::text = ANY(%s) ORDER BY order_id", self.orders),
        }


def consumers() -> list[tuple[str, str]]:
    topology = json.loads((BUILD / "topology.json").read_text())
    return [(row["stream"], row["name"]) for service in topology["services"] for row in service["consumers"]]


def is_quiet(shop, bus) -> bool:
    """Whether nobody has anything left to tell or to hear."""
    def heard(stream: str, name: str) -> bool:
        info = bus.api(f"CONSUMER.INFO.{stream}.{name}")
        return info["num_pending"] == 0 and info["num_ack_pending"] == 0

    told = all(not shop.rows(service, "SELECT 1 FROM outbox WHERE sent_at IS NULL LIMIT 1") for service in (
        "session", "catalog", "order", "inventory", "payment", "shipping", "notification"))
    mailed = not shop.rows("notification", "SELECT 1 FROM message WHERE state NOT IN ('sent', 'failed') LIMIT 1")
    return told and mailed and all(heard(*row) for row in consumers())


def settled(shop, bus, world) -> dict:
    """The state, when it is the same before and after everybody was quiet."""
    def look():
        before = world.state()
        return before if is_quiet(shop, bus) and world.state() == before else None

    # As long as a message may be retried that another test left behind.
    return eventually("nothing changes any more", look, within=240)


@pytest.fixture(scope="module")
def bus(shop):
    client = shop.bus()
    yield client
    client.close()


def test_what_is_told_again_changes_nothing(shop, bus):
    world, recording = World(shop), [bus.subscribe(f"{stream}.>") for stream in STREAMS]
    world.live()
    before = settled(shop, bus, world)
    for subscription in recording:
        subscription.close()
    told = [message for subscription in recording for message in list(subscription.queue.queue) if message.id]
    kinds = {message.subject.rsplit(".", 1)[0] for message in told}
    for kind in ("carts.merged", "orders.created", "orders.refunded", "payments.confirmed", "shipments.delivered",
                 "inventory.sold", "inventory.level", "sessions.opened", "catalog.product", "audit.user_actions"):
        assert kind in kinds
    # when all of it is told again,
    for message in told:
        headers = {name: value for name, value in message.headers.items() if name != "Nats-Msg-Id"}
        bus.publish_acked(message.subject, message.data, headers)
    # then everything is as it was, and nothing that was told is new.
    after = settled(shop, bus, world)
    for what, held in before.items():
        assert after[what] == held, what
    assert world.admin.get("/v1/audit/verify").json["valid"]
