"""Two of each service: they share the work, and one that ends, by itself or by force, costs no order and no
request that the gateway may send again."""
import contextlib
import hashlib
import itertools
import json
import signal
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests
from requests.adapters import HTTPAdapter

from support.messages import new_id
from support.stack import PORT_BASE, Client, Stack
from support.waiting import eventually

ADDRESS = {"name": "Ada Lovelace", "line1": "12 St James's Square", "city": "London", "postal_code": "SW1Y 4JH",
           "country": "GB"}
STOCK = 1000000
REPLICAS = (1, 2)
PRICE = 250


@pytest.fixture(scope="module")
def pair():
    """The whole shop, two of each service. Parcels advance by themselves."""
    stack = Stack("replicas", services="all", port_base=PORT_BASE + 3000, SOUK_REPLICAS="2",
                  SHIPPING_TEST_ADVANCE_MS="200", SESSION_LOGINS_PER_MINUTE="10000")
    yield stack
    stack.stop()


@pytest.fixture(scope="module")
def anyone(pair):
    return Client(pair.gateway)


@pytest.fixture(scope="module")
def admin(anyone):
    return anyone.as_user(anyone.post("/v1/sessions", {"email": "admin@souk.localhost", "password": "souk-admin"}).json)


@pytest.fixture(scope="module")
def product(admin, anyone):
    """A product that never runs out, known to every service."""
    sku = f"PAIR-{new_id()[-12:]}".upper()
    made = admin.post("/v1/products", {
        "title": "A lamp for everybody", "status": "active",
        "variants": [{"sku": sku, "price": {"amount": PRICE, "currency": "GBP"}}]})
    assert made.status == 201, made
    eventually("inventory knows it", lambda: anyone.get(f"/v1/stock/{sku}").status == 200)
    assert admin.put(f"/v1/stock/{sku}", {"on_hand": STOCK}).status == 200
    eventually("the cart knows it", lambda: anyone.post("/v1/cart/items", {"sku": sku, "quantity": 1}).status == 200)
    eventually("the price list knows it", lambda: Shopper.order(anyone, sku, "first@example.org").status == 201)
    return {"id": made.json["id"], "sku": sku}


# ---- the load ----

class Shopper:
    """Asks only for what the gateway may ask twice, and never asks twice itself."""

    _numbers = itertools.count(1)

    def __init__(self, pair: Stack, product: dict):
        number = next(self._numbers)
        self.email, self.product = f"shopper-{number}@example.org", product
        self.orders, self.failures = [], []
        self._base, self._session = pair.gateway, requests.Session()
        # Limits are counted by address; each has one of his own.
        self._session.mount("http://", _From(f"127.0.0.{10 + number}"))
        self._cart, self._rounds = {}, itertools.count()

    @staticmethod
    def order(client: Client, sku: str, email: str):
        return client.post("/v1/orders", Shopper._body(sku, email), Idempotency_Key=new_id())

    @staticmethod
    def _body(sku: str, email: str) -> dict:
        return {"items": [{"sku": sku, "quantity": 1}], "shipping_address": ADDRESS, "email": email,
                "payment": {"provider": "test", "token": "tok_ok"}}

    def _ask(self, method: str, path: str, wanted: int, json=None, **headers) -> dict:
        try:
            answer = self._session.request(method, self._base + path, json=json, headers=headers, timeout=60)
            if answer.status_code == wanted:
                return answer.json()
            self.failures.append(f"{method} {path}: {answer.status_code} {answer.text[:300]}")
        except requests.RequestException as error:
            self.failures.append(f"{method} {path}: {error!r}")
        return {}

    def _order(self, sku: str) -> None:
        order = self._ask("POST", "/v1/orders", 201, self._body(sku, self.email), **{"Idempotency-Key": new_id()})
        if order:
            self.orders.append(order["id"])
            self._ask("GET", f"/v1/orders/{order['id']}?access_token={order['access_token']}", 200)

    def shop(self) -> None:
        """A cart, now and then an order, and looking around."""
        sku = self.product["sku"]
        cart = self._ask("PUT", f"/v1/cart/items/{sku}", 200, {"quantity": 2}, **self._cart)
        if "cart_token" in cart:
            self._cart = {"X-Cart-Token": cart["cart_token"]}
        if next(self._rounds) % 3 == 0:
            self._order(sku)
        for path in ("/v1/cart", "/v1/products?limit=2", f"/v1/products/{self.product['id']}", f"/v1/stock/{sku}"):
            self._ask("GET", path, 200, **self._cart)


class _From(HTTPAdapter):
    """Connects from one address of the loopback network."""

    def __init__(self, address: str):
        self._address = address
        super().__init__()

    def init_poolmanager(self, *arguments, **options):
        super().init_poolmanager(*arguments, source_address=(self._address, 0), **options)


@contextlib.contextmanager
def shopping(pair, product, count: int = 3):
    """with shopping(pair, product) as shoppers: … what happens while they shop."""
    shoppers = [Shopper(pair, product) for _ in range(count)]
    over = threading.Event()

    def go_on(shopper: Shopper) -> None:
        shopper.shop()
        while not over.wait(0.15):  # they look at the page for a moment
            shopper.shop()

    with ThreadPoolExecutor(count) as pool:
        runs = [pool.submit(go_on, shopper) for shopper in shoppers]
        try:
            yield shoppers
        finally:
            over.set()
    for run in runs:
        run.result()


# ---- what must hold afterwards ----

def await_ends(pair, shoppers, within: float) -> list[str]:
    """The ids of their orders, once each is delivered and each mail is sent."""
    orders = [order for shopper in shoppers for order in shopper.orders]
    assert orders and len(orders) == len(set(orders))
    eventually("every order is delivered", lambda: pair.rows(
        "order", "SELECT status, count(*) FROM customer_order WHERE id = ANY(%s::uuid[]) GROUP BY 1",
        orders) == [("delivered", len(orders))], within)
    eventually("every mail is sent", lambda: pair.rows(
        "notification", "SELECT state, count(*) FROM message WHERE order_id = ANY(%s::uuid[]) GROUP BY 1",
        orders) == [("sent", 3 * len(orders))], within)
    return orders


def assert_done_once(pair, admin, anyone, product, shoppers, orders) -> None:
    """Nothing was lost and nothing was done twice."""
    # One order a shopper was told of, one payment, one label, one mail of a kind.
    emails = [shopper.email for shopper in shoppers]
    assert pair.rows("order", "SELECT count(*) FROM customer_order WHERE email = ANY(%s)", emails) == [(len(orders),)]
    assert pair.rows("payment", "SELECT count(*), sum(amount_minor) FROM payment WHERE state = 'captured'"
                     " AND order_id = ANY(%s::uuid[])", orders) == [(len(orders), len(orders) * PRICE)]
    assert pair.rows("shipping", "SELECT count(*) FROM shipment WHERE state = 'delivered'"
                     " AND order_id = ANY(%s::uuid[])", orders) == [(len(orders),)]
    mails = [mail for email in emails for mail in pair.mails(to=email)]
    assert len({mail["subject"] for mail in mails}) == len({mail["message_id"] for mail in mails}) == 3 * len(orders)
    # The stock is what all orders ever left, and the audit log has each step once.
    sold = pair.rows("order", "SELECT count(*) FROM order_line WHERE sku = %s", product["sku"])[0][0]
    stock = eventually("nothing is reserved", lambda: (lambda s: s if s["reserved"] == 0 else None)(
        anyone.get(f"/v1/stock/{product['sku']}").json))
    assert stock["on_hand"] == STOCK - sold
    eventually("the audit log has them", lambda: pair.rows(
        "audit", "SELECT action, count(*) FROM entry WHERE entity_id = ANY(%s) AND action = ANY(%s)"
        " GROUP BY 1 ORDER BY 1", orders, ["orders.created", "orders.paid", "orders.delivered"]) == [
            (action, len(orders)) for action in ("orders.created", "orders.delivered", "orders.paid")])
    assert admin.get("/v1/audit/verify").json["valid"]


def handled(pair, service: str, replica: int) -> float:
    """How many messages a replica has handled."""
    return sum(value for name, value in pair.metrics(service, replica).items()
               if name.startswith("souk_consumer_messages_total") and 'result="handled"' in name)


def leaders(pair, service: str) -> list[float]:
    return [pair.metrics(service, replica).get("souk_outbox_leader", 0) for replica in REPLICAS]


def use_old_session(pair, client: Client) -> None:
    """A session that was last seen long ago, so that its use is told to the session service."""
    session = pair.log_in()
    pair.valkey().hset("session:" + hashlib.sha256(session["token"].encode()).hexdigest(), "last_seen", 1)
    assert client.as_user(session).get("/v1/cart").status == 200


# ---- the tests ----

def test_replicas_share_the_work_and_nothing_is_done_twice(pair, admin, anyone, product):
    shopper = Shopper(pair, product)

    def both_worked() -> bool:
        shopper.shop()
        use_old_session(pair, anyone)
        idle = [(service, replica) for service in pair.services() for replica in REPLICAS
                if not handled(pair, service, replica)]
        return not idle

    eventually("both replicas of every service have handled messages", both_worked, within=60)
    assert shopper.failures == []
    orders = await_ends(pair, [shopper], within=30)
    assert_done_once(pair, admin, anyone, product, [shopper], orders)
    # Nobody died: so not even a mail was handed over twice.
    assert len(pair.mails(to=shopper.email)) == 3 * len(orders)


def test_one_replica_relays_and_the_other_takes_over(pair, anyone, product):
    services = [service for service in pair.services() if "souk_outbox_leader" in pair.metrics(service)]
    assert "order" in services and "payment" in services
    for service in services:
        eventually(f"one {service} relays", lambda service=service: sum(leaders(pair, service)) == 1)
    # One that is killed: its lock goes with its connection, and again exactly one relays.
    leader = leaders(pair, "order").index(1) + 1
    pair.signal("order", leader, signal.SIGKILL)
    eventually("one order relays again", lambda: sum(leaders(pair, "order")) == 1, within=20)
    # One that is gone for good: the other does it.
    leader = leaders(pair, "order").index(1) + 1
    program = "shop:order" if leader == 1 else f"shop:order-{leader}"
    pair.control("stop", program)
    try:
        eventually("the other relays", lambda: pair.metrics("order", 3 - leader)["souk_outbox_leader"] == 1, within=20)
        shopper = Shopper(pair, product)
        shopper.shop()
        assert shopper.failures == []
        await_ends(pair, [shopper], within=60)
    finally:
        pair.control("start", program)
    eventually("it serves again", lambda: requests.get(pair.address("order", leader) + "/readyz", timeout=5).ok, within=20)


def test_replicas_hear_only_the_answers_that_are_theirs(pair):
    def owners(service: str) -> list[set[str]]:
        """Whose inboxes each connection of a service listens to."""
        found = requests.get(f"{pair.monitor_url}/connz?subs=1&limit=1000", timeout=5).json()["connections"]
        return [{subject.split(".")[1] for subject in connection["subscriptions_list"] if subject.startswith("_INBOX")}
                for connection in found if connection["name"] == service]

    for service in pair.services():
        first, second = eventually(f"two of {service}", lambda service=service: (
            lambda found: found if len(found) == 2 and all(found) else None)(owners(service)))
        assert len(first) == len(second) == 1 and first != second


def test_what_one_replica_changes_the_other_knows(pair, admin, product):
    first, second = (Client(pair.address("catalog", replica)) for replica in REPLICAS)
    token = admin.headers["Authorization"].removeprefix("Bearer ")
    path = f"/v1/products/{product['id']}"
    for title in ("A green lamp", "A red lamp"):
        assert second.get(path).status == 200  # it may keep that now
        assert first.as_user({"token": token}).patch(path, {"title": title}).json["title"] == title
        assert second.get(path).json["title"] == title
    first, second = (Client(pair.address("cart", replica)) for replica in REPLICAS)
    added = first.post("/v1/cart/items", {"sku": product["sku"], "quantity": 3})
    assert second.get("/v1/cart", X_Cart_Token=added.json["cart_token"]).json["items"][0]["quantity"] == 3


def test_a_log_out_ends_the_session_at_every_replica(pair, anyone):
    email = f"{new_id()[-12:]}@example.org"
    assert anyone.post("/v1/accounts", {"email": email, "password": "correct horse", "name": "Ada"}).status == 201
    first, second = (Client(pair.address("session", replica)) for replica in REPLICAS)
    session = first.post("/v1/sessions", {"email": email, "password": "correct horse"}).json
    assert second.as_user(session).get("/v1/accounts/me").json["email"] == email
    assert first.as_user(session).delete("/v1/sessions/current").status == 204
    assert second.as_user(session).get("/v1/accounts/me").status == 401
    for replica in REPLICAS:
        assert Client(pair.address("order", replica)).as_user(session).get("/v1/orders").status == 401


# ---- a request that was sent and not answered ----

def waiting_replica(pair, service: str) -> int | None:
    """The replica at whose port a request waits unread."""
    for line in open("/proc/net/tcp", encoding="ascii").readlines()[1:]:
        _, local, _, state, queues = line.split()[:5]
        for replica in REPLICAS:
            port = int(pair.address(service, replica).rsplit(":", 1)[1])
            if state == "01" and local == f"0100007F:{port:04X}" and int(queues.split(":")[1], 16) > 0:
                return replica
    return None


@contextlib.contextmanager
def asked_while_nobody_answers(pair, email: str, trace: str, **headers):
    """POST /v1/accounts reaches a replica, which is killed before it reads it: its answer, as a future."""
    for replica in REPLICAS:
        pair.signal("session", replica, signal.SIGSTOP)
    with ThreadPoolExecutor(1) as pool:
        try:
            answer = pool.submit(Client(pair.gateway).post, "/v1/accounts",
                                 {"email": email, "password": "correct horse", "name": "Ada"},
                                 traceparent=f"00-{trace}-00f067aa0ba902b7-01", **headers)
            killed = eventually("the request was sent", lambda: waiting_replica(pair, "session"))
            pair.signal("session", killed, signal.SIGKILL)
            pair.signal("session", 3 - killed, signal.SIGCONT)
            yield answer
        finally:
            with contextlib.suppress(ValueError, OSError):
                for replica in REPLICAS:
                    pair.signal("session", replica, signal.SIGCONT)
    eventually("both serve again", lambda: all(
        requests.get(pair.address("session", replica) + "/readyz", timeout=5).ok for replica in REPLICAS), within=20)


def asked(pair, trace: str) -> list[str]:
    """Which replicas the gateway asked for the request of this trace, by its log."""
    def find():
        lines = [json.loads(line) for line in (pair.folder / "log/gateway-access.log").read_text().splitlines()]
        return [line for line in lines if line["trace"] == trace]

    return eventually("the gateway's log", find)[0]["upstream"].split(", ")


def test_a_post_without_a_key_is_not_sent_twice(pair, anyone):
    email, trace = f"{new_id()[-12:]}@example.org", new_id().replace("-", "")
    with asked_while_nobody_answers(pair, email, trace) as answer:
        told = answer.result()
    assert (told.status, told.json["code"], told.json["trace_id"]) == (502, "outcome_unknown", trace)
    assert "Retry-After" not in told.headers
    assert len(asked(pair, trace)) == 1
    # Nobody did it, and who looks first may ask again.
    assert pair.rows("session", "SELECT count(*) FROM account WHERE email = %s", email) == [(0,)]
    assert anyone.post("/v1/accounts", {"email": email, "password": "correct horse", "name": "Ada"}).status == 201


def test_a_post_with_a_key_is_sent_to_another_replica(pair):
    email, trace = f"{new_id()[-12:]}@example.org", new_id().replace("-", "")
    with asked_while_nobody_answers(pair, email, trace, Idempotency_Key=new_id()) as answer:
        told = answer.result()
    assert (told.status, told.json["email"]) == (201, email)
    assert len(asked(pair, trace)) == 2
    assert pair.rows("session", "SELECT count(*) FROM account WHERE email = %s", email) == [(1,)]


# ---- replicas that end under load ----

def test_a_rolling_restart_fails_no_request_and_loses_no_order(pair, admin, anyone, product):
    with shopping(pair, product) as shoppers:
        pair.rolling()
    assert [failure for shopper in shoppers for failure in shopper.failures] == []
    orders = await_ends(pair, shoppers, within=60)
    assert_done_once(pair, admin, anyone, product, shoppers, orders)


def test_replicas_that_are_killed_fail_no_request_that_may_be_sent_twice(pair, admin, anyone, product):
    def kill(service: str, replica: int) -> None:
        before = pair.control("pid", f"shop:{service}" if replica == 1 else f"shop:{service}-{replica}")
        pair.signal(service, replica, signal.SIGKILL)
        eventually(f"{service} {replica} serves again", lambda: before != pair.control(
            "pid", f"shop:{service}" if replica == 1 else f"shop:{service}-{replica}") and requests.get(
                pair.address(service, replica) + "/readyz", timeout=5).ok, within=20)

    with shopping(pair, product) as shoppers:
        for number, service in enumerate(pair.services()):
            kill(service, REPLICAS[number % 2])
    assert [failure for shopper in shoppers for failure in shopper.failures] == []
    # What a killed replica had taken from the broker comes again after the consumer's ack_wait, 30 s.
    orders = await_ends(pair, shoppers, within=120)
    assert_done_once(pair, admin, anyone, product, shoppers, orders)
