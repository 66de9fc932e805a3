"""The checker's rules. Each is given the checker (for the stores) and the journal, and yields
(kind, evidence) for whatever should not be."""
from collections import Counter

from chaos.journal import OK, REFUSED, UNKNOWN

WITH_OUTBOX = ("session", "catalog", "order", "inventory", "payment", "shipping", "notification")

# What a quiet shop has none of: {what, count}.
UNDER_WAY = " UNION ALL ".join(
    [f"SELECT 'events in the outbox of {name}' AS what, count(*) FROM souk_{name}.outbox WHERE sent_at IS NULL"
     for name in WITH_OUTBOX] + [
        """SELECT 'orders that wait for an answer', count(*) FROM souk_order.customer_order WHERE deadline_at IS NOT NULL
            OR status NOT IN ('delivered', 'rejected', 'payment_failed', 'cancelled', 'refunded')""",
        "SELECT 'charges', count(*) FROM souk_payment.payment WHERE state IN ('requested', 'charging')",
        "SELECT 'refunds', count(*) FROM souk_payment.refund WHERE state IN ('requested', 'sent')",
        "SELECT 'charges of the provider', count(*) FROM souk_payment.test_provider_charge WHERE due_at IS NOT NULL",
        "SELECT 'refunds of the provider', count(*) FROM souk_payment.test_provider_refund WHERE due_at IS NOT NULL",
        "SELECT 'parcels', count(*) FROM souk_shipping.shipment WHERE advance_at IS NOT NULL",
        "SELECT 'mails', count(*) FROM souk_notification.message WHERE due_at IS NOT NULL"])

# An order, with the name by which its shopper knows it.
ORDERS = """SELECT id::text, ship_line2 AS key, number, status, reason, total_minor AS total, refunded_minor AS refunded,
                   payment_status FROM souk_order.customer_order"""

# The orders whose goods have left the house.
GONE = """SELECT o.id FROM souk_order.customer_order o LEFT JOIN souk_shipping.shipment s ON s.order_id = o.id
           WHERE o.status IN ('paid', 'shipped', 'delivered') OR s.state IN ('shipped', 'delivered')"""


# ---- orders ----

def every_accepted_order_exists(checker, journal):
    there = {row["id"]: row["key"] for row in checker.rows(ORDERS)}
    for purchase in journal.accepted():
        for order_id in purchase.order_ids:
            if there.get(order_id) != purchase.key:
                yield "lost", f"order {order_id} of {purchase.key} ({purchase.kind}) was accepted and is not there"


def a_key_makes_one_order(checker, journal):
    found = Counter(row["key"] for row in checker.rows(ORDERS))
    for purchase in list(journal.purchases):
        if found[purchase.key] > 1 or len(purchase.order_ids) > 1:
            yield "doubled", f"{purchase.key} has {found[purchase.key]} orders, was told of {sorted(purchase.order_ids)}"
        if purchase.outcome == REFUSED and found[purchase.key]:
            yield "other", f"{purchase.key} was refused ({purchase.code}) and has an order"


def every_order_comes_from_a_shopper(checker, journal):
    keys = {purchase.key for purchase in list(journal.purchases)}
    for row in checker.rows(ORDERS):
        if row["key"] not in keys:
            yield "doubled", f"nobody placed order {row['id']} ({row['key']!r})"


def every_shopper_has_an_answer(_checker, journal):
    for purchase in list(journal.purchases):
        if UNKNOWN in (purchase.outcome, purchase.cancel, *(refund["outcome"] for refund in purchase.refunds)):
            yield "other", f"{purchase.key} ({purchase.kind}) never got a definite answer"


def every_order_is_in_an_end_state(checker, _journal):
    for row in checker.rows(f"""{ORDERS} WHERE deadline_at IS NOT NULL
            OR status NOT IN ('delivered', 'rejected', 'payment_failed', 'cancelled', 'refunded')"""):
        yield "lost", f"order {row['id']} is still {row['status']}, or owes an answer"


def an_order_ends_as_its_shopper_meant(checker, journal):
    """A good token and goods that are there: only the shopper, or staff, may keep it from its good end."""
    there = {row["id"]: row for row in checker.rows(ORDERS)}
    scarce = {sku for sku, pieces in journal.initial.items() if pieces < 1000}
    for purchase in journal.accepted():
        for row in filter(None, map(there.get, purchase.order_ids)):
            ends = {"rejected"} if purchase.sku in scarce else set()
            ends |= {"payment_failed"} if purchase.token == "tok_decline" else {"delivered"}
            ends |= {"cancelled"} if purchase.cancel not in ("", REFUSED) else set()
            ends |= {"refunded"} if purchase.refunds else set()
            ends = {"cancelled"} if purchase.cancel == "cancelled" else ends
            if row["status"] not in ends:
                yield "lost", (f"order {row['id']} of {purchase.key} ({purchase.kind}, {purchase.token}, cancel "
                               f"{purchase.cancel or 'not asked'}) ended as {row['status']}: {row['reason']!r}")


# ---- stock ----

def nothing_is_reserved(checker, _journal):
    for row in checker.rows("SELECT sku, on_hand, reserved FROM souk_inventory.stock WHERE reserved <> 0"):
        yield "oversold", f"{row['reserved']} of {row['sku']} are still reserved"


def on_hand_is_initial_and_adjustments_less_sold(checker, _journal):
    for row in checker.rows(f"""
            WITH sold AS (SELECT sku, sum(quantity) AS pieces FROM souk_order.order_line WHERE order_id IN ({GONE}) GROUP BY sku),
            put AS (SELECT sku, sum(delta) AS pieces FROM souk_inventory.movement
                     WHERE kind IN ('initial', 'adjustment') GROUP BY sku)
            SELECT sku, on_hand, coalesce(put.pieces, 0) AS put, coalesce(sold.pieces, 0) AS sold
              FROM souk_inventory.stock LEFT JOIN put USING (sku) LEFT JOIN sold USING (sku)
             WHERE on_hand <> coalesce(put.pieces, 0) - coalesce(sold.pieces, 0) OR on_hand < 0"""):
        yield "oversold", f"{row['sku']}: {row['on_hand']} on hand, of {row['put']} with {row['sold']} sold"


def the_ledger_leads_to_what_is_on_hand(checker, _journal):
    for row in checker.rows("""
            SELECT sku, on_hand, coalesce(sum(delta), 0) AS sum FROM souk_inventory.stock LEFT JOIN souk_inventory.movement USING (sku)
             GROUP BY sku, on_hand HAVING on_hand <> coalesce(sum(delta), 0)"""):
        yield "oversold", f"{row['sku']}: {row['on_hand']} on hand, the ledger's sum is {row['sum']}"


def goods_leave_once(checker, _journal):
    for row in checker.rows("""
            SELECT order_id, sku, kind, count(*) FROM souk_inventory.movement WHERE order_id IS NOT NULL
             GROUP BY order_id, sku, kind HAVING count(*) > 1"""):
        yield "doubled", f"{row['count']} times {row['kind']} of {row['sku']} for order {row['order_id']}"


def what_staff_put_there_is_there_once(checker, journal):
    """The beginning was set by hand (one adjustment); each later one carries its key as its reason."""
    found = Counter(row["reason"] for row in checker.rows("SELECT reason FROM souk_inventory.movement WHERE kind = 'adjustment'"))
    put = dict(journal.initial)
    for adjustment in list(journal.adjustments):
        put[adjustment.sku] += adjustment.delta * (found[adjustment.key] > 0)
        if found[adjustment.key] > 1 or (adjustment.outcome != UNKNOWN and found[adjustment.key] != (adjustment.outcome == OK)):
            yield "oversold", f"adjustment {adjustment.key} ({adjustment.outcome}) is there {found[adjustment.key]} times"
    for row in checker.rows("""SELECT sku, sum(delta)::bigint AS sum FROM souk_inventory.movement
                                WHERE kind IN ('initial', 'adjustment') GROUP BY sku"""):
        if put.get(row["sku"], row["sum"]) != row["sum"]:
            yield "oversold", f"{row['sum']} of {row['sku']} were put there, staff know of {put[row['sku']]}"


# ---- money ----

def an_order_has_one_payment(checker, _journal):
    for row in checker.rows("SELECT order_id, count(*) FROM souk_payment.payment GROUP BY order_id HAVING count(*) > 1"):
        yield "doubled", f"order {row['order_id']} has {row['count']} payments"
    for row in checker.rows("""
            SELECT c.key FROM souk_payment.test_provider_charge c LEFT JOIN souk_payment.payment p
                ON p.id = c.key AND p.state = 'captured' AND p.amount_minor = c.amount_minor
             WHERE c.outcome = 'succeeded' AND p.id IS NULL"""):
        yield "doubled", f"the provider took money for {row['key']}, of which no payment knows"


def what_is_captured_less_refunded_is_the_orders_total(checker, _journal):
    for row in checker.rows("""
            WITH paid AS (SELECT order_id, sum(amount_minor) AS captured, sum(refunded_minor) AS refunded
                            FROM souk_payment.payment WHERE state = 'captured' GROUP BY order_id)
            SELECT o.id, o.status, o.total_minor AS total, o.refunded_minor AS noted, o.payment_status,
                   coalesce(captured, 0) AS captured, coalesce(refunded, 0) AS refunded
              FROM souk_order.customer_order o LEFT JOIN paid ON paid.order_id = o.id
             WHERE coalesce(captured, 0) <> CASE WHEN o.payment_status = 'captured' THEN o.total_minor ELSE 0 END
                OR coalesce(refunded, 0) <> o.refunded_minor
                OR (o.status IN ('paid', 'shipped', 'delivered') AND o.payment_status <> 'captured')
                OR (o.status IN ('cancelled', 'refunded', 'rejected', 'payment_failed')
                    AND coalesce(captured, 0) <> coalesce(refunded, 0))"""):
        yield "other", f"order {row['id']} ({row['status']}, {row['total']}): captured {row['captured']}, " \
                       f"refunded {row['refunded']}, the order says {row['payment_status']}, {row['noted']}"


def money_goes_back_once(checker, journal):
    for row in checker.rows("""
            WITH asked AS (SELECT order_id, sum(amount_minor) AS sum FROM souk_order.order_refund
                       WHERE state <> 'failed' GROUP BY order_id),
            done AS (SELECT payment_id, sum(amount_minor) AS sum FROM souk_payment.refund WHERE state = 'done' GROUP BY payment_id),
            given AS (SELECT payment_id, sum(amount_minor) AS sum FROM souk_payment.test_provider_refund GROUP BY payment_id)
            SELECT p.order_id, p.refunded_minor, coalesce(asked.sum, 0) AS asked, coalesce(done.sum, 0) AS done,
                   coalesce(given.sum, 0) AS given
              FROM souk_payment.payment p LEFT JOIN asked ON asked.order_id = p.order_id
              LEFT JOIN done ON done.payment_id = p.id LEFT JOIN given ON given.payment_id = p.id
             WHERE (p.refunded_minor, p.refunded_minor, p.refunded_minor) IS DISTINCT FROM
                   (coalesce(asked.sum, 0), coalesce(done.sum, 0), coalesce(given.sum, 0))"""):
        yield "doubled", f"refunds of order {row['order_id']}: {dict(row)}"
    there = {row["refund_id"]: row["state"] for row in checker.rows("SELECT refund_id::text, state FROM souk_order.order_refund")}
    for purchase in journal.accepted():
        for refund in purchase.refunds:
            if refund["outcome"] == OK and there.get(refund["id"]) != "done":
                yield "lost", f"refund {refund['id']} of {purchase.key} was promised and is {there.get(refund['id'])}"


# ---- parcels ----

def an_order_that_is_paid_has_one_label(checker, _journal):
    for row in checker.rows("""
            WITH labels AS (SELECT order_id, count(*) AS count, min(state) AS state FROM souk_shipping.shipment
                             WHERE label IS NOT NULL GROUP BY order_id),
            told AS (SELECT DISTINCT split_part(subject, '.', 3)::uuid AS order_id FROM souk_order.outbox
                      WHERE type = 'souk.orders.v1.OrderPaid')
            SELECT o.id, o.status, coalesce(labels.count, 0) AS count, labels.state
              FROM souk_order.customer_order o LEFT JOIN labels ON labels.order_id = o.id LEFT JOIN told ON told.order_id = o.id
             WHERE coalesce(labels.count, 0) > 1 OR (labels.count IS NOT NULL AND told.order_id IS NULL)
                OR (o.status IN ('paid', 'shipped', 'delivered') AND labels.count IS DISTINCT FROM 1)
                OR (o.status = 'delivered' AND labels.state IS DISTINCT FROM 'delivered')"""):
        kind = "doubled" if row["count"] > 1 else "lost"
        yield kind, f"order {row['id']} ({row['status']}) has {row['count']} labels ({row['state']})"


# ---- mails ----

# What is told of an order, and the mail that it is worth.
MAILS = {"OrderCreated": "order_confirmation", "OrderRejected": "order_rejected", "OrderPaymentFailed": "payment_failed",
         "OrderCancelled": "order_cancelled", "OrderShipped": "order_shipped", "OrderDelivered": "order_delivered",
         "OrderRefunded": "order_refunded"}
SUBJECTS = {"order_confirmation": "Your order {}", "order_rejected": "Your order {} could not be accepted",
            "payment_failed": "The payment of your order {} failed", "order_cancelled": "Your order {} is cancelled",
            "order_shipped": "Your order {} is on its way", "order_delivered": "Your order {} has arrived",
            "order_refunded": "A refund for your order {}"}


def owed_mails(checker) -> Counter:
    """(order's number, kind) and how many: one of a kind, and one for each refund."""
    owed = Counter()
    told = checker.rows("""
        SELECT DISTINCT o.number, split_part(type, '.', 4) AS type FROM souk_order.outbox
          JOIN souk_order.customer_order o ON o.id = split_part(subject, '.', 3)::uuid WHERE subject LIKE 'orders.%'""")
    for row in told:
        if kind := MAILS.get(row["type"]):
            owed[row["number"], kind] = 1
    for row in checker.rows("""
            SELECT o.number, count(*) FROM souk_order.order_refund r JOIN souk_order.customer_order o ON o.id = r.order_id
             WHERE r.state = 'done' GROUP BY o.number"""):
        owed[row["number"], "order_refunded"] = row["count"]
    return owed


def a_mail_of_a_kind_comes_once(checker, _journal):
    owed, came = owed_mails(checker), Counter()
    # A mail that was handed over twice has one Message-ID and is one mail.
    distinct = {mail["message_id"]: mail["subject"] for mail in checker.mails()}
    subjects = Counter(distinct.values())
    for number, kind in owed:
        came[number, kind] = subjects.pop(SUBJECTS[kind].format(number), 0)
    for (number, kind), count in owed.items():
        if came[number, kind] != count:
            yield ("lost" if came[number, kind] < count else "doubled"), \
                f"{came[number, kind]} mails {kind} of order {number}, {count} are owed"
    for subject, count in subjects.items():
        if "order" in subject:
            yield "doubled", f"{count} mails {subject!r} that nothing gave rise to"


def repeated_mails(checker) -> int:
    """Handed over again after a crash in between, recognisable by their Message-ID."""
    mails = checker.mails()
    return len(mails) - len({mail["message_id"] for mail in mails})


# ---- the log, the figures, the dead letters ----

# What is no business event: see services/audit/README.md.
AUDITED = " UNION ALL ".join(f"""
    SELECT id::text, subject FROM souk_{name}.outbox
     WHERE type NOT IN ('souk.sessions.v1.SessionSeen', 'souk.inventory.v1.StockLevel')""" for name in WITH_OUTBOX)


def an_event_has_one_entry(checker, _journal):
    for row in checker.rows(f"""
            SELECT told.id, told.subject, count(entry.seq) FROM ({AUDITED}) told LEFT JOIN souk_audit.entry USING (id)
             GROUP BY told.id, told.subject HAVING count(entry.seq) <> 1 LIMIT 50"""):
        yield ("lost" if row["count"] == 0 else "doubled"), f"{row['subject']} ({row['id']}) has {row['count']} audit entries"
    for row in checker.rows(f"""
            SELECT entry.seq, entry.subject FROM souk_audit.entry LEFT JOIN ({AUDITED}) told USING (id)
             WHERE told.id IS NULL LIMIT 50"""):
        yield "other", f"entry {row['seq']} ({row['subject']}) is of an event that nobody told"


def the_audit_log_verifies(checker, _journal):
    if broken := checker.broken_link():
        yield "other", broken


def analytics_equals_the_orders(checker, _journal):
    for row in checker.rows("""
            WITH told AS (SELECT DISTINCT split_part(subject, '.', 3)::uuid AS id FROM souk_order.outbox
                           WHERE type = 'souk.orders.v1.OrderPaid')
            SELECT o.id, o.status, f.ended_as, f.total, o.total_minor FROM souk_order.customer_order o
              LEFT JOIN souk_analytics.order_fact f ON f.order_id = o.id LEFT JOIN told ON told.id = o.id
             WHERE f.created_on IS NULL OR f.total <> o.total_minor OR (f.paid_on IS NOT NULL) <> (told.id IS NOT NULL)
                OR f.ended_as IS DISTINCT FROM
                   CASE WHEN o.status IN ('rejected', 'payment_failed', 'cancelled') THEN o.status END"""):
        yield "other", f"analytics differs on order {row['id']}: {dict(row)}"
    for row in checker.rows(SUMS):
        if row["told"] != row["true"]:
            yield "other", f"analytics says {row['what']} {row['told']}, the orders {row['true']}"


_PAID = "FROM souk_order.customer_order o WHERE id IN (SELECT split_part(subject, '.', 3)::uuid FROM souk_order.outbox " \
        "WHERE type = 'souk.orders.v1.OrderPaid')"
SUMS = " UNION ALL ".join(f"SELECT '{what}' AS what, ({told})::bigint AS told, ({true})::bigint AS true" for what, told, true in (
    ("orders", "SELECT sum(orders) FROM souk_analytics.funnel_day", "SELECT count(*) FROM souk_order.customer_order"),
    ("sales", "SELECT sum(orders) FROM souk_analytics.sales_day", f"SELECT nullif(count(*), 0) {_PAID}"),
    ("gross", "SELECT sum(gross) FROM souk_analytics.sales_day", f"SELECT sum(total_minor) {_PAID}"),
    ("refunded", "SELECT coalesce(sum(refunded), 0) FROM souk_analytics.sales_day",
     "SELECT coalesce(sum(refunded_minor), 0) FROM souk_order.customer_order"),
    ("pieces", "SELECT sum(quantity) FROM souk_analytics.product_day",
     f"SELECT sum(quantity) FROM souk_order.order_line WHERE order_id IN (SELECT id {_PAID})"),
    *((word, f"SELECT coalesce(sum({word}), 0) FROM souk_analytics.funnel_day",
       f"SELECT count(*) FROM souk_order.customer_order WHERE status = '{word}'")
      for word in ("rejected", "payment_failed", "cancelled"))))


def no_letter_is_dead(checker, _journal):
    dead = checker.streams().get("dead", {}).get("messages", 0)
    if dead != checker.planted:
        yield "other", f"{dead} dead letters, {checker.planted} were planted"


RULES = (
    every_accepted_order_exists, a_key_makes_one_order, every_order_comes_from_a_shopper, every_shopper_has_an_answer,
    every_order_is_in_an_end_state, an_order_ends_as_its_shopper_meant, nothing_is_reserved,
    on_hand_is_initial_and_adjustments_less_sold, the_ledger_leads_to_what_is_on_hand, goods_leave_once,
    what_staff_put_there_is_there_once, an_order_has_one_payment, what_is_captured_less_refunded_is_the_orders_total,
    money_goes_back_once, an_order_that_is_paid_has_one_label, a_mail_of_a_kind_comes_once, an_event_has_one_entry,
    the_audit_log_verifies, analytics_equals_the_orders, no_letter_is_dead)
