"""A steady load: so many shoppers a second come, each with a key and a mind of its own.

Each tries with its key until the answer is definite: accepted or refused. No answer, a 5xx, a 429 and a
409 "your first request still runs" are none, and the next try brings the same key. What each does
is drawn from a seeded generator, so a run can be had again (its timing cannot).
"""
import itertools
import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import requests

from chaos.journal import OK, REFUSED, UNKNOWN, Adjustment, Journal, Purchase
from support.waiting import PATIENCE, eventually, let_pass

ADDRESS = {"name": "Ada Lovelace", "line1": "12 St James's Square", "city": "London", "postal_code": "SW1Y 4JH",
           "country": "GB"}
ADMIN = {"email": "admin@souk.localhost", "password": "souk-admin"}
PASSWORD = "correct horse"
PLENTY, PLENTY_PIECES = 5, 1_000_000
SCARCE, SCARCE_PIECES = 6, 4
ACCOUNTS = 4
TIMEOUT_S = (3, 12)       # to connect, to answer
PATIENCE_S = 120 * PATIENCE  # until a shopper gives up, which no run should see
AT_ONCE = 48
# What shoppers do, and how many of a hundred do it.
KINDS = {"pay": 40, "twice": 10, "again": 6, "scarce": 12, "decline": 8, "slow": 5, "cancel": 12, "refund": 5, "restock": 2}


class Customer:
    """An account and its session, which is made anew where it is lost."""

    def __init__(self, gateway: str, email: str, password: str):
        self._gateway, self._login = gateway, {"email": email, "password": password}
        self._lock, self._token = threading.Lock(), None

    def headers(self) -> dict:
        with self._lock:
            if self._token is None:
                answer = requests.post(f"{self._gateway}/v1/sessions", json=self._login, timeout=TIMEOUT_S)
                answer.raise_for_status()
                self._token = answer.json()["token"]
            return {"Authorization": f"Bearer {self._token}"}

    def session_is_lost(self) -> None:
        with self._lock:
            self._token = None


class Shoppers:
    """with Shoppers(...) as shoppers: the load runs; afterwards every shopper has had an answer."""

    def __init__(self, gateway: str, seed: int, journal: Journal, rate: float = 8):
        self.rate, self.journal = rate, journal
        self._gateway, self._random = gateway, random.Random(seed)
        self._mark = f"{seed}-{int(time.time() * 1000):x}"
        self._numbers, self._local = itertools.count(1), threading.local()
        self._admin, self._sent_home = Customer(gateway, **ADMIN), False
        self._accounts = [Customer(gateway, f"shopper-{self._mark}-{n}@example.org", PASSWORD) for n in range(ACCOUNTS)]
        self.plenty = [f"PLENTY-{self._mark}-{n}".upper() for n in range(PLENTY)]
        self.scarce = [f"SCARCE-{self._mark}-{n}".upper() for n in range(SCARCE)]

    # ---- before ----

    def prepare(self) -> None:
        """The accounts, the products with their stock, and the price list that knows them."""
        for number in range(ACCOUNTS):
            body = {"email": f"shopper-{self._mark}-{number}@example.org", "password": PASSWORD, "name": "Ada"}
            requests.post(f"{self._gateway}/v1/accounts", json=body, timeout=30).raise_for_status()
        for sku, pieces in [(s, PLENTY_PIECES) for s in self.plenty] + [(s, SCARCE_PIECES) for s in self.scarce]:
            self._stock_product(sku, pieces)

    def _stock_product(self, sku: str, pieces: int) -> None:
        product = {"title": f"Lamp {sku}", "status": "active", "variants": [
            {"sku": sku, "price": {"amount": self._random.randint(100, 9999), "currency": "GBP"}}]}
        requests.post(f"{self._gateway}/v1/products", json=product, headers=self._admin.headers(),
                      timeout=30).raise_for_status()
        eventually("inventory knows it", lambda: requests.get(
            f"{self._gateway}/v1/stock/{sku}", timeout=30).status_code == 200, within=60)
        requests.put(f"{self._gateway}/v1/stock/{sku}", json={"on_hand": pieces}, headers=self._admin.headers(),
                     timeout=30).raise_for_status()
        self.journal.initial[sku] = pieces
        # A total that cannot be right is refused for that only once the price is known.
        wrong = {"expected_total": {"amount": 1, "currency": "GBP"}}
        eventually("the price list knows it", lambda: self._http("POST", "/v1/orders", json=self._body(
            Purchase("price", "pay", sku, 1, "tok_ok")) | {"email": "nobody@example.org"} | wrong, headers={
                "Idempotency-Key": f"price-{sku}-{time.time()}"}).json()["code"] == "price_changed", within=60)

    # ---- the load ----

    def __enter__(self) -> "Shoppers":
        self._going, self._sent_home, self._pool = True, False, ThreadPoolExecutor(AT_ONCE)
        self._thread = threading.Thread(target=self._come, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, failure, *_more) -> None:
        self._going, self._sent_home = False, failure is not None
        self._thread.join()
        self._pool.shutdown(wait=True, cancel_futures=self._sent_home)

    def _come(self) -> None:
        """They come at random moments, rate in a second in the mean, whether or not those before are served."""
        due = time.monotonic()
        while self._going:
            due += self._random.expovariate(self.rate)
            let_pass(min(due - time.monotonic(), 0.5))
            if self._pool._work_queue.qsize() < AT_ONCE:  # pylint: disable=protected-access
                self._pool.submit(*self._draw())
            else:
                due = time.monotonic()  # so many wait already that more would prove nothing

    def _next_key(self) -> str:
        return f"{self._mark}-{next(self._numbers)}"

    def _draw(self) -> tuple:
        """One shopper: what to do, and with what. Only this thread draws."""
        key, draw = self._next_key(), self._random
        kind = draw.choices(list(KINDS), KINDS.values())[0]
        if kind == "restock":
            return self._restock, Adjustment(key, draw.choice(self.scarce), draw.randint(1, 3))
        sku = draw.choice(self.scarce if kind == "scarce" else self.plenty)
        token = {"decline": "tok_decline", "slow": "tok_slow"}.get(kind, draw.choice(["tok_ok"] * 9 + ["tok_slow"]))
        customer = draw.choice([None, *self._accounts])
        return self._buy, Purchase(key, kind, sku, draw.randint(1, 3), token), customer, draw.random()

    def place_one(self, kind: str = "pay", sku: str | None = None, token: str = "tok_ok", whim: float = 0) -> Purchase:
        """One guest's purchase, now; for tests and for the probe of a recovery."""
        purchase = Purchase(self._next_key(), kind, sku or self.plenty[0], 1, token)
        self._buy(purchase, None, whim)
        return purchase

    # ---- a shopper ----

    def _buy(self, purchase: Purchase, customer: Customer | None, whim: float) -> None:
        self.journal.begin(purchase)
        if purchase.kind == "twice":  # two taps on the button
            with ThreadPoolExecutor(2) as both:
                answers = [future.result() for future in [both.submit(self._place, purchase, customer) for _ in "ab"]]
        else:
            answers = [self._place(purchase, customer)]
        if purchase.kind == "again":  # has seen the answer, and asks again to be sure
            answers.append(self._place(purchase, customer))
        self._conclude(purchase, answers)
        if purchase.outcome == OK and purchase.kind == "cancel":
            let_pass(5 * whim)
            self._cancel(purchase, customer, answers[0].json())
        if purchase.outcome == OK and purchase.kind == "refund":
            self._refund(purchase, whim)

    def _conclude(self, purchase: Purchase, answers: list) -> None:
        for answer in answers:
            if answer is not None and answer.status_code == 201:
                purchase.order_ids.add(answer.json()["id"])
                purchase.outcome = OK
        if purchase.outcome == UNKNOWN and None not in answers:
            purchase.outcome, purchase.code = REFUSED, answers[0].json()["code"]
        purchase.answered_at = time.time()
        self.journal.note(purchase, "answered")

    def _body(self, purchase: Purchase) -> dict:
        return {"items": [{"sku": purchase.sku, "quantity": purchase.quantity}],
                "shipping_address": ADDRESS | {"line2": purchase.key},
                "payment": {"provider": "test", "token": purchase.token}}

    def _place(self, purchase: Purchase, customer: Customer | None):
        body = self._body(purchase) | ({} if customer else {"email": f"{purchase.key}@example.org"})
        return self._ask(customer, "POST", "/v1/orders", json=body, headers={"Idempotency-Key": purchase.key})

    def _cancel(self, purchase: Purchase, customer: Customer | None, order: dict) -> None:
        purchase.cancel = UNKNOWN
        self.journal.note(purchase, "cancels")
        token = f"?access_token={order['access_token']}" if customer is None else ""
        answer = self._ask(customer, "POST", f"/v1/orders/{order['id']}/cancel{token}")
        if answer is not None:
            purchase.cancel = answer.json()["status"] if answer.status_code == 200 else REFUSED
        self.journal.note(purchase, "cancel answered")

    def _refund(self, purchase: Purchase, whim: float) -> None:
        """Staff pay back a part, or all, of what is paid."""
        path, body = f"/v1/orders/{next(iter(purchase.order_ids))}", {"reason": f"refund {purchase.key}"}
        deadline = time.monotonic() + PATIENCE_S
        while (order := self._ask(self._admin, "GET", path)) is not None and \
                order.json().get("status") in ("pending", "reserved") and time.monotonic() < deadline:
            let_pass(0.5)
        if whim < 0.5:
            body["amount"] = {"amount": 50, "currency": "GBP"}
        refund = {"amount": body.get("amount", {}).get("amount"), "outcome": UNKNOWN, "id": None}
        purchase.refunds.append(refund)
        self.journal.note(purchase, "refund asked")
        answer = self._ask(self._admin, "POST", path + "/refunds", json=body,
                           headers={"Idempotency-Key": f"refund-{purchase.key}"})
        if answer is not None:
            refund["outcome"] = OK if answer.status_code == 201 else REFUSED
            refund["id"] = answer.json().get("id")
        self.journal.note(purchase, "refund answered")

    def _restock(self, adjustment: Adjustment) -> None:
        self.journal.begin(adjustment)
        answer = self._ask(self._admin, "POST", f"/v1/stock/{adjustment.sku}/adjustments", headers={
            "Idempotency-Key": adjustment.key}, json={"delta": adjustment.delta, "reason": adjustment.key})
        if answer is not None:
            adjustment.outcome = OK if answer.status_code == 201 else REFUSED
        self.journal.note(adjustment, "answered")

    # ---- HTTP ----

    def _http(self, method: str, path: str, **options) -> requests.Response:
        session = getattr(self._local, "session", None)
        if session is None:
            session = self._local.session = requests.Session()
        session.cookies.clear()
        return session.request(method, self._gateway + path, timeout=TIMEOUT_S, **options)

    def _ask(self, customer: Customer | None, method: str, path: str, headers: dict | None = None, **options):
        """The definite answer, however often it takes to get one; None where patience ends first."""
        deadline, pause = time.monotonic() + PATIENCE_S, 0.1
        while time.monotonic() < deadline and not self._sent_home:
            try:
                logged_in = customer.headers() if customer else {}
                answer = self._http(method, path, headers=(headers or {}) | logged_in, **options)
                if answer.status_code == 401 and customer:
                    customer.session_is_lost()
                elif is_definite(answer):
                    return answer
            except requests.RequestException:
                pass  # refused, cut off, too late: it may have been done or not
            let_pass(pause)
            pause = min(pause * 2, 1.5)
        return None


def is_definite(answer: requests.Response) -> bool:
    if answer.status_code == 409:
        return answer.json().get("code") != "idempotency_key_in_use"
    return answer.status_code < 500 and answer.status_code != 429
