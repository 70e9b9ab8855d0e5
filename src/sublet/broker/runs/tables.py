"""The table of commands. Only this room touches it."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Index, Integer, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from sublet.storage.schema import Base


class RunRow(Base):
    """One command; it is written before the provider is asked. `status` is null while it runs."""

    __tablename__ = "lease_runs"
    __table_args__ = (Index(None, "lease_id", "id"), Index(None, "ended_at"))
    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    lease_id: Mapped[str] = mapped_column(String(40))
    organisation_id: Mapped[str] = mapped_column(String(40))
    project_id: Mapped[str] = mapped_column(String(40))
    provider: Mapped[str] = mapped_column(Text)
    node_id: Mapped[str] = mapped_column(String(40))
    ref: Mapped[str] = mapped_column(Text)
    process: Mapped[str] = mapped_column(Text)  # the provider's name of it; "" where it never started
    argv: Mapped[list[str]]
    job: Mapped[bool]  # what was quoted: the receipt sets its time against the quote
    started_by: Mapped[str] = mapped_column(String(40))
    started_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    status: Mapped[int | None] = mapped_column(Integer)
    reason: Mapped[str] = mapped_column(Text)
