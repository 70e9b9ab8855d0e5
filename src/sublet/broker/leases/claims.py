"""Which engine works on which lease: claims in the database, for a while each, so that several engines share the work.

Invariant: a claim saves work, it does not guard anything. What guards is the version of the lease (`store.changed`), so
an engine that was asleep beyond its claim writes nothing over another's work.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, cast

from sqlalchemy import Table, and_, bindparam, or_, select, update
from sqlalchemy.orm import Session

from sublet.broker.leases.tables import LeaseRow

_ROW = cast(Table, LeaseRow.__table__)
_L = _ROW.c


def due(session: Session, *, now: datetime) -> bool:
    """Whether there is anything to look at."""
    return session.scalar(select(_L.id).where(_L.next_at <= now).limit(1)) is not None


def claim(session: Session, *, engine: str, limit: int, now: datetime, span: timedelta) -> list[str]:
    """Take up to `limit` leases that are due and nobody's, the longest due first, until `now + span`."""
    free = or_(
        _L.claim_until.is_(None), _L.claim_until <= now, _L.claim_until > now + 2 * span, _L.claimed_by == engine
    )
    wanted = list(
        session.scalars(select(_L.id).where(_L.next_at <= now, free).order_by(_L.next_at, _L.id).limit(limit))
    )
    if wanted:
        session.execute(
            update(LeaseRow)
            .where(_L.id.in_(wanted))
            .values(claimed_by=engine, claim_until=now + span)
            .execution_options(synchronize_session=False)
        )
    return wanted


def release(session: Session, *, engine: str, looks: Iterable[tuple[str, datetime, datetime | None]]) -> None:
    """Give leases back: (id, when to look next, when all its nodes were seen or None for unchanged)."""
    rows: list[dict[str, Any]] = [{"b_id": lease, "b_next": then, "b_seen": seen} for lease, then, seen in looks]
    mine = and_(_L.id == bindparam("b_id"), _L.claimed_by == engine, _L.next_at.is_not(None))
    free: dict[str, Any] = {"claimed_by": None, "claim_until": None, "next_at": bindparam("b_next")}
    connection = session.connection()
    if unseen := [{"b_id": row["b_id"], "b_next": row["b_next"]} for row in rows if row["b_seen"] is None]:
        connection.execute(update(_ROW).where(mine).values(**free), unseen)
    if seen := [row for row in rows if row["b_seen"] is not None]:
        connection.execute(update(_ROW).where(mine).values(**free, seen_at=bindparam("b_seen")), seen)


def wake_all(session: Session, *, now: datetime) -> None:
    """Make every open lease due now: the clock went back, and nothing may sleep until it has caught up."""
    session.execute(
        update(LeaseRow)
        .where(_L.next_at > now)
        .values(next_at=now, claimed_by=None, claim_until=None)
        .execution_options(synchronize_session=False)
    )
