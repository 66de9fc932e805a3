"""cart: lines in Valkey alone, merged once, emptied by an order once, and healed from the catalogue's stream."""
import concurrent.futures
import hashlib
import secrets

import pytest

from support.events import ADDRESS, lines, order_event, product_changed
from support.messages import message, new_id, subject_token
from support.waiting import eventually

DAY = 24 * 3600
DRAFT, ACTIVE, DELETED = 1, 2, 4


@pytest.fixture(scope="module")
def cart(start_service):
    service = start_service("cart")
    # Until it has read the catalogue's stream it answers 503 to what it does not know.
    eventually("it has read the catalogue", lambda: service.post(
        "/v1/cart/items", {"sku": "NO-SUCH", "quantity": 1}).status == 422)
    return service


@pytest.fixture
def account(stores):
    return stores.log_in()


@pytest.fixture
def shopper(cart, account):
    return cart.as_user(account)


@pytest.fixture
def offer(bus, stores):
    """offer("LAMP", price=500): the catalogue tells of a product, and the cart has heard of it."""
    def tell(sku: str, price: int = 500, version: int = 1, **more) -> str:
        event = product_changed(sku, price=price, version=version, **more)
        bus.tell(f"catalog.product.{event.product_id}", event)
        eventually("the cart has heard of it", lambda: bus.settled("catalog", "cart-catalog"))
        return event.product_id

    return tell


@pytest.fixture
def sku(offer):
    name = f"SKU-{new_id()[-12:]}"
    offer(name)
    return name


def add(client, sku: str, quantity: int = 1, **headers):
    return client.post("/v1/cart/items", {"sku": sku, "quantity": quantity}, **headers)


def quantities(client, **headers) -> list[tuple]:
    return [(i["sku"], i["quantity"]) for i in client.get("/v1/cart", **headers).json["items"]]


def digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def order(bus, of: list[dict], order_id: str | None = None, **whose) -> str:
    """An order of these lines was accepted, and the cart has heard of it."""
    order_id = order_id or new_id()
    bus.tell(f"orders.created.{order_id}",
             order_event("OrderCreated", order_id, lines=of, shipping_address=ADDRESS, **whose))
    eventually("the cart has heard of it", lambda: bus.settled("orders", "cart-orders"))
    return order_id


def log_in_with_cart(bus, account, token: str, event_id: str | None = None) -> str:
    event = message("souk.sessions.v1.SessionOpened", account_id=account["account_id"], version=1, session_id=new_id(),
                    cart_token_hash=digest(token))
    return bus.tell(f"sessions.opened.{account['account_id']}", event, event_id)


def level(bus, sku: str, version: int, available: int) -> None:
    bus.tell(f"inventory.level.{subject_token(sku)}", message(
        "souk.inventory.v1.StockLevel", sku=sku, version=version, on_hand=available, available=available))
    eventually("the cart has heard of it", lambda: bus.settled("inventory", "cart-levels"))


# ---- one's own cart ----

def test_lines_are_added_set_and_removed(shopper, sku):
    added = add(shopper, sku, 2)
    assert (added.status, added.json["subtotal"]) == (200, {"amount": 1000, "currency": "GBP"})
    assert add(shopper, sku).json["items"][0]["quantity"] == 3
    assert shopper.put(f"/v1/cart/items/{sku}", {"quantity": 5}).json["items"][0]["line_total"]["amount"] == 2500
    assert shopper.delete(f"/v1/cart/items/{sku}").json["items"] == []
    assert shopper.delete(f"/v1/cart/items/{sku}").status == 200  # as good as removed
    add(shopper, sku)
    assert shopper.delete("/v1/cart").json["subtotal"] == {"amount": 0, "currency": "GBP"}


def test_looking_makes_no_cart(cart, stores):
    before = stores.valkey().keys("cart:[ag]:*")
    looked = cart.get("/v1/cart")
    assert (looked.json["items"], looked.json["id"], looked.headers["ETag"]) == ([], None, '"0"')
    assert "cart_token" not in looked.json and "Set-Cookie" not in looked.headers
    assert cart.delete("/v1/cart").status == 200
    assert stores.valkey().keys("cart:[ag]:*") == before


def test_a_guests_cart_lives_a_day_under_its_tokens_hash(cart, sku, stores):
    made = add(cart, sku, 2)
    token, key = made.json["cart_token"], f"cart:g:{digest(made.json['cart_token'])}"
    assert f"souk_cart={token}" in made.headers["Set-Cookie"] and "HttpOnly" in made.headers["Set-Cookie"]
    assert quantities(cart, X_Cart_Token=token) == quantities(cart, Cookie=f"souk_cart={token}") == [(sku, 2)]
    stores.valkey().expire(key, 60)
    cart.get("/v1/cart", X_Cart_Token=token)
    assert DAY - 60 < stores.valkey().ttl(key) <= DAY
    assert not [k for k in stores.valkey().scan_iter("*") if token in k]


def test_an_accounts_cart_has_no_token_and_a_foreign_session_is_401(cart, shopper, sku):
    assert "cart_token" not in add(shopper, sku, X_Cart_Token="A" * 43).json
    assert add(cart.as_user({"token": "B" * 43}), sku).status == 401


def test_a_write_by_an_accounts_cookie_must_show_where_it_comes_from(cart, account, sku):
    cookie = f"souk_session={account['token']}"
    refused = add(cart, sku, Cookie=cookie, Origin="https://evil.example")
    assert (refused.status, refused.json["code"]) == (403, "csrf")
    assert add(cart, sku, Cookie=cookie, Sec_Fetch_Site="same-origin").status == 200


@pytest.mark.parametrize("item, pointer", [
    ({"sku": "SKU", "quantity": 0}, "/quantity"), ({"sku": "SKU", "quantity": -1}, "/quantity"),
    ({"sku": "SKU", "quantity": 1000000000}, "/quantity"), ({"sku": "SKU", "quantity": 1.5}, "/quantity"),
    ({"sku": "SKU", "quantity": "1"}, "/quantity"), ({"sku": "SKU"}, "/quantity"), ({"quantity": 1}, "/sku"),
    ({"sku": 7, "quantity": 1}, "/sku"), ({"sku": "", "quantity": 1}, "/sku"), ({"sku": "x" * 65, "quantity": 1}, "/sku"),
    ({"sku": "NO-SUCH", "quantity": 1}, "/sku"), ([], ""), ("text", ""),
])
def test_what_is_wrong_is_told_and_makes_no_cart(cart, sku, item, pointer):
    item = item | {"sku": sku} if isinstance(item, dict) and item.get("sku") == "SKU" else item
    refused = cart.post("/v1/cart/items", item)
    assert refused.status == 422, refused
    assert pointer in [e["pointer"] for e in refused.json["errors"]], refused
    assert "Set-Cookie" not in refused.headers


@pytest.mark.parametrize("data", [b"", b"{", b'{"sku":"A","quantity":1,"quantity":2}', b"\xff", b"[" * 200])
def test_what_is_no_json_is_400(cart, data):
    refused = cart.call("POST", "/v1/cart/items", data=data, Content_Type="application/json")
    assert (refused.status, refused.json["code"]) == (400, "malformed_json")


def test_a_line_has_ten_thousand_pieces_and_no_more(shopper, sku):
    add(shopper, sku, 9999)
    refused = add(shopper, sku, 2)
    assert (refused.status, refused.json["code"]) == (422, "quantity_too_high")
    assert refused.json["errors"][0]["pointer"] == "/quantity"
    assert add(shopper, sku, 1).json["items"][0]["quantity"] == 10000


def test_a_cart_has_a_hundred_lines_and_no_more(shopper, bus, stores):
    names = [f"L {number}/{new_id()[-6:]}" for number in range(101)]
    product = product_changed(names[0])
    for name in names[1:]:
        product.variants.add(sku=name, price_minor=10, currency="GBP")
    bus.tell(f"catalog.product.{product.product_id}", product)
    eventually("they are known", lambda: stores.valkey().exists(f"cart:sku:{names[-1]}"))
    # so many writes come from an address of their own, since an address is limited
    for name in names[:100]:
        assert add(shopper, name, X_Real_IP="192.0.2.1").status == 200
    full = add(shopper, names[100])
    assert (full.status, full.json["code"]) == (422, "cart_full")
    path = "/v1/cart/items/" + names[50].replace(" ", "%20").replace("/", "%2F")
    assert shopper.put(path, {"quantity": 7}).status == 200
    assert quantities(shopper) == [(name, 7 if name == names[50] else 1) for name in names[:100]]  # in order of adding


def test_another_currency_does_not_go_into_the_cart(shopper, bus, sku):
    euro = product_changed(f"{sku}-EUR")
    euro.variants[0].currency = "EUR"
    bus.tell(f"catalog.product.{euro.product_id}", euro)
    eventually("it is known", lambda: bus.settled("catalog", "cart-catalog"))
    add(shopper, sku)
    assert add(shopper, f"{sku}-EUR").json["code"] == "currency_mismatch"
    shopper.delete("/v1/cart")
    assert add(shopper, f"{sku}-EUR").json["subtotal"]["currency"] == "EUR"


def test_a_cart_that_changed_meanwhile_is_412(shopper, sku):
    seen = add(shopper, sku).headers["ETag"]
    assert add(shopper, sku, If_Match=seen).status == 200
    for late in (add(shopper, sku, If_Match=seen), add(shopper, sku, If_Match=f"W/{seen}"),
                 shopper.put(f"/v1/cart/items/{sku}", {"quantity": 9}, If_Match=seen),
                 shopper.delete(f"/v1/cart/items/{sku}", If_Match=seen), shopper.delete("/v1/cart", If_Match=seen)):
        assert late.status == 412
    assert quantities(shopper) == [(sku, 2)]
    assert add(shopper, sku, If_Match="*").status == 200


def test_forty_requests_at_once_lose_nothing(cart, account, shopper, sku):
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert {a.status for a in pool.map(lambda _: add(cart.as_user(account), sku), range(40))} == {200}
    assert quantities(shopper) == [(sku, 40)]


def test_requests_with_one_key_at_one_moment_add_once(cart, account, shopper, sku, stores):
    key = new_id()
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: add(cart.as_user(account), sku, 2, Idempotency_Key=key), range(16)))
    assert {a.status for a in answers} == {200}
    assert sorted(a.headers.get("Idempotent-Replayed", "") for a in answers) == [""] + ["true"] * 15
    assert quantities(shopper) == [(sku, 2)]
    assert add(shopper, sku, 3, Idempotency_Key=key).json["code"] == "idempotency_key_reused"
    assert add(shopper, sku, Idempotency_Key="x" * 256).status == 422
    assert all(0 < stores.valkey().ttl(k) <= DAY for k in stores.valkey().scan_iter("cart:answer:*"))


def test_an_addition_said_again_has_its_first_answer_whatever_came_since(shopper, sku):
    key = new_id()
    first = add(shopper, sku, 2, Idempotency_Key=key)
    add(shopper, sku, 5)
    again = add(shopper, sku, 2, Idempotency_Key=key)
    assert (again.status, again.json, again.headers["ETag"]) == (200, first.json, first.headers["ETag"])
    assert again.headers["Idempotent-Replayed"] == "true"
    assert quantities(shopper) == [(sku, 7)]


def test_a_guests_first_addition_is_safe_to_repeat_with_a_token_of_the_guests_own(cart, sku):
    """Without one each request is somebody new: two guests who chose one key must not share a cart."""
    key, token = new_id(), secrets.token_urlsafe(32)
    first, again = (add(cart, sku, 2, Idempotency_Key=key, X_Cart_Token=token) for _ in range(2))
    assert (again.headers.get("Idempotent-Replayed"), again.json) == ("true", first.json)
    somebody, other = (add(cart, sku, 2, Idempotency_Key=key).json for _ in range(2))
    assert len({somebody["cart_token"], other["cart_token"], token}) == 3
    assert {made["items"][0]["quantity"] for made in (first.json, somebody, other)} == {2}


# ---- what it tells ----

def test_a_new_cart_and_an_added_item_are_told_once(shopper, account, bus, sku):
    key = new_id()
    with bus.listening("carts.*.*") as heard:
        made = add(shopper, sku, 2, Idempotency_Key=key).json
        opened = heard("souk.carts.v1.CartOpened", cart_id=made["id"])
        added = heard("souk.carts.v1.ItemAdded", cart_id=made["id"], sku=sku, quantity=2)
        add(shopper, sku, 2, Idempotency_Key=key)  # the same again tells nothing
        add(shopper, sku, 3)
        heard("souk.carts.v1.ItemAdded", cart_id=made["id"], quantity=3)
        assert heard.count("souk.carts.v1.ItemAdded", cart_id=made["id"]) == 2
        assert heard.count("souk.carts.v1.CartOpened", cart_id=made["id"]) == 1
    assert opened.account_id == added.account_id == account["account_id"]


# ---- what the catalogue and inventory tell ----

def test_a_change_of_a_product_shows_and_an_older_one_does_not(offer, shopper, sku):
    name = f"OTHER-{sku}"
    product = offer(name, 500)
    add(shopper, name)
    offer(name, 700, 5, product_id=product, title="Torch")
    offer(name, 100, 4, product_id=product, title="Late")
    line = shopper.get("/v1/cart").json["items"][0]
    assert (line["title"], line["unit_price"]["amount"]) == ("Torch", 700)


@pytest.mark.parametrize("gone", [{"status": DRAFT}, {"status": DELETED}, {"sku": "SOMETHING-ELSE"}])
def test_what_is_not_sold_any_more_stays_visible_and_cannot_be_added(offer, shopper, sku, gone):
    product = offer(f"GONE-{sku}")
    add(shopper, f"GONE-{sku}", 2)
    offer(gone.get("sku", f"GONE-{sku}"), version=2, product_id=product, status=gone.get("status", ACTIVE))
    line = shopper.get("/v1/cart").json["items"][0]
    assert (line["quantity"], line["available"]) == (2, 0)
    assert add(shopper, f"GONE-{sku}").json["code"] == "unknown_sku"


def test_a_level_of_stock_shows_and_an_older_one_does_not(bus, shopper, sku):
    assert add(shopper, sku).json["items"][0]["available"] is None
    level(bus, sku, 2, 7)
    level(bus, sku, 1, 99)
    assert shopper.get("/v1/cart").json["items"][0]["available"] == 7


# ---- what orders and log-ins tell ----

def test_an_order_takes_its_quantities_out_once(bus, offer, shopper, account, sku):
    offer(f"{sku}-B")
    add(shopper, sku, 5)
    add(shopper, f"{sku}-B", 1)
    placed = order(bus, lines(sku, 2) + lines(f"{sku}-B", 9), account_id=account["account_id"])
    assert quantities(shopper) == [(sku, 3)]
    order(bus, lines(sku, 2), placed, account_id=account["account_id"])  # sent again under another id
    assert quantities(shopper) == [(sku, 3)]


def test_an_order_that_is_delivered_again_takes_nothing_however_late(bus, shopper, account, sku, stores):
    add(shopper, sku, 5)
    told, placed = new_id(), new_id()
    event = order_event("OrderCreated", placed, lines=lines(sku, 2), shipping_address=ADDRESS,
                        account_id=account["account_id"])
    bus.tell(f"orders.created.{placed}", event, told)
    eventually("the cart has heard of it", lambda: bus.settled("orders", "cart-orders"))
    for _ in range(3):
        bus.tell_again(f"orders.created.{placed}", event, told)
    eventually("the cart has heard of it", lambda: bus.settled("orders", "cart-orders"))
    assert quantities(shopper) == [(sku, 3)]
    # The streams keep a message for seven days, and nobody can know when it comes again.
    assert 7 * DAY < stores.valkey().ttl(f"cart:done:order:{placed}") <= 8 * DAY


def test_a_guests_order_takes_from_the_guests_cart(bus, cart, sku):
    token = add(cart, sku, 5).json["cart_token"]
    order(bus, lines(sku, 4), cart_token_hash=digest(token))
    assert quantities(cart, X_Cart_Token=token) == [(sku, 1)]


def test_an_order_that_is_heard_of_before_the_merge_takes_from_both_carts(bus, cart, shopper, account, sku):
    token = add(cart, sku, 3).json["cart_token"]
    add(shopper, sku, 1)
    order(bus, lines(sku, 3), account_id=account["account_id"], cart_token_hash=digest(token))
    log_in_with_cart(bus, account, token)
    eventually("the rest is merged", lambda: quantities(shopper) == [(sku, 1)])


def test_an_order_without_a_cart_changes_none(bus, shopper, sku):
    add(shopper, sku, 5)
    order(bus, lines(sku, 2))
    assert quantities(shopper) == [(sku, 5)]


def test_a_guests_cart_goes_into_the_accounts_at_log_in_once(bus, cart, shopper, account, sku):
    token = add(cart, sku, 2).json["cart_token"]
    add(shopper, sku, 1)
    with bus.listening("carts.merged.*") as heard:
        event_id = log_in_with_cart(bus, account, token)
        heard("souk.carts.v1.CartMerged", account_id=account["account_id"])
    assert quantities(shopper) == [(sku, 3)]
    assert quantities(cart, X_Cart_Token=token) == []
    # The guest's token goes on, and the first log-in is told again:
    add(cart, sku, 4, X_Cart_Token=token)
    again = message("souk.sessions.v1.SessionOpened", account_id=account["account_id"], version=1, session_id=new_id(),
                    cart_token_hash=digest(token))
    bus.tell_again(f"sessions.opened.{account['account_id']}", again, event_id)
    eventually("it is handled", lambda: bus.settled("sessions", "cart-sessions"))
    assert quantities(shopper) == [(sku, 3)]
    assert quantities(cart, X_Cart_Token=token) == [(sku, 4)]


def test_a_merge_keeps_to_the_limit_of_a_line(bus, cart, shopper, account, sku):
    token = add(cart, sku, 9000).json["cart_token"]
    add(shopper, sku, 9000)
    log_in_with_cart(bus, account, token)
    eventually("they are merged", lambda: quantities(shopper) == [(sku, 10000)])


@pytest.mark.parametrize("stream, subject, kind, consumer", [
    ("orders", "orders.created.x", "souk.orders.v1.OrderCreated", "cart-orders"),
    ("sessions", "sessions.opened.x", "souk.sessions.v1.SessionOpened", "cart-sessions"),
    ("inventory", "inventory.level.x", "souk.inventory.v1.StockLevel", "cart-levels"),
    ("catalog", "catalog.product.x", "souk.catalog.v1.ProductChanged", "cart-catalog"),
])
def test_bytes_that_are_no_message_are_a_dead_letter(cart, bus, stream, subject, kind, consumer):
    before = bus.dead_letters(stream, consumer)
    for data in (b"\xff", b""):
        bus.client.publish_acked(subject, data, {"ce-id": new_id(), "ce-type": kind})
        eventually("it is handled", lambda: bus.settled(stream, consumer))
    eventually("both are dead letters", lambda: bus.dead_letters(stream, consumer) == before + 2)


# ---- outages ----

def test_a_valkey_that_was_emptied_is_healed_from_the_stream(bus, cart, stores, sku):
    stores.valkey().flushall()
    refused = add(cart, sku)
    if refused.status != 200:  # the sweep may have been faster
        assert (refused.status, refused.json["code"]) == (503, "catalog_not_ready")
        assert int(refused.headers["Retry-After"]) > 0
    eventually("the SKU is known again", lambda: add(cart, sku).status == 200)
    eventually("all is read", lambda: stores.valkey().ttl("cart:catalog") > DAY - 60)
    assert add(cart, "NO-SUCH").json["code"] == "unknown_sku"


def test_every_key_ends_by_itself(shopper, sku, stores):
    add(shopper, sku)
    assert [key for key in stores.valkey().scan_iter("cart:*") if stores.valkey().ttl(key) < 0] == []


def test_a_cart_outlives_a_restart_of_valkey_and_meanwhile_is_503(cart, account, stores, sku):
    shopper = cart.as_user(account)
    token = add(cart, sku, 2).json["cart_token"]
    add(shopper, sku, 3)
    with stores.without("valkey"):
        for refused in (add(cart, sku), shopper.get("/v1/cart"), cart.get("/v1/cart", X_Cart_Token=token)):
            assert (refused.status, int(refused.headers["Retry-After"]) > 0) == (503, True)
    eventually("it is back", lambda: quantities(shopper) == [(sku, 3)])
    assert quantities(cart, X_Cart_Token=token) == [(sku, 2)]


def test_without_the_broker_shoppers_notice_nothing_and_the_news_follow(cart, bus, stores, sku):
    with stores.without("nats"):
        made = add(cart, sku)
        assert made.status == 200
        assert quantities(cart, X_Cart_Token=made.json["cart_token"]) == [(sku, 1)]
    last = {"last_by_subj": f"carts.item_added.{made.json['id']}"}
    eventually("it is in the stream", lambda: bus.client.api("STREAM.MSG.GET.carts", last).get("message"), within=20)
