"""Store quotes and read them. There is no way to change one: a new price is a new quote."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from sublet.broker.audit.log import record
from sublet.broker.errors import Expired, Invalid, NotFound
from sublet.broker.orders.tables import QuoteRow
from sublet.broker.orders.values import StoredQuote
from sublet.broker.tenants import service as tenants
from sublet.broker.tenants.rights import permit
from sublet.broker.tenants.values import SYSTEM, Actor
from sublet.storage import ids
from sublet.storage.clock import utc
from sublet.units import Money


def store_quote(
    session: Session,
    *,
    project: str,
    accelerator: str,
    shape: str,
    nodes: int,
    count: int,
    price_per_accelerator_hour: Money,
    hours: Decimal,
    estimate: Mapping[str, Any],
    terms: Mapping[str, Any],
    job: Mapping[str, Any],
    expires_at: datetime,
    actor: Actor,
    now: datetime,
) -> StoredQuote:
    """Keep a quote: `count` accelerators in all, on `nodes` nodes of `shape`, meant for `hours`, until `expires_at`.

    `estimate`, `terms` and `job` are JSON documents and are kept as they are. Invalid for a price of zero or less, for
    accelerators that do not divide over the nodes, and for a quote that would expire before it is stored.
    """
    home = tenants.project(session, project, actor=SYSTEM)
    permit(actor, "quote.create", organisation=home.organisation, project=home.id)
    if price_per_accelerator_hour.amount <= 0:
        raise Invalid(f"an accelerator-hour at {price_per_accelerator_hour}: zero is never a price")
    if nodes < 1 or count < 1 or count % nodes:
        raise Invalid(f"{count} accelerators on {nodes} nodes: each node has the same number of them, at least one")
    if not hours.is_finite() or hours <= 0:
        raise Invalid(f"a quote for {hours} hours: the time is more than zero")
    if utc(expires_at) <= utc(now):
        raise Invalid(f"a quote that expires at {expires_at.isoformat()} is expired already")
    row = QuoteRow(
        id=ids.new("quo", now),
        organisation_id=home.organisation,
        project_id=home.id,
        accelerator=accelerator,
        shape=shape,
        nodes=nodes,
        count=count,
        price=price_per_accelerator_hour.amount,
        currency=price_per_accelerator_hour.currency,
        hours=hours,
        estimate=dict(estimate),
        terms=dict(terms),
        job=dict(job),
        expires_at=utc(expires_at),
        created_at=utc(now),
        created_by=actor.id,
    )
    session.add(row)
    session.flush()
    record(
        session,
        actor=actor,
        action="quote.store",
        target=row.id,
        outcome="done",
        reason=f"{count} x {accelerator} for {hours} h at {price_per_accelerator_hour} per accelerator-hour",
        organisation=home.organisation,
        project=home.id,
        now=now,
    )
    return _quote(row)


def quote(session: Session, quote_id: str, *, actor: Actor) -> StoredQuote:
    """One stored quote, expired or not; NotFound where it is another tenant's."""
    return _readable(session, quote_id, actor, "quote.read")


def quotes(
    session: Session,
    *,
    project: str | None = None,
    after: str | None = None,
    limit: int | None = None,
    actor: Actor,
) -> tuple[StoredQuote, ...]:
    """The quotes that the actor may see (of one project), oldest first. Pages: `after` an id, at most `limit`."""
    permit(actor, "quote.read", project=project)
    query = select(QuoteRow).order_by(QuoteRow.id).limit(limit)
    if not actor.everywhere and actor.role != "system":
        query = query.where(QuoteRow.organisation_id == actor.organisation)
    for column, wanted in ((QuoteRow.project_id, actor.project), (QuoteRow.project_id, project)):
        if wanted is not None:
            query = query.where(column == wanted)
    if after is not None:
        query = query.where(QuoteRow.id > after)
    return tuple(_quote(row) for row in session.scalars(query))


def acceptable(session: Session, quote_id: str, *, actor: Actor) -> StoredQuote:
    """A quote that the actor may order from; whether it expired is `refuse_expired`'s to say."""
    return _readable(session, quote_id, actor, "order.create")


def refuse_expired(quote: StoredQuote, now: datetime) -> None:
    """Expired where the quote's time is over: it binds us before `expires_at`, not at it."""
    if utc(now) >= quote.expires_at:
        raise Expired(f"quote {quote.id} expired at {quote.expires_at.isoformat()}: ask for a new one")


def _readable(session: Session, quote_id: str, actor: Actor, action: str) -> StoredQuote:
    row = session.get(QuoteRow, quote_id)
    if row is None:
        raise NotFound("no such quote")
    permit(actor, action, organisation=row.organisation_id, project=row.project_id)
    return _quote(row)


def _quote(row: QuoteRow) -> StoredQuote:
    return StoredQuote(
        id=row.id,
        organisation=row.organisation_id,
        project=row.project_id,
        accelerator=row.accelerator,
        shape=row.shape,
        nodes=row.nodes,
        count=row.count,
        price_per_accelerator_hour=Money(row.price, row.currency),
        hours=row.hours,
        estimate=row.estimate,
        terms=row.terms,
        job=row.job,
        expires_at=row.expires_at,
        created_at=row.created_at,
        created_by=row.created_by,
    )
