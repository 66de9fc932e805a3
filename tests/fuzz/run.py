#!/usr/bin/env python3
"""Runs fuzz targets for a while each and says what they found; `make fuzz` calls it.

A target starts from its seeds and from what earlier runs here have learnt (<build>/corpus).
It ends at its first finding, whose input stays in <build>/findings.
"""
import argparse
import os
import pathlib
import re
import subprocess
import sys

HERE = pathlib.Path(__file__).parent
LIMITS = ["-max_len=4096", "-timeout=20", "-rss_limit_mb=3000", "-print_final_stats=1"]


def run(program, seconds, build):
    """One target. Returns how many inputs ran, and the output where there is a finding."""
    name = program.name
    learnt, findings = build / "corpus" / name, build / "findings" / name
    for folder in (learnt, findings):
        folder.mkdir(parents=True, exist_ok=True)
    command = [program, f"-max_total_time={seconds}", f"-artifact_prefix={findings}/", *LIMITS,
               learnt, HERE / "seeds" / name]
    ended = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
                           env={**os.environ, "UBSAN_OPTIONS": "print_stacktrace=1",
                                "ASAN_OPTIONS": "quarantine_size_mb=16"})
    output = ended.stdout.decode(errors="replace")
    ran = re.search(r"stat::number_of_executed_units: (\d+)", output)
    executions = int(ran.group(1)) if ran else 0
    if ended.returncode == 0 and executions == 0:
        return 0, output + "\nnothing ran"
    return executions, output if ended.returncode != 0 else None


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("programs", nargs="+", type=pathlib.Path)
    arguments = parser.parse_args()
    broken = 0
    for program in arguments.programs:
        executions, finding = run(program, arguments.seconds, program.parent.parent)
        broken += finding is not None
        if finding is not None:
            print("\n".join(finding.splitlines()[-80:]))
        print(f"fuzz {program.name:10} {executions:10} executions, {int(finding is not None)} findings",
              flush=True)
    print(f"fuzz: {len(arguments.programs)} targets, {broken} with findings")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
