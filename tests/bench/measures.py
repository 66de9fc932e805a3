"""What is measured, and against what. A measure gives the lines of its part of the table."""
import contextlib
import json
import pathlib
import random
import statistics
import subprocess
import threading
import time
from dataclasses import dataclass

from bench.lab import BARE, BARE_GATEWAY, LOOKS, PLACES, THINGS, Lab
from support.events import ADDRESS
from support.messages import new_id
from support.waiting import eventually

LOAD = pathlib.Path(__file__).with_name("load.lua")
WARM_PRODUCTS = 100
NEW_GENERATION_S = 0.02
PAID_WITHIN_S = 60
ANSWERED_PRODUCTS = 'souk_http_requests_total{method="GET",route="/v1/products/{id}",status="2xx"}'
STATEMENTS = "souk_pg_query_seconds_count"
HEAD = (f"{'what':<26} {'against':<32} {'bare':>9} {'ours':>9} {'ratio':>6} {'limit':>6} {'':<8}"
        f"{'p50 ms':>14} {'p99 ms':>14}  (bare, ours)")


@dataclass
class Result:
    """What wrk saw of one round."""
    rate: float
    p50_ms: float
    p99_ms: float
    accepted: int
    failed: int


@dataclass
class Target:
    """What wrk asks: each line of a file, see load.lua."""
    base: str
    kind: str
    lines: list[str]


def wrk(lab: Lab, target: Target, seconds: int, connections: int) -> Result:
    path = lab.folder / "load.txt"
    path.write_text("\n".join(target.lines) + "\n")
    done = subprocess.run(["wrk", "-t", str(min(2, connections)), "-c", str(connections), "-d", f"{seconds}s",
                           "--timeout", "10s", "-s", LOAD, target.base, "--", target.kind, path],
                          capture_output=True, text=True, timeout=seconds + 60, check=False)
    line = next((line for line in done.stdout.splitlines() if line.startswith("RESULT ")), None)
    assert line, f"wrk: {done.stdout}{done.stderr}"
    said = json.loads(line.removeprefix("RESULT "))
    accepted = said["requests"] - said["refused"]
    return Result(accepted / said["seconds"], said["p50_us"] / 1000, said["p99_us"] / 1000, accepted,
                  said["refused"] + said["broken"])


def median(results: list[Result]) -> Result:
    middle = {name: statistics.median(getattr(result, name) for result in results)
              for name in ("rate", "p50_ms", "p99_ms")}
    return Result(**middle, accepted=sum(r.accepted for r in results), failed=sum(r.failed for r in results))


def take_turns(lab: Lab, options, targets: list[Target], connections: int | None = None) -> list[Result]:
    """The median of each target; every round asks each of them once. Nothing is counted that was not warm."""
    connections = connections or options.connections
    for target in targets:
        wrk(lab, target, 1, connections)
    rounds = [[wrk(lab, target, options.seconds, connections) for target in targets] for _ in range(options.rounds)]
    return [median(list(of_target)) for of_target in zip(*rounds)]


def row(what: str, against: str, bare: Result, ours: Result, limit: float) -> str:
    ratio = ours.rate / bare.rate if bare.rate else float("nan")
    failed = "".join(f"  {name}: {result.failed} of {result.accepted + result.failed} FAILED"
                     for name, result in (("bare", bare), ("ours", ours)) if result.failed)
    return (f"{what:<26} {against:<32} {bare.rate:>7.0f}/s {ours.rate:>7.0f}/s {ratio:>6.2f} {limit:>6.2f} "
            f"{'met' if ratio >= limit else 'not met':<8}{bare.p50_ms:>6.2f}, {ours.p50_ms:>6.2f} "
            f"{bare.p99_ms:>6.2f}, {ours.p99_ms:>6.2f}{failed}")


def reads(base: str, *paths: str) -> Target:
    return Target(base, "read", list(paths))


def products_of(lab: Lab, base: str, count: int | None = None) -> Target:
    return reads(base, *(f"/v1/products/{product}" for product in lab.ids[:count]))


# ---- reads ----

def product(lab: Lab, options):
    constant, kv, ours = take_turns(lab, options, [
        reads(BARE, "/file/product"), reads(BARE, "/kv/bench:product"),
        products_of(lab, lab.stack.address("catalog"), WARM_PRODUCTS)])
    yield row("product by id, warm", "civetweb, constant", constant, ours, 0.80)
    yield row("", "civetweb, one GET by hiredis", kv, ours, 2.0)


def product_list(lab: Lab, options):
    bare, ours = take_turns(lab, options, [
        reads(BARE, "/file/list"), reads(lab.stack.address("catalog"), "/v1/products?limit=20")])
    yield row("list of 20, warm", "civetweb, constant", bare, ours, 0.60)


@contextlib.contextmanager
def always_cold(lab: Lab, cached: str):
    """Begins a new generation of what is cached (products, or lists) all the time: what was stored before is a miss.
    A walk through all products takes longer than a generation lasts, so no product is read twice in one."""
    ended, valkey = threading.Event(), lab.stack.valkey()

    def run() -> None:
        while not ended.wait(NEW_GENERATION_S):
            valkey.set(f"{cached}:generation", new_id(), ex=7200)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def cold(lab: Lab, options):
    before = lab.stack.metrics("catalog")
    with always_cold(lab, "product"):  # for the bare rounds, too: what it costs is the same for both
        bare, ours = take_turns(lab, options, [
            reads(BARE, *(f"/sql/{one}" for one in lab.ids)), products_of(lab, lab.stack.address("catalog"))])
    after = lab.stack.metrics("catalog")
    asked, loaded = (after[name] - before.get(name, 0) for name in (ANSWERED_PRODUCTS, STATEMENTS))
    yield (row("product by id, cold", "civetweb, its statement by libpq", bare, ours, 0.40) +
           f"  {min(loaded / asked, 1):.0%} read from PostgreSQL")


def gateway(lab: Lab, options):
    bare, ours = take_turns(lab, options, [
        reads(BARE_GATEWAY, "/file/product"), products_of(lab, lab.stack.gateway, WARM_PRODUCTS)])
    yield row("product through gateway", "nginx before civetweb, constant", bare, ours, 0.80)


def search(lab: Lab, options):
    """One question at a time, and no answer is ready."""
    questions = [f"/v1/products?q={one}+{other}&sort={sort}" for sort in ("newest", "title", "price", "-price")
                 for one in LOOKS + PLACES for other in THINGS]
    random.Random(5).shuffle(questions)
    with always_cold(lab, "products"):
        bare, ours = take_turns(lab, options, [
            reads(BARE, *(f"/sql/{one}" for one in lab.ids)), reads(lab.stack.address("catalog"), *questions)], 1)
    for name, limit in (("p50", 10), ("p99", 30)):
        took, read = getattr(ours, name + "_ms"), bare.p50_ms
        yield (f"{'search, ' + name:<26} {'a read by primary key, p50':<32} {read:>7.2f}ms {took:>7.2f}ms "
               f"{took / read:>6.1f} {limit:>6.1f} {'met' if took / read <= limit else 'not met':<8}"
               f"{lab.variants} variants, one question at a time"
               f"{f'  {ours.failed} FAILED' if ours.failed else ''}")


# ---- writes ----

def cart(lab: Lab, options):
    body = json.dumps({"sku": "B-0-0", "quantity": 1})
    bare, ours = take_turns(lab, options, [
        Target(BARE, "cart", [body, "/cart"]), Target(lab.stack.address("cart"), "cart", [body, "/v1/cart/items"])])
    yield row("add to cart", "civetweb, one FCALL by hiredis", bare, ours, 0.60)


def statuses(lab: Lab) -> dict[str, int]:
    return dict(lab.stack.rows("order", "SELECT status, count(*) FROM customer_order GROUP BY status"))


def wait_until_paid(lab: Lab) -> float:
    """The seconds until no order waits for stock or money any more, PAID_WITHIN_S at most."""
    began = time.monotonic()
    with contextlib.suppress(AssertionError):  # then the statuses say so
        eventually("all are paid", lambda: not {"pending", "reserved"} & statuses(lab).keys(), within=PAID_WITHIN_S)
    return time.monotonic() - began


def orders(lab: Lab, options):
    """There is no bare limit here: the rate, and how long until the last one is paid for."""
    rounds, waits = [], []
    for _ in range(options.rounds):
        body = json.dumps({"items": [{"sku": f"B-{random.randrange(50)}-0", "quantity": 1}],
                           "email": "bench@example.org", "shipping_address": ADDRESS,
                           "payment": {"provider": "test", "token": "tok_ok"}})
        rounds.append(wrk(lab, Target(lab.stack.gateway, "order", [body, "/v1/orders", new_id()]), options.seconds,
                          options.connections))
        waits.append(wait_until_paid(lab))
    ours, found = median(rounds), statuses(lab)
    through = found.get("paid", 0) / (sum(waits) + options.rounds * options.seconds)
    failed = f"  {ours.failed} FAILED" if ours.failed else ""
    yield (f"{'orders, through gateway':<26} {'':<32} {'':>9} {ours.rate:>7.0f}/s {'':>6} {'':>6} {'':<8}"
           f"{'':>6}  {ours.p50_ms:>6.2f} {'':>6}  {ours.p99_ms:>6.2f}{failed}")
    yield (f"{'':<26} {through:.0f}/s from order to payment: {statistics.median(waits):.1f} s after the last was accepted "
           f"there are {', '.join(f'{count} {name}' for name, count in sorted(found.items()))}")


def memory(lab: Lab, _options):
    after = lab.memory()
    yield "\nmemory, MiB (PSS)          idle   after"
    for name in sorted(after):
        yield f"{name:<24} {lab.idle.get(name, 0):>6.1f}  {after[name]:>6.1f}"
    yield f"{'sum':<24} {sum(lab.idle.values()):>6.1f}  {sum(after.values()):>6.1f}"


ALL = {"product": product, "list": product_list, "cart": cart, "cold": cold, "gateway": gateway, "search": search,
       "orders": orders, "memory": memory}
