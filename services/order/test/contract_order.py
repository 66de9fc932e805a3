"""order: accepted once, at the price list's prices, and shown to nobody else."""
import concurrent.futures
import hashlib

import pytest

from ordering import body, place, pounds, reaches, read, reserve, try_to_place
from support.events import ADDRESS, product_changed
from support.messages import new_id
from support.waiting import eventually

ARCHIVED = 3


# ---- the price list ----

def test_the_newest_version_of_a_product_makes_the_price(shopper, sell):
    product = new_id()
    sku = sell(product_id=product, price=500, version=1)
    sell(sku, product_id=product, price=700, version=3, title="Lamp, improved")
    sell(sku, product_id=product, price=600, version=2)  # came late
    made = place(shopper, sku)
    assert (made["total"], made["items"][0]["unit_price"]) == (pounds(1400), pounds(700))
    assert made["items"][0]["title"] == "Lamp, improved"


def test_what_the_catalogue_does_not_sell_any_more_cannot_be_ordered(shopper, sell):
    product = new_id()
    first = sell(product_id=product, version=1)
    second = sell(product_id=product, version=2)  # the product has this variant only, now
    assert try_to_place(shopper, body(first)).json["code"] == "unknown_sku"
    sell(second, product_id=product, version=3, status=ARCHIVED)
    assert try_to_place(shopper, body(second)).json["code"] == "unknown_sku"


def test_an_order_keeps_its_price_when_the_list_changes(shopper, sell):
    product = new_id()
    sku = sell(product_id=product, price=500, version=1)
    made = place(shopper, sku)
    sell(sku, product_id=product, price=900, version=2)
    assert read(shopper, made["id"])["total"] == pounds(1000)


# ---- placing ----

def test_an_accepted_order_says_where_it_is_and_tells_what_was_ordered(bus, shopper, account, sku, stores):
    trace = f"00-{new_id().replace('-', '')}-00f067aa0ba902b7-01"
    with bus.listening("orders.created.*") as heard:
        answer = try_to_place(shopper, body(sku, email="other@example.org"), traceparent=trace)
        created = heard("souk.orders.v1.OrderCreated", order_id=answer.json["id"])
    made = answer.json
    assert answer.headers["Location"] == f"/v1/orders/{made['id']}"
    assert "access_token" not in made
    assert read(shopper, made["id"]) == made
    assert (created.version, created.number, created.account_id) == (1, made["number"], account["account_id"])
    assert (created.total_minor, created.lines[0].sku, created.lines[0].quantity) == (1000, sku, 2)
    assert created.email == made["email"] == account["email"], "who is logged in is written to at no other address"
    assert heard.message.headers["traceparent"][3:35] == trace[3:35]


def test_a_guest_has_the_order_by_its_token_only(bus, order, sku):
    with bus.listening("orders.created.*") as heard:
        answer = try_to_place(order, body(sku, email="guest@example.org"), X_Cart_Token="a-guests-cart")
        created = heard("souk.orders.v1.OrderCreated", order_id=answer.json["id"])
    made = answer.json
    assert (created.account_id, created.email) == ("", "guest@example.org")
    assert created.cart_token_hash == hashlib.sha256(b"a-guests-cart").hexdigest()
    path = f"/v1/orders/{made['id']}"
    assert order.get(f"{path}?access_token={made['access_token']}").json == {
        name: value for name, value in made.items() if name != "access_token"}
    assert [order.get(path).status, order.get(f"{path}?access_token=x").status] == [404, 404]
    assert order.post(f"{path}/cancel").status == 404
    assert order.post(f"{path}/cancel?access_token={made['access_token']}").json["status"] == "cancelled"


def test_the_same_sku_twice_is_one_line(shopper, sku):
    answer = try_to_place(shopper, body(sku) | {"items": [{"sku": sku, "quantity": 1}, {"sku": sku, "quantity": 3}]})
    assert [(i["sku"], i["quantity"], i["line_total"]) for i in answer.json["items"]] == [(sku, 4, pounds(2000))]


def test_a_price_that_changed_is_told_and_nothing_is_ordered(shopper, sku, stores):
    before = stores.rows("order", "SELECT count(*) FROM customer_order")
    answer = try_to_place(shopper, body(sku, expected_total=pounds(999)))
    assert (answer.status, answer.json["code"]) == (409, "price_changed")
    assert stores.rows("order", "SELECT count(*) FROM customer_order") == before
    assert place(shopper, sku, expected_total=pounds(1000))["status"] == "pending"


@pytest.mark.parametrize("change, pointers", [
    ({"items": []}, ["/items"]),
    ({"items": [{"sku": "A", "quantity": 1}] * 1001}, ["/items"]),
    ({"items": [{"sku": "A", "quantity": 0}, {"quantity": 1}]}, ["/items/0/quantity", "/items/1/sku"]),
    ({"items": [{"sku": "A", "quantity": -1}]}, ["/items/0/quantity"]),
    ({"items": [{"sku": "A", "quantity": 1000000000}]}, ["/items/0/quantity"]),
    ({"items": [{"sku": "A", "quantity": 1.5}]}, ["/items/0/quantity"]),
    ({"items": [{"sku": "A", "quantity": 60000}] * 2}, ["/items/0/quantity"]),
    ({"items": [{"sku": "NO-SUCH", "quantity": 1}]}, ["/items/0/sku"]),
    ({"shipping_address": ADDRESS | {"country": "XX"}}, ["/shipping_address/country"]),
    ({"shipping_address": ADDRESS | {"country": "gb"}}, ["/shipping_address/country"]),
    ({"shipping_address": {"country": "GB"}},
     [f"/shipping_address/{name}" for name in ("name", "line1", "city", "postal_code")]),
    ({"shipping_address": None}, ["/shipping_address", *(
        f"/shipping_address/{name}" for name in ("name", "line1", "city", "country", "postal_code"))]),
    ({"payment": {"provider": "none", "token": "t"}}, ["/payment/provider"]),
    ({"payment": {"provider": "test"}}, ["/payment/token"]),
    ({"expected_total": {"amount": "1", "currency": "GBP"}}, ["/expected_total/amount"]),
])
def test_a_wrong_order_is_told_all_that_is_wrong(shopper, sku, change, pointers):
    answer = try_to_place(shopper, body(sku) | change)
    assert answer.status == 422, answer
    assert sorted(e["pointer"] for e in answer.json["errors"]) == sorted(pointers)


def test_a_guest_has_to_say_an_address_for_mail(order, sku):
    assert [e["pointer"] for e in try_to_place(order, body(sku)).json["errors"]] == ["/email"]


def test_an_order_has_one_currency(bus, shopper, sku, stores):
    name = f"SKU-{new_id()[-12:]}"
    product = product_changed(name)
    product.variants[0].currency = "EUR"
    told = bus.tell(f"catalog.product.{product.product_id}", product)
    eventually("it has a price", lambda: stores.handled("order", told))
    answer = try_to_place(shopper, body(sku) | {"items": [{"sku": s, "quantity": 1} for s in (sku, name)]})
    assert (answer.status, answer.json["code"]) == (422, "mixed_currencies")


@pytest.mark.parametrize("data, status", [(b"{", 400), (b"", 400), (b'{"items":"' + b"x" * 300_000 + b'"}', 413)])
def test_what_is_no_json_or_too_long_is_refused(shopper, data, status):
    answer = shopper.call("POST", "/v1/orders", data=data, Content_Type="application/json", Idempotency_Key=new_id())
    assert answer.status == status, answer


# ---- Idempotency-Key ----

def test_a_request_said_again_has_the_first_answer(shopper, sku):
    key = new_id()
    first = shopper.post("/v1/orders", body(sku), Idempotency_Key=key)
    again = shopper.post("/v1/orders", body(sku), Idempotency_Key=key)
    assert (again.status, again.json, again.headers["Location"]) == (201, first.json, first.headers["Location"])
    assert again.headers["Idempotent-Replayed"] == "true"
    other = shopper.post("/v1/orders", body(sku, 3), Idempotency_Key=key)
    assert (other.status, other.json["code"]) == (422, "idempotency_key_reused")


def test_one_key_of_two_shoppers_is_two_orders(order, stores, shopper, sku):
    key = new_id()
    other = order.as_user(stores.log_in())
    first, second = (who.post("/v1/orders", body(sku), Idempotency_Key=key) for who in (shopper, other))
    assert (first.status, second.status) == (201, 201)
    assert first.json["id"] != second.json["id"]


@pytest.mark.parametrize("headers, status", [({}, 400), ({"Idempotency_Key": "k" * 256}, 422)])
def test_an_order_needs_a_key_of_a_sane_length(shopper, sku, headers, status):
    assert shopper.post("/v1/orders", body(sku), **headers).status == status


def test_two_requests_with_one_key_at_one_moment_are_one_order(order, sku, stores):
    key, wanted, account = new_id(), body(sku), stores.log_in()
    clients = [order.as_user(account) for _ in range(8)]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda c: c.post("/v1/orders", wanted, Idempotency_Key=key), clients))
    assert {a.status for a in answers} == {201}
    assert len({a.json["id"] for a in answers}) == 1
    assert len(order.as_user(account).get("/v1/orders").json["items"]) == 1


# ---- reading ----

def test_anothers_order_is_404_and_lists_are_ones_own(order, stores, shopper, staff, account, sku):
    made = place(shopper, sku)
    other = order.as_user(stores.log_in())
    assert other.get(f"/v1/orders/{made['id']}").status == 404
    assert other.post(f"/v1/orders/{made['id']}/cancel").status == 404
    assert other.get(f"/v1/orders?account_id={account['account_id']}").json["items"] == []
    assert order.get("/v1/orders").status == 401
    found = staff.get(f"/v1/orders?status=pending&account_id={account['account_id']}").json["items"]
    assert found[0] == made, "the newest first"
    assert read(staff, made["id"]) == made


def test_a_list_is_read_page_by_page(order, stores, sku):
    client = order.as_user(stores.log_in())
    made = [place(client, sku)["id"] for _ in range(3)]
    first = client.get("/v1/orders?limit=2").json
    second = client.get(f"/v1/orders?limit=2&cursor={first['next_cursor']}").json
    assert [o["id"] for o in first["items"] + second["items"]] == made[::-1]
    assert second["next_cursor"] is None


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "cursor=x", "status=lost"])
def test_a_wrong_query_is_422(shopper, query):
    assert shopper.get(f"/v1/orders?{query}").status == 422


def test_an_order_that_did_not_change_is_304(bus, shopper, sku):
    made = place(shopper, sku)
    first = shopper.get(f"/v1/orders/{made['id']}")
    assert shopper.get(f"/v1/orders/{made['id']}", If_None_Match=first.headers["ETag"]).status == 304
    reserve(bus, made["id"])
    reaches(shopper, made["id"], "reserved")
    again = shopper.get(f"/v1/orders/{made['id']}", If_None_Match=first.headers["ETag"])
    assert (again.status, again.json["status"]) == (200, "reserved")
    stale = shopper.post(f"/v1/orders/{made['id']}/cancel", If_Match=first.headers["ETag"])
    assert (stale.status, read(shopper, made["id"])["status"]) == (412, "reserved")
