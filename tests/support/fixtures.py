"""pytest fixtures that contract and system tests share."""
import contextlib

import pytest

from support import messages
from support.stack import PORT_BASE, Service, Stack
from support.waiting import eventually


@pytest.fixture(scope="session")
def stores():
    """The real stores and broker, provisioned, without any service."""
    stack = Stack("contract", port_base=PORT_BASE)
    yield stack
    stack.stop()


@pytest.fixture(scope="session")
def shop():
    """The whole shop behind its gateway. Parcels advance when a test says so."""
    stack = Stack("system", services="all", port_base=PORT_BASE + 1000, SHIPPING_TEST_ADVANCE_MS="0",
                  SESSION_LOGINS_PER_MINUTE="10000")
    yield stack
    stack.stop()


@pytest.fixture(scope="module")
def start_service(stores):
    """start_service("order", ORDER_STEP_TIMEOUT_S="2"): a service that ends with the module."""
    with contextlib.ExitStack() as running:
        def start(name: str, **environment: str) -> Service:
            service = Service(stores, name, **environment)
            running.callback(service.stop)
            return service

        yield start


class Bus:
    """Messages in and out, as a service sees them."""

    def __init__(self, stack: Stack):
        self._stack, self._client = stack, stack.bus()

    @property
    def client(self):
        """The connection; a new one where a test has stopped the broker in between."""
        if not self._client.alive:
            self._client = eventually("the broker takes a connection", self._stack.bus)
        return self._client

    def tell(self, subject: str, event, event_id: str | None = None, **more) -> str:
        """Publishes an event with its headers (more: trace, at) and returns its id."""
        headers = messages.headers_for(event, event_id, **more)
        self.client.publish_acked(subject, event.SerializeToString(), headers)
        return headers["ce-id"]

    def tell_again(self, subject: str, event, event_id: str) -> None:
        """The same event once more, without the header by which the stream would know it."""
        headers = messages.headers_for(event, event_id)
        del headers["Nats-Msg-Id"]
        self.client.publish_acked(subject, event.SerializeToString(), headers)

    @contextlib.contextmanager
    def listening(self, subject: str):
        """with bus.listening("orders.>") as heard: …; event = heard("souk.orders.v1.OrderPaid", order_id=…)"""
        subscription = self.client.subscribe(subject)
        seen = []

        def drain() -> None:
            while not subscription.queue.empty():
                seen.append(subscription.queue.get())

        def heard(type_name: str, within: float = 10, **fields):
            """The decoded event of the type whose fields have these values."""
            def find():
                drain()
                for message in seen:
                    if message.type != type_name:
                        continue
                    event = messages.decode(type_name, message.data)
                    if all(getattr(event, name) == value for name, value in fields.items()):
                        heard.message = message
                        return event
                return None

            return eventually(f"{type_name} with {fields}", find, within)

        def count(type_name: str, **fields) -> int:
            drain()
            return sum(1 for m in seen if m.type == type_name and
                       all(getattr(messages.decode(type_name, m.data), k) == v for k, v in fields.items()))

        heard.count = count
        try:
            yield heard
        finally:
            subscription.close()

    def settled(self, stream: str, consumer: str) -> bool:
        """Whether the consumer has handled all there is."""
        info = self.client.api(f"CONSUMER.INFO.{stream}.{consumer}")
        return info["num_pending"] == 0 and info["num_ack_pending"] == 0

    def dead_letters(self, stream: str, consumer: str) -> int:
        """How many letters lie in dead.<stream>.<consumer>."""
        info = self.client.api("STREAM.INFO.dead", {"subjects_filter": f"dead.{stream}.{consumer}"})
        return sum((info["state"].get("subjects") or {}).values())


@pytest.fixture(scope="session")
def bus(stores):
    client = Bus(stores)
    yield client
    client.client.close()
