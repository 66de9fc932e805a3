"""What the shoppers did and what they were told: the other side of the checker's account.

A shopper writes down a purchase before the first request (it may have an effect from then on) and
each definite answer after. Whoever got none knows nothing: such an order may exist once, or not.
"""
import json
import pathlib
import threading
import time
from dataclasses import asdict, dataclass, field

UNKNOWN, OK, REFUSED = "unknown", "ok", "refused"


@dataclass
class Purchase:
    key: str          # the Idempotency-Key; also in the order's address, where the checker finds it
    kind: str
    sku: str
    quantity: int
    token: str
    outcome: str = UNKNOWN
    order_ids: set = field(default_factory=set)  # of every answer: more than one is one too many
    code: str = ""    # why it was refused
    cancel: str = ""  # asked: unknown, or what the order was then
    refunds: list = field(default_factory=list)  # {"amount", "outcome", "id"}
    begun_at: float = field(default_factory=time.time)
    answered_at: float = 0


@dataclass
class Adjustment:
    key: str          # also its reason
    sku: str
    delta: int
    outcome: str = UNKNOWN


class Journal:
    def __init__(self, path: pathlib.Path | None = None):
        self.purchases: list[Purchase] = []
        self.adjustments: list[Adjustment] = []
        self.initial: dict[str, int] = {}  # what each SKU of ours began with
        self._lock = threading.Lock()
        self._file = open(path, "a", encoding="utf-8") if path else None

    def begin(self, entry: Purchase | Adjustment) -> None:
        with self._lock:
            (self.purchases if isinstance(entry, Purchase) else self.adjustments).append(entry)
        self.note(entry, "begins")

    def note(self, entry: Purchase | Adjustment, what: str) -> None:
        if self._file:
            line = json.dumps({"at": time.time(), "what": what} | asdict(entry), default=sorted)
            with self._lock:
                self._file.write(line + "\n")
                self._file.flush()

    def accepted(self) -> list[Purchase]:
        return [p for p in list(self.purchases) if p.outcome == OK]
