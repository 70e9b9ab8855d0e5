"""Quotes that never change, and orders: accepted, approved, refused by the budget, repeated, cancelled."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from orders_kit import OPERATOR, SHAPE, ZERO, House, at, usd
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from sublet.broker.audit import log
from sublet.broker.bookings import service as bookings
from sublet.broker.errors import Conflict, Expired, Forbidden, Invalid, NotFound, Refused
from sublet.broker.orders import service as orders
from sublet.broker.orders.values import MOVES, OrderState, whole_seconds
from sublet.broker.tenants import service as tenants
from sublet.broker.tenants.values import Actor


@pytest.fixture
def session(database):
    with database.transaction() as session:
        yield session


@pytest.fixture
def house(session):
    return House(session)


def other_tenant(house):
    organisation, project = house.tenant("rival")
    return Actor("user", "usr_rival", organisation.id, None, "admin"), project


# --- quotes ----------------------------------------------------------------------------------------------------------


def test_a_quote_is_kept_as_it_was_given(house, session):
    stored = house.quote(nodes=2, count=16, hours=Decimal("1.5"))
    assert orders.quote(session, stored.id, actor=house.member) == stored
    assert orders.quotes(session, actor=house.member) == (stored,)
    assert stored.estimate["run_s"] == {"p10": 6000.0, "p50": 6600.0, "p90": 7200.0}
    assert (stored.accelerators_per_node, stored.price_per_hour, stored.price) == (8, usd(32), usd(48))


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE quotes SET price = '1'",
        "UPDATE quotes SET expires_at = created_at",
        "DELETE FROM quotes",
    ],
)
def test_the_database_lets_nobody_change_a_quote(database, statement):
    with database.transaction() as session:
        stored = House(session).quote()
    with pytest.raises(DBAPIError, match="never changed or removed"), database.transaction() as session:
        session.execute(text(statement))
    with database.transaction() as session:
        assert orders.quote(session, stored.id, actor=OPERATOR) == stored


@pytest.mark.parametrize(
    "changed",
    [
        {"price_per_accelerator_hour": usd(0)},
        {"price_per_accelerator_hour": usd(-1)},
        {"nodes": 0},
        {"count": 0},
        {"nodes": 2, "count": 9},
        {"hours": Decimal(0)},
        {"hours": Decimal("NaN")},
        {"expires_at": ZERO},
    ],
)
def test_a_quote_that_makes_no_sense_is_refused(house, changed):
    with pytest.raises(Invalid):
        house.quote(**changed)


def test_a_quote_binds_until_the_instant_it_expires(house):
    stored = house.quote(expires_at=at(1))
    assert house.place(stored, now=at(1) - timedelta(microseconds=1)).state is OrderState.ACCEPTED
    with pytest.raises(Expired, match="expired at 2026-01-01T01:00:00"):
        house.place(stored, now=at(1))


def test_another_tenants_quotes_and_orders_do_not_exist(house, session):
    rival, project = other_tenant(house)
    stored = house.quote()
    placed = house.place(stored)
    for act in (
        lambda: orders.quote(session, stored.id, actor=rival),
        lambda: orders.order(session, placed.id, actor=rival),
        lambda: house.place(stored, actor=rival),
        lambda: house.quote(actor=rival),
        lambda: orders.cancel(session, placed.id, actor=rival, now=ZERO),
        lambda: orders.approve(session, placed.id, actor=rival, now=ZERO, **house.doors),
        lambda: orders.waitlist(session, house.project.id, actor=rival),
    ):
        with pytest.raises(NotFound):
            act()
    assert orders.quotes(session, actor=rival) == ()
    assert orders.orders(session, actor=rival) == ()
    assert orders.waitlist(session, actor=rival) == ()
    assert orders.waitlist(session, project.id, actor=rival) == ()


# --- accepted --------------------------------------------------------------------------------------------------------


def test_an_order_for_now_books_its_nodes_for_the_quoted_time(house, session):
    placed = house.place(now=at(0.5))
    assert placed.state is OrderState.ACCEPTED
    assert (placed.starts_at, placed.ends_at) == (at(0.5), at(2.5))
    assert placed.commitment == usd(32)
    held = bookings.of_holder(session, holder=placed.lease_id)
    assert [(booking.starts_at, booking.ends_at) for booking in held] == [(at(0.5), at(2.5))]
    assert orders.order(session, placed.id, actor=house.member) == placed
    assert [lease["order"].id for lease in house.leases] == [placed.id]


def test_an_order_may_name_a_start_or_a_window(house, session):
    house.place(nodes=2, hours=Decimal(3))  # all of it until 03:00
    assert house.place(start=at(5)).starts_at == at(5)
    assert house.place(window_end=at(20), hours=Decimal(4)).starts_at == at(3)
    late = house.place(start=at(10), window_end=at(13), hours=Decimal(3))
    assert (late.starts_at, late.ends_at) == (at(10), at(13))
    waits = house.place(start=at(1))
    assert waits.state is OrderState.WAITLISTED


def test_count_and_duration_may_differ_from_the_quote_and_are_paid_for(house):
    placed = house.place(nodes=2, hours=Decimal("0.75"))
    assert (placed.accelerators, placed.seconds, placed.commitment) == (16, 2700, usd(24))


@given(st.decimals(min_value="0.0001", max_value=1000, places=6))
def test_time_is_sold_in_whole_seconds_and_never_less_than_asked(hours):
    seconds = whole_seconds(hours)
    assert seconds - 1 < hours * 3600 <= seconds


@pytest.mark.parametrize(
    "asked",
    [
        {"nodes": 0},
        {"hours": Decimal(0)},
        {"hours": Decimal("Infinity")},
        {"hours": Decimal(10**6)},
        {"start": at(-1)},
        {"window_end": at(1)},
        {"start": at(5), "window_end": at(6)},
        {"idempotency_key": ""},
        {"idempotency_key": "x" * 201},
    ],
)
def test_an_order_that_makes_no_sense_is_refused(house, asked):
    with pytest.raises(Invalid):
        house.place(**asked)


def test_a_member_of_another_project_may_not_order(house):
    auditor = Actor("user", "usr_a", house.acme.id, None, "auditor")
    stored = house.quote()
    with pytest.raises(Forbidden):
        house.place(stored, actor=auditor)
    elsewhere = Actor("token", "tok_b", house.acme.id, "prj_other", "member")
    with pytest.raises(NotFound):
        house.place(stored, actor=elsewhere)


# --- idempotency -----------------------------------------------------------------------------------------------------


def test_the_same_key_and_request_return_the_first_order_even_after_the_quote_expired(house, session):
    stored = house.quote()
    first = house.place(stored, idempotency_key="once", hours=Decimal("2.0"))
    again = house.place(stored, idempotency_key="once", hours=Decimal(2), now=at(50))
    assert again == first
    assert len(house.leases) == 1
    assert len(orders.orders(session, actor=house.member)) == 1


@pytest.mark.parametrize("changed", [{"nodes": 2}, {"hours": Decimal(1)}, {"start": at(3)}, {"window_end": at(9)}])
def test_the_same_key_with_another_request_is_a_conflict(house, changed):
    stored = house.quote()
    house.place(stored, idempotency_key="once")
    with pytest.raises(Conflict, match="idempotency key 'once'"):
        house.place(stored, idempotency_key="once", **changed)
    with pytest.raises(Conflict):
        house.place(house.quote(), idempotency_key="once")


def test_a_key_belongs_to_its_project(house):
    rival, project = other_tenant(house)
    first = house.place(idempotency_key="once")
    second = house.place(house.quote(project=project.id, actor=rival), idempotency_key="once", actor=rival)
    assert first.id != second.id


# --- budget ----------------------------------------------------------------------------------------------------------


def test_the_budget_is_held_for_the_whole_commitment_and_the_refusal_says_what_and_how_much(house, session):
    house.budget, house.spent = usd(100), usd(10)
    house.place()  # 32
    house.place(start=at(50))  # 32 more
    stored = house.quote()
    with pytest.raises(Refused, match="74 USD are used and the order commits 32 USD") as refusal:
        house.place(stored)
    assert (refusal.value.dimension, refusal.value.limit, refusal.value.use) == ("budget", "100", "74")
    assert len(orders.orders(session, actor=house.member)) == 2
    assert house.place(stored, hours=Decimal("1.625"), start=at(60)).commitment == usd(26)  # exactly what is left


def test_an_order_that_waits_holds_its_part_of_the_budget(house, session):
    house.budget = usd(100)
    house.place(nodes=2)  # 64 on every node
    waits = house.place()
    assert waits.state is OrderState.WAITLISTED
    assert [each.id for each in orders.open_orders(session, house.project.id)] == [waits.id]
    with pytest.raises(Refused):
        house.place(start=at(50))
    (served,) = house.promote(2)
    assert served.state is OrderState.ACCEPTED


# --- approval --------------------------------------------------------------------------------------------------------


@pytest.fixture
def careful(house, session):
    tenants.update_project(session, house.project.id, needs_approval=True, actor=house.admin, now=ZERO)
    return house


def test_where_the_project_asks_for_it_an_order_waits_for_approval(careful, session):
    pending = careful.place(window_end=at(40))
    assert (pending.state, pending.lease_id) == (OrderState.PENDING_APPROVAL, None)
    with pytest.raises(Forbidden):
        orders.approve(session, pending.id, actor=careful.member, now=at(1), **careful.doors)
    approved = orders.approve(session, pending.id, actor=careful.admin, now=at(30), **careful.doors)
    assert approved.state is OrderState.ACCEPTED  # at the quoted price, though the quote expired
    assert (approved.starts_at, approved.decided_by, approved.decided_at) == (at(30), "usr_admin", at(30))
    with pytest.raises(Conflict, match="is accepted"):
        orders.approve(session, pending.id, actor=careful.admin, now=at(30), **careful.doors)


def test_who_may_approve_need_not_ask_himself(careful):
    assert careful.place(actor=careful.admin).state is OrderState.ACCEPTED


def test_an_order_is_rejected_with_its_reason(careful, session):
    pending = careful.place()
    rejected = orders.reject(session, pending.id, reason="too dear", actor=careful.admin, now=at(1))
    assert (rejected.state, rejected.reason) == (OrderState.REFUSED, "not approved: too dear")


def test_an_approval_that_comes_too_late_refuses(careful, session):
    pending = careful.place(start=at(2))
    late = orders.approve(session, pending.id, actor=careful.admin, now=at(3), **careful.doors)
    assert late.state is OrderState.REFUSED
    assert "passed before nodes were free" in late.reason


def test_an_approval_does_not_count_the_order_against_itself_but_sees_a_smaller_budget(careful, session):
    careful.budget = usd(32)
    pending = careful.place()
    careful.spent = usd(1)
    with pytest.raises(Refused):
        orders.approve(session, pending.id, actor=careful.admin, now=ZERO, **careful.doors)
    careful.spent = usd(0)
    assert (
        orders.approve(session, pending.id, actor=careful.admin, now=ZERO, **careful.doors).state is OrderState.ACCEPTED
    )


# --- cancelled -------------------------------------------------------------------------------------------------------


def test_an_order_without_a_lease_is_cancelled_and_leaves_the_line(house, session):
    house.place(nodes=2)
    waits = house.place()
    cancelled = orders.cancel(session, waits.id, reason="changed my mind", actor=house.member, now=ZERO)
    assert (cancelled.state, cancelled.reason) == (OrderState.CANCELLED, "changed my mind")
    assert orders.waitlist(session, actor=house.member) == ()
    assert orders.cancel(session, waits.id, actor=house.member, now=ZERO) == cancelled


def test_an_accepted_order_is_cancelled_with_its_lease_only(house, session):
    placed = house.place()
    with pytest.raises(Conflict, match="end the lease"):
        orders.cancel(session, placed.id, actor=house.member, now=ZERO)

    def end(session, lease_id, *, reason, actor, now):
        bookings.release(session, holder=lease_id, at=now, now=now)

    cancelled = orders.cancel(session, placed.id, actor=house.member, now=ZERO, cancel_lease=end)
    assert cancelled.state is OrderState.CANCELLED
    assert bookings.held_at(session, at=ZERO) == {}


def test_an_order_whose_time_is_over_is_not_cancelled(house, session):
    placed = house.place()
    with pytest.raises(Conflict, match="was served until 2026-01-01T02:00:00"):
        orders.cancel(session, placed.id, actor=house.member, now=at(2), cancel_lease=lambda *_, **__: None)


def test_nothing_follows_what_is_over():
    assert {state for state in OrderState if not MOVES[state]} == {OrderState.REFUSED, OrderState.CANCELLED}


def test_a_refused_order_is_not_cancelled(careful, session):
    pending = careful.place()
    orders.reject(session, pending.id, reason="", actor=careful.admin, now=ZERO)
    with pytest.raises(Conflict, match="is refused"):
        orders.cancel(session, pending.id, actor=careful.member, now=ZERO)


def test_every_act_is_in_the_audit_log_of_its_tenant(house, session):
    house.place(nodes=2)
    waits = house.place()
    house.promote(3)
    acts = [
        (entry.action, entry.outcome) for entry in log.entries(session, actor=house.admin) if entry.target == waits.id
    ]
    assert acts == [("order.place", "waitlisted"), ("order.promote", "accepted")]


def test_orders_come_in_pages_and_by_state(house, session):
    made = [house.place(), house.place(), house.place()]
    page = orders.orders(session, actor=house.member, limit=2)
    assert [each.id for each in page] == [made[0].id, made[1].id]
    assert [each.id for each in orders.orders(session, actor=house.member, after=page[-1].id)] == [made[2].id]
    assert [each.id for each in orders.orders(session, actor=house.member, state="waitlisted")] == [made[2].id]
    assert orders.orders(session, project=house.project.id, since=at(1), actor=house.member) == ()
    assert made[2].shape == SHAPE
