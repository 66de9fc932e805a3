"""Consumers in trouble: a message on which the service dies each time, and a durable consumer that vanishes."""
import pytest

from support.events import product_changed
from support.letters import Letters, Soukctl
from support.messages import message, new_id
from support.stack import Service
from support.waiting import eventually


@pytest.fixture
def ack_wait(bus):
    """ack_wait(2): what inventory does not answer comes again after so many seconds."""
    place = "catalog.inventory-catalog"
    before = bus.client.api(f"CONSUMER.INFO.{place}")["config"]

    def configure(seconds: float) -> None:
        answer = bus.client.api(f"CONSUMER.DURABLE.CREATE.{place}", {
            "stream_name": "catalog", "config": before | {"ack_wait": int(seconds * 1e9)}})
        assert "error" not in answer, answer

    yield configure
    configure(before["ack_wait"] / 1e9)


class Deadly:
    """A SKU on which inventory hangs, so that it can be killed there: its row is held by another transaction."""

    def __init__(self, stores, sku: str):
        self.stores, self.sku, self.connection = stores, sku, stores.database("inventory")
        self.connection.autocommit = False
        with self.connection.cursor() as cursor:
            cursor.execute("INSERT INTO stock (sku, on_hand) VALUES (%s, 1)", (sku,))

    def hangs(self) -> bool:
        return bool(self.stores.rows("inventory", "SELECT 1 FROM pg_stat_activity WHERE usename = 'souk_inventory'"
                                     " AND wait_event_type = 'Lock' AND query LIKE '%%INTO stock%%'"))

    def kill(self, service: Service) -> None:
        service.process.kill()
        service.process.wait()
        # A backend that waits for a lock does not notice that its client is gone.
        self.stores.rows("inventory", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                         " WHERE usename = 'souk_inventory'")
        eventually("its transactions are gone", lambda: not self.stores.rows(
            "inventory", "SELECT 1 FROM pg_stat_activity WHERE usename = 'souk_inventory'"))

    def release(self) -> None:
        if not self.connection.closed:
            self.connection.rollback()
            self.connection.close()


@pytest.fixture
def deadly(stores):
    made = Deadly(stores, f"DEADLY-{new_id()[-12:]}".upper())
    yield made
    made.release()


def test_a_message_on_which_the_service_dies_each_time_is_buried_and_its_neighbours_are_not(
        stores, bus, ack_wait, deadly):
    skus, poison = [f"NEAR-{number}-{new_id()[-12:]}".upper() for number in range(4)], deadly.sku
    soukctl, kills = Soukctl(stores), 0
    before = bus.dead_letters("catalog", "inventory-catalog")
    ids = {}
    for sku in skus[:2] + [poison] + skus[2:]:
        event = product_changed(sku)
        ids[sku] = bus.tell(f"catalog.product.{event.product_id}", event)

    def buried() -> bool:
        return bus.dead_letters("catalog", "inventory-catalog") > before

    def neighbours_are_known() -> bool:
        return len(stores.rows("inventory", "SELECT 1 FROM stock WHERE sku = ANY(%s)", skus)) == len(skus)

    ack_wait(5)
    while not buried():
        service = Service(stores, "inventory")
        try:
            eventually("it hangs, or gives it up", lambda: deadly.hangs() or buried(), within=30)
        finally:
            kills += not buried()
            deadly.kill(service)
        if neighbours_are_known():
            ack_wait(1)  # only the deadly one is left
        assert kills < 40, "it loops for ever"
    assert kills >= 2 and neighbours_are_known()
    deadly.release()
    last = Service(stores, "inventory")
    try:
        assert last.get(f"/v1/stock/{poison}").status == 404
        number = Letters(soukctl, ids[poison], "inventory-catalog").number()
        assert "souk-error-code: never_answered" in soukctl("dead", "show", number)
        assert bus.dead_letters("catalog", "inventory-catalog") == before + 1
        # And once the cause is mended, the letter is handled.
        soukctl("dead", "replay", number)
        eventually("it is known, too", lambda: last.get(f"/v1/stock/{poison}").status == 200, within=30)
    finally:
        last.stop()


def test_what_came_often_because_the_service_died_of_another_is_handled_under_traffic(
        stores, bus, ack_wait, deadly):
    """Each message that is suspect goes alone; the others wait, and waiting must not count against them for long."""
    skus = [f"WAITING-{number}-{new_id()[-12:]}".upper() for number in range(29)]
    skus.insert(7, deadly.sku)
    before = bus.dead_letters("catalog", "inventory-catalog")

    def sell(sku: str) -> None:
        event = product_changed(sku)
        bus.tell(f"catalog.product.{event.product_id}", event)

    ack_wait(2)
    for sku in skus:
        sell(sku)
    for _ in range(2):  # each of them is delivered twice and not answered
        service = Service(stores, "inventory")
        try:
            eventually("it hangs", deadly.hangs, within=30)
        finally:
            deadly.kill(service)
    deadly.release()
    last = Service(stores, "inventory")

    def known_or_buried() -> bool:
        for _ in range(10):
            sell(f"FRESH-{new_id()[-12:]}".upper())
        known = stores.rows("inventory", "SELECT count(*) FROM stock WHERE sku = ANY(%s)", skus)[0][0]
        return known == len(skus) or bus.dead_letters("catalog", "inventory-catalog") > before

    try:
        eventually("all are known", known_or_buried, within=60)
        assert bus.dead_letters("catalog", "inventory-catalog") == before
    finally:
        last.stop()


def test_a_consumer_that_was_deleted_and_made_anew_is_pulled_from_again(start_service, stores, bus):
    """The broker says nothing of it to those who wait for its messages."""
    admin = start_service("audit").as_user(stores.log_in("admin"))
    place = "audit.audit-actions"

    def told() -> None:
        account = new_id()
        bus.tell(f"audit.user_actions.{account}", message(
            "souk.audit.v1.UserAction", version=1, action="session.opened", entity="session", account_id=account))
        eventually("the entry", lambda: admin.get(f"/v1/audit?user_id={account}").json["items"], within=30)

    told()
    config = bus.client.api(f"CONSUMER.INFO.{place}")["config"]
    assert bus.client.api(f"CONSUMER.DELETE.{place}")["success"]
    assert "error" not in bus.client.api(f"CONSUMER.DURABLE.CREATE.{place}", {"stream_name": "audit", "config": config})
    told()
