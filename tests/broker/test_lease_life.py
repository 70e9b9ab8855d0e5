"""The whole life of a lease on the simulated provider, in virtual time."""

from __future__ import annotations

from decimal import Decimal

import pytest

from lease_kit import World
from sublet.broker.leases.states import State


@pytest.fixture
def world(sqlite_database, clock, tmp_path) -> World:
    return World(sqlite_database, clock, tmp_path)


def test_from_order_to_settled(world):
    lease_id = world.lease(nodes=2, hours=4)
    world.tick()
    lease = world.get(lease_id)
    assert lease.state is State.ACTIVE
    assert len(world.provider.truth(lease_id)) == 2
    assert all(member.certificate["body"]["verdict"] == "pass" for member in lease.members)
    world.settle_all()
    lease = world.get(lease_id)
    assert world.states(lease_id) == [
        "scheduled", "provisioning", "qualifying", "active", "ending", "terminated", "settled"
    ]  # fmt: skip
    assert not world.provider.truth()
    assert world.billed_s(lease_id) == 2 * 4 * 3600
    assert world.charged(lease_id).amount == Decimal(3) * 8 * 2 * 4
    world.check()
