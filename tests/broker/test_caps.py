"""Caps on what a tenant holds at one instant: set by the operator, kept by every door, checked by the doctor."""

from __future__ import annotations

import threading
from datetime import timedelta
from decimal import Decimal

import pytest

from lease_kit import HOUR, OPERATOR, World
from sublet.broker import compose, doctor
from sublet.broker.audit import log as audit
from sublet.broker.errors import Conflict, Forbidden, Invalid, NotFound, Refused
from sublet.broker.leases import caps, service
from sublet.broker.leases.caps import FOREVER, Holding, blocked, levels
from sublet.broker.leases.states import State
from sublet.broker.orders import service as orders
from sublet.broker.orders.values import OrderState
from sublet.broker.tenants import caps as tenant_caps
from sublet.broker.tenants import service as tenants
from sublet.broker.tenants.tables import CapRow
from sublet.broker.tenants.values import SYSTEM, Actor, Limit
from sublet.units import Money


@pytest.fixture
def world(database, clock, tmp_path) -> World:
    return World(database, clock, tmp_path)


def cap(world: World, nodes=None, accelerators=None, *, kind="organisation", subject=None, actor=OPERATOR):
    return world.run(
        lambda session: caps.set_cap(
            session,
            kind=kind,
            subject=subject or world.organisation,
            nodes=nodes,
            accelerators=accelerators,
            reason="one node each, says the board",
            actor=actor,
            now=world.clock.now(),
        )
    )


def affiliate(world: World, name: str, group: str | None = "holding") -> tuple[str, str, Actor]:
    """Another organisation with a project, and a member of it."""

    def make(session):
        now = world.clock.now()
        home = tenants.create_organisation(session, name=name, actor=OPERATOR, now=now)
        project = tenants.create_project(session, organisation=home.id, name="p", actor=OPERATOR, now=now)
        caps.set_group(session, home.id, group, actor=OPERATOR, now=now)
        return home.id, project.id

    organisation, project = world.run(make)
    return organisation, project, Actor("user", f"usr_{name}", organisation, None, "member")


def as_tenant(world: World, organisation: str, project: str, member: Actor):
    world.organisation, world.project, world.member = organisation, project, member


def window(world: World, nodes: int, hours: float, span: float):
    quote = world.quote(nodes, hours)
    return world.run(
        lambda session: compose.place_order(
            session,
            quote=quote.id,
            window_end=world.clock.now() + span * HOUR,
            idempotency_key=quote.id,
            actor=world.member,
            now=world.clock.now(),
        )
    )


def over(world: World) -> list[str]:
    (check,) = (c for c in doctor.examine(world.database, now=world.clock.now()) if c.name == "caps")
    return [finding.sentence for finding in check.findings]


def test_an_order_beyond_the_cap_is_refused_with_dimension_limit_and_use(world):
    cap(world, nodes=3)
    world.lease(nodes=2)
    with pytest.raises(Refused, match=r"organisation 'Acme' may hold 3 nodes at once: 2 are held or booked") as refusal:
        world.order(nodes=2)
    assert (refusal.value.dimension, refusal.value.limit, refusal.value.use) == ("organisation nodes", "3", "2")
    world.lease(nodes=1)
    assert over(world) == []


def test_accelerators_are_capped_too_and_a_project_within_its_organisation(world):
    cap(world, accelerators=24)
    cap(world, accelerators=15, kind="project", subject=world.project)
    with pytest.raises(Refused) as refusal:
        world.order(nodes=2)
    assert (refusal.value.dimension, refusal.value.limit, refusal.value.use) == ("project accelerators", "15", "0")
    world.lease(nodes=1)


def test_future_bookings_count_and_what_lies_between_them_is_free(world):
    cap(world, nodes=2)
    begin = world.clock.now() + 2 * HOUR
    world.lease(nodes=2, hours=1, start=begin)
    with pytest.raises(Refused):
        world.order(nodes=1, hours=1, start=begin + HOUR / 2)
    with pytest.raises(Refused):
        world.order(nodes=1, hours=5)
    world.lease(nodes=2, hours=2)
    world.lease(nodes=2, hours=2, start=begin + HOUR)


def test_an_order_in_a_window_takes_the_first_time_at_which_its_cap_has_room(world):
    cap(world, nodes=2)
    first = world.get(world.lease(nodes=2, hours=3))
    placed = window(world, 1, 2, span=10)
    assert placed.starts_at == first.ends_at
    with pytest.raises(Refused):
        window(world, 1, 1, span=2)
    assert over(world) == []


def test_affiliated_organisations_count_as_one(world):
    home, project, member = affiliate(world, "Beta")
    world.run(lambda s: caps.set_group(s, world.organisation, "holding", actor=OPERATOR, now=world.clock.now()))
    cap(world, nodes=3, kind="group", subject="holding")
    world.lease(nodes=2)
    as_tenant(world, home, project, member)
    with pytest.raises(Refused, match="group 'holding' may hold 3") as refusal:
        world.order(nodes=2)
    assert "Acme" not in str(refusal.value)
    world.lease(nodes=1)


def test_splitting_over_affiliates_gains_nothing_where_only_they_are_capped(world):
    home, project, member = affiliate(world, "Beta")
    world.run(lambda s: caps.set_group(s, world.organisation, "holding", actor=OPERATOR, now=world.clock.now()))
    cap(world, nodes=2)
    cap(world, nodes=3, subject=home)
    world.lease(nodes=2)
    as_tenant(world, home, project, member)
    with pytest.raises(Refused, match="group 'holding' may hold 3"):
        world.order(nodes=2)
    world.lease(nodes=1)


def test_an_extension_or_a_renewal_beyond_the_cap_is_refused(world):
    cap(world, nodes=2)
    lease = world.active(nodes=2, hours=1)
    world.lease(nodes=1, hours=1, start=lease.ends_at + HOUR)
    until = lease.ends_at + 2 * HOUR
    quote = world.quote(2, 3)
    for act in (
        lambda s: compose.extend_lease(s, lease.id, until=until, actor=world.member, now=world.clock.now()),
        lambda s: service.extend(s, lease.id, until=until, actor=world.member, now=world.clock.now()),
    ):
        with pytest.raises(Refused):
            world.run(act)
    world.run(lambda s: compose.renew_lease(s, lease.id, quote=quote.id, actor=world.member, now=world.clock.now()))
    assert world.get(lease.id).ends_at == lease.ends_at + HOUR
    with pytest.raises(Refused):
        world.run(lambda s: compose.renew_lease(s, lease.id, quote=quote.id, actor=world.member, now=world.clock.now()))
    assert over(world) == []


def test_an_order_that_waits_is_not_served_beyond_the_cap_and_says_why(world):
    stranger = affiliate(world, "Beta", None)
    home = world.organisation, world.project, world.member
    as_tenant(world, *stranger)
    others = world.active(nodes=8, hours=1)
    as_tenant(world, *home)
    waiting = [world.order(nodes=2, hours=2), world.order(nodes=2, hours=2)]
    assert {order.state for order in waiting} == {OrderState.WAITLISTED}
    cap(world, nodes=3)
    world.until(others.id, State.SETTLED, step=60)
    world.tick(5)
    with world.database.reading() as session:
        entries = orders.waitlist(session, actor=SYSTEM)
        held = service.running(session)
    assert len(held) == 1
    assert len(entries) == 1
    assert "may hold 3 nodes" in entries[0].reason
    assert over(world) == []
    world.end(held[0].id)
    world.until(held[0].id, State.SETTLED)
    world.tick(5)
    with world.database.reading() as session:
        assert not orders.waitlist(session, actor=SYSTEM)


def test_an_approval_beyond_the_cap_is_refused_and_the_order_still_waits_for_it(world):
    world.run(
        lambda s: tenants.update_project(s, world.project, needs_approval=True, actor=OPERATOR, now=world.clock.now())
    )
    pending = [world.order(nodes=2), world.order(nodes=2)]
    cap(world, nodes=3)

    def approve(order):
        return world.run(lambda s: compose.approve_order(s, order.id, actor=world.admin, now=world.clock.now()))

    assert approve(pending[0]).state is OrderState.ACCEPTED
    with pytest.raises(Refused):
        approve(pending[1])
    with world.database.reading() as session:
        assert orders.order(session, pending[1].id, actor=SYSTEM).state is OrderState.PENDING_APPROVAL


def test_a_cap_below_what_is_booked_is_refused_for_bookings_never_move(world):
    world.lease(nodes=3)
    with pytest.raises(Conflict, match="holds 3 nodes with 24 accelerators"):
        cap(world, nodes=2)
    cap(world, nodes=3)
    home, _, _ = affiliate(world, "Beta")
    cap(world, nodes=1, kind="group", subject="holding")
    with pytest.raises(Conflict):
        world.run(lambda s: caps.set_group(s, world.organisation, "holding", actor=OPERATOR, now=world.clock.now()))
    with world.database.reading() as session:
        assert tenants.organisation(session, world.organisation, actor=SYSTEM).group is None
        assert [c.nodes for c in tenant_caps.caps(session, organisation=home, actor=SYSTEM)] == [1]
    assert cap(world) is None
    world.lease(nodes=4)


def test_only_the_operator_sets_caps_and_each_act_is_audited(world):
    for role in ("admin", "member", "auditor"):
        with pytest.raises(Forbidden):
            cap(world, nodes=1, actor=Actor("user", "usr_x", world.organisation, None, role))
    for wrong in ({"kind": "galaxy"}, {"nodes": -1}, {"accelerators": 10**9}):
        with pytest.raises(Invalid):
            cap(world, **{"nodes": 1, **wrong})
    for kind, subject in (("organisation", "org_none"), ("project", "prj_none"), ("group", "nobody")):
        with pytest.raises(NotFound):
            cap(world, nodes=1, kind=kind, subject=subject)
    cap(world, nodes=4)
    cap(world)
    with world.database.reading() as session:
        acts = [e for e in audit.entries(session, actor=SYSTEM) if e.action == "cap.set"]
    assert [(act.outcome, act.actor, act.details["nodes"]) for act in acts] == [
        ("done", OPERATOR.id, 4), ("removed", OPERATOR.id, None)
    ]  # fmt: skip


def test_who_reads_which_caps_and_how_far_they_are_used(world):
    home, _, member = affiliate(world, "Beta", None)
    cap(world, nodes=5, accelerators=40)
    cap(world, nodes=2, subject=home)
    world.lease(nodes=1, hours=1)
    world.lease(nodes=2, hours=1, start=world.clock.now() + HOUR / 2)
    with world.database.reading() as session:
        now = world.clock.now()
        (mine,) = caps.status(session, actor=world.member, now=now)
        assert (mine.nodes, mine.accelerators, mine.most_nodes, mine.most_accelerators) == (1, 8, 3, 24)
        assert mine.most_at == now + HOUR / 2
        with pytest.raises(NotFound):
            caps.status(session, organisation=home, actor=world.member, now=now)
        with pytest.raises(NotFound):
            tenant_caps.caps(session, organisation=world.organisation, actor=member)
        assert len(caps.status(session, actor=OPERATOR, now=now)) == 2
        assert [c.subject for c in tenant_caps.caps(session, actor=member)] == [home]


def test_two_writers_cannot_take_the_same_room(world):
    cap(world, nodes=4)
    quotes = [world.quote(1, 1).id for _ in range(8)]
    outcomes: list[str] = []

    def place(quote):
        try:
            world.run(
                lambda s: compose.place_order(
                    s, quote=quote, idempotency_key=quote, actor=world.member, now=world.clock.now()
                )
            )
            outcomes.append("placed")
        except Refused:
            outcomes.append("refused")

    threads = [threading.Thread(target=place, args=(quote,)) for quote in quotes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["placed"] * 4 + ["refused"] * 4
    assert over(world) == []


def test_the_doctor_finds_a_tenant_over_its_cap(world):
    lease_id = world.lease(nodes=2)
    cap(world, nodes=2)
    with world.database.transaction() as session:
        row = session.get(CapRow, ("organisation", world.organisation))
        row.nodes = 1
    (said,) = over(world)
    assert "may hold 1 nodes" in said
    assert "holds 2 and 16" in said
    world.end(lease_id)


def test_a_removed_budget_is_no_limit_any_more(world):
    now = world.clock.now()
    budget = Money(Decimal(10))
    world.run(lambda s: tenants.update_project(s, world.project, budget=budget, actor=OPERATOR, now=now))
    with pytest.raises(Refused):
        world.order(nodes=1)
    with pytest.raises(Invalid):
        world.run(
            lambda s: tenants.update_project(
                s, world.project, budget=budget, remove_budget=True, actor=OPERATOR, now=now
            )
        )
    changed = world.run(lambda s: tenants.update_project(s, world.project, remove_budget=True, actor=OPERATOR, now=now))
    assert changed.budget is None
    world.lease(nodes=1)


def test_levels_are_what_is_held_at_each_instant(clock):
    at = [clock.now() + timedelta(hours=hour) for hour in range(5)]
    held = [Holding(at[0], at[2], "o", "p", 8), Holding(at[1], at[3], "o", "p", 4), Holding(at[0], at[1], "o", "p", 8)]
    found = [(level.start, level.end, level.nodes, level.accelerators) for level in levels(held, at[0])]
    assert found == [
        (at[0], at[1], 2, 16),
        (at[1], at[2], 2, 12),
        (at[2], at[3], 1, 4),
        (at[3], FOREVER, 0, 0),
    ]
    limit = Limit("organisation", "organisation 'o'", ("o",), None, 2, None)
    assert [(span.start, span.end) for span in blocked(limit, levels(held, at[0]), 1, 8)] == [
        (at[0], at[1]), (at[1], at[2])
    ]  # fmt: skip
