"""The faults, each a context manager: the trouble begins, the with's body runs in it, the trouble ends.

with killed(shop, "order"): …       what dies is started again by the supervisor
with cut(shop, "order", "postgres"): …

FAULTS lists them by name, with how long each lasts and how it is healed. Whatever happens in the
body, the end of the with heals: a suite that fails leaves no stopped process behind.
"""
import contextlib
import functools
import os
import pathlib
import shutil
import signal
import sys
from dataclasses import dataclass
from typing import Callable

import requests

from chaos.shop import CLOCK_LIBRARY, SERVICES, STORES, ChaosShop
from support.waiting import let_pass

SLOW_BYTES_PER_SECOND = 6000
UNREAD_S = 4
LINK_S = 5
OTHERS = ("nats", "valkey", "postgres", "gateway")


@dataclass(frozen=True)
class Fault:
    name: str
    seconds: float  # how long it lasts
    healed: str     # by whom, how
    on: Callable    # on(shop) is the context manager
    impossible: Callable[[ChaosShop], str | None] = lambda shop: None  # why it cannot be had here
    before: Callable[[ChaosShop], None] = lambda shop: None  # what it needs, made ready while nothing runs
    after: Callable[[ChaosShop], None] = lambda shop: None
    usual: bool = True       # whether it is had unless others are named


# ---- processes ----

def family(pid: int) -> list[int]:
    """A process and what it started: PostgreSQL's backends, nginx's workers. (Their parents have one thread.)"""
    found = [pid]
    for member in found:
        with contextlib.suppress(OSError):
            found += map(int, pathlib.Path(f"/proc/{member}/task/{member}/children").read_text().split())
    return found


def send(pids: list[int], number: signal.Signals) -> None:
    for pid in pids:
        for member in family(pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(member, number)


@contextlib.contextmanager
def killed(shop: ChaosShop, part: str, replicas: int | None = None):
    """kill -9 of a part: all its processes, or so many of its replicas."""
    send(shop.pids(part)[:replicas], signal.SIGKILL)
    yield


@contextlib.contextmanager
def stopped(shop: ChaosShop, part: str):
    """SIGSTOP: it is there, and answers nothing."""
    pids = shop.pids(part)
    send(pids, signal.SIGSTOP)
    try:
        yield
    finally:
        send(pids, signal.SIGCONT)


# ---- stores ----

@contextlib.contextmanager
def emptied(shop: ChaosShop):
    """All that Valkey holds is gone, the services' functions too."""
    valkey = shop.valkey()
    valkey.flushall()
    valkey.function_flush()
    yield


def _empty(folder: pathlib.Path) -> None:
    for entry in folder.iterdir():
        if entry.is_dir():
            shutil.rmtree(entry)
        else:
            entry.unlink()


@contextlib.contextmanager
def store_deleted(shop: ChaosShop):
    """Every stream and every consumer of the broker is gone."""
    shop.supervisor.stopProcess("nats", True)
    try:
        _empty(shop.folder / "nats")
        yield
    finally:
        shop.supervisor.startProcess("nats", False)


@contextlib.contextmanager
def unread_store_deleted(shop: ChaosShop):
    """The same while three services lag behind: what they have not read is gone from the broker, too."""
    with contextlib.ExitStack() as asleep:
        for part in ("notification", "audit", "analytics"):
            asleep.enter_context(stopped(shop, part))
        let_pass(UNREAD_S)
        with store_deleted(shop):
            asleep.close()
            yield


def jetstream_runs(shop: ChaosShop) -> bool:
    with contextlib.suppress(requests.RequestException):
        return not requests.get(f"{shop.monitor_url}/jsz", timeout=5).json().get("disabled")
    return False


@contextlib.contextmanager
def disk_full(shop: ChaosShop):
    """Not a byte is left for the broker's streams. It then turns its JetStream off by itself, so
    whoever makes room also has to start it again."""
    filler = shop.folder / "nats" / "filler"
    with open(filler, "wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(1 << 16))
    try:
        yield
    finally:
        filler.unlink(missing_ok=True)
        if not jetstream_runs(shop):
            shop.restart("nats")


def has_small_store(shop: ChaosShop) -> str | None:
    return None if shop.store_mount else "a small file system cannot be mounted here"


# ---- the network ----

@contextlib.contextmanager
def cut(shop: ChaosShop, service: str, store: str):
    link = shop.links[service, store]
    link.cut()
    try:
        yield
    finally:
        link.mend()


@contextlib.contextmanager
def slow(shop: ChaosShop, service: str, store: str):
    link = shop.links[service, store]
    link.slow_down(SLOW_BYTES_PER_SECOND)
    try:
        yield
    finally:
        link.speed_up()


@contextlib.contextmanager
def in_turn(shop: ChaosShop, trouble: Callable, service: str):
    """The trouble with each of a service's links, one after the other."""
    *first, last = links_of(service)
    for store in first:
        with trouble(shop, service, store):
            let_pass(LINK_S)
    with trouble(shop, service, last):
        yield


def links_of(service: str) -> list[str]:
    return [store for store in STORES if (service, store) != ("cart", "postgres")]  # it has no tables


def has_links(service: str, shop: ChaosShop) -> str | None:
    return next(filter(None, (has_link(service, store, shop) for store in links_of(service))), None)


def has_link(service: str, store: str, shop: ChaosShop) -> str | None:
    return None if (service, store) in shop.links else "this stack has no such link"


# ---- the clock ----

def set_clocks(shop: ChaosShop, minutes: int) -> None:
    for service in SERVICES:
        with open(shop.clock_file(service), "r+b") as file:
            file.write((minutes * 60 * 10**6).to_bytes(8, sys.byteorder, signed=True))


def give_clocks(shop: ChaosShop) -> None:
    """Before the load: the services start again with a clock that can be set (see clock.c)."""
    for service in SERVICES:
        shop.clock_file(service).write_bytes(bytes(8))
    shop.restart(*SERVICES)


def take_clocks(shop: ChaosShop) -> None:
    for service in SERVICES:
        shop.clock_file(service).unlink(missing_ok=True)  # of two clock faults at once the other one has
    shop.restart(*SERVICES)


@contextlib.contextmanager
def clock_stepped(shop: ChaosShop, minutes: int):
    """The services' clock jumps while they run, and jumps back."""
    set_clocks(shop, minutes)
    try:
        yield
    finally:
        set_clocks(shop, 0)


def has_clock(_shop: ChaosShop) -> str | None:
    return None if CLOCK_LIBRARY.exists() else f"{CLOCK_LIBRARY.name} is not built: make chaos"


def has_replicas(shop: ChaosShop) -> str | None:
    return None if shop.replicas > 1 else "this stack has one of each"


# ---- all of them ----

def _all_faults():
    by_itself, continued = "the supervisor starts it again", "SIGCONT"
    for part in SERVICES + OTHERS:
        yield Fault(f"kill-{part}", 2, by_itself, functools.partial(killed, part=part))
    for part in SERVICES:
        yield Fault(f"kill-one-{part}", 2, by_itself, functools.partial(killed, part=part, replicas=1), has_replicas)
    for part in SERVICES + OTHERS:
        yield Fault(f"stop-{part}", 10, continued, functools.partial(stopped, part=part))
    yield Fault("empty-valkey", 2, "the provisioner loads the functions again", emptied)
    yield Fault("delete-store", 2, "the broker starts, the provisioner makes the streams again", store_deleted)
    yield Fault("delete-unread-store", 2, "likewise; the outboxes tell again what was not read", unread_store_deleted)
    yield Fault("fill-store", 5, "room is made, and the broker started where it gave up", disk_full, has_small_store)
    for word, trouble, mended in (("cut", cut, "the link carries again"), ("slow", slow, "it is at full speed again")):
        for service in SERVICES:
            yield Fault(f"{word}-{service}", LINK_S, f"{mended}, then the next link", functools.partial(
                in_turn, trouble=trouble, service=service), functools.partial(has_links, service))
            for store in links_of(service):
                yield Fault(f"{word}-{service}-{store}", LINK_S, mended, functools.partial(
                    trouble, service=service, store=store), functools.partial(has_link, service, store), usual=False)
    yield Fault("clock-ahead", 6, "it is set back", functools.partial(clock_stepped, minutes=60), has_clock, give_clocks, take_clocks)
    yield Fault("clock-behind", 6, "it is set again", functools.partial(clock_stepped, minutes=-60), has_clock, give_clocks, take_clocks)


FAULTS = {fault.name: fault for fault in _all_faults()}

