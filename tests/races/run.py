#!/usr/bin/python3
"""Races shoppers for the last pieces, round after round, and ends with one line of what came out.

usage: run.py [--rounds 1000] [--shoppers 50] [--pieces 10] [--lanes 2] [--gateway URL]

A lane is one hot SKU with its own shoppers; lanes run beside each other, rounds of a lane after each other.
Without --gateway the whole shop is started in .test/races, and stopped afterwards.
"""
import argparse
import contextlib
import signal
import statistics
import sys
import threading
import time

from races import hot_sku
from support.messages import new_id
from support.stack import PORT_BASE, Client, Stack

PROGRESS_ROUNDS = 50
ADMIN = {"email": "admin@souk.localhost", "password": "souk-admin"}


class Lane(threading.Thread):
    def __init__(self, gateway: str, options: argparse.Namespace, rounds: int):
        super().__init__(daemon=True)
        self.sku, self.rounds, self.pieces = f"HOT-{new_id()[-12:]}", rounds, options.pieces
        anyone = Client(gateway)
        self.admin = anyone.as_user(anyone.post("/v1/sessions", ADMIN).json)
        self.shoppers = [hot_sku.Shopper(gateway) for _ in range(options.shoppers)]
        self.done: list[hot_sku.Round] = []
        self.failures: list[str] = []

    def run(self) -> None:
        hot_sku.sell(self.admin, self.sku)
        for number in range(1, self.rounds + 1):
            try:
                self.done.append(hot_sku.race(self.admin, self.shoppers, self.sku, self.pieces))
            except Exception as error:  # pylint: disable=broad-except
                self.failures.append(f"{self.sku} round {number}: {error!r}")
                print(self.failures[-1], file=sys.stderr)
                return  # what follows would start from a stock that is not what it should be
            if number % PROGRESS_ROUNDS == 0:
                print(f"{self.sku}: {number} of {self.rounds} rounds", flush=True)
        sales = hot_sku.movements_of(self.admin, self.sku).get("sale", 0)
        if sales != -self.pieces * self.rounds:
            self.failures.append(f"{self.sku}: the ledger has {sales} pieces sold")


def report(lanes: list[Lane], shoppers: int, took_s: float) -> bool:
    rounds = [this for lane in lanes for this in lane.done]
    failures = [failure for lane in lanes for failure in lane.failures]
    if rounds:
        orders = len(rounds) * shoppers
        placing = sum(this.placing_s for this in rounds) / len(lanes)
        print(f"{orders} orders in {took_s:.0f} s: {orders / took_s:.0f}/s from placing to the end, "
              f"{orders / placing:.0f}/s while placing; a round of {shoppers} was decided in "
              f"{statistics.median(this.deciding_s for this in rounds) * 1000:.0f} ms (median), "
              f"{max(this.deciding_s for this in rounds) * 1000:.0f} ms (worst)")
    print(f"{len(rounds)} rounds as they must be, {len(failures)} not")
    return not failures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    for name, default in (("rounds", 1000), ("shoppers", 50), ("pieces", 10), ("lanes", 2)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--gateway")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # the shop is stopped then, too
    with contextlib.ExitStack() as cleanup:
        gateway = options.gateway
        if gateway is None:
            stack = Stack("races", services="all", port_base=PORT_BASE + 2000, SHIPPING_TEST_ADVANCE_MS="0")
            cleanup.callback(stack.stop)
            gateway = stack.gateway
        shares = [options.rounds // options.lanes + (lane < options.rounds % options.lanes)
                  for lane in range(options.lanes)]
        lanes = [Lane(gateway, options, share) for share in shares if share > 0]
        began = time.monotonic()
        for lane in lanes:
            lane.start()
        for lane in lanes:
            lane.join()
        good = report(lanes, options.shoppers, time.monotonic() - began)
    sys.exit(0 if good else 1)


main()
