"""Each service logs in to NATS as itself and tries what is not its own."""
import json
from urllib.parse import urlparse

import pytest
from rights.declared import ROOMS, SERVICES, others, sample

from support import nats

DOMAINS = {name: room.domain for name, room in ROOMS.items() if room.domain}
# A message that the stream itself turns down: the right is tried, nothing is stored.
NOT_STORED = {"Nats-Expected-Stream": "none"}

OF_A_STREAM = ("STREAM.CREATE.{s}", "STREAM.UPDATE.{s}", "STREAM.DELETE.{s}", "STREAM.PURGE.{s}", "STREAM.SNAPSHOT.{s}",
               "STREAM.RESTORE.{s}", "STREAM.MSG.GET.{s}", "STREAM.MSG.DELETE.{s}", "STREAM.LEADER.STEPDOWN.{s}",
               "CONSUMER.LIST.{s}", "CONSUMER.NAMES.{s}")
MAKES_A_CONSUMER = ("CONSUMER.CREATE.{s}", "CONSUMER.CREATE.{s}.rights", "CONSUMER.DURABLE.CREATE.{s}.rights",
                    "DIRECT.GET.{s}", "DIRECT.GET.{s}.{s}.rights")
OF_THE_ACCOUNT = ("INFO", "STREAM.LIST", "STREAM.NAMES", "STREAM.TEMPLATE.NAMES", "META.LEADER.STEPDOWN",
                  "ACCOUNT.PURGE.SHOP", "STREAM.CREATE.rights", "STREAM.CREATE.KV_rights")
OF_ANOTHERS_CONSUMER = ("$JS.API.CONSUMER.MSG.NEXT.{s}.{c}", "$JS.API.CONSUMER.INFO.{s}.{c}", "$JS.ACK.{s}.{c}.1.1.1.1.0",
                        "dead.{s}.{c}")
OF_ANY_CONSUMER = ("$JS.API.CONSUMER.DELETE.{s}.{c}", "$JS.API.CONSUMER.LEADER.STEPDOWN.{s}.{c}",
                   "$JS.API.CONSUMER.DURABLE.CREATE.{s}.{c}")
OF_THE_SYSTEM = ("$SYS.REQ.SERVER.PING", "$SYS.REQ.SERVER.PING.CONNZ", "$SYS.REQ.ACCOUNT.SHOP.CONNZ",
                 "$SYS.REQ.USER.INFO", "$SYS.ACCOUNT.SHOP.CONNECT", "$JS.EVENT.ADVISORY.rights", "$SRV.PING", "rights")
LISTENS_TO_ALL = (">", "*.>", "*.*.*", "$SYS.>", "$JS.>", "$JS.ACK.>", "$JS.API.>", "$JS.EVENT.>", "dead.>", "_INBOX.>",
                  "_INBOX_*.>", "_INBOX_admin.>", "_INBOX_tests.>", "audit.user_actions.*", "sessions.seen.*")


@pytest.fixture(scope="module")
def consumers(bus) -> list[tuple[str, str, str]]:
    """(stream, name, filter) of every durable consumer that is there. Its name begins with its service's."""
    found = []
    for stream in sorted(set(DOMAINS.values())):
        for info in bus.client.api(f"CONSUMER.LIST.{stream}")["consumers"]:
            found.append((stream, info["name"], info["config"].get("filter_subject", f"{stream}.>")))
    assert len(found) > 30, found
    return found


def owner_of(consumer: str) -> str:
    return consumer.split("-")[0]


class Login:
    def __init__(self, stores, service: str, row):
        self.client = nats.Client(stores.secret(service, "nats_url"))
        self.service, self.row = service, row

    def _errors(self, act) -> list[str]:
        """What the broker refuses of it. It answers in order: after the PONG there is nothing more to come."""
        self.client.errors.clear()
        act()
        self.client.flush()
        return list(self.client.errors)

    def _publish(self, subject: str) -> list[str]:
        return self._errors(lambda: self.client.publish(subject, b"{}", NOT_STORED))

    def cannot_publish(self, subject: str) -> None:
        errors = self._publish(subject)
        self.row.refuses(f"publish {subject}", f"Permissions Violation for Publish to \"{subject}\"" in "".join(errors),
                         errors)

    def can_publish(self, subject: str) -> None:
        errors = self._publish(subject)
        self.row.allows(f"publish {subject}", not errors, errors)

    def cannot_subscribe(self, subject: str) -> None:
        errors = self._errors(lambda: self.client.subscribe(subject))
        self.row.refuses(f"subscribe {subject}", "Permissions Violation for Subscription" in "".join(errors), errors)

    def can_request(self, subject: str, body: dict) -> None:
        """Asks, and gets an answer in the service's own inbox."""
        inbox = f"_INBOX_{self.service}.rights"
        listening = self.client.subscribe(inbox)
        errors = self._errors(lambda: self.client.publish(subject, json.dumps(body).encode(), None, inbox))
        answered = not errors and listening.next(10) is not None
        listening.close()
        self.row.allows(f"request {subject}", answered, errors)


@pytest.fixture
def login(stores, matrix):
    opened = []

    def open_login(service: str) -> Login:
        opened.append(Login(stores, service, matrix.row(service, "nats")))
        return opened[-1]

    yield open_login
    for each in opened:
        each.client.close()


def try_others_subjects(mine: Login, service: str) -> None:
    for domain in [d for name, d in DOMAINS.items() if name != service]:
        if domain == "audit":
            continue
        mine.cannot_publish(f"{domain}.created.rights")
        mine.cannot_publish(f"{domain}.rights")
        mine.cannot_subscribe(f"{domain}.>")
        mine.cannot_subscribe(f"{domain}.created.*")
    (mine.can_publish if ROOMS[service].tells_audit else mine.cannot_publish)("audit.user_actions.rights")
    if service != "audit":
        mine.cannot_publish("audit.rights.rights")
    for other in others(service):
        mine.cannot_publish(f"_INBOX_{other}.rights")
        mine.cannot_subscribe(f"_INBOX_{other}.>")
    for subject in LISTENS_TO_ALL:
        mine.cannot_subscribe(subject)
    for subject in OF_THE_SYSTEM:
        mine.cannot_publish(subject)


def try_jetstream(mine: Login, service: str, consumers) -> None:
    room = ROOMS[service]
    for stream in sorted(set(DOMAINS.values())) + ["dead", "replay"]:
        for call in OF_A_STREAM + (() if stream in room.replays else MAKES_A_CONSUMER):
            mine.cannot_publish("$JS.API." + call.format(s=stream))
        # Who publishes to a stream may look whether it keeps what it acknowledged.
        publishes = stream == room.domain or (stream == "audit" and room.tells_audit)
        if not publishes and not any(heard.split(".")[0] == stream for heard in room.hears):
            mine.cannot_publish(f"$JS.API.STREAM.INFO.{stream}")
    for call in OF_THE_ACCOUNT:
        mine.cannot_publish(f"$JS.API.{call}")
    for stream, name, _ in consumers:
        place = {"s": stream, "c": name}
        if owner_of(name) == service:
            mine.can_request("$JS.API.CONSUMER.INFO.{s}.{c}".format(**place), {})
            mine.can_request("$JS.API.CONSUMER.MSG.NEXT.{s}.{c}".format(**place), {"batch": 1, "no_wait": True})
            mine.can_publish("$JS.ACK.{s}.{c}.1.0.0.0.0".format(**place))
            mine.can_publish("dead.{s}.{c}".format(**place))
        else:
            for subject in OF_ANOTHERS_CONSUMER:
                mine.cannot_publish(subject.format(**place))
        for subject in OF_ANY_CONSUMER:
            mine.cannot_publish(subject.format(**place))
    for stream in room.replays:
        mine.can_request(f"$JS.API.DIRECT.GET.{stream}", {"last_by_subj": f"{stream}.rights"})


@pytest.mark.parametrize("service", SERVICES)
def test_nats_gives_a_service_its_own_subjects_and_consumers_and_nothing_else(login, consumers, service):
    mine = login(service)
    if ROOMS[service].domain and service != "audit":  # audit has nothing to tell but actions
        mine.can_publish(f"{ROOMS[service].domain}.created.rights")
    mine.can_publish("sessions.seen.rights")
    try_others_subjects(mine, service)
    try_jetstream(mine, service, consumers)
    mine.row.check()


def is_within(subject: str, allowed: str) -> bool:
    """Whether every subject that the one filter takes is one of the other's."""
    words, limits = subject.split("."), allowed.split(".")
    for i, limit in enumerate(limits):
        if limit == ">":
            return len(words) > i
        if i >= len(words) or (limit != "*" and words[i] != limit) or (limit == "*" and words[i] == ">"):
            return False
    return len(words) == len(limits)


@pytest.mark.parametrize("service", SERVICES)
def test_a_services_consumers_hear_no_more_than_the_design_says(consumers, service):
    mine = [(name, subject) for _, name, subject in consumers if owner_of(name) == service]
    assert mine, "it has no consumer"
    for name, subject in mine:
        assert any(is_within(subject, allowed) for allowed in ROOMS[service].hears), (name, subject)


def test_every_consumer_belongs_to_a_service(consumers):
    assert {owner_of(name) for _, name, _ in consumers} <= set(SERVICES)


@pytest.mark.parametrize("service", SERVICES)
def test_nats_lets_a_service_in_as_itself_only(stores, matrix, service):
    row, own = matrix.row(service, "nats log-in"), urlparse(stores.secret(service, "nats_url"))
    address = f"{own.hostname}:{own.port}"

    def answer(url: str) -> str | None:
        try:
            nats.Client(url).close()
            return None
        except (ConnectionError, OSError) as refusal:
            return str(refusal)

    row.allows("its own log-in", answer(own.geturl()) is None)
    for other in others(service) + ["admin", "SYS", "sys"]:
        refusal = answer(f"nats://{other}:{own.password}@{address}")
        row.refuses(f"as {other}", refusal is not None, refusal)
    row.refuses("without a password", answer(f"nats://{service}@{address}") is not None)
    row.refuses("without a log-in", answer(f"nats://{address}") is not None)
    row.check()


def test_filters_are_compared_word_by_word():
    assert is_within("orders.created.*", "orders.>") and is_within("orders.*.*", "orders.>")
    assert not is_within("orders.>", "orders.created.*") and not is_within("orders.created.>", "orders.created.*")
    assert not is_within("sessions.>", "orders.>") and sample("orders.>") == "orders.rights.probe"
