#!/usr/bin/python3
"""Checks the model of the order workflow (order.pml) in several configurations, and that it can fail.

usage: check.py --out FOLDER [--cc gcc] OBJECT... [-l...]

Each row is one exhaustive search by spin. A row that is a bug must be found, by the assertion that is
about it. Ends with 1 where a row is not as it should be.
"""
import argparse
import concurrent.futures
import os
import pathlib
import re
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
MEMORY_MB = 1500  # of one search; two run at once

# What is searched: definitions for order.pml.
CONFIGURATIONS = {
    "one order; messages twice, lost, late; its time is up; others buy":
        "EXPIRIES=1 OTHERS=2 DUPS=1 LOSSES=1",
    "one order; refunds of a part and of all, refused; messages twice, lost, late":
        "STAFF=2 REFUSALS=1 DUPS=1 LOSSES=1",
    "one order; refunds, refused; its time is up; others buy; messages lost":
        "STAFF=1 REFUSALS=1 EXPIRIES=1 OTHERS=2 LOSSES=1",
    "two orders that each want both pieces; their time is up":
        "ORDERS=2 WANTED=2 EXPIRIES=1",
    "two orders and others for two pieces; their time is up":
        "ORDERS=2 EXPIRIES=1 OTHERS=1",
    "three orders for two pieces":
        "ORDERS=3 DECLINES=0",
}
# Bugs, and what says that they are there: a part of the assertion.
BUGS = {
    "what is sold comes back at the cancel": ("BUG_RETURN_AT_CANCEL", "((goods==4)==left)"),
    "the label is made with the payment": ("BUG_LABEL_WITH_PAYMENT EXPIRIES=1 OTHERS=2", "(goods==4)"),
    "what has expired is sold unseen": ("BUG_EXPIRED_IS_SOLD EXPIRIES=1 OTHERS=2", "(reserved<=on_hand)"),
    "money that comes after the cancel is dropped": ("BUG_DROP_LATE_MONEY", "asked_for"),
    "shipping says nothing where there is no label": ("BUG_NO_ANSWER LOSSES=1", "asked_for"),
    "nobody asks again": ("BUG_NO_SWEEP LOSSES=1", "order_owes"),
}


def search(folder: pathlib.Path, definitions: str, arguments) -> tuple[str, float]:
    """Spin's report of one configuration, and how long the search took."""
    folder.mkdir(parents=True, exist_ok=True)
    flags = [f"-D{word}" for word in definitions.split()]

    def run(*command: str) -> str:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            sys.exit(f"model: {' '.join(command)}\n{done.stdout}{done.stderr}")
        return done.stdout

    for name in ("order.pml", "words.h", "bridge.h"):
        (folder / name).write_text((HERE / name).read_text())
    run("spin", *flags, "-a", "order.pml")
    run(*arguments.cc.split(), "-O2", "-w", "-DSAFETY", "-DNOREDUCE", f"-DMEMLIM={MEMORY_MB}", "-o", "pan", "pan.c",
        *arguments.link)
    began = time.monotonic()
    return run("./pan", "-m100000", "-n"), time.monotonic() - began


def verdict(report: str, expected: str | None) -> tuple[bool, str]:
    """Whether the report is as it should be, and in words."""
    errors = re.search(r"errors: (\d+)", report)
    states = re.search(r"(\d+) states, stored", report)
    violated = re.search(r"pan:1: (.*?)(?: \(at depth \d+\))?$", report, re.M)
    if not errors or not states or "max search depth too small" in report or "out of memory" in report:
        return False, "the search did not end:\n" + report
    words = f"{int(states.group(1)):>9,} states"
    if expected is None:
        return errors.group(1) == "0", words if errors.group(1) == "0" else f"{words}: {violated.group(1)}"
    if violated is None or expected not in violated.group(1):
        return False, f"{words}: not found ({violated.group(1) if violated else 'no error'})"
    return True, f"{words}: found"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--out", required=True, type=pathlib.Path)
    parser.add_argument("--cc", default="gcc")
    parser.add_argument("link", nargs="*", help="objects and libraries")
    arguments, libraries = parser.parse_known_args()
    arguments.link = [str(pathlib.Path(o).resolve()) for o in arguments.link] + libraries
    rows = [(name, definitions, None) for name, definitions in CONFIGURATIONS.items()]
    rows += [(f"a bug: {name}", definitions, found) for name, (definitions, found) in BUGS.items()]

    def check(number: int) -> bool:
        name, definitions, expected = rows[number]
        report, seconds = search(arguments.out / str(number), definitions, arguments)
        good, words = verdict(report, expected)
        print(f"{'ok' if good else 'FAILED':6} {words} in {seconds:.1f} s - {name} ({definitions})", flush=True)
        return good

    with concurrent.futures.ThreadPoolExecutor(min(2, os.cpu_count() or 1)) as pool:
        results = list(pool.map(check, range(len(rows))))
    print(f"model: {results.count(True)} as they should be, {results.count(False)} not")
    sys.exit(0 if all(results) else 1)


main()
