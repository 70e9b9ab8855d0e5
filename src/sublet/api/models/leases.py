"""Leases, their history, and what runs on them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, StringConstraints

from sublet.api.models.common import Document, Moment, Money, NodeId, QuoteId, Text, Wish
from sublet.api.paging import Page

LeaseState = Literal[
    "scheduled",
    "provisioning",
    "qualifying",
    "active",
    "degraded",
    "replacing",
    "unknown",
    "ending",
    "terminated",
    "settled",
    "rejected",
    "expired",
    "cancelled",
    "failed",
]


class Member(Document):
    """One node of a lease."""

    slot: int
    node_id: str
    state: str
    current: bool = Field(description="false: another node took its place")
    ref: str
    address: str
    reason: str
    serving_since: datetime | None
    served_until: datetime | None


class Lease(Document):
    """An agreement in force: nodes, for a time, at a price."""

    id: str
    organisation: str
    project: str
    order_id: str
    quote_id: str
    provider: str
    shape: str
    accelerator: str
    accelerators_per_node: int
    nodes: int
    state: LeaseState
    reason: str
    starts_at: datetime
    ends_at: datetime
    created_at: datetime
    price_per_accelerator_hour: Money
    active_at: datetime | None = Field(description="Since when it is billed.")
    ended_at: datetime | None
    end_requested_at: datetime | None
    seen_at: datetime | None
    version: int
    terms: dict[str, Any]
    members: list[Member]


class LeasePage(Page[Lease]):
    """Leases, oldest first."""


class Certificate(Document):
    """What the gate found of one node, signed by the broker."""

    slot: int
    node_id: str
    certificate: dict[str, Any] | None


class Certificates(Document):
    """The certificates of a lease's nodes."""

    items: list[Certificate]


class LeaseEvent(Document):
    """One line of a lease's history."""

    number: int
    id: str
    lease_id: str
    at: datetime
    kind: str
    state: str
    reason: str
    details: dict[str, Any]


class EventPage(Page[LeaseEvent]):
    """Events, oldest first."""


class End(Wish):
    """End it now."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"reason": "the run is finished"}]})
    reason: Text = "asked for by the tenant"


class Extension(Wish):
    """Until when, and at the price of which quote (without one, as before)."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"until": "2026-12-02T09:00:00Z"}]})
    until: Moment
    quote: QuoteId | None = None


class Shortening(Wish):
    """Until when instead."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"until": "2026-12-01T12:00:00Z"}]})
    until: Moment


class Renewal(Wish):
    """At the price of which quote."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"quote": "quo_01KAQ0Z8V6T3M2N4P5R6S7T8V9"}]})
    quote: QuoteId


Word = Annotated[str, StringConstraints(max_length=32_768, pattern=r"^[^\x00]*$")]
Variable = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]


class NewRun(Wish):
    """A command to start on a node of the lease."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"argv": ["python3", "-c", "print(1)"]}]})
    argv: list[Word] = Field(min_length=1, max_length=1000)
    node: NodeId | None = Field(default=None, description="The first that serves, where none is named.")
    env: dict[Variable, Word] = Field(default_factory=dict, max_length=200)
    cwd: Annotated[str, StringConstraints(max_length=1000, pattern=r"^[^\x00/][^\x00]*$")] | None = Field(
        default=None, description="Below the lease's own directory."
    )
    seconds: Annotated[float, Field(gt=0, le=31_622_400)] | None = Field(
        default=None, description="Stopped after so long."
    )
    job: bool = Field(default=False, description="It is the job that was quoted: the receipt sets its time against it.")


class Run(Document):
    """A command on a node of a lease."""

    id: str
    lease: str
    node: str
    argv: list[str]
    started_by: str
    started_at: datetime
    ended_at: datetime | None
    status: int | None = Field(description="Exit status; below zero: killed by that signal; null while it runs.")
    reason: str
    seconds: float | None
    job: bool = Field(description="It is the job that was quoted.")


class RunPage(Page[Run]):
    """Commands, oldest first."""


class Log(Document):
    """Part of what a command wrote."""

    stream: str
    offset: int = Field(description="Where this part began, in bytes.")
    next: int = Field(description="The offset of what follows.")
    text: str = Field(description="UTF-8; what is none is replaced.")
    ended: bool = Field(description="The command has ended and nothing follows.")
