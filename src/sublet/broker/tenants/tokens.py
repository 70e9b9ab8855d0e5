"""Service tokens: random secrets that are shown once, stored as a hash, scoped, expiring and revocable.

A secret is `sublet_` and 40 letters from 200 random bits, so a plain SHA-256 of it is safe to store: there is nothing
to guess. Invariant: no function here returns a secret but the one that makes it.
"""

from __future__ import annotations

import hashlib
import secrets
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from sublet.broker.audit.log import record
from sublet.broker.errors import Forbidden, Invalid, NotFound, Unauthenticated
from sublet.broker.tenants.rights import RIGHTS, permit
from sublet.broker.tenants.service import named
from sublet.broker.tenants.tables import PersonRow, ProjectRow, TokenRow
from sublet.broker.tenants.values import ROLES, Actor, Token
from sublet.storage import ids

USE_STEP = timedelta(minutes=1)  # `last_used_at` moves at most this often: a read does not always write


def digest(secret: str) -> str:
    """What is stored of a secret."""
    return hashlib.sha256(secret.encode()).hexdigest()


def issue_token(
    session: Session,
    *,
    organisation: str | None,
    name: str,
    role: str,
    project: str | None = None,
    person: str | None = None,
    scopes: tuple[str, ...] = (),
    expires_at: datetime | None = None,
    actor: Actor,
    now: datetime,
) -> tuple[Token, str]:
    """A new token and its secret, which nobody sees again.

    Raises Invalid for an unknown role or scope or a time that is over, NotFound for another tenant's project, Forbidden
    where the actor would hand out more than it has.
    """
    permit(actor, "token.issue", organisation=organisation, project=project)
    if role not in ROLES:
        raise Invalid(f"role is {role!r}: it is one of {', '.join(ROLES)}")
    unknown = [scope for scope in scopes if scope not in RIGHTS]
    if unknown:
        raise Invalid(f"scope {unknown[0]!r} is no action: it is one of {', '.join(sorted(RIGHTS))}")
    if expires_at is not None and expires_at.tzinfo is None:
        raise Invalid(f"expires_at is {expires_at.isoformat()}, without a timezone: a moment in UTC is wanted")
    if expires_at is not None and expires_at <= now:
        raise Invalid(f"expires_at is {expires_at.isoformat()}, which is over")
    if role == "operator" and organisation is not None:
        raise Invalid("an operator's token belongs to no organisation")
    if organisation is None and role not in ("operator", "auditor"):
        raise Invalid(f"role is {role!r}: a token of the house is operator or auditor")
    if organisation is None and actor.role != "system":
        permit(actor, "organisation.create")
    if project is not None:
        row = session.get(ProjectRow, project)
        if row is None or row.organisation_id != organisation:
            raise NotFound("no such project")
    if actor.project is not None and project != actor.project:
        raise NotFound("no such project")
    if actor.scopes and not (scopes and set(scopes) <= set(actor.scopes)):
        raise Forbidden(f"this token is limited to {', '.join(actor.scopes)} and hands out no more than that")
    if person is not None:
        holder = session.get(PersonRow, person)
        if holder is None or holder.organisation_id != organisation:
            raise NotFound("no such person")
    name = named(name, "token")
    secret = "sublet_" + secrets.token_hex(25)
    stored = TokenRow(
        id=ids.new("tok", now),
        organisation_id=organisation,
        project_id=project,
        person_id=person,
        name=name,
        role=role,
        scopes=" ".join(scopes),
        digest=digest(secret),
        created_at=now,
        expires_at=expires_at,
    )
    session.add(stored)
    session.flush()
    record(
        session, actor=actor, action="token.issue", target=stored.id, outcome="done", reason=f"{role}: {name}", now=now
    )
    return value(stored), secret


def authenticate(session: Session, secret: str, *, address: str, now: datetime) -> Actor:
    """Who holds `secret`. Raises Unauthenticated with the same sentence for unknown, expired and revoked tokens."""
    row = session.scalars(select(TokenRow).where(TokenRow.digest == digest(secret))).one_or_none()
    if row is None or row.revoked_at is not None or (row.expires_at is not None and row.expires_at <= now):
        raise Unauthenticated("the token is unknown, expired or revoked")
    if row.last_used_at is None or now - row.last_used_at >= USE_STEP:
        row.last_used_at = now
    return Actor(
        kind="user" if row.person_id else "token",
        id=row.id,
        organisation=row.organisation_id,
        project=row.project_id,
        role=row.role,
        address=address,
        scopes=tuple(row.scopes.split()),
    )


def refuse_ended(session: Session, actor: Actor, *, now: datetime) -> None:
    """Unauthenticated where the actor's token was revoked or ran out since it was checked.

    A face may believe a token for a moment after `authenticate`; whoever changes something asks this too, in the same
    transaction, so that nothing is changed under a token that another process has revoked.
    """
    if actor.id.startswith("tok_"):
        row = session.get(TokenRow, actor.id)
        if row is None or row.revoked_at is not None or (row.expires_at is not None and row.expires_at <= now):
            raise Unauthenticated("the token is unknown, expired or revoked")


def revoke_token(session: Session, token: str, *, actor: Actor, now: datetime) -> Token:
    """End a token for good; ending it twice is no error."""
    row = session.get(TokenRow, token)
    if row is None:
        raise NotFound("no such token")
    permit(actor, "token.revoke", organisation=row.organisation_id, project=row.project_id)
    house = row.organisation_id is None and not actor.everywhere
    if house or (actor.project is not None and row.project_id != actor.project):
        raise NotFound("no such token")
    if row.revoked_at is None:
        row.revoked_at = now
        record(session, actor=actor, action="token.revoke", target=row.id, outcome="done", now=now)
    return value(row)


def tokens(session: Session, *, organisation: str | None, actor: Actor) -> tuple[Token, ...]:
    """The tokens of an organisation, oldest first; those of the house with None."""
    permit(actor, "token.read", organisation=organisation)
    if organisation is None and not actor.everywhere:
        raise NotFound("no such organisation")
    query = select(TokenRow).where(TokenRow.organisation_id == organisation).order_by(TokenRow.id)
    if actor.project is not None:
        query = query.where(TokenRow.project_id == actor.project)
    return tuple(value(row) for row in session.scalars(query))


def value(row: TokenRow) -> Token:
    """The row without its hash."""
    return Token(
        id=row.id,
        organisation=row.organisation_id,
        project=row.project_id,
        name=row.name,
        role=row.role,
        scopes=tuple(row.scopes.split()),
        created_at=row.created_at,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
        last_used_at=row.last_used_at,
    )
