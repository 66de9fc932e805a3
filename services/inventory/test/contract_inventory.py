"""inventory: all lines or none, once an order, and a ledger that adds up."""
import pytest

from support.events import ADDRESS, lines, order_event, product_changed
from support.messages import message_class, new_id, subject_token
from support.waiting import eventually


@pytest.fixture(scope="module")
def inventory(start_service):
    return start_service("inventory")


@pytest.fixture(scope="module")
def staff(inventory, stores):
    return inventory.as_user(stores.log_in("staff"))


@pytest.fixture(scope="module")
def stocked(bus, inventory, stores):
    """stocked(quantity=0, name="A/1"): a SKU with so many pieces, 10 where nothing is said."""
    def put(name: str | None = None, **fields) -> str:
        name = name or f"SKU-{new_id()[-12:]}"
        event = product_changed(name, **fields)
        event_id = bus.tell(f"catalog.product.{event.product_id}", event)
        eventually("it is known", lambda: stores.handled("inventory", event_id))
        return name

    return put


@pytest.fixture
def sku(stocked):
    """A SKU with 10 pieces."""
    return stocked()


def stock(inventory, sku) -> tuple:
    answer = inventory.get(f"/v1/stock/{sku}").json
    return answer["on_hand"], answer["reserved"], answer["available"]


def create(bus, order, sku, quantity, *others, event_id=None) -> str:
    """Others: further lines, as pairs of SKU and quantity."""
    wanted = [line for pair in ((sku, quantity), *others) for line in lines(*pair)]
    return bus.tell(f"orders.created.{order}", order_event("OrderCreated", order, lines=wanted,
                                                           shipping_address=ADDRESS), event_id)


def pay(bus, order, sku, quantity) -> str:
    return bus.tell(f"orders.paid.{order}", order_event("OrderPaid", order, 3, lines=lines(sku, quantity),
                                                        shipping_address=ADDRESS, payment_id=new_id()))


def cancel(bus, order) -> str:
    return bus.tell(f"orders.cancelled.{order}", order_event("OrderCancelled", order, 4))


def recall(bus, order) -> str:
    return bus.tell(f"orders.recalled.{order}", order_event("OrderRecalled", order, 5))


def expire(stores, order) -> None:
    """Its time is up now."""
    stores.rows("inventory", "UPDATE reservation SET expires_at = now() WHERE order_id = %s", order)


def movements(staff, sku) -> list[tuple]:
    """Kinds and deltas, the oldest first."""
    items = staff.get(f"/v1/stock/{sku}/movements?limit=100").json["items"]
    return [(m["kind"], m["delta"]) for m in reversed(items)]


# ---- the catalogue ----

def test_the_first_sight_of_a_sku_brings_its_stock_and_later_ones_do_not(inventory, staff, bus, stocked):
    name = f"S/K.U {new_id()[-6:]}".replace(" ", "*")  # of characters that mean something in a subject
    with bus.listening(f"inventory.level.{subject_token(name)}") as heard:
        stocked(name)
        level = heard("souk.inventory.v1.StockLevel", sku=name)
        stocked(name, quantity=99, version=2)
        assert heard.count("souk.inventory.v1.StockLevel") == 1
    assert (level.version, level.on_hand, level.reserved, level.available) == (1, 10, 0, 10)
    path = name.replace("/", "%2F").replace("*", "%2A")
    assert stock(inventory, path) == (10, 0, 10)
    assert movements(staff, path) == [("initial", 10)]


def test_a_sku_may_begin_with_nothing(inventory, staff, stocked):
    sku = stocked(quantity=0)
    assert stock(inventory, sku) == (0, 0, 0)
    assert movements(staff, sku) == []


# ---- orders ----

def test_an_order_is_reserved_once_and_answered_each_time_it_asks(inventory, bus, sku, stores):
    order = new_id()
    with bus.listening("inventory.reserved.*") as heard:
        first = create(bus, order, sku, 3)
        heard("souk.inventory.v1.StockReserved", order_id=order)
        create(bus, order, sku, 3)  # asked again, under a new id
        eventually("a second answer", lambda: heard.count("souk.inventory.v1.StockReserved", order_id=order) == 2)
        bus.tell_again(f"orders.created.{order}", order_event("OrderCreated", order, lines=lines(sku, 3),
                                                              shipping_address=ADDRESS), first)  # the same message
        eventually("it is handled", lambda: bus.settled("orders", "inventory-created"))
        assert heard.count("souk.inventory.v1.StockReserved", order_id=order) == 2
    assert stock(inventory, sku) == (10, 3, 7)


def test_an_order_with_one_line_too_many_reserves_nothing_of_all(inventory, bus, sku, stocked):
    order, scarce = new_id(), stocked(quantity=1)
    with bus.listening("inventory.rejected.*") as heard:
        create(bus, order, sku, 2, (scarce, 2), ("NEVER-HEARD-OF", 1))
        rejected = heard("souk.inventory.v1.StockRejected", order_id=order)
        create(bus, order, sku, 2, (scarce, 2), ("NEVER-HEARD-OF", 1))
        eventually("a second answer", lambda: heard.count("souk.inventory.v1.StockRejected", order_id=order) == 2)
    assert sorted((s.sku, s.wanted, s.available) for s in rejected.shortages) == sorted([
        (scarce, 2, 1), ("NEVER-HEARD-OF", 1, 0)])
    assert (stock(inventory, sku), stock(inventory, scarce)) == ((10, 0, 10), (1, 0, 1))


def test_an_order_of_several_lines_is_reserved_and_sold_whole(inventory, bus, sku, stocked):
    order, other = new_id(), stocked()
    create(bus, order, sku, 2, (other, 3))
    eventually("it is reserved", lambda: (stock(inventory, sku), stock(inventory, other)) == ((10, 2, 8), (10, 3, 7)))
    pay(bus, order, sku, 2)
    eventually("it is sold", lambda: (stock(inventory, sku), stock(inventory, other)) == ((8, 0, 8), (7, 0, 7)))


def test_the_last_piece_is_reserved_for_the_first_that_asks(bus, sku):
    first, second = new_id(), new_id()
    with bus.listening("inventory.*.*") as heard:
        create(bus, first, sku, 10)
        heard("souk.inventory.v1.StockReserved", order_id=first)
        create(bus, second, sku, 1)
        heard("souk.inventory.v1.StockRejected", order_id=second)


def test_fifty_orders_for_ten_pieces_are_ten_reservations(inventory, bus, sku):
    orders = {new_id() for _ in range(50)}
    with bus.listening("inventory.*.*") as heard:
        for order in orders:
            create(bus, order, sku, 1)
        eventually("all are answered", lambda: sum(
            heard.count(f"souk.inventory.v1.Stock{what}") for what in ("Reserved", "Rejected")) == 50)
        assert heard.count("souk.inventory.v1.StockReserved") == 10
    assert stock(inventory, sku) == (10, 10, 0)


def test_a_paid_order_is_a_sale_once(inventory, staff, bus, sku, stores):
    order = new_id()
    with bus.listening("inventory.sold.*") as heard:
        early = pay(bus, order, sku, 4)  # overtook its order, and waits
        create(bus, order, sku, 4)
        eventually("it is sold", lambda: stock(inventory, sku) == (6, 0, 6))
        again = pay(bus, order, sku, 4)
        eventually("both are handled", lambda: all(stores.handled("inventory", e) for e in (early, again)))
        eventually("both are answered", lambda: heard.count("souk.inventory.v1.StockSold", order_id=order) == 2)
    assert stock(inventory, sku) == (6, 0, 6)
    assert movements(staff, sku) == [("initial", 10), ("sale", -4)]


@pytest.mark.parametrize("event", ["OrderPaymentFailed", "OrderCancelled"])
def test_an_order_that_ends_gives_its_stock_back_once(inventory, bus, sku, event):
    order = new_id()
    subject = {"OrderPaymentFailed": "payment_failed", "OrderCancelled": "cancelled"}[event]
    create(bus, order, sku, 4)
    eventually("it is reserved", lambda: stock(inventory, sku) == (10, 4, 6))
    with bus.listening("inventory.released.*") as heard:
        for _ in range(2):
            bus.tell(f"orders.{subject}.{order}", order_event(event, order, 3))
        eventually("both are answered", lambda: heard.count("souk.inventory.v1.StockReleased", order_id=order) == 2)
    assert stock(inventory, sku) == (10, 0, 10)


def test_a_sold_order_returns_to_stock_when_it_is_recalled_and_not_when_it_is_cancelled(
        inventory, staff, bus, sku, stores):
    order = new_id()
    create(bus, order, sku, 4)
    pay(bus, order, sku, 4)
    eventually("it is sold", lambda: stock(inventory, sku) == (6, 0, 6))
    cancelled = cancel(bus, order)
    eventually("the cancel is handled", lambda: stores.handled("inventory", cancelled))
    assert stock(inventory, sku) == (6, 0, 6), "the parcel may have left"
    with bus.listening("inventory.released.*") as heard:
        for _ in range(2):
            recall(bus, order)
        eventually("both are answered", lambda: heard.count("souk.inventory.v1.StockReleased", order_id=order) == 2)
    assert stock(inventory, sku) == (10, 0, 10)
    assert movements(staff, sku) == [("initial", 10), ("sale", -4), ("return", 4)]


def test_a_recall_that_overtook_the_payment_releases_and_the_payment_sells_nothing(inventory, bus, sku):
    order = new_id()
    create(bus, order, sku, 4)
    eventually("it is reserved", lambda: stock(inventory, sku) == (10, 4, 6))
    with bus.listening("inventory.*.*") as heard:
        recall(bus, order)
        heard("souk.inventory.v1.StockReleased", order_id=order)
        pay(bus, order, sku, 4)
        eventually("it is answered", lambda: heard.count("souk.inventory.v1.StockReleased", order_id=order) == 2)
        assert heard.count("souk.inventory.v1.StockSold", order_id=order) == 0
    assert stock(inventory, sku) == (10, 0, 10)


@pytest.mark.parametrize("end", [cancel, recall])
def test_an_end_that_comes_before_the_order_leaves_nothing_reserved(inventory, bus, sku, stores, end):
    order = new_id()
    with bus.listening("inventory.*.*") as heard:
        early = end(bus, order)
        eventually("the end is handled", lambda: stores.handled("inventory", early))
        late = [create(bus, order, sku, 4), pay(bus, order, sku, 4)]
        eventually("the rest is handled", lambda: all(stores.handled("inventory", e) for e in late))
        eventually("all are answered", lambda: heard.count("souk.inventory.v1.StockReleased", order_id=order) == 3)
        assert heard.count("souk.inventory.v1.StockReserved", order_id=order) == 0
    assert stock(inventory, sku) == (10, 0, 10)


# ---- reservations have a time ----

@pytest.fixture
def expired(inventory, bus, sku, stores):
    """The id of an order whose four pieces were reserved for too long."""
    order = new_id()
    with bus.listening("inventory.*.*") as heard:
        create(bus, order, sku, 4)
        heard("souk.inventory.v1.StockReserved", order_id=order)
        expire(stores, order)
        heard("souk.inventory.v1.StockExpired", order_id=order)
    return order


def test_a_reservation_is_held_for_an_hour_and_then_given_back_once(inventory, bus, sku, stores):
    order = new_id()
    with bus.listening("inventory.*.*") as heard:
        create(bus, order, sku, 4)
        heard("souk.inventory.v1.StockReserved", order_id=order)
        assert stores.rows("inventory", "SELECT expires_at - created_at = interval '1 hour' FROM reservation"
                           " WHERE order_id = %s", order) == [(True,)]
        expire(stores, order)
        heard("souk.inventory.v1.StockExpired", order_id=order)
        assert heard("souk.inventory.v1.StockLevel", sku=sku, reserved=0).available == 10
    assert stock(inventory, sku) == (10, 0, 10)
    assert stores.rows("inventory", "SELECT expires_at FROM reservation WHERE order_id = %s", order) == [(None,)]


def test_a_reservation_whose_end_was_missed_in_an_outage_gets_its_time_once_more(inventory, bus, sku, stores):
    order, other = new_id(), new_id()
    create(bus, order, sku, 4)
    create(bus, other, sku, 1)
    eventually("both are reserved", lambda: stock(inventory, sku) == (10, 5, 5))
    with bus.listening("inventory.expired.*") as heard:
        stores.rows("inventory", "UPDATE reservation SET expires_at = now() - interval '2 hours' WHERE order_id = %s", order)
        eventually("it has its time", lambda: stores.rows(
            "inventory", "SELECT expires_at > now() FROM reservation WHERE order_id = %s", order) == [(True,)])
        expire(stores, other)  # the sweep has been here, and left the first alone
        heard("souk.inventory.v1.StockExpired", order_id=other)
        assert heard.count("souk.inventory.v1.StockExpired", order_id=order) == 0
    assert stock(inventory, sku) == (10, 4, 6)


def test_an_order_that_asks_again_after_its_time_is_reserved_again(inventory, bus, sku, expired, stores):
    with bus.listening("inventory.reserved.*") as heard:
        create(bus, expired, sku, 4)
        heard("souk.inventory.v1.StockReserved", order_id=expired)
    assert stock(inventory, sku) == (10, 4, 6)
    assert stores.rows("inventory", "SELECT expires_at > now() FROM reservation WHERE order_id = %s",
                       expired) == [(True,)]


def test_an_order_that_was_paid_after_its_time_is_sold_in_one_step(inventory, staff, bus, sku, expired):
    with bus.listening("inventory.sold.*") as heard:
        for _ in range(2):
            pay(bus, expired, sku, 4)
        eventually("both are answered", lambda: heard.count("souk.inventory.v1.StockSold", order_id=expired) == 2)
    assert stock(inventory, sku) == (6, 0, 6)
    assert movements(staff, sku) == [("initial", 10), ("sale", -4)]


def test_an_order_that_was_paid_after_its_time_and_too_late_is_rejected_for_ever(inventory, staff, bus, sku, expired):
    assert staff.put(f"/v1/stock/{sku}", {"on_hand": 3}).status == 200
    with bus.listening("inventory.rejected.*") as heard:
        pay(bus, expired, sku, 4)
        rejected = heard("souk.inventory.v1.StockRejected", order_id=expired)
        staff.put(f"/v1/stock/{sku}", {"on_hand": 10})
        pay(bus, expired, sku, 4)  # asked again, answered again
        create(bus, expired, sku, 4)
        eventually("all are answered", lambda: heard.count("souk.inventory.v1.StockRejected", order_id=expired) == 3)
    assert [(s.sku, s.wanted, s.available) for s in rejected.shortages] == [(sku, 4, 3)]
    assert stock(inventory, sku) == (10, 0, 10)


@pytest.mark.parametrize("event, subject", [
    ("OrderCancelled", "cancelled"), ("OrderPaymentFailed", "payment_failed"), ("OrderRecalled", "recalled")])
def test_an_order_that_ended_after_its_time_takes_nothing_any_more(inventory, bus, sku, expired, event, subject):
    with bus.listening("inventory.*.*") as heard:
        bus.tell(f"orders.{subject}.{expired}", order_event(event, expired, 4))
        heard("souk.inventory.v1.StockReleased", order_id=expired)
        pay(bus, expired, sku, 4)
        eventually("it is answered", lambda: heard.count("souk.inventory.v1.StockReleased", order_id=expired) == 2)
        assert heard.count("souk.inventory.v1.StockSold", order_id=expired) == 0
    assert stock(inventory, sku) == (10, 0, 10)


# ---- staff ----

def test_staff_count_and_adjust_and_the_movements_add_up(inventory, staff, bus, sku):
    with bus.listening("inventory.level.*") as heard:
        counted = staff.put(f"/v1/stock/{sku}", {"on_hand": 25, "reason": "counted on Monday"})
        assert (counted.status, counted.json["available"]) == (200, 25)
        first = heard("souk.inventory.v1.StockLevel", sku=sku, available=25)
        assert staff.post(f"/v1/stock/{sku}/adjustments", {"delta": -5, "reason": "broken"}).json["on_hand"] == 20
        assert heard("souk.inventory.v1.StockLevel", sku=sku, available=20).version == first.version + 1
        assert staff.put(f"/v1/stock/{sku}", {"on_hand": 20}).status == 200  # as it is: no movement
    assert movements(staff, sku) == [("initial", 10), ("adjustment", 15), ("adjustment", -5)]
    assert stock(inventory, sku) == (20, 0, 20)


def test_what_staff_do_is_told_to_the_audit(staff, bus, sku):
    with bus.listening("audit.user_actions.>") as heard:
        staff.post(f"/v1/stock/{sku}/adjustments", {"delta": 3, "reason": "found"})
        action = heard("souk.audit.v1.UserAction", entity_id=sku)
    assert (action.action, action.role, action.detail) == ("stock.adjusted", "staff", "+3, now 13: found")


def test_an_adjustment_said_again_with_its_key_is_one(inventory, staff, sku):
    key, wanted = new_id(), {"delta": 5, "reason": "found"}
    answers = [staff.post(f"/v1/stock/{sku}/adjustments", wanted, Idempotency_Key=key) for _ in range(2)]
    assert [a.status for a in answers] == [201, 201]
    assert answers[0].json == answers[1].json
    assert stock(inventory, sku) == (15, 0, 15)


def test_movements_are_read_page_by_page(staff, sku):
    for delta in (1, 2):
        staff.post(f"/v1/stock/{sku}/adjustments", {"delta": delta, "reason": "found"})
    first = staff.get(f"/v1/stock/{sku}/movements?limit=2").json
    second = staff.get(f"/v1/stock/{sku}/movements?limit=2&cursor={first['next_cursor']}").json
    assert [m["delta"] for m in first["items"] + second["items"]] == [2, 1, 10]
    assert second["next_cursor"] is None


def test_stock_cannot_fall_below_what_is_reserved(inventory, staff, bus, sku):
    create(bus, new_id(), sku, 6)
    eventually("it is reserved", lambda: stock(inventory, sku)[1] == 6)
    for refused in (staff.put(f"/v1/stock/{sku}", {"on_hand": 5}),
                    staff.post(f"/v1/stock/{sku}/adjustments", {"delta": -5, "reason": "broken"})):
        assert (refused.status, refused.json["code"]) == (409, "stock_reserved")
    assert staff.put(f"/v1/stock/{sku}", {"on_hand": 6}).json["available"] == 0
    assert movements(staff, sku) == [("initial", 10), ("adjustment", -4)]


@pytest.mark.parametrize("body, pointer", [
    ({"on_hand": -1}, "/on_hand"), ({"on_hand": "5"}, "/on_hand"), ({}, "/on_hand"), ({"on_hand": 1.5}, "/on_hand"),
    ({"on_hand": 1000000001}, "/on_hand"), ({"on_hand": 1, "reason": "x" * 501}, "/reason"),
])
def test_a_wrong_count_is_422(staff, sku, body, pointer):
    answer = staff.put(f"/v1/stock/{sku}", body)
    assert (answer.status, [e["pointer"] for e in answer.json["errors"]]) == (422, [pointer])


@pytest.mark.parametrize("body, pointers", [
    ({"delta": 0, "reason": "none"}, ["/delta"]), ({"delta": 1}, ["/reason"]), ({}, ["/delta", "/reason"]),
])
def test_a_wrong_adjustment_is_422(staff, sku, body, pointers):
    answer = staff.post(f"/v1/stock/{sku}/adjustments", body)
    assert (answer.status, sorted(e["pointer"] for e in answer.json["errors"])) == (422, pointers)


def test_there_is_an_end_to_what_can_be_on_hand(inventory, staff, sku):
    answer = staff.post(f"/v1/stock/{sku}/adjustments", {"delta": 1000000000, "reason": "a mistake"})
    assert (answer.status, answer.json["code"]) == (422, "stock_out_of_range")
    assert stock(inventory, sku) == (10, 0, 10)


def test_only_staff_may_see_and_change_how_the_level_came_to_be(inventory, stores, sku):
    customer = inventory.as_user(stores.log_in())
    for who, status in ((inventory, 401), (customer, 403)):
        assert who.put(f"/v1/stock/{sku}", {"on_hand": 5}).status == status
        assert who.post(f"/v1/stock/{sku}/adjustments", {"delta": 1, "reason": "mine"}).status == status
        assert who.get(f"/v1/stock/{sku}/movements").status == status
    assert stock(customer, sku) == (10, 0, 10)


@pytest.mark.parametrize("sku", ["NO-SUCH", "%C3%A9", "x" * 65])
def test_a_sku_that_nobody_told_of_is_404(inventory, staff, sku):
    assert inventory.get(f"/v1/stock/{sku}").status == 404
    assert staff.put(f"/v1/stock/{sku}", {"on_hand": 5}).status == 404
    assert staff.post(f"/v1/stock/{sku}/adjustments", {"delta": 5, "reason": "found"}).status == 404
    assert staff.get(f"/v1/stock/{sku}/movements").status == 404


# ---- messages that cannot be ----

def test_a_message_that_breaks_a_rule_is_a_dead_letter(inventory, bus):
    before = bus.dead_letters("orders", "inventory-created")
    bus.tell("orders.created.broken", message_class("souk.orders.v1.OrderCreated")(order_id="no-uuid"))
    eventually("the dead letter", lambda: bus.dead_letters("orders", "inventory-created") == before + 1)


def test_a_failed_payment_of_what_is_sold_is_a_dead_letter(inventory, bus, sku):
    order, before = new_id(), bus.dead_letters("orders", "inventory-payment-failed")
    create(bus, order, sku, 4)
    pay(bus, order, sku, 4)
    eventually("it is sold", lambda: stock(inventory, sku) == (6, 0, 6))
    bus.tell(f"orders.payment_failed.{order}", order_event("OrderPaymentFailed", order, 4))
    eventually("the dead letter", lambda: bus.dead_letters("orders", "inventory-payment-failed") == before + 1)
    assert stock(inventory, sku) == (6, 0, 6)
