#!/usr/bin/python3
"""The fault suite: shoppers come steadily, a fault happens, and once it is quiet nothing may be wrong.

usage: make chaos [ARGUMENTS="--faults kill-order,empty-valkey --seed 47 --rate 8 --replicas 2 --minutes 28"]
       make chaos ARGUMENTS=--list

First each fault by itself, then two at random at once until the time is up. After each the load
stops, and the checker, which shares nothing with the services, looks at the stores. A line each:
  fault      what happened
  orders     accepted during this trial
  a second   accepted in a second while the fault lasted
  recovered  seconds from the healing until an order placed then was paid
  quiet      seconds from the healing until all that was ever ordered had come to its end
  lost, doubled, oversold, other   what the checker found, of each kind
"""
import argparse
import contextlib
import itertools
import pathlib
import random
import signal
import sys
import time
from dataclasses import dataclass, field

import psycopg2

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

# pylint: disable=wrong-import-position
from chaos import rules  # noqa: E402
from chaos.checker import Checker, Violation  # noqa: E402
from chaos.faults import FAULTS, Fault  # noqa: E402
from chaos.journal import Journal  # noqa: E402
from chaos.shop import ChaosShop  # noqa: E402
from chaos.shoppers import Shoppers  # noqa: E402
from support.stack import PORT_BASE  # noqa: E402
from support.waiting import PATIENCE, eventually, let_pass  # noqa: E402

BEFORE_S = 2         # of load before the fault
QUIET_WITHIN_S = 100  # deadlines, not expectations
RECOVER_WITHIN_S = 120
KINDS = ("lost", "doubled", "oversold", "other")
HEAD = f"{'fault':<44} {'orders':>6} {'a second':>8} {'recovered':>9} {'quiet':>6}  " + "  ".join(KINDS)


@dataclass
class Trial:
    name: str
    orders: int = 0
    a_second: float = 0
    recovered: float = 0
    quiet: float = 0
    violations: list[Violation] = field(default_factory=list)

    def count(self, kind: str) -> int:
        return sum(violation.kind == kind for violation in self.violations)

    def __str__(self) -> str:
        counts = "  ".join(f"{self.count(kind):>{len(kind)}}" for kind in KINDS)
        return f"{self.name:<44} {self.orders:>6} {self.a_second:>8.1f} {self.recovered:>9.1f} {self.quiet:>6.1f}  {counts}"


class Suite:
    """A shop, its shoppers and the checker; run() is one trial."""

    def __init__(self, shop: ChaosShop, seed: int, rate: float = 8):
        self.shop, self.random = shop, random.Random(seed)
        self.journal = Journal(shop.folder / "journal.jsonl")
        self.shoppers = Shoppers(shop.gateway, seed, self.journal, rate)
        self.checker = Checker(shop.postgres_url(), shop.mail_url, shop.monitor_url)
        self.shoppers.prepare()
        shop.hasten_redelivery()
        self.trials: list[Trial] = []
        self.known: set[Violation] = set()  # what was found so far

    def run(self, *faults: Fault) -> Trial:
        trial = Trial(" + ".join(fault.name for fault in faults) or "nothing")
        accepted = len(self.journal.accepted())
        for fault in faults:
            fault.before(self.shop)
        with self.shoppers:
            let_pass(BEFORE_S)
            began, before = time.time(), time.monotonic()
            self._suffer(faults)
            lasted, healed = time.monotonic() - before, time.monotonic()
            trial.recovered, recovered = self._recover()
        in_time = [p for p in self.journal.accepted() if began <= p.answered_at <= began + lasted]
        trial.a_second = len(in_time) / max(lasted, 0.1)
        trial.violations = self.settle() + recovered
        trial.quiet = time.monotonic() - healed
        trial.orders = len(self.journal.accepted()) - accepted
        for fault in faults:
            fault.after(self.shop)
        self.shop.hasten_redelivery()  # of consumers that were made again, too
        self.trials.append(trial)
        return trial

    def _suffer(self, faults) -> None:
        with contextlib.ExitStack() as trouble:
            for fault in faults:
                trouble.enter_context(fault.on(self.shop))
            let_pass(max((fault.seconds for fault in faults), default=0))

    def _recover(self) -> tuple[float, list[Violation]]:
        """Seconds until an order that is placed now is paid, and what kept it from being paid."""
        began = time.monotonic()
        purchase = self.shoppers.place_one()
        try:
            eventually("an order placed after the healing is paid", lambda: self.checker.rows(
                f"{rules.ORDERS} WHERE ship_line2 = %s AND status IN ('paid', 'shipped', 'delivered')", purchase.key),
                       within=RECOVER_WITHIN_S)
        except AssertionError as late:
            return time.monotonic() - began, [Violation("other", "the shop takes orders again", str(late))]
        return time.monotonic() - began, []

    def settle(self) -> list[Violation]:
        """Waits for quiet, then checks. What is found may still be on its way (a stream that was just
        made again is about to be filled), so it is looked at again until the deadline. What was
        found after an earlier fault is not told again, nor waited for."""
        deadline, fresh = time.monotonic() + QUIET_WITHIN_S * PATIENCE, None
        while fresh is None or fresh and time.monotonic() < deadline:
            let_pass(0.5 if fresh else 0)
            try:
                fresh = self._look()
            except (OSError, psycopg2.Error) as error:  # a store that is starting
                fresh = [Violation("other", "the stores can be asked", str(error))]
        self.known |= set(fresh)
        return fresh

    def _look(self) -> list[Violation]:
        """What is wrong, and was not before."""
        under_way = {Violation("lost", "the shop comes to rest", what) for what in self.checker.unquiet()}
        return list(under_way - self.known) or [v for v in self.checker.check(self.journal) if v not in self.known]


# ---- the command ----

def chosen(names: str, shop: ChaosShop) -> list[Fault]:
    """The faults by their names (all of them by default), less those that cannot be had here."""
    faults = [FAULTS[name] for name in names.split(",")] if names else [f for f in FAULTS.values() if f.usual]
    for fault in faults:
        if why := fault.impossible(shop):
            print(f"{fault.name:<44} skipped: {why}", flush=True)
    return [fault for fault in faults if not fault.impossible(shop)]


def report(suite: Suite, trial: Trial) -> None:
    print(trial, flush=True)
    for violation in trial.violations[:10]:
        print(f"    {violation}", flush=True)
    if trial.violations:
        print("\n".join(f"    {line}" for line in suite.shop.burials()[-5:]), flush=True)


def total(suite: Suite, began: float, wanted: int) -> int:
    trials, purchases = suite.trials, suite.journal.purchases
    suite.checker.forget()
    suite.settle()
    last = suite.known
    slowest = max(trials, key=lambda trial: trial.recovered)
    print(f"\n{len(trials)} trials in {(time.monotonic() - began) / 60:.1f} min: {len(suite.journal.accepted())} orders "
          f"accepted of {len(purchases)} wanted; " + ", ".join(
              f"{sum(t.count(kind) for t in trials)} {kind}" for kind in KINDS))
    print(f"longest recovery: {slowest.recovered:.1f} s ({slowest.name}); during faults "
          f"{sum(t.a_second for t in trials) / len(trials):.1f} orders a second; "
          f"{rules.repeated_mails(suite.checker)} mails handed over again after a crash")
    if len(trials) < wanted:
        print(f"the time was up before {wanted - len(trials)} faults had their turn")
    print(f"the whole run, read again from the beginning: {len(last)} violations")
    return 1 if last or any(trial.violations for trial in trials) else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--faults", default="", help="names, separated by commas; all of them by default")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--rate", type=float, default=8, help="shoppers a second")
    parser.add_argument("--replicas", type=int, default=2, help="of each service")
    parser.add_argument("--minutes", type=float, default=28, help="after which nothing new is begun")
    parser.add_argument("--rounds", type=int, default=1000, help="of two faults at once, at most")
    parser.add_argument("--list", action="store_true", help="what faults there are")
    arguments = parser.parse_args()
    if arguments.list:
        print("\n".join(f"{fault.name:<32} {fault.seconds:>3} s, then {fault.healed}" for fault in FAULTS.values()))
        return 0
    began = time.monotonic()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("the suite was told to end"))  # and stops its shop
    shop = ChaosShop("chaos", PORT_BASE + 3000, replicas=arguments.replicas, small_store=True)
    try:
        suite = Suite(shop, arguments.seed, arguments.rate)
        faults = chosen(arguments.faults, shop)
        print(f"seed {arguments.seed}, {arguments.rate:g} shoppers a second, {arguments.replicas} of each service\n\n{HEAD}")
        pairs = (suite.random.sample(faults, 2) for _ in range(arguments.rounds if len(faults) > 1 else 0))
        for together in itertools.chain(([fault] for fault in faults), pairs):
            if time.monotonic() - began > arguments.minutes * 60:
                break
            report(suite, suite.run(*together))
        return total(suite, began, len(faults))
    finally:
        shop.stop()


if __name__ == "__main__":
    sys.exit(main())
