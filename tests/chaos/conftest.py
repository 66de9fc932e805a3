"""A small shop for the fault tests of `make test`: one of each service, links where they are cut."""
import pytest

from chaos.shop import ChaosShop
from chaos.suite import Suite
from support.stack import PORT_BASE

LINKS = [("order", "postgres"), ("inventory", "nats")]


@pytest.fixture(scope="session")
def suite():
    shop = ChaosShop("chaos-short", PORT_BASE + 3000, links=LINKS)
    try:
        yield Suite(shop, seed=47, rate=4)
    finally:
        shop.stop()
