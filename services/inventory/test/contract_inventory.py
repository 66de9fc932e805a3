"""inventory: all lines or none, once an order, and a ledger that adds up."""
import pytest

from support.events import ADDRESS, lines, order_event, product_changed
from support.messages import message_class, new_id
from support.waiting import eventually


@pytest.fixture(scope="module")
def inventory(start_service):
    return start_service("inventory")


@pytest.fixture(scope="module")
def staff(inventory, stores):
    return inventory.as_user(stores.log_in("staff"))


@pytest.fixture
def sku(bus, inventory):
    """A SKU with 10 pieces."""
    name = f"SKU-{new_id()[-12:]}"
    event = product_changed(name)
    bus.tell(f"catalog.product.{event.product_id}", event)
    eventually("it is known", lambda: inventory.get(f"/v1/stock/{name}").status == 200)
    return name


def stock(inventory, sku) -> tuple:
    answer = inventory.get(f"/v1/stock/{sku}").json
    return answer["on_hand"], answer["reserved"], answer["available"]


def create(bus, order, sku, quantity, event_id=None):
    return bus.tell(f"orders.created.{order}", order_event("OrderCreated", order, lines=lines(sku, quantity),
                                                           shipping_address=ADDRESS), event_id)


def pay(bus, order, sku, quantity):
    return bus.tell(f"orders.paid.{order}", order_event("OrderPaid", order, 3, lines=lines(sku, quantity),
                                                        shipping_address=ADDRESS, payment_id=new_id()))


def test_the_first_sight_of_a_sku_brings_its_stock_and_later_ones_do_not(inventory, bus, sku):
    assert stock(inventory, sku) == (10, 0, 10)
    again = product_changed(sku, version=2, quantity=99)
    bus.tell(f"catalog.product.{again.product_id}", again)
    eventually("it is handled", lambda: bus.settled("catalog", "inventory-catalog"))
    assert stock(inventory, sku) == (10, 0, 10)


def test_an_order_is_reserved_once_and_answered_each_time_it_asks(inventory, bus, sku):
    order = new_id()
    with bus.listening("inventory.reserved.*") as heard:
        create(bus, order, sku, 3)
        heard("souk.inventory.v1.StockReserved", order_id=order)
        create(bus, order, sku, 3)  # sent again under a new id
        eventually("a second answer", lambda: heard.count("souk.inventory.v1.StockReserved", order_id=order) == 2)
    assert stock(inventory, sku) == (10, 3, 7)


def test_an_order_of_more_than_there_is_reserves_nothing(inventory, bus, sku):
    order = new_id()
    with bus.listening("inventory.rejected.*") as heard:
        create(bus, order, sku, 11)
        rejected = heard("souk.inventory.v1.StockRejected", order_id=order)
    assert [(s.sku, s.wanted, s.available) for s in rejected.shortages] == [(sku, 11, 10)]
    assert stock(inventory, sku) == (10, 0, 10)


def test_an_order_of_the_last_piece_is_rejected_when_it_is_reserved(inventory, bus, sku):
    first, second = new_id(), new_id()
    with bus.listening("inventory.*.*") as heard:
        create(bus, first, sku, 10)
        heard("souk.inventory.v1.StockReserved", order_id=first)
        create(bus, second, sku, 1)
        heard("souk.inventory.v1.StockRejected", order_id=second)


def test_a_paid_order_is_a_sale(inventory, bus, sku, stores):
    order = new_id()
    create(bus, order, sku, 4)
    eventually("it is reserved", lambda: stock(inventory, sku) == (10, 4, 6))
    pay(bus, order, sku, 4)
    eventually("it is sold", lambda: stock(inventory, sku) == (6, 0, 6))
    again = pay(bus, order, sku, 4)
    eventually("the repetition is handled", lambda: stores.handled("inventory", again))
    assert stock(inventory, sku) == (6, 0, 6)
    assert stores.rows("inventory", "SELECT sum(delta) FROM movement WHERE sku = %s", sku) == [(6,)]


@pytest.mark.parametrize("event", ["OrderPaymentFailed", "OrderCancelled"])
def test_an_order_that_ends_gives_its_stock_back_once(inventory, bus, sku, event):
    order = new_id()
    subject = {"OrderPaymentFailed": "payment_failed", "OrderCancelled": "cancelled"}[event]
    create(bus, order, sku, 4)
    eventually("it is reserved", lambda: stock(inventory, sku) == (10, 4, 6))
    for _ in range(2):
        bus.tell(f"orders.{subject}.{order}", order_event(event, order, 3))
    eventually("it is released", lambda: stock(inventory, sku) == (10, 0, 10))


def test_a_sold_order_that_is_cancelled_returns_to_stock(inventory, bus, sku):
    order = new_id()
    create(bus, order, sku, 4)
    pay(bus, order, sku, 4)
    eventually("it is sold", lambda: stock(inventory, sku) == (6, 0, 6))
    bus.tell(f"orders.cancelled.{order}", order_event("OrderCancelled", order, 4))
    eventually("it is back", lambda: stock(inventory, sku) == (10, 0, 10))


def test_a_cancel_that_comes_before_the_order_leaves_nothing_reserved(inventory, bus, sku, stores):
    order = new_id()
    cancel = bus.tell(f"orders.cancelled.{order}", order_event("OrderCancelled", order, 2))
    eventually("the cancel is handled", lambda: stores.handled("inventory", cancel))
    late = create(bus, order, sku, 4)
    eventually("the order is handled", lambda: stores.handled("inventory", late))
    assert stock(inventory, sku) == (10, 0, 10)


def test_fifty_orders_for_ten_pieces_are_ten_reservations(inventory, bus, sku):
    orders = [new_id() for _ in range(50)]
    with bus.listening("inventory.*.*") as heard:
        for order in orders:
            create(bus, order, sku, 1)
        eventually("all are answered", lambda: sum(
            heard.count(f"souk.inventory.v1.Stock{what}") for what in ("Reserved", "Rejected")) >= 50)
        assert heard.count("souk.inventory.v1.StockReserved") == 10
    assert stock(inventory, sku) == (10, 10, 0)


def test_staff_count_and_adjust_and_the_movements_add_up(inventory, staff, bus, sku):
    with bus.listening("inventory.level.*") as heard:
        assert staff.put(f"/v1/stock/{sku}", {"on_hand": 25}).status == 200
        assert heard("souk.inventory.v1.StockLevel", sku=sku).available == 25
    assert staff.post(f"/v1/stock/{sku}/adjustments", {"delta": -5, "reason": "broken"}).status == 201
    movements = staff.get(f"/v1/stock/{sku}/movements").json["items"]
    assert sum(m["delta"] for m in movements) == stock(inventory, sku)[0] == 20


def test_stock_cannot_fall_below_what_is_reserved(inventory, staff, bus, sku):
    create(bus, new_id(), sku, 6)
    eventually("it is reserved", lambda: stock(inventory, sku)[1] == 6)
    refused = staff.put(f"/v1/stock/{sku}", {"on_hand": 5})
    assert (refused.status, refused.json["code"]) == (409, "stock_reserved")
    assert stock(inventory, sku) == (10, 6, 4)


@pytest.mark.parametrize("body, status", [({"on_hand": -1}, 422), ({"on_hand": "5"}, 422), ({}, 422)])
def test_a_wrong_count_is_422(staff, sku, body, status):
    assert staff.put(f"/v1/stock/{sku}", body).status == status


def test_only_staff_may_change_stock_and_unknown_skus_are_404(inventory, staff, stores, sku):
    assert inventory.put(f"/v1/stock/{sku}", {"on_hand": 5}).status == 401
    assert inventory.as_user(stores.log_in()).put(f"/v1/stock/{sku}", {"on_hand": 5}).status == 403
    assert staff.put("/v1/stock/NO-SUCH", {"on_hand": 5}).status == 404
    assert inventory.get("/v1/stock/NO-SUCH").status == 404


def test_bytes_that_break_a_rule_are_a_dead_letter(inventory, bus):
    before = bus.dead_letters("orders", "inventory-created")
    broken = message_class("souk.orders.v1.OrderCreated")(order_id="no-uuid")
    bus.tell("orders.created.broken", broken)
    eventually("the dead letter", lambda: bus.dead_letters("orders", "inventory-created") == before + 1)
