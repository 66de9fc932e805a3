"""A shorter part of the fault suite, for every run: nothing is lost, doubled or oversold, whatever fails.

How fast the shop recovers depends on the machine; `make chaos` measures it.
"""
import pytest

from chaos.faults import FAULTS


@pytest.mark.parametrize("name", [
    "kill-order", "kill-inventory", "kill-nats", "kill-postgres", "empty-valkey", "cut-order-postgres",
    "slow-inventory-nats", "delete-store", "delete-unread-store"])
def test_nothing_is_wrong_after(suite, name):
    trial = suite.run(FAULTS[name])
    assert trial.orders > 0
    assert not trial.violations, "\n".join(map(str, trial.violations)) + "\n" + "\n".join(suite.shop.burials()[-5:])
