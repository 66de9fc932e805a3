"""Many shoppers want the few pieces of one SKU at the same moment, through the gateway.

One round: so many pieces are put into stock, so many guests order one each at once, and then exactly the
pieces are sold, everybody else is told no, and nothing is left over or reserved. A round ends when every
order has come to its end, so rounds cannot hide in one another.
"""
import http.client
import json
import threading
import time
from dataclasses import dataclass, field
from urllib.parse import urlparse

from support.events import ADDRESS
from support.messages import new_id
from support.stack import Client
from support.waiting import eventually

SOLD = ("paid", "shipped", "delivered")


class Shopper:
    """One guest on one kept connection. It speaks plain HTTP: a race needs a quick client, and what the answers
    look like is checked elsewhere."""

    def __init__(self, gateway: str):
        self._address = urlparse(gateway).netloc
        self._connection = http.client.HTTPConnection(self._address, timeout=30)

    def call(self, method: str, path: str, body: dict | None = None, **headers: str) -> tuple[int, dict]:
        """Asks once more only where the kept connection was closed before an answer began; the key makes that safe."""
        data = None if body is None else json.dumps(body)
        headers = {"Content-Type": "application/json"} | {k.replace("_", "-"): v for k, v in headers.items()}
        for attempt in (1, 2):
            try:
                self._connection.request(method, path, data, headers)
                answer = self._connection.getresponse()
                return answer.status, json.loads(answer.read() or b"{}")
            except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError):
                self._connection.close()
                if attempt == 2:
                    raise
        raise AssertionError("not reached")

    def order(self, items: list[tuple[str, int]], email: str, token: str = "tok_ok") -> tuple[int, dict]:
        return self.call("POST", "/v1/orders", {
            "items": [{"sku": sku, "quantity": quantity} for sku, quantity in items], "email": email,
            "shipping_address": ADDRESS, "payment": {"provider": "test", "token": token}}, Idempotency_Key=new_id())


@dataclass
class Round:
    placing_s: float = 0.0
    deciding_s: float = 0.0
    ends: dict[str, int] = field(default_factory=dict)


def at_once(calls: list) -> list:
    """Runs the functions in threads that all start at one moment; their results, in order. What one raises is raised."""
    results, barrier = [None] * len(calls), threading.Barrier(len(calls))

    def run(number: int) -> None:
        try:
            barrier.wait()
            results[number] = calls[number]()
        except Exception as error:  # pylint: disable=broad-except
            results[number] = error

    threads = [threading.Thread(target=run, args=(number,)) for number in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for result in results:
        if isinstance(result, Exception):
            raise result
    return results


def sell(admin: Client, *skus: str) -> None:
    """Puts products on sale, known to the price list and to inventory."""
    for sku in skus:
        made = admin.post("/v1/products", {"title": f"Hot {sku}", "status": "active", "variants": [
            {"sku": sku, "price": {"amount": 1000, "currency": "GBP"}}]})
        assert made.status == 201, made
    for sku in skus:
        eventually("inventory knows it", lambda s=sku: admin.get(f"/v1/stock/{s}").status == 200, within=30)
        # The price list says so by refusing only what is wrong besides: an order of another total.
        eventually("the price list knows it", lambda s=sku: admin.post("/v1/orders", {
            "items": [{"sku": s, "quantity": 1}], "shipping_address": ADDRESS, "expected_total": {
                "amount": 1, "currency": "GBP"}, "payment": {"provider": "test", "token": "tok_ok"}},
            Idempotency_Key=new_id()).json["code"] == "price_changed", within=30)


def stock(client: Client, sku: str) -> tuple[int, int]:
    answer = client.get(f"/v1/stock/{sku}").json
    return answer["on_hand"], answer["reserved"]


def ends(admin: Client, email: str) -> dict[str, int]:
    """How many orders of the address stand where."""
    found, cursor = {}, ""
    while cursor is not None:
        page = admin.get(f"/v1/orders?email={email}&limit=100{cursor and '&cursor=' + cursor}").json
        for order in page["items"]:
            found[order["status"]] = found.get(order["status"], 0) + 1
        cursor = page["next_cursor"]
    return found


def race(admin: Client, shoppers: list[Shopper], sku: str, pieces: int) -> Round:
    """One round; raises where it ends otherwise than it must."""
    this, email = Round(), f"{new_id()}@example.org"
    # Whose session it is may not be known in time where the machine is busy: 503, which is no race.
    eventually("the pieces are in stock", lambda: admin.put(f"/v1/stock/{sku}", {"on_hand": pieces}).status == 200)
    began = time.monotonic()
    answers = at_once([lambda s=shopper: s.order([(sku, 1)], email) for shopper in shoppers])
    this.placing_s = time.monotonic() - began
    refused = [answer for answer in answers if answer[0] != 201]
    assert not refused, f"{len(refused)} of {len(answers)} were not accepted: {refused[:3]}"

    def decided() -> bool:
        this.ends = ends(admin, email)
        return not {"pending", "reserved"} & this.ends.keys() and sum(this.ends.values()) == len(shoppers)

    eventually("every order has its end", decided, within=60)
    this.deciding_s = time.monotonic() - began
    sold = sum(this.ends.get(status, 0) for status in SOLD)
    assert (sold, this.ends.get("rejected", 0)) == (pieces, len(shoppers) - pieces), this.ends
    # What is sold leaves the stock when inventory has heard of the payment.
    eventually("nothing is left or held", lambda: stock(admin, sku) == (0, 0), within=60)
    return this


def movements_of(admin: Client, sku: str) -> dict[str, int]:
    """The sums of the ledger by kind."""
    sums, cursor = {}, ""
    while cursor is not None:
        page = admin.get(f"/v1/stock/{sku}/movements?limit=100{cursor and '&cursor=' + cursor}").json
        for movement in page["items"]:
            sums[movement["kind"]] = sums.get(movement["kind"], 0) + movement["delta"]
        cursor = page["next_cursor"]
    return sums
