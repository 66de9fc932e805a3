"""Idempotency-Key on every POST that takes one, through the gateway: the table is checked against the contract."""
import dataclasses
import typing

import pytest
import yaml

from races import hot_sku
from races.hot_sku import at_once
from support.events import ADDRESS
from support.messages import new_id
from support.stack import ROOT, Client
from support.waiting import eventually

# Why a POST takes no key. What is not in this table and not in the other one fails.
WITHOUT = {
    "/v1/sessions": "a kept answer would be a kept token",
    "/v1/otp": "a second code replaces the first; nothing is created that lasts",
    "/v1/password-resets": "nothing is created that lasts, and either token is good once",
    "/v1/payments/webhooks/{provider}": "webhook-id is its key",
    "/v1/shipments/webhooks/{carrier}": "webhook-id is its key",
}


@dataclasses.dataclass
class Case:
    """One POST: who may send it (and who else), where to, what, and something else instead."""
    route: str
    who: str  # guest, shopper, staff
    arrange: typing.Callable  # (world) -> path
    body: typing.Callable  # (mark) -> dict or bytes
    other: typing.Callable
    headers: dict = dataclasses.field(default_factory=dict)
    status: int = 201

    def __str__(self) -> str:
        return self.route


class World:
    """What the cases stand on: a shop with something to sell and people of each kind."""

    def __init__(self, shop):
        anyone = Client(shop.gateway)
        self.people = {"guest": [Client(shop.gateway, **{"X-Cart-Token": new_id().replace("-", "") + "A" * 11})
                                 for _ in range(2)],
                       "shopper": [anyone.as_user(shop.log_in()) for _ in range(2)],
                       "staff": [anyone.as_user(shop.log_in("admin")) for _ in range(2)]}
        self.admin, self.sku = self.people["staff"][0], f"KEY-{new_id()[-12:]}"
        hot_sku.sell(self.admin, self.sku)
        assert self.admin.put(f"/v1/stock/{self.sku}", {"on_hand": 1000}).status == 200
        eventually("the cart knows it", lambda: self.people["shopper"][0].put(
            f"/v1/cart/items/{self.sku}", {"quantity": 1}).status == 200, within=30)

    def order(self, *statuses: str) -> str:
        """The id of an order of the first shopper that is in one of the statuses."""
        client = self.people["shopper"][0]
        made = client.post("/v1/orders", order_of(self.sku, 5), Idempotency_Key=new_id())
        assert made.status == 201, made
        path = f"/v1/orders/{made.json['id']}"
        eventually("it is so far", lambda: not statuses or client.get(path).json["status"] in statuses, within=60)
        return path


@pytest.fixture(scope="module")
def world(shop):
    return World(shop)


def order_of(sku: str, quantity: int = 1, **more) -> dict:
    return {"items": [{"sku": sku, "quantity": quantity}], "shipping_address": ADDRESS,
            "payment": {"provider": "test", "token": "tok_ok"}} | more


def account(name: str):
    return lambda world, mark: {"email": f"{mark}@example.org", "password": "correct horse battery", "name": name}


def product(title: str):
    return lambda world, mark: {"title": title, "slug": mark, "variants": [
        {"sku": mark, "price": {"amount": 100, "currency": "GBP"}}]}


def csv(title: str):
    return lambda world, mark: (f"Handle,Title,Published,Variant SKU,Variant Price\n"
                                f"{mark},{title},true,{mark},2.50\n").encode()


CASES = [
    Case("/v1/accounts", "guest", lambda w: "/v1/accounts", account("Ada"), account("Eve")),
    Case("/v1/products", "staff", lambda w: "/v1/products", product("Lamp"), product("Torch")),
    Case("/v1/products/import", "staff", lambda w: "/v1/products/import", csv("Lamp"), csv("Torch"),
         {"Content-Type": "text/csv"}, 200),
    Case("/v1/cart/items", "shopper", lambda w: "/v1/cart/items", lambda w, m: {"sku": w.sku, "quantity": 2},
         lambda w, m: {"sku": w.sku, "quantity": 3}, status=200),
    Case("/v1/orders", "shopper", lambda w: "/v1/orders", lambda w, m: order_of(w.sku, 2),
         lambda w, m: order_of(w.sku, 3)),
    Case("/v1/orders", "guest", lambda w: "/v1/orders", lambda w, m: order_of(w.sku, 2, email=f"{m}@example.org"),
         lambda w, m: order_of(w.sku, 3, email=f"{m}@example.org")),
    Case("/v1/orders/{id}/refunds", "staff", lambda w: f"{w.order('paid', 'shipped')}/refunds",
         lambda w, m: {"amount": {"amount": 100, "currency": "GBP"}, "reason": "late"},
         lambda w, m: {"amount": {"amount": 200, "currency": "GBP"}, "reason": "late"}),
    Case("/v1/stock/{sku}/adjustments", "staff", lambda w: f"/v1/stock/{w.sku}/adjustments",
         lambda w, m: {"delta": 2, "reason": m}, lambda w, m: {"delta": 3, "reason": m}),
    Case("/v1/webhook-endpoints", "staff", lambda w: "/v1/webhook-endpoints",
         lambda w, m: {"url": f"http://127.0.0.1:9/{m}", "events": ["orders.delivered"]},
         lambda w, m: {"url": f"http://127.0.0.1:9/{m}", "events": ["orders.shipped"]}),
]
each_case = pytest.mark.parametrize("case", CASES, ids=str)


def post(client: Client, case: Case, path: str, body, **headers):
    data = {"data": body} if isinstance(body, bytes) else {"json": body}
    return client.call("POST", path, **data, **(case.headers | headers))


def again(client: Client) -> Client:
    """The same person on another connection, for another thread."""
    return Client(client.base_url, **client.headers)


def test_the_tables_have_every_post_of_the_contract():
    paths = yaml.safe_load((ROOT / "proto" / "openapi.yaml").read_text())["paths"]
    keyed, plain = set(), set()
    for path, item in paths.items():
        if "post" not in item:
            continue
        names = [p.get("$ref", p.get("name", "")) for p in item["post"].get("parameters", [])]
        (keyed if any("Idempotency" in name for name in names) else plain).add(path)
    assert keyed == {case.route for case in CASES} | {"/v1/orders/{id}/cancel"}
    assert plain == set(WITHOUT)


@each_case
def test_the_same_key_gives_the_first_answer_and_nothing_happens_twice(world, case):
    client, path, mark, key = world.people[case.who][0], case.arrange(world), f"k{new_id()[-12:]}", new_id()
    body, other = case.body(world, mark), case.other(world, mark)
    first = post(client, case, path, body, Idempotency_Key=key)
    assert (first.status, first.headers.get("Idempotent-Replayed")) == (case.status, None), first
    second = post(client, case, path, body, Idempotency_Key=key)
    assert (second.status, second.bytes, second.headers["Idempotent-Replayed"]) == (first.status, first.bytes, "true")
    for name in ("ETag", "Location", "Content-Type"):
        assert second.headers.get(name) == first.headers.get(name), name
    reused = post(client, case, path, other, Idempotency_Key=key)
    assert (reused.status, reused.json["code"]) == (422, "idempotency_key_reused")
    assert post(client, case, path, body, Idempotency_Key=key).bytes == first.bytes, "the other body changed nothing"


@each_case
def test_eight_at_one_moment_are_one(world, case):
    client, path, mark, key = world.people[case.who][0], case.arrange(world), f"k{new_id()[-12:]}", new_id()
    body = case.body(world, mark)
    answers = at_once([lambda c=again(client): post(c, case, path, body, Idempotency_Key=key) for _ in range(8)])
    assert {a.status for a in answers} == {case.status}, answers
    assert len({a.bytes for a in answers}) == 1
    assert sorted(a.headers.get("Idempotent-Replayed", "") for a in answers) == [""] + ["true"] * 7


@each_case
def test_a_key_is_somebodys_own_and_of_a_sane_length(world, case):
    (client, somebody), path, key = world.people[case.who], case.arrange(world), new_id()
    first = post(client, case, path, case.body(world, f"k{new_id()[-12:]}"), Idempotency_Key=key)
    other = post(somebody, case, path, case.body(world, f"k{new_id()[-12:]}"), Idempotency_Key=key)
    assert (first.status, other.status, other.headers.get("Idempotent-Replayed")) == (case.status, case.status, None)
    for wrong, status, code in (("k" * 256, 422, "invalid_idempotency_key"), (b"caf\xe9", 400, "malformed_header")):
        refused = post(client, case, path, case.body(world, f"k{new_id()[-12:]}"), Idempotency_Key=wrong)
        assert (refused.status, refused.json["code"]) == (status, code)
    longest = post(client, case, path, case.body(world, f"k{new_id()[-12:]}"), Idempotency_Key="k" * 242 + key[-13:])
    assert longest.status == case.status


def test_a_cancel_is_one_with_and_without_a_key(world):
    path, key, client = world.order("paid", "shipped"), new_id(), world.people["shopper"][0]
    answers = at_once([lambda c=again(client): c.post(f"{path}/cancel", Idempotency_Key=key) for _ in range(4)])
    assert {(a.status, a.json["status"]) for a in answers} == {(200, "cancelled")}
    assert len({a.bytes for a in answers}) == 1
    assert client.post(f"{path}/cancel").json["status"] == "cancelled"


def test_what_is_kept_for_a_key_tells_nothing_to_who_has_not_the_key(world, shop):
    """A dump of the table holds neither a password nor a token: what is kept elsewhere is their hash only."""
    mark, key = f"k{new_id()[-12:]}", new_id()
    guest = world.people["guest"][0]
    order = guest.post("/v1/orders", order_of(world.sku, email=f"{mark}@example.org"), Idempotency_Key=key).json
    endpoint = world.admin.post("/v1/webhook-endpoints", {
        "url": f"http://127.0.0.1:9/{mark}", "events": ["orders.delivered"]}, Idempotency_Key=key).json
    for service, secrets in (("order", (order["access_token"], mark, key)), ("notification", (endpoint["secret"], key))):
        kept = shop.rows(service, "SELECT scope, key, request_hash, body FROM idempotency_key")
        assert kept
        for secret in secrets:
            assert not [row for row in kept if any(secret.encode() in (
                bytes(v) if not isinstance(v, str) else v.encode()) for v in row)]
