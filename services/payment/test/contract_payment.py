"""payment: one charge an order and one refund a refund id, by signed webhooks."""
import time

import pytest

from support.events import order_event
from support.messages import new_id
from support.waiting import eventually
from support.webhooks import signed


@pytest.fixture(scope="module")
def payment(start_service):
    return start_service("payment")


@pytest.fixture(scope="module")
def staff(payment, stores):
    return payment.as_user(stores.log_in("staff"))


@pytest.fixture(scope="module")
def secret(stores):
    return stores.secret("payment", "webhook_secret")


def request(bus, order, token="tok_ok", version=2):
    bus.tell(f"orders.payment_requested.{order}",
             order_event("PaymentRequested", order, version, provider="test", token=token))


def refund(bus, order, amount, refund_id=None):
    refund_id = refund_id or new_id()
    bus.tell(f"orders.refund_requested.{order}",
             order_event("RefundRequested", order, 5, refund_id=refund_id, amount_minor=amount, reason="test"))
    return refund_id


def captured(bus) -> str:
    order = new_id()
    with bus.listening("payments.confirmed.*") as heard:
        request(bus, order)
        heard("souk.payments.v1.PaymentConfirmed", order_id=order)
    return order


def test_a_good_token_pays_and_a_repeated_request_charges_no_second_time(payment, bus, staff):
    order = new_id()
    with bus.listening("payments.*.*") as heard:
        request(bus, order)
        first = heard("souk.payments.v1.PaymentConfirmed", order_id=order)
        request(bus, order)
        eventually("it is answered again", lambda: heard.count("souk.payments.v1.PaymentConfirmed", order_id=order) == 2)
    assert (first.amount_minor, first.currency) == (1000, "GBP")
    payments = staff.get(f"/v1/payments?order_id={order}").json["items"]
    assert [(p["status"], p["amount"]["amount"]) for p in payments] == [("captured", 1000)]


@pytest.mark.parametrize("token", ["tok_decline", "tok_nobody_knows"])
def test_a_bad_token_fails(payment, bus, token):
    order = new_id()
    with bus.listening("payments.failed.*") as heard:
        request(bus, order, token)
        assert heard("souk.payments.v1.PaymentFailed", order_id=order).reason


def test_an_order_that_was_cancelled_first_is_not_charged(payment, bus, staff):
    order = new_id()
    bus.tell(f"orders.cancelled.{order}", order_event("OrderCancelled", order, 2))
    eventually("it is handled", lambda: bus.settled("orders", "payment-cancelled"))
    request(bus, order)
    eventually("it is handled", lambda: bus.settled("orders", "payment-requested"))
    assert [p["status"] for p in staff.get(f"/v1/payments?order_id={order}").json["items"]] == ["cancelled"]


def test_a_refund_is_paid_once_a_refund_id(payment, bus):
    order = captured(bus)
    with bus.listening("payments.refunded.*") as heard:
        refund_id = refund(bus, order, 400)
        assert heard("souk.payments.v1.PaymentRefunded", refund_id=refund_id).refunded_minor == 400
        refund(bus, order, 400, refund_id)
        eventually("it is answered again", lambda: heard.count("souk.payments.v1.PaymentRefunded", refund_id=refund_id) == 2)
        rest = refund(bus, order, 600)
        assert heard("souk.payments.v1.PaymentRefunded", refund_id=rest).refunded_minor == 1000


def test_a_refund_over_the_rest_is_a_dead_letter(payment, bus):
    order, before = captured(bus), bus.dead_letters("orders", "payment-refunds")
    refund(bus, order, 1001)
    eventually("the dead letter", lambda: bus.dead_letters("orders", "payment-refunds") == before + 1)


def test_a_webhook_without_a_right_signature_changes_nothing(payment, secret):
    hook = {"type": "payment.succeeded", "payment_id": new_id(), "amount": 1000, "currency": "GBP"}
    path = "/v1/payments/webhooks/test"
    assert payment.call("POST", path, **signed("another secret", hook)).status == 401
    assert payment.call("POST", path, **signed(secret, hook, at=int(time.time()) - 3600)).status == 401
    without = {k: v for k, v in signed(secret, hook).items() if k != "webhook-signature"}
    assert payment.call("POST", path, **without).status == 401
    assert payment.call("POST", path, **signed(secret, hook)).status == 404  # signed, of a payment nobody knows
    assert payment.call("POST", "/v1/payments/webhooks/nobody", **signed(secret, hook)).status == 404


def test_payments_are_for_staff(payment, stores):
    assert payment.get("/v1/payments").status == 401
    assert payment.as_user(stores.log_in()).get("/v1/payments").status == 403


def test_bytes_that_are_no_message_are_a_dead_letter(payment, bus):
    before = bus.dead_letters("orders", "payment-requested")
    bus.client.publish_acked("orders.payment_requested.x", b"\xff", {"ce-type": "souk.orders.v1.PaymentRequested"})
    eventually("the dead letter", lambda: bus.dead_letters("orders", "payment-requested") == before + 1)
