#!/usr/bin/python3
"""Runs tests and ends with one total line: `N passed, N failed, N skipped`.

usage: run.py --build BUILD [unit] [libcommon] [contract] [rights] [system] [crash] [chaos]

unit       cmocka programs without servers: BUILD/test/**/unit_*
libcommon  cmocka programs of libcommon against real stores: BUILD/test/libcommon/test/contract_*
contract   one service each with real stores and broker: services/*/test/contract_*.py
rights     every service tries what is not its own, in every store, and prints the matrix: tests/rights
system     the whole shop through the gateway: tests/system
crash      the whole shop, dying at every crash point: tests/crash, with the services of BUILD/crash
chaos      the shorter part of the fault suite, and its checker: tests/chaos (all of it: make chaos)
"""
import argparse
import os
import pathlib
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ET

ROOT = pathlib.Path(__file__).resolve().parents[1]
CMOCKA_TIMEOUT_S = 120


class Total:
    def __init__(self) -> None:
        self.passed = self.failed = self.skipped = 0

    def add_report(self, report: pathlib.Path, what: str, status: int) -> None:
        """Counts a JUnit report; a program that left none, or that failed without saying so, failed."""
        failed_before = self.failed
        if report.exists() and report.stat().st_size > 0:
            for case in ET.parse(report).getroot().iter("testcase"):
                if case.find("failure") is not None or case.find("error") is not None:
                    self.failed += 1
                elif case.find("skipped") is not None:
                    self.skipped += 1
                else:
                    self.passed += 1
        else:
            print(f"{what}: no report", file=sys.stderr)
            self.failed += 1
        if status not in (0, 5) and self.failed == failed_before:
            print(f"{what}: exit status {status}", file=sys.stderr)
            self.failed += 1


def run_cmocka(program: pathlib.Path, total: Total, environment: dict) -> None:
    with tempfile.TemporaryDirectory() as folder:
        report = pathlib.Path(folder) / "report.xml"
        environment = environment | {"CMOCKA_MESSAGE_OUTPUT": "xml", "CMOCKA_XML_FILE": str(report)}
        name = str(program).split("/test/", 1)[1]
        try:
            done = subprocess.run([program], env=environment, cwd=ROOT, timeout=CMOCKA_TIMEOUT_S,
                                  capture_output=True, text=True, check=False)
            status, output = done.returncode, done.stdout + done.stderr
        except subprocess.TimeoutExpired as late:
            status, output = 124, f"{late}"
        before = total.failed
        total.add_report(report, name, status)
        if total.failed != before:
            print(f"FAILED {name} (exit status {status})\n{output}")
            if report.exists():
                print(report.read_text())
        else:
            print(f"ok {name}")


def run_pytest(folders: list[str], total: Total, build: str, what: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        report = pathlib.Path(folder) / "report.xml"
        environment = os.environ | {"PYTHONPATH": str(ROOT / "tests"), "SOUK_BUILD": build,
                                    "PYTHONDONTWRITEBYTECODE": "1"}
        status = subprocess.run([sys.executable, "-m", "pytest", "-c", "tests/pytest.ini", "--rootdir=.",
                                 f"--junitxml={report}", *folders], cwd=ROOT, env=environment,
                                check=False).returncode
        total.add_report(report, what, status)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--build", default="build")
    parser.add_argument("kinds", nargs="+", choices=["unit", "libcommon", "contract", "rights", "system", "crash", "chaos"])
    arguments = parser.parse_args()
    build, total, began = pathlib.Path(arguments.build), Total(), time.monotonic()

    if "unit" in arguments.kinds:
        for program in sorted(p for p in build.glob("test/**/unit_*") if p.is_file() and not p.suffix):
            run_cmocka(program.resolve(), total, dict(os.environ))
    folders = []
    if "libcommon" in arguments.kinds:
        folders.append("libcommon/test")
    if "contract" in arguments.kinds:
        folders.extend(sorted(str(p.relative_to(ROOT)) for p in ROOT.glob("services/*/test")))
    if "rights" in arguments.kinds:
        folders.append("tests/rights")
    if "system" in arguments.kinds:
        folders.append("tests/system")
    if folders:
        run_pytest(folders, total, arguments.build, "pytest")
    if "crash" in arguments.kinds:
        run_pytest(["tests/crash"], total, f"{arguments.build}/crash", "crash points")
    if "chaos" in arguments.kinds:  # apart: the other tests' shops have stopped by then
        run_pytest(["tests/chaos"], total, arguments.build, "pytest of chaos")
    print(f"\n{' '.join(arguments.kinds)}: {time.monotonic() - began:.0f} s")
    print(f"{total.passed} passed, {total.failed} failed, {total.skipped} skipped")
    sys.exit(1 if total.failed or not total.passed else 0)


main()
