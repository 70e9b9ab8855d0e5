"""The whole life of a lease on the simulated provider, in virtual time."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from lease_kit import OPERATOR, World
from sublet.broker import compose
from sublet.broker.billing import receipts
from sublet.broker.errors import Conflict, NotFound, Refused
from sublet.broker.leases import engine, observe, service
from sublet.broker.leases.states import State
from sublet.broker.orders import service as orders
from sublet.broker.tenants import service as tenants
from sublet.broker.tenants.values import SYSTEM, Actor
from sublet.units import Money


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


def extend(world, lease_id, hours, key=None, quote=None, actor=None):
    lease = world.get(lease_id)
    return world.run(
        lambda session: compose.extend_lease(
            session,
            lease_id,
            until=lease.ends_at + timedelta(hours=hours),
            quote=quote,
            idempotency_key=key,
            actor=actor or world.member,
            now=world.clock.now(),
        )
    )


def shorten(world, lease_id, until, key=None):
    return world.run(
        lambda session: service.shorten(
            session, lease_id, until=until, idempotency_key=key, actor=world.member, now=world.clock.now()
        )
    )


def receipt(world, lease_id):
    with world.database.reading() as session:
        return receipts.of_lease(session, lease_id, actor=SYSTEM)


def test_extended_at_a_new_price(world):
    lease = world.active(hours=1)
    quote = world.quote(1, 2, price="5")
    longer = extend(world, lease.id, 2, quote=quote.id)
    assert longer.ends_at == lease.ends_at + timedelta(hours=2)
    world.settle_all()
    assert world.billed_s(lease.id) == 3 * 3600
    assert receipt(world, lease.id).total.amount == Decimal(8 * (3 * 1 + 5 * 2))
    world.check()


def test_extended_in_its_grace_it_serves_on(world):
    lease = world.active(hours=1)
    world.until(lease.id, State.ENDING, step=60)
    extend(world, lease.id, 1)
    world.tick(1)
    assert world.get(lease.id).state is State.ACTIVE
    world.settle_all()
    assert world.billed_s(lease.id) == 2 * 3600
    assert world.states(lease.id).count("ending") == 2
    world.check()


def test_the_same_key_extends_once(world):
    lease = world.active(hours=1)
    until = lease.ends_at + timedelta(hours=1)
    for _ in range(2):
        again = world.run(
            lambda s: compose.extend_lease(
                s, lease.id, until=until, idempotency_key="k", actor=world.member, now=world.clock.now()
            )
        )
        assert again.ends_at == until
    with pytest.raises(Conflict, match="was used to extend"):
        extend(world, lease.id, 5, key="k")


def test_an_extension_into_another_lease_is_refused(world):
    lease = world.active(nodes=8, hours=1)
    world.lease(nodes=1, start=lease.ends_at)
    with pytest.raises(Conflict, match="promised to another"):
        extend(world, lease.id, 1)
    assert world.get(lease.id).ends_at == lease.ends_at


def test_an_extension_beyond_the_budget_is_refused_with_dimension_limit_and_use(world):
    lease = world.active(hours=1)
    budget = Money(Decimal(40))
    world.run(lambda s: tenants.update_project(s, world.project, budget=budget, actor=OPERATOR, now=world.clock.now()))
    with pytest.raises(Refused) as refusal:
        extend(world, lease.id, 1)
    assert (refusal.value.dimension, refusal.value.limit) == ("budget", "40 USD")
    extend(world, lease.id, 0.5)
    world.settle_all()
    world.check()


def test_renewed_for_as_long_as_it_was_agreed_at_first(world):
    lease = world.active(hours=2)
    quote = world.quote(1, 2, price="4")
    for key, end in (("a", 4), ("a", 4), ("b", 6)):
        renewed = world.run(
            lambda s, key=key: compose.renew_lease(
                s, lease.id, quote=quote.id, idempotency_key=key, actor=world.member, now=world.clock.now()
            )
        )
        assert renewed.ends_at == lease.starts_at + timedelta(hours=end)


def test_shortened_the_freed_time_is_free_at_once(world):
    lease = world.active(nodes=8, hours=3)
    until = lease.starts_at + timedelta(hours=1)
    shorten(world, lease.id, until)
    later = world.lease(nodes=8, hours=1, start=until)
    assert world.get(later).starts_at == until
    world.settle_all()
    assert world.billed_s(lease.id) == 8 * 3600
    world.check()
    with pytest.raises(Conflict, match="cannot be changed any more"):
        shorten(world, lease.id, until)


@pytest.mark.parametrize(("refund", "hours"), [(None, 1), ("1", 1), ("0.5", 2.5), ("0", 4)])
def test_ended_early_the_unused_time_is_refunded_by_the_terms(world, refund, hours):
    lease = world.active(hours=4, terms={} if refund is None else {"early_end_refund": refund})
    world.clock.advance(timedelta(hours=1))
    world.end(lease.id)
    world.settle_all()
    assert world.billed_s(lease.id) == 3600
    assert receipt(world, lease.id).total.amount == Decimal(8 * 3) * Decimal(str(hours))
    assert world.get(lease.id).ended_by == "tenant"
    world.check()


def test_the_operator_ends_it_and_the_tenant_pays_only_what_it_used(world):
    lease = world.active(hours=4, terms={"early_end_refund": "0"})
    world.clock.advance(timedelta(hours=1))
    world.end(lease.id, OPERATOR)
    world.settle_all()
    assert receipt(world, lease.id).total.amount == Decimal(24)


def test_an_ended_lease_serves_the_line(world):
    first = world.active(nodes=8, hours=3)
    waiting = world.order(nodes=8, hours=1)
    assert waiting.lease_id is None
    world.tick(5)
    world.end(first.id)
    world.until(first.id, State.SETTLED)
    world.tick(5)
    with world.database.reading() as session:
        served = orders.order(session, waiting.id, actor=SYSTEM)
    assert served.lease_id is not None
    world.until(served.lease_id, State.ACTIVE)
    world.settle_all()
    world.check()


def test_a_used_up_budget_ends_the_leases_of_a_project_that_chose_so(world):
    lease = world.active(hours=4)
    world.passes(3700, step=300)
    world.run(
        lambda s: tenants.update_project(
            s, world.project, budget=Money(Decimal(20)), hard_stop=True, actor=OPERATOR, now=world.clock.now()
        )
    )
    world.passes(120)
    over = world.get(lease.id)
    assert over.state is State.SETTLED
    assert "budget" in " ".join(world.history(lease.id))
    assert over.ended_by == "operator"


def test_a_stranger_sees_and_ends_nothing(world):
    lease = world.active()
    stranger = Actor("user", "usr_x", "org_other", None, "admin")
    for act in (
        lambda s: service.get(s, lease.id, actor=stranger),
        lambda s: service.request_end(s, lease.id, actor=stranger, now=world.clock.now()),
        lambda s: service.extend(
            s, lease.id, until=lease.ends_at + timedelta(hours=1), actor=stranger, now=world.clock.now()
        ),
    ):
        with pytest.raises(NotFound):
            world.run(act)
    with world.database.reading() as session:
        assert service.leases(session, actor=stranger) == ()


def test_a_broken_lease_does_not_stop_the_others(world, monkeypatch):
    broken, good = world.lease(), world.lease()
    real = observe.observe

    def fails(line, lease, now):
        if lease.id == broken:
            raise RuntimeError("a defect")
        return real(line, lease, now)

    monkeypatch.setattr(engine, "observe", fails)
    report = world.engine.tick()
    assert any("a defect" in error for error in report.errors)
    assert world.get(good).state is State.ACTIVE


def test_a_pass_is_idempotent(world):
    lease = world.active(nodes=2)
    world.tick(5)
    before = world.get(lease.id), world.usage(lease.id), world.history(lease.id), len(world.provider.truth())
    for _ in range(5):
        world.tick()
    assert (world.get(lease.id), world.usage(lease.id), world.history(lease.id), len(world.provider.truth())) == before


def test_hooks_hear_of_every_event_once(world):
    heard: list = []
    world.engine = world.new_engine(hooks=[heard.append])
    lease_id = world.lease()
    world.settle_all()
    assert [event.state for event in heard if event.kind in ("state", "notice")] == world.states(lease_id)
    assert any(event.kind == "notice" for event in heard)
    assert len({event.number for event in heard}) == len(heard)
