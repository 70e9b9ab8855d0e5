"""Store drafts as quotes: immutable, expiring, with estimate, price and terms."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from sublet.broker.orders import service as orders
from sublet.broker.orders.values import StoredQuote
from sublet.broker.quoting.values import Draft
from sublet.broker.tenants.values import Actor

VALID = timedelta(days=1)


def keep(
    session: Session,
    drafts: Iterable[Draft],
    *,
    project: str,
    valid: timedelta = VALID,
    actor: Actor,
    now: datetime,
) -> tuple[StoredQuote, ...]:
    """Every draft as a stored quote of the project."""
    return tuple(
        orders.store_quote(
            session,
            project=project,
            accelerator=draft.accelerator,
            shape=draft.shape,
            nodes=draft.nodes,
            count=draft.count,
            price_per_accelerator_hour=draft.price,
            hours=draft.hours,
            estimate=draft.estimate,
            terms=draft.terms,
            job=draft.job,
            expires_at=now + valid,
            actor=actor,
            now=now,
        )
        for draft in drafts
    )
