"""Append to the audit log, read it, and prove that nobody changed it.

Each entry's SHA-256 covers its fields in a fixed order and the digest before it. Invariant: numbers run from 1 without
a gap; changing, removing or inserting an entry breaks the chain from there on, and `verify` says where.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from sublet.broker.audit.tables import AuditRow
from sublet.broker.tenants.rights import permit
from sublet.broker.tenants.values import Actor
from sublet.storage.clock import utc

GENESIS = "0" * 64


@dataclass(frozen=True)
class Entry:
    """One act as it stands in the log."""

    number: int
    at: datetime
    actor: str
    role: str
    organisation: str | None
    project: str | None
    address: str
    action: str
    target: str
    outcome: str
    reason: str
    details: Mapping[str, Any]
    digest: str


@dataclass(frozen=True)
class Chain:
    """What `verify` found: how many entries hold, and the first that does not.

    `digest` is that of the last entry that holds: kept elsewhere, it proves later that nothing was cut off.
    """

    entries: int
    broken_at: int | None
    sentence: str
    digest: str


def record(
    session: Session,
    *,
    actor: Actor,
    action: str,
    target: str,
    outcome: str,
    reason: str = "",
    details: Mapping[str, Any] | None = None,
    organisation: str | None = None,
    project: str | None = None,
    now: datetime,
) -> None:
    """Append one act in the caller's transaction.

    `organisation` and `project`: whose it is, where that is not the actor's own (the system acting for a tenant).
    """
    if session.get_bind().dialect.name == "postgresql":
        session.execute(text("SELECT pg_advisory_xact_lock(7283101)"))  # one writer at a time: the chain is a line
    last = session.execute(select(AuditRow.number, AuditRow.digest).order_by(AuditRow.number.desc()).limit(1)).first()
    row = AuditRow(
        number=1 if last is None else last[0] + 1,
        at=utc(now),
        actor=actor.id,
        role=actor.role,
        organisation_id=organisation or actor.organisation,
        project_id=project or actor.project,
        address=_text(actor.address)[:100],
        action=action,
        target=target,
        outcome=outcome,
        reason=_text(reason),
        details=json.dumps(details or {}, sort_keys=True, default=str),
    )
    row.digest = _digest(row, GENESIS if last is None else last[1])
    session.add(row)
    session.flush()


def _text(words: str) -> str:
    """Words as both databases can keep them: without NUL and halves of letters."""
    return words.replace("\0", "").encode("utf-8", "replace").decode()


def _digest(row: AuditRow, before: str) -> str:
    fields = (
        before,
        str(row.number),
        row.at.isoformat(),
        row.actor,
        row.role,
        row.organisation_id or "",
        row.project_id or "",
        row.address,
        row.action,
        row.target,
        row.outcome,
        row.reason,
        row.details,
    )
    return hashlib.sha256(json.dumps(fields).encode()).hexdigest()


def verify(session: Session, *, known: tuple[int, str] | None = None) -> Chain:
    """Walk the whole chain. `known`: the number and digest of an entry as it was seen before, to be found again.

    The chain by itself cannot tell whether its newest entries are missing; a digest kept elsewhere can.
    """
    before, expected = GENESIS, 1
    for row in session.scalars(select(AuditRow).order_by(AuditRow.number)).yield_per(1000):
        if row.number != expected:
            return Chain(
                expected - 1,
                expected,
                f"entry {expected} is missing: entry {row.number} follows {expected - 1}",
                before,
            )
        forged = known is not None and known[0] == expected and known[1] != row.digest
        if forged or row.digest != _digest(row, before):
            return Chain(expected - 1, expected, f"entry {expected} ({row.action} of {row.target}) was changed", before)
        before, expected = row.digest, expected + 1
    if known is not None and known[0] >= expected:
        return Chain(expected - 1, expected, f"entry {expected} is missing: there were {known[0]} entries", before)
    return Chain(expected - 1, None, f"{expected - 1} entries, unbroken", before)


def entries(
    session: Session,
    *,
    actor: Actor,
    target: str | None = None,
    project: str | None = None,
    by: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    after: int = 0,
    limit: int = 100,
) -> tuple[Entry, ...]:
    """Entries that the actor may see, oldest first, from number `after` on."""
    permit(actor, "audit.read", project=project)
    query = select(AuditRow).where(AuditRow.number > after).order_by(AuditRow.number).limit(limit)
    if not actor.everywhere and actor.role != "system":
        query = query.where(AuditRow.organisation_id == actor.organisation)
        if actor.project is not None:
            query = query.where(AuditRow.project_id == actor.project)
    for column, wanted in ((AuditRow.target, target), (AuditRow.project_id, project), (AuditRow.actor, by)):
        if wanted is not None:
            query = query.where(column == wanted)
    if since is not None:
        query = query.where(AuditRow.at >= since)
    if until is not None:
        query = query.where(AuditRow.at < until)
    return tuple(_entry(row) for row in session.scalars(query))


def export(session: Session, *, actor: Actor) -> Iterator[str]:
    """Every entry that the actor may see, one JSON document a line."""
    after = 0
    while page := entries(session, actor=actor, after=after, limit=1000):
        for entry in page:
            yield json.dumps({**entry.__dict__, "at": entry.at.isoformat()}, sort_keys=True, default=str)
        after = page[-1].number


def count(session: Session) -> int:
    """How many entries there are."""
    return int(session.scalar(select(func.count()).select_from(AuditRow)) or 0)


def _entry(row: AuditRow) -> Entry:
    return Entry(
        number=row.number,
        at=row.at,
        actor=row.actor,
        role=row.role,
        organisation=row.organisation_id,
        project=row.project_id,
        address=row.address,
        action=row.action,
        target=row.target,
        outcome=row.outcome,
        reason=row.reason,
        details=json.loads(row.details),
        digest=row.digest,
    )
