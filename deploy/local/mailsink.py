#!/usr/bin/python3
"""A mail server that keeps every message for reading: SMTP in, files and a small web page out.

usage: mailsink.py --smtp PORT --http PORT --dir DIR

GET /               the messages, for people
GET /messages       the same as JSON: [{id, from, to, subject, date, message_id, text}], ?to= and
                    ?subject= narrow it, ?after=<id>
                    leaves out what is known, ?limit= takes the first so many
GET /messages/<id>  one message as it came
For development and tests only.
"""
import argparse
import email
import email.policy
import functools
import html
import http.server
import json
import pathlib
import signal
import threading
import urllib.parse

from aiosmtpd.controller import Controller


class Box:
    """The messages in their folder, oldest first."""

    def __init__(self, folder: pathlib.Path):
        self._folder, self._lock = folder, threading.Lock()
        folder.mkdir(parents=True, exist_ok=True)
        self._next = 1 + max((int(p.stem) for p in folder.glob("*.eml")), default=0)

    def add(self, content: bytes) -> int:
        with self._lock:
            number, self._next = self._next, self._next + 1
        fresh = self._folder / f"{number:06d}.new"
        fresh.write_bytes(content)
        fresh.rename(self._folder / f"{number:06d}.eml")
        return number

    def raw(self, number: str) -> bytes | None:
        path = self._folder / f"{number}.eml"
        return path.read_bytes() if number.isdigit() and path.exists() else None

    def messages(self, after: str = "", limit: int | None = None) -> list[dict]:
        return [self._describe(p) for p in sorted(p for p in self._folder.glob("*.eml") if p.stem > after)[:limit]]

    @staticmethod
    @functools.lru_cache(maxsize=10000)  # a message never changes, and who waits for one asks often
    def _describe(path: pathlib.Path) -> dict:
        message = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
        body = message.get_body(preferencelist=("plain",))
        return {"id": path.stem, "from": str(message["From"]), "to": str(message["To"]),
                "subject": str(message["Subject"]), "date": str(message["Date"]),
                "message_id": str(message["Message-ID"]),
                "text": body.get_content() if body is not None else ""}


class Handler:
    def __init__(self, box: Box):
        self._box = box

    async def handle_DATA(self, _server, _session, envelope) -> str:  # pylint: disable=invalid-name
        number = self._box.add(envelope.content)
        print(f"mail {number} from {envelope.mail_from} to {', '.join(envelope.rcpt_tos)}", flush=True)
        return "250 Message accepted"


def page_of(messages: list[dict]) -> str:
    rows = "".join(
        f"<details><summary><b>{html.escape(m['subject'])}</b> to {html.escape(m['to'])} "
        f"<small>{html.escape(m['date'])}</small></summary><pre>{html.escape(m['text'])}</pre></details>"
        for m in reversed(messages))
    return ("<!doctype html><meta charset=utf-8><title>Mail sink</title>"
            "<style>body{font:16px sans-serif;margin:2em auto;max-width:50em}pre{background:#f4f4f4;padding:1em;"
            f"white-space:pre-wrap}}summary{{padding:.4em}}</style><h1>{len(messages)} messages</h1>{rows}")


def web_handler(box: Box):
    class Web(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:  # pylint: disable=invalid-name
            url = urllib.parse.urlparse(self.path)
            query = urllib.parse.parse_qs(url.query)
            if url.path == "/":
                self._answer(200, "text/html; charset=utf-8", page_of(box.messages()).encode())
            elif url.path == "/messages":
                found = [m for m in box.messages(query.get("after", [""])[0], int(query.get("limit", ["1000000"])[0]))
                         if query.get("to", [""])[0] in m["to"] and query.get("subject", [""])[0] in m["subject"]]
                self._answer(200, "application/json", json.dumps(found).encode())
            elif (raw := box.raw(url.path.removeprefix("/messages/"))) is not None:
                self._answer(200, "message/rfc822", raw)
            else:
                self._answer(404, "text/plain", b"no such message\n")

        def _answer(self, status: int, kind: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_arguments) -> None:
            pass

    return Web


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--smtp", type=int, required=True)
    parser.add_argument("--http", type=int, required=True)
    parser.add_argument("--dir", type=pathlib.Path, required=True)
    arguments = parser.parse_args()
    box = Box(arguments.dir)
    web = http.server.ThreadingHTTPServer(("127.0.0.1", arguments.http), web_handler(box))
    threading.Thread(target=web.serve_forever, daemon=True).start()
    controller = Controller(Handler(box), hostname="127.0.0.1", port=arguments.smtp, data_size_limit=1 << 20)
    controller.start()
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    controller.stop()


if __name__ == "__main__":
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    main()
