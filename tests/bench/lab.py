"""The shop under measurement, its catalogue, and the bare servers beside it."""
import itertools
import os
import pathlib
import re
import subprocess
from urllib.parse import urlparse

import requests

from support.messages import new_id
from support.stack import BUILD, PORT_BASE, ROOT, Client, Stack
from support.waiting import eventually

ADMIN = {"email": "admin@souk.localhost", "password": "souk-admin"}
BARE_PORT, BARE_GATEWAY_PORT = PORT_BASE + 3000, PORT_BASE + 3001
BARE = f"http://127.0.0.1:{BARE_PORT}"
BARE_GATEWAY = f"http://127.0.0.1:{BARE_GATEWAY_PORT}"
FILE_VARIANTS = 2_000  # an import is one request, with the deadline of a request
VARIANTS_EACH = 2
PIECES = 1_000_000
LOOKS = ("brass amber walnut linen copper ivory slate olive scarlet cobalt maple velvet pewter coral ebony jade "
         "rustic woven hammered glazed painted carved folded quilted").split()
THINGS = ("lamp table chair kettle bowl basket mirror rug cushion vase clock shelf stool tray jug plate candle "
          "curtain blanket teapot lantern cabinet bench spoon").split()
PLACES = "garden kitchen bedroom hallway terrace library cellar attic study nursery".split()

# The least that a cart's change can be in Valkey.
FUNCTION = """#!lua name=bench
server.register_function('bench_add', function(keys, args)
	local quantity = server.call('HINCRBY', keys[1], 'quantity', 1)
	server.call('EXPIRE', keys[1], args[1])
	return quantity
end)
"""

NGINX = """daemon off;
worker_processes 2;
error_log stderr warn;
pid {folder}/nginx.pid;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    upstream bare {{ server 127.0.0.1:{port}; keepalive 32; }}
    server {{
        listen 127.0.0.1:{listen};
        location / {{
            proxy_pass http://bare;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
        }}
    }}
}}
"""


def find_statement() -> str:
    """The statement by which the catalogue reads one product, out of its source: the same one, whatever it becomes."""
    source = (ROOT / "services/catalog/store.c").read_text()
    literal = re.compile(r'"((?:\\.|[^"\\])*)"')
    columns = re.search(r"#define PRODUCT_COLUMNS(.*?)\n\n", source, re.S).group(1)
    find = re.search(r"SQL_FIND_ID = \{(.*?)\};", source, re.S).group(1)
    parts = literal.findall(find)[1:]  # the first one is the statement's name
    return parts[0] + "".join(literal.findall(columns)) + "".join(parts[1:])


def catalogue(variants: int):
    """CSV files of so many variants; a product has VARIANTS_EACH of them."""
    titles = itertools.cycle(itertools.product(PLACES, LOOKS, THINGS))
    rows = []
    for number in range(variants // VARIANTS_EACH):
        title = f"{' '.join(next(titles)).capitalize()} {number}"
        for variant in range(VARIANTS_EACH):
            first = (title, f"<p>{title}, made by hand.</p>", "Bench", f"Home > {title.split()[2]}", "bench, hand made",
                     "true") if variant == 0 else ("",) * 6
            rows.append(",".join([f"bench-{number}", *(f'"{word}"' for word in first), "Size", f"size {variant}",
                                  f"B-{number}-{variant}", str(PIECES), f"{5 + number % 90}.{variant}0"]))
        if len(rows) >= FILE_VARIANTS:
            yield rows
            rows = []
    if rows:
        yield rows


class Lab:
    """with Lab(variants) as lab: the shop with its catalogue, and the bare servers."""

    def __init__(self, variants: int):
        self.stack = Stack("bench", services="all", port_base=PORT_BASE, SHIPPING_TEST_ADVANCE_MS="0",
                           SESSION_LOGINS_PER_MINUTE="10000")
        self.folder = self.stack.folder / "bench"
        self.processes: list[subprocess.Popen] = []
        self.variants = variants
        self.admin = None
        self.ids: list[str] = []

    def __enter__(self) -> "Lab":
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            anyone = Client(self.stack.gateway)
            session = eventually("an administrator", lambda: anyone.post("/v1/sessions", ADMIN).json, within=30)
            self.admin = anyone.as_user(session)
            self.idle = self.memory()
            self._import()
            self._start_bare()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_) -> None:
        for process in self.processes:
            process.terminate()
            process.wait(timeout=30)
        self.stack.stop()

    # ---- what is sold ----

    def _import(self) -> None:
        head = ("Handle,Title,Body (HTML),Vendor,Type,Tags,Published,Option1 Name,Option1 Value,Variant SKU,"
                "Variant Inventory Qty,Variant Price")
        for rows in catalogue(self.variants):
            answer = requests.post(self.stack.address("catalog") + "/v1/products/import",
                                   data="\n".join([head, *rows, ""]).encode(), timeout=300,
                                   headers=self.admin.headers | {"Content-Type": "text/csv",
                                                                 "Idempotency-Key": new_id()})
            assert answer.status_code == 200, answer.text[:500]
        count = self.variants // VARIANTS_EACH * VARIANTS_EACH
        # inventory heard of each when the catalogue has heard of its level, and the order service by its prices
        for service, table in (("catalog", "level"), ("order", "price")):
            eventually(f"{service} knows all of them", lambda s=service, t=table: self.stack.rows(
                s, f"SELECT count(*) FROM {t}")[0][0] >= count, within=60 + self.variants / 100)
        eventually("the carts know the last one", lambda: self.stack.valkey().exists(
            f"cart:sku:B-{self.variants // VARIANTS_EACH - 1}-0"), within=60 + self.variants / 100)
        self.ids = [str(row[0]) for row in self.stack.rows("catalog", "SELECT id FROM product ORDER BY slug")]

    # ---- the bare servers ----

    def _start_bare(self) -> None:
        catalog = self.stack.address("catalog")
        (self.folder / "product").write_bytes(requests.get(f"{catalog}/v1/products/{self.ids[0]}", timeout=9).content)
        (self.folder / "list").write_bytes(requests.get(f"{catalog}/v1/products?limit=20", timeout=9).content)
        valkey = self.stack.valkey()
        valkey.execute_command("FUNCTION", "LOAD", "REPLACE", FUNCTION)
        valkey.set("bench:product", (self.folder / "product").read_bytes())
        postgres = self.stack.secret("admin", "postgres_url").replace("/postgres?", "/souk?")
        kv = urlparse(self.stack.secret("admin", "valkey_url"))
        self._start([BUILD / "bench/bare", str(BARE_PORT), self.folder], BARE + "/file/product", {
            "BARE_VALKEY": str(kv.port), "BARE_VALKEY_USER": kv.username or "default",
            "BARE_VALKEY_PASSWORD": kv.password or "", "BARE_SQL": find_statement(),
            "BARE_POSTGRES": postgres + "&options=-csearch_path%3Dsouk_catalog"})
        nginx = self.folder / "nginx.conf"
        nginx.write_text(NGINX.format(folder=self.folder, port=BARE_PORT, listen=BARE_GATEWAY_PORT))
        user = ["-g", f"user {os.environ.get('USER', 'root')};"] if os.getuid() == 0 else []
        self._start(["nginx", "-p", self.folder, "-c", nginx, *user], BARE_GATEWAY + "/file/product", {})

    def _start(self, words: list, probe: str, environment: dict[str, str]) -> None:
        with open(self.folder / f"{pathlib.Path(words[0]).name}.log", "ab") as log:
            self.processes.append(subprocess.Popen(words, env=os.environ | environment, stderr=log))
        eventually(f"{probe} answers", lambda: requests.get(probe, timeout=2).status_code == 200)

    # ---- what they take ----

    def memory(self) -> dict[str, float]:
        """MiB of each service and of the gateway: what is its own, and its share of what is shared."""
        found = {}
        for line in self.stack.control("status").splitlines():
            pid = re.match(r"shop:(\S+)\s+RUNNING\s+pid (\d+)", line)
            if pid and pid.group(1) != "provisioner":
                found[pid.group(1)] = sum(map(_pss_mib, _with_children(int(pid.group(2)))))
        return found


def _with_children(pid: int) -> list[int]:
    children = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *map(int, children)]


def _pss_mib(pid: int) -> float:
    text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
    return int(re.search(r"^Pss:\s+(\d+)", text, re.M).group(1)) / 1024
