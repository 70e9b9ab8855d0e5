"""Tables of webhooks, their deliveries and how far the streams of events were read. Only this room touches them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Index, Integer, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from sublet.storage.schema import Base


class HookRow(Base):
    """One address. The secret is kept in the clear: a signature is made with it at each delivery."""

    __tablename__ = "webhooks"
    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    organisation_id: Mapped[str] = mapped_column(String(40), index=True)
    project_id: Mapped[str | None] = mapped_column(String(40))
    url: Mapped[str] = mapped_column(Text)
    kinds: Mapped[list[str]]
    secret: Mapped[str] = mapped_column(String(80))
    created_at: Mapped[datetime]
    disabled_at: Mapped[datetime | None]
    disabled_why: Mapped[str] = mapped_column(Text, default="")
    failing_since: Mapped[datetime | None]


class DeliveryRow(Base):
    """One event for one address. `next_at` is null once it was heard or given up."""

    __tablename__ = "webhook_deliveries"
    __table_args__ = (UniqueConstraint("hook_id", "event_id"), Index(None, "next_at"))
    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    hook_id: Mapped[str] = mapped_column(ForeignKey("webhooks.id"))
    event_id: Mapped[str] = mapped_column(String(60))
    kind: Mapped[str] = mapped_column(String(60))
    payload: Mapped[dict[str, Any]]
    created_at: Mapped[datetime]
    attempts: Mapped[int] = mapped_column(Integer, default=0)
    next_at: Mapped[datetime | None]
    delivered_at: Mapped[datetime | None]
    last_status: Mapped[int | None] = mapped_column(Integer)
    last_error: Mapped[str] = mapped_column(Text, default="")


class CursorRow(Base):
    """How far a stream of events was read."""

    __tablename__ = "webhook_cursors"
    stream: Mapped[str] = mapped_column(String(20), primary_key=True)
    position: Mapped[int] = mapped_column(BigInteger)
