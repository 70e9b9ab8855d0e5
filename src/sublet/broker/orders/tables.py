"""Tables of quotes, orders and the waitlist."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from sublet.broker.orders.values import OrderState
from sublet.storage.schema import Base, Currency


class QuoteRow(Base):
    """A stored quote; `guards` lets nobody change it."""

    __tablename__ = "quotes"
    __table_args__ = (
        CheckConstraint("nodes > 0 AND count > 0 AND count % nodes = 0", name="machines"),
        Index(None, "project_id", "id"),
    )

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    organisation_id: Mapped[str] = mapped_column(ForeignKey("organisations.id"))
    project_id: Mapped[str] = mapped_column(ForeignKey("projects.id"))
    accelerator: Mapped[str] = mapped_column(Text)
    shape: Mapped[str] = mapped_column(Text)
    nodes: Mapped[int]
    count: Mapped[int]
    price: Mapped[Decimal]
    currency: Mapped[str] = mapped_column(Currency)
    hours: Mapped[Decimal]
    estimate: Mapped[dict[str, Any]]
    terms: Mapped[dict[str, Any]]
    job: Mapped[dict[str, Any]]
    expires_at: Mapped[datetime]
    created_at: Mapped[datetime]
    created_by: Mapped[str] = mapped_column(String(80))


class OrderRow(Base):
    """An order."""

    __tablename__ = "orders"
    __table_args__ = (
        CheckConstraint(f"state IN ({', '.join(repr(state.value) for state in OrderState)})", name="state"),
        CheckConstraint("(state = 'accepted') <= (lease_id IS NOT NULL)", name="lease"),
        CheckConstraint("nodes > 0 AND seconds > 0", name="size"),
        UniqueConstraint("project_id", "idempotency_key"),
        Index(None, "organisation_id", "id"),
        Index(None, "project_id", "id"),
        Index(None, "state"),
    )

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    organisation_id: Mapped[str] = mapped_column(ForeignKey("organisations.id"))
    project_id: Mapped[str] = mapped_column(ForeignKey("projects.id"))
    quote_id: Mapped[str] = mapped_column(ForeignKey("quotes.id"))
    idempotency_key: Mapped[str] = mapped_column(String(200))
    fingerprint: Mapped[str] = mapped_column(String(64))
    state: Mapped[str] = mapped_column(String(20))
    reason: Mapped[str] = mapped_column(Text)
    shape: Mapped[str] = mapped_column(Text)
    nodes: Mapped[int]
    accelerators: Mapped[int]
    seconds: Mapped[int]
    start: Mapped[datetime | None]
    window_end: Mapped[datetime | None]
    commitment: Mapped[Decimal]
    currency: Mapped[str] = mapped_column(Currency)
    starts_at: Mapped[datetime | None]
    ends_at: Mapped[datetime | None]
    lease_id: Mapped[str | None] = mapped_column(String(40))
    created_at: Mapped[datetime]
    created_by: Mapped[str] = mapped_column(String(80))
    decided_at: Mapped[datetime | None]
    decided_by: Mapped[str | None] = mapped_column(String(80))


class WaitlistRow(Base):
    """An order's stay in the line; `left_at` is null while it stands there."""

    __tablename__ = "waitlist"
    __table_args__ = (UniqueConstraint("order_id"), Index(None, "left_at", "shape"))

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    order_id: Mapped[str] = mapped_column(ForeignKey("orders.id"))
    shape: Mapped[str] = mapped_column(Text)
    tier: Mapped[int]
    entered_at: Mapped[datetime]
    left_at: Mapped[datetime | None]
    reasons: Mapped[list[str]]
    looked_at: Mapped[datetime]
