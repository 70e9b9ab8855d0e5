"""Supply: what is bought is in the calendar, what a node's state means there, and what it all costs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from sqlalchemy import text

from sublet.broker.audit import log
from sublet.broker.bookings import service as bookings
from sublet.broker.errors import Conflict, Forbidden, Invalid, NotFound
from sublet.broker.supply import service as supply
from sublet.broker.supply import upkeep
from sublet.broker.supply.values import MOVES, OPEN, NodeState
from sublet.broker.tenants.values import Actor
from sublet.units import Money

ZERO = datetime(2026, 1, 1, tzinfo=UTC)
OPERATOR = Actor("user", "usr_op", None, None, "operator")
TENANT = Actor("user", "usr_t", "org_t", None, "admin")
USD = "USD"


def at(hour: float) -> datetime:
    return ZERO + timedelta(hours=hour)


def buy(session, **changed):
    terms = {
        "provider": "acme",
        "accelerator": "H100 SXM",
        "shape": "hgx-h100-8",
        "nodes": 3,
        "accelerators_per_node": 8,
        "price_per_node_hour": Money(Decimal("16.40"), USD),
        "start": ZERO,
        "end": at(100),
        "actor": OPERATOR,
        "now": ZERO,
    }
    return supply.add_contract(session, **{**terms, **changed})


def set_state(session, node, state, now=ZERO):
    return supply.set_node(session, node.id, state, "because", actor=OPERATOR, now=now)


def lease(session, holder, node, start, end):
    bookings.book(session, holder=holder, node_ids=[node.id], start=at(start), end=at(end), now=ZERO)


@pytest.fixture
def session(database):
    with database.transaction() as session:
        yield session


def test_what_is_bought_can_be_booked_for_the_time_of_its_block(session):
    contract = buy(session, tags={"team": "a"}, sold={"cpus": 192}, region="eu-north", minimum_node_hours=200)
    assert supply.contract(session, contract.id) == contract
    assert supply.contracts(session, provider="acme") == (contract,)
    (block,) = supply.blocks(session, contract_id=contract.id)
    fleet = supply.nodes(session, contract_id=contract.id)
    assert len(fleet) == block.nodes == 3
    assert {node.state for node in fleet} == {NodeState.DELIVERED}
    assert {(node.provider, node.region, node.sold["cpus"], node.tags["team"]) for node in fleet} == {
        ("acme", "eu-north", 192, "a")
    }
    placed = bookings.place(session, shape="hgx-h100-8", nodes=3, start=ZERO, end=at(100))
    assert set(placed or ()) == {node.id for node in fleet}
    assert bookings.place(session, shape="hgx-h100-8", nodes=1, start=at(99), end=at(101)) is None


def test_two_blocks_are_two_fabrics_unless_they_are_named_alike(session):
    contract = buy(session, nodes=2)
    supply.add_block(session, contract_id=contract.id, nodes=2, start=ZERO, end=at(9), actor=OPERATOR, now=ZERO)
    assert bookings.place(session, shape="hgx-h100-8", nodes=3, start=ZERO, end=at(1)) is None
    buy(session, shape="other", nodes=2, cluster="hall-1")
    buy(session, shape="other", nodes=2, cluster="hall-1")
    buy(session, shape="other", nodes=2, cluster="hall-1", provider="another")
    assert bookings.place(session, shape="other", nodes=4, start=ZERO, end=at(1)) is not None
    assert bookings.place(session, shape="other", nodes=5, start=ZERO, end=at(1)) is None


def test_a_later_block_may_cost_something_else(session):
    contract = buy(session, nodes=1)
    price = Money(Decimal("12.00"), USD)
    terms = {"contract_id": contract.id, "nodes": 1, "start": ZERO, "end": at(9), "actor": OPERATOR, "now": ZERO}
    supply.add_block(session, price_per_node_hour=price, **terms)
    supply.add_block(session, **terms)
    costs = [supply.node_hour_cost(session, node.id) for node in supply.nodes(session)]
    assert costs == [contract.price_per_node_hour, price, contract.price_per_node_hour]


@pytest.mark.parametrize(
    "changed",
    [
        {"price_per_node_hour": Money(Decimal(0), USD)},
        {"price_per_node_hour": Money(Decimal(-1), USD)},
        {"nodes": 0},
        {"nodes": 10**6},
        {"end": ZERO},
        {"accelerators_per_node": -1},
        {"minimum_node_hours": -1},
        {"provider": " "},
        {"shape": ""},
    ],
)
def test_a_contract_that_makes_no_sense_is_refused(session, changed):
    with pytest.raises(Invalid):
        buy(session, **changed)


def test_only_the_operator_buys_and_a_tenant_does_not_look(session):
    with pytest.raises(Forbidden):
        buy(session, actor=TENANT)
    with pytest.raises(Forbidden):
        supply.nodes(session, actor=TENANT)
    with pytest.raises(Forbidden):
        supply.capacity(session, ZERO, actor=TENANT)


@pytest.mark.parametrize("state", list(NodeState))
def test_only_delivered_and_healthy_nodes_take_new_bookings_and_leases_stay(session, state):
    buy(session, nodes=1)
    (node,) = supply.nodes(session)
    lease(session, "x", node, 1, 2)
    if state is NodeState.RETURNED:
        with pytest.raises(Conflict, match="is booked until"):
            set_state(session, node, state)
        return
    changed = set_state(session, node, state)
    placed = bookings.place(session, shape="hgx-h100-8", nodes=1, start=at(3), end=at(4))
    assert changed.is_open == (placed is not None) == (state in OPEN)
    assert [booking.holder for booking in bookings.of_node(session, node_id=node.id)] == ["x"]


@pytest.mark.parametrize(("before", "after"), [(a, b) for a in NodeState for b in NodeState])
def test_a_state_changes_only_along_the_table(session, before, after):
    buy(session, nodes=1)
    (node,) = supply.nodes(session)
    set_state(session, node, before, at(1))
    if after in MOVES[before]:
        assert set_state(session, node, after, at(2)).state is after
        since = at(1) if before is after else at(2)
        if before is not NodeState.DELIVERED or after is not NodeState.DELIVERED:
            assert supply.node(session, node.id).state_since == since
    else:
        with pytest.raises(Conflict, match=f"is {before.value}"):
            set_state(session, node, after, at(2))


def test_what_failed_is_never_called_healthy_without_being_delivered_anew():
    assert NodeState.HEALTHY not in MOVES[NodeState.FAILED]
    assert not MOVES[NodeState.RETURNED]


def test_a_healthy_node_is_booked_before_one_that_nobody_proved(session):
    buy(session)
    proved = supply.nodes(session)[2]
    set_state(session, proved, "healthy")
    assert bookings.place(session, shape="hgx-h100-8", nodes=1, start=ZERO, end=at(1)) == (proved.id,)


def test_every_act_is_in_the_audit_log(session):
    buy(session, nodes=1)
    (node,) = supply.nodes(session)
    set_state(session, node, "cordoned")
    acts = [(entry.action, entry.target, entry.reason) for entry in log.entries(session, actor=OPERATOR)]
    assert [act[0] for act in acts] == ["contract.add", "block.buy", "node.cordoned"]
    assert acts[2][1:] == (node.id, "because")


def test_tags_are_set_taken_off_and_found(session):
    buy(session, tags={"rack": "1", "team": "a"})
    first, *_ = supply.nodes(session)
    supply.tag_node(session, first.id, {"rack": "2", "team": None}, actor=OPERATOR, now=ZERO)
    assert [node.id for node in supply.nodes(session, tags={"rack": "2"})] == [first.id]
    assert len(supply.nodes(session, tags={"team": "a", "rack": "1"})) == 2


def test_nodes_come_in_pages_and_by_filter(session):
    buy(session)
    buy(session, provider="other", shape="small", nodes=1)
    page = supply.nodes(session, limit=2)
    assert len(page) == 2
    assert len(supply.nodes(session, after=page[-1].id)) == 2
    assert len(supply.nodes(session, provider="acme", state="delivered")) == 3
    assert len(supply.nodes(session, shape="small")) == 1
    with pytest.raises(Invalid, match="is no state of a node"):
        supply.nodes(session, state="broken")
    with pytest.raises(NotFound):
        supply.node(session, "nod_nothing")


# --- capacity --------------------------------------------------------------------------------------------------------


def test_capacity_is_counted_in_the_four_words_of_the_field(session):
    buy(session, nodes=6)
    a, b, c, d, e, f = supply.nodes(session)
    for node in (a, b, c):
        set_state(session, node, "healthy")
    set_state(session, d, "cordoned")
    lease(session, "lea_1", a, 1, 3)
    lease(session, "lea_2", b, 1, 3)
    upkeep.plan_maintenance(session, node_ids=[c.id], start=at(1), end=at(2), reason="fan", actor=OPERATOR, now=ZERO)
    (row,) = supply.capacity(session, at(1), running={"lea_1"})
    assert (row.delivered, row.healthy, row.reserved, row.in_use, row.free, row.out) == (6, 2, 2, 1, 2, 1)
    assert supply.capacity(session, at(1))[0].in_use == 2
    (later,) = supply.capacity(session, at(3))
    assert (later.healthy, later.reserved, later.free, later.out) == (3, 0, 5, 0)
    assert supply.capacity(session, at(100)) == ()
    assert (e.state, f.state) == (NodeState.DELIVERED,) * 2


def test_a_returned_node_is_no_capacity_and_costs_nothing_more(session):
    contract = buy(session, nodes=2, minimum_node_hours=Decimal("150.5"))
    first, second = supply.nodes(session)
    lease(session, "lea_1", second, 0, 4)
    set_state(session, first, "returned", at(10))
    (row,) = supply.capacity(session, at(20))
    assert row.delivered == 1
    position = supply.position(session, contract.id, at=at(20))
    assert position.node_hours_bought == 110
    assert position.node_hours_delivered == 30
    assert position.node_hours_reserved == 4
    assert position.node_hours_short == Decimal("40.5")
    assert position.cost == Money(Decimal("492.00"), USD)
    with pytest.raises(Conflict, match="takes no new bookings"):
        lease(session, "lea_2", first, 11, 12)


# --- upkeep ----------------------------------------------------------------------------------------------------------


def test_maintenance_takes_every_node_for_its_window_or_none_and_never_a_lease(session):
    buy(session)
    fleet = supply.nodes(session)
    lease(session, "x", fleet[1], 2, 4)
    everything = [node.id for node in fleet]

    def plan(start, end):
        return upkeep.plan_maintenance(
            session, node_ids=everything, start=at(start), end=at(end), reason="firmware", actor=OPERATOR, now=ZERO
        )

    with pytest.raises(Conflict, match=f"node {fleet[1].id} is booked from"):
        plan(3, 5)
    made = plan(4, 6)
    assert {booking.kind for booking in made} == {"maintenance"}
    assert bookings.place(session, shape="hgx-h100-8", nodes=1, start=at(5), end=at(7)) is None
    upkeep.end_maintenance(session, made[0].holder, actor=OPERATOR, now=at(5))
    assert bookings.place(session, shape="hgx-h100-8", nodes=3, start=at(5), end=at(7)) is not None
    with pytest.raises(NotFound):
        upkeep.end_maintenance(session, "x", actor=OPERATOR, now=at(5))


def test_an_outage_takes_the_free_time_and_names_the_leases_that_it_hits(session):
    buy(session, nodes=1, end=at(10))
    (node,) = supply.nodes(session)
    lease(session, "lea_1", node, 2, 4)
    lease(session, "lea_2", node, 5, 6)
    outage = upkeep.report_outage(
        session, node.id, start=at(3), until=at(20), reason="Xid 79", actor=OPERATOR, now=at(3)
    )
    assert outage.affected == ("lea_1", "lea_2")
    assert [(booking.starts_at, booking.ends_at) for booking in outage.bookings] == [
        (at(4), at(5)),
        (at(6), at(10)),
    ]
    assert supply.node(session, node.id).state is NodeState.FAILED
    (row,) = supply.capacity(session, at(7))
    assert (row.delivered, row.healthy, row.free, row.out) == (1, 0, 0, 1)
    bookings.release(session, holder="lea_1", at=at(4), now=at(4))
    bookings.release(session, holder="lea_2", at=at(4), now=at(4))
    assert set_state(session, node, "returned", at(5)).state is NodeState.RETURNED  # its outage goes with it


def test_draining_ends_with_the_last_booking(session):
    buy(session, nodes=2)
    first, second = supply.nodes(session)
    lease(session, "x", first, 0, 4)
    for node in (first, second):
        set_state(session, node, "draining")
    assert [node.id for node in upkeep.drained(session, now=at(3))] == [second.id]
    assert [node.id for node in upkeep.drained(session, now=at(4))] == [first.id, second.id]


def test_nodes_go_back_when_their_block_ends(session):
    buy(session, nodes=2, end=at(10))
    buy(session, nodes=1, end=at(20))
    assert upkeep.return_ended(session, actor=OPERATOR, now=at(9)) == ()
    assert len(upkeep.return_ended(session, actor=OPERATOR, now=at(10))) == 2
    assert len(supply.nodes(session, state="returned")) == 2
    assert upkeep.return_ended(session, actor=OPERATOR, now=at(11)) == ()


def test_the_database_knows_the_states(session):
    buy(session, nodes=1)
    with pytest.raises(Exception, match="ck_nodes_state"):
        session.execute(text("UPDATE nodes SET state = 'splendid'"))
    session.rollback()
