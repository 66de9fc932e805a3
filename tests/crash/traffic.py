"""Shoppers and staff who do not give up: what they asked for, and what they were told.

Every call is repeated, with its Idempotency-Key, until somebody answers it, so that afterwards each
has exactly one effect: what the stores then say can be compared with this ledger.
"""
import http.server
import itertools
import threading

import requests

from support.messages import new_id
from support.stack import Answer, Client, Stack
from support.waiting import eventually

ADDRESS = {"name": "Ada Lovelace", "line1": "12 St James's Square", "city": "London", "postal_code": "SW1Y 4JH",
           "country": "GB"}
PLENTY, SCARCE = 100_000, 25
PASSWORD = "correct horse"
AGAIN = (429, 502, 503, 504)  # nobody was there, or a store was away
ANSWER_WITHIN_S = 60


class Ledger:
    """What was asked and answered. Lists are only appended to, so that threads need no lock."""

    def __init__(self) -> None:
        self.orders: list[dict] = []       # {id, email, quantity, sku, total}
        self.refunds: list[tuple] = []     # (order id, minor)
        self.cancelled: list[str] = []     # order ids whose cancel was accepted
        self.adjustments: list[int] = []   # deltas of the plentiful SKU
        self.products: dict[str, str] = {}  # id: the last title
        self.accounts: list[str] = []      # e-mail addresses
        self.endpoints: list[str] = []     # ids of webhook endpoints that were removed again
        self.cart = 0                      # pieces that the shopper's cart has to hold in the end


class Receiver:
    """An endpoint of somebody else's: counts the webhooks by their ids."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        seen = self.seen

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:  # pylint: disable=invalid-name
                self.rfile.read(int(self.headers["Content-Length"]))
                seen.append(self.headers["webhook-id"])
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_arguments) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()


class Traffic:
    def __init__(self, stack: Stack, receiver: Receiver):
        self._stack, self._local, self._kinds = stack, threading.local(), itertools.count()
        self.ledger, self.receiver = Ledger(), receiver
        self.admin = self._log_in("admin@souk.localhost", "souk-admin")
        self.plenty, self.scarce = self._stock_up(PLENTY), self._stock_up(SCARCE)
        self.shopper = self._log_in(self.account(), PASSWORD)
        self.endpoint = self.insist("POST", "/v1/webhook-endpoints", {"url": receiver.url, "events": ["orders.*"]},
                                    session=self.admin, key=new_id(), wanted=(201,)).json["id"]

    # ---- asking until there is an answer ----

    def _client(self) -> Client:
        """A connection of this thread's own."""
        if not hasattr(self._local, "client"):
            self._local.client = Client(self._stack.gateway)
        return self._local.client

    def insist(self, method: str, path: str, body=None, session: dict | None = None, key: str | None = None,
               wanted: tuple = (200, 201, 204)) -> Answer:
        headers = {"Authorization": f"Bearer {session['token']}"} if session else {}
        if key:
            headers["Idempotency-Key"] = key

        def attempt() -> Answer | None:
            try:
                answer = self._client().call(method, path, json=body, checked=False, **headers)
            except requests.RequestException:
                return None
            in_use = answer.status == 409 and answer.json["code"] == "idempotency_key_in_use"
            return None if answer.status in AGAIN or in_use else answer

        answer = eventually(f"an answer to {method} {path}", attempt, within=ANSWER_WITHIN_S)
        assert answer.status in wanted, f"{method} {path}: {answer}"
        return answer

    # ---- what the shop is filled with ----

    def _log_in(self, email: str, password: str) -> dict:
        return self.insist("POST", "/v1/sessions", {"email": email, "password": password}, wanted=(201,)).json

    def _new_product(self, title: str) -> dict:
        sku = f"CRASH-{new_id()[-12:]}".upper()
        return self.insist("POST", "/v1/products", {
            "title": title, "status": "active",
            "variants": [{"sku": sku, "price": {"amount": 1999, "currency": "GBP"}}]},
            session=self.admin, key=new_id(), wanted=(201,)).json | {"sku": sku}

    def _stock_up(self, on_hand: int) -> dict:
        product = self._new_product(f"{on_hand} pieces")
        eventually("inventory knows it", lambda: self._client().get(f"/v1/stock/{product['sku']}").status == 200)
        self.insist("PUT", f"/v1/stock/{product['sku']}", {"on_hand": on_hand}, session=self.admin)
        eventually("the price list knows it", lambda: self._stack.rows(
            "order", "SELECT 1 FROM price WHERE sku = %s", product["sku"]))
        return product

    # ---- orders ----

    def buy(self, quantity: int = 1, token: str = "tok_ok", sku: str | None = None) -> dict:
        """A guest's order, accepted. {id, access_token, email, quantity, sku, total}"""
        sku, key = sku or self.plenty["sku"], new_id()
        email = f"{key[-12:]}@example.org"
        made = self.insist("POST", "/v1/orders", {
            "items": [{"sku": sku, "quantity": quantity}], "email": email, "shipping_address": ADDRESS,
            "payment": {"provider": "test", "token": token}}, key=key, wanted=(201,)).json
        order = {"id": made["id"], "access_token": made["access_token"], "email": email, "quantity": quantity,
                 "sku": sku, "total": made["total"]["amount"]}
        self.ledger.orders.append(order)
        return order

    def read(self) -> None:
        self._read(self.buy())

    def _read(self, order: dict) -> dict:
        return self.insist("GET", f"/v1/orders/{order['id']}?access_token={order['access_token']}").json

    def _paid(self, order: dict) -> bool:
        """Looks for some time whether it is paid: where a crash holds it up, that comes later."""
        try:
            return eventually("the order is paid", lambda: self._read(order)["status"] in (
                "paid", "shipped", "delivered"), within=3)
        except AssertionError:
            return False

    def cancel(self, token: str = "tok_ok") -> None:
        order = self.buy(2, token)
        if token == "tok_ok":
            self._paid(order)
        answer = self.insist("POST", f"/v1/orders/{order['id']}/cancel?access_token={order['access_token']}",
                             wanted=(200, 409))
        if answer.status == 200 and answer.json["status"] == "cancelled":
            self.ledger.cancelled.append(order["id"])

    def refund(self) -> None:
        order = self.buy(2)
        if not self._paid(order):
            return
        minor = 500 if len(self.ledger.refunds) % 2 else order["total"]
        answer = self.insist("POST", f"/v1/orders/{order['id']}/refunds", {
            "amount": {"amount": minor, "currency": "GBP"}, "reason": "broken"},
            session=self.admin, key=new_id(), wanted=(201,))
        self.ledger.refunds.append((order["id"], answer.json["amount"]["amount"]))

    def mix(self) -> None:
        """One order of the next kind."""
        kinds = self._every_kind()
        kinds[next(self._kinds) % len(kinds)]()

    def one_of_each(self) -> None:
        for kind in self._every_kind():
            kind()

    def _every_kind(self) -> tuple:
        return (self.buy, lambda: self.buy(1, "tok_decline"), lambda: self.buy(SCARCE + 1, sku=self.scarce["sku"]),
                lambda: self.buy(1, sku=self.scarce["sku"]), self.cancel, self.refund,
                lambda: self.cancel("tok_slow"))

    # ---- everything else ----

    def fill_cart(self) -> None:
        """Three into the cart, and two of them ordered."""
        sku = self.plenty["sku"]
        self.insist("POST", "/v1/cart/items", {"sku": sku, "quantity": 3}, session=self.shopper, key=new_id())
        made = self.insist("POST", "/v1/orders", {
            "items": [{"sku": sku, "quantity": 2}], "shipping_address": ADDRESS,
            "payment": {"provider": "test", "token": "tok_ok"}}, session=self.shopper, key=new_id(), wanted=(201,)).json
        self.ledger.cart += 1
        self.ledger.orders.append({"id": made["id"], "email": self.ledger.accounts[0], "quantity": 2, "sku": sku,
                                   "total": made["total"]["amount"]})

    def account(self) -> str:
        """A new account, logged in and out, its password changed."""
        email = f"{new_id()[-12:]}@example.com"
        self.insist("POST", "/v1/accounts", {"email": email, "password": PASSWORD, "name": "Ada"}, key=new_id(),
                    wanted=(201,))
        self.ledger.accounts.append(email)
        return email

    def come_and_go(self) -> None:
        email = self.account()
        session = self._log_in(email, PASSWORD)
        self.insist("PATCH", "/v1/accounts/me", {"password": "battery staple", "current_password": PASSWORD},
                    session=session, wanted=(200, 403))  # 403: it is changed; the answer was lost
        self.insist("DELETE", "/v1/sessions/current", session=session, wanted=(204, 401))

    def change_product(self) -> None:
        name = new_id()[-12:]
        made, title = self._new_product(f"Before {name}"), f"After {name}"
        self.insist("GET", f"/v1/products/{made['id']}")
        self.insist("PATCH", f"/v1/products/{made['id']}", {"title": title}, session=self.admin)
        self.insist("GET", f"/v1/products/{made['id']}")
        self.ledger.products[made["id"]] = title

    def adjust(self) -> None:
        delta = -2 if len(self.ledger.adjustments) % 2 else 3
        self.insist("POST", f"/v1/stock/{self.plenty['sku']}/adjustments", {"delta": delta, "reason": "counted"},
                    session=self.admin, key=new_id(), wanted=(201,))
        self.ledger.adjustments.append(delta)

    def change_endpoint(self) -> None:
        made = self.insist("POST", "/v1/webhook-endpoints", {"url": self.receiver.url, "events": ["shipments.voided"]},
                           session=self.admin, key=new_id(), wanted=(201,)).json
        self.insist("DELETE", f"/v1/webhook-endpoints/{made['id']}", session=self.admin, wanted=(204, 404))
        self.ledger.endpoints.append(made["id"])

    def look(self) -> None:
        self.insist("GET", "/v1/audit?limit=1", session=self.admin)
        self.insist("GET", "/v1/analytics/sales", session=self.admin)
