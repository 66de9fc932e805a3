"""analytics: an order, a refund and a cart count once, on their day, whatever comes twice or out of order."""
import datetime
import itertools

import pytest

from support.events import ADDRESS, lines, order_event
from support.messages import message, new_id
from support.waiting import eventually

DAYS = itertools.count()
NOTHING = {"carts": 0, "items_added": 0, "orders": 0, "paid": 0, "rejected": 0, "payment_failed": 0, "cancelled": 0}


@pytest.fixture(scope="module")
def analytics(start_service):
    return start_service("analytics")


@pytest.fixture(scope="module")
def staff(analytics, stores):
    return analytics.as_user(stores.log_in("staff"))


class Day:
    """A day of the past that no other test counts on: events happen on it, and reports are read of it."""

    def __init__(self, bus, staff, stores):
        self.date = datetime.date(2020, 1, 1) + datetime.timedelta(days=next(DAYS))
        self._bus, self._staff, self._stores = bus, staff, stores

    def tell(self, subject: str, event, event_id: str | None = None) -> None:
        """An event of this day's noon, and its effect."""
        at = datetime.datetime.combine(self.date, datetime.time(12), datetime.timezone.utc)
        told = self._bus.tell(subject, event, event_id, at=at)
        eventually("it is handled", lambda: self._stores.handled("analytics", told))

    def order(self, name: str, order_id: str, version: int = 1, **fields) -> None:
        subject = {"OrderCreated": "created", "OrderPaid": "paid", "OrderRefunded": "refunded", "OrderRejected": "rejected",
                   "OrderPaymentFailed": "payment_failed", "OrderCancelled": "cancelled"}[name]
        self.tell(f"orders.{subject}.{order_id}", order_event(name, order_id, version, **fields))

    def create(self, order_id: str, **fields) -> None:
        self.order("OrderCreated", order_id, lines=lines("LAMP"), shipping_address=ADDRESS, **fields)

    def pay(self, order_id: str, of=None, **fields) -> None:
        self.order("OrderPaid", order_id, 3, lines=of or lines("LAMP"), shipping_address=ADDRESS,
                   payment_id=new_id(), **fields)

    def refund(self, order_id: str, refund_id: str, amount: int, **fields) -> None:
        self.order("OrderRefunded", order_id, 5, refund_id=refund_id, amount_minor=amount, **fields)

    def read(self, report: str, more: str = "") -> dict:
        to = self.date + datetime.timedelta(days=1)
        answer = self._staff.get(f"/v1/analytics/{report}?from={self.date}&to={to}{more}")
        assert answer.status == 200, answer
        return answer.json

    def sales(self, currency: str = "GBP") -> tuple:
        """(orders, gross, refunds, refunded, net)"""
        for item in self.read("sales")["items"]:
            if item["gross"]["currency"] == currency:
                assert item["day"] == str(self.date)
                return (item["orders"], item["gross"]["amount"], item["refunds"], item["refunded"]["amount"],
                        item["net"]["amount"])
        return 0, 0, 0, 0, 0

    def funnel(self) -> dict:
        return self.read("funnel")["totals"]


@pytest.fixture
def day(bus, staff, stores):
    return Day(bus, staff, stores)


def test_an_order_is_a_sale_on_the_day_it_was_paid(day, bus, staff, stores):
    order, next_day = new_id(), Day(bus, staff, stores)
    day.create(order)
    next_day.pay(order)
    assert day.sales() == (0, 0, 0, 0, 0)
    assert next_day.sales() == (1, 1000, 0, 0, 1000)
    assert day.funnel() == NOTHING | {"orders": 1}
    assert next_day.funnel() == NOTHING | {"paid": 1}


def test_what_is_sent_again_under_a_new_id_counts_once(day):
    order, refund = new_id(), new_id()
    for _ in range(3):
        day.create(order)
        day.pay(order)
        day.refund(order, refund, 400)
    assert day.sales() == (1, 1000, 1, 400, 600)
    assert day.funnel() == NOTHING | {"orders": 1, "paid": 1}


def test_what_is_delivered_again_under_the_same_id_counts_once(day, bus, stores):
    cart = new_id()
    opened = message("souk.carts.v1.CartOpened", cart_id=cart, version=1)
    told = new_id()
    day.tell(f"carts.opened.{cart}", opened, told)
    bus.tell_again(f"carts.opened.{cart}", opened, told)
    eventually("all are handled", lambda: bus.settled("carts", "analytics-carts"))
    assert day.funnel() == NOTHING | {"carts": 1}
    assert stores.rows("analytics", "SELECT count(*) FROM inbox WHERE message_id = %s", told) == [(1,)]


def test_money_that_came_before_the_order_was_heard_of_counts_the_same(day):
    order = new_id()
    day.refund(order, new_id(), 1000)
    day.pay(order)
    day.create(order)
    assert day.sales() == (1, 1000, 1, 1000, 0)
    assert day.funnel() == NOTHING | {"orders": 1, "paid": 1}


def test_each_refund_of_an_order_counts(day):
    order = new_id()
    day.pay(order)
    day.refund(order, new_id(), 300)
    day.refund(order, new_id(), 200)
    assert day.sales() == (1, 1000, 2, 500, 500)


def test_currencies_are_never_added_up(day):
    day.pay(new_id())
    day.pay(new_id(), currency="EUR", total_minor=500)
    assert day.sales("GBP")[:2] == (1, 1000)
    assert day.sales("EUR")[:2] == (1, 500)
    totals = {t["gross"]["currency"]: t["gross"]["amount"] for t in day.read("sales")["totals"]}
    assert totals == {"EUR": 500, "GBP": 1000}


def test_totals_are_the_sums_of_their_days(day, bus, staff, stores):
    day.pay(new_id())
    later = Day(bus, staff, stores)
    later.pay(new_id())
    later.refund(new_id(), new_id(), 50)
    report = staff.get(f"/v1/analytics/sales?from={day.date}&to={later.date + datetime.timedelta(days=1)}").json
    assert [item["day"] for item in report["items"]] == [str(day.date), str(later.date)]
    (total,) = report["totals"]
    assert (total["orders"], total["gross"]["amount"], total["net"]["amount"]) == (2, 2000, 1950)
    assert staff.get(f"/v1/analytics/sales?from={day.date}&to={later.date}").json["totals"][0]["orders"] == 1


@pytest.mark.parametrize("event, step", [("OrderRejected", "rejected"), ("OrderPaymentFailed", "payment_failed"),
                                         ("OrderCancelled", "cancelled")])
def test_an_end_of_an_order_is_a_step_of_the_funnel_and_no_sale(day, event, step):
    order = new_id()
    day.create(order)
    for _ in range(2):
        day.order(event, order, 2)
    assert day.funnel() == NOTHING | {"orders": 1, step: 1}
    assert day.sales() == (0, 0, 0, 0, 0)


def test_carts_and_items_are_the_funnels_first_steps(day):
    cart = new_id()
    day.tell(f"carts.opened.{cart}", message("souk.carts.v1.CartOpened", cart_id=cart, version=1))
    for version in (1, 2):
        day.tell(f"carts.item_added.{cart}", message("souk.carts.v1.ItemAdded", cart_id=cart, version=version, sku="LAMP",
                                                     quantity=2))
    assert day.funnel() == NOTHING | {"carts": 1, "items_added": 2}


def test_the_best_products_are_those_with_the_most_revenue(day):
    day.pay(new_id(), lines("CHEAP", 9, 10) + lines("DEAR", 1, 700) + lines("CHEAP", 1, 10))
    day.pay(new_id(), lines("CHEAP", 1, 10))
    best = day.read("top-products")["items"]
    assert [(p["sku"], p["quantity"], p["revenue"]["amount"]) for p in best] == [("DEAR", 1, 700), ("CHEAP", 11, 110)]
    assert [p["sku"] for p in day.read("top-products", "&limit=1")["items"]] == ["DEAR"]


def test_a_day_without_anything_is_an_empty_report(day):
    assert day.read("sales") == {"items": [], "totals": [], "next_cursor": None}
    assert day.read("funnel") == {"items": [], "totals": NOTHING, "next_cursor": None}
    assert day.read("top-products") == {"items": [], "next_cursor": None}


def test_reports_are_for_staff(analytics, stores):
    customer = analytics.as_user(stores.log_in())
    for report in ("sales", "top-products", "funnel"):
        assert analytics.get(f"/v1/analytics/{report}").status == 401
        assert customer.get(f"/v1/analytics/{report}").status == 403


@pytest.mark.parametrize("query", [
    "sales?from=yesterday", "sales?from=2020-01-02&to=2020-01-01", "sales?from=2018-01-01&to=2020-01-01",
    "sales?interval=hour", "top-products?limit=0", "top-products?limit=101", "funnel?to=2020-13-01"])
def test_a_wrong_query_is_422(staff, query):
    assert staff.get(f"/v1/analytics/{query}").status == 422


@pytest.mark.parametrize("data", [b"\xff\xff\xff", b"", b"\x0a\x04none"])
def test_bytes_that_are_no_valid_message_are_a_dead_letter_and_hold_up_nothing(day, bus, data):
    before = bus.dead_letters("orders", "analytics-orders")
    bus.client.publish_acked("orders.paid.broken", data, {"ce-id": new_id(), "ce-type": "souk.orders.v1.OrderPaid"})
    day.pay(new_id())
    eventually("the dead letter", lambda: bus.dead_letters("orders", "analytics-orders") == before + 1)
    assert day.sales()[:2] == (1, 1000)
