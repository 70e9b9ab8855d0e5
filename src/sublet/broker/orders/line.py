"""The line of those who wait: enter, leave, read. Position is by tier, then by who came first, per shape."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from sublet.broker.orders.queue import Want
from sublet.broker.orders.store import shown
from sublet.broker.orders.tables import OrderRow, WaitlistRow
from sublet.broker.orders.values import Order, WaitlistEntry
from sublet.broker.tenants import service as tenants
from sublet.broker.tenants.rights import permit
from sublet.broker.tenants.values import SYSTEM, Actor
from sublet.storage import ids
from sublet.storage.clock import utc

_WAITING = (
    select(WaitlistRow, OrderRow)
    .join(OrderRow, OrderRow.id == WaitlistRow.order_id)
    .where(WaitlistRow.left_at.is_(None))
    .order_by(WaitlistRow.shape, WaitlistRow.tier, WaitlistRow.entered_at, WaitlistRow.order_id)
)


def waitlist(session: Session, project: str | None = None, *, actor: Actor) -> tuple[WaitlistEntry, ...]:
    """Who waits (of one project), by shape and position; a tenant sees its own entries alone, with their position."""
    permit(actor, "order.read", project=project)
    if project is not None:
        tenants.project(session, project, actor=actor)
    everything = actor.everywhere or actor.role == "system"
    return tuple(
        entry
        for entry in _line(session)
        if (everything or entry.organisation == actor.organisation)
        and (actor.project is None or entry.project == actor.project)
        and (project is None or entry.project == project)
    )


def entry_of(session: Session, order_id: str) -> WaitlistEntry | None:
    """The place of an order in the line, or None where it does not wait."""
    return next((entry for entry in _line(session) if entry.order_id == order_id), None)


def shapes(session: Session) -> tuple[str, ...]:
    """Shapes that somebody waits for."""
    query = select(WaitlistRow.shape).where(WaitlistRow.left_at.is_(None)).distinct().order_by(WaitlistRow.shape)
    return tuple(session.scalars(query))


def wants(session: Session, shape: str) -> list[Want]:
    """What those in the line for `shape` want, in the order of service."""
    rows = session.execute(_WAITING.where(WaitlistRow.shape == shape)).all()
    return [want(shown(order), entry.tier, entry.entered_at) for entry, order in rows]


def want(order: Order, tier: int, entered_at: datetime) -> Want:
    """What an order asks of the calendar."""
    return Want(
        order.id,
        order.nodes,
        order.duration,
        tier,
        entered_at,
        order.start,
        order.window_end,
        order.project,
        order.accelerators,
    )


def tier_of(session: Session, organisation: str) -> int:
    """The tier in which an organisation's orders wait."""
    return tenants.organisation(session, organisation, actor=SYSTEM).tier


def enter(session: Session, order: Order, tier: int, reasons: Sequence[str], now: datetime) -> None:
    """Let an order wait from now on."""
    session.add(
        WaitlistRow(
            id=ids.new("wl", now),
            order_id=order.id,
            shape=order.shape,
            tier=tier,
            entered_at=utc(now),
            left_at=None,
            reasons=list(reasons),
            looked_at=utc(now),
        )
    )
    session.flush()


def explain(session: Session, order_id: str, reasons: Sequence[str], now: datetime) -> None:
    """Why it waits, as seen now."""
    _change(session, order_id, reasons=list(reasons), looked_at=utc(now))


def leave(session: Session, order_id: str, now: datetime) -> None:
    """An order waits no longer; nothing where it did not."""
    _change(session, order_id, left_at=utc(now))


def _change(session: Session, order_id: str, **values: Any) -> None:
    session.execute(
        update(WaitlistRow).where(WaitlistRow.order_id == order_id, WaitlistRow.left_at.is_(None)).values(**values)
    )


def _line(session: Session) -> list[WaitlistEntry]:
    places: dict[str, int] = defaultdict(int)
    entries = []
    for entry, order in session.execute(_WAITING):
        places[entry.shape] += 1
        entries.append(
            WaitlistEntry(
                id=entry.id,
                order_id=order.id,
                organisation=order.organisation_id,
                project=order.project_id,
                shape=entry.shape,
                nodes=order.nodes,
                position=places[entry.shape],
                tier=entry.tier,
                entered_at=entry.entered_at,
                reasons=tuple(entry.reasons),
                looked_at=entry.looked_at,
            )
        )
    return entries
