"""catalog: what staff write is what everybody reads at once, and what others build their own lists from."""
import concurrent.futures
import contextlib

import pytest

from support.messages import message, new_id, subject_token
from support.stack import ROOT
from support.waiting import eventually

DATA = ROOT.parent / "shared" / "data"
HEADER = "Handle,Title,Published,Option1 Name,Option1 Value,Variant SKU,Variant Price,Variant Inventory Qty"
ACTIVE = 2
DELETED = 4


@pytest.fixture(scope="module")
def catalog(start_service):
    return start_service("catalog")


@pytest.fixture(scope="module")
def account(stores):
    return stores.log_in("staff")


@pytest.fixture(scope="module")
def staff(catalog, account):
    return catalog.as_user(account)


@pytest.fixture
def mark():
    """A word that only this test has in its names."""
    return f"t{new_id()[-12:]}"


def money(amount: int, currency: str = "GBP") -> dict:
    return {"amount": amount, "currency": currency}


def wanted(mark: str, price: int = 1000, **more) -> dict:
    return {"title": f"Lamp {mark}", "status": "active", "variants": [{"sku": mark, "price": money(price)}]} | more


def create(staff, mark: str, **more) -> dict:
    answer = staff.post("/v1/products", wanted(mark, **more))
    assert answer.status == 201, answer
    return answer.json


def post_csv(staff, data: bytes, **headers):
    return staff.call("POST", "/v1/products/import", data=data, Content_Type="text/csv", **headers)


def import_csv(staff, *lines: str, **headers) -> dict:
    answer = post_csv(staff, "\n".join(lines).encode(), **headers)
    assert answer.status == 200, answer
    return answer.json


def told_level(bus, sku: str, version: int, available: int) -> str:
    return bus.tell(f"inventory.level.{subject_token(sku)}", message(
        "souk.inventory.v1.StockLevel", sku=sku, version=version, on_hand=available, available=available))


# ---- staff write ----

def test_a_new_product_is_readable_published_and_audited(catalog, staff, bus, mark, account):
    with bus.listening("catalog.product.*") as heard, bus.listening("audit.user_actions.*") as audited:
        made = staff.post("/v1/products", wanted(mark, vendor="Acme", category="Home > Lamps", tags=["brass"]))
        assert (made.status, made.headers["Location"]) == (201, f"/v1/products/{made.json['id']}")
        told = heard("souk.catalog.v1.ProductChanged", product_id=made.json["id"])
        assert audited("souk.audit.v1.UserAction", action="product.created").account_id == account["account_id"]
    assert heard.message.subject == f"catalog.product.{made.json['id']}"
    assert (told.version, told.status, told.category) == (1, ACTIVE, "Home > Lamps")
    assert [(v.sku, v.price_minor, v.currency) for v in told.variants] == [(mark, 1000, "GBP")]
    for name in (made.json["id"], made.json["slug"]):
        assert catalog.get(f"/v1/products/{name}").json == made.json


def test_a_draft_is_for_staff_only(catalog, staff, stores, mark):
    draft = create(staff, mark, status="draft")
    customer = catalog.as_user(stores.log_in())
    assert staff.get(f"/v1/products/{draft['id']}").status == 200
    for client in (catalog, customer):
        assert client.get(f"/v1/products/{draft['id']}").status == 404
    assert catalog.get("/v1/products?status=draft").status == 401
    assert customer.get("/v1/products?status=draft").status == 403
    assert [p["id"] for p in staff.get(f"/v1/products?status=draft&q={mark}").json["items"]] == [draft["id"]]


def test_a_change_is_read_at_once_and_published_with_the_next_version(catalog, staff, bus, mark):
    product = create(staff, mark)
    assert catalog.get(f"/v1/products/{product['id']}").json["title"] == f"Lamp {mark}"  # now it is cached
    with bus.listening("catalog.product.*") as heard:
        assert staff.patch(f"/v1/products/{product['id']}", {"title": f"Torch {mark}"}).status == 200
        assert catalog.get(f"/v1/products/{product['id']}").json["title"] == f"Torch {mark}"
        assert catalog.get(f"/v1/products/{product['slug']}").json["title"] == f"Torch {mark}"
        told = heard("souk.catalog.v1.ProductChanged", product_id=product["id"], version=2)
    assert told.title == f"Torch {mark}"


def test_a_change_that_changes_nothing_is_not_published(staff, stores, mark):
    product = create(staff, mark)
    assert staff.patch(f"/v1/products/{product['id']}", {"title": f"Lamp {mark}"}).status == 200
    told = stores.rows("catalog", "SELECT count(*) FROM outbox WHERE subject = %s", f"catalog.product.{product['id']}")
    assert told == [(1,)]


def test_a_deleted_product_is_gone_published_and_its_names_are_free(catalog, staff, bus, mark):
    product = create(staff, mark)
    with bus.listening("catalog.product.*") as heard:
        assert staff.delete(f"/v1/products/{product['id']}").status == 204
        assert heard("souk.catalog.v1.ProductChanged", product_id=product["id"], status=DELETED).version == 2
    assert catalog.get(f"/v1/products/{product['id']}").status == 404
    assert staff.delete(f"/v1/products/{product['id']}").status == 404
    again = create(staff, mark)
    assert (again["slug"], again["id"] == product["id"]) == (product["slug"], False)


def test_if_match_stops_a_change_of_what_one_has_not_seen(staff, mark):
    product = staff.post("/v1/products", wanted(mark))
    path, seen = f"/v1/products/{product.json['id']}", product.headers["ETag"]
    assert staff.patch(path, {"vendor": "One"}, If_Match=seen).status == 200
    assert staff.patch(path, {"vendor": "Two"}, If_Match=seen).status == 412
    assert staff.delete(path, If_Match=seen).status == 412
    assert staff.patch(path, {"vendor": "Two"}, If_Match="*").status == 200


def test_of_changes_at_one_moment_one_is_of_what_was_seen(catalog, account, staff, mark):
    product = staff.post("/v1/products", wanted(mark))
    path, seen, clients = f"/v1/products/{product.json['id']}", product.headers["ETag"], range(6)
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda n: catalog.as_user(account).patch(
            path, {"vendor": f"Vendor {n}"}, If_Match=seen), clients))
    assert sorted(a.status for a in answers) == [200] + [412] * 5
    won = next(a for a in answers if a.status == 200)
    assert staff.get(path).json["vendor"] == won.json["vendor"]


def test_a_change_that_waited_for_another_does_not_undo_it(catalog, account, staff, mark, stores):
    """What it read before the wait would bring the old price back with the new vendor."""
    product = create(staff, mark)
    path, other = f"/v1/products/{product['id']}", stores.database("catalog")
    other.autocommit = False
    with contextlib.closing(other), concurrent.futures.ThreadPoolExecutor(1) as pool, other.cursor() as cursor:
        cursor.execute("UPDATE product SET version = version + 1 WHERE id = %s", (product["id"],))
        cursor.execute("UPDATE variant SET price_minor = 777 WHERE product_id = %s", (product["id"],))
        waiting = pool.submit(lambda: catalog.as_user(account).patch(path, {"vendor": "Later"}))
        eventually("it waits for the row", lambda: stores.rows(
            "catalog", "SELECT 1 FROM pg_stat_activity WHERE usename = 'souk_catalog' AND wait_event_type = 'Lock'"))
        other.commit()
        changed = waiting.result()
    assert changed.status == 200, changed
    assert (changed.json["vendor"], changed.json["variants"][0]["price"]["amount"]) == ("Later", 777)


def deadlocks(stores) -> int:
    return (stores.folder / "log" / "postgres.log").read_text(errors="replace").count("deadlock detected")


def test_a_deadlock_with_somebody_else_is_not_the_users_affair(start_service, catalog, account, staff, mark, stores):
    """An operator at the database locks the two products of an import the other way round, and the import is the one
    that PostgreSQL gives up: it runs again, and nobody is told."""
    first, second = (create(staff, f"{mark}-{n}")["slug"] for n in "ab")  # an import locks the older one first
    lines = (HEADER, *(f"{slug},Lamp,true,Size,One,{slug},4.00,1" for slug in (first, second)))
    lock = "SELECT 1 FROM product WHERE slug = %s FOR UPDATE"

    def cross(service) -> bool:
        """Whether there was a deadlock and the import was done all the same. On a slow machine there may be none."""
        before, operator = deadlocks(stores), stores.database("catalog")
        operator.autocommit = False
        with contextlib.closing(operator), operator.cursor() as cursor, concurrent.futures.ThreadPoolExecutor(1) as pool:
            cursor.execute("SET deadlock_timeout = '1h'")  # it is not the operator who gives up
            cursor.execute(lock, (second,))
            importing = pool.submit(post_csv, service, "\n".join(lines).encode())
            eventually("the import waits, or has waited too long", lambda: importing.done() or stores.rows(
                "catalog", "SELECT 1 FROM pg_stat_activity WHERE usename = 'souk_catalog' AND wait_event_type = 'Lock'"))
            cursor.execute(lock, (first,))  # comes when the import has let go
            operator.commit()
            return importing.result().status == 200 and deadlocks(stores) > before

    stores.rows("catalog", "ALTER ROLE souk_catalog SET deadlock_timeout = '2s'")
    try:
        service = start_service("catalog").as_user(account)  # its connections are new
        eventually("a deadlock that nobody was told of", lambda: cross(service), within=30)
    finally:
        stores.rows("catalog", "ALTER ROLE souk_catalog RESET deadlock_timeout")


@pytest.mark.parametrize("change, pointer", [
    ({"title": ""}, "/title"), ({"title": 5}, "/title"), ({"title": "x" * 256}, "/title"),
    ({"slug": "No Slug"}, "/slug"), ({"status": "sold"}, "/status"), ({"tags": "brass"}, "/tags"),
    ({"tags": [""]}, "/tags/0"), ({"images": [{"src": "javascript:alert(1)"}]}, "/images/0/src"),
    ({"variants": []}, "/variants"), ({"variants": [{}]}, "/variants/0/price"),
    ({"variants": [{"price": money(-1)}]}, "/variants/0/price/amount"),
    ({"variants": [{"price": money(1, "EUR")}]}, "/variants/0/price/currency"),
    ({"variants": [{"price": {"amount": 1.5, "currency": "GBP"}}]}, "/variants/0/price/amount"),
    ({"variants": [{"price": money(1), "initial_quantity": 10 ** 10}]}, "/variants/0/initial_quantity"),
    ({"variants": [{"sku": "A", "price": money(1)}, {"sku": "B", "price": money(1)}]}, "/variants/1/options"),
])
def test_a_wrong_product_is_told_what_is_wrong(staff, mark, change, pointer):
    answer = staff.post("/v1/products", wanted(mark) | change)
    assert answer.status == 422, answer
    assert pointer in [e["pointer"] for e in answer.json["errors"]], answer


@pytest.mark.parametrize("data", [b"", b"{", b"\xff", b'{"title":"a","title":"b"}'])
def test_what_is_no_json_is_400(staff, data):
    answer = staff.call("POST", "/v1/products", data=data, Content_Type="application/json")
    assert (answer.status, answer.json["code"]) == (400, "malformed_json"), answer


def test_names_that_are_taken_are_409(staff, mark):
    product = create(staff, mark)
    assert staff.post("/v1/products", wanted(f"{mark}b", slug=product["slug"])).json["code"] == "slug_taken"
    assert staff.post("/v1/products", wanted(mark, title=f"Other {mark}")).json["code"] == "sku_taken"


def test_writing_is_for_staff(catalog, stores, mark):
    customer = catalog.as_user(stores.log_in())
    assert catalog.post("/v1/products", wanted(mark)).status == 401
    assert customer.post("/v1/products", wanted(mark)).status == 403
    assert customer.delete(f"/v1/products/{new_id()}").status == 403


def test_a_write_by_cookie_must_come_from_the_shops_own_pages(catalog, account, mark):
    cookie = f"souk_session={account['token']}"
    for foreign in ({}, {"Origin": "https://evil.example"}, {"Sec_Fetch_Site": "same-site"}):
        answer = catalog.post("/v1/products", wanted(mark), Cookie=cookie, **foreign)
        assert (answer.status, answer.json["code"]) == (403, "csrf")
    assert catalog.post("/v1/products", wanted(mark), Cookie=cookie, X_Souk_CSRF="1").status == 201


def test_requests_with_one_key_at_one_moment_are_one_product(catalog, staff, account, mark, stores):
    key, clients = new_id(), [catalog.as_user(account) for _ in range(6)]
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda c: c.post("/v1/products", wanted(mark), Idempotency_Key=key), clients))
    assert {a.status for a in answers} == {201}
    assert len({a.bytes for a in answers}) == 1
    assert sorted(a.headers.get("Idempotent-Replayed", "") for a in answers) == [""] + ["true"] * 5
    assert stores.rows("catalog", "SELECT count(*) FROM variant WHERE sku = %s", mark) == [(1,)]
    assert staff.post("/v1/products", wanted(mark, 5), Idempotency_Key=key).json["code"] == "idempotency_key_reused"


# ---- everybody reads ----

@pytest.mark.parametrize("sort, order", [("newest", "cab"), ("title", "abc"), ("price", "bca"), ("-price", "acb")])
def test_a_list_in_each_order_has_every_product_once(catalog, staff, mark, sort, order):
    for title, price in (("b", 100), ("a", 300), ("c", 200)):
        create(staff, f"{mark}-{title}", title=title, category=mark, slug=f"{mark}-{title}",
               variants=[{"sku": f"{mark}-{title}", "price": money(price)}])
    titles, cursor = "", ""
    while cursor is not None:
        page = catalog.get(f"/v1/products?category={mark}&sort={sort}&limit=1{cursor and '&cursor=' + cursor}").json
        titles += "".join(p["title"] for p in page["items"])
        cursor = page["next_cursor"]
        assert len(titles) < 5
    assert titles == order


def test_a_search_finds_words_and_a_category_what_is_below_it(catalog, staff, mark):
    lamp = create(staff, f"{mark}-1", title=f"Brass lamps {mark}", category=f"{mark} > Lamps")
    create(staff, f"{mark}-2", title=f"Broken brass lamp {mark}", category=f"{mark} Two")

    def found(query: str) -> list[str]:
        return [p["id"] for p in catalog.get(f"/v1/products?{query}").json["items"]]

    assert found(f"q={mark}+lamp+-broken") == [lamp["id"]]
    assert found(f"category={mark}") == [lamp["id"]]
    assert found(f"q={mark}+'); DROP TABLE product; --") == []
    assert {"name": f"{mark} > Lamps", "products": 1} in catalog.get("/v1/categories").json["items"]


@pytest.mark.parametrize("query", ["sort=best", "limit=0", "limit=101", "limit=x", "cursor=%21", "status=sold",
                                   "q=" + "x" * 201])
def test_a_wrong_query_is_422(staff, query):
    assert staff.get(f"/v1/products?{query}").status == 422


def test_a_cursor_of_another_order_is_422(catalog, staff, mark):
    for number in range(2):
        create(staff, f"{mark}-{number}", category=mark)
    cursor = catalog.get(f"/v1/products?category={mark}&limit=1").json["next_cursor"]
    assert catalog.get(f"/v1/products?category={mark}&sort=price&cursor={cursor}").status == 422


def test_what_did_not_change_is_304(catalog, staff, mark):
    product = create(staff, mark, category=mark)
    for path in (f"/v1/products/{product['id']}", f"/v1/products?category={mark}", "/v1/categories"):
        seen = catalog.get(path).headers["ETag"]
        assert catalog.get(path, If_None_Match=seen).status == 304
        assert catalog.get(path, If_None_Match='"other"').status == 200
    seen = catalog.get(f"/v1/products?category={mark}").headers["ETag"]
    staff.patch(f"/v1/products/{product['id']}", {"vendor": "Acme"})
    assert catalog.get(f"/v1/products?category={mark}", If_None_Match=seen).status == 200


def test_a_level_of_stock_is_shown_and_an_older_one_is_not(catalog, staff, bus, stores, mark):
    product = staff.post("/v1/products", wanted(mark))
    path = f"/v1/products/{product.json['id']}"
    assert catalog.get(path).json["variants"][0]["available"] == 0
    told_level(bus, mark, 2, 7)
    eventually("it is shown", lambda: catalog.get(path).json["variants"][0]["available"] == 7)
    late = told_level(bus, mark, 1, 99)
    eventually("the late one is handled", lambda: stores.handled("catalog", late))
    assert catalog.get(path).json["variants"][0]["available"] == 7
    assert staff.patch(path, {"vendor": "A"}, If_Match=product.headers["ETag"]).status == 200  # a sale is no change


def test_bytes_that_are_no_message_are_a_dead_letter(catalog, bus):
    before = bus.dead_letters("inventory", "catalog-levels")
    for data in (b"\xff\xff", b""):
        headers = {"ce-id": new_id(), "ce-type": "souk.inventory.v1.StockLevel"}
        bus.client.publish_acked("inventory.level.X", data, headers)
    eventually("two dead letters", lambda: bus.dead_letters("inventory", "catalog-levels") == before + 2)


# ---- imports ----

@pytest.mark.skipif(not DATA.exists(), reason="../shared/data is not here")
@pytest.mark.parametrize("name, variants", [("shopify-apparel.csv", 22), ("shopify-jewelery.csv", 23)])
def test_a_shops_own_export_is_imported_whole_and_only_once(catalog, staff, bus, name, variants):
    text = (DATA / name).read_text(encoding="utf-8")
    with bus.listening("catalog.product.*") as heard:
        report = import_csv(staff, text)
        assert (report["products_created"], report["variants"], report["errors"]) == (20, variants, 0)
        eventually("all are told", lambda: heard.count("souk.catalog.v1.ProductChanged") == 20)
        again = import_csv(staff, text)
        assert (again["products_created"], again["products_updated"], again["products_unchanged"]) == (0, 0, 20)
        marker = create(staff, new_id())
        heard("souk.catalog.v1.ProductChanged", product_id=marker["id"])
        assert heard.count("souk.catalog.v1.ProductChanged") == 21
    for line in report["lines"]:
        assert catalog.get(f"/v1/products/{line['handle']}").status == 200


def test_a_bad_line_is_rejected_alone_with_its_reason(catalog, staff, mark):
    report = import_csv(
        staff, HEADER,
        f"{mark}-good,Good,true,,,{mark}-1,2.50,3",
        f"{mark}-free,No price,true,,,{mark}-2,,3",
        f'{mark}-quote,"Broken "quote,true,,,{mark}-3,1,3',
        f'{mark}-open,"Never closed,true,,,{mark}-4,1,3',
        f"{mark}-minus,Minus,true,,,{mark}-5,-1,3",
        f"{mark}-twice,Twice,true,,,{mark}-1,1,3",
        f"{mark}-nine,Nine,true,,,{mark}-7,9.999,3",
        f"{mark}-bare,,true,,,{mark}-8,1,3",
        f'{mark}-last,"Last, with ""quotes""",true,,,{mark}-9,3,')
    status = {line["line"]: line["status"] for line in report["lines"]}
    assert status == {2: "imported", 10: "imported"} | {line: "rejected" for line in range(3, 10)}, report
    assert all(bool(line["detail"]) == (line["status"] == "rejected") for line in report["lines"])
    good = catalog.get(f"/v1/products/{mark}-good").json["variants"][0]
    assert (good["sku"], good["price"]) == (f"{mark}-1", money(250))
    assert catalog.get(f"/v1/products/{mark}-last").json["title"] == 'Last, with "quotes"'
    for gone in ("free", "quote", "open", "minus", "twice", "bare"):
        assert catalog.get(f"/v1/products/{mark}-{gone}").status == 404


def test_a_bad_line_takes_no_variant_off_sale(catalog, staff, mark):
    small, large = f"{mark},Shirt,true,Size,Small,{mark}-s,5,1", f"{mark},,,,Large,{mark}-l,6,1"
    import_csv(staff, HEADER, small, large)

    def skus() -> list[str]:
        return [v["sku"] for v in catalog.get(f"/v1/products/{mark}").json["variants"]]

    import_csv(staff, HEADER, small, f"{mark},,,,Large,{mark}-l,none,1")
    assert skus() == [f"{mark}-s", f"{mark}-l"]
    import_csv(staff, HEADER, small)
    assert skus() == [f"{mark}-s"]


def test_an_import_with_its_key_again_is_its_first_report(staff, mark):
    key, line = new_id(), f"{mark},Shirt,true,,,{mark},5,1"
    first, again = (import_csv(staff, HEADER, line, Idempotency_Key=key) for _ in range(2))
    assert first == again and first["products_created"] == 1


@pytest.mark.parametrize("data", [b"", b"Handle,Title\na,b\n", b'"Handle,Title,Variant Price', b"\xff\xfe\x00"])
def test_what_is_no_product_file_is_422(staff, data):
    answer = post_csv(staff, data)
    assert (answer.status, answer.json["code"]) == (422, "invalid_csv"), answer


def test_a_file_over_8_mib_is_413(staff):
    assert post_csv(staff, b"x" * (8 * 1024 * 1024 + 1)).status == 413


# ---- the cache ----

def test_what_was_read_is_kept_for_an_hour_and_dropped_at_a_change(catalog, staff, stores, mark):
    product, valkey = create(staff, mark), stores.valkey()
    keys = [f"product:{product['id']}", f"product:slug:{product['slug']}"]
    for name in (product["id"], product["slug"]):
        catalog.get(f"/v1/products/{name}")
    assert all(3500 < valkey.ttl(key) <= 3600 for key in keys)
    staff.patch(f"/v1/products/{product['id']}", {"vendor": "Acme"})
    assert valkey.exists(*keys) == 0


def test_a_new_product_is_in_a_list_that_was_cached(catalog, staff, stores, mark):
    for count in range(3):
        assert len(catalog.get(f"/v1/products?category={mark}").json["items"]) == count
        create(staff, f"{mark}-{count}", category=mark)
    kept = list(stores.valkey().scan_iter("products:*"))
    assert all(0 < stores.valkey().ttl(key) <= 7200 for key in kept)


@pytest.mark.parametrize("lock, stored", [("mine", 1), ("another's", 0), (None, 0)])
def test_a_loader_that_lost_its_lock_to_a_change_keeps_nothing(catalog, stores, mark, lock, stored):
    valkey, entry, lock_key = stores.valkey(), f"product:{mark}", f"lock:catalog:product:{mark}"
    if lock:
        valkey.set(lock_key, lock, ex=10)
    assert valkey.execute_command("FCALL", "catalog_fill", 2, entry, lock_key, "mine", "what was read before", 60000) == stored
    assert valkey.exists(entry) == stored
    assert valkey.get(lock_key) == (None if stored else lock)


def test_readers_during_changes_never_see_an_older_title_than_before(catalog, staff, mark):
    path = f"/v1/products/{create(staff, mark, title='0')['id']}"

    def read(_) -> bool:
        client, last = catalog.as_user(None), 0
        for _ in range(40):
            title = int(client.get(path).json["title"])
            if title < last:
                return False
            last = title
        return True

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        readers = [pool.submit(read, number) for number in range(4)]
        for number in range(1, 16):
            staff.patch(path, {"title": str(number)})
            assert catalog.get(path).json["title"] == str(number)
        assert all(reader.result() for reader in readers)


def test_without_valkey_everybody_reads_and_what_changed_is_not_forgotten(catalog, staff, bus, stores, mark):
    product = create(staff, mark)
    path = f"/v1/products/{product['id']}"
    assert catalog.get(path).json["variants"][0]["available"] == 0  # which Valkey keeps over its restart
    with stores.without("valkey"):
        assert catalog.get(path).json["title"] == f"Lamp {mark}"
        assert catalog.get(f"/v1/products?q={mark}").json["items"][0]["id"] == product["id"]
        assert staff.get("/v1/products?status=draft").status == 503  # who asks cannot be known: never 401
        told = told_level(bus, mark, 1, 5)
        eventually("the level is handled", lambda: stores.handled("catalog", told))
        assert catalog.get(path).json["variants"][0]["available"] == 5
    eventually("staff are known again", lambda: staff.get("/v1/products?status=draft").status == 200)

    def kept() -> bool:
        catalog.get(path)
        return '"available":5' in stores.valkey().get(f"product:{product['id']}")

    eventually("the new answer is kept in place of the old one", kept)
    assert catalog.get(path).json["variants"][0]["available"] == 5


def test_without_postgresql_what_is_cached_is_read_and_the_rest_is_503(catalog, staff, stores, mark):
    cached, other = create(staff, mark), create(staff, f"{mark}-other", title=f"Other {mark}")
    catalog.get(f"/v1/products/{cached['id']}")
    with stores.without("postgres"):
        assert catalog.get(f"/v1/products/{cached['id']}").json["id"] == cached["id"]
        refused = catalog.get(f"/v1/products/{other['id']}")
        assert (refused.status, int(refused.headers["Retry-After"]) > 0) == (503, True)
    eventually("it reads again", lambda: catalog.get(f"/v1/products/{other['id']}").status == 200)
