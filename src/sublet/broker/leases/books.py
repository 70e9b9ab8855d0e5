"""What a lease needs of the other rooms: nodes of the supply and the calendar, usage records, charges.

Everything happens in the caller's transaction, so that a lease and what it costs never disagree.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from sublet.broker.billing import charges
from sublet.broker.bookings import calendar
from sublet.broker.bookings import service as bookings
from sublet.broker.errors import NotFound
from sublet.broker.leases.tables import LeaseRow
from sublet.broker.leases.values import Lease
from sublet.broker.metering import service as metering
from sublet.broker.metering.values import Leased
from sublet.broker.supply import service as supply
from sublet.broker.supply.values import Node, NodeState
from sublet.broker.tenants.values import SYSTEM
from sublet.units import Money

USELESS = frozenset({NodeState.FAILED, NodeState.RETURNED, NodeState.MAINTENANCE})
"""A booked node in such a state is replaced before it is asked for."""


def node_of(session: Session, node_id: str) -> Node:
    """The supply's node: what was sold, by whom, at what cost."""
    return supply.node(session, node_id)


def price_limit(session: Session, node_ids: Collection[str]) -> Money | None:
    """The most that any of these nodes may cost an hour by its contract."""
    prices = [supply.node_hour_cost(session, node_id) for node_id in node_ids]
    return max(prices, key=lambda price: price.amount) if prices else None


def spare(session: Session, lease: Lease, slot: int, *, now: datetime) -> str | None:
    """A node of free supply for the rest of the lease, of the same provider and (for a gang) the same fabric.

    Nodes that this lease had before are not tried again.
    """
    if now >= lease.ends_at:
        return None
    used = {member.node_id for member in lease.members}
    found = bookings.calendars(session, shape=lease.shape, after=now)
    others = [member.node_id for member in lease.members if member.current and member.slot != slot]
    fabric = {supply.node(session, node_id).cluster for node_id in others}
    choice = [node for node in found if node.node_id not in used and (not fabric or node.cluster in fabric)]
    choice = [node for node in choice if supply.node(session, node.node_id).provider == lease.provider]
    place = calendar.place(choice, 1, now, lease.ends_at)
    return place[0] if place else None


def discredit(session: Session, node_id: str, reason: str, *, now: datetime) -> None:
    """Take a node that was rejected or died out of the market, until it is proved anew."""
    if supply.node(session, node_id).state not in (NodeState.FAILED, NodeState.RETURNED):
        supply.set_node(session, node_id, NodeState.FAILED, reason, actor=SYSTEM, now=now)


def proved(session: Session, node_id: str, *, now: datetime) -> None:
    """A node passed the gate."""
    if supply.node(session, node_id).state is NodeState.DELIVERED:
        supply.set_node(session, node_id, NodeState.HEALTHY, "it passed the gate of a lease", actor=SYSTEM, now=now)


def meter(
    session: Session,
    lease: Leased,
    node_id: str,
    start: datetime,
    end: datetime,
    *,
    kind: str = "service",
    reason: str = "",
    now: datetime,
) -> None:
    """Write down what a node did over [start, end): `metering.values.KINDS`; only "service" is billable and needs no
    reason. An empty interval is none."""
    if start < end:
        billable = kind == "service"
        metering.meter(
            session, lease, node_id, start, end, billable=billable, kind=kind, source="engine", reason=reason, now=now
        )


def accrue(session: Session, lease: Lease, *, now: datetime) -> None:
    """Everything that is metered of the lease is in the ledger."""
    charges.accrue(session, lease, now=now)


def give_back(session: Session, lease_id: str, *, now: datetime) -> None:
    """The calendar of the lease's nodes is free from now on."""
    bookings.release(session, holder=lease_id, at=now, now=now)


def take_instead(session: Session, lease_id: str, old: str, new: str, *, now: datetime) -> None:
    """Another node for the rest of the lease; the old one's booking ends."""
    bookings.replace_node(session, holder=lease_id, old=old, new=new, at=now, now=now)


def organisation_of(session: Session, lease_id: str) -> tuple[str, str]:
    """Whose lease it is: organisation, project."""
    row = session.execute(select(LeaseRow.organisation_id, LeaseRow.project_id).where(LeaseRow.id == lease_id)).first()
    if row is None:
        raise NotFound("no such lease")
    return row.organisation_id, row.project_id
