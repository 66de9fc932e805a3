#!/usr/bin/python3
"""Checks an export of the audit log (NDJSON on standard input) without any code of Souk's.

usage: verify_export.py [HEAD_HASH] < export.ndjson
Exit status 0 and the head's hash where the chain is whole (and leads to HEAD_HASH), 1 otherwise.
"""
import hashlib
import json
import sys

TEXTS = ["id", "subject", "type", "source", "user_id", "role", "address", "action", "entity",
         "entity_id", "detail", "trace_id"]


def entry_hash(entry: dict, previous: bytes) -> bytes:
    digest = hashlib.sha256(previous)
    digest.update(entry["seq"].to_bytes(8, "big"))
    digest.update(entry["at_us"].to_bytes(8, "big"))
    parts = [(entry[name] or "").encode() for name in TEXTS] + [bytes.fromhex(entry["data"])]
    for part in parts:
        digest.update(len(part).to_bytes(4, "big"))
        digest.update(part)
    return digest.digest()


def verify(lines) -> str:
    """The head's hash; ValueError naming the first entry that does not fit."""
    previous, expected = bytes(32), 1
    for line in lines:
        entry = json.loads(line)
        if entry["seq"] != expected:
            raise ValueError(f"entry {expected} is missing")
        if entry["prev_hash"] != previous.hex() or entry["hash"] != entry_hash(entry, previous).hex():
            raise ValueError(f"entry {expected} was changed")
        previous, expected = bytes.fromhex(entry["hash"]), expected + 1
    return previous.hex()


if __name__ == "__main__":
    try:
        head = verify(sys.stdin)
    except ValueError as error:
        sys.exit(str(error))
    if len(sys.argv) > 1 and head != sys.argv[1]:
        sys.exit(f"the chain leads to {head}, not to {sys.argv[1]}")
    print(head)
