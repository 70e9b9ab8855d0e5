"""Take nodes out of the market for a while or for good: maintenance windows, outages, draining, return.

Maintenance and outages are bookings, so a node under repair cannot be leased, and a lease cannot be repaired away.
Invariant: nothing here ends or moves a lease's booking; what stands in the way is named instead.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from sublet.broker.audit.log import record
from sublet.broker.bookings import service as bookings
from sublet.broker.bookings.values import Booking, Kind
from sublet.broker.errors import Conflict, Invalid, NotFound
from sublet.broker.supply import service as supply
from sublet.broker.supply.tables import BlockRow, NodeRow
from sublet.broker.supply.values import Node, NodeState
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


def return_ended(session: Session, *, actor: Actor, now: datetime) -> tuple[Node, ...]:
    """Every node whose block is over goes back; called now and then by the broker itself."""
    query = (
        select(NodeRow.id)
        .join(BlockRow, BlockRow.id == NodeRow.block_id)
        .where(BlockRow.ends_at <= now, NodeRow.state != NodeState.RETURNED.value)
        .order_by(NodeRow.id)
    )
    return tuple(
        supply.set_node(session, node_id, NodeState.RETURNED, "its block ended", actor=actor, now=now)
        for node_id in session.scalars(query).all()
    )


def _refuse_returned(node: Node) -> None:
    if node.state is NodeState.RETURNED:
        raise Conflict(f"node {node.id} went back to {node.provider}")
