"""Tables of money. Only this room touches them; `guards` holds what the database refuses.

All but `accruals` only grow. `accruals` are running totals, so that a question about cost does not read every charge;
`charges.verify` proves them against the charges.
"""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, Date, ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from sublet.storage.schema import Base, Currency


class TransactionRow(Base):
    """One transaction of the ledger. It is written after its entries and seals them: see `guards`."""

    __tablename__ = "ledger_transactions"
    __table_args__ = (
        UniqueConstraint("kind", "reference"),
        Index(None, "lease_id"),
        Index(None, "organisation_id", "id"),
    )

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    at: Mapped[datetime]
    kind: Mapped[str] = mapped_column(String(20))
    reference: Mapped[str] = mapped_column(String(120))
    organisation_id: Mapped[str | None] = mapped_column(String(40))
    project_id: Mapped[str | None] = mapped_column(String(40))
    lease_id: Mapped[str | None] = mapped_column(String(40))
    sentence: Mapped[str] = mapped_column(Text)


class EntryRow(Base):
    """One line of a transaction: debit above zero, credit below."""

    __tablename__ = "ledger_entries"
    __table_args__ = (Index(None, "account", "transaction_id"),)

    transaction_id: Mapped[str] = mapped_column(
        String(40), ForeignKey("ledger_transactions.id", deferrable=True, initially="DEFERRED"), primary_key=True
    )
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    account: Mapped[str] = mapped_column(String(80))
    amount: Mapped[Decimal]
    currency: Mapped[str] = mapped_column(Currency)


class ChargeRow(Base):
    """What one transaction is about, for one lease, day and rate: quantity x rate = amount.

    side "price" is what the tenant owes (below zero: what it gets back), side "cost" what we owe the provider. kind
    "usage" covers the usage records `first`..`last` of the lease, and no others do on that side.
    """

    __tablename__ = "charges"
    __table_args__ = (
        CheckConstraint("side IN ('price', 'cost')", name="side"),
        Index(None, "lease_id", "side"),
        Index(None, "day", "side"),
        Index(None, "project_id", "day"),
    )

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    transaction_id: Mapped[str | None] = mapped_column(String(40), ForeignKey("ledger_transactions.id"))
    lease_id: Mapped[str] = mapped_column(String(40))
    organisation_id: Mapped[str] = mapped_column(String(40))
    project_id: Mapped[str] = mapped_column(String(40))
    side: Mapped[str] = mapped_column(String(8))
    kind: Mapped[str] = mapped_column(String(20))
    day: Mapped[date] = mapped_column(Date)
    party: Mapped[str] = mapped_column(String(80))  # the organisation, or the provider
    first: Mapped[int | None] = mapped_column(BigInteger)
    last: Mapped[int | None] = mapped_column(BigInteger)
    units: Mapped[Decimal]  # accelerator-microseconds (price) or node-microseconds (cost)
    rate: Mapped[Decimal]  # per accelerator-hour (price) or node-hour (cost)
    amount: Mapped[Decimal]
    currency: Mapped[str] = mapped_column(Currency)
    sentence: Mapped[str] = mapped_column(Text)


class AccrualRow(Base):
    """Running totals of one lease on one side: how far its usage is charged, and to what sum."""

    __tablename__ = "accruals"
    __table_args__ = (Index(None, "project_id"),)

    lease_id: Mapped[str] = mapped_column(String(40), primary_key=True)
    side: Mapped[str] = mapped_column(String(8), primary_key=True)
    currency: Mapped[str] = mapped_column(Currency, primary_key=True)
    organisation_id: Mapped[str] = mapped_column(String(40))
    project_id: Mapped[str] = mapped_column(String(40))
    last: Mapped[int] = mapped_column(BigInteger)  # usage records up to this number are charged
    weight: Mapped[Decimal]  # exact: sum of units x rate of usage
    usage: Mapped[Decimal]  # charged for usage
    other: Mapped[Decimal]  # charged for anything else, credits below zero
    closed: Mapped[bool]  # a receipt is written: nothing more is charged but credits


class PriceRow(Base):
    """The price of a lease from an instant on, where an extension or renewal changed it from the accepted quote's."""

    __tablename__ = "lease_prices"
    __table_args__ = (Index(None, "lease_id", "id"),)

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    lease_id: Mapped[str] = mapped_column(String(40))
    starts_at: Mapped[datetime]
    rate: Mapped[Decimal]  # per accelerator-hour
    currency: Mapped[str] = mapped_column(Currency)
    quote_id: Mapped[str | None] = mapped_column(String(40))
    agreed_at: Mapped[datetime]


class MarginRow(Base):
    """The operator's margin rule from an instant on, for one accelerator or (accelerator "") for all."""

    __tablename__ = "margin_rules"

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    accelerator: Mapped[str] = mapped_column(Text)
    markup: Mapped[Decimal]  # 0.25: cost plus a quarter
    floor: Mapped[Decimal | None]  # lowest price per accelerator-hour
    currency: Mapped[str | None] = mapped_column(Currency)
    starts_at: Mapped[datetime]
    actor: Mapped[str] = mapped_column(String(40))


class WarningRow(Base):
    """A budget warning that was given: once per project, threshold and budget."""

    __tablename__ = "budget_warnings"
    __table_args__ = (UniqueConstraint("project_id", "percent", "budget", "currency"),)

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    organisation_id: Mapped[str] = mapped_column(String(40))
    project_id: Mapped[str] = mapped_column(String(40))
    percent: Mapped[int]
    budget: Mapped[Decimal]
    spent: Mapped[Decimal]
    currency: Mapped[str] = mapped_column(Currency)
    at: Mapped[datetime]
    sentence: Mapped[str] = mapped_column(Text)


class ReceiptRow(Base):
    """The receipt of a lease, as it was given."""

    __tablename__ = "receipts"
    __table_args__ = (UniqueConstraint("lease_id"), Index(None, "organisation_id", "id"))

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    lease_id: Mapped[str] = mapped_column(String(40))
    organisation_id: Mapped[str] = mapped_column(String(40))
    project_id: Mapped[str] = mapped_column(String(40))
    issued_at: Mapped[datetime]
    total: Mapped[Decimal]
    currency: Mapped[str] = mapped_column(Currency)
    document: Mapped[dict[str, Any]]  # the receipt's value, amounts as text
