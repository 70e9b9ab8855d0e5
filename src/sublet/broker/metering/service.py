"""Write down usage, once; read it; find what is missing and what the provider sees otherwise.

Metering says who had which node when, and whether the tenant pays. It knows no price. Invariants: a record is never
changed; no second of a node is in two records of a lease, nor billable in two leases; numbers of a lease have no gap.
Metering is not audited line by line: the records are the log, and the database keeps them append-only.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, cast

from sqlalchemy import Table, bindparam, func, insert, select
from sqlalchemy.engine import Row
from sqlalchemy.orm import Session

from sublet.broker.errors import Conflict, Invalid
from sublet.broker.metering import intervals
from sublet.broker.metering.tables import DifferenceRow, UsageRow
from sublet.broker.metering.values import KINDS, Claim, Difference, Finding, Interval, Leased, Total, Usage
from sublet.broker.tenants.rights import permit
from sublet.broker.tenants.values import Actor
from sublet.storage import ids

_TABLE = cast(Table, UsageRow.__table__)
_COLUMNS = _TABLE.c

# The engine meters every node of every lease each minute: these are built once.
_INSERT = insert(_TABLE)
_TOUCHING = select(*_COLUMNS).where(
    _COLUMNS.node_id == bindparam("node"), _COLUMNS.ends_at > bindparam("start"), _COLUMNS.starts_at < bindparam("end")
)
_LAST = select(func.max(_COLUMNS.number)).where(_COLUMNS.lease_id == bindparam("lease"))


def meter(
    session: Session,
    lease: Leased,
    node_id: str,
    start: datetime,
    end: datetime,
    *,
    billable: bool,
    source: str,
    kind: str = "",
    reason: str = "",
    now: datetime,
) -> Usage:
    """Record what `node_id` did for `lease` in [start, end); the same call again returns the record that it made.

    `kind` is one of values.KINDS ("": "service" where billable, else "lost"); `reason` says why it is not billable, and
    only then. Raises Invalid for an empty interval, one that is not over at `now`, or a kind or reason that does not
    belong; Conflict where a part of it is metered already, otherwise than asked.
    """
    kind = kind or ("service" if billable else "lost")
    if kind not in KINDS or billable != (kind == "service"):
        raise Invalid(f"usage of {node_id} is {kind!r} and {'' if billable else 'not '}billable: of {', '.join(KINDS)}")
    if start >= end:
        raise Invalid(f"usage of {node_id} from {start.isoformat()} until {end.isoformat()} has no length")
    if end > now:
        raise Invalid(f"usage of {node_id} until {end.isoformat()} is not over: it is {now.isoformat()}")
    if billable == bool(reason):
        raise Invalid(f"usage of {node_id} is {'' if billable else 'not '}billable and its reason is {reason!r}")
    wanted = (lease.id, start, end, kind)
    for row in session.execute(_TOUCHING, {"node": node_id, "start": start, "end": end}).all():
        if (row.lease_id, row.starts_at, row.ends_at, row.kind) == wanted:
            return _usage(row)
        if row.lease_id == lease.id or (row.billable and billable):
            raise Conflict(
                f"{node_id} is metered for {row.lease_id} from {row.starts_at.isoformat()} until"
                f" {row.ends_at.isoformat()}: {start.isoformat()} until {end.isoformat()} overlaps it"
            )
    last = session.scalar(_LAST, {"lease": lease.id})
    values = {
        "id": ids.new("use", now),
        "lease_id": lease.id,
        "number": (last or 0) + 1,
        "organisation_id": lease.organisation,
        "project_id": lease.project,
        "node_id": node_id,
        "provider": lease.provider,
        "accelerator": lease.accelerator,
        "accelerators": lease.accelerators_per_node,
        "starts_at": start,
        "ends_at": end,
        "billable": billable,
        "kind": kind,
        "reason": reason,
        "source": source,
        "recorded_at": now,
    }
    session.execute(_INSERT, values)
    return _usage_of(values)


def records(session: Session, lease_id: str, *, after: int = 0) -> tuple[Usage, ...]:
    """The lease's records with a number above `after`, in the order they were written. For rooms, not for tenants."""
    query = select(*_COLUMNS).where(_COLUMNS.lease_id == lease_id, _COLUMNS.number > after)
    return tuple(_usage(row) for row in session.execute(query.order_by(_COLUMNS.number)))


def last_end(session: Session, lease_id: str, node_id: str) -> datetime | None:
    """Until when a node is metered in a lease; None where it is not at all. For rooms, not for tenants."""
    query = select(_COLUMNS.ends_at).where(_COLUMNS.lease_id == lease_id, _COLUMNS.node_id == node_id)
    return session.scalar(query.order_by(_COLUMNS.starts_at.desc()).limit(1))


def usage(
    session: Session,
    *,
    organisation: str | None = None,
    project: str | None = None,
    lease: str | None = None,
    node: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    after: str = "",
    limit: int = 100,
    actor: Actor,
) -> tuple[Usage, ...]:
    """Records that the actor may see and that touch [since, until), oldest first, from the id `after` on."""
    query = _filtered(actor, organisation, project, lease, node, since, until).where(_COLUMNS.id > after)
    return tuple(_usage(row) for row in session.execute(query.order_by(_COLUMNS.id).limit(limit)))


def totals(
    session: Session,
    *,
    organisation: str | None = None,
    project: str | None = None,
    lease: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    actor: Actor,
) -> tuple[Total, ...]:
    """Usage of each lease that the actor may see, cut to [since, until), in the order of the leases' ids."""
    query = _filtered(actor, organisation, project, lease, None, since, until).order_by(_COLUMNS.lease_id)
    return intervals.totals((_usage(row) for row in session.execute(query)), since, until)


def check(session: Session, lease_id: str, service: Sequence[Interval] | None = None) -> tuple[Finding, ...]:
    """What is wrong with the lease's records: nothing, if all is well.

    `service`: when each node was in service by the lease's own facts; every second of it must be in one record and
    nothing outside. Without it, only holes between the first and the last record of the lease are looked for.
    """
    return intervals.findings(lease_id, records(session, lease_id), service)


def reconcile(
    session: Session, lease_id: str, claims: Iterable[Claim], *, tolerance_s: float = 0.0, now: datetime
) -> tuple[Difference, ...]:
    """Compare the records with the provider's facts; store and return every difference longer than the tolerance.

    Nothing is corrected or averaged: a person (or a credit) settles it. Calling again adds only what is new.
    """
    found = intervals.differences(lease_id, records(session, lease_id), tuple(claims), tolerance_s)
    known = {(row.node_id, row.kind, row.start) for row in differences(session, lease_id)}
    for difference in found:
        if (difference.node_id, difference.kind, difference.start) not in known:
            session.add(
                DifferenceRow(
                    id=ids.new("use", now),
                    lease_id=lease_id,
                    node_id=difference.node_id,
                    kind=difference.kind,
                    starts_at=difference.start,
                    ends_at=difference.end,
                    sentence=difference.sentence,
                    found_at=now,
                )
            )
    session.flush()
    return found


def differences(session: Session, lease_id: str | None = None) -> tuple[Difference, ...]:
    """The differences with providers that were found so far, of one lease or of all."""
    query = select(DifferenceRow).order_by(DifferenceRow.id)
    if lease_id is not None:
        query = query.where(DifferenceRow.lease_id == lease_id)
    return tuple(
        Difference(row.node_id, row.starts_at, row.ends_at, row.lease_id, row.kind, row.sentence)
        for row in session.scalars(query)
    )


def _filtered(
    actor: Actor,
    organisation: str | None,
    project: str | None,
    lease: str | None,
    node: str | None,
    since: datetime | None,
    until: datetime | None,
) -> Any:
    permit(actor, "usage.read", organisation=organisation, project=project)
    query = select(*_COLUMNS)
    if not actor.everywhere:
        query = query.where(_COLUMNS.organisation_id == actor.organisation)
        if actor.project is not None:
            query = query.where(_COLUMNS.project_id == actor.project)
    wanted = (
        (_COLUMNS.organisation_id, organisation),
        (_COLUMNS.project_id, project),
        (_COLUMNS.lease_id, lease),
        (_COLUMNS.node_id, node),
    )
    for column, value in wanted:
        if value is not None:
            query = query.where(column == value)
    if since is not None:
        query = query.where(_COLUMNS.ends_at > since)
    if until is not None:
        query = query.where(_COLUMNS.starts_at < until)
    return query


def _usage(row: Row[Any]) -> Usage:
    return _usage_of(row._mapping)


def _usage_of(row: Any) -> Usage:
    return Usage(
        node_id=row["node_id"],
        start=row["starts_at"],
        end=row["ends_at"],
        id=row["id"],
        lease_id=row["lease_id"],
        number=row["number"],
        organisation=row["organisation_id"],
        project=row["project_id"],
        provider=row["provider"],
        accelerator=row["accelerator"],
        accelerators=row["accelerators"],
        billable=row["billable"],
        kind=row["kind"],
        reason=row["reason"],
        source=row["source"],
        recorded_at=row["recorded_at"],
    )
