"""Contracts, blocks, nodes and capacity as values, and the table of what a node's state may become."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

from sublet.units import Money


class NodeState(StrEnum):
    """Where a node stands in its life with us."""

    DELIVERED = "delivered"
    HEALTHY = "healthy"
    CORDONED = "cordoned"
    DRAINING = "draining"
    MAINTENANCE = "maintenance"
    FAILED = "failed"
    RETURNED = "returned"


MEANING: Mapping[NodeState, str] = {
    NodeState.DELIVERED: "the provider handed it over; nobody has proved it yet, each lease qualifies it first",
    NodeState.HEALTHY: "it passed its checks",
    NodeState.CORDONED: "it takes no new bookings; those it has stand",
    NodeState.DRAINING: "it takes no new bookings and is wanted back when the last one ends",
    NodeState.MAINTENANCE: "hands are on it",
    NodeState.FAILED: "it does not work",
    NodeState.RETURNED: "it is the provider's again",
}

OPEN = frozenset({NodeState.DELIVERED, NodeState.HEALTHY})
"""States in which a node takes new bookings."""

RANK: Mapping[NodeState, int] = {state: int(state is not NodeState.HEALTHY) for state in NodeState}
"""Of two nodes that fit alike, the one proved healthy is booked first."""

MOVES: Mapping[NodeState, frozenset[NodeState]] = {
    **dict.fromkeys(NodeState, frozenset(NodeState)),
    NodeState.FAILED: frozenset(NodeState) - {NodeState.HEALTHY},  # it is delivered anew, and proved again
    NodeState.RETURNED: frozenset(),
}
"""State -> the states that may follow it; to follow itself changes the reason alone."""


@dataclass(frozen=True)
class Contract:
    """An agreement with a provider: what it sells us, at what price, for how long, and what we promised to take."""

    id: str
    provider: str
    accelerator: str
    shape: str
    accelerators_per_node: int
    price_per_node_hour: Money
    starts_at: datetime
    ends_at: datetime
    region: str
    minimum_node_hours: Decimal  # we pay at least these; 0 where nothing was promised
    tags: Mapping[str, str]
    created_at: datetime
    returning_since: datetime | None = None  # its nodes are drained and go back one by one
    return_reason: str = ""
    closed_at: datetime | None = None  # every node is back


@dataclass(frozen=True)
class Block:
    """Nodes x time that was bought under a contract, at one price."""

    id: str
    contract_id: str
    nodes: int
    cluster: str  # nodes of one cluster share a fabric
    price_per_node_hour: Money
    starts_at: datetime
    ends_at: datetime
    created_at: datetime


@dataclass(frozen=True)
class Node:
    """One node of a block."""

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
    reason: str  # why it is in that state
    state_since: datetime
    tags: Mapping[str, str]
    sold: Mapping[str, Any]  # what the provider says that it is: "cpus", "memory_bytes", ...
    starts_at: datetime  # of its block
    ends_at: datetime
    price_per_node_hour: Money  # what it costs us

    @property
    def is_open(self) -> bool:
        """Whether it takes new bookings."""
        return self.state in OPEN


@dataclass(frozen=True)
class Capacity:
    """Nodes of one shape at an instant, in the four words of the field (delivered, healthy, reserved, in use).

    Every figure counts nodes among the delivered; `free` ones could be leased at that instant.
    """

    provider: str
    shape: str
    accelerator: str
    accelerators_per_node: int
    delivered: int  # in a block that runs, not returned
    healthy: int  # proved, and neither in maintenance nor in an outage
    reserved: int  # held for a tenant
    in_use: int  # of those, the ones whose lease runs
    free: int  # take bookings and are held by nothing
    out: int  # held by maintenance or an outage


@dataclass(frozen=True)
class Position:
    """How a contract stands at an instant: what we bought, what of it was held for tenants, what we owe at least."""

    contract_id: str
    node_hours_bought: Decimal  # over the whole term of its blocks, returned nodes up to their return
    node_hours_delivered: Decimal  # of those, until that instant
    node_hours_reserved: Decimal  # of those, held by leases
    node_hours_short: Decimal  # of the minimum that we promised, not bought yet
    cost: Money  # of the node-hours delivered
    cost_short: Money  # of the node-hours short, at the contract's price: owed for nothing
