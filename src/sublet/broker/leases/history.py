"""A lease's moves and events: every change of state is legal, written down for its tenant, and audited.

Invariant: no state changes but through `move`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import func, insert, select
from sqlalchemy.orm import Session

from sublet.broker.audit import log as audit
from sublet.broker.leases import states, store
from sublet.broker.leases.states import FINAL, SERVING, State
from sublet.broker.leases.tables import EventRow, LeaseRow
from sublet.broker.leases.values import LeaseEvent, LeaseFacts
from sublet.broker.tenants.values import SYSTEM, Actor


def move(
    session: Session, lease: LeaseFacts, to: State, reason: str, now: datetime, *, actor: Actor = SYSTEM, **values: Any
) -> LeaseFacts:
    """Change the state of a lease (and `values` of its row); Conflict where the table has no such move."""
    states.check(lease.id, lease.state, to)
    if to is State.UNKNOWN:
        values["before"] = lease.state.value
    next_at = None if to in FINAL else now
    values |= {"state": to.value, "reason": reason, "changed_at": now, "next_at": next_at, "alerted_at": None}
    version = store.changed(session, lease, **values)
    kind = "notice" if to is State.ENDING and lease.state in SERVING and now < lease.ends_at else "state"
    event(session, lease.id, kind, reason, now, state=to, details={"from": lease.state.value})
    audit_move(session, lease.id, actor, f"{lease.state} -> {to}", reason, now)
    before = lease.state if to is State.UNKNOWN else lease.before
    return replace(lease, state=to, version=version, changed_at=now, alerted_at=None, before=before)


def event(
    session: Session,
    lease_id: str,
    kind: str,
    reason: str,
    now: datetime,
    *,
    state: State | None = None,
    details: Mapping[str, Any] | None = None,
) -> None:
    """Write one line of the lease's history."""
    from sublet.storage import ids

    row = session.execute(
        select(LeaseRow.organisation_id, LeaseRow.project_id, LeaseRow.state).where(LeaseRow.id == lease_id)
    ).one()
    session.execute(
        insert(EventRow).values(
            id=ids.new("evt", now),
            lease_id=lease_id,
            organisation_id=row.organisation_id,
            project_id=row.project_id,
            at=now,
            kind=kind,
            state=(state or State(row.state)).value,
            reason=reason,
            details=dict(details or {}),
        )
    )


def audit_move(session: Session, lease_id: str, actor: Actor, outcome: str, reason: str, now: datetime) -> None:
    """One line in the audit log, filed under the lease's tenant."""
    row = session.execute(select(LeaseRow.organisation_id, LeaseRow.project_id).where(LeaseRow.id == lease_id)).one()
    audit.record(
        session,
        actor=actor,
        action="lease.state",
        target=lease_id,
        outcome=outcome,
        reason=reason,
        organisation=row.organisation_id,
        project=row.project_id,
        now=now,
    )


def events(
    session: Session, *, lease_id: str | None = None, organisation: str | None = None, after: int = 0, limit: int = 100
) -> tuple[LeaseEvent, ...]:
    """Events of a lease, of an organisation, or of all, in the order in which they were committed."""
    query = select(*EventRow.__table__.c).where(EventRow.number > after).order_by(EventRow.number).limit(limit)
    if lease_id is not None:
        query = query.where(EventRow.lease_id == lease_id)
    if organisation is not None:
        query = query.where(EventRow.organisation_id == organisation)
    return tuple(
        LeaseEvent(row.number, row.id, row.lease_id, row.at, row.kind, State(row.state), row.reason, row.details)
        for row in session.execute(query)
    )


def last_number(session: Session) -> int:
    """The number of the newest event; 0 before the first."""
    return session.scalar(select(func.max(EventRow.number))) or 0
