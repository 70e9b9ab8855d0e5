"""What stories of the state machine (test_invariants_machine) brought to light: one test per symptom."""

from __future__ import annotations

import pytest

from lease_kit import HOUR, OPERATOR, World, fleet
from sublet.broker.leases.states import State
from sublet.broker.supply import service as supply
from sublet.broker.supply import upkeep
from sublet.broker.supply.values import NodeState
from sublet.providers.simulated import SimulatedProvider
from sublet.providers.simulated_faults import Fault
from sublet.qualification.rehearsal import respond

pytestmark = pytest.mark.slow


@pytest.fixture
def world(database, clock, tmp_path) -> World:
    """Two nodes, of a provider that has more of their kind and would make another in their name."""
    provider = SimulatedProvider(fleet(6, proves_absence=True), clock, respond=respond)
    return World(database, clock, tmp_path, nodes=2, provider=provider)


def test_a_node_that_is_not_back_yet_is_not_given_to_the_next_lease(world):
    first = world.active(nodes=2, hours=1)
    second = world.lease(nodes=2, hours=1, start=first.ends_at)
    world.provider.script(Fault("terminate-ignored", times=None))
    world.until(first.id, State.ENDING, step=60)
    world.clock.set(first.ends_at)
    world.passes(120)
    assert world.get(first.id).state is State.ENDING
    assert not world.provider.truth(second)
    world.check()
    world.provider.clear()
    world.until(second, State.ACTIVE)
    world.settle_all()
    world.check()


def test_a_rejected_node_that_is_not_back_yet_is_not_given_to_the_next_lease(world):
    """Called failed under a lease, then mended on paper, while the provider does not take it back."""
    first = world.active(nodes=1, hours=2)
    world.provider.script(Fault("terminate-ignored", times=None))
    node, now = first.node_ids[0], world.clock.now()
    world.run(
        lambda s: upkeep.report_outage(s, node, start=now, until=now + HOUR, reason="ticket", actor=OPERATOR, now=now)
    )
    world.passes(60, step=5)
    assert node not in world.get(first.id).node_ids
    world.run(lambda s: supply.set_node(s, node, NodeState.DELIVERED, "mended", actor=OPERATOR, now=world.clock.now()))
    second = world.lease(nodes=1, hours=1)
    world.passes(120, step=5)
    assert world.provider.truth(first.id)
    assert not world.provider.truth(second)
    world.check()
    world.provider.clear()
    world.until(second, State.ACTIVE)
    world.settle_all()
    world.check()


def test_who_ended_a_lease_that_nobody_could_see_is_remembered(world):
    lease = world.active(nodes=1, hours=2, terms={"early_end_refund": "0"})
    world.provider.script(Fault("provider-down", times=None))
    world.passes(120)
    assert world.get(lease.id).state is State.UNKNOWN
    world.end(lease.id)
    world.tick(5)
    world.provider.clear()
    world.settle_all()
    assert world.get(lease.id).ended_by == "tenant"
    assert world.charged(lease.id).amount == 2 * 8 * 3


def test_who_called_a_lease_off_before_its_start_is_remembered(world):
    lease_id = world.lease(nodes=1, hours=1, start=world.clock.now() + HOUR)
    world.end(lease_id, OPERATOR)
    world.tick(1)
    assert world.get(lease_id).state is State.CANCELLED
    assert world.get(lease_id).ended_by == "operator"
