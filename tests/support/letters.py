"""Dead letters as an operator handles them, by `soukctl dead`."""
import base64
import re
import subprocess

from support.stack import BUILD
from support.waiting import eventually


class Soukctl:
    """soukctl("dead", "list"): its standard output; with fails=True its error."""

    def __init__(self, stores):
        self.secrets = stores.folder / "secrets"

    def __call__(self, *words: str, fails: bool = False) -> str:
        done = subprocess.run(
            [BUILD / "bin" / "soukctl", *words, "--secrets", self.secrets, "--topology", BUILD / "topology.json"],
            capture_output=True, text=True, timeout=60, check=False)
        assert (done.returncode != 0) == fails, done.stdout + done.stderr
        return done.stderr if fails else done.stdout


class Letters:
    """The letters of one event."""

    def __init__(self, soukctl, event_id: str, consumer: str = "inventory-paid"):
        self.soukctl, self.event_id, self.consumer = soukctl, event_id, consumer

    def rows(self) -> list[str]:
        listing = self.soukctl("dead", "list", "--consumer", self.consumer)
        return [line for line in listing.splitlines() if self.event_id in line]

    def number(self, *but: str) -> str:
        """Of the only one there is, once it is there and is none of those."""
        def find():
            rows = self.rows()
            return len(rows) == 1 and rows[0].split()[0] not in but and rows[0].split()[0]

        return eventually("the letter", find, within=30)


def raw(bus, number: str):
    """The letter as it lies in the stream: subject, headers, bytes."""
    message = bus.client.api("STREAM.MSG.GET.dead", {"seq": int(number)})["message"]
    pairs = re.findall(r"^([\w-]+): ?(.*?)\r$", base64.b64decode(message["hdrs"]).decode(), re.M)
    return message["subject"], dict(pairs), base64.b64decode(message.get("data", ""))
