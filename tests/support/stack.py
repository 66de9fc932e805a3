"""A private stack for tests: the real servers in .test/, on ports of their own."""
import contextlib
import hashlib
import json
import os
import pathlib
import secrets
import shutil
import signal
import socket
import subprocess
import time

import psycopg2
import redis
import requests

from support import nats, openapi
from support.messages import new_id
from support.waiting import PATIENCE, eventually

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = ROOT / os.environ.get("SOUK_BUILD", "build")
# Each stack takes a thousand ports from its base; two runs at once on one machine need bases of their own.
PORT_BASE = int(os.environ.get("SOUK_TEST_PORT_BASE", "20000"))


def free_ports(count: int) -> list[int]:
    """As many, all of them different."""
    with contextlib.ExitStack() as probes:
        sockets = [probes.enter_context(socket.socket()) for _ in range(count)]
        for probe in sockets:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in sockets]


class Stack:
    """The stores, provisioned; and where asked, every service behind the gateway."""

    def __init__(self, name: str, services: str = "none", port_base: int = PORT_BASE, **environment: str):
        self.folder = ROOT / ".test" / name
        ports = {key: str(port_base + number) for number, key in enumerate(
            ["SOUK_GATEWAY_PORT", "SOUK_POSTGRES_PORT", "SOUK_VALKEY_PORT", "SOUK_NATS_PORT",
             "SOUK_NATS_MONITOR_PORT", "SOUK_SMTP_PORT", "SOUK_MAIL_PORT"])}
        self.gateway = f"http://127.0.0.1:{ports['SOUK_GATEWAY_PORT']}"
        self.mail_url = f"http://127.0.0.1:{ports['SOUK_MAIL_PORT']}"
        self.monitor_url = f"http://127.0.0.1:{ports['SOUK_NATS_MONITOR_PORT']}"
        self.smtp_port = int(ports["SOUK_SMTP_PORT"])
        self._environment = os.environ | {"SOUK_BUILD": str(BUILD)} | ports | environment | {
            "SOUK_RUN_DIR": str(self.folder), "SOUK_SERVICES": services,
            "SOUK_SERVICE_PORT_OFFSET": str(port_base - 8000)}
        self._command("stop")
        shutil.rmtree(self.folder, ignore_errors=True)
        self._command("run")

    def _command(self, word: str, timeout: float = 120) -> str:
        done = subprocess.run([ROOT / "deploy/local/stack", word], env=self._environment,
                              capture_output=True, text=True, timeout=timeout, check=False)
        assert done.returncode == 0, f"stack {word}: {done.stdout}{done.stderr}"
        return done.stdout

    def stop(self) -> None:
        self._command("stop")

    def control(self, *words: str) -> str:
        """supervisorctl: stack.control("restart", "order")."""
        done = subprocess.run(["supervisorctl", "-c", self.folder / "generated/supervisord.conf", *words],
                              capture_output=True, text=True, timeout=60, check=False)
        return done.stdout

    def services(self) -> dict[str, int]:
        """The services and the ports that they declare."""
        topology = json.loads((BUILD / "topology.json").read_text())
        return {service["name"]: service["port"] for service in topology["services"]}

    def address(self, service: str, replica: int = 1) -> str:
        """Where one replica of a service listens, past the gateway."""
        offset = int(self._environment["SOUK_SERVICE_PORT_OFFSET"]) + (replica - 1) * 200
        return f"http://127.0.0.1:{self.services()[service] + offset}"

    def metrics(self, service: str, replica: int = 1) -> dict[str, float]:
        """What one replica says at /metrics: {'souk_outbox_leader': 1.0, 'x{label="y"}': 2.0}"""
        text = requests.get(self.address(service, replica) + "/metrics", timeout=5).text
        return {name: float(value) for name, value in (
            line.rsplit(" ", 1) for line in text.splitlines() if line and not line.startswith("#"))}

    def signal(self, service: str, replica: int, number: int) -> None:
        """Sends a signal to one replica: stack.signal("order", 2, signal.SIGKILL)."""
        program = service if replica == 1 else f"{service}-{replica}"
        os.kill(int(self.control("pid", f"shop:{program}")), number)

    def rolling(self) -> None:
        """Restarts the services, one replica after the other."""
        self._command("rolling", timeout=120 * PATIENCE)

    @contextlib.contextmanager
    def without(self, part: str):
        """with stack.without("valkey"): … what holds while it is down. Afterwards it runs again."""
        self.control("stop", part)
        try:
            yield
        finally:
            self.control("start", part)
            answers = {"postgres": lambda: self.rows("session", "SELECT 1"), "valkey": lambda: self.valkey().ping(),
                       "nats": lambda: self.bus().close() is None}
            eventually(f"{part} answers again", answers[part])

    def secret(self, owner: str, name: str) -> str:
        return (self.folder / "secrets" / owner / name).read_text().strip()

    def database(self, service: str):
        """The administrator's connection, looking at one service's schema."""
        url = self.secret("admin", "postgres_url").replace("/postgres?", "/souk?")
        connection = psycopg2.connect(url, options=f"-c search_path=souk_{service}")
        connection.autocommit = True
        return connection

    def rows(self, service: str, sql: str, *parameters) -> list[tuple]:
        """The rows of one statement in the service's schema, by the administrator."""
        connection = self.database(service)
        try:
            with connection.cursor() as cursor:
                cursor.execute(sql, parameters)
                return cursor.fetchall() if cursor.description else []
        finally:
            connection.close()

    def handled(self, service: str, event_id: str) -> bool:
        """Whether the service has committed the effect of this event."""
        return bool(self.rows(service, "SELECT 1 FROM inbox WHERE message_id = %s", event_id))

    def valkey(self) -> redis.Redis:
        return redis.Redis.from_url(self.secret("admin", "valkey_url"), decode_responses=True)

    def bus(self) -> nats.Client:
        return nats.Client(self.secret("admin", "nats_url"))

    def mails(self, **query: str) -> list[dict]:
        return requests.get(f"{self.mail_url}/messages", params=query, timeout=5 * PATIENCE).json()

    def log_in(self, role: str = "customer", email: str | None = None) -> dict:
        """A session as the session service makes them, without that service: contract tests of
        others need no log-in. {token, account_id, session_id, email}"""
        token, account, session = secrets.token_urlsafe(32), new_id(), new_id()
        email = email or f"{account[:8]}@example.org"
        key = "session:" + hashlib.sha256(token.encode()).hexdigest()
        self.valkey().hset(key, mapping={"id": session, "account_id": account, "email": email,
                                         "role": role, "last_seen": int(time.time())})
        self.valkey().expire(key, 3600)
        return {"token": token, "account_id": account, "session_id": session, "email": email}


class Answer:
    """An HTTP answer that was checked against the contract."""

    def __init__(self, response: requests.Response):
        self.status, self.headers, self.bytes = response.status_code, response.headers, response.content
        kind = response.headers.get("Content-Type", "")
        self.json = response.json() if "json" in kind and "ndjson" not in kind and response.content else None
        self.text = response.text

    def __repr__(self) -> str:
        return f"<{self.status} {self.text[:300]}>"


class Client:
    """HTTP to a service or to the gateway. Every answer is checked against proto/openapi.yaml."""

    def __init__(self, base_url: str, token: str | None = None, **headers: str):
        self.base_url, self.headers = base_url, dict(headers)
        if token:
            self.headers["Authorization"] = f"Bearer {token}"
        self._session = requests.Session()

    def as_user(self, session: dict | None) -> "Client":
        """The same address with another session (None: nobody)."""
        return Client(self.base_url, session["token"] if session else None)

    def call(self, method: str, path: str, json=None, data=None, checked: bool = True, **headers) -> Answer:
        headers = self.headers | {k.replace("_", "-"): v for k, v in headers.items()}
        self._session.cookies.clear()
        response = self._session.request(method, self.base_url + path, json=json, data=data,
                                         headers=headers, timeout=30)
        answer = Answer(response)
        if checked:
            openapi.check(method, path.split("?")[0], answer.status, response.headers.get("Content-Type", ""),
                          answer.json if answer.json is not None else (answer.text or None))
        return answer

    def get(self, path: str, **headers) -> Answer:
        return self.call("GET", path, **headers)

    def post(self, path: str, json=None, **headers) -> Answer:
        return self.call("POST", path, json=json, **headers)

    def put(self, path: str, json=None, **headers) -> Answer:
        return self.call("PUT", path, json=json, **headers)

    def patch(self, path: str, json=None, **headers) -> Answer:
        return self.call("PATCH", path, json=json, **headers)

    def delete(self, path: str, **headers) -> Answer:
        return self.call("DELETE", path, **headers)


class Service(Client):
    """One service as a process of its own, with the stack's stores."""

    def __init__(self, stack: Stack, name: str, **environment: str):
        port, live_port = free_ports(2)
        super().__init__(f"http://127.0.0.1:{port}")
        self.live_url = f"http://127.0.0.1:{live_port}"
        self.name, self.stack = name, stack
        folder = stack.folder / "secrets" / name
        variables = os.environ | {
            "POSTGRES_URL_FILE": str(folder / "postgres_url"), "VALKEY_URL_FILE": str(folder / "valkey_url"),
            "NATS_URL_FILE": str(folder / "nats_url"), "HTTP_LISTEN": f"127.0.0.1:{port}",
            "LIVE_LISTEN": f"127.0.0.1:{live_port}"}
        if name in ("payment", "shipping"):
            variables[f"{name.upper()}_WEBHOOK_SECRET_FILE"] = str(folder / "webhook_secret")
        self.log_path = stack.folder / "log" / f"contract-{name}.log"
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen([BUILD / "bin" / name], env=variables | environment, stderr=log)
        try:
            eventually(f"{name} is ready", self._is_ready, within=15)
        except AssertionError:
            self.process.kill()
            raise AssertionError(f"{name} did not start: {self.log_path.read_text()[-2000:]}") from None

    def _is_ready(self) -> bool:
        assert self.process.poll() is None, "it exited"
        return requests.get(self.base_url + "/readyz", timeout=2).status_code == 200

    def stop(self) -> None:
        """Ends it as a supervisor would; it has to drain and exit with 0."""
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(timeout=30)
        text = self.log_path.read_text(errors="replace")
        assert status == 0, f"{self.name} exited with {status}: {text[-3000:]}"
        for word in ("ERROR: AddressSanitizer", "runtime error:", "ERROR: LeakSanitizer"):
            assert word not in text, text[text.index(word):][:3000]
