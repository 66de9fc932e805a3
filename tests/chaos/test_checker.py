"""The checker finds what is wrong: after a few orders, one thing at a time is tampered with.

The stores' rows are changed in the checker's own transaction, which is rolled back: it sees them as
if they were so, and no service ever does.
"""
import contextlib
import copy
import smtplib

import pytest

from chaos.journal import OK, Purchase
from support.messages import new_id
from support.waiting import eventually


@pytest.fixture(scope="module")
def orders(suite):
    """One order of each fate, ended, with the checker content: {"delivered": id, …}"""
    def place(**options):
        purchase = suite.shoppers.place_one(**options)
        assert purchase.outcome == OK, purchase
        return next(iter(purchase.order_ids))

    def cancelled_in_time():
        purchase = suite.shoppers.place_one(kind="cancel", token="tok_slow")
        return purchase.cancel == "cancelled" and next(iter(purchase.order_ids))

    made = {"delivered": place(), "twice": place(kind="twice"), "again": place(kind="again"),
            "payment_failed": place(token="tok_decline"),
            "cancelled": eventually("one is cancelled before its parcel leaves", cancelled_in_time, within=60),
            "refunded": place(kind="refund", whim=1), "refunded partly": place(kind="refund", whim=0)}
    for _ in range(5):  # of 4 pieces
        made["rejected"] = place(kind="scarce", sku=suite.shoppers.scarce[0])
    assert [str(violation) for violation in suite.settle()] == []
    return made


@contextlib.contextmanager
def supposing(checker, statements):
    """As if these statements had been run."""
    connection = checker.connection()
    connection.autocommit = False
    chain = checker._chain  # pylint: disable=protected-access
    checker._chain = (0, bytes(32))  # pylint: disable=protected-access
    try:
        with connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
        yield
    finally:
        connection.rollback()
        connection.autocommit = True
        checker._chain = chain  # pylint: disable=protected-access


def twin(table: str, where: str, change: str) -> list[str]:
    """Statements that add a row which is another one but for what is changed."""
    return [f"CREATE TEMP TABLE twin ON COMMIT DROP AS SELECT * FROM {table} WHERE {where} LIMIT 1",
            f"UPDATE twin SET {change}", f"INSERT INTO {table} SELECT * FROM twin"]


NEW_ID = "id = gen_random_uuid()"
AUDIT_OPEN = "ALTER TABLE souk_audit.entry DISABLE TRIGGER USER"
# What is done, and the rule that has to find it. {delivered} is the id of the order with that fate.
TAMPERINGS = {
    "an order vanishes": (["SET LOCAL session_replication_role = replica",  # foreign keys look away
                           "DELETE FROM souk_order.customer_order WHERE id = '{delivered}'"],
                          "every accepted order exists"),
    "an order is there twice": (twin("souk_order.customer_order", "id = '{delivered}'", f"{NEW_ID}, number = 'S-0'"),
                                "a key makes one order"),
    "an order comes from nowhere": (twin("souk_order.customer_order", "id = '{delivered}'",
                                         f"{NEW_ID}, number = 'S-0', ship_line2 = 'nobody'"),
                                    "every order comes from a shopper"),
    "an order is stuck": (["UPDATE souk_order.customer_order SET status = 'paid' WHERE id = '{delivered}'"],
                          "every order is in an end state"),
    "an order waits for an answer": (["UPDATE souk_order.customer_order SET deadline_at = now() WHERE id = '{delivered}'"],
                                     "every order is in an end state"),
    "an order is given up": (["UPDATE souk_order.customer_order SET status = 'cancelled' WHERE id = '{delivered}'"],
                             "an order ends as its shopper meant"),
    "a cancel is forgotten": (["UPDATE souk_order.customer_order SET status = 'delivered' WHERE id = '{cancelled}'"],
                              "an order ends as its shopper meant"),
    "a reservation is left": (["UPDATE souk_inventory.stock SET reserved = 1 WHERE on_hand > 0"], "nothing is reserved"),
    "a piece too many is sold": (["UPDATE souk_inventory.stock SET on_hand = on_hand - 1 WHERE on_hand > 0"],
                                 "on hand is initial and adjustments less sold"),
    "the ledger lacks a line": (["DELETE FROM souk_inventory.movement WHERE order_id = '{delivered}'"],
                                "the ledger leads to what is on hand"),
    "a hole in the stock is papered over": ([
        "UPDATE souk_inventory.stock SET on_hand = on_hand - 1 WHERE sku LIKE 'PLENTY%'",
        "INSERT INTO souk_inventory.movement (id, sku, delta, kind) SELECT gen_random_uuid(), sku, -1, 'adjustment'"
        " FROM souk_inventory.stock WHERE sku LIKE 'PLENTY%'"], "what staff put there is there once"),
    "goods leave twice": (twin("souk_inventory.movement", "kind = 'sale'", NEW_ID), "goods leave once"),
    "an order has two payments": (["ALTER TABLE souk_payment.payment DROP CONSTRAINT payment_order_id_key"] + twin(
        "souk_payment.payment", "order_id = '{delivered}'", NEW_ID), "an order has one payment"),
    "the provider charges twice": (twin("souk_payment.test_provider_charge", "outcome = 'succeeded'", "key = gen_random_uuid()"),
                                   "an order has one payment"),
    "a payment vanishes": (["DELETE FROM souk_payment.payment WHERE order_id = '{delivered}'"],
                           "what is captured less refunded is the orders total"),
    "another amount is captured": (["UPDATE souk_payment.payment SET amount_minor = amount_minor + 1 WHERE order_id = '{delivered}'"],
                                   "what is captured less refunded is the orders total"),
    "money does not come back": (["UPDATE souk_payment.payment SET refunded_minor = 0 WHERE order_id = '{refunded}'"],
                                 "what is captured less refunded is the orders total"),
    "money comes back twice": (twin("souk_payment.test_provider_refund", "true", "key = gen_random_uuid()"), "money goes back once"),
    "a refund is forgotten": (["DELETE FROM souk_order.order_refund WHERE order_id = '{refunded partly}'"], "money goes back once"),
    "a label is lost": (["DELETE FROM souk_shipping.shipment WHERE order_id = '{delivered}'"], "an order that is paid has one label"),
    "a label is made twice": (["ALTER TABLE souk_shipping.shipment DROP CONSTRAINT shipment_order_id_key"] + twin(
        "souk_shipping.shipment", "order_id = '{delivered}'", f"{NEW_ID}, tracking_number = 'SK0'"),
                              "an order that is paid has one label"),
    "an entry is edited": ([AUDIT_OPEN, "UPDATE souk_audit.entry SET account_id = 'somebody' WHERE seq = 3"],
                           "the audit log verifies"),
    "an entry is taken out": ([AUDIT_OPEN, "DELETE FROM souk_audit.entry WHERE seq = 3"], "the audit log verifies"),
    "the last entry is missing": ([AUDIT_OPEN, "DELETE FROM souk_audit.entry WHERE seq = (SELECT max(seq) FROM souk_audit.entry)"],
                                  "an event has one entry"),
    "an entry is of no event": (["DELETE FROM souk_order.outbox WHERE subject = 'orders.created.{delivered}'"],
                                "an event has one entry"),
    "the day's sales are wrong": (["UPDATE souk_analytics.sales_day SET gross = gross + 1"], "analytics equals the orders"),
    "a sale is not counted": (["UPDATE souk_analytics.order_fact SET paid_on = NULL WHERE order_id = '{delivered}'"],
                              "analytics equals the orders"),
    "analytics lacks an order": (["DELETE FROM souk_analytics.order_fact WHERE order_id = '{rejected}'"],
                                 "analytics equals the orders"),
}


@pytest.mark.parametrize("what", TAMPERINGS)
def test_it_is_found_when(suite, orders, what):
    statements, rule = TAMPERINGS[what]
    for fate, order_id in orders.items():
        statements = [statement.replace("{" + fate + "}", order_id) for statement in statements]
    with supposing(suite.checker, statements):
        assert rule in {violation.rule for violation in suite.checker.check(suite.journal)}
    assert suite.checker.check(suite.journal) == []


def test_a_shopper_who_was_told_of_an_order_that_is_not_there_is_heard(suite, orders):
    journal = copy.copy(suite.journal)
    journal.purchases = suite.journal.purchases + [
        Purchase("no-such-key", "pay", suite.shoppers.plenty[0], 1, "tok_ok", OK, {new_id()})]
    assert [v.kind for v in suite.checker.check(journal)] == ["lost"], orders


def test_a_shopper_who_was_told_two_numbers_is_heard(suite, orders):
    journal = copy.copy(suite.journal)
    twice = copy.copy(next(p for p in journal.accepted() if orders["delivered"] in p.order_ids))
    twice.order_ids = twice.order_ids | {orders["twice"]}
    journal.purchases = [twice if p.key == twice.key else p for p in journal.purchases]
    assert "a key makes one order" in {v.rule for v in suite.checker.check(journal)}


def mail(suite, orders) -> str:
    """The mail that says that the order has arrived, as it came."""
    number, = suite.checker.rows("SELECT number FROM souk_order.customer_order WHERE id = %s", orders["delivered"])
    sent, = suite.shop.mails(subject=f"Your order {number['number']} has arrived")
    return suite.shop.folder / "mail" / f"{sent['id']}.eml"


def mail_rule_after(suite) -> list:
    suite.checker.forget()
    return [v.kind for v in suite.checker.check(suite.journal) if v.rule == "a mail of a kind comes once"]


def test_a_mail_that_did_not_come_is_missed(suite, orders):
    path = mail(suite, orders)
    path.rename(path.with_suffix(".away"))
    try:
        assert mail_rule_after(suite) == ["lost"]
    finally:
        path.with_suffix(".away").rename(path)
    assert mail_rule_after(suite) == []


@pytest.mark.parametrize("message_id, found", [("another", ["doubled"]), ("the same", [])])
def test_a_second_mail_is_one_too_many_unless_it_is_the_same_handed_over_again(suite, orders, message_id, found):
    content = mail(suite, orders).read_bytes()
    if message_id == "another":
        content = content.replace(b"Message-ID: <", b"Message-ID: <x")
    known = len(suite.shop.mails())
    with smtplib.SMTP("127.0.0.1", suite.shop.smtp_port) as server:
        server.sendmail("shop@souk.localhost", ["ada@example.org"], content)
    added = eventually("it came", lambda: suite.shop.mails()[known:])
    try:
        assert mail_rule_after(suite) == found
    finally:
        (suite.shop.folder / "mail" / f"{added[0]['id']}.eml").unlink()
    assert mail_rule_after(suite) == []


def test_work_that_is_under_way_is_seen(suite, orders):
    with supposing(suite.checker, [f"UPDATE souk_order.outbox SET sent_at = NULL WHERE subject = 'orders.paid.{orders['delivered']}'"]):
        assert suite.checker.unquiet() == ["events in the outbox of order: 1"]
    assert suite.checker.unquiet() == []


def test_a_dead_letter_is_found_unless_it_was_planted(suite, orders):
    bus = suite.shop.bus()
    bus.publish_acked("dead.orders.tests", b"a letter that cannot be handled")
    try:
        assert ["no letter is dead"] == [v.rule for v in suite.checker.check(suite.journal)], orders
        suite.checker.planted = 1
        assert suite.checker.check(suite.journal) == []
    finally:
        suite.checker.planted = 0
        bus.api("STREAM.PURGE.dead")
        bus.close()
