"""What goes wrong at the end: the node is taken back from outside, nothing stays behind, nothing is billed beyond."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import delete

from lease_kit import World
from sublet.broker.leases.states import State
from sublet.broker.leases.tables import EventRow, LeaseRow, SlotRow
from sublet.providers.protocol import CreateRequest
from sublet.providers.simulated_faults import Fault

pytestmark = pytest.mark.slow


def test_guest_ignores_the_end(world: World):
    """A command that never ends runs on the node: the node is taken back all the same, at its time."""
    lease = world.active(hours=1)
    process = world.provider.execute(lease.members[0].ref, ["sleep", "infinity"])
    world.settle_all()
    assert not world.provider.truth()
    assert process.poll() is not None
    assert world.billed_s(lease.id) == 3600
    world.check()


def test_notice_comes_before_the_end(world: World):
    lease = world.active(hours=1)
    world.until(lease.id, State.ENDING, step=30)
    now = world.clock.now()
    assert lease.ends_at - timedelta(minutes=10) <= now < lease.ends_at - timedelta(minutes=9)
    assert world.provider.truth()
    assert any("the end is near" in line for line in world.history(lease.id))


def test_terminate_was_accepted_and_nothing_happened(world: World):
    """The provider says yes and does nothing: asked again until the node is gone; the tenant pays nothing more."""
    lease = world.active(hours=1)
    world.provider.script(Fault("terminate-ignored", times=3))
    world.settle_all()
    assert world.get(lease.id).state is State.SETTLED
    assert [call for call, _ in world.provider.calls].count("terminate") >= 4
    assert world.billed_s(lease.id) == 3600
    world.check()


def test_terminate_timed_out(world: World):
    lease = world.active(nodes=2, hours=1)
    world.provider.script(Fault("timeout-after-terminate", times=2))
    world.settle_all()
    assert world.billed_s(lease.id) == 2 * 3600
    world.check()


def test_provider_is_down_at_the_end_and_the_lease_goes_on(world: World):
    """Down from before the end until an hour after: billed to the end and not a second more; taken back when it can."""
    lease = world.active(nodes=2, hours=1)
    world.passes(3000, step=30)
    world.provider.script(Fault("provider-down", times=None))
    world.passes(4200, step=30)
    assert world.get(lease.id).state is State.ENDING
    assert any("could not be taken back" in line for line in world.history(lease.id))
    world.provider.clear()
    world.settle_all()
    assert world.billed_s(lease.id) == 2 * 3600
    assert not world.provider.truth()
    world.check()


def test_node_lingers_after_the_end_and_the_next_tenant_gets_none(world: World):
    """Nodes take two minutes to go: the next lease on the same supply waits for them, and is not billed for waiting."""
    first = [world.active(nodes=4, hours=1) for _ in range(2)]
    second = world.order(nodes=4, hours=1, start=max(lease.ends_at for lease in first))
    assert second.lease_id is not None
    world.provider.script(Fault("terminate-ignored", times=8))
    lease = world.until(second.lease_id, State.ACTIVE, step=30)
    assert lease.active_at >= max(each.ends_at for each in first)
    world.settle_all()
    world.check()


def test_orphan_of_a_lease_that_is_over_is_reclaimed(world: World):
    """A node comes to life under the tag of a lease that is long over: reported at once, taken back after a while."""
    lease = world.active(hours=1)
    world.settle_all()
    world.provider.create(CreateRequest("late", lease.id, "8xh100", (lease.node_ids[0],)))
    world.tick(60)
    (orphan,) = world.orphans()
    assert orphan.ours
    assert "is settled" in orphan.why
    world.passes(600, step=30)
    assert not world.provider.truth()
    assert not world.orphans()
    world.check()


def test_second_node_of_a_serving_lease_is_reclaimed(world: World):
    """The provider brings forth another node under a serving lease's tag: it goes, the lease's own stays."""
    lease = world.active()
    world.provider.create(CreateRequest("late", lease.id, "8xh100", (lease.node_ids[0],)))
    world.passes(600, step=30)
    assert [node.ref for node in world.provider.truth()] == [lease.members[0].ref]
    assert world.get(lease.id).state is State.ACTIVE
    world.settle_all()
    world.check()


def test_node_of_another_broker_is_terminated(world: World):
    """A tag that this broker never gave (another broker on the account, a restored backup): reported, not touched."""
    world.provider.create(CreateRequest("theirs", "somebody-else", "8xh100", ("nod_theirs",)))
    world.passes(1200, step=30)
    (orphan,) = world.orphans()
    assert not orphan.ours
    assert len(world.provider.truth()) == 1
    assert not any(call == "terminate" for call, _ in world.provider.calls)


def test_database_was_restored_from_yesterday(world: World):
    """The lease was never in this (older) database: its node is reported for a person, not taken from its tenant."""
    lease = world.active()

    def forget(session):
        for table in (EventRow, SlotRow):
            session.execute(delete(table).where(table.lease_id == lease.id))
        session.execute(delete(LeaseRow).where(LeaseRow.id == lease.id))

    world.run(forget)
    world.passes(900, step=30)
    (orphan,) = world.orphans()
    assert (orphan.ref, orphan.ours) == (lease.members[0].ref, False)
    assert len(world.provider.truth()) == 1


def test_lease_stuck_active_and_capacity_lost_after_cleanup(world: World):
    """After the end the supply is free again: the same nodes can be leased at once."""
    for _ in range(3):
        lease = world.active(nodes=8, hours=1)
        world.settle_all()
        assert world.get(lease.id).state is State.SETTLED
    world.check()
