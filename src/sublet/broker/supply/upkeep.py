"""Take nodes out of the market for a while or for good: maintenance windows, outages, draining, return.

Maintenance and outages are bookings, so a node under repair cannot be leased, and a lease cannot be repaired away.
Invariant: nothing here ends or moves a lease's booking; what stands in the way is named instead.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import or_, select, update
from sqlalchemy.orm import Session

from sublet.broker.audit.log import record
from sublet.broker.bookings import service as bookings
from sublet.broker.bookings.values import Booking, Kind
from sublet.broker.errors import Conflict, Invalid, NotFound
from sublet.broker.supply import service as supply
from sublet.broker.supply.tables import BlockRow, ContractRow, NodeRow
from sublet.broker.supply.values import Contract, Node, NodeState
from sublet.broker.tenants.rights import permit
from sublet.broker.tenants.values import Actor
from sublet.storage import ids
from sublet.storage.clock import utc


@dataclass(frozen=True)
class Outage:
    """A node that does not work: the time that was taken off the market, and the leases that lose it meanwhile."""

    node_id: str
    bookings: tuple[Booking, ...]
    affected: tuple[str, ...]  # holders whose bookings stand in that time: each needs another node


def plan_maintenance(
    session: Session,
    *,
    node_ids: Iterable[str],
    start: datetime,
    end: datetime,
    reason: str,
    actor: Actor,
    now: datetime,
) -> tuple[Booking, ...]:
    """A maintenance window: every node is taken for [start, end), or none. Its holder (one for the window) ends it.

    Conflict names the node and the time where a lease stands in the way: choose another window, or drain first.
    """
    permit(actor, "supply.write")
    wanted = tuple(node_ids)
    for node_id in wanted:
        _refuse_returned(supply.node(session, node_id))
    window = ids.new("mnt", now)
    made = bookings.book(
        session,
        holder=window,
        node_ids=wanted,
        start=start,
        end=end,
        kind=Kind.MAINTENANCE,
        reason=reason,
        now=now,
    )
    record(
        session,
        actor=actor,
        action="maintenance.plan",
        target=window,
        outcome="done",
        reason=reason,
        details={"nodes": list(wanted), "starts_at": utc(start).isoformat(), "ends_at": utc(end).isoformat()},
        now=now,
    )
    return made


def end_maintenance(session: Session, window: str, *, reason: str = "", actor: Actor, now: datetime) -> None:
    """Close a maintenance window (or an outage) early: its nodes are free from now on. NotFound for another holder."""
    permit(actor, "supply.write")
    held = bookings.of_holder(session, holder=window)
    if not held or any(booking.kind is Kind.LEASE for booking in held):
        raise NotFound(f"no maintenance window or outage {window}")
    bookings.release(session, holder=window, at=now, now=now)
    record(session, actor=actor, action="maintenance.end", target=window, outcome="done", reason=reason, now=now)


def report_outage(
    session: Session, node_id: str, *, start: datetime, until: datetime, reason: str, actor: Actor, now: datetime
) -> Outage:
    """A node fails: it takes no bookings any more, and its free time within [start, until) is booked as an outage.

    Leases that hold it in that time keep their bookings until they are replaced; they are returned as `affected`.
    """
    permit(actor, "supply.write")
    start, until = utc(start), utc(until)
    if start >= until:
        raise Invalid(f"an outage from {start.isoformat()} to {until.isoformat()}: it ends before it begins")
    node = supply.node(session, node_id)
    _refuse_returned(node)
    supply.set_node(session, node_id, NodeState.FAILED, reason, actor=actor, now=now)
    holder = ids.new("out", now)
    standing = bookings.of_node(session, node_id=node_id, after=start, before=until)
    made: list[Booking] = []
    at, last = max(start, node.starts_at), min(until, node.ends_at)
    for gap_end, next_start in [*((held.starts_at, held.ends_at) for held in standing), (last, last)]:
        if at < min(gap_end, last):
            made += bookings.book(
                session,
                holder=holder,
                node_ids=[node_id],
                start=at,
                end=min(gap_end, last),
                kind=Kind.OUTAGE,
                reason=reason,
                now=now,
            )
        at = max(at, next_start)
    affected = tuple(dict.fromkeys(held.holder for held in standing if held.kind is Kind.LEASE))
    record(
        session,
        actor=actor,
        action="outage.report",
        target=node_id,
        outcome="done",
        reason=reason,
        details={"outage": holder, "affected": list(affected)},
        now=now,
    )
    return Outage(node_id, tuple(made), affected)


def drained(session: Session, *, now: datetime) -> tuple[Node, ...]:
    """Draining nodes that nobody holds any more and nobody has booked: ready for hands, or to be returned."""
    return tuple(
        node
        for node in supply.nodes(session, state=NodeState.DRAINING)
        if (bookings.last_end(session, node_id=node.id) or now) <= now
    )


def return_contract(session: Session, contract_id: str, *, reason: str, actor: Actor, now: datetime) -> Contract:
    """Give everything back that was bought under a contract: drain it now, return each node when nobody holds it.

    Leases and confirmed bookings stand; what is left to do is done by `return_ended`, pass by pass, and the contract
    closes with its last node. Asked twice it is asked once. Conflict for a contract that is closed.
    """
    permit(actor, "supply.write")
    agreed = supply.contract(session, contract_id, actor=actor)
    if agreed.closed_at is not None:
        raise Conflict(f"contract {contract_id} is closed since {agreed.closed_at.isoformat()}")
    if agreed.returning_since is not None:
        return agreed
    for node in supply.nodes(session, contract_id=contract_id):
        if node.state not in (NodeState.RETURNED, NodeState.DRAINING):
            why = f"contract {contract_id} is given back: {reason}"
            supply.set_node(session, node.id, NodeState.DRAINING, why, actor=actor, now=now)
    session.execute(
        update(ContractRow).where(ContractRow.id == contract_id).values(returning_since=utc(now), return_reason=reason)
    )
    record(session, actor=actor, action="contract.return", target=contract_id, outcome="begun", reason=reason, now=now)
    return_ended(session, actor=actor, now=now)
    return supply.contract(session, contract_id, actor=actor)


def return_ended(session: Session, *, actor: Actor, now: datetime) -> tuple[Node, ...]:
    """Every node goes back whose block is over, or whose contract is given back and that nobody holds any more.

    Called now and then by the broker itself; a contract closes with its last node.
    """
    returned = [
        supply.set_node(session, node_id, NodeState.RETURNED, why, actor=actor, now=now)
        for node_id, why in _due(session, now)
    ]
    for contract_id in _finished(session, now):
        _close(session, contract_id, actor, now)
    return tuple(returned)


def _due(session: Session, now: datetime) -> list[tuple[str, str]]:
    """Nodes that go back now, each with the reason."""
    owned = select(NodeRow.id).join(BlockRow, BlockRow.id == NodeRow.block_id)
    kept = NodeRow.state != NodeState.RETURNED.value
    over = session.scalars(owned.where(BlockRow.ends_at <= now, kept).order_by(NodeRow.id)).all()
    leaving = session.scalars(
        owned.join(ContractRow, ContractRow.id == BlockRow.contract_id)
        .where(ContractRow.returning_since.is_not(None), ContractRow.closed_at.is_(None), BlockRow.ends_at > now)
        .where(NodeRow.state == NodeState.DRAINING.value)
        .order_by(NodeRow.id)
    ).all()
    free = [node_id for node_id in leaving if not _leased(session, node_id, now)]
    return [(node_id, "its block ended") for node_id in over] + [(node_id, "it was drained") for node_id in free]


def _leased(session: Session, node_id: str, now: datetime) -> bool:
    return any(held.kind is Kind.LEASE for held in bookings.of_node(session, node_id=node_id, after=now))


def _finished(session: Session, now: datetime) -> list[str]:
    """Contracts that are over or given back, and of which no node is left with us."""
    here = (
        select(BlockRow.contract_id)
        .join(NodeRow, NodeRow.block_id == BlockRow.id)
        .where(NodeRow.state != NodeState.RETURNED.value)
    )
    over = or_(ContractRow.ends_at <= now, ContractRow.returning_since.is_not(None))
    query = select(ContractRow.id).where(ContractRow.closed_at.is_(None), over, ContractRow.id.not_in(here))
    return list(session.scalars(query.order_by(ContractRow.id)))


def _close(session: Session, contract_id: str, actor: Actor, now: datetime) -> None:
    session.execute(update(ContractRow).where(ContractRow.id == contract_id).values(closed_at=utc(now)))
    stands = supply.position(session, contract_id, at=now)
    record(
        session,
        actor=actor,
        action="contract.close",
        target=contract_id,
        outcome="done",
        reason=f"every node is back; cost {stands.cost}, short of the commitment by {stands.node_hours_short:f} hours",
        details={"cost": str(stands.cost), "cost_short": str(stands.cost_short)},
        now=now,
    )


def _refuse_returned(node: Node) -> None:
    if node.state is NodeState.RETURNED:
        raise Conflict(f"node {node.id} went back to {node.provider}")
