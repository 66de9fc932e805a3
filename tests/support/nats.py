"""A small NATS client for tests: publish with headers, subscribe, JetStream requests.

Debian 12 has no Python client for NATS, and the tests take nothing from PyPI. This speaks
the text protocol over one socket with one reader thread; it is not for production.
"""
import itertools
import json
import queue
import secrets
import socket
import threading
import time
from dataclasses import dataclass, field
from urllib.parse import unquote, urlparse


@dataclass
class Message:
    subject: str
    reply: str
    data: bytes
    headers: dict = field(default_factory=dict)

    @property
    def type(self) -> str:
        return self.headers.get("ce-type", "")

    @property
    def id(self) -> str:
        return self.headers.get("ce-id", "")


class Subscription:
    def __init__(self, client: "Client", number: int):
        self._client, self._number = client, number
        self.queue: "queue.Queue[Message]" = queue.Queue()

    def next(self, timeout: float) -> Message:
        """The next message; AssertionError when none comes in time."""
        try:
            return self.queue.get(timeout=timeout)
        except queue.Empty:
            raise AssertionError(f"no message within {timeout} s") from None

    def close(self) -> None:
        self._client.unsubscribe(self._number)


class Client:
    def __init__(self, url: str):
        parts = urlparse(url)
        self._socket = socket.create_connection((parts.hostname, parts.port or 4222), timeout=5)
        self._socket.settimeout(None)
        self._reader = self._socket.makefile("rb")
        self._write_lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._subscriptions: dict[int, Subscription] = {}
        self._pong = threading.Event()
        self.errors: list[str] = []
        self.alive = True  # until the server goes away
        self._reader.readline()  # INFO
        connect = {"verbose": False, "pedantic": False, "headers": True, "no_responders": True,
                   "user": unquote(parts.username or ""), "pass": unquote(parts.password or ""),
                   "lang": "python", "version": "0", "name": "souk-tests"}
        self._send(f"CONNECT {json.dumps(connect)}\r\n".encode())
        threading.Thread(target=self._read, daemon=True).start()
        self.flush()

    def _send(self, data: bytes) -> None:
        with self._write_lock:
            self._socket.sendall(data)

    def flush(self, timeout: float = 5) -> None:
        """Waits until the server has handled all that was sent; raises what it refused."""
        self._pong.clear()
        self._send(b"PING\r\n")
        if not self.alive or not self._pong.wait(timeout) or not self.alive:
            raise ConnectionError("; ".join(self.errors) or "no answer from nats-server")

    def _read(self) -> None:
        try:
            while line := self._reader.readline():
                self._handle(line.decode().rstrip("\r\n"))
        except (OSError, ValueError):
            pass
        self.alive = False
        self._pong.set()  # nobody waits for an answer that cannot come

    def _handle(self, line: str) -> None:
        word, _, rest = line.partition(" ")
        if word == "PING":
            self._send(b"PONG\r\n")
        elif word == "PONG":
            self._pong.set()
        elif word == "-ERR":
            self.errors.append(rest)
        elif word in ("MSG", "HMSG"):
            self._deliver(word, rest.split())

    def _deliver(self, word: str, words: list[str]) -> None:
        sizes = 2 if word == "HMSG" else 1
        subject, number, reply = words[0], int(words[1]), ""
        if len(words) > 2 + sizes:
            reply = words[2]
        total = int(words[-1])
        head = int(words[-2]) if word == "HMSG" else 0
        payload = self._reader.read(total + 2)[:total]
        subscription = self._subscriptions.get(number)
        if subscription is not None:
            subscription.queue.put(Message(subject, reply, payload[head:], self._headers(payload[:head])))

    @staticmethod
    def _headers(raw: bytes) -> dict:
        lines = raw.decode().split("\r\n")
        headers = {}
        if lines and lines[0].startswith("NATS/1.0 "):
            headers["Status"] = lines[0][9:12]
        for line in lines[1:]:
            name, colon, value = line.partition(":")
            if colon:
                headers[name] = value.strip()
        return headers

    def subscribe(self, subject: str) -> Subscription:
        number = next(self._numbers)
        subscription = self._subscriptions[number] = Subscription(self, number)
        self._send(f"SUB {subject} {number}\r\n".encode())
        self.flush()
        return subscription

    def unsubscribe(self, number: int) -> None:
        self._subscriptions.pop(number, None)
        self._send(f"UNSUB {number}\r\n".encode())

    def publish(self, subject: str, data: bytes, headers: dict | None = None, reply: str = "") -> None:
        head = b""
        if headers:
            head = ("NATS/1.0\r\n" + "".join(f"{k}: {v}\r\n" for k, v in headers.items()) + "\r\n").encode()
        target = f"{subject} {reply}" if reply else subject
        if head:
            line = f"HPUB {target} {len(head)} {len(head) + len(data)}\r\n".encode()
        else:
            line = f"PUB {target} {len(data)}\r\n".encode()
        self._send(line + head + data + b"\r\n")

    def request(self, subject: str, data: bytes = b"", headers: dict | None = None,
                timeout: float = 5) -> Message:
        inbox = f"_INBOX_tests.{secrets.token_hex(8)}"
        subscription = self.subscribe(inbox)
        try:
            self.publish(subject, data, headers, inbox)
            return subscription.next(timeout)
        finally:
            subscription.close()

    def api(self, call: str, body: dict | None = None) -> dict:
        """One call of the JetStream API: api("STREAM.INFO.orders")."""
        answer = self.request(f"$JS.API.{call}", json.dumps(body or {}).encode() if body else b"")
        return json.loads(answer.data)

    def publish_acked(self, subject: str, data: bytes, headers: dict | None = None) -> dict:
        """Publishes to a stream and returns its acknowledgement."""
        answer = self.request(subject, data, headers)
        assert answer.headers.get("Status") != "503", f"no stream takes {subject}"
        acknowledgement = json.loads(answer.data)
        assert "error" not in acknowledgement, acknowledgement
        return acknowledgement

    def close(self) -> None:
        deadline = time.monotonic() + 1
        while self._subscriptions and time.monotonic() < deadline:
            self.unsubscribe(next(iter(self._subscriptions)))
        self._socket.close()
