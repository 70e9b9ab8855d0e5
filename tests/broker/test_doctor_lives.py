"""The doctor finds nothing wrong in lives of leases as the engine leads them, at any look."""

from __future__ import annotations

import pytest

from lease_kit import World
from sublet.broker import doctor

pytestmark = pytest.mark.slow


@pytest.fixture
def world(sqlite_database, clock, tmp_path) -> World:
    return World(sqlite_database, clock, tmp_path)


def wrong(world: World) -> list[str]:
    providers = {world.provider.name: world.provider}
    checks = doctor.examine(world.database, providers=providers, now=world.clock.now())
    return [finding.sentence for check in checks for finding in check.findings]


def test_from_order_to_settled_nothing_is_wrong(world):
    lease_id = world.lease(nodes=2, hours=4)
    assert wrong(world) == []
    for _ in range(30):
        world.tick(600)
        assert wrong(world) == []
    world.settle_all()
    assert wrong(world) == []
    assert world.states(lease_id)[-1] == "settled"


def test_ended_early_nothing_is_wrong(world):
    lease = world.active(nodes=1, hours=4)
    world.passes(3600, 300)
    world.end(lease.id)
    for _ in range(20):
        world.tick(60)
        assert wrong(world) == []
    world.settle_all()
    assert wrong(world) == []
