"""Bad input gets a clear error and nothing changes: what users and their programs get wrong."""

import pytest

from support.messages import new_id
from support.stack import Client
from support.waiting import eventually


@pytest.fixture(scope="module")
def anyone(shop):
    return Client(shop.gateway)


@pytest.fixture(scope="module")
def admin(anyone):
    return anyone.as_user(anyone.post("/v1/sessions", {"email": "admin@souk.localhost",
                                                       "password": "souk-admin"}).json)


@pytest.fixture(scope="module")
def sku(anyone):
    """A SKU of the demo catalogue that the cart knows."""
    eventually("the cart knows it", lambda: anyone.post(
        "/v1/cart/items", {"sku": "SPI-RAS-100", "quantity": 1}).status == 200)
    return "SPI-RAS-100"


def import_csv(admin, text: str):
    return admin.call("POST", "/v1/products/import", data=text.encode(), **{"Content-Type": "text/csv"})


@pytest.mark.parametrize("body, code", [
    (b"", "malformed_json"), (b"{", "malformed_json"), (b'{"sku":"A","sku":"B","quantity":1}', "malformed_json"),
    (b'{"sku":"A\\u0000","quantity":1}', "malformed_json"), (b"\xff", "malformed_json"),
    (b"[" * 40 + b"]" * 40, "malformed_json"),
])
def test_what_is_no_json_is_400(anyone, body, code):
    answer = anyone.call("POST", "/v1/cart/items", data=body, **{"Content-Type": "application/json"})
    assert (answer.status, answer.json["code"]) == (400, code), answer


@pytest.mark.parametrize("item, pointer", [
    ({"sku": "SPI-RAS-100", "quantity": 0}, "/quantity"),
    ({"sku": "SPI-RAS-100", "quantity": 1000000000}, "/quantity"),
    ({"sku": "SPI-RAS-100", "quantity": 1.5}, "/quantity"),
    ({"sku": "SPI-RAS-100", "quantity": "1"}, "/quantity"),
    ({"sku": 5, "quantity": 1}, "/sku"),
    ({"sku": "", "quantity": 1}, "/sku"),
    ({"quantity": 1}, "/sku"),
    ({"sku": "NO-SUCH-SKU", "quantity": 1}, "/sku"),
])
def test_a_wrong_item_is_422_with_its_pointer(anyone, sku, item, pointer):
    answer = anyone.post("/v1/cart/items", item)
    assert answer.status == 422, answer
    assert pointer in [e["pointer"] for e in answer.json["errors"]]


def test_a_cart_has_a_hundred_lines_and_no_more(anyone, admin):
    # Given a product with 101 variants,
    handle = f"many-{new_id()[-12:]}"
    lines = ["Handle,Title,Published,Option1 Name,Option1 Value,Variant SKU,Variant Price"]
    lines += [f"{handle},{'Many' if n == 0 else ''},{'true' if n == 0 else ''},{'No' if n == 0 else ''},{n},"
              f"{handle}-{n},1.00" for n in range(101)]
    assert import_csv(admin, "\n".join(lines)).json["variants"] == 101
    first = eventually("the cart knows the last of them", lambda: (lambda a: a if a.status == 200 else None)(
        anyone.post("/v1/cart/items", {"sku": f"{handle}-100", "quantity": 1})))
    token = first.json["cart_token"]
    # when each goes into one cart,
    for number in range(99):
        assert anyone.post("/v1/cart/items", {"sku": f"{handle}-{number}", "quantity": 1},
                           X_Cart_Token=token).status == 200
    # then the 101st line is refused, and the hundred stay.
    full = anyone.post("/v1/cart/items", {"sku": f"{handle}-99", "quantity": 1}, X_Cart_Token=token)
    assert (full.status, full.json["code"]) == (422, "cart_full")
    assert len(anyone.get("/v1/cart", X_Cart_Token=token).json["items"]) == 100
    assert anyone.post("/v1/cart/items", {"sku": f"{handle}-5", "quantity": 1}, X_Cart_Token=token).status == 200


def test_an_import_reports_each_line_and_keeps_the_good_ones(anyone, admin):
    mark = new_id()[-12:]
    report = import_csv(admin, "\n".join([
        "Handle,Title,Published,Variant SKU,Variant Price",
        f"good-{mark},Good,true,G-{mark},2.50",
        f"no-price-{mark},No price,true,N-{mark},",
        f'quotes-{mark},"Broken "quotes",true,Q-{mark},1.00',
        f"open-{mark},\"never closed,true,O-{mark},1.00",
        f"minus-{mark},Minus,true,M-{mark},-1",
        f"last-{mark},Last,true,L-{mark},3.00", ""]))
    assert report.status == 200, report
    by_line = {line["line"]: line["status"] for line in report.json["lines"]}
    assert by_line == {2: "imported", 3: "rejected", 4: "rejected", 5: "rejected", 6: "rejected", 7: "imported"}
    assert all(line["detail"] for line in report.json["lines"] if line["status"] == "rejected")
    for handle, status in (("good", 200), ("last", 200), ("no-price", 404), ("minus", 404)):
        assert anyone.get(f"/v1/products/{handle}-{mark}").status == status, handle


def test_a_real_export_is_imported_whole(admin):
    from support.stack import ROOT
    folder = ROOT.parent / "shared" / "data"
    if not folder.exists():
        pytest.skip("../shared/data is not here")
    for name, variants in (("shopify-apparel.csv", 22), ("shopify-jewelery.csv", 23)):
        report = import_csv(admin, (folder / name).read_text())
        assert report.json["products_created"] + report.json["products_updated"] == 20
        assert report.json["variants"] == variants
        again = import_csv(admin, (folder / name).read_text())
        assert again.json["products_created"] == 0


def test_a_body_over_the_limit_is_413(anyone):
    large = (b'{"sku":"' + b"A" * 70000 + b'","quantity":1}')
    answer = anyone.call("POST", "/v1/cart/items", data=large, **{"Content-Type": "application/json"})
    assert answer.status == 413, answer


def test_what_is_not_for_customers_is_refused(anyone, shop):
    assert anyone.post("/v1/products", {"title": "x"}).status == 401
    customer = anyone.as_user(shop.log_in("customer"))
    assert customer.post("/v1/products", {"title": "x"}).status == 403
    assert customer.get("/v1/audit").status == 403
    assert customer.get("/v1/analytics/sales").status == 403
    assert anyone.as_user({"token": "no-such-token"}).get("/v1/orders").status == 401


def test_no_secret_is_in_the_logs(shop, anyone):
    session = anyone.post("/v1/sessions", {"email": "admin@souk.localhost", "password": "souk-admin"}).json
    anyone.as_user(session).get("/v1/accounts/me")
    secrets = [session["token"], "souk-admin"] + [shop.secret(owner, f"{store}.password") for owner in (
        "admin", "order", "session") for store in ("postgres", "valkey", "nats")]
    for log in (shop.folder / "log").glob("*.log"):
        text = log.read_text(errors="replace")
        for secret in secrets:
            assert secret not in text, f"{log.name} holds a secret"
