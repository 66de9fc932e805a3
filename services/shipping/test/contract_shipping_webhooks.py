"""shipping: what a carrier says counts once, however often, whenever and at however many doors it says it."""
import concurrent.futures
import time

import pytest

from support.events import ADDRESS, lines, order_event
from support.messages import new_id
from support.webhooks import signed

PATH = "/v1/shipments/webhooks/test"


@pytest.fixture(scope="module")
def shipping(start_service):
    """The test carrier calls never by itself."""
    return start_service("shipping", SHIPPING_TEST_ADVANCE_MS="0")


@pytest.fixture(scope="module")
def secret(stores):
    return stores.secret("shipping", "webhook_secret")


@pytest.fixture
def label(bus, shipping):
    order = new_id()
    with bus.listening("shipments.label_created.*") as heard:
        bus.tell(f"orders.paid.{order}", order_event(
            "OrderPaid", order, 3, lines=lines("A"), shipping_address=ADDRESS, payment_id=new_id()))
        return heard("souk.shipments.v1.LabelCreated", order_id=order)


def word(label, status: str) -> dict:
    return {"tracking_number": label.tracking_number, "status": status}


def test_one_webhook_at_eight_doors_at_once_is_one_parcel(shipping, bus, secret, label):
    hook = signed(secret, word(label, "shipped"))
    with bus.listening("shipments.*.*") as heard:
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda _: shipping.as_user(None).call("POST", PATH, **hook), range(8)))
        assert {a.status for a in answers} == {200}
        assert shipping.call("POST", PATH, **signed(secret, word(label, "delivered"))).status == 200
        heard("souk.shipments.v1.ParcelDelivered", order_id=label.order_id)  # what was told before it is heard
        assert heard.count("souk.shipments.v1.ParcelShipped", order_id=label.order_id) == 1


def test_a_webhooks_id_cannot_bring_something_else(shipping, secret, label, stores):
    told = new_id()
    assert shipping.call("POST", PATH, **signed(secret, word(label, "shipped"), told)).status == 200
    refused = shipping.call("POST", PATH, **signed(secret, word(label, "delivered"), told))
    assert (refused.status, refused.json["code"]) == (409, "webhook_id_reused")
    again = shipping.call("POST", PATH, **signed(secret, word(label, "shipped") | {"attempt": 2}, told))
    assert again.status == 200, "carriers count their attempts"
    assert stores.rows("shipping", "SELECT state FROM shipment WHERE id = %s", label.shipment_id) == [("shipped",)]


@pytest.mark.parametrize("seconds, status", [(-3600, 401), (-200, 200), (200, 200), (3600, 401)])
def test_a_webhook_that_was_kept_and_sent_later_is_refused(shipping, secret, label, stores, seconds, status):
    hook = signed(secret, word(label, "shipped"), at=int(time.time()) + seconds)
    assert shipping.call("POST", PATH, **hook).status == status
    seen = stores.rows("shipping", "SELECT 1 FROM webhook_seen WHERE webhook_id = %s", hook["webhook-id"])
    assert bool(seen) == (status == 200), "what is refused can still be said"
