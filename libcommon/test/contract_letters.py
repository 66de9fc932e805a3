"""Dead letters: kept with their error, listed, shown, sent to the consumer that failed again, dropped.

The scenario: inventory hears that an order is paid, of which it never heard that it was placed.
"""
import re
import subprocess

import pytest

from support import letters
from support.events import ADDRESS, lines, order_event, product_changed
from support.letters import Letters, Soukctl
from support.messages import new_id
from support.stack import BUILD
from support.waiting import eventually


@pytest.fixture(scope="module")
def soukctl(stores):
    return Soukctl(stores)


@pytest.fixture(scope="module")
def inventory(start_service):
    """It gives a message up at the second failure."""
    return start_service("inventory", CONSUMER_MAX_DELIVERIES="2")


@pytest.fixture(scope="module")
def admin(start_service, stores):
    return start_service("audit").as_user(stores.log_in("admin"))


@pytest.fixture
def sku(inventory, bus):
    """A SKU of which ten are there."""
    name = f"DEAD-{new_id()[-12:]}".upper()
    event = product_changed(name, quantity=10)
    bus.tell(f"catalog.product.{event.product_id}", event)
    eventually("inventory knows it", lambda: inventory.get(f"/v1/stock/{name}").status == 200)
    return name


def paid(bus, order: str) -> str:
    return bus.tell(f"orders.paid.{order}", order_event("OrderPaid", order, 3, lines=lines("X"),
                                                          shipping_address=ADDRESS, payment_id=new_id()))


def placed(bus, order: str, sku: str, quantity: int) -> None:
    bus.tell(f"orders.created.{order}", order_event("OrderCreated", order, lines=lines(sku, quantity),
                                                       shipping_address=ADDRESS, subtotal_minor=1000))


def stock(inventory, sku: str) -> tuple[int, int]:
    level = inventory.get(f"/v1/stock/{sku}").json
    return level["on_hand"], level["reserved"]


def actions(admin, action: str, number: str) -> int:
    entries = admin.get(f"/v1/audit?entity={number}&action={action}&limit=100").json["items"]
    return len(entries)


def test_a_letter_is_listed_and_shown_with_its_error_and_its_message(inventory, bus, soukctl):
    order = new_id()
    dead = Letters(soukctl, paid(bus, order))
    number = dead.number()
    (row,) = dead.rows()
    assert re.search(r" orders +inventory-paid +souk\.orders\.v1\.OrderPaid +\S+ +2 ", row), row
    text = soukctl("dead", "show", number)
    assert f"souk-subject: orders.paid.{order}" in text and f'"order_id":\t"{order}"' in text, text
    assert f"ce-id: {dead.event_id}" in text and "souk-error: " in text
    soukctl("dead", "drop", number)


def test_a_letter_that_is_replayed_before_the_cause_is_mended_comes_back(inventory, bus, soukctl, sku):
    dead = Letters(soukctl, paid(bus, new_id()))
    first = dead.number()
    assert "replayed: 1 letters" in soukctl("dead", "replay", first)
    second = dead.number(first)
    (row,) = dead.rows()
    assert re.search(r" 4 +", row), f"two attempts, and two again: {row}"
    # And a third time within the stream's window: no burial may be taken for an earlier one.
    soukctl("dead", "replay", second)
    third = dead.number(first, second)
    soukctl("dead", "drop", third)


def test_a_replayed_letter_has_its_effect_once_and_only_where_it_failed(inventory, admin, bus, soukctl, sku):
    order = new_id()
    event_id = paid(bus, order)
    number = Letters(soukctl, event_id).number()
    letter = letters.raw(bus, number)
    # When the cause is mended,
    placed(bus, order, sku, 3)
    eventually("three are reserved", lambda: stock(inventory, sku) == (10, 3))
    soukctl("dead", "replay", number)
    # then the three are sold,
    eventually("three are sold", lambda: stock(inventory, sku) == (7, 0), within=30)
    assert Letters(soukctl, event_id).rows() == []
    # and once more changes nothing, as after a replay that died before it had deleted the letter.
    del letter[1]["Nats-Msg-Id"]
    bus.client.publish_acked(letter[0], letter[2], letter[1])
    again = Letters(soukctl, event_id).number()
    soukctl("dead", "replay", again)
    eventually("it is handled", lambda: bus.settled("replay", "inventory-replay"), within=30)
    assert stock(inventory, sku) == (7, 0) and Letters(soukctl, event_id).rows() == []
    # The other consumers of the subject have seen it once.
    eventually("audit is through", lambda: bus.settled("orders", "audit-orders"))
    assert actions(admin, "orders.paid", order) == 1


def test_what_an_operator_does_to_a_letter_is_in_the_audit_log(inventory, admin, bus, soukctl):
    dead = Letters(soukctl, paid(bus, new_id()))
    first = dead.number()
    soukctl("dead", "replay", first)
    eventually("replayed", lambda: actions(admin, "dead_letter.replayed", first) == 1)
    second = dead.number(first)
    soukctl("dead", "drop", second)
    eventually("dropped", lambda: actions(admin, "dead_letter.dropped", second) == 1)
    assert dead.rows() == []


def test_all_letters_of_a_consumer_are_replayed_or_dropped_at_once(inventory, bus, soukctl, sku):
    orders = [new_id() for _ in range(3)]
    dead = [Letters(soukctl, paid(bus, order)) for order in orders]
    other = Letters(soukctl, new_id(), "nobody-at-all")
    bus.client.publish_acked("dead.orders.nobody-at-all", b"\x00\xff", {
        "ce-id": other.event_id, "souk-stream": "orders", "souk-consumer": "nobody-at-all"})
    for each in dead:
        each.number()
    for order in orders:
        placed(bus, order, sku, 1)
    eventually("all are reserved", lambda: stock(inventory, sku) == (10, 3))
    soukctl("dead", "replay", "--all", "--consumer", "inventory-paid")
    eventually("all are sold", lambda: stock(inventory, sku) == (7, 0), within=30)
    assert "00 ff" in soukctl("dead", "show", other.number())
    assert "no service has the consumer" in soukctl("dead", "replay", other.number(), fails=True)
    assert "dropped: 1 letters" in soukctl("dead", "drop", "--all", "--consumer", "nobody-at-all")
    assert other.rows() == []


@pytest.mark.parametrize("words, error", [
    (["replay", "999999999"], "there is no letter 999999999"),
    (["show", "x1"], "no letter's number"),
    (["replay"], "usage"), (["drop", "1", "--all"], "usage"), (["bury", "1"], "usage"), ([], "usage"),
])
def test_a_wrong_command_is_a_clear_error(soukctl, words, error):
    assert error in soukctl("dead", *words, fails=True)


def test_without_the_administrators_secrets_nothing_goes(soukctl, tmp_path):
    done = subprocess.run([BUILD / "bin" / "soukctl", "dead", "list", "--secrets", tmp_path],
                          capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1 and "cannot read" in done.stderr
