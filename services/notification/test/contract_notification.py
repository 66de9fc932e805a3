"""notification: one mail of a kind an order, and webhooks that are signed."""
import base64
import hashlib
import hmac
import http.server
import queue
import threading

import pytest

from support.events import ADDRESS, lines, order_event
from support.messages import message, new_id
from support.waiting import eventually


@pytest.fixture(scope="module")
def notification(start_service, stores):
    return start_service("notification", SMTP_URL=f"smtp://127.0.0.1:{stores.smtp_port}",
                         NOTIFICATION_WEBHOOK_ALLOW_PRIVATE="1")


@pytest.fixture(scope="module")
def staff(notification, stores):
    return notification.as_user(stores.log_in("staff"))


@pytest.fixture
def address():
    return f"{new_id()[-12:]}@example.org"


def created(bus, order, address):
    bus.tell(f"orders.created.{order}", order_event("OrderCreated", order, email=address, lines=lines("A"),
                                                    shipping_address=ADDRESS, subtotal_minor=1000))


def test_an_order_is_confirmed_once_however_often_it_is_told(notification, bus, stores, address):
    order = new_id()
    for _ in range(3):
        created(bus, order, address)
    eventually("the mail", lambda: stores.mails(to=address))
    eventually("all handled", lambda: bus.settled("orders", "notification-orders"))
    mails = stores.mails(to=address)
    assert len(mails) == 1
    assert "S-7" in mails[0]["subject"] and "10.00 GBP" in mails[0]["text"]


def test_the_shopper_gets_the_tracking_number(notification, bus, stores, address):
    order = new_id()
    bus.tell(f"orders.shipped.{order}", order_event("OrderShipped", order, 4, email=address, carrier="test",
                                                    tracking_number="SK0017"))
    assert "SK0017" in eventually("the mail", lambda: stores.mails(to=address))[0]["text"]


def test_a_code_is_mailed_and_shown_to_nobody_else(notification, bus, stores, staff, address):
    account = new_id()
    bus.tell(f"sessions.otp_requested.{account}", message(
        "souk.sessions.v1.OtpRequested", account_id=account, version=1, email=address, name="Ada", code="424242",
        expires_at_us=4102444800000000))
    assert "424242" in eventually("the mail", lambda: stores.mails(to=address))[0]["text"]
    assert "424242" not in staff.get(f"/v1/notifications?to={address}").text


def test_a_name_cannot_add_a_header(notification, bus, stores, address):
    account = new_id()
    bus.tell(f"sessions.registered.{account}", message(
        "souk.sessions.v1.AccountRegistered", account_id=account, version=1, email=address,
        name="Ada\r\nBcc: everyone@example.org"))
    eventually("the mail", lambda: stores.mails(to=address))
    assert stores.mails(to="everyone@example.org") == []
    raw = next((stores.folder / "mail").glob(f"{stores.mails(to=address)[0]['id']}.eml")).read_text()
    head = raw.split("\n\n", 1)[0]
    assert "Bcc" not in head


def test_a_mail_waits_for_its_server(notification, bus, stores, address):
    stores.control("stop", "mail")
    try:
        created(bus, new_id(), address)
        eventually("it is queued", lambda: stores.rows(
            "notification", "SELECT 1 FROM message WHERE recipient = %s AND state <> 'sent'", address))
    finally:
        stores.control("start", "mail")
    eventually("the mail", lambda: stores.mails(to=address), within=30)


class Receiver:
    """An endpoint of the test that refuses the first delivery."""

    def __init__(self):
        self.requests: "queue.Queue" = queue.Queue()
        receiver, refuse = self, threading.Event()

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):  # pylint: disable=invalid-name
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status = 204 if refuse.is_set() else 500
                refuse.set()
                receiver.requests.put((status, dict(self.headers), body))
                self.send_response(status)
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/hook"


def test_an_endpoint_is_told_with_a_signature_and_again_after_a_failure(notification, bus, staff):
    receiver, order = Receiver(), new_id()
    made = staff.post("/v1/webhook-endpoints", {"url": receiver.url, "events": ["orders.delivered"]})
    assert made.status == 201, made
    secret = made.json["secret"]
    assert secret.startswith("whsec_") and secret not in staff.get("/v1/webhook-endpoints").text
    bus.tell(f"orders.delivered.{order}", order_event("OrderDelivered", order, 6))
    first = receiver.requests.get(timeout=10)
    second = receiver.requests.get(timeout=30)
    assert (first[0], second[0], first[2]) == (500, 204, second[2])
    headers = {k.lower(): v for k, v in second[1].items()}
    mac = hmac.new(base64.b64decode(secret[6:]), f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode()
                   + second[2], hashlib.sha256)
    assert headers["webhook-signature"] == "v1," + base64.b64encode(mac.digest()).decode()
    assert order in second[2].decode()
    assert staff.delete(f"/v1/webhook-endpoints/{made.json['id']}").status == 204
    receiver.server.shutdown()


@pytest.mark.parametrize("body", [{"url": "no url", "events": ["orders.*"]}, {"url": "https://example.org/", "events": []},
                                  {"url": "ftp://example.org/", "events": ["orders.*"]}])
def test_a_wrong_endpoint_is_422(staff, body):
    assert staff.post("/v1/webhook-endpoints", body).status == 422


def test_messages_and_endpoints_are_for_staff(notification, stores):
    customer = notification.as_user(stores.log_in())
    assert customer.get("/v1/notifications").status == 403
    assert notification.get("/v1/webhook-endpoints").status == 401


def test_bytes_that_are_no_message_are_a_dead_letter(notification, bus):
    before = bus.dead_letters("orders", "notification-orders")
    bus.client.publish_acked("orders.created.x", b"\xff", {"ce-type": "souk.orders.v1.OrderCreated"})
    eventually("the dead letter", lambda: bus.dead_letters("orders", "notification-orders") == before + 1)
