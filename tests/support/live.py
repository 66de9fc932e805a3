"""Server-sent events as a client has them, without a thread a stream: a stream reads when it is asked."""
import json
import socket
from urllib.parse import urlparse

from support.waiting import PATIENCE, eventually


class Stream:
    """One GET whose answer stays open: Stream(url, "/v1/orders/…/events", token=…, Last_Event_ID="3")."""

    def __init__(self, base_url: str, path: str, token: str | None = None, **headers: str):
        parts = urlparse(base_url)
        self.ended = False
        self.comments: list[str] = []
        self.events: list[dict] = []  # {"id", "event", "data"}, data decoded
        self.retry = None
        self._raw, self._text = b"", b""
        self._socket = socket.create_connection((parts.hostname, parts.port), timeout=30 * PATIENCE)
        lines = [f"GET {path} HTTP/1.1", f"Host: {parts.netloc}", "Accept: text/event-stream"]
        lines += [f"Authorization: Bearer {token}"] if token else []
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        self._socket.sendall("\r\n".join(lines + ["", ""]).encode())
        self._receive_head()
        self._socket.setblocking(False)

    def _receive_head(self) -> None:
        while b"\r\n\r\n" not in self._raw:
            piece = self._socket.recv(65536)
            assert piece, f"no answer: {self._raw!r}"
            self._raw += piece
        head, _, self._raw = self._raw.partition(b"\r\n\r\n")
        first, *rest = head.decode().split("\r\n")
        self.status = int(first.split()[1])
        self.headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in rest)}
        self._chunked = self.headers.get("transfer-encoding") == "chunked"

    def _receive(self) -> None:
        """What is there by now."""
        while not self.ended:
            try:
                piece = self._socket.recv(65536)
            except BlockingIOError:
                break
            except ConnectionResetError:
                piece = b""
            self.ended = not piece
            self._raw += piece
        if self._chunked:
            self._unchunk()
        else:
            self._text, self._raw = self._text + self._raw, b""

    def _unchunk(self) -> None:
        while b"\r\n" in self._raw:
            size, _, rest = self._raw.partition(b"\r\n")
            length = int(size, 16)
            if len(rest) < length + 2:
                break
            self._text, self._raw = self._text + rest[:length], rest[length + 2:]
            self.ended = self.ended or length == 0

    def _parse(self) -> None:
        while b"\n\n" in self._text:
            block, _, self._text = self._text.partition(b"\n\n")
            fields = [line.partition(": ")[::2] for line in block.decode().split("\n")]
            named = dict(fields)
            if "data" in named:
                data = "\n".join(value for name, value in fields if name == "data")
                self.events.append({"id": named["id"], "event": named["event"], "data": json.loads(data)})
            elif "retry" in named:
                self.retry = int(named["retry"])
            else:
                self.comments.append(block.decode())

    def poll(self) -> list[dict]:
        """All events that have come by now."""
        self._receive()
        self._parse()
        return self.events

    @property
    def ids(self) -> list[int]:
        return [int(event["id"]) for event in self.poll()]

    @property
    def statuses(self) -> list[str]:
        return [event["data"]["status"] for event in self.poll()]

    def reaches(self, status: str, within: float = 30) -> list[dict]:
        """Waits for the status and gives all that came up to then."""
        eventually(f"the stream tells {status}", lambda: status in self.statuses, within)
        return self.events

    def over(self) -> bool:
        self.poll()
        return self.ended

    @property
    def problem(self) -> dict:
        """The body of an answer that is no stream."""
        eventually("the answer's end", self.over)
        return json.loads(self._text)

    def close(self) -> None:
        self._socket.close()

    def __enter__(self) -> "Stream":
        return self

    def __exit__(self, *_) -> None:
        self.close()
