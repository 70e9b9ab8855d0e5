"""The tables of proofs and of the work that makes them. Only this room touches them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Index, String, Text
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


class ProvingRow(Base):
    """The intent to prove a node, written with its maintenance window before the provider is called."""

    __tablename__ = "node_provings"
    __table_args__ = (Index(None, "finished_at"),)
    window_id: Mapped[str] = mapped_column(String(40), primary_key=True)
    node_id: Mapped[str] = mapped_column(String(40))
    actor: Mapped[dict[str, Any]]
    durable: Mapped[bool]  # a workflow resumes it; else it is cleaned up after its time
    begun_at: Mapped[datetime]
    ends_at: Mapped[datetime]  # of the window: the node is not ours to touch afterwards
    finished_at: Mapped[datetime | None]
    proof_id: Mapped[str | None] = mapped_column(String(40))
    outcome: Mapped[str] = mapped_column(Text)  # why there is no proof
