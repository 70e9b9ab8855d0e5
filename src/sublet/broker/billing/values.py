"""What billing has to know of a lease, and what it hands out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Protocol

from sublet.broker.metering.values import Leased
from sublet.units import Money


class Held(Protocol):
    """A node of a lease: since when it serves the tenant, and until when it did."""

    @property
    def node_id(self) -> str: ...
    @property
    def serving_since(self) -> datetime | None: ...
    @property
    def served_until(self) -> datetime | None: ...


class Billed(Leased, Protocol):
    """A lease as billing takes it; `leases.values.Lease` is one."""

    @property
    def quote_id(self) -> str: ...
    @property
    def order_id(self) -> str: ...
    @property
    def shape(self) -> str: ...
    @property
    def nodes(self) -> int: ...
    @property
    def starts_at(self) -> datetime: ...
    @property
    def ends_at(self) -> datetime: ...
    @property
    def active_at(self) -> datetime | None: ...
    @property
    def ended_at(self) -> datetime | None: ...
    @property
    def end_requested_at(self) -> datetime | None: ...
    @property
    def ended_by(self) -> str: ...
    @property
    def price_per_accelerator_hour(self) -> Money: ...
    @property
    def terms(self) -> Mapping[str, object]: ...
    @property
    def members(self) -> Sequence[Held]: ...


@dataclass(frozen=True)
class Charge:
    """One line under the ledger: quantity x rate = amount, of one lease, day and rate. Below zero: given back."""

    id: str
    transaction: str | None  # None where it costs nothing
    lease: str
    organisation: str
    project: str
    side: str  # "price": the tenant owes; "cost": we owe the provider
    kind: str  # "usage", "early-end", "lost-time", "credit", "rounding"
    day: date
    party: str
    hours: Decimal  # accelerator-hours of a price, node-hours of a cost
    rate: Money  # per hour of those
    amount: Money
    sentence: str


@dataclass(frozen=True)
class Cost:
    """What tenants were charged, summed under one name (a lease, a project, a day, a kind) and currency."""

    name: str
    charged: Money
    given_back: Money
    accelerator_hours: Decimal

    @property
    def net(self) -> Money:
        """Charged less given back."""
        return self.charged - self.given_back


@dataclass(frozen=True)
class Margin:
    """What is left of one currency, under one name: revenue less credits less the cost of the supply that was used."""

    name: str
    revenue: Money
    credits: Money
    cost: Money
    accelerator_hours: Decimal
    node_hours: Decimal

    @property
    def margin(self) -> Money:
        """Revenue less credits less cost."""
        return self.revenue - self.credits - self.cost

    @property
    def ratio(self) -> Decimal | None:
        """Margin over net revenue; None where there was none."""
        net = self.revenue - self.credits
        return None if not net.amount else self.margin.ratio(net)


@dataclass(frozen=True)
class Fault:
    """Something that the books must never hold."""

    lease: str
    sentence: str
