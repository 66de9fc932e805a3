"""shipping: one label an order, and what its carrier says."""
import concurrent.futures
import time

import pytest

from support.events import ADDRESS, lines, order_event
from support.messages import new_id
from support.waiting import eventually
from support.webhooks import signed


@pytest.fixture(scope="module")
def shipping(start_service):
    return start_service("shipping")


@pytest.fixture(scope="module")
def owner(stores):
    return stores.log_in()


@pytest.fixture(scope="module")
def staff(shipping, stores):
    return shipping.as_user(stores.log_in("staff"))


def request(bus, order, owner, **more) -> str:
    return bus.tell(f"orders.shipment_requested.{order}", order_event(
        "ShipmentRequested", order, 4, lines=lines("A"), shipping_address=ADDRESS, account_id=owner["account_id"], **more))


def recall(bus, order) -> str:
    return bus.tell(f"orders.recall_requested.{order}", order_event("RecallRequested", order, 5))


@pytest.fixture
def label(bus, shipping, owner):
    order = new_id()
    with bus.listening("shipments.label_created.*") as heard:
        request(bus, order, owner)
        return heard("souk.shipments.v1.LabelCreated", order_id=order)


def says(client, stores, label, status):
    return client.call("POST", "/v1/shipments/webhooks/test", **signed(
        stores.secret("shipping", "webhook_secret"), {"tracking_number": label.tracking_number, "status": status}))


def test_an_order_has_one_label_however_often_it_is_asked_for(bus, owner, label, stores):
    with bus.listening("shipments.label_created.*") as heard:
        request(bus, label.order_id, owner)
        again = heard("souk.shipments.v1.LabelCreated", order_id=label.order_id)
    assert (again.shipment_id, again.tracking_number) == (label.shipment_id, label.tracking_number)
    assert stores.rows("shipping", "SELECT count(*) FROM shipment WHERE order_id = %s", label.order_id) == [(1,)]


def test_the_label_is_a_pdf_for_owner_and_staff_only(shipping, staff, owner, label, stores):
    path = f"/v1/shipments/{label.shipment_id}/label"
    pdf = staff.get(path)
    assert (pdf.status, pdf.headers["Content-Type"], pdf.bytes[:5]) == (200, "application/pdf", b"%PDF-")
    assert shipping.as_user(owner).get(f"/v1/shipments/{label.shipment_id}").status == 200
    assert shipping.as_user(stores.log_in()).get(path).status == 404
    assert shipping.get(path).status == 401


def test_the_carrier_says_shipped_and_delivered_once_each(bus, shipping, stores, label):
    with bus.listening("shipments.*.*") as heard:
        for status in ("shipped", "shipped", "delivered", "delivered"):
            assert says(shipping, stores, label, status).status in (200, 204)
        shipped = heard("souk.shipments.v1.ParcelShipped", order_id=label.order_id)
        delivered = heard("souk.shipments.v1.ParcelDelivered", order_id=label.order_id)
        assert heard.count("souk.shipments.v1.ParcelShipped", order_id=label.order_id) == 1
    assert (label.version, shipped.version, delivered.version) == (1, 2, 3)


def test_a_carrier_that_only_says_delivered_means_both(bus, shipping, stores, label):
    with bus.listening("shipments.*.*") as heard:
        assert says(shipping, stores, label, "delivered").status in (200, 204)
        heard("souk.shipments.v1.ParcelShipped", order_id=label.order_id)
        heard("souk.shipments.v1.ParcelDelivered", order_id=label.order_id)


def test_a_recall_voids_the_label_and_is_answered_each_time(bus, shipping, staff, stores, label):
    with bus.listening("shipments.voided.*") as heard:
        recall(bus, label.order_id)
        voided = heard("souk.shipments.v1.LabelVoided", order_id=label.order_id)
        assert (voided.shipment_id, voided.tracking_number) == (label.shipment_id, label.tracking_number)
        recall(bus, label.order_id)
        eventually("it is answered again", lambda: heard.count(
            "souk.shipments.v1.LabelVoided", order_id=label.order_id, version=voided.version) == 2)
    assert staff.get(f"/v1/shipments/{label.shipment_id}/label").status == 404
    refused = says(shipping, stores, label, "shipped")
    assert (refused.status, refused.json["code"]) == (409, "shipment_voided")


@pytest.mark.parametrize("words", [("shipped",), ("shipped", "delivered")])
def test_a_recall_of_a_parcel_that_left_is_answered_by_what_became_of_it(bus, shipping, stores, label, words):
    for word in words:
        assert says(shipping, stores, label, word).status in (200, 204)
    with bus.listening("shipments.*.*") as heard:
        told = recall(bus, label.order_id)
        heard("souk.shipments.v1.ParcelShipped", order_id=label.order_id)
        if "delivered" in words:
            heard("souk.shipments.v1.ParcelDelivered", order_id=label.order_id)
        assert stores.handled("shipping", told)
        assert heard.count("souk.shipments.v1.LabelVoided", order_id=label.order_id) == 0


def test_a_recall_that_overtook_its_request_is_answered_and_no_label_is_made(bus, shipping, owner, stores):
    order = new_id()
    with bus.listening("shipments.*.*") as heard:
        recall(bus, order)
        voided = heard("souk.shipments.v1.LabelVoided", order_id=order)
        assert (voided.carrier, voided.tracking_number) == ("", "")
        request(bus, order, owner)
        eventually("both are answered", lambda: heard.count("souk.shipments.v1.LabelVoided", order_id=order) == 2)
        assert heard.count("souk.shipments.v1.LabelCreated", order_id=order) == 0
    assert stores.rows("shipping", "SELECT 1 FROM shipment WHERE order_id = %s AND label IS NOT NULL", order) == []
    assert shipping.as_user(owner).get(f"/v1/shipments/{voided.shipment_id}").status == 404


def test_a_carrier_without_a_right_signature_changes_nothing(shipping, label):
    body = {"tracking_number": label.tracking_number, "status": "shipped"}
    assert shipping.call("POST", "/v1/shipments/webhooks/test", **signed("another", body)).status == 401


def test_one_webhook_at_eight_doors_at_once_is_one_parcel(bus, shipping, stores, label):
    hook = signed(stores.secret("shipping", "webhook_secret"),
                  {"tracking_number": label.tracking_number, "status": "shipped"})
    with bus.listening("shipments.*.*") as heard:
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda _: shipping.as_user(None).call(
                "POST", "/v1/shipments/webhooks/test", **hook), range(8)))
        assert {a.status for a in answers} == {200}
        assert says(shipping, stores, label, "delivered").status == 200
        heard("souk.shipments.v1.ParcelDelivered", order_id=label.order_id)  # what was told before it is heard
        assert heard.count("souk.shipments.v1.ParcelShipped", order_id=label.order_id) == 1


def test_a_webhooks_id_cannot_bring_something_else(shipping, stores, label):
    told, secret = new_id(), stores.secret("shipping", "webhook_secret")

    def say(status: str, **more):
        return shipping.call("POST", "/v1/shipments/webhooks/test", **signed(
            secret, {"tracking_number": label.tracking_number, "status": status} | more, told))

    assert say("shipped").status == 200
    refused = say("delivered")
    assert (refused.status, refused.json["code"]) == (409, "webhook_id_reused")
    assert say("shipped", attempt=2).status == 200, "carriers count their attempts"


@pytest.mark.parametrize("seconds, status", [(-3600, 401), (-200, 200), (200, 200), (3600, 401)])
def test_a_webhook_that_was_kept_and_sent_later_is_refused(shipping, stores, label, seconds, status):
    hook = signed(stores.secret("shipping", "webhook_secret"), {
        "tracking_number": label.tracking_number, "status": "shipped"}, at=int(time.time()) + seconds)
    assert shipping.call("POST", "/v1/shipments/webhooks/test", **hook).status == status
    seen = stores.rows("shipping", "SELECT 1 FROM webhook_seen WHERE webhook_id = %s", hook["webhook-id"])
    assert bool(seen) == (status == 200), "what is refused can still be said"


def test_a_word_that_no_carrier_says_is_422(shipping, stores, label):
    assert says(shipping, stores, label, "lost").status == 422


def test_bytes_that_are_no_message_are_a_dead_letter(shipping, bus):
    before = bus.dead_letters("orders", "shipping-requested")
    bus.client.publish_acked("orders.shipment_requested.x", b"\xff", {"ce-type": "souk.orders.v1.ShipmentRequested"})
    eventually("the dead letter", lambda: bus.dead_letters("orders", "shipping-requested") == before + 1)
