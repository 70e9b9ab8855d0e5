"""Usage, costs, receipts, budgets and the ledger."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import Field

from sublet.api.models.common import Document, Money, Shown
from sublet.api.paging import Page


class Usage(Document):
    """One usage record; it never changes."""

    id: str
    lease_id: str
    number: int
    node_id: str
    start: datetime
    end: datetime
    organisation: str
    project: str
    provider: str
    accelerator: str
    accelerators: int
    billable: bool
    kind: str
    reason: str
    source: str
    recorded_at: datetime


class UsagePage(Page[Usage]):
    """Usage records, oldest first."""


class Cost(Document):
    """What was charged under one name."""

    name: str
    charged: Money
    given_back: Money
    net: Money
    accelerator_hours: Shown


class Costs(Document):
    """What was charged, summed."""

    by: str
    items: list[Cost]


class RunningCost(Document):
    """What a lease costs its tenant up to now."""

    lease: str
    at: datetime
    cost: Money


class Budget(Document):
    """How a project stands against its budget."""

    project: str
    budget: Money | None
    spent: list[Money]
    committed: list[Money]
    left: Money | None
    percent: Shown | None = Field(description="Of the budget that is spent.")
    warned: list[int]
    hard_stop: bool


class Receipt(Document):
    """What was quoted, what came, what it cost, and why they differ."""

    id: str
    lease: str
    organisation: str
    project: str
    order: str
    issued_at: datetime
    outcome: str
    total: Money
    document: dict[str, Any] = Field(description="The whole receipt.")


class ReceiptPage(Page[Receipt]):
    """Receipts, oldest first."""


class LedgerLine(Document):
    """One line of a transaction."""

    account: str
    amount: Money = Field(description="Debit above zero, credit below.")


class Transaction(Document):
    """A transaction; its lines sum to zero in each currency."""

    id: str
    at: datetime
    kind: str
    reference: str
    organisation: str | None
    project: str | None
    lease: str | None
    sentence: str
    lines: list[LedgerLine]


class TransactionPage(Page[Transaction]):
    """Transactions, oldest first."""


class Balance(Document):
    """What stands on an account."""

    account: str
    amount: Money
    kind: str


class Ledger(Document):
    """The trial balance: sums to zero in each currency, or says where it does not."""

    balances: list[Balance]
    balanced: bool
    faults: list[str]


class MarginRow(Document):
    """What is left of one currency."""

    name: str
    revenue: Money
    credits: Money
    cost: Money
    margin: Money
    ratio: Shown | None
    accelerator_hours: Shown
    node_hours: Shown


class Margins(Document):
    """Revenue less credits less the cost of the supply that was used."""

    by: str
    items: list[MarginRow]
