"""What goes wrong while nodes are asked for: nothing may leak, nothing may come twice, nothing is billed too early."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from lease_kit import CHIP, World
from sublet.broker.leases.states import State
from sublet.providers.simulated_faults import Fault
from sublet.units import Money

pytestmark = pytest.mark.slow


def test_create_timed_out_and_the_instance_leaked(world: World):
    """The nodes were made, the answer was lost: they are found by tag, adopted, and not made again."""
    world.provider.script(Fault("timeout-after-create"))
    lease = world.active(nodes=2)
    assert len(world.provider.truth()) == 2
    assert {node.node for node in world.provider.truth()} == set(lease.node_ids)
    assert [call for call, _ in world.provider.calls].count("create") == 1
    world.settle_all()
    world.check()


def test_create_timed_out_and_the_list_was_empty_too(world: World):
    """No answer, and nothing to be seen: the same key is asked again, never a new one, so nothing is made twice."""
    world.provider.script(Fault("timeout-after-create"), Fault("empty-list", times=4))
    lease = world.active(nodes=2)
    keys = {key for call, key in world.provider.calls if call == "create"}
    assert len(keys) == 1
    assert len(world.provider.truth()) == 2
    world.settle_all()
    assert world.billed_s(lease.id) <= 2 * 3600
    world.check()


def test_create_timed_out_and_nothing_was_made(world: World):
    """The request never arrived: the lease is not stuck for ever."""
    world.provider.script(Fault("timeout-before-create"))
    lease = world.active(nodes=2)
    assert len(world.provider.truth(lease.id)) == 2
    assert len({key for call, key in world.provider.calls if call == "create"}) == 1
    world.settle_all()
    world.check()


def test_create_timed_out_is_asked_again_at_once_where_absence_is_proven(proving_world: World):
    proving_world.provider.script(Fault("timeout-before-create"))
    lease_id = proving_world.lease()
    proving_world.tick()
    assert proving_world.get(lease_id).state is State.ACTIVE


def test_lease_is_unknown_while_nobody_knows_whether_nodes_were_made(world: World):
    """Provider down right after create: unknown, no second launch, and a person is told."""
    world.provider.script(Fault("timeout-after-create"))
    world.provider.script(Fault("provider-down", skip=1, times=None))
    lease_id = world.lease(nodes=2)
    world.passes(420)
    assert world.get(lease_id).state is State.UNKNOWN
    assert len({key for call, key in world.provider.calls if call == "create"}) == 1
    assert any("nobody could see this lease" in line for line in world.history(lease_id))
    assert world.billed_s(lease_id) == 0
    world.provider.clear()
    world.until(lease_id, State.ACTIVE)
    assert len(world.provider.truth()) == 2
    world.settle_all()
    world.check()


def test_instances_launched_twice(world: World):
    """The provider made each node twice for one key: the second ones are taken back, none is billed."""
    world.provider.script(Fault("duplicate-create"))
    lease = world.active(nodes=2)
    world.passes(120)
    assert len(world.provider.truth(lease.id)) == 2
    assert len({node.node for node in world.provider.truth(lease.id)}) == 2
    world.settle_all()
    assert world.billed_s(lease.id) == 2 * (lease.ends_at - lease.active_at).total_seconds()
    world.check()


def test_two_workers_launch_the_same_lease(world: World):
    """Two engines reconcile at once: one launch."""
    other = world.new_engine()
    lease_id = world.lease(nodes=2)
    for _ in range(5):
        world.engine.tick()
        other.tick()
    assert world.get(lease_id).state is State.ACTIVE
    assert len(world.provider.truth()) == 2
    world.settle_all()
    world.check()


def test_gang_half_provisioned_is_completed(world: World):
    """Three of four nodes came: the fourth is asked for again; nobody pays for three."""
    world.provider.script(Fault("partial-gang"))
    lease = world.active(nodes=4)
    assert len(world.provider.truth(lease.id)) == 4
    assert len({record.start for record in world.usage(lease.id)}) <= 1
    world.settle_all()
    assert len({record.start for record in world.usage(lease.id) if record.number <= 4}) == 1  # all at one instant
    world.check()


def test_gang_half_provisioned_is_rolled_back(small_world: World):
    """The second node never comes: the first is given back, nothing is billed, the tenant is told."""
    small_world.provider.script(Fault("partial-gang", count=1))
    small_world.provider.script(Fault("capacity-withdrawn", call="create", skip=1, times=None))
    lease_id = small_world.lease(nodes=2)
    small_world.settle_all()
    lease = small_world.get(lease_id)
    assert lease.state in (State.FAILED, State.REJECTED)
    assert "not ready in time" in "".join(small_world.history(lease_id))
    assert not small_world.provider.truth()
    assert small_world.billed_s(lease_id) == 0
    assert small_world.charged(lease_id).amount == 0
    small_world.check()


def test_capacity_offered_and_then_not_there(world: World):
    """The provider declines: the same nodes are tried again with patience, then the lease fails without a bill."""
    world.provider.script(Fault("capacity-withdrawn", call="create", times=2))
    lease = world.active(nodes=2)
    world.settle_all()
    assert world.billed_s(lease.id) > 0
    world.check()
    world.provider.script(Fault("capacity-withdrawn", call="create", times=None))
    lost = world.lease(nodes=2)
    world.settle_all()
    assert world.get(lost).state is State.FAILED
    assert world.billed_s(lost) == 0
    world.check()


def test_price_went_up_silently(world: World):
    """The provider asks more than its contract says: nothing is taken at that price."""
    world.provider.script(Fault("price-changed", call="create", price=Money(Decimal(99))))
    lease_id = world.lease()
    world.settle_all()
    assert world.get(lease_id).state is State.FAILED
    assert "99" in " ".join(world.history(lease_id))
    assert not world.provider.truth()
    world.check()


def test_another_chip_than_was_sold(world: World):
    """Wrong chips are found by the gate, given back and replaced; the tenant pays for none of it."""
    world.provider.script(Fault("wrong-chip", value="A100 SXM 40GB"))
    lease = world.active(nodes=1)
    member = next(member for member in lease.members if member.current)
    assert member.certificate["body"]["sold"]["accelerator"] == CHIP
    assert member.certificate["body"]["verdict"] == "pass"
    assert len(lease.members) == 2
    assert lease.members[0].certificate["body"]["verdict"] == "critical"
    world.tick(5)
    assert len(world.provider.truth()) == 1
    world.settle_all()
    world.check()


def test_every_node_is_another_chip(small_world: World):
    small_world.provider.script(Fault("wrong-chip", value="A100 SXM 40GB", times=None))
    lease_id = small_world.lease(nodes=2)
    small_world.settle_all()
    assert small_world.get(lease_id).state is State.REJECTED
    assert small_world.charged(lease_id).amount == 0
    assert not small_world.provider.truth()
    small_world.check()


def test_half_the_memory_is_missing(world: World):
    world.provider.script(Fault("less-memory", share=0.5))
    lease = world.active(nodes=1)
    assert "memory" in lease.members[0].reason
    world.settle_all()
    world.check()


def test_node_boots_for_ever(small_world: World):
    """Nodes stay creating: after a while the gang is given back."""
    small_world.provider.script(Fault("slow-boot", seconds=1e6))
    lease_id = small_world.lease(nodes=2)
    small_world.settle_all()
    assert small_world.get(lease_id).state is State.FAILED
    assert not small_world.provider.truth()
    small_world.check()


def test_check_hangs_for_ever(world: World):
    """The gate's command never ends: unknown is never healthy, the node is replaced."""
    world.provider.script(Fault("command-hangs", times=3))
    lease = world.active(nodes=1)
    assert len(lease.members) == 2
    world.settle_all()
    world.check()


def test_cancelled_while_launching_leaks(world: World):
    """Called off between create and its answer: what came is given back."""
    world.provider.script(Fault("timeout-after-create"))
    world.provider.script(Fault("empty-list", times=3))
    lease_id = world.lease(nodes=2)
    world.tick()
    world.end(lease_id)
    world.settle_all()
    assert world.get(lease_id).state is State.CANCELLED
    assert not world.provider.truth()
    assert world.billed_s(lease_id) == 0
    world.check()


def test_cancelled_before_anything_was_asked_for(world: World):
    lease_id = world.lease(start=world.clock.now() + timedelta(hours=3))
    world.tick()
    world.end(lease_id)
    world.tick()
    assert world.get(lease_id).state is State.CANCELLED
    assert not any(call == "create" for call, _ in world.provider.calls)
    world.check()
