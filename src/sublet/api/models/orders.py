"""Quotes, orders and the waitlist."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from sublet.api.models.common import Document, Exact, Moment, Money, Name, ProjectId, QuoteId, Shown, Text, Wish
from sublet.api.paging import Page

Hours = Annotated[Exact, Field(gt=0, le=87_840)]
OrderState = Literal["pending-approval", "waitlisted", "accepted", "refused", "cancelled"]


class Quote(Document):
    """A promise of price and terms for one job on one machine, until it expires. It never changes."""

    id: str
    organisation: str
    project: str
    accelerator: str
    shape: str
    nodes: int
    count: int = Field(description="Accelerators in all.")
    price_per_accelerator_hour: Money
    price_per_hour: Money
    hours: Shown = Field(description="How long it is meant to be held.")
    price: Money = Field(description="Of the whole time.")
    estimate: dict[str, Any] = Field(description="Of the job: run_s and cost as p10, p50, p90; step_s, tokens, ...")
    terms: dict[str, Any]
    job: dict[str, Any]
    expires_at: datetime
    created_at: datetime
    created_by: str


class QuotePage(Page[Quote]):
    """Quotes, oldest first."""


class NewQuote(Wish):
    """What is to be quoted: a job, or so many accelerators for so long."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "project": "prj_01KAQ0Z8V6T3M2N4P5R6S7T8V9",
                    "job": {"model": "mpt-30b", "tokens": "10B", "constraints": {"counts": [32]}},
                },
                {
                    "project": "prj_01KAQ0Z8V6T3M2N4P5R6S7T8V9",
                    "machines": {"shape": "8xH100", "nodes": 4, "hours": "72"},
                },
            ]
        }
    )
    project: ProjectId
    job: dict[Name, Any] | None = Field(
        default=None, max_length=40, description="A job spec (docs/how-to-job-spec.md), without paths to files."
    )
    machines: Machines | None = Field(default=None, description="Machines and time, without a job.")
    hours: Hours | None = Field(
        default=None, description="Hold them so long; else the job's 90th percentile, in whole hours."
    )
    limit: int = Field(default=5, ge=1, le=50, description="At most so many quotes, best first.")
    market: bool = Field(default=False, description="Also show what the catalogue's offers cost, for comparison.")
    valid_hours: Annotated[Exact, Field(gt=0, le=720)] | None = Field(
        default=None, description="How long the quotes stand; a day, where it is not given."
    )


class Machines(Wish):
    """So many nodes of a shape for so long."""

    shape: Name
    nodes: int = Field(ge=1, le=100_000)
    hours: Hours


class Rejected(Document):
    """Why machines were left out."""

    accelerator: str
    kind: str
    reason: str


class Quoted(Document):
    """The answer: quotes that can be ordered, best first, and what was left out."""

    quotes: list[Quote]
    rejected: list[Rejected]
    market: list[dict[str, Any]] = Field(description="Offers of the catalogue, for comparison; they cannot be ordered.")
    notes: list[str]


class Order(Document):
    """The acceptance of a quote."""

    id: str
    organisation: str
    project: str
    quote_id: str
    state: OrderState
    reason: str
    shape: str
    nodes: int
    accelerators: int
    seconds: int
    start: datetime | None
    window_end: datetime | None
    commitment: Money
    starts_at: datetime | None
    ends_at: datetime | None
    lease_id: str | None
    created_at: datetime
    created_by: str
    decided_at: datetime | None
    decided_by: str | None


class OrderPage(Page[Order]):
    """Orders, oldest first."""


class NewOrder(Wish):
    """A quote to accept: now, at a start, or anywhere in a window."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"quote": "quo_01KAQ0Z8V6T3M2N4P5R6S7T8V9", "hours": "24"}]}
    )
    quote: QuoteId
    start: Moment | None = Field(default=None, description="Now, or as soon as it can be had, where it is not given.")
    window_end: Moment | None = Field(default=None, description="All of it lies before then.")
    hours: Hours | None = None
    nodes: int | None = Field(default=None, ge=1, le=100_000)


class Decision(Wish):
    """Why."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"reason": "within the quarter's plan"}]})
    reason: Text = ""


class WaitlistEntry(Document):
    """An order that waits."""

    id: str
    order_id: str
    organisation: str
    project: str
    shape: str
    nodes: int
    position: int
    tier: int
    entered_at: datetime
    reasons: list[str]
    looked_at: datetime


class WaitlistPage(Page[WaitlistEntry]):
    """Who waits, by shape and position."""


NewQuote.model_rebuild()
