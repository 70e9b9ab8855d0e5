"""Keep the answer to a mutating request beside what it changed, in one transaction.

Invariant: one key of one holder is one request. The same request again gets the first answer and changes nothing;
another request under the same key is refused. What was refused is not kept: it changed nothing, and may be tried again.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete
from sqlalchemy.orm import Session

from sublet.broker.errors import Conflict
from sublet.broker.replies.tables import ReplyRow
from sublet.broker.tenants.values import Actor

KEPT = timedelta(days=7)


@dataclass(frozen=True)
class Reply:
    """A stored answer: an HTTP status and the bytes of its body."""

    status: int
    body: bytes


def fingerprint(*parts: object) -> str:
    """What tells one request from another: its method, path, query and body, as JSON values."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()


def find(session: Session, *, actor: Actor, key: str, print_: str) -> Reply | None:
    """The answer that this request got before, or None where it is new.

    Conflict where the key was used for another request, or where the first act under it has not come to an end.
    """
    row = session.get(ReplyRow, (_holder(actor), key))
    if row is None:
        return None
    if row.fingerprint != print_:
        raise Conflict(f"idempotency key {key!r} was used for another request: give each request a key of its own")
    if row.status is None:
        raise Conflict(f"the request with idempotency key {key!r} is under way, or was cut off: look before retrying")
    return Reply(row.status, row.body)


def begin(session: Session, *, actor: Actor, key: str, print_: str, now: datetime) -> None:
    """Take the key before an act that no transaction can undo (a command on a node)."""
    session.add(ReplyRow(holder=_holder(actor), key=key, fingerprint=print_, status=None, body=b"", created_at=now))
    session.flush()


def keep(session: Session, *, actor: Actor, key: str, print_: str, status: int, body: bytes, now: datetime) -> None:
    """Store an answer, or complete what `begin` began."""
    session.merge(
        ReplyRow(holder=_holder(actor), key=key, fingerprint=print_, status=status, body=body, created_at=now)
    )
    session.flush()


def forget(session: Session, *, actor: Actor, key: str) -> None:
    """Give back a key that `begin` took for an act that did not happen."""
    session.execute(delete(ReplyRow).where(ReplyRow.holder == _holder(actor), ReplyRow.key == key))


def purge(session: Session, *, now: datetime) -> int:
    """Drop answers older than `KEPT`; returns how many."""
    found = session.execute(delete(ReplyRow).where(ReplyRow.created_at < now - KEPT))
    return int(getattr(found, "rowcount", 0))


def _holder(actor: Actor) -> str:
    return actor.organisation or "house"
