"""Tables of the leases. Only this room touches them."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Index, Integer, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from sublet.storage.schema import Base, Currency


class LeaseRow(Base):
    """One lease. `version` grows with every change: who read an older one changes nothing.

    `next_at` is when the engine looks next (null: never, the state is final); `claimed_by` works on it until
    `claim_until`.
    """

    __tablename__ = "leases"
    __table_args__ = (
        Index(None, "next_at"),
        Index(None, "project_id", "id"),
        Index(None, "organisation_id", "id"),
        Index(None, "state"),
        UniqueConstraint("order_id"),
        UniqueConstraint("tag"),
    )

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    organisation_id: Mapped[str] = mapped_column(String(40))
    project_id: Mapped[str] = mapped_column(String(40))
    order_id: Mapped[str] = mapped_column(String(40))
    quote_id: Mapped[str] = mapped_column(String(40))
    provider: Mapped[str] = mapped_column(Text)
    shape: Mapped[str] = mapped_column(Text)
    accelerator: Mapped[str] = mapped_column(Text)
    accelerators_per_node: Mapped[int] = mapped_column(Integer)
    nodes: Mapped[int] = mapped_column(Integer)
    tag: Mapped[str] = mapped_column(String(80))
    price: Mapped[Decimal]
    currency: Mapped[str] = mapped_column(Currency)
    terms: Mapped[dict[str, Any]]
    created_at: Mapped[datetime]
    starts_at: Mapped[datetime]
    ends_at: Mapped[datetime]
    state: Mapped[str] = mapped_column(String(16))
    reason: Mapped[str] = mapped_column(Text)
    changed_at: Mapped[datetime]
    before: Mapped[str | None] = mapped_column(String(16))
    outcome: Mapped[str | None] = mapped_column(String(16))
    active_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    end_requested_at: Mapped[datetime | None]
    ended_by: Mapped[str | None] = mapped_column(String(16))
    accrued_at: Mapped[datetime | None]
    seen_at: Mapped[datetime | None]
    alerted_at: Mapped[datetime | None]
    stopped_at: Mapped[datetime | None]
    quiet_since: Mapped[datetime | None]
    version: Mapped[int] = mapped_column(Integer)
    next_at: Mapped[datetime | None]
    claimed_by: Mapped[str | None] = mapped_column(String(80))
    claim_until: Mapped[datetime | None]


class SlotRow(Base):
    """The node of one slot, one row per generation; the highest generation is the present one."""

    __tablename__ = "lease_slots"
    __table_args__ = (Index(None, "node_id"),)

    lease_id: Mapped[str] = mapped_column(String(40), primary_key=True)
    number: Mapped[int] = mapped_column(Integer, primary_key=True)
    generation: Mapped[int] = mapped_column(Integer, primary_key=True)
    current: Mapped[bool]
    node_id: Mapped[str] = mapped_column(String(40))
    state: Mapped[str] = mapped_column(String(16))
    key: Mapped[str] = mapped_column(String(120))
    ref: Mapped[str] = mapped_column(Text)
    address: Mapped[str] = mapped_column(Text)
    reason: Mapped[str] = mapped_column(Text)
    serving_since: Mapped[datetime | None]
    metered_until: Mapped[datetime | None]
    served_until: Mapped[datetime | None]
    search_at: Mapped[datetime | None]
    checks: Mapped[int] = mapped_column(Integer, default=0)
    certificate: Mapped[dict[str, Any] | None]


class IntentRow(Base):
    """What a provider is asked to do, written before it is asked: one row per idempotency key.

    kind "create": `nodes` is the whole request, so that it can be asked again unchanged. kind "terminate": `ref`.
    `done_at`: create was answered for good; the terminated node is proven gone.
    """

    __tablename__ = "lease_intents"
    __table_args__ = (Index(None, "lease_id", "done_at"),)

    key: Mapped[str] = mapped_column(String(160), primary_key=True)
    lease_id: Mapped[str] = mapped_column(String(40))
    kind: Mapped[str] = mapped_column(String(16))
    ref: Mapped[str] = mapped_column(Text)
    nodes: Mapped[list[str]]
    until: Mapped[datetime | None]
    written_at: Mapped[datetime]
    asked_at: Mapped[datetime]
    answered_at: Mapped[datetime | None]
    done_at: Mapped[datetime | None]
    answer: Mapped[str] = mapped_column(Text)


class EventRow(Base):
    """One line of a lease's history; numbers ascend as they are committed: the cursor of whoever follows."""

    __tablename__ = "lease_events"
    __table_args__ = (Index(None, "lease_id", "number"), Index(None, "organisation_id", "number"))

    number: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=True)
    id: Mapped[str] = mapped_column(String(40), unique=True)
    lease_id: Mapped[str] = mapped_column(String(40))
    organisation_id: Mapped[str] = mapped_column(String(40))
    project_id: Mapped[str] = mapped_column(String(40))
    at: Mapped[datetime]
    kind: Mapped[str] = mapped_column(String(16))
    state: Mapped[str] = mapped_column(String(16))
    reason: Mapped[str] = mapped_column(Text)
    details: Mapped[dict[str, Any]]


class ChangeRow(Base):
    """A change of a lease's term that its tenant asked for, and the price of the added time."""

    __tablename__ = "lease_changes"
    __table_args__ = (UniqueConstraint("lease_id", "idempotency_key"),)

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    lease_id: Mapped[str] = mapped_column(String(40))
    kind: Mapped[str] = mapped_column(String(16))
    idempotency_key: Mapped[str | None] = mapped_column(String(200))
    at: Mapped[datetime]
    actor: Mapped[str] = mapped_column(String(40))
    ends_before: Mapped[datetime]
    ends_after: Mapped[datetime]
    quote_id: Mapped[str | None] = mapped_column(String(40))
    price: Mapped[Decimal | None]
    currency: Mapped[str | None] = mapped_column(Currency)


class OrphanRow(Base):
    """A node at a provider that carries a tag of ours and that no lease wants."""

    __tablename__ = "orphans"

    provider: Mapped[str] = mapped_column(String(80), primary_key=True)
    ref: Mapped[str] = mapped_column(String(200), primary_key=True)
    tag: Mapped[str] = mapped_column(Text)
    why: Mapped[str] = mapped_column(Text)
    ours: Mapped[bool]  # the tag names a lease of this database
    found_at: Mapped[datetime]
    seen_at: Mapped[datetime]
    asked_at: Mapped[datetime | None]
    gone_at: Mapped[datetime | None]
