"""What must hold once the shop is quiet, looked up in the stores themselves.

It shares nothing with the services and asks none of them: SQL as the administrator, the
mail sink's own list, the broker's monitoring page, and the shoppers' journal. Each rule is a
function that yields what violates it; test_checker.py tampers with a row for each and sees that it
is found. Kinds: lost (an accepted order or what belongs to it is missing), doubled (something
is there twice), oversold (the stock's sums are wrong), other.

Rules say what the shop promised, in the schemas' words. Two that need knowing:
- What left the house stays sold. The goods of an order that is cancelled or paid back come back, unless
  its parcel had left: shipping's own rows say so.
- Every order tells its own story in the outbox of the order service: what was told (paid, shipped,
  refunded) is owed its mail, its label, its entry.
"""
import hashlib
import struct
from dataclasses import dataclass

import psycopg2
import psycopg2.extras
import requests

from chaos import rules


@dataclass(frozen=True)
class Violation:
    kind: str
    rule: str
    evidence: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.rule}: {self.evidence}"


class Checker:
    def __init__(self, postgres_url: str, mail_url: str, monitor_url: str):
        self._postgres_url, self._mail_url, self._monitor_url = postgres_url, mail_url, monitor_url
        self._connection, self._mails, self._consumers = None, [], set()
        self._chain = (0, bytes(32))  # the entry up to which the audit log was verified, and its hash
        self.planted = 0              # dead letters that are meant to be there

    # ---- the stores ----

    def rows(self, sql: str, *parameters) -> list[dict]:
        try:
            return self._run(sql, parameters)
        except (psycopg2.OperationalError, psycopg2.InterfaceError):
            self._connection = None  # PostgreSQL was killed in between: once more
            return self._run(sql, parameters)

    def connection(self):
        """The administrator's, which sees every service's schema."""
        if self._connection is None or self._connection.closed:
            self._connection = psycopg2.connect(self._postgres_url, connect_timeout=5)
            self._connection.autocommit = True
        return self._connection

    def _run(self, sql: str, parameters) -> list[dict]:
        with self.connection().cursor(cursor_factory=psycopg2.extras.RealDictCursor) as cursor:
            cursor.execute(sql, parameters or None)
            return [dict(row) for row in cursor.fetchall()]

    def mails(self) -> list[dict]:
        """Everything the sink was given; it is asked for the news only."""
        while True:
            after = self._mails[-1]["id"] if self._mails else ""
            news = requests.get(f"{self._mail_url}/messages", params={"after": after, "limit": 200}, timeout=60).json()
            self._mails += news
            if not news:
                return self._mails

    def streams(self) -> dict:
        """Of each stream: its messages, and what each consumer has still to do."""
        answer = requests.get(f"{self._monitor_url}/jsz", params={"accounts": "true", "streams": "true", "consumers": "true"},
                              timeout=10).json()
        return {stream["name"]: {
            "messages": stream["state"]["messages"],
            "consumers": {c["name"]: c["num_pending"] + c["num_ack_pending"]
                          for c in stream.get("consumer_detail") or []}}
                for account in answer.get("account_details") or [] for stream in account.get("stream_detail") or []}

    # ---- quiet ----

    def unquiet(self) -> list[str]:
        """What is still under way; an empty list when the shop is quiet."""
        found = [f"{row['what']}: {row['count']}" for row in self.rows(rules.UNDER_WAY) if row["count"]]
        pending = {name: count for stream in self.streams().values() for name, count in stream["consumers"].items()}
        self._consumers |= pending.keys()
        found += [f"consumer {name}: {count}" for name, count in pending.items() if count]
        found += [f"consumer {name} is gone" for name in self._consumers - pending.keys()]
        return found

    # ---- the check ----

    def check(self, journal) -> list[Violation]:
        """Every violation, of every rule."""
        found = []
        for rule in rules.RULES:
            found += [Violation(kind, rule.__name__.replace("_", " "), evidence)
                      for kind, evidence in rule(self, journal)]
        return found

    def forget(self) -> None:
        """The next check verifies the audit log from its beginning and reads every mail."""
        self._chain, self._mails = (0, bytes(32)), []

    def broken_link(self) -> str | None:
        """Where the audit log's chain breaks, by its own published formula."""
        for entry in self._entries():
            sequence, previous = self._chain
            if entry["seq"] != sequence + 1:
                return f"after entry {sequence} comes {entry['seq']}"
            if bytes(entry["prev_hash"]) != previous:
                return f"entry {entry['seq']} does not follow from the one before"
            if bytes(entry["hash"]) != entry_hash(entry):
                return f"entry {entry['seq']} is not what was hashed"
            self._chain = (entry["seq"], bytes(entry["hash"]))
        return None

    def _entries(self):
        while batch := self.rows("""
                SELECT seq, id, (extract(epoch FROM at) * 1000000)::bigint AS at_us, subject, type, source, account_id, role,
                       address, action, entity, entity_id, detail, trace_id, data, prev_hash, hash
                  FROM souk_audit.entry WHERE seq > %s ORDER BY seq LIMIT 5000""", self._chain[0]):
            yield from batch


TEXTS = ("id", "subject", "type", "source", "account_id", "role", "address", "action", "entity", "entity_id", "detail",
         "trace_id")


def entry_hash(entry: dict) -> bytes:
    """SHA-256 of what came before, the numbers, and each field with its length."""
    parts = [bytes(entry["prev_hash"]), struct.pack(">qq", entry["seq"], entry["at_us"])]
    for value in [entry[name].encode() for name in TEXTS] + [bytes(entry["data"])]:
        parts += [struct.pack(">I", len(value)), value]
    return hashlib.sha256(b"".join(parts)).digest()
