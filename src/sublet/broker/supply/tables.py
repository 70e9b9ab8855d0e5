"""Tables of supply. Prices are exact decimals with a currency beside them."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from sublet.broker.supply.values import NodeState
from sublet.storage.schema import Base, Currency


class ContractRow(Base):
    """An agreement with a provider."""

    __tablename__ = "contracts"
    __table_args__ = (CheckConstraint("starts_at < ends_at", name="term"),)

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    provider: Mapped[str] = mapped_column(Text)
    accelerator: Mapped[str] = mapped_column(Text)
    shape: Mapped[str] = mapped_column(Text)
    accelerators_per_node: Mapped[int]
    price_per_node_hour: Mapped[Decimal]
    currency: Mapped[str] = mapped_column(Currency)
    starts_at: Mapped[datetime]
    ends_at: Mapped[datetime]
    region: Mapped[str] = mapped_column(Text)
    minimum_node_hours: Mapped[Decimal]
    tags: Mapped[dict[str, Any]]
    created_at: Mapped[datetime]
    returning_since: Mapped[datetime | None]
    return_reason: Mapped[str] = mapped_column(Text, default="")
    closed_at: Mapped[datetime | None]


class BlockRow(Base):
    """Nodes x time under a contract."""

    __tablename__ = "blocks"
    __table_args__ = (
        CheckConstraint("starts_at < ends_at", name="term"),
        CheckConstraint("nodes > 0", name="nodes"),
        Index(None, "contract_id"),
    )

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    contract_id: Mapped[str] = mapped_column(String(40), ForeignKey("contracts.id"))
    nodes: Mapped[int]
    cluster: Mapped[str] = mapped_column(Text)
    price_per_node_hour: Mapped[Decimal]
    currency: Mapped[str] = mapped_column(Currency)
    starts_at: Mapped[datetime]
    ends_at: Mapped[datetime]
    created_at: Mapped[datetime]


class NodeRow(Base):
    """A node; what its contract and block say is not repeated here."""

    __tablename__ = "nodes"
    __table_args__ = (
        CheckConstraint(f"state IN ({', '.join(repr(state.value) for state in NodeState)})", name="state"),
        Index(None, "block_id"),
        Index(None, "state"),
    )

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    block_id: Mapped[str] = mapped_column(String(40), ForeignKey("blocks.id"))
    state: Mapped[str] = mapped_column(String(16))
    reason: Mapped[str] = mapped_column(Text)
    state_since: Mapped[datetime]
    returned_at: Mapped[datetime | None]
    tags: Mapped[dict[str, Any]]
    sold: Mapped[dict[str, Any]]
