"""The shop as the fault suite runs it: the local stack, with a handle on each part.

The stack itself knows nothing of faults. It is given a folder of programs in which each service
is a few lines of shell: they lead the service's three stores through links of its own (see
links.py), set its clock where a fault asks for that, and become the real program (exec), so that
its process id is the one that the supervisor knows.
"""
import contextlib
import os
import pathlib
import re
import shutil
import subprocess
import xmlrpc.client

import supervisor.xmlrpc

from chaos.links import Link
from support.stack import BUILD, ROOT, Stack
from support.waiting import eventually

SERVICES = ("session", "catalog", "cart", "order", "inventory", "payment", "shipping", "notification", "audit",
            "analytics")
STORES = {"postgres": 1, "valkey": 2, "nats": 3}  # and where their ports are, counted from the stack's first
LINKS_FROM = 900  # likewise
NATS_STORE_MB = 192
CLOCK_LIBRARY = BUILD / "test" / "clock.so"  # see clock.c
ACK_WAIT_S = 12  # longer than a consumer's batch may take (10 s)
# What suits a day in minutes: parcels advance fast, an order asks again soon for what it got no answer to.
SETTINGS = {"SHIPPING_TEST_ADVANCE_MS": "700", "ORDER_RESEND_S": "8", "SESSION_LOGINS_PER_MINUTE": "10000"}

WRAPPER = """#!/bin/sh
# {service} as the stack starts it, behind links and with a clock of its own.
umask 077
through() {{ # link's name, port of the store, port of the link
	sed "s/\\([:=]\\)$2\\$/\\1$3/" "$4" >"{folder}/{service}-$1.$$"
}}
{links}
if [ -e "{clock}" ]; then
	export LD_PRELOAD="{library}" SOUK_TEST_CLOCK="{clock}"
fi
exec "{program}" "$@"
"""


class ChaosShop(Stack):
    """links: which (service, store) pairs have a link of their own; all of them where none is named."""

    def __init__(self, name: str, port_base: int, replicas: int = 1, links=None, small_store: bool = False):
        self.parts = ROOT / ".test" / f"{name}-parts"
        self.replicas = replicas
        nats_store = ROOT / ".test" / name / "nats"
        shutil.rmtree(self.parts, ignore_errors=True)
        (self.parts / "bin").mkdir(parents=True)
        pairs = [(service, store) for service in SERVICES for store in STORES] if links is None else list(links)
        self.links = {(service, store): Link(self.parts / f"link-{service}-{store}",
                                             port_base + LINKS_FROM + number, port_base + STORES[store])
                      for number, (service, store) in enumerate(pairs)}
        self._write_programs()
        self.store_mount = self._mount(nats_store) if small_store else None
        super().__init__(name, services="all", port_base=port_base,
                         **(SETTINGS | {"SOUK_BUILD": str(self.parts), "SOUK_REPLICAS": str(replicas)}))
        self._supervisor = None

    # ---- made before it starts ----

    def _write_programs(self) -> None:
        for service in SERVICES:
            path = self.parts / "bin" / service
            path.write_text(WRAPPER.format(
                service=service, folder=self.parts, clock=self.clock_file(service), library=CLOCK_LIBRARY,
                program=BUILD / "bin" / service,
                links="\n".join(self._link_lines(service))))
            path.chmod(0o755)
        os.symlink(BUILD / "bin" / "soukctl", self.parts / "bin" / "soukctl")
        os.symlink(BUILD / "topology.json", self.parts / "topology.json")

    def _link_lines(self, service: str):
        for (owner, store), link in self.links.items():
            if owner == service:
                variable = f"{store.upper()}_URL_FILE"
                yield (f'through {store} {link.target} {link.port} "${variable}"\n'
                       f'export {variable}="{self.parts}/{service}-{store}.$$"')

    def _mount(self, folder: pathlib.Path) -> pathlib.Path | None:
        """A small file system for the broker's store; None where that is not ours to do."""
        subprocess.run(["umount", folder], capture_output=True, check=False)
        folder.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={NATS_STORE_MB}m", "souk-chaos", folder],
                              capture_output=True, check=False)
        return folder if done.returncode == 0 else None

    def clock_file(self, service: str) -> pathlib.Path:
        return self.parts / f"clock-{service}"

    def _command(self, word: str, **options) -> str:
        if word == "run":
            for link in self.links.values():
                link.start()
        return super()._command(word, **options)

    def stop(self) -> None:
        super().stop()
        for link in self.links.values():
            link.stop()
        if self.store_mount:
            subprocess.run(["umount", self.store_mount], capture_output=True, check=False)

    def hasten_redelivery(self) -> None:
        """A message whose consumer was killed comes again after ACK_WAIT_S, not half a minute: in
        that time nothing happens that a test could see, and a suite of a hundred faults would wait an hour."""
        bus = self.bus()
        try:
            for stream in bus.api("STREAM.NAMES")["streams"]:
                for consumer in bus.api(f"CONSUMER.LIST.{stream}").get("consumers") or []:
                    config = consumer["config"] | {"ack_wait": ACK_WAIT_S * 10**9}
                    if config == consumer["config"]:
                        continue
                    answer = bus.api(f"CONSUMER.DURABLE.CREATE.{stream}.{consumer['name']}",
                                     {"stream_name": stream, "config": config})
                    assert "error" not in answer, answer
        finally:
            bus.close()

    # ---- its parts, as processes ----

    @property
    def supervisor(self):
        if self._supervisor is None:
            transport = supervisor.xmlrpc.SupervisorTransport(None, None, f"unix://{self.folder}/supervisor.sock")
            self._supervisor = xmlrpc.client.ServerProxy("http://127.0.0.1", transport=transport).supervisor
        return self._supervisor

    def programs(self, part: str) -> list[dict]:
        """What the supervisor knows of a part: one row, or one for each replica (order-2, order_01)."""
        pattern = re.compile(rf"^{part}([-_:]?\d+)?$")
        return [row for row in self.supervisor.getAllProcessInfo() if pattern.match(row["name"])]

    def pids(self, part: str) -> list[int]:
        return [row["pid"] for row in self.programs(part) if row["pid"]]

    def restart(self, *parts: str) -> None:
        """Stops all of them, then starts them, and waits until they run."""
        names = [f"{row['group']}:{row['name']}" for part in parts for row in self.programs(part)]
        for name in names:
            with contextlib.suppress(xmlrpc.client.Fault):  # it is starting again already
                self.supervisor.stopProcess(name, False)
        eventually("they stopped", lambda: not any(self.pids(part) for part in parts), within=60)
        for name in names:
            self.supervisor.startProcess(name, False)
        eventually("they run", lambda: all(row["statename"] == "RUNNING" for row in self.supervisor.getAllProcessInfo()),
                   within=60)

    def postgres_url(self) -> str:
        """The administrator's way to the services' database."""
        return self.secret("admin", "postgres_url").replace("/postgres?", "/souk?")

    def burials(self) -> list[str]:
        """What the logs say of dead letters: which message, and why."""
        return [line.strip()[:400] for log in sorted((self.folder / "log").glob("*.log"))
                for line in log.read_text(errors="replace").splitlines() if "buried in dead." in line]
