"""The line: positions, reasons, who is served when something frees, and threads that order all at once."""

from __future__ import annotations

import threading
from datetime import timedelta
from decimal import Decimal

import pytest
from orders_kit import OPERATOR, SHAPE, House, at, usd

from sublet.broker.bookings import service as bookings
from sublet.broker.orders import service as orders
from sublet.broker.orders.values import OrderState
from sublet.broker.tenants.values import Actor


@pytest.fixture
def session(database):
    with database.transaction() as session:
        yield session


@pytest.fixture
def house(session):
    return House(session)


def positions(session, actor=OPERATOR):
    return [(entry.order_id, entry.position) for entry in orders.waitlist(session, actor=actor)]


def test_an_order_that_finds_nothing_waits_with_a_position_and_reasons(house, session):
    house.place(nodes=2, hours=Decimal(4))
    first, second = house.place(now=at(0.1)), house.place(now=at(0.2))
    assert first.state is second.state is OrderState.WAITLISTED
    entries = orders.waitlist(session, house.project.id, actor=house.member)
    assert [(entry.order_id, entry.position) for entry in entries] == [(first.id, 1), (second.id, 2)]
    assert entries[0].reason == first.reason
    assert entries[0].reasons == (
        "of the 1 node asked for, 0 can be had in one cluster of hgx-h100-8"
        " from 2026-01-01T00:06:00+00:00 to 2026-01-01T02:06:00+00:00",
        "the first gap that nobody before it claims starts at 2026-01-01T04:00:00+00:00",
    )


def test_a_better_tier_stands_before_who_came_first(house, session):
    house.place(nodes=2)
    first = house.place(now=at(0.1))
    gold, project = house.tenant("gold", tier=0)
    actor = Actor("user", "usr_gold", gold.id, None, "member")
    second = house.place(house.quote(project=project.id, actor=actor), actor=actor, now=at(0.2))
    assert positions(session) == [(second.id, 1), (first.id, 2)]
    assert positions(session, house.member) == [(first.id, 2)]
    assert positions(session, actor) == [(second.id, 1)]
    bookings.set_terms(session, node_id="nod_1", is_open=False)
    assert [order.id for order in house.promote(2)] == [second.id]
    assert positions(session) == [(first.id, 1)]


def test_what_frees_serves_those_who_fit(house, session):
    big = house.place(nodes=2, hours=Decimal(5))
    waits = house.place()
    assert house.promote(1) == ()
    bookings.release(session, holder=big.lease_id, at=at(1), now=at(1))
    (served,) = house.promote(1)
    assert (served.id, served.state, served.starts_at) == (waits.id, OrderState.ACCEPTED, at(1))
    assert {booking.holder for booking in bookings.held_at(session, at=at(1)).values()} == {served.lease_id}
    assert orders.waitlist(session, actor=OPERATOR) == ()
    assert house.promote(1) == ()


def test_a_newcomer_does_not_take_what_those_before_it_wait_for(house, session):
    house.place(hours=Decimal(2))  # one node until 02:00, the other is free
    large = house.place(nodes=2, hours=Decimal(1), now=at(0.1))
    assert large.state is OrderState.WAITLISTED
    long = house.place(hours=Decimal(3), now=at(0.2))
    assert long.state is OrderState.WAITLISTED
    assert "have a claim on them" in long.reason
    short = house.place(hours=Decimal("1.5"), now=at(0.3))
    assert (short.state, short.ends_at) == (OrderState.ACCEPTED, at(1.8))  # over before the claim begins
    assert [order.id for order in house.promote(2)] == [large.id]
    assert [order.id for order in house.promote(3)] == [long.id]


def test_those_whose_time_passed_leave_the_line(house, session):
    house.place(nodes=2, hours=Decimal(10))
    fixed = house.place(start=at(1))
    window = house.place(window_end=at(6))
    assert house.promote(1) == ()
    (gone,) = house.promote(1.5)
    assert (gone.id, gone.state) == (fixed.id, OrderState.REFUSED)
    assert "passed before nodes were free" in gone.reason
    (gone,) = house.promote(4.5)
    assert (gone.id, gone.state) == (window.id, OrderState.REFUSED)
    assert positions(session) == []


def test_who_cannot_pay_waits_with_that_reason_and_blocks_nobody(house, session):
    big = house.place(nodes=2, hours=Decimal(5))
    poor = house.place(now=at(0.1))
    rich = house.place(now=at(0.2))
    bookings.release(session, holder=big.lease_id, at=at(1), now=at(1))
    bookings.set_terms(session, node_id="nod_1", is_open=False)
    refused = {poor.id}
    check = house.check

    def poor_has_nothing(session, project, commitment, now, /, *, order=None):
        house.budget = usd(0) if order in refused else None
        check(session, project, commitment, now, order=order)

    doors = {**house.doors, "budget_check": poor_has_nothing}
    assert [order.id for order in orders.promote(session, now=at(1), **doors)] == [rich.id]
    (entry,) = orders.waitlist(session, actor=OPERATOR)
    assert (entry.order_id, entry.position) == (poor.id, 1)
    assert "the budget is 0 USD" in entry.reason


def test_reasons_are_those_of_the_last_look(house, session):
    house.place(nodes=2, hours=Decimal(5))
    house.place()
    (before,) = orders.waitlist(session, actor=OPERATOR)
    house.promote(1)
    (after,) = orders.waitlist(session, actor=OPERATOR)
    assert (before.looked_at, after.looked_at) == (at(0), at(1))
    assert "from 2026-01-01T01:00:00" in after.reason


def test_a_fleet_that_never_had_such_a_node_says_so(session):
    house = House(session, nodes=0)
    assert house.place().reason == f"no node of {SHAPE} takes bookings"


def test_orders_placed_at_once_get_each_node_once_and_the_rest_stand_in_line(database):
    with database.transaction() as session:
        house = House(session, nodes=3)
        stored = house.quote()
    gate, done = threading.Barrier(8), {}

    def work(number):
        def place(session):
            return orders.place_order(
                session,
                quote=stored.id,
                idempotency_key=f"thread-{number // 2}",  # two threads repeat one request
                actor=house.member,
                now=at(0) + timedelta(seconds=1),
                **house.doors,
            )

        gate.wait()
        done[number] = database.run(place)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(done) == 8
    assert all(done[number].id == done[number + 1].id for number in range(0, 8, 2))
    with database.reading() as session:
        states = [order.state for order in orders.orders(session, actor=OPERATOR)]
        assert sorted(states) == ["accepted"] * 3 + ["waitlisted"]
        assert len({booking.node_id for booking in bookings.held_at(session, at=at(1)).values()}) == 3
        assert bookings.double_bookings(session) == ()
        assert [entry.position for entry in orders.waitlist(session, actor=OPERATOR)] == [1]
