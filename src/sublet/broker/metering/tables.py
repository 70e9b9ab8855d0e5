"""Tables of usage. Only this room touches them, only to append and read; `guards` holds what the database refuses."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from sublet.storage.schema import Base


class UsageRow(Base):
    """One node of one lease for [starts_at, ends_at); `number` counts the lease's records from 1 without a gap."""

    __tablename__ = "usage_records"
    __table_args__ = (
        CheckConstraint("starts_at < ends_at", name="order"),
        CheckConstraint("number >= 1", name="number"),
        CheckConstraint("accelerators >= 0", name="accelerators"),
        CheckConstraint("billable = (kind = 'service')", name="kind"),
        UniqueConstraint("lease_id", "node_id", "starts_at"),
        UniqueConstraint("lease_id", "number"),
        Index(None, "node_id", "ends_at"),
        Index(None, "project_id", "starts_at"),
    )

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    lease_id: Mapped[str] = mapped_column(String(40))
    number: Mapped[int] = mapped_column(BigInteger)
    organisation_id: Mapped[str] = mapped_column(String(40))
    project_id: Mapped[str] = mapped_column(String(40))
    node_id: Mapped[str] = mapped_column(String(40))
    provider: Mapped[str] = mapped_column(String(80))
    accelerator: Mapped[str] = mapped_column(Text)
    accelerators: Mapped[int]  # of this node; 0 for a node without any
    starts_at: Mapped[datetime]
    ends_at: Mapped[datetime]
    billable: Mapped[bool]
    kind: Mapped[str] = mapped_column(String(16))
    reason: Mapped[str] = mapped_column(Text)
    source: Mapped[str] = mapped_column(String(40))
    recorded_at: Mapped[datetime]


class DifferenceRow(Base):
    """A stretch of time in which the provider's facts and our records do not agree."""

    __tablename__ = "usage_differences"
    __table_args__ = (UniqueConstraint("lease_id", "node_id", "kind", "starts_at"),)

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    lease_id: Mapped[str] = mapped_column(String(40))
    node_id: Mapped[str] = mapped_column(String(40))
    kind: Mapped[str] = mapped_column(String(20))
    starts_at: Mapped[datetime]
    ends_at: Mapped[datetime]
    sentence: Mapped[str] = mapped_column(Text)
    found_at: Mapped[datetime]
