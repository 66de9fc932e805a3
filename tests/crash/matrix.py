"""The walk: each service is told to die at each of its points, one after the other, and all services at once.

The ten walk side by side under traffic, so that a crash of one falls into the recovery of another, as
in a bad night. A walk does what its service needs to get to the point until the point's file is gone and the
supervisor has seen the exit, and waits for the service to run again.
"""
import contextlib
import functools
import itertools
import json
import pathlib
import random
import re
import subprocess
import threading
import xmlrpc.client

import supervisor.xmlrpc
import yaml

from crash.traffic import Receiver, Traffic
from support.messages import message, new_id
from support.stack import BUILD, PORT_BASE, ROOT, Stack
from support.waiting import PATIENCE, eventually

EXIT_STATUS = 86  # SK_CRASH_STATUS
VISIT_WITHIN_S = 60
SERVICES = sorted(p.name for p in (ROOT / "services").iterdir() if (p / "main.c").exists())

# Points that a service has but cannot get to, each with its reason.
UNREACHED = {
    ("audit", point): "it owns the stream that others publish to, and publishes nothing"
    for point in ("relay_before_publish", "relay_before_mark", "relay_marked")
}

@functools.cache
def points_of(service: str) -> list[str]:
    """The names that the test build of the service prints."""
    done = subprocess.run([BUILD / "bin" / service, "--crash-points"], capture_output=True, text=True, check=True)
    return [line.split("\t")[0] for line in done.stdout.splitlines()]


@functools.cache
def poisons_for(service: str) -> list[tuple[str, str]]:
    """Subject and type of the messages that the service may want, from its filters and the contract: broken
    ones of those it wants it will bury."""
    declared = {s["name"]: s for s in json.loads((BUILD / "topology.json").read_text())["services"]}
    contract = yaml.safe_load((ROOT / "proto" / "asyncapi.yaml").read_text())
    filters = [re.compile(re.escape(c["filter"]).replace(r"\*", "[^.]+").replace(">", ".+"))
               for c in declared[service]["consumers"]]
    found = []
    for channel in contract["channels"].values():
        subject = re.sub(r"\{\w+\}", "{}", channel["address"])
        if any(f.fullmatch(subject.format("x")) for f in filters):
            found += [(subject, contract["components"]["messages"][name]["name"]) for name in channel["messages"]]
    return found


class Matrix:
    def __init__(self, rounds: int, seed: int):
        self.stack = Stack("crash", services="all", port_base=PORT_BASE + 2000, SHIPPING_TEST_ADVANCE_MS="1500",
                           SESSION_LOGINS_PER_MINUTE="10000", SOUK_CRASH_DIR=str(self._folder()))
        self._folder().mkdir()
        self.receiver = Receiver()
        self.traffic = Traffic(self.stack, self.receiver)
        self.rounds, self._random = rounds, random.Random(seed)
        self.visited: list[tuple[str, str]] = []
        self.failures: list[str] = []
        self.poisons: list[str] = []  # the ids of all
        self._stop = threading.Event()
        traffic = self.traffic
        self._doings = {
            "session": [traffic.come_and_go],
            "catalog": [traffic.change_product, traffic.adjust],
            "cart": [traffic.fill_cart],
            "order": [traffic.read],
            "inventory": [traffic.adjust, traffic.buy],
            "payment": [traffic.buy, traffic.refund],
            "shipping": [traffic.buy],
            "notification": [traffic.change_endpoint, traffic.buy],
            "audit": [traffic.look, traffic.adjust],
            "analytics": [traffic.look, traffic.buy],
        }

    @staticmethod
    def _folder() -> pathlib.Path:
        return ROOT / ".test" / "crash" / "armed"

    def close(self) -> None:
        self.stack.stop()
        self.receiver.close()

    # ---- the supervisor ----

    def _supervisor(self):
        """A connection of one call: the proxy is not for several threads."""
        transport = supervisor.xmlrpc.SupervisorTransport(None, None, f"unix://{self.stack.folder}/supervisor.sock")
        return xmlrpc.client.ServerProxy("http://127.0.0.1", transport=transport).supervisor

    def _processes(self, service: str) -> list[dict]:
        """Its replicas."""
        return [p for p in self._supervisor().getAllProcessInfo() if re.fullmatch(rf"{service}([-_]?\d+)?", p["name"])]

    def _runs(self, service: str) -> bool:
        return all(p["statename"] == "RUNNING" for p in self._processes(service))

    def _kill(self, service: str) -> None:
        for process in self._processes(service):
            self._supervisor().signalProcess(f"{process['group']}:{process['name']}", "KILL")

    def crashes(self, service: str) -> int:
        """How often the supervisor saw it exit at a point."""
        log = (self.stack.folder / "log" / "supervisord.log").read_text()
        return len(re.findall(rf"exited: {service}([-_]?\d+)? \(exit status {EXIT_STATUS}[;)]", log))

    # ---- walking ----

    def _poison(self, subject: str, type_name: str) -> None:
        """One message that says it is of the type and is not."""
        event_id = new_id()
        self.poisons.append(event_id)
        with contextlib.suppress(OSError, AssertionError):  # a broker that is slow: another one follows
            with contextlib.closing(self.stack.bus()) as bus:
                bus.publish_acked(subject.format(new_id()), b"\xff\xff\xff", {
                    "Nats-Msg-Id": event_id, "ce-specversion": "1.0", "ce-id": event_id, "ce-type": type_name,
                    "ce-source": "souk/tests", "ce-time": "2026-01-01T00:00:00Z",
                    "content-type": "application/protobuf"})

    def _doings_for(self, service: str, point: str):
        """What to do, again and again, to get the service to the point."""
        if not point.startswith("letter_"):
            return itertools.cycle(self._doings.get(service, [self.traffic.buy]))
        # One message of each kind in turn, with some patience for what became of it.
        doings = []
        for subject, type_name in poisons_for(service):
            doings += [functools.partial(self._poison, subject, type_name), *[lambda: None] * 12]
        return itertools.cycle(doings)

    def _visit(self, service: str, point: str, skip: int) -> None:
        """The service dies at the point, and runs again."""
        armed, before = self._folder() / service, self.crashes(service)
        fresh = armed.with_suffix(".new")
        fresh.write_text(f"{point} {skip}")
        fresh.rename(armed)
        doings = self._doings_for(service, point)
        wrong: list[Exception] = []
        if point == "relay_leading":  # a process gets there once, soon after its start
            self._kill(service)

        def it_died() -> bool:
            if armed.exists():
                try:
                    next(doings)()
                except Exception as error:  # pylint: disable=broad-except
                    wrong.append(error)
            return bool(wrong) or (not armed.exists() and self.crashes(service) > before)

        try:
            eventually(f"{service} dies at {point}", it_died, within=VISIT_WITHIN_S)
        finally:
            armed.unlink(missing_ok=True)
        if wrong:
            raise wrong[0]
        self.visited.append((service, point))
        eventually(f"{service} runs again after {point}", lambda: self._runs(service), within=30)

    def _walk(self, service: str, plan: list[tuple[str, int]]) -> None:
        for point, skip in plan:
            try:
                self._visit(service, point, skip)
            except Exception as error:  # pylint: disable=broad-except
                self.failures.append(f"{service} at {point}: {error!r}")

    def _buy_until_stopped(self) -> None:
        try:
            while not self._stop.wait(0.3):
                self.traffic.mix()
        except Exception as error:  # pylint: disable=broad-except
            self.failures.append(f"traffic: {error!r}")

    def _plan(self, service: str, turn: int) -> list[tuple[str, int]]:
        """The first round dies at the first visit of each point, further ones at some later one."""
        points = [p for p in points_of(service) if (service, p) not in UNREACHED]
        if turn > 0:
            self._random.shuffle(points)
        skips = {p: self._random.randrange(1, 6) if turn > 0 and p.startswith(("consumer_", "relay_", "kv_", "http_"))
                 and p != "relay_leading" else 0 for p in points}
        return [(p, skips[p]) for p in points]

    def run(self) -> None:
        message("souk.orders.v1.OrderPaid")  # the Python classes are made once, before there are threads
        eventually("all run", lambda: all(self._runs(s) for s in SERVICES), within=30)
        shoppers = [threading.Thread(target=self._buy_until_stopped) for _ in range(2)]
        for shopper in shoppers:
            shopper.start()
        for turn in range(self.rounds):
            walks = [threading.Thread(target=self._walk, args=(s, self._plan(s, turn))) for s in SERVICES]
            for walk in walks:
                walk.start()
            for walk in walks:
                walk.join()
        self._stop.set()
        for shopper in shoppers:
            shopper.join()
        self.traffic.one_of_each()

    # ---- afterwards ----

    def _unsettled(self) -> list[str]:
        """What is still under way."""
        waiting = []
        with contextlib.closing(self.stack.bus()) as bus:
            for stream in ("sessions", "catalog", "carts", "orders", "inventory", "payments", "shipments",
                           "notifications", "audit"):
                for info in bus.api(f"CONSUMER.LIST.{stream}")["consumers"]:
                    if info["num_pending"] or info["num_ack_pending"]:
                        waiting.append(f"consumer {info['name']}: {info['num_pending']} {info['num_ack_pending']}")
        for service, what, sql in DUE:
            count = self.stack.rows(service, sql)[0][0]
            if count:
                waiting.append(f"{service}: {count} {what}")
        return waiting

    def settle(self) -> None:
        """Waits until nothing is under way any more: a message that a dead process had fetched comes
        again after the broker's ack_wait of 30 s, and leases are of that size."""
        last: list[str] = []

        def quiet() -> bool:
            last[:] = self._unsettled()
            return not last

        try:
            eventually("nothing is under way", quiet, within=max(150, 150 / PATIENCE))
        except AssertionError as error:
            self.failures.append(f"{error}: {last[:20]}")


# (service, what, how many are not done)
DUE = [(s, "events to relay", "SELECT count(*) FROM outbox WHERE sent_at IS NULL") for s in SERVICES if s != "cart"] + [
    ("order", "orders", "SELECT count(*) FROM customer_order WHERE status NOT IN"
     " ('delivered', 'rejected', 'payment_failed', 'cancelled', 'refunded')"),
    ("order", "answers owed", "SELECT count(*) FROM customer_order WHERE deadline_at IS NOT NULL"),
    ("payment", "charges", "SELECT count(*) FROM payment WHERE state IN ('requested', 'charging')"),
    ("payment", "refunds", "SELECT count(*) FROM refund WHERE state IN ('requested', 'sent')"),
    ("payment", "webhooks of charges", "SELECT count(*) FROM test_provider_charge WHERE due_at IS NOT NULL"),
    ("payment", "webhooks of refunds", "SELECT count(*) FROM test_provider_refund WHERE due_at IS NOT NULL"),
    ("shipping", "parcels", "SELECT count(*) FROM shipment WHERE state IN ('label_created', 'shipped')"),
    ("notification", "mails", "SELECT count(*) FROM message WHERE due_at IS NOT NULL"),
    ("notification", "webhooks", "SELECT count(*) FROM webhook_delivery WHERE due_at IS NOT NULL"),
]
