"""What the API says, as frozen dataclasses: the same fields as on the wire, with money and times as what they are.

Invariant: a field that a newer server adds is ignored, so an older client goes on working.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from sublet.units import Money


@dataclass(frozen=True)
class Me:
    """Who the token is."""

    id: str
    kind: str
    organisation: str | None
    project: str | None
    role: str
    scopes: tuple[str, ...]
    may: tuple[str, ...]


@dataclass(frozen=True)
class Organisation:
    """A tenant, or the operator's own house."""

    id: str
    name: str
    kind: str
    tier: int
    created_at: datetime
    group: str | None = None


@dataclass(frozen=True)
class Project:
    """Where money is spent. `etag` goes with a change, so that nobody's is lost."""

    id: str
    organisation: str
    name: str
    budget: Money | None
    needs_approval: bool
    hard_stop: bool
    created_at: datetime


@dataclass(frozen=True)
class Person:
    """Somebody with a role."""

    id: str
    organisation: str | None
    name: str
    email: str
    role: str
    created_at: datetime


@dataclass(frozen=True)
class Token:
    """A service token without its secret."""

    id: str
    organisation: str | None
    project: str | None
    name: str
    role: str
    scopes: tuple[str, ...]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None


@dataclass(frozen=True)
class IssuedToken:
    """A token and its secret, which is shown this once."""

    token: Token
    secret: str | None


@dataclass(frozen=True)
class Contract:
    """What a provider sells."""

    id: str
    provider: str
    accelerator: str
    shape: str
    accelerators_per_node: int
    price_per_node_hour: Money
    starts_at: datetime
    ends_at: datetime
    region: str
    minimum_node_hours: Decimal
    tags: Mapping[str, str]
    created_at: datetime
    returning_since: datetime | None = None
    return_reason: str = ""
    closed_at: datetime | None = None


@dataclass(frozen=True)
class Block:
    """Nodes for a time that were bought under a contract."""

    id: str
    contract_id: str
    nodes: int
    cluster: str
    price_per_node_hour: Money
    starts_at: datetime
    ends_at: datetime
    created_at: datetime


@dataclass(frozen=True)
class Cap:
    """The most that may be held at one instant, future bookings included; None: no limit in that dimension."""

    kind: str
    subject: str
    nodes: int | None
    accelerators: int | None
    reason: str
    set_at: datetime | None
    set_by: str


@dataclass(frozen=True)
class CapStatus:
    """A limit that bears on an organisation, and how far it is used."""

    kind: str
    name: str
    project: str | None
    limit_nodes: int | None
    limit_accelerators: int | None
    nodes: int
    accelerators: int
    most_nodes: int
    most_accelerators: int
    most_at: datetime


@dataclass(frozen=True)
class Position:
    """How a contract stands."""

    contract_id: str
    node_hours_bought: Decimal
    node_hours_delivered: Decimal
    node_hours_reserved: Decimal
    node_hours_short: Decimal
    cost: Money
    cost_short: Money | None = None


@dataclass(frozen=True)
class Node:
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
    state: str
    reason: str
    state_since: datetime
    tags: Mapping[str, str]
    sold: Mapping[str, Any]
    starts_at: datetime
    ends_at: datetime
    price_per_node_hour: Money


@dataclass(frozen=True)
class Proof:
    """What was found of a node outside of a lease."""

    id: str
    node: str
    verdict: str
    reason: str
    at: datetime
    measured: Mapping[str, Any]
    certificate: Mapping[str, Any]


@dataclass(frozen=True)
class Capacity:
    """Nodes of one shape at an instant."""

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


@dataclass(frozen=True)
class ProviderOffer:
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


@dataclass(frozen=True)
class ProviderOffers:
    """One connected provider."""

    provider: str
    offers: tuple[ProviderOffer, ...]
    error: str
    executes: bool
    notes: tuple[str, ...]


@dataclass(frozen=True)
class MarginRule:
    """Price = cost x (1 + markup), and not below the floor."""

    id: str
    accelerator: str
    markup: Decimal
    floor: Money | None
    starts_at: datetime
    actor: str


@dataclass(frozen=True)
class Booking:
    """One node for a time."""

    id: str
    node_id: str
    holder: str
    kind: str
    starts_at: datetime
    ends_at: datetime
    released_at: datetime | None
    reason: str = ""


@dataclass(frozen=True)
class Outage:
    """The time that was taken off the market, and the leases that lose it."""

    node_id: str
    bookings: tuple[Booking, ...]
    affected: tuple[str, ...]


@dataclass(frozen=True)
class Quote:
    """A promise of price and terms, until it expires."""

    id: str
    organisation: str
    project: str
    accelerator: str
    shape: str
    nodes: int
    count: int
    price_per_accelerator_hour: Money
    price_per_hour: Money
    hours: Decimal
    price: Money
    estimate: Mapping[str, Any]
    terms: Mapping[str, Any]
    job: Mapping[str, Any]
    expires_at: datetime
    created_at: datetime
    created_by: str


@dataclass(frozen=True)
class Rejected:
    """Why machines were left out."""

    accelerator: str
    kind: str
    reason: str


@dataclass(frozen=True)
class Quoted:
    """Quotes that can be ordered, best first, and what was left out."""

    quotes: tuple[Quote, ...]
    rejected: tuple[Rejected, ...]
    market: tuple[Mapping[str, Any], ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Order:
    """The acceptance of a quote."""

    id: str
    organisation: str
    project: str
    quote_id: str
    state: str
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


@dataclass(frozen=True)
class WaitlistEntry:
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
    reasons: tuple[str, ...]
    looked_at: datetime


@dataclass(frozen=True)
class Member:
    """One node of a lease."""

    slot: int
    node_id: str
    state: str
    current: bool
    ref: str
    address: str
    reason: str
    serving_since: datetime | None
    served_until: datetime | None


@dataclass(frozen=True)
class Lease:
    """An agreement in force."""

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
    state: str
    reason: str
    starts_at: datetime
    ends_at: datetime
    created_at: datetime
    price_per_accelerator_hour: Money
    active_at: datetime | None
    ended_at: datetime | None
    end_requested_at: datetime | None
    seen_at: datetime | None
    version: int
    terms: Mapping[str, Any]
    members: tuple[Member, ...]


@dataclass(frozen=True)
class Certificate:
    """What the gate found of one node, signed by the broker."""

    slot: int
    node_id: str
    certificate: Mapping[str, Any] | None


@dataclass(frozen=True)
class LeaseEvent:
    """One line of a lease's history."""

    number: int
    id: str
    lease_id: str
    at: datetime
    kind: str
    state: str
    reason: str
    details: Mapping[str, Any]


@dataclass(frozen=True)
class Run:
    """A command on a node of a lease."""

    id: str
    lease: str
    node: str
    argv: tuple[str, ...]
    started_by: str
    started_at: datetime
    ended_at: datetime | None
    status: int | None
    reason: str
    seconds: float | None
    job: bool


@dataclass(frozen=True)
class Log:
    """Part of what a command wrote."""

    stream: str
    offset: int
    next: int
    text: str
    ended: bool


@dataclass(frozen=True)
class Usage:
    """One usage record."""

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


@dataclass(frozen=True)
class Cost:
    """What was charged under one name."""

    name: str
    charged: Money
    given_back: Money
    net: Money
    accelerator_hours: Decimal


@dataclass(frozen=True)
class RunningCost:
    """What a lease costs up to now."""

    lease: str
    at: datetime
    cost: Money


@dataclass(frozen=True)
class Budget:
    """How a project stands against its budget."""

    project: str
    budget: Money | None
    spent: tuple[Money, ...]
    committed: tuple[Money, ...]
    left: Money | None
    percent: Decimal | None
    warned: tuple[int, ...]
    hard_stop: bool


@dataclass(frozen=True)
class Receipt:
    """What was quoted, what came, what it cost; `document` is the whole of it."""

    id: str
    lease: str
    organisation: str
    project: str
    order: str
    issued_at: datetime
    outcome: str
    total: Money
    document: Mapping[str, Any]


@dataclass(frozen=True)
class LedgerLine:
    """One line of a transaction: debit above zero, credit below."""

    account: str
    amount: Money


@dataclass(frozen=True)
class Transaction:
    """A transaction of the ledger."""

    id: str
    at: datetime
    kind: str
    reference: str
    organisation: str | None
    project: str | None
    lease: str | None
    sentence: str
    lines: tuple[LedgerLine, ...]


@dataclass(frozen=True)
class Balance:
    """What stands on an account."""

    account: str
    amount: Money
    kind: str


@dataclass(frozen=True)
class Ledger:
    """The trial balance."""

    balances: tuple[Balance, ...]
    balanced: bool
    faults: tuple[str, ...]


@dataclass(frozen=True)
class MarginRow:
    """What is left of one currency."""

    name: str
    revenue: Money
    credits: Money
    cost: Money
    margin: Money
    ratio: Decimal | None
    accelerator_hours: Decimal
    node_hours: Decimal


@dataclass(frozen=True)
class AuditEntry:
    """One act as it stands in the audit log."""

    number: int
    at: datetime
    actor: str
    role: str
    organisation: str | None
    project: str | None
    address: str
    action: str
    target: str
    outcome: str
    reason: str
    details: Mapping[str, Any]
    digest: str


@dataclass(frozen=True)
class Chain:
    """Whether the audit log is whole."""

    entries: int
    broken_at: int | None
    sentence: str
    digest: str = ""  # of the last entry that holds


@dataclass(frozen=True)
class CheckFinding:
    """One thing that breaks a law."""

    check: str
    subject: str
    sentence: str
    unknown: bool


@dataclass(frozen=True)
class Check:
    """A law and whether it holds."""

    name: str
    law: str
    looked_at: int
    holds: bool
    findings: tuple[CheckFinding, ...]


@dataclass(frozen=True)
class Examination:
    """All laws."""

    at: datetime
    holds: bool
    checks: tuple[Check, ...]


@dataclass(frozen=True)
class Webhook:
    """An address that hears of events."""

    id: str
    organisation: str
    project: str | None
    url: str
    kinds: tuple[str, ...]
    created_at: datetime
    disabled_at: datetime | None
    disabled_why: str


@dataclass(frozen=True)
class MadeWebhook:
    """A webhook and the secret of its signatures, shown this once."""

    webhook: Webhook
    secret: str | None


@dataclass(frozen=True)
class Delivery:
    """One event on its way to one address."""

    id: str
    hook: str
    event: str
    kind: str
    state: str
    payload: Mapping[str, Any]
    created_at: datetime
    attempts: int
    next_at: datetime | None
    delivered_at: datetime | None
    last_status: int | None
    last_error: str
