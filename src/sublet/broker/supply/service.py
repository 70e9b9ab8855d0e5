"""Buy supply, look at it, and change the state of a node; what maintains and returns it is in `upkeep`.

Invariant: a node is in the calendar from the moment it is bought, for exactly the time that its block lasts.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import ColumnElement, select, update
from sqlalchemy.orm import Session

from sublet.broker.audit.log import record
from sublet.broker.bookings import service as bookings
from sublet.broker.bookings.values import Booking, Kind
from sublet.broker.errors import Conflict, Invalid, NotFound
from sublet.broker.supply import capacity as counting
from sublet.broker.supply import rows
from sublet.broker.supply.tables import BlockRow, ContractRow, NodeRow
from sublet.broker.supply.values import MOVES, OPEN, RANK, Block, Capacity, Contract, Node, NodeState, Position
from sublet.broker.tenants.rights import permit
from sublet.broker.tenants.values import SYSTEM, Actor
from sublet.storage import ids
from sublet.storage.clock import utc
from sublet.units import Money

MOST_NODES = 100_000  # in one purchase: a guard against a slip of the finger

# --- buy -------------------------------------------------------------------------------------------------------------


def add_contract(
    session: Session,
    *,
    provider: str,
    accelerator: str,
    shape: str,
    nodes: int,
    accelerators_per_node: int,
    price_per_node_hour: Money,
    start: datetime,
    end: datetime,
    region: str = "",
    tags: Mapping[str, str] | None = None,
    minimum_node_hours: Decimal | int = 0,
    cluster: str | None = None,
    sold: Mapping[str, Any] | None = None,
    actor: Actor,
    now: datetime,
) -> Contract:
    """Write down a contract and its first block, and enter its `nodes` nodes into the calendar for [start, end).

    `sold` is what the provider says each node is ("cpus", "memory_bytes", ...), to be held against what comes. Nodes of
    one `cluster` share a fabric, and a gang is placed within one; without a name a block is a cluster of its own.
    Invalid for a price of zero or less (zero is never a price), an empty term or no nodes.
    """
    permit(actor, "supply.write")
    for what, value in (("provider", provider), ("shape", shape)):
        if not value.strip():
            raise Invalid(f"the contract's {what} has no name")
    if accelerators_per_node < 0:
        raise Invalid(f"accelerators per node is {accelerators_per_node}: it is zero or more")
    if minimum_node_hours < 0:
        raise Invalid(f"the minimum commitment is {minimum_node_hours} node-hours: it is zero or more")
    _check_block(nodes, price_per_node_hour, start, end)
    row = ContractRow(
        id=ids.new("ctr", now),
        provider=provider.strip(),
        accelerator=accelerator.strip(),
        shape=shape.strip(),
        accelerators_per_node=accelerators_per_node,
        price_per_node_hour=price_per_node_hour.amount,
        currency=price_per_node_hour.currency,
        starts_at=utc(start),
        ends_at=utc(end),
        region=region,
        minimum_node_hours=Decimal(minimum_node_hours),
        tags=dict(tags or {}),
        created_at=utc(now),
    )
    session.add(row)
    session.flush()
    record(
        session,
        actor=actor,
        action="contract.add",
        target=row.id,
        outcome="done",
        reason=f"{nodes} nodes of {row.shape} from {row.provider} at {price_per_node_hour} per node-hour",
        now=now,
    )
    contract = rows.contract(row)
    _buy(session, contract, nodes, price_per_node_hour, start, end, cluster, dict(sold or {}), actor, now)
    return contract


def add_block(
    session: Session,
    *,
    contract_id: str,
    nodes: int,
    start: datetime,
    end: datetime,
    price_per_node_hour: Money | None = None,
    cluster: str | None = None,
    sold: Mapping[str, Any] | None = None,
    actor: Actor,
    now: datetime,
) -> Block:
    """Buy more under a contract: `nodes` nodes for [start, end), at the contract's price or at another.

    Conflict for a contract that is closed or given back.
    """
    permit(actor, "supply.write")
    agreed = contract(session, contract_id)
    if agreed.closed_at is not None or agreed.returning_since is not None:
        raise Conflict(f"contract {contract_id} is given back: nothing is bought under it any more")
    price = price_per_node_hour or agreed.price_per_node_hour
    _check_block(nodes, price, start, end)
    return _buy(session, agreed, nodes, price, start, end, cluster, dict(sold or {}), actor, now)


def _state(name: NodeState | str) -> NodeState:
    try:
        return NodeState(name)
    except ValueError:
        raise Invalid(f"{name!r} is no state of a node: give {', '.join(NodeState)}") from None


def _check_block(nodes: int, price: Money, start: datetime, end: datetime) -> None:
    if not 1 <= nodes <= MOST_NODES:
        raise Invalid(f"a block of {nodes} nodes: give 1 to {MOST_NODES:,}")
    if price.amount <= 0:
        raise Invalid(f"a node-hour at {price}: zero is never a price, give what an hour costs you")
    if utc(start) >= utc(end):
        raise Invalid(f"a block from {utc(start).isoformat()} to {utc(end).isoformat()}: it ends before it begins")


def _buy(
    session: Session,
    agreed: Contract,
    nodes_: int,
    price: Money,
    start: datetime,
    end: datetime,
    cluster: str | None,
    sold: dict[str, Any],
    actor: Actor,
    now: datetime,
) -> Block:
    block_id = ids.new("blk", now)
    row = BlockRow(
        id=block_id,
        contract_id=agreed.id,
        nodes=nodes_,
        # a name is told apart by its provider: two of them may call a fabric alike, and no gang spans providers
        cluster=f"{agreed.provider}/{cluster}" if cluster else block_id,
        price_per_node_hour=price.amount,
        currency=price.currency,
        starts_at=utc(start),
        ends_at=utc(end),
        created_at=utc(now),
    )
    session.add(row)
    session.flush()
    made = [
        NodeRow(
            id=ids.new("nod", now),
            block_id=block_id,
            state=NodeState.DELIVERED.value,
            reason="bought",
            state_since=utc(now),
            returned_at=None,
            tags=dict(agreed.tags),
            sold=sold,
        )
        for _ in range(nodes_)
    ]
    session.add_all(made)
    session.flush()
    bookings.enter(
        session,
        node_ids=[node.id for node in made],
        shape=agreed.shape,
        cluster=row.cluster,
        opens=start,
        closes=end,
        rank=RANK[NodeState.DELIVERED],
    )
    record(
        session,
        actor=actor,
        action="block.buy",
        target=block_id,
        outcome="done",
        reason=f"{nodes_} nodes of {agreed.shape} under {agreed.id} at {price} per node-hour",
        details={"starts_at": utc(start).isoformat(), "ends_at": utc(end).isoformat()},
        now=now,
    )
    return rows.block(row)


# --- look ------------------------------------------------------------------------------------------------------------


def contract(session: Session, contract_id: str, *, actor: Actor = SYSTEM) -> Contract:
    """One contract, or NotFound."""
    permit(actor, "supply.read")
    row = session.get(ContractRow, contract_id)
    if row is None:
        raise NotFound(f"no contract {contract_id}")
    return rows.contract(row)


def contracts(session: Session, *, provider: str | None = None, actor: Actor = SYSTEM) -> tuple[Contract, ...]:
    """All contracts (of one provider), oldest first."""
    permit(actor, "supply.read")
    query = select(ContractRow).order_by(ContractRow.id)
    if provider is not None:
        query = query.where(ContractRow.provider == provider)
    return tuple(rows.contract(row) for row in session.scalars(query))


def blocks(session: Session, *, contract_id: str | None = None, actor: Actor = SYSTEM) -> tuple[Block, ...]:
    """All blocks (of one contract), oldest first."""
    permit(actor, "supply.read")
    query = select(BlockRow).order_by(BlockRow.id)
    if contract_id is not None:
        query = query.where(BlockRow.contract_id == contract_id)
    return tuple(rows.block(row) for row in session.scalars(query))


def node(session: Session, node_id: str, *, actor: Actor = SYSTEM) -> Node:
    """One node, or NotFound."""
    permit(actor, "supply.read")
    found = rows.nodes(session, NodeRow.id == node_id)
    if not found:
        raise NotFound(f"no node {node_id}")
    return found[0]


def nodes(
    session: Session,
    *,
    node_ids: Collection[str] | None = None,
    provider: str | None = None,
    shape: str | None = None,
    state: NodeState | str | None = None,
    block_id: str | None = None,
    contract_id: str | None = None,
    tags: Mapping[str, str] | None = None,
    after: str | None = None,
    limit: int | None = None,
    actor: Actor = SYSTEM,
) -> tuple[Node, ...]:
    """Nodes that match every filter given, by id; `tags` must all be there. Pages: `after` an id, at most `limit`."""
    permit(actor, "supply.read")
    wanted: list[ColumnElement[bool]] = []
    if node_ids is not None:
        wanted.append(NodeRow.id.in_(node_ids))
    if after is not None:
        wanted.append(NodeRow.id > after)
    if state is not None:
        wanted.append(NodeRow.state == _state(state).value)
    for column, value in (
        (ContractRow.provider, provider),
        (ContractRow.shape, shape),
        (NodeRow.block_id, block_id),
        (BlockRow.contract_id, contract_id),
    ):
        if value is not None:
            wanted.append(column == value)
    for key, value in (tags or {}).items():
        wanted.append(NodeRow.tags[key].as_string() == value)
    return rows.nodes(session, *wanted, limit=limit)


def node_hour_cost(session: Session, node_id: str) -> Money:
    """What an hour of this node costs us."""
    return node(session, node_id).price_per_node_hour


def capacity(
    session: Session, at: datetime, *, running: Collection[str] | None = None, actor: Actor = SYSTEM
) -> tuple[Capacity, ...]:
    """Delivered, healthy, reserved and in use at an instant, by provider and shape.

    `running`: the leases that serve at that instant; without it every reserved node counts as in use. Health is what is
    known now, whatever the instant.
    """
    permit(actor, "supply.read")
    there = rows.nodes(session, BlockRow.starts_at <= at, BlockRow.ends_at > at, rows.kept(at))
    return counting.count(there, bookings.held_at(session, at=at), running)


def position(session: Session, contract_id: str, *, at: datetime, actor: Actor = SYSTEM) -> Position:
    """What was bought under a contract, what of it was delivered and reserved until `at`, and what it costs."""
    agreed = contract(session, contract_id, actor=actor)
    owned = [
        (rows.node(row), row.returned_at)
        for row in session.execute(rows.QUERY.where(BlockRow.contract_id == contract_id))
    ]
    held: dict[str, tuple[Booking, ...]] = {
        each.id: bookings.of_node(session, node_id=each.id, before=at) for each, _ in owned
    }
    return counting.position(agreed, owned, held, at)


# --- change ----------------------------------------------------------------------------------------------------------


def set_node(
    session: Session, node_id: str, state: NodeState | str, reason: str, *, actor: Actor, now: datetime
) -> Node:
    """Move a node to another state; it takes new bookings in `delivered` and `healthy` alone. Leases keep theirs.

    `returned` gives it back to the provider: its time in the calendar ends now, and so does its cost, as the contract
    allows. Conflict for a move that `MOVES` does not list, and for a return while a lease holds it: drain it first.
    """
    permit(actor, "supply.write")
    to = _state(state)
    before = node(session, node_id)
    if to not in MOVES[before.state]:
        allowed = ", ".join(sorted(MOVES[before.state])) or "nothing"
        raise Conflict(f"node {node_id} is {before.state.value}: what may follow is {allowed}, not {to.value}")
    values: dict[str, Any] = {"state": to.value, "reason": reason}
    if to is not before.state:
        values["state_since"] = utc(now)
    if to is NodeState.RETURNED:
        values["returned_at"] = min(max(utc(now), before.starts_at), before.ends_at)
        _give_up_repairs(session, node_id, values["returned_at"], now)
        bookings.set_terms(session, node_id=node_id, is_open=False, closes=values["returned_at"])
    else:
        bookings.set_terms(session, node_id=node_id, is_open=to in OPEN, rank=RANK[to])
    session.execute(update(NodeRow).where(NodeRow.id == node_id).values(**values))
    record(
        session,
        actor=actor,
        action=f"node.{to.value}",
        target=node_id,
        outcome="done",
        reason=reason,
        details={"from": before.state.value},
        now=now,
    )
    return node(session, node_id)


def tag_node(session: Session, node_id: str, tags: Mapping[str, str | None], *, actor: Actor, now: datetime) -> Node:
    """Set the tags given; None takes one off."""
    permit(actor, "supply.write")
    after = {**node(session, node_id).tags, **tags}
    kept = {key: value for key, value in after.items() if value is not None}
    session.execute(update(NodeRow).where(NodeRow.id == node_id).values(tags=kept))
    record(
        session, actor=actor, action="node.tag", target=node_id, outcome="done", details={"tags": dict(tags)}, now=now
    )
    return node(session, node_id)


def _give_up_repairs(session: Session, node_id: str, at: datetime, now: datetime) -> None:
    """End the maintenance and the outages of a node that goes back: they are not ours to wait for."""
    for booking in bookings.of_node(session, node_id=node_id, after=at):
        if booking.kind is not Kind.LEASE:
            bookings.release(session, holder=booking.holder, node_ids=[node_id], at=at, now=now)
