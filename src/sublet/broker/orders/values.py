"""Quotes, orders and waitlist entries as they are read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import ROUND_CEILING, Decimal
from enum import StrEnum
from typing import Any

from sublet.broker.errors import Refused
from sublet.units import Money

SECONDS_PER_HOUR = 3600


class OrderState(StrEnum):
    """Where an order stands; what becomes of the machines is the lease's business."""

    PENDING_APPROVAL = "pending-approval"
    WAITLISTED = "waitlisted"
    ACCEPTED = "accepted"
    REFUSED = "refused"
    CANCELLED = "cancelled"


MOVES: Mapping[OrderState, frozenset[OrderState]] = {
    OrderState.PENDING_APPROVAL: frozenset(
        {OrderState.WAITLISTED, OrderState.ACCEPTED, OrderState.REFUSED, OrderState.CANCELLED}
    ),
    OrderState.WAITLISTED: frozenset({OrderState.ACCEPTED, OrderState.REFUSED, OrderState.CANCELLED}),
    OrderState.ACCEPTED: frozenset({OrderState.CANCELLED}),
    OrderState.REFUSED: frozenset(),
    OrderState.CANCELLED: frozenset(),
}
"""State -> the states that may follow it."""


@dataclass(frozen=True)
class StoredQuote:
    """A promise of price and terms for one job on one machine, until it expires. It never changes."""

    id: str
    organisation: str
    project: str
    accelerator: str
    shape: str
    nodes: int
    count: int  # accelerators in all
    price_per_accelerator_hour: Money
    hours: Decimal  # how long it is meant to be held
    estimate: Mapping[str, Any]  # run_s as p10, p50, p90; step_s, tokens, ...
    terms: Mapping[str, Any]
    job: Mapping[str, Any]
    expires_at: datetime
    created_at: datetime
    created_by: str

    @property
    def accelerators_per_node(self) -> int:
        """Of each node."""
        return self.count // self.nodes

    @property
    def price_per_hour(self) -> Money:
        """Of all its accelerators."""
        return self.price_per_accelerator_hour * self.count

    @property
    def price(self) -> Money:
        """Of the whole time that it speaks of."""
        return commitment(self, self.nodes, whole_seconds(self.hours))


@dataclass(frozen=True)
class Order:
    """The acceptance of a quote."""

    id: str
    organisation: str
    project: str
    quote_id: str
    state: OrderState
    reason: str  # why it is in that state, as a sentence
    shape: str
    nodes: int
    accelerators: int
    seconds: int  # of machine time asked for
    start: datetime | None  # asked for; None: as soon as it can be had
    window_end: datetime | None  # asked for: all of it lies before then
    commitment: Money  # what all of it costs: held against the budget
    starts_at: datetime | None  # once accepted
    ends_at: datetime | None
    lease_id: str | None
    created_at: datetime
    created_by: str
    decided_at: datetime | None  # approved or rejected
    decided_by: str | None

    @property
    def hours(self) -> Decimal:
        """Length asked for."""
        return Decimal(self.seconds) / SECONDS_PER_HOUR

    @property
    def duration(self) -> timedelta:
        """Length asked for."""
        return timedelta(seconds=self.seconds)


@dataclass(frozen=True)
class WaitlistEntry:
    """An order that waits: where it stands in the line for its shape, and why it is not served yet."""

    id: str
    order_id: str
    organisation: str
    project: str
    shape: str
    nodes: int
    position: int  # 1 is next
    tier: int  # 0 is served first; within a tier, who came first
    entered_at: datetime
    reasons: tuple[str, ...]  # the weightiest first
    looked_at: datetime  # when the reasons were true

    @property
    def reason(self) -> str:
        """The weightiest reason."""
        return self.reasons[0] if self.reasons else ""


@dataclass(frozen=True)
class Blocked:
    """A span in which a cap lets an order have nothing, and what is said then: dimension, limit and use."""

    start: datetime
    end: datetime
    sentence: str
    dimension: str
    limit: str
    use: str

    def refusal(self) -> Refused:
        """The error that says so."""
        return Refused(self.sentence, dimension=self.dimension, limit=self.limit, use=self.use)


def whole_seconds(hours: Decimal) -> int:
    """Seconds of machine time, rounded up: what is sold are whole seconds."""
    return int((hours * SECONDS_PER_HOUR).to_integral_value(rounding=ROUND_CEILING))


def commitment(quote: StoredQuote, nodes: int, seconds: int) -> Money:
    """What `nodes` nodes cost for `seconds` at the quoted price; exact but for the division by 3600."""
    accelerators = quote.accelerators_per_node * nodes
    return quote.price_per_accelerator_hour * (accelerators * seconds) / SECONDS_PER_HOUR
