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


def captured(bus, token="tok_ok") -> str:
    order = new_id()
    with bus.listening("payments.confirmed.*") as heard:
        request(bus, order, token)
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


def test_an_order_that_was_cancelled_first_is_not_charged_and_each_cancel_is_answered(payment, bus, staff):
    order = new_id()
    with bus.listening("payments.*.*") as heard:
        for _ in range(2):
            bus.tell(f"orders.cancelled.{order}", order_event("OrderCancelled", order, 2))
        eventually("both are answered", lambda: heard.count("souk.payments.v1.PaymentCancelled", order_id=order) == 2)
        request(bus, order)
        eventually("it is handled", lambda: bus.settled("orders", "payment-requested"))
    assert [p["status"] for p in staff.get(f"/v1/payments?order_id={order}").json["items"]] == ["cancelled"]


def test_a_cancel_of_what_was_declined_or_paid_is_answered_by_that(payment, bus):
    for token, answer in (("tok_decline", "PaymentFailed"), ("tok_ok", "PaymentConfirmed")):
        order = new_id()
        with bus.listening("payments.*.*") as heard:
            request(bus, order, token)
            heard(f"souk.payments.v1.{answer}", order_id=order)
            bus.tell(f"orders.cancelled.{order}", order_event("OrderCancelled", order, 3))
            eventually("it is answered again", lambda: heard.count(
                f"souk.payments.v1.{answer}", order_id=order) == 2)


def test_a_cancel_does_not_stop_a_charge_that_has_begun(payment, bus, stores):
    order = new_id()
    with bus.listening("payments.*.*") as heard:
        request(bus, order, "tok_slow")
        eventually("the provider was asked", lambda: stores.rows(
            "payment", "SELECT 1 FROM test_provider_charge c JOIN payment p ON p.id = c.key WHERE order_id = %s", order))
        cancelled = bus.tell(f"orders.cancelled.{order}", order_event("OrderCancelled", order, 3))
        eventually("it is handled", lambda: stores.handled("payment", cancelled))
        heard("souk.payments.v1.PaymentConfirmed", within=30, order_id=order)
        refund_id = refund(bus, order, 1000)
        heard("souk.payments.v1.PaymentRefunded", refund_id=refund_id)


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


def test_a_refund_that_the_provider_refuses_for_ever_is_told_each_time_it_is_asked_for(payment, bus, staff, secret):
    order = captured(bus, "tok_refund_refused")
    with bus.listening("payments.*.*") as heard:
        refund_id = refund(bus, order, 400)
        failed = heard("souk.payments.v1.PaymentRefundFailed", refund_id=refund_id)
        assert (failed.order_id, failed.amount_minor, failed.currency) == (order, 400, "GBP")
        assert failed.reason == "the card does not take money back"
        refund(bus, order, 400, refund_id)
        eventually("it is answered again", lambda: heard.count(
            "souk.payments.v1.PaymentRefundFailed", refund_id=refund_id, reason=failed.reason) == 2)
        # What was refused takes no room: all of it may be asked for anew.
        heard("souk.payments.v1.PaymentRefundFailed", refund_id=refund(bus, order, 1000))
        hook = {"type": "refund.succeeded", "payment_id": failed.payment_id, "refund_id": refund_id, "amount": 400,
                "currency": "GBP"}
        contradiction = payment.call("POST", "/v1/payments/webhooks/test", **signed(secret, hook))
        assert (contradiction.status, contradiction.json["code"]) == (409, "refund_contradicted")
        assert heard.count("souk.payments.v1.PaymentRefunded", order_id=order) == 0
    payments = staff.get(f"/v1/payments?order_id={order}").json["items"]
    assert [(p["status"], p["refunded"]["amount"]) for p in payments] == [("captured", 0)]


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
