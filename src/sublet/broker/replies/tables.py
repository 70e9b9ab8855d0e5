"""The table of stored answers. Only this room touches it."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Integer, LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from sublet.storage.schema import Base


class ReplyRow(Base):
    """One answer; `status` is null while the act it belongs to is under way."""

    __tablename__ = "replies"
    holder: Mapped[str] = mapped_column(String(40), primary_key=True)  # the organisation, or "house"
    key: Mapped[str] = mapped_column(String(200), primary_key=True)
    fingerprint: Mapped[str] = mapped_column(String(64))
    status: Mapped[int | None] = mapped_column(Integer)
    body: Mapped[bytes] = mapped_column(LargeBinary)
    created_at: Mapped[datetime] = mapped_column(index=True)
