"""The service, those who use it, and something to sell."""
import pytest

from ordering import confirm, place, reaches, reserve
from support.events import product_changed
from support.messages import new_id
from support.waiting import eventually


@pytest.fixture(scope="module")
def order(start_service):
    """It gives up on an order that nobody answers for after 6 s: asked at 0, 1 and 3 s."""
    return start_service("order", ORDER_RESEND_S="1", ORDER_STEP_TIMEOUT_S="6")


@pytest.fixture(scope="module")
def account(stores):
    return stores.log_in()


@pytest.fixture(scope="module")
def shopper(order, account):
    return order.as_user(account)


@pytest.fixture(scope="module")
def staff(order, stores):
    return order.as_user(stores.log_in("staff"))


@pytest.fixture(scope="module")
def sell(bus, stores, order):
    """sell(price=700, product_id=…, version=2): puts a product on the price list and returns its SKU."""
    def put(name: str | None = None, **fields) -> str:
        name = name or f"SKU-{new_id()[-12:]}"
        event = product_changed(name, **fields)
        event_id = bus.tell(f"catalog.product.{event.product_id}", event)
        eventually("the price list has heard of it", lambda: stores.handled("order", event_id))
        return name

    return put


@pytest.fixture(scope="module")
def sku(sell):
    """A SKU at 5 pounds."""
    return sell(price=500)


@pytest.fixture
def paid(bus, shopper, sku):
    """The id of an order of ten pounds that is paid."""
    made = place(shopper, sku)
    reserve(bus, made["id"])
    confirm(bus, made["id"])
    reaches(shopper, made["id"], "paid")
    return made["id"]
