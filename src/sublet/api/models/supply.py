"""Contracts, nodes, capacity, maintenance."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any, Literal

from pydantic import ConfigDict, Field

from sublet.api.models.common import (
    Document,
    Exact,
    Moment,
    Money,
    MoneyWish,
    Name,
    NodeId,
    Shown,
    Tag,
    Tags,
    Text,
    Wish,
)
from sublet.api.paging import Page

NodeState = Literal["delivered", "healthy", "cordoned", "draining", "maintenance", "failed", "returned"]


class Contract(Document):
    """What a provider sells us."""

    id: str
    provider: str
    accelerator: str
    shape: str
    accelerators_per_node: int
    price_per_node_hour: Money
    starts_at: datetime
    ends_at: datetime
    region: str
    minimum_node_hours: Shown
    tags: dict[str, str]
    created_at: datetime
    returning_since: datetime | None = Field(default=None, description="Its nodes are drained and go back one by one.")
    return_reason: str = ""
    closed_at: datetime | None = Field(default=None, description="Since then every node is back.")


class ContractPage(Page[Contract]):
    """Contracts, oldest first."""


class NewContract(Wish):
    """A contract, and the nodes that come with it."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "provider": "simulated",
                    "accelerator": "H100 SXM",
                    "shape": "8xH100",
                    "nodes": 4,
                    "accelerators_per_node": 8,
                    "price_per_node_hour": {"amount": "16.00", "currency": "USD"},
                    "start": "2026-12-01T00:00:00Z",
                    "end": "2027-12-01T00:00:00Z",
                }
            ]
        }
    )
    provider: Name
    accelerator: Name
    shape: Name
    nodes: int = Field(ge=1, le=100_000)
    accelerators_per_node: int = Field(ge=0, le=1024)
    price_per_node_hour: MoneyWish
    start: Moment
    end: Moment
    region: Tag = ""
    tags: Tags = Field(default_factory=dict)
    minimum_node_hours: Exact = Field(default=Decimal(0), ge=0)
    cluster: Name | None = Field(default=None, description="Nodes of one cluster share a fabric.")
    sold: dict[Name, float | int | Tag] = Field(
        default_factory=dict,
        max_length=32,
        description="What the provider says that a node is: cpus, memory_bytes, ...",
    )


class Block(Document):
    """Nodes for a time that were bought under a contract, at one price."""

    id: str
    contract_id: str
    nodes: int
    cluster: str
    price_per_node_hour: Money
    starts_at: datetime
    ends_at: datetime
    created_at: datetime


class BlockList(Document):
    """Blocks, oldest first."""

    items: list[Block]


class NewBlock(Wish):
    """More nodes under a contract."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"nodes": 2, "start": "2026-12-01T00:00:00Z", "end": "2027-06-01T00:00:00Z"}]}
    )
    nodes: int = Field(ge=1, le=100_000)
    start: Moment
    end: Moment
    price_per_node_hour: MoneyWish | None = Field(default=None, description="The contract's, where none is given.")
    cluster: Name | None = Field(default=None, description="Nodes of one cluster share a fabric.")
    sold: dict[Name, float | int | Tag] = Field(
        default_factory=dict,
        max_length=32,
        description="What the provider says that a node is: cpus, memory_bytes, ...",
    )


class Reason(Wish):
    """Why it is done, for the audit log."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"reason": "the price fell below what we pay"}]})
    reason: Text = ""


class Node(Document):
    """One node of the fleet."""

    id: str
    block_id: str
    contract_id: str
    provider: str
    accelerator: str
    shape: str
    accelerators_per_node: int
    cluster: str
    region: str
    state: NodeState
    reason: str
    state_since: datetime
    tags: dict[str, str]
    sold: dict[str, Any]
    starts_at: datetime
    ends_at: datetime
    price_per_node_hour: Money


class NodePage(Page[Node]):
    """Nodes, oldest first."""


class NodeChange(Wish):
    """What to change of a node."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"state": "cordoned", "reason": "a fan is loud"}]})
    state: NodeState | None = None
    reason: Text = ""
    tags: dict[Name, Tag | None] | None = Field(default=None, max_length=64, description="null takes a tag off.")


class Capacity(Document):
    """Nodes of one shape at an instant, in the four words of the field."""

    provider: str
    shape: str
    accelerator: str
    accelerators_per_node: int
    delivered: int
    healthy: int
    reserved: int
    in_use: int
    free: int
    out: int


class CapacityReport(Document):
    """The fleet at an instant."""

    at: datetime
    rows: list[Capacity]


class Position(Document):
    """How a contract stands."""

    contract_id: str
    node_hours_bought: Shown
    node_hours_delivered: Shown
    node_hours_reserved: Shown
    node_hours_short: Shown
    cost: Money
    cost_short: Money | None = Field(
        default=None, description="Of the hours short of the commitment: owed for nothing."
    )


class NewMaintenance(Wish):
    """A window in which nodes are not leased."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "nodes": ["nod_01KAQ0Z8V6T3M2N4P5R6S7T8V9"],
                    "start": "2026-12-01T00:00:00Z",
                    "end": "2026-12-01T04:00:00Z",
                    "reason": "firmware",
                }
            ]
        }
    )
    nodes: list[NodeId] = Field(min_length=1, max_length=1000)
    start: Moment
    end: Moment
    reason: Text


class Booking(Document):
    """One node for a time."""

    id: str
    node_id: str
    holder: str
    kind: str
    starts_at: datetime
    ends_at: datetime
    released_at: datetime | None
    reason: str = ""


class BookingPage(Page[Booking]):
    """Bookings, by start."""


class NewOutage(Wish):
    """A node that does not work, and when it will again."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"until": "2026-12-02T00:00:00Z", "reason": "the provider's ticket 4711"}]}
    )
    start: Moment | None = Field(default=None, description="Now, where it is not given.")
    until: Moment
    reason: Text


class Outage(Document):
    """The time that was taken off the market, and who loses it."""

    node_id: str
    bookings: list[Booking] = Field(description="Their holder is what DELETE /v1/maintenance/{window} ends early.")
    affected: list[str] = Field(description="Leases that are booked on the node in that time and need another one.")


class Proof(Document):
    """What was found of a node outside of a lease."""

    id: str
    node: str
    verdict: str
    reason: str
    at: datetime
    measured: dict[str, Any]
    certificate: dict[str, Any]


class ProofList(Document):
    """Proofs, oldest first."""

    items: list[Proof]


class ProviderOffer(Document):
    """What can be had from a provider now."""

    shape: str
    accelerator: str
    accelerators_per_node: int
    cpus: float
    memory_bytes: float
    nodes_available: int | None
    price_per_node_hour: Money | None
    region: str
    seen_at: datetime | None


class ProviderOffers(Document):
    """One connected provider."""

    provider: str
    offers: list[ProviderOffer]
    error: str = Field(description="Why it did not answer.")
    executes: bool = Field(description="Commands can be run on its nodes.")
    notes: list[str]


class OfferList(Document):
    """Connected providers."""

    items: list[ProviderOffers]


class MarginRule(Document):
    """Price = cost x (1 + markup), and not below the floor."""

    id: str
    accelerator: str
    markup: Shown
    floor: Money | None
    starts_at: datetime
    actor: str


class MarginRuleList(Document):
    """Rules, oldest first."""

    items: list[MarginRule]


class NewMarginRule(Wish):
    """A rule to set."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"markup": "0.25"}]})
    markup: Exact = Field(gt=-1, le=1000, description="Share of the cost.")
    floor: MoneyWish | None = Field(default=None, description="Per accelerator-hour.")
    accelerator: Tag = Field(default="", description="Empty: every accelerator that has no rule of its own.")
    starts_at: Moment | None = None


class CheckFinding(Document):
    """One thing that breaks a law."""

    check: str
    subject: str
    sentence: str
    unknown: bool


class Check(Document):
    """A law and whether it holds."""

    name: str
    law: str
    looked_at: int
    holds: bool
    findings: list[CheckFinding]


class Examination(Document):
    """All laws."""

    at: datetime
    holds: bool
    checks: list[Check]
