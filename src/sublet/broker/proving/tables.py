"""The table of proofs. Only this room touches it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Index, String
from sqlalchemy.orm import Mapped, mapped_column

from sublet.storage.schema import Base


class ProofRow(Base):
    """One qualification of one node outside of a lease, and the certificate over it."""

    __tablename__ = "node_proofs"
    __table_args__ = (Index(None, "node_id", "id"),)
    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    node_id: Mapped[str] = mapped_column(String(40))
    window: Mapped[str] = mapped_column(String(40))
    verdict: Mapped[str] = mapped_column(String(16))
    at: Mapped[datetime]
    measured: Mapped[dict[str, Any]]
    certificate: Mapped[dict[str, Any]]
