"""cart: lines in Valkey alone, merged once, emptied by an order once, and healed from the catalogue's stream."""
import pytest

from support.events import ADDRESS, lines, order_event, product_changed
from support.messages import message, new_id
from support.waiting import eventually


@pytest.fixture(scope="module")
def cart(start_service):
    return start_service("cart")


@pytest.fixture
def account(stores):
    return stores.log_in()


@pytest.fixture
def shopper(cart, account):
    return cart.as_user(account)


def offer(bus, cart, sku, price=500, version=1, product_id=None, **more):
    event = product_changed(sku, price=price, version=version, product_id=product_id or new_id(), **more)
    bus.tell(f"catalog.product.{event.product_id}", event)
    return event.product_id


@pytest.fixture
def sku(bus, cart):
    name = f"SKU-{new_id()[-12:]}"
    offer(bus, cart, name)
    eventually("the cart knows it", lambda: cart.post("/v1/cart/items", {"sku": name, "quantity": 1}).status == 200)
    return name


def quantities(client, **headers) -> list[tuple]:
    return [(i["sku"], i["quantity"]) for i in client.get("/v1/cart", **headers).json["items"]]


def test_lines_are_added_set_and_removed(shopper, sku):
    added = shopper.post("/v1/cart/items", {"sku": sku, "quantity": 2})
    assert (added.status, added.json["subtotal"]) == (200, {"amount": 1000, "currency": "GBP"})
    assert shopper.post("/v1/cart/items", {"sku": sku, "quantity": 1}).json["items"][0]["quantity"] == 3
    assert shopper.put(f"/v1/cart/items/{sku}", {"quantity": 5}).json["items"][0]["line_total"]["amount"] == 2500
    assert shopper.delete(f"/v1/cart/items/{sku}").json["items"] == []
    shopper.post("/v1/cart/items", {"sku": sku, "quantity": 1})
    assert shopper.delete("/v1/cart").status in (200, 204)
    assert quantities(shopper) == []


def test_a_guests_cart_lives_a_day_under_its_tokens_hash(cart, sku, stores):
    made = cart.post("/v1/cart/items", {"sku": sku, "quantity": 2}).json
    assert quantities(cart, X_Cart_Token=made["cart_token"]) == [(sku, 2)]
    keys = [k for k in stores.valkey().keys("cart:g:*") if stores.valkey().hget(k, "id") == made["id"]]
    assert len(keys) == 1 and made["cart_token"] not in keys[0]
    assert 24 * 3600 - 60 < stores.valkey().ttl(keys[0]) <= 24 * 3600


def test_what_is_wrong_is_told_and_changes_nothing(shopper, sku):
    for item in ({"sku": sku, "quantity": 0}, {"sku": sku, "quantity": 1000000000}, {"sku": "NO-SUCH", "quantity": 1},
                 {"sku": sku}, {"sku": 7, "quantity": 1}):
        assert shopper.post("/v1/cart/items", item).status == 422, item
    assert quantities(shopper) == []


def test_a_cart_that_changed_meanwhile_is_412(shopper, sku):
    first = shopper.post("/v1/cart/items", {"sku": sku, "quantity": 1})
    shopper.post("/v1/cart/items", {"sku": sku, "quantity": 1})
    late = shopper.put(f"/v1/cart/items/{sku}", {"quantity": 9}, If_Match=first.headers["ETag"])
    assert late.status == 412
    assert quantities(shopper) == [(sku, 2)]


def test_an_older_price_does_not_come_back(bus, cart, shopper, sku):
    product = offer(bus, cart, f"OTHER-{sku}", price=700, version=5)
    eventually("it is known", lambda: shopper.post("/v1/cart/items", {"sku": f"OTHER-{sku}", "quantity": 1}).status == 200)
    offer(bus, cart, f"OTHER-{sku}", price=100, version=4, product_id=product)
    eventually("it is handled", lambda: bus.settled("catalog", "cart-catalog"))
    assert shopper.get("/v1/cart").json["items"][0]["unit_price"]["amount"] == 700


def test_an_order_takes_its_quantities_out_once(bus, shopper, account, sku):
    shopper.post("/v1/cart/items", {"sku": sku, "quantity": 5})
    order = new_id()
    for _ in range(2):  # sent again under another id
        bus.tell(f"orders.created.{order}", order_event("OrderCreated", order, account_id=account["account_id"],
                                                        lines=lines(sku, 2), shipping_address=ADDRESS))
    eventually("they are out", lambda: quantities(shopper) == [(sku, 3)])
    eventually("all is handled", lambda: bus.settled("orders", "cart-orders"))
    assert quantities(shopper) == [(sku, 3)]


def test_a_guests_cart_goes_into_the_accounts_at_log_in_once(bus, cart, shopper, account, sku):
    import hashlib
    token = cart.post("/v1/cart/items", {"sku": sku, "quantity": 2}).json["cart_token"]
    shopper.post("/v1/cart/items", {"sku": sku, "quantity": 1})
    opened = message("souk.sessions.v1.SessionOpened", account_id=account["account_id"], version=1, session_id=new_id(),
                     cart_token_hash=hashlib.sha256(token.encode()).hexdigest())
    for _ in range(2):
        bus.tell(f"sessions.opened.{account['account_id']}", opened)
    eventually("they are merged", lambda: quantities(shopper) == [(sku, 3)])
    eventually("all is handled", lambda: bus.settled("sessions", "cart-sessions"))
    assert quantities(shopper) == [(sku, 3)]
    assert quantities(cart, X_Cart_Token=token) == []


def test_the_level_of_a_sku_is_shown(bus, shopper, sku):
    shopper.post("/v1/cart/items", {"sku": sku, "quantity": 1})
    bus.tell(f"inventory.level.{sku}", message("souk.inventory.v1.StockLevel", sku=sku, version=2, on_hand=7, available=7))
    eventually("it is shown", lambda: shopper.get("/v1/cart").json["items"][0]["available"] == 7)


def test_a_valkey_that_was_emptied_is_healed_from_the_stream(bus, cart, stores, sku):
    stores.valkey().flushall()
    fresh = stores.log_in()
    eventually("the SKU is known again", lambda: cart.as_user(fresh).post(
        "/v1/cart/items", {"sku": sku, "quantity": 1}).status == 200, within=20)


def test_bytes_that_are_no_message_are_a_dead_letter(cart, bus):
    before = bus.dead_letters("orders", "cart-orders")
    bus.client.publish_acked("orders.created.x", b"\xff", {"ce-type": "souk.orders.v1.OrderCreated"})
    eventually("the dead letter", lambda: bus.dead_letters("orders", "cart-orders") == before + 1)
