"""A stop in the middle of work: what a service had taken from the broker and not handled goes back to it, so that
another replica has it at once and not after the consumer's ack_wait of 30 s."""
from support.events import ADDRESS, lines, order_event
from support.messages import new_id
from support.stack import Service
from support.waiting import eventually

PULL = "$JS.API.CONSUMER.MSG.NEXT.orders.analytics-orders"


def test_a_stop_gives_back_what_it_has_not_handled(stores, bus):
    service = Service(stores, "analytics", POSTGRES_TIMEOUT_MS="1000")
    eventually("it has caught up", lambda: bus.settled("orders", "analytics-orders"))

    def tell() -> str:
        order = new_id()
        return bus.tell(f"orders.created.{order}", order_event("OrderCreated", order, lines=lines("LAMP"),
                                                               shipping_address=ADDRESS))

    database = stores.database("analytics")
    database.autocommit = False
    with database.cursor() as cursor:
        # Given a batch that cannot be handled, and more messages behind it,
        cursor.execute("LOCK TABLE inbox IN ACCESS EXCLUSIVE MODE")
        told = [tell()]
        eventually("it waits", lambda: stores.rows(
            "analytics", "SELECT 1 FROM pg_stat_activity WHERE usename = 'souk_analytics' AND wait_event_type = 'Lock'"))
        told += [tell() for _ in range(5)]
        eventually("all are with it", lambda: bus.client.api(
            "CONSUMER.INFO.orders.analytics-orders")["num_ack_pending"] == len(told))
        # and another replica that has time,
        inbox = f"_INBOX_tests.{new_id()}"
        answers = bus.client.subscribe(inbox)
        bus.client.publish(PULL, b'{"batch":%d,"expires":%d}' % (len(told), 120 * 10**9), reply=inbox)
        # when it has to stop,
        service.stop()
    database.close()
    # then the other gets all of them.
    left = set(told)
    while left:
        message = answers.next(timeout=20)  # less than the ack_wait, however slow the machine
        assert message.id, f"not given back: {left}"
        left.discard(message.id)
        bus.client.publish(message.reply, b"+ACK")
    answers.close()
