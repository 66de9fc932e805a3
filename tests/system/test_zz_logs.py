"""No secret is in any log. The flow below uses one of each kind and makes every server talk: requests that fail, services
and stores that are gone, slow statements, refused rows. Named so that it runs last, over the logs of all tests before it."""
import contextlib
import http.client
import re
import threading
import urllib.parse

import psycopg2
import pytest

from support.messages import new_id
from support.stack import Client
from support.waiting import eventually
from support.webhooks import signed

ADDRESS = {"name": "Ada Lovelace", "line1": "12 St James's Square", "city": "London", "postal_code": "SW1Y 4JH",
           "country": "GB"}


class Shopper:
    """One visitor's flow, and what of it must be in no log."""

    def __init__(self, shop):
        self.shop, self.anyone = shop, Client(shop.gateway)
        self.secrets: list[tuple[str, str]] = []
        self.codes: list[str] = []
        self.reset_calls = self.order_calls = 0

    def keep(self, kind: str, value: str) -> str:
        self.secrets.append((kind, value))
        return value

    def register(self) -> tuple[str, str]:
        email, password = f"{new_id()[-12:]}@example.org", self.keep("a password", f"pass-{new_id()}")
        assert self.anyone.post("/v1/accounts", {"email": email, "password": password, "name": "Ada"}).status == 201
        return email, password

    def mailed(self, email: str, pattern: str) -> str:
        return eventually("the mail", lambda: [m for mail in self.shop.mails(to=email)
                                               for m in re.findall(pattern, mail["text"])][0], within=30)

    def log_in_and_change_the_password(self) -> None:
        email, password = self.register()
        session = self.anyone.post("/v1/sessions", {"email": email, "password": password})
        me = self.anyone.as_user(session.json)
        self.keep("a session's token", session.json["token"])
        self.keep("a session's token", "no-" + session.json["token"])
        assert self.anyone.as_user({"token": "no-" + session.json["token"]}).get("/v1/accounts/me").status == 401
        wrong, new = self.keep("a wrong password", f"wrong-{new_id()}"), self.keep("a new password", f"new-{new_id()}")
        assert self.anyone.post("/v1/sessions", {"email": email, "password": wrong}).status == 401
        assert me.patch("/v1/accounts/me", {"password": new, "current_password": wrong}).status == 403
        assert me.patch("/v1/accounts/me", {"password": new, "current_password": password}).status == 200
        self.email = email

    def ask_for_codes(self) -> None:
        for _ in range(3):
            email, _ = self.register()
            assert self.anyone.post("/v1/otp", {"email": email}).status == 202
            self.codes.append(self.mailed(email, r"code is (\d{6})"))
            assert self.anyone.post("/v1/sessions", {"email": email, "otp": self.codes[-1]}).status == 201

    def put_reset(self, token: str, status: int, path: str = "/v1/password-resets/") -> None:
        password = self.keep("a password that was reset", f"reset-{new_id()}")
        assert self.anyone.call("PUT", path + token, {"password": password}, checked=False).status == status
        self.reset_calls += 1

    def too_large_a_reset(self, token: str) -> None:
        """413 of the gateway's own, before a body is read."""
        connection = http.client.HTTPConnection(urllib.parse.urlparse(self.shop.gateway).netloc, timeout=30)
        connection.putrequest("PUT", f"/v1/password-resets/{token}")
        connection.putheader("Content-Length", str(9 * 1024 * 1024))
        connection.endheaders()
        assert connection.getresponse().status == 413
        connection.close()
        self.reset_calls += 1

    def reset_the_password(self) -> None:
        assert self.anyone.post("/v1/password-resets", {"email": self.email}).status == 202
        token = self.keep("a reset's token", self.mailed(self.email, r"reset\?token=([\w-]{43})"))
        wrong = self.keep("a wrong reset's token", token[::-1])
        self.put_reset(wrong, 404)
        self.put_reset(token, 404, "/V1/Password-Resets/")
        self.too_large_a_reset(token)
        with self.without("session"):
            self.put_reset(token, 503)
        self.put_reset(token, 404, "//v1//password-resets/")
        self.put_reset(token, 204)
        self.put_reset(token, 404)

    @contextlib.contextmanager
    def without(self, service: str):
        """While a service is gone; the gateway answers 503."""
        self.shop.control("stop", f"shop:{service}")
        try:
            yield
        finally:
            self.shop.control("start", f"shop:{service}")
            path = {"session": "/v1/sessions/current", "order": "/v1/orders"}[service]
            eventually(f"{service} answers again", lambda: self.anyone.get(path).status == 401, within=30)

    def get_order(self, order: str, token: str, status: int) -> None:
        assert self.anyone.get(f"/v1/orders/{order}?access_token={token}", checked=False).status == status
        self.order_calls += 1

    def order_as_a_guest(self, sku: str) -> None:
        added = eventually("the cart knows it", lambda: (lambda a: a if a.status == 200 else None)(
            self.anyone.post("/v1/cart/items", {"sku": sku, "quantity": 1})), within=30)
        cart = self.keep("a cart's token", added.json["cart_token"])
        body = {"items": [{"sku": sku, "quantity": 1}], "shipping_address": ADDRESS, "email": "guest@example.org",
                "payment": {"provider": "test", "token": "tok_ok"}}
        key = self.keep("an idempotency key", new_id())
        placed = eventually("it is placed", lambda: (lambda a: a if a.status == 201 else None)(
            self.anyone.post("/v1/orders", body, Idempotency_Key=key, X_Cart_Token=cart)), within=30).json
        again = self.anyone.post("/v1/orders", body | {"email": "other@example.org"}, Idempotency_Key=key, X_Cart_Token=cart)
        assert again.status == 422
        token = self.keep("a guest's token", placed["access_token"])
        self.order = placed["id"]
        self.get_order(self.order, token, 200)
        self.get_order(self.order, self.keep("a wrong guest's token", token[::-1]), 404)
        with self.without("order"):
            self.get_order(self.order, token, 503)

    def act_as_staff(self) -> str:
        """Registers an endpoint of webhooks, signs one, and makes a product. Returns its SKU."""
        session = self.anyone.post("/v1/sessions", {"email": "admin@souk.localhost", "password": "souk-admin"})
        staff = self.anyone.as_user(session.json)
        self.keep("the administrator's token", session.json["token"])
        made = staff.post("/v1/webhook-endpoints", {"url": "http://127.0.0.1:9/", "events": ["orders.created"]})
        assert made.status == 201, made
        self.keep("a webhook's secret", made.json["secret"])
        webhook = signed(self.shop.secret("payment", "webhook_secret"), {"type": "no such"})
        self.keep("a signature", webhook["webhook-signature"].removeprefix("v1,"))
        assert self.anyone.call("POST", "/v1/payments/webhooks/test", checked=False, **webhook).status >= 400
        staff.delete(f"/v1/webhook-endpoints/{made.json['id']}")
        sku = f"LOG-{new_id()[-12:]}".upper()
        assert staff.post("/v1/products", {
            "title": "Logged lamp", "status": "active",
            "variants": [{"sku": sku, "price": {"amount": 1999, "currency": "GBP"}}]}).status == 201
        return sku

    def wait_for_a_slow_statement(self) -> None:
        """An event with a token waits for a lock until PostgreSQL finds the statement worth a line."""
        email, _ = self.register()
        blocking = self.shop.database("session")
        blocking.autocommit = False
        asking = threading.Thread(target=lambda: self.anyone.post("/v1/password-resets", {"email": email}))
        try:
            blocking.cursor().execute("LOCK TABLE outbox IN ACCESS EXCLUSIVE MODE")
            asking.start()
            eventually("it waits", lambda: self.shop.rows(
                "session", "SELECT 1 FROM pg_stat_activity WHERE usename = 'souk_session' AND state = 'active'"
                           " AND query LIKE 'INSERT INTO outbox%%' AND now() - query_start > interval '0.6 s'"), within=30)
        finally:
            blocking.rollback()
            blocking.close()
            asking.join()
        self.keep("a token in a slow statement", self.mailed(email, r"reset\?token=([\w-]{43})"))

    def break_a_constraint(self) -> None:
        """PostgreSQL would log the whole row that it refuses, the password's hash with it."""
        (kept,) = self.shop.rows("session", "SELECT password_hash FROM account WHERE email = %s", self.email)[0]
        self.keep("a password's hash", kept.split("$")[-2])  # its salt: PostgreSQL cuts long values off
        connection = psycopg2.connect(self.shop.secret("session", "postgres_url"))
        with contextlib.closing(connection), pytest.raises(psycopg2.errors.CheckViolation):
            connection.cursor().execute("UPDATE account SET role = 'nobody' WHERE email = %s", (self.email,))

    def go_on_without_each_store(self) -> None:
        email, password = self.register()
        session = self.anyone.post("/v1/sessions", {"email": email, "password": password}).json
        me = self.anyone.as_user(session)
        self.keep("a session's token", session["token"])
        for store in ("valkey", "postgres", "nats"):
            with self.shop.without(store):
                me.get("/v1/accounts/me")
                self.anyone.post("/v1/otp", {"email": email})
                self.anyone.post("/v1/sessions", {"email": email, "password": password})

    def keep_the_stores_secrets(self) -> None:
        self.keep("the administrator's password", "souk-admin")
        for path in sorted((self.shop.folder / "secrets").rglob("*")):
            if path.name.endswith(".password") or path.name == "webhook_secret":
                self.keep(f"{path.parent.name}/{path.name}", path.read_text().strip())
        for mail in self.shop.mails():  # of every test before this one
            for token in re.findall(r"reset\?token=([\w-]{43})", mail["text"]):
                self.keep("a reset's token in a mail", token)


def read_logs(shop) -> dict[str, str]:
    """Every log but the mail sink's: what it takes in is mail, which is where codes and tokens go."""
    return {path.name: path.read_text(errors="replace") for path in sorted((shop.folder / "log").iterdir())
            if path.is_file() and not path.name.startswith("mail.log")}


@pytest.fixture(scope="module")
def shopper(shop):
    someone = Shopper(shop)
    someone.log_in_and_change_the_password()
    someone.ask_for_codes()
    someone.reset_the_password()
    someone.order_as_a_guest(someone.act_as_staff())
    someone.wait_for_a_slow_statement()
    someone.break_a_constraint()
    someone.go_on_without_each_store()
    someone.keep_the_stores_secrets()
    return someone


@pytest.fixture(scope="module")
def logs(shop, shopper):
    """The logs, once they hold what must be there: a log that is empty has no secrets either."""
    def complete():
        found = read_logs(shop)
        access = found["gateway-access.log"]
        assert access.lower().count('"path":"/v1/password-resets/*"') >= shopper.reset_calls
        assert access.count(f'"path":"/v1/orders/{shopper.order}"') >= shopper.order_calls
        assert re.search(rf'"path":"/v1/orders/{shopper.order}","status":503.*"upstream_status":"502', access)
        assert "INSERT INTO outbox" in found["postgres.log"] and "violates check constraint" in found["postgres.log"]
        assert '"route":"/v1/password-resets/{token}"' in found["session.log"]
        for service in ("session", "order", "catalog", "audit"):
            assert "cannot reach PostgreSQL" in found[f"{service}.log"], service
        return found

    return eventually("the logs are written", complete, within=30)


def forms(secret: str) -> set[str]:
    """A secret as text, in a URL, and as PostgreSQL writes bytes."""
    return {secret, urllib.parse.quote(secret, safe=""), secret.encode().hex()}


def test_no_log_has_a_password_a_token_or_a_key(logs, shopper):
    assert len(shopper.secrets) > 50, "the flow used too few secrets"
    found = {f"{kind} in {name}" for name, text in logs.items() for kind, secret in shopper.secrets
             if any(form in text for form in forms(secret))}
    assert not found, sorted(found)


def test_no_log_has_the_one_time_codes(logs, shopper):
    """Six digits may be met by chance (a duration); a leak shows every code."""
    for name, text in logs.items():
        found = [code for code in shopper.codes
                 if re.search(rf"(?<![0-9A-Fa-f]){code}(?![0-9A-Fa-f])", text) or code.encode().hex() in text]
        assert len(found) < len(shopper.codes), name


def test_the_gateways_error_log_has_no_request(logs):
    assert "request:" not in logs["gateway.log"]
