"""Webhooks: made and read by their tenant, filled from the streams of events, and sent until somebody hears.

Two streams are followed, each by the number of its last entry that was read: the leases' history and the audit log.
Both are written in the transaction of what they tell, so nothing is told that did not happen, and nothing that happened
is forgotten. Invariant: an event is delivered at least once, under one id, and only to its own tenant.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import select
from sqlalchemy.orm import Session

from sublet.broker.audit import log as audit
from sublet.broker.errors import Invalid, NotFound
from sublet.broker.hooks import signing
from sublet.broker.hooks.mail import SCHEME, address
from sublet.broker.hooks.tables import CursorRow, DeliveryRow, HookRow
from sublet.broker.hooks.values import CLAIM, DISABLED_AFTER, KINDS, RETRIES, Call, Delivery, Event, Hook, Outcome
from sublet.broker.tenants import service as tenants
from sublet.broker.tenants.rights import permit
from sublet.broker.tenants.values import SYSTEM, Actor
from sublet.storage import ids

PAGE = 500


def create(
    session: Session,
    *,
    organisation: str,
    url: str,
    kinds: Sequence[str] = (),
    project: str | None = None,
    actor: Actor,
    now: datetime,
) -> tuple[Hook, str]:
    """A new address and the secret that its receiver checks signatures with; the secret is not shown again.

    Invalid for an address that is no http(s) URL or an unknown kind, and for `mailto:` of somebody who is no person of
    the organisation; NotFound for another tenant's project.
    """
    permit(actor, "webhook.write", organisation=organisation, project=project)
    tenants.organisation(session, organisation, actor=actor)
    if url.startswith(SCHEME):
        if address(url) not in {
            person.email for person in tenants.people(session, organisation=organisation, actor=SYSTEM)
        }:
            raise Invalid(f"{address(url)[:80]!r} is no person of this organisation: mail goes to its people alone")
    else:
        _check(url)
    _check_kinds(kinds)
    if project is not None and tenants.project(session, project, actor=actor).organisation != organisation:
        raise NotFound("no such project")
    row = HookRow(
        id=ids.new("hook", now),
        organisation_id=organisation,
        project_id=project or actor.project,
        url=url,
        kinds=list(dict.fromkeys(kinds)),
        secret=signing.new_secret(),
        created_at=now,
        disabled_at=None,
        failing_since=None,
    )
    session.add(row)
    session.flush()
    audit.record(
        session,
        actor=actor,
        action="webhook.create",
        target=row.id,
        outcome="done",
        reason=url,
        organisation=organisation,
        project=row.project_id,
        now=now,
    )
    return _hook(row), row.secret


def hooks(session: Session, *, organisation: str | None, actor: Actor) -> tuple[Hook, ...]:
    """The addresses of an organisation, oldest first; every tenant's, where the house names none."""
    permit(actor, "webhook.read", organisation=organisation)
    query = select(HookRow).order_by(HookRow.id)
    wanted = organisation if actor.everywhere else actor.organisation
    if wanted is not None:
        query = query.where(HookRow.organisation_id == wanted)
    if actor.project is not None:
        query = query.where(HookRow.project_id == actor.project)
    return tuple(_hook(row) for row in session.scalars(query))


def hook(session: Session, id_: str, *, actor: Actor) -> Hook:
    """One address; NotFound where it is another tenant's."""
    return _hook(_row(session, id_, "webhook.read", actor))


def remove(session: Session, id_: str, *, actor: Actor, now: datetime) -> Hook:
    """Call the address no more; removing it twice is no error. What was delivered stays on record."""
    row = _row(session, id_, "webhook.write", actor)
    if row.disabled_at is None:
        row.disabled_at, row.disabled_why = now, "removed"
        _drop_waiting(session, row.id)
        audit.record(session, actor=actor, action="webhook.remove", target=row.id, outcome="done", now=now)
    return _hook(row)


def ping(session: Session, id_: str, *, actor: Actor, now: datetime) -> Delivery:
    """Send a test event, so that a tenant sees whether the address hears."""
    row = _row(session, id_, "webhook.write", actor)
    event = Event(ids.new("evt", now), "ping", now, row.organisation_id, row.project_id, {"webhook": row.id})
    made = _enqueue(session, row, event, now)
    audit.record(session, actor=actor, action="webhook.ping", target=row.id, outcome="done", now=now)
    return _delivery(made)


def deliveries(
    session: Session, id_: str, *, actor: Actor, after: str | None = None, limit: int = 100
) -> tuple[Delivery, ...]:
    """What was or will be sent to an address, newest first, from delivery `after` on."""
    row = _row(session, id_, "webhook.read", actor)
    query = select(DeliveryRow).where(DeliveryRow.hook_id == row.id).order_by(DeliveryRow.id.desc()).limit(limit)
    if after is not None:
        query = query.where(DeliveryRow.id < after)
    return tuple(_delivery(found) for found in session.scalars(query))


# --- from events to deliveries ---------------------------------------------------------------------------------------


def fan_out(session: Session, *, now: datetime) -> int:
    """Read both streams on from where they were left, and line up a delivery for each address that wants the event."""
    rows = list(session.scalars(select(HookRow).where(HookRow.disabled_at.is_(None))))
    made = 0
    for stream, read in (("leases", _from_leases), ("audit", _from_audit)):
        cursor = session.get(CursorRow, stream)
        if cursor is None:
            cursor = CursorRow(stream=stream, position=0)
            session.add(cursor)
        position, events = read(session, cursor.position)
        cursor.position = position
        for event in events:
            for row in rows:
                if _wants(row, event):
                    _enqueue(session, row, event, now)
                    made += 1
    session.flush()
    return made


def behind(session: Session) -> bool:
    """Whether a stream has entries that `fan_out` has not read: asked in a session that only reads."""
    for stream, read in (("leases", _from_leases), ("audit", _from_audit)):
        cursor = session.get(CursorRow, stream)
        if read(session, cursor.position if cursor else 0, limit=1)[0] != (cursor.position if cursor else 0):
            return True
    return False


def is_due(session: Session, *, now: datetime) -> bool:
    """Whether an attempt is to be made."""
    return session.scalar(select(DeliveryRow.id).where(DeliveryRow.next_at <= now).limit(1)) is not None


def take(session: Session, *, now: datetime, limit: int = 50) -> tuple[Call, ...]:
    """The attempts to make now, oldest first. They are the caller's for `CLAIM`, then anybody's again."""
    query = (
        select(DeliveryRow, HookRow)
        .join(HookRow, HookRow.id == DeliveryRow.hook_id)
        .where(DeliveryRow.next_at <= now)
        .order_by(DeliveryRow.id)  # as they happened
        .limit(limit)
    )
    calls = []
    for delivery, row in session.execute(query):
        delivery.next_at = now + CLAIM
        body = json.dumps(delivery.payload, separators=(",", ":"), sort_keys=True).encode()
        calls.append(Call(delivery.id, row.url, row.secret, body, delivery.attempts + 1))
    session.flush()
    return tuple(calls)


def settle(session: Session, outcomes: Iterable[Outcome], *, now: datetime) -> None:
    """Write down what attempts came to: heard, to be tried again, or given up."""
    for outcome in outcomes:
        delivery = session.get(DeliveryRow, outcome.delivery)
        if delivery is None or delivery.delivered_at is not None:
            continue
        row = session.get_one(HookRow, delivery.hook_id)
        gone = row.disabled_at is not None  # removed or switched off while it was called
        if not outcome.tried:
            delivery.next_at = None if gone else now + RETRIES[0]
            continue
        delivery.attempts += 1
        delivery.last_status, delivery.last_error = outcome.status, outcome.error[:500]
        if outcome.heard:
            delivery.delivered_at, delivery.next_at, row.failing_since = now, None, None
            continue
        tried = delivery.attempts - 1
        delivery.next_at = now + RETRIES[tried] if tried < len(RETRIES) and not gone else None
        if delivery.next_at is None and not gone:
            _told(
                session,
                row,
                "webhook.give-up",
                f"{delivery.id} after {delivery.attempts} attempts: {outcome.error}",
                now,
            )
        row.failing_since = row.failing_since or now
        if now - row.failing_since >= DISABLED_AFTER and row.disabled_at is None:
            row.disabled_at, row.disabled_why = now, f"nobody heard since {row.failing_since.isoformat()}"
            _drop_waiting(session, row.id)
            _told(session, row, "webhook.disable", row.disabled_why, now)
    session.flush()


# --- inside ----------------------------------------------------------------------------------------------------------


def _told(session: Session, row: HookRow, action: str, reason: str, now: datetime) -> None:
    """Write down what the broker did of itself, where the tenant reads it."""
    audit.record(
        session,
        actor=SYSTEM,
        action=action,
        target=row.id,
        outcome="done",
        reason=reason,
        organisation=row.organisation_id,
        project=row.project_id,
        now=now,
    )


def _from_leases(session: Session, position: int, limit: int = PAGE) -> tuple[int, list[Event]]:
    from sublet.broker.leases import history, store

    found = history.events(session, after=position, limit=limit)
    owners = {lease_id: store.row_of(session, lease_id) for lease_id in {event.lease_id for event in found}}
    events = [
        Event(
            id=event.id,
            kind=f"lease.{event.kind}",
            at=event.at,
            organisation=owners[event.lease_id].organisation_id,
            project=owners[event.lease_id].project_id,
            data={
                "lease": event.lease_id,
                "state": str(event.state),
                "reason": event.reason,
                "details": dict(event.details),
            },
        )
        for event in found
    ]
    return (found[-1].number if found else position), events


def _from_audit(session: Session, position: int, limit: int = PAGE) -> tuple[int, list[Event]]:
    found = audit.entries(session, actor=SYSTEM, after=position, limit=limit)
    events = [
        Event(
            id=f"aud_{entry.number}",
            kind=room,
            at=entry.at,
            organisation=entry.organisation,
            project=entry.project,
            data={
                "action": entry.action,
                "target": entry.target,
                "outcome": entry.outcome,
                "reason": entry.reason,
                "details": dict(entry.details),
            },
        )
        for entry in found
        if (room := entry.action.partition(".")[0]) in ("order", "budget")
    ]
    return (found[-1].number if found else position), events


def _wants(row: HookRow, event: Event) -> bool:
    return (
        event.organisation == row.organisation_id
        and row.project_id in (None, event.project)
        and (not row.kinds or event.kind in row.kinds)
        and event.at >= row.created_at
    )


def _enqueue(session: Session, row: HookRow, event: Event, now: datetime) -> DeliveryRow:
    payload: dict[str, Any] = {
        "id": event.id,
        "type": event.kind,
        "timestamp": event.at.isoformat(),
        "organisation": event.organisation,
        "project": event.project,
        "data": dict(event.data),
    }
    made = DeliveryRow(
        id=ids.new("dlv", now),
        hook_id=row.id,
        event_id=event.id,
        kind=event.kind,
        payload=json.loads(json.dumps(payload, default=str)),
        created_at=now,
        attempts=0,
        next_at=now,
        last_error="",
    )
    session.add(made)
    session.flush()
    return made


def _drop_waiting(session: Session, hook_id: str) -> None:
    waiting = select(DeliveryRow).where(DeliveryRow.hook_id == hook_id, DeliveryRow.next_at.is_not(None))
    for delivery in session.scalars(waiting):
        delivery.next_at = None


def _check(url: str) -> None:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or len(url) > 2000 or "@" in url.split("/")[2]:
        raise Invalid(f"url is {url[:80]!r}: give an address such as https://example.org/hooks, without a password")


def _check_kinds(kinds: Sequence[str]) -> None:
    for kind in kinds:
        if kind not in KINDS:
            raise Invalid(f"kind {kind!r} is none that is told: they are {', '.join(KINDS)}")


def _row(session: Session, id_: str, action: str, actor: Actor) -> HookRow:
    row = session.get(HookRow, id_)
    if row is None:
        raise NotFound("no such webhook")
    permit(actor, action, organisation=row.organisation_id, project=row.project_id)
    if actor.project is not None and row.project_id != actor.project:
        raise NotFound("no such webhook")
    return row


def _hook(row: HookRow) -> Hook:
    return Hook(
        row.id,
        row.organisation_id,
        row.project_id,
        row.url,
        tuple(row.kinds),
        row.created_at,
        row.disabled_at,
        row.disabled_why or "",
    )


def _delivery(row: DeliveryRow) -> Delivery:
    return Delivery(
        id=row.id,
        hook=row.hook_id,
        event=row.event_id,
        kind=row.kind,
        payload=row.payload,
        created_at=row.created_at,
        attempts=row.attempts,
        next_at=row.next_at,
        delivered_at=row.delivered_at,
        last_status=row.last_status,
        last_error=row.last_error or "",
    )
