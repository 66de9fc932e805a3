#!/usr/bin/python3
"""The house rules that a compiler does not check. `make lint` runs it; no rule has an exception list.

- layers: who may include what (rules are pure, SQL is in store.c, Valkey in cache.c …)
- rooms: no service includes another's header or names another's schema or Valkey keys
- banned functions, and sleeping in tests
- sizes: functions up to 80 lines, files up to 800, up to 5 parameters in a function (6 in static ones)
- the tour in services/README.md names what is there
- services/order/README.md shows the workflow as `order --diagram` draws it
- every function that returns enum sk_status in a header is marked SK_MUST_CHECK

usage: check.py [--build build]
"""
import argparse
import json
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
SERVICES = sorted(p.name for p in (ROOT / "services").iterdir() if (p / "main.c").exists())
FUNCTION_MAX_LINES, FILE_MAX_LINES, PARAMETERS_MAX = 80, 800, 6

BANNED = re.compile(r"\b(strcpy|strcat|sprintf|vsprintf|strtok|gets|atoi|atol|atof|alloca|strncpy|"
                    r"localtime|gmtime|asctime|ctime|rand|srand|system|popen|tmpnam|mktemp)\s*\(")
SLEEPING = re.compile(r"\b(sleep|usleep|nanosleep|sk_time_sleep_ms|time\.sleep)\s*\(")

# Functions (by prefix) that a file of a service may not call, and why.
FORBIDDEN_CALLS = {
    "rules.c": (r"\bsk_(pg|tx|kv|bus|request|reply|outbox|client|time_now)\w*\s*\(", "rules are pure: no store, no socket, no clock"),
    "workflow_table.c": (r"\bsk_(pg|tx|kv|bus|request|reply)\w*\s*\(", "the table is pure"),
    "api.c": (r"\bsk_(pg_run|tx_run|kv_\w+|bus_\w+)\s*\(", "handlers leave SQL to store.c and Valkey to cache.c"),
    "store.c": (r"\bsk_(request|reply|kv|bus_publish)\w*\s*\(", "store.c knows PostgreSQL only"),
    "cache.c": (r"\bsk_(request|reply|pg|tx)_\w+\s*\(", "cache.c knows Valkey only"),
}


def sources(*patterns: str) -> list[pathlib.Path]:
    return sorted(p for pattern in patterns for p in ROOT.glob(pattern))


def code_of(path: pathlib.Path) -> str:
    """The file with comments and strings blanked, its lines kept."""
    text = path.read_text()
    blank = lambda m: re.sub(r"[^\n]", " ", m.group(0))  # noqa: E731
    return re.sub(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"', blank, text, flags=re.S)


def line_of(text: str, at: int) -> int:
    return text.count("\n", 0, at) + 1


def check_calls(problems: list[str]) -> None:
    for path in sources("services/*/*.c", "libcommon/*.c", "deploy/soukctl/*.c"):
        code = code_of(path)
        for match in BANNED.finditer(code):
            problems.append(f"{path.relative_to(ROOT)}:{line_of(code, match.start())}: {match.group(1)} is banned")
        rule = FORBIDDEN_CALLS.get(path.name) if path.parent.parent.name == "services" else None
        for match in re.finditer(rule[0], code) if rule else ():
            problems.append(f"{path.relative_to(ROOT)}:{line_of(code, match.start())}: {match.group(0).strip('( ')}: {rule[1]}")
    for path in sources("services/*/test/*", "tests/**/*.py", "libcommon/test/*.c"):
        if path.suffix not in (".c", ".py") or path.name == "waiting.py" or "lint" in path.parts:
            continue
        code = code_of(path) if path.suffix == ".c" else path.read_text()
        for match in SLEEPING.finditer(code):
            problems.append(f"{path.relative_to(ROOT)}:{line_of(code, match.start())}: tests wait for a condition, they do not sleep")


def check_rooms(problems: list[str]) -> None:
    include = re.compile(r'#include "([^"]+)"')
    for path in sources("services/*/*.[ch]", "services/*/test/*.c"):
        room = path.relative_to(ROOT).parts[1]
        others = [s for s in SERVICES if s != room]
        text = path.read_text()
        for match in include.finditer(text):
            name = match.group(1)
            known = name.startswith(("sk_", "souk/", "../")) or (path.parent / name).exists()
            if not known or (name.startswith("../") and not (path.parent / name).exists()):
                problems.append(f"{path.relative_to(ROOT)}: includes {name}, which is not this service's or libcommon's")
        for other in others:
            if re.search(rf"\bsouk_{other}\b", text):
                problems.append(f"{path.relative_to(ROOT)}: names the schema of {other}")
    for path in sources("libcommon/*.[ch]"):
        for match in include.finditer(path.read_text()):
            if not (path.parent / match.group(1)).exists() and not match.group(1).startswith("souk/audit/"):
                if not match.group(1).startswith("souk/sessions/"):
                    problems.append(f"{path.relative_to(ROOT)}: includes {match.group(1)}: libcommon knows no service")


def check_sizes(problems: list[str]) -> None:
    files = sources("services/*/*.[ch]", "libcommon/*.[ch]", "deploy/soukctl/*.[ch]")
    for path in files:
        lines = path.read_text().count("\n")
        if lines > FILE_MAX_LINES:
            problems.append(f"{path.relative_to(ROOT)}: {lines} lines, more than {FILE_MAX_LINES}")
    listing = subprocess.run(["ctags", "--output-format=json", "--fields=+neS", "--kinds-C=f", "-f", "-",
                              *[str(p) for p in files if p.suffix == ".c"]],
                             capture_output=True, text=True, check=True).stdout
    for row in map(json.loads, listing.splitlines()):
        where = f"{pathlib.Path(row['path']).relative_to(ROOT)}:{row['line']}"
        length = row.get("end", row["line"]) - row["line"] + 1
        parameters = row.get("signature", "").count(",") + 1
        if length > FUNCTION_MAX_LINES:
            problems.append(f"{where}: {row['name']} has {length} lines, more than {FUNCTION_MAX_LINES}")
        if parameters > PARAMETERS_MAX:
            problems.append(f"{where}: {row['name']} has {parameters} parameters, more than {PARAMETERS_MAX}")


def check_tour(problems: list[str]) -> None:
    """'Follow an order through the code' names files and functions that are there."""
    page = ROOT / "services" / "README.md"
    steps = re.findall(r"`([\w./]+\.c)` → ((?:`\w+`(?:, )?)+)", page.read_text())
    if len(steps) < 8:
        problems.append("services/README.md: the tour of an order is gone")
    for name, functions in steps:
        path = (page.parent / name).resolve()
        for function in re.findall(r"`(\w+)`", functions):
            if not path.exists() or not re.search(rf"\b{function}\(", path.read_text()):
                problems.append(f"services/README.md: {name} has no {function}")


def check_diagram(problems: list[str], build: pathlib.Path) -> None:
    drawn = subprocess.run([build / "bin" / "order", "--diagram"], capture_output=True, text=True, check=True).stdout
    if f"```mermaid\n{drawn}```\n" not in (ROOT / "services" / "order" / "README.md").read_text():
        problems.append("services/order/README.md: its diagram is not what `order --diagram` draws")


def check_must_check(problems: list[str]) -> None:
    for path in sources("services/*/*.h", "libcommon/*.h"):
        for number, line in enumerate(path.read_text().splitlines(), 1):
            if re.match(r"enum sk_status \w+\(", line) and "sk_fail(" not in line:
                problems.append(f"{path.relative_to(ROOT)}:{number}: not marked SK_MUST_CHECK")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", default="build", help="where the binaries are")
    problems: list[str] = []
    for check in (check_calls, check_rooms, check_sizes, check_tour, check_must_check):
        check(problems)
    check_diagram(problems, ROOT / parser.parse_args().build)
    print(*problems, sep="\n")
    if problems:
        sys.exit(f"lint: {len(problems)} problems")
    print("lint: the house rules hold")


main()
