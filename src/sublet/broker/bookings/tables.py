"""Tables of the calendar. Only this room touches them; `guards` holds what the database refuses."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from sublet.storage.schema import Base


class CalendarNode(Base):
    """A node that may be booked: when, and whether new bookings are taken at all."""

    __tablename__ = "calendar_nodes"
    __table_args__ = (
        CheckConstraint("opens_at <= closes_at", name="term"),
        Index(None, "shape", "node_id"),
    )

    node_id: Mapped[str] = mapped_column(String(40), primary_key=True)
    shape: Mapped[str] = mapped_column(Text)
    cluster: Mapped[str] = mapped_column(Text)
    opens_at: Mapped[datetime]
    closes_at: Mapped[datetime]
    open: Mapped[bool]
    rank: Mapped[int]


class BookingRow(Base):
    """A node for [starts_at, ends_at); an empty interval holds nothing."""

    __tablename__ = "bookings"
    __table_args__ = (
        CheckConstraint("starts_at <= ends_at", name="order"),
        CheckConstraint("kind IN ('lease', 'maintenance', 'outage')", name="kind"),
        Index(None, "node_id", "ends_at"),
        Index(None, "holder"),
    )

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    node_id: Mapped[str] = mapped_column(String(40), ForeignKey("calendar_nodes.node_id"))
    holder: Mapped[str] = mapped_column(String(80))
    kind: Mapped[str] = mapped_column(String(16))
    starts_at: Mapped[datetime]
    ends_at: Mapped[datetime]
    released_at: Mapped[datetime | None]
    reason: Mapped[str] = mapped_column(Text, default="")
