"""payment: what a provider says counts once, however often, whenever and at however many doors it says it."""
import concurrent.futures
import time

import pytest

from support.events import order_event
from support.messages import new_id
from support.waiting import eventually
from support.webhooks import signed

PATH = "/v1/payments/webhooks/test"


@pytest.fixture(scope="module")
def payment(start_service):
    return start_service("payment")


@pytest.fixture(scope="module")
def secret(stores):
    return stores.secret("payment", "webhook_secret")


@pytest.fixture
def order():
    return new_id()


@pytest.fixture
def word(payment, bus, stores, order):
    """That the payment of the order succeeded, before the provider says so itself (after 5 s)."""
    bus.tell(f"orders.payment_requested.{order}",
             order_event("PaymentRequested", order, 2, provider="test", token="tok_slow"))
    rows = eventually("the provider is asked", lambda: stores.rows(
        "payment", "SELECT id::text FROM payment WHERE order_id = %s AND state = 'charging'", order))
    return {"type": "payment.succeeded", "payment_id": rows[0][0], "amount": 1000, "currency": "GBP"}


def test_one_webhook_at_eight_doors_at_once_is_one_payment(payment, bus, secret, order, word):
    hook = signed(secret, word)
    with bus.listening("payments.*.*") as heard:
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda _: payment.as_user(None).call("POST", PATH, **hook), range(8)))
        assert {a.status for a in answers} == {200}
        heard("souk.payments.v1.PaymentConfirmed", order_id=order)
        assert payment.call("POST", PATH, **signed(secret, word)).status == 200  # the same under another id
        marker = new_id()
        bus.tell(f"orders.payment_requested.{marker}",
                 order_event("PaymentRequested", marker, 2, provider="nobody", token="none"))
        heard("souk.payments.v1.PaymentFailed", order_id=marker)  # what was told before it is heard
        assert heard.count("souk.payments.v1.PaymentConfirmed", order_id=order) == 1


def test_a_webhooks_id_cannot_bring_something_else(payment, secret, order, word, stores):
    told = new_id()
    assert payment.call("POST", PATH, **signed(secret, word, told)).status == 200
    for other in ({"type": "payment.failed", "reason": "no"}, {"amount": 999}, {"payment_id": new_id()}):
        refused = payment.call("POST", PATH, **signed(secret, word | other, told))
        assert (refused.status, refused.json["code"]) == (409, "webhook_id_reused"), other
    again = payment.call("POST", PATH, **signed(secret, word | {"attempt": 2}, told))
    assert again.status == 200, "providers count their attempts"
    assert stores.rows("payment", "SELECT state FROM payment WHERE order_id = %s", order) == [("captured",)]


@pytest.mark.parametrize("seconds, status", [(-3600, 401), (-200, 200), (200, 200), (3600, 401)])
def test_a_webhook_that_was_kept_and_sent_later_is_refused(payment, secret, word, stores, seconds, status):
    hook = signed(secret, word, at=int(time.time()) + seconds)
    assert payment.call("POST", PATH, **hook).status == status
    seen = stores.rows("payment", "SELECT 1 FROM webhook_seen WHERE webhook_id = %s", hook["webhook-id"])
    assert bool(seen) == (status == 200), "what is refused can still be said"
