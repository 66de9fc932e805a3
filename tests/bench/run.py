#!/usr/bin/python3
"""Souk beside the bare limits of the same machine, in one run. The table goes to build/bench.txt, too.

usage: run.py [--only product,list,…] [--seconds 4] [--rounds 3] [--variants 2000] [--connections 32]

What there is: product list cart cold gateway search orders memory. Bare and ours take turns, round after
round, so that what else the machine does meets both; what is shown is the median of the rounds.
"""
import argparse
import os
import pathlib
import platform
import signal
import sys
import time

from bench import measures
from bench.lab import Lab
from support.stack import BUILD

BUSY = 0.5  # load average above which figures say more about the neighbours


def machine() -> str:
    cpu = next((line.split(":", 1)[1].strip() for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines()
                if line.startswith("model name")), platform.machine())
    load = os.getloadavg()[0]
    words = f"{time.strftime('%Y-%m-%d %H:%M')}, {os.cpu_count()} cores ({cpu}), load average {load:.2f} at the start"
    return words + (f"\nNOT QUIET: the load average is over {BUSY}" if load > BUSY else "")


def options_of() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--only", default=",".join(measures.ALL), help="words, separated by commas")
    for name, default in (("seconds", 4), ("rounds", 3), ("variants", 2000), ("connections", 32)):
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    options.only = options.only.split(",")
    unknown = set(options.only) - set(measures.ALL)
    if unknown or options.variants < 100:
        parser.error(f"there is no {', '.join(unknown)}" if unknown else "--variants: at least 100")
    return options


class Paper:
    """What is said goes to the screen and into a file."""

    def __init__(self, path: pathlib.Path):
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = open(path, "w")  # pylint: disable=consider-using-with

    def say(self, text: str) -> None:
        print(text, flush=True)
        print(text, file=self._file, flush=True)


def main() -> None:
    options = options_of()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # the shop is stopped then, too
    paper = Paper(BUILD / "bench.txt")
    paper.say(machine())
    paper.say(f"{options.connections} connections, median of {options.rounds} rounds of {options.seconds} s, "
              f"{options.variants} variants")
    with Lab(options.variants) as lab:
        paper.say("\n" + measures.HEAD)
        for word, measure in measures.ALL.items():
            if word in options.only:
                for line in measure(lab, options):
                    paper.say(line)


main()
