"""Rows of orders to values and back; what the others of this room need of them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from sublet.broker.errors import NotFound
from sublet.broker.orders.tables import OrderRow
from sublet.broker.orders.values import Order, OrderState
from sublet.broker.tenants.rights import permit
from sublet.broker.tenants.values import Actor
from sublet.units import Money


def order(session: Session, order_id: str, *, actor: Actor) -> Order:
    """One order; NotFound where it is another tenant's."""
    row = session.get(OrderRow, order_id)
    if row is None:
        raise NotFound("no such order")
    permit(actor, "order.read", organisation=row.organisation_id, project=row.project_id)
    return shown(row)


def orders(
    session: Session,
    *,
    project: str | None = None,
    state: OrderState | str | None = None,
    since: datetime | None = None,
    after: str | None = None,
    limit: int | None = None,
    actor: Actor,
) -> tuple[Order, ...]:
    """The orders that the actor may see, oldest first. Pages: `after` an id, at most `limit`."""
    permit(actor, "order.read", project=project)
    query = select(OrderRow).order_by(OrderRow.id).limit(limit)
    if not actor.everywhere and actor.role != "system":
        query = query.where(OrderRow.organisation_id == actor.organisation)
    for column, wanted in (
        (OrderRow.project_id, actor.project),
        (OrderRow.project_id, project),
        (OrderRow.state, None if state is None else OrderState(state).value),
    ):
        if wanted is not None:
            query = query.where(column == wanted)
    if since is not None:
        query = query.where(OrderRow.created_at >= since)
    if after is not None:
        query = query.where(OrderRow.id > after)
    return tuple(shown(row) for row in session.scalars(query))


def open_orders(session: Session, project: str, *, but: str | None = None) -> tuple[Order, ...]:
    """Orders of a project that are neither a lease yet nor over: their commitments are held against its budget."""
    waiting = (OrderState.PENDING_APPROVAL.value, OrderState.WAITLISTED.value)
    query = select(OrderRow).where(OrderRow.project_id == project, OrderRow.state.in_(waiting))
    return tuple(shown(row) for row in session.scalars(query.order_by(OrderRow.id)) if row.id != but)


def by_key(session: Session, project: str, key: str) -> OrderRow | None:
    """The order that a project made under this idempotency key."""
    return session.scalars(
        select(OrderRow).where(OrderRow.project_id == project, OrderRow.idempotency_key == key)
    ).one_or_none()


def add(session: Session, order: Order, *, key: str, fingerprint: str) -> None:
    """Write a new order."""
    session.add(
        OrderRow(
            id=order.id,
            organisation_id=order.organisation,
            project_id=order.project,
            quote_id=order.quote_id,
            idempotency_key=key,
            fingerprint=fingerprint,
            state=order.state.value,
            reason=order.reason,
            shape=order.shape,
            nodes=order.nodes,
            accelerators=order.accelerators,
            seconds=order.seconds,
            start=order.start,
            window_end=order.window_end,
            commitment=order.commitment.amount,
            currency=order.commitment.currency,
            starts_at=order.starts_at,
            ends_at=order.ends_at,
            lease_id=order.lease_id,
            created_at=order.created_at,
            created_by=order.created_by,
            decided_at=order.decided_at,
            decided_by=order.decided_by,
        )
    )
    session.flush()


def change(session: Session, before: Order, **values: Any) -> Order:
    """Write other values into an order; returns it as it is then."""
    session.execute(update(OrderRow).where(OrderRow.id == before.id).values(**values))
    row = session.get(OrderRow, before.id)
    assert row is not None
    session.refresh(row)
    return shown(row)


def shown(row: OrderRow) -> Order:
    """A row as it is read."""
    return Order(
        id=row.id,
        organisation=row.organisation_id,
        project=row.project_id,
        quote_id=row.quote_id,
        state=OrderState(row.state),
        reason=row.reason,
        shape=row.shape,
        nodes=row.nodes,
        accelerators=row.accelerators,
        seconds=row.seconds,
        start=row.start,
        window_end=row.window_end,
        commitment=Money(row.commitment, row.currency),
        starts_at=row.starts_at,
        ends_at=row.ends_at,
        lease_id=row.lease_id,
        created_at=row.created_at,
        created_by=row.created_by,
        decided_at=row.decided_at,
        decided_by=row.decided_by,
    )
