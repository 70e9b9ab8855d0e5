"""What goes wrong while a lease serves: unknown is never healthy, dead is never billed, nothing is launched blindly."""

from __future__ import annotations

import dataclasses
from datetime import timedelta

import pytest

from lease_kit import HOUR, OPERATOR, World, fleet
from sublet.broker.leases.states import State
from sublet.broker.supply import service as supply
from sublet.broker.supply import upkeep
from sublet.providers.protocol import NodeFacts
from sublet.providers.simulated import SimulatedProvider
from sublet.providers.simulated_faults import Fault
from sublet.qualification.rehearsal import respond

pytestmark = pytest.mark.slow


def creates(world: World) -> int:
    return [call for call, _ in world.provider.calls].count("create")


def test_provider_list_is_empty_and_everything_is_launched_again(world: World):
    """The list by tag and the inventory show nothing for an hour: no lease is given up, nothing is launched."""
    lease = world.active(nodes=3)
    world.provider.script(Fault("empty-list", times=None))
    before = creates(world)
    world.passes(1800, step=60)
    assert world.get(lease.id).state is State.ACTIVE  # each node still answers for itself
    assert creates(world) == before
    assert len(world.provider.truth()) == 3
    world.provider.clear()
    world.settle_all()
    assert world.billed_s(lease.id) == 3 * (lease.ends_at - lease.active_at).total_seconds()
    world.check()


def test_provider_endpoint_is_gone(world: World):
    """Everything answers 404: the lease is unknown, never "terminated"; when the endpoint is back, so is the lease."""
    lease = world.active(nodes=2)
    world.provider.script(Fault("endpoint-gone", times=None))
    before = creates(world)
    world.passes(1200, step=60)
    assert world.get(lease.id).state is State.UNKNOWN
    assert creates(world) == before
    assert any("nobody could see this lease" in line for line in world.history(lease.id))
    world.provider.clear()
    world.until(lease.id, State.ACTIVE)
    world.settle_all()
    assert world.billed_s(lease.id) == 2 * (lease.ends_at - lease.active_at).total_seconds()  # they served throughout
    world.check()


def test_endpoint_is_gone_for_good_and_the_lease_never_ends(world: World):
    """No proof is ever had: the end is pressed for, a person is told, and only the operator's word closes it."""
    lease = world.active(hours=1)
    world.provider.script(Fault("endpoint-gone", times=None))
    world.passes(3600 + 600, step=60)
    assert world.get(lease.id).state is State.ENDING
    assert any("could not be taken back" in line for line in world.history(lease.id))
    from sublet.broker.leases import service

    world.provider.clear()
    for node in world.provider.truth():
        world.provider.terminate(node.ref)  # the operator did it by hand
    world.provider.script(Fault("endpoint-gone", times=None))
    now = world.clock.now()
    world.run(lambda s: service.declare_gone(s, lease.id, reason="seen in the console", actor=OPERATOR, now=now))
    world.tick()
    assert world.get(lease.id).state is State.SETTLED
    world.check()


def test_provider_does_not_answer_for_a_while(world: World):
    """Ten minutes without an answer: unknown, nothing launched, and the seconds are billed once they are known."""
    lease = world.active(nodes=2)
    world.passes(60, step=5)
    world.provider.script(Fault("provider-down", times=None))
    world.passes(600)
    assert world.get(lease.id).state is State.UNKNOWN
    known = world.billed_s(lease.id)
    assert known <= 2 * 75
    world.provider.clear()
    world.until(lease.id, State.ACTIVE)
    world.passes(120)
    assert world.billed_s(lease.id) >= 2 * 660
    world.settle_all()
    assert world.billed_s(lease.id) == 2 * (lease.ends_at - lease.active_at).total_seconds()
    world.check()


@pytest.mark.parametrize("vanishes", [False, True])
def test_dead_node_is_billed(world: World, vanishes):
    """A node dies: not billed from where it was last seen, replaced, and the new one billed from when it passed."""
    lease = world.active(nodes=2)
    world.passes(600)
    dead = lease.members[0]
    world.provider.kill_node(dead.ref, vanishes=vanishes)
    died = world.clock.now()
    world.passes(60, step=5)
    now = world.get(lease.id)
    assert now.state is State.ACTIVE
    assert dead.node_id not in now.node_ids
    assert len(world.provider.truth()) == 2
    assert world.states(lease.id)[-3:] == ["degraded", "replacing", "active"]
    last = max(r.end for r in world.usage(lease.id) if r.node_id == dead.node_id and r.billable)
    assert last <= died
    world.settle_all()
    lost = [r for r in world.usage(lease.id) if r.kind == "lost"]
    assert lost
    assert {r.node_id for r in lost} == {dead.node_id}
    with world.database.reading() as session:
        assert supply.node(session, dead.node_id).state == "failed"
    world.check()


def test_node_dies_and_none_can_take_its_place(small_world: World):
    """Nothing to spare: the lease goes on degraded, the dead node is not billed, the rest is."""
    lease = small_world.active(nodes=2)
    small_world.passes(600)
    dead = lease.members[0]
    small_world.provider.kill_node(dead.ref)
    small_world.passes(900)
    assert small_world.get(lease.id).state is State.DEGRADED
    assert not [node for node in small_world.provider.truth() if node.ref == dead.ref], "a dead node still costs"
    small_world.settle_all()
    assert small_world.get(lease.id).state is State.SETTLED
    billed: dict[str, float] = {}
    for record in small_world.usage(lease.id):
        if record.billable:
            billed[record.node_id] = billed.get(record.node_id, 0) + (record.end - record.start).total_seconds()
    assert billed[dead.node_id] <= 600
    assert billed[lease.members[1].node_id] == 3600
    small_world.check()


def test_every_node_dies_and_the_lease_stays_active(small_world: World):
    """No node is left and none can be had: the lease ends instead of standing there as active."""
    lease = small_world.active(nodes=2)
    small_world.passes(300)
    for member in lease.members:
        small_world.provider.kill_node(member.ref, vanishes=True)
    small_world.passes(2700, step=30)
    over = small_world.get(lease.id)
    assert over.state is State.SETTLED
    assert over.ended_by == "provider"
    assert small_world.billed_s(lease.id) <= 600
    small_world.check()


def test_cancelled_while_recovering_leaks(world: World):
    """The end is asked for while a replacement is being launched, and its answer is lost: nothing is left behind."""
    lease = world.active(nodes=2)
    world.passes(120)
    world.provider.script(Fault("timeout-after-create"), Fault("empty-list", times=2))
    world.provider.kill_node(lease.members[0].ref)
    world.tick(5)
    assert world.get(lease.id).state in (State.DEGRADED, State.REPLACING)
    world.end(lease.id)
    world.settle_all()
    assert not world.provider.truth()
    assert world.get(lease.id).state is State.SETTLED
    world.check()


def test_replacement_is_the_wrong_chip_too(world: World):
    lease = world.active(nodes=2)
    world.passes(60, step=5)
    world.provider.script(Fault("wrong-chip", value="A100 SXM 40GB"))
    world.provider.kill_node(lease.members[0].ref)
    world.passes(60, step=5)
    assert world.get(lease.id).state is State.ACTIVE
    assert len(world.provider.truth()) == 2
    world.settle_all()
    world.check()


class GuestControlled(SimulatedProvider):
    """A provider whose guests can shut their nodes down; the node goes on existing, and costing."""

    stopped: frozenset[str] = frozenset()

    def describe(self, ref: str) -> NodeFacts:
        facts = super().describe(ref)
        if ref in self.stopped and facts.state == "running":
            return dataclasses.replace(facts, state="stopped")
        return facts


@pytest.fixture
def guest_world(database, clock, tmp_path) -> World:
    return World(database, clock, tmp_path, provider=GuestControlled(fleet(8), clock, respond=respond))


def test_guest_shut_down_and_billing_went_on(guest_world: World):
    """The guest shuts one node down for ten minutes: those are not billed; nothing is launched in its place."""
    lease = guest_world.active(nodes=2)
    guest_world.passes(600)
    before = creates(guest_world)
    guest_world.provider.stopped = frozenset({lease.members[0].ref})
    guest_world.passes(600)
    assert guest_world.get(lease.id).state is State.DEGRADED
    guest_world.provider.stopped = frozenset()
    guest_world.passes(60, step=5)
    assert guest_world.get(lease.id).state is State.ACTIVE
    assert creates(guest_world) == before
    guest_world.settle_all()
    billed = sum(
        (record.end - record.start).total_seconds()
        for record in guest_world.usage(lease.id)
        if record.billable and record.node_id == lease.members[0].node_id
    )
    assert 3600 - 640 <= billed <= 3600 - 580
    assert any(record.kind == "stopped" for record in guest_world.usage(lease.id))
    guest_world.check()


def test_guest_shut_everything_down_and_the_lease_idles(guest_world: World):
    """Every node is shut down and stays so: the lease ends by itself, and the nodes are taken back."""
    lease = guest_world.active(nodes=2)
    guest_world.passes(300)
    guest_world.provider.stopped = frozenset(member.ref for member in lease.members)
    guest_world.passes(1500, step=30)
    over = guest_world.get(lease.id)
    assert over.state is State.SETTLED
    assert over.ended_by == "tenant"
    assert guest_world.billed_s(lease.id) <= 2 * 310
    guest_world.check()


def test_stale_list_hides_new_nodes(world: World):
    """Lists show the world of a minute ago: nodes are found late, never made twice."""
    world.provider.script(Fault("stale-list", seconds=60, times=None), Fault("timeout-after-create"))
    lease = world.active(nodes=2)
    assert len(world.provider.truth()) == 2
    world.provider.clear()
    world.settle_all()
    assert world.billed_s(lease.id) == 2 * (lease.ends_at - lease.active_at).total_seconds()
    world.check()


def test_slow_provider_holds_up_everything(world: World):
    """Each call takes four seconds: nobody is billed for the waiting."""
    world.provider.script(Fault("slow", seconds=4, times=60))
    lease = world.active(nodes=2)
    world.provider.clear()
    world.settle_all()
    assert world.billed_s(lease.id) == 2 * (lease.ends_at - lease.active_at).total_seconds()
    world.check()


def test_one_dead_provider_starves_the_leases_of_the_others(world: World):
    """A provider that does not answer costs a few calls a pass, not one for each of its leases."""
    for _ in range(6):
        world.active(nodes=1)
    world.provider.script(Fault("provider-down", times=None))
    world.provider.calls.clear()
    world.tick(5)
    assert len(world.provider.calls) <= 5
    world.provider.clear()
    world.settle_all()
    world.check()


def test_operator_reports_an_outage_and_the_tenant_pays_on(world: World):
    """The provider shows the node running; the operator knows better: it is replaced, and not billed from then."""
    lease = world.active(nodes=2)
    world.passes(600)
    dead = lease.members[0]
    now = world.clock.now()
    world.run(
        lambda s: upkeep.report_outage(
            s, dead.node_id, start=now, until=now + HOUR, reason="ticket 4711", actor=OPERATOR, now=now
        )
    )
    world.passes(60, step=5)
    after = world.get(lease.id)
    assert after.state is State.ACTIVE
    assert dead.node_id not in after.node_ids
    assert world.states(lease.id)[-3:] == ["degraded", "replacing", "active"]
    assert dead.ref not in {node.ref for node in world.provider.truth()}
    last = max(r.end for r in world.usage(lease.id) if r.node_id == dead.node_id and r.billable)
    assert last - now <= timedelta(seconds=10)
    world.settle_all()
    assert "ticket 4711" in " ".join(r.reason for r in world.usage(lease.id) if r.kind == "lost")
    world.check()


def test_lease_starts_on_a_node_that_failed_before_its_start(world: World):
    """A booked node fails while the lease is still ahead: another one takes its place at the start."""
    lease_id = world.lease(nodes=2, start=world.clock.now() + HOUR)
    node = world.get(lease_id).node_ids[0]
    world.run(lambda s: supply.set_node(s, node, "failed", "smoke", actor=OPERATOR, now=world.clock.now()))
    world.clock.advance(timedelta(hours=1))
    lease = world.until(lease_id, State.ACTIVE)
    assert node not in lease.node_ids
    world.settle_all()
    world.check()
