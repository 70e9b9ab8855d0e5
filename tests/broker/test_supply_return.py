"""A contract's fleet goes back: at the end of its blocks, or earlier, when nobody holds its nodes any more."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from sublet.broker.audit import log
from sublet.broker.bookings import service as bookings
from sublet.broker.errors import Conflict, Forbidden, NotFound
from sublet.broker.supply import service as supply
from sublet.broker.supply import upkeep
from sublet.broker.supply.values import NodeState
from sublet.broker.tenants.values import SYSTEM, Actor
from sublet.units import Money

ZERO = datetime(2026, 1, 1, tzinfo=UTC)
OPERATOR = Actor("user", "usr_op", None, None, "operator")


def at(hour: float) -> datetime:
    return ZERO + timedelta(hours=hour)


@pytest.fixture
def session(database):
    with database.transaction() as session:
        yield session


def buy(session, nodes=3, end=100, minimum=0, start=0):
    return supply.add_contract(
        session,
        provider="acme",
        accelerator="H100 SXM",
        shape="hgx-h100-8",
        nodes=nodes,
        accelerators_per_node=8,
        price_per_node_hour=Money(Decimal(16)),
        start=at(start),
        end=at(end),
        minimum_node_hours=minimum,
        actor=OPERATOR,
        now=ZERO,
    ).id


def lease(session, holder, node, start, end):
    bookings.book(session, holder=holder, node_ids=[node.id], start=at(start), end=at(end), now=ZERO)


def give_back(session, contract, hour, actor=OPERATOR):
    return upkeep.return_contract(session, contract, reason="too dear", actor=actor, now=at(hour))


def states(session):
    return [node.state.value for node in supply.nodes(session)]


def upkeep_at(session, hour):
    return [node.id for node in upkeep.return_ended(session, actor=SYSTEM, now=at(hour))]


def test_what_nobody_holds_goes_back_at_once_and_the_contract_closes(session):
    contract = buy(session)
    closed = give_back(session, contract, 10)
    assert states(session) == ["returned"] * 3
    assert (closed.returning_since, closed.closed_at, closed.return_reason) == (at(10), at(10), "too dear")
    assert upkeep_at(session, 11) == []


def test_a_lease_and_a_confirmed_booking_stand_and_the_rest_waits_for_them(session):
    contract = buy(session)
    first, second, third = supply.nodes(session)
    lease(session, "lea_now", first, 5, 20)
    lease(session, "lea_later", second, 30, 40)
    assert give_back(session, contract, 10).closed_at is None
    assert states(session) == ["draining", "draining", "returned"]
    assert bookings.place(session, shape="hgx-h100-8", nodes=1, start=at(50), end=at(51)) is None
    assert upkeep_at(session, 19) == []
    assert upkeep_at(session, 20) == [first.id]
    assert upkeep_at(session, 39) == []
    assert upkeep_at(session, 40) == [second.id]
    assert supply.contract(session, contract).closed_at == at(40)
    assert third.id not in (first.id, second.id)


def test_a_lease_that_ends_early_lets_its_node_go(session):
    contract = buy(session, nodes=1)
    (node,) = supply.nodes(session)
    lease(session, "lea_1", node, 5, 90)
    give_back(session, contract, 10)
    bookings.release(session, holder="lea_1", at=at(12), now=at(12))
    assert upkeep_at(session, 12) == [node.id]


def test_repairs_are_not_waited_for(session):
    contract = buy(session, nodes=2)
    first, second = supply.nodes(session)
    upkeep.plan_maintenance(session, node_ids=[first.id], start=at(9), end=at(50), reason="", actor=OPERATOR, now=ZERO)
    upkeep.report_outage(session, second.id, start=at(9), until=at(60), reason="", actor=OPERATOR, now=at(9))
    assert give_back(session, contract, 10).closed_at == at(10)


def test_a_node_that_the_operator_keeps_stays_until_its_block_ends(session):
    contract = buy(session, nodes=1)
    (node,) = supply.nodes(session)
    lease(session, "lea_1", node, 5, 20)
    give_back(session, contract, 10)
    supply.set_node(session, node.id, "cordoned", "evidence", actor=OPERATOR, now=at(11))
    assert upkeep_at(session, 50) == []
    assert upkeep_at(session, 100) == [node.id]
    assert supply.contract(session, contract).closed_at == at(100)


def test_a_contract_closes_with_its_last_block_and_says_what_it_came_to(session):
    contract = buy(session, nodes=2, end=10, minimum=50)
    assert upkeep_at(session, 9) == []
    assert len(upkeep_at(session, 10)) == 2
    assert supply.contract(session, contract).closed_at == at(10)
    last = log.entries(session, actor=OPERATOR, target=contract)[-1]
    assert (last.action, last.reason) == (
        "contract.close",
        "every node is back; cost 320 USD, short of the commitment by 30 hours",
    )
    assert last.details["cost_short"] == "480 USD"


def test_an_early_return_shows_what_is_owed_for_nothing(session):
    contract = buy(session, nodes=1, end=100, minimum=100)
    give_back(session, contract, 25)
    position = supply.position(session, contract, at=at(30))
    assert position.node_hours_bought == 25
    assert position.node_hours_short == 75
    assert (position.cost, position.cost_short) == (Money(Decimal(400)), Money(Decimal(1200)))


def test_other_contracts_are_left_alone(session):
    buy(session, nodes=1)
    contract = buy(session, nodes=1)
    give_back(session, contract, 10)
    assert states(session) == ["delivered", "returned"]


def test_asked_twice_it_is_asked_once_and_nothing_is_bought_under_it(session):
    contract = buy(session, nodes=1)
    (node,) = supply.nodes(session)
    lease(session, "lea_1", node, 5, 20)
    assert give_back(session, contract, 10) == give_back(session, contract, 12)
    with pytest.raises(Conflict, match="nothing is bought under it"):
        supply.add_block(session, contract_id=contract, nodes=1, start=at(10), end=at(20), actor=OPERATOR, now=at(12))
    upkeep_at(session, 20)
    with pytest.raises(Conflict, match="is closed since"):
        give_back(session, contract, 21)


def test_only_the_operator_gives_back(session):
    contract = buy(session)
    for who in (Actor("user", "usr_a", None, None, "auditor"), Actor("user", "usr_t", "org_t", None, "admin")):
        with pytest.raises(Forbidden):
            give_back(session, contract, 1, who)
    with pytest.raises(NotFound):
        give_back(session, "ctr_nothing", 1)
    assert set(states(session)) == {NodeState.DELIVERED.value}
