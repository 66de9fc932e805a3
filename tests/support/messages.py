"""The protobuf messages as Python classes, made by protoc at first use.

>>> from support.messages import message, pack
>>> event = message("souk.orders.v1.OrderCreated", order_id="…", version=1)
"""
import datetime
import importlib
import pathlib
import subprocess
import sys
import uuid

ROOT = pathlib.Path(__file__).resolve().parents[2]
OUT = ROOT / "build" / "python"


def _generate() -> None:
    protos = sorted(p.relative_to(ROOT / "proto") for p in (ROOT / "proto" / "souk").rglob("*.proto"))
    newest = max((ROOT / "proto" / p).stat().st_mtime for p in protos)
    stamp = OUT / ".stamp"
    if not stamp.exists() or stamp.stat().st_mtime < newest:
        OUT.mkdir(parents=True, exist_ok=True)
        subprocess.run(["protoc", "-Iproto", f"--python_out={OUT}", *map(str, protos)], cwd=ROOT, check=True)
        stamp.touch()
    if str(OUT) not in sys.path:
        sys.path.insert(0, str(OUT))


def message_class(name: str):
    """The class of a message type by its full name."""
    _generate()
    package, _, short = name.rpartition(".")
    module = "rules" if package == "souk.options.v1" else "events"
    return getattr(importlib.import_module(f"{package}.{module}_pb2"), short)


def message(name: str, /, **fields):
    return message_class(name)(**fields)


def decode(name: str, data: bytes):
    """Parses strictly: unknown fields are a broken contract."""
    parsed = message_class(name).FromString(data)
    assert not parsed.UnknownFields() if hasattr(parsed, "UnknownFields") else True
    return parsed


def subject_token(text: str) -> str:
    """An id as a token of a subject, as sk_subject_token does it."""
    return "".join(c if c.isascii() and (c.isalnum() or c in "-_") else f"={ord(c):02X}" for c in text) or "="


def headers_for(event, event_id: str | None = None, trace: str | None = None,
                at: datetime.datetime | None = None) -> dict:
    event_id = event_id or new_id()
    at = at or datetime.datetime.now(datetime.timezone.utc)
    return {
        "Nats-Msg-Id": event_id, "ce-specversion": "1.0", "ce-id": event_id,
        "ce-type": event.DESCRIPTOR.full_name, "ce-source": "souk/tests",
        "ce-time": at.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "traceparent": trace or f"00-{uuid.uuid4().hex}-{uuid.uuid4().hex[:16]}-01",
        "content-type": "application/protobuf",
    }


def new_id() -> str:
    """A UUID of version 7's shape."""
    millis = int(datetime.datetime.now().timestamp() * 1000)
    raw = bytearray(millis.to_bytes(6, "big") + uuid.uuid4().bytes[6:])
    raw[6] = 0x70 | raw[6] & 0x0F
    raw[8] = 0x80 | raw[8] & 0x3F
    return str(uuid.UUID(bytes=bytes(raw)))
