"""What the engine knows and sees of one lease, as values: the input of `decide`.

A lease has slots, one per node of the gang; a slot holds one node at a time. When the node of a slot is replaced the
slot's generation grows, and so does the idempotency key: a key never makes two different things.

Invariant: nothing in here was guessed. What the provider did not say is absent, and its state reads "unknown".
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum

from sublet.broker.leases.states import State
from sublet.units import Money


class SlotState(StrEnum):
    """Where the node of one slot stands."""

    WANTED = "wanted"  # booked; the provider was not asked
    ASKED = "asked"  # intent written; the provider was (or is about to be) asked
    FOUND = "found"  # at the provider, ours by tag
    PASSED = "passed"  # through the gate
    SERVING = "serving"  # the tenant's; metered
    STOPPED = "stopped"  # the guest shut it down; not metered
    BAD = "bad"  # rejected by the gate, failed or gone: to be replaced
    OVER = "over"  # its part is done: replaced, or the lease ended


@dataclass(frozen=True)
class Slot:
    """One place of the gang and the node that holds it now."""

    number: int
    generation: int
    node_id: str
    state: SlotState
    key: str  # idempotency key of the `create` that makes this node
    ref: str = ""  # the provider's name, once found
    asked_at: dt.datetime | None = None  # last time `create` was called with the key
    answered: bool = False  # `create` returned: what is missing then is missing, not late
    serving_since: dt.datetime | None = None
    metered_until: dt.datetime | None = None
    search_at: dt.datetime | None = None  # not before: the next search for a replacement, or the next check
    checks: int = 0  # how often the gate could not tell
    reason: str = ""
    failed: str = ""  # why the operator, or another lease, calls its node failed, whatever the provider shows
    taken: bool = False  # wanted, and still at the provider in the name of the lease that had the node before


@dataclass(frozen=True)
class Lost:
    """A node that has to go and is not proven gone: rejected, dead, a duplicate, or the lease's own at its end."""

    ref: str
    asked_at: dt.datetime | None = None  # last `terminate`


@dataclass(frozen=True)
class LeaseFacts:
    """Everything stored about a lease that a decision may rest on."""

    id: str
    provider: str
    tag: str
    state: State
    starts_at: dt.datetime
    ends_at: dt.datetime
    slots: tuple[Slot, ...]
    version: int = 0
    changed_at: dt.datetime | None = None  # entered `state`
    before: State | None = None  # the state before `unknown`
    outcome: State | None = None  # how it will close when it never served
    active_at: dt.datetime | None = None
    end_requested_at: dt.datetime | None = None
    seen_at: dt.datetime | None = None  # last time that every node in service was seen
    alerted_at: dt.datetime | None = None
    stopped_at: dt.datetime | None = None  # since when no node serves
    quiet_since: dt.datetime | None = None  # since when nothing is seen at the end
    lost: tuple[Lost, ...] = ()

    @property
    def served(self) -> bool:
        """Whether billing ever started."""
        return self.active_at is not None


@dataclass(frozen=True)
class Seen:
    """One node as the provider shows it now."""

    ref: str
    state: str  # providers.protocol.NodeState
    node_id: str = ""  # the broker's node it was made for; "" where the provider cannot say
    reason: str = ""
    address: str = ""


@dataclass(frozen=True)
class Observation:
    """One look at the provider on behalf of one lease."""

    at: dt.datetime
    answered: bool  # False: the provider did not answer; nothing else in here means anything then
    complete: bool = False  # nothing of this tag is missing from `nodes`
    nodes: tuple[Seen, ...] = ()
    absent: frozenset[str] = frozenset()  # refs that it neither lists nor knows: no proof that they are gone
    reason: str = ""

    def by_ref(self) -> Mapping[str, Seen]:
        """ref -> what was seen."""
        return {seen.ref: seen for seen in self.nodes}


@dataclass(frozen=True)
class Lease:
    """A lease as its tenant and the operator read it."""

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
    state: State
    reason: str
    starts_at: dt.datetime
    ends_at: dt.datetime
    created_at: dt.datetime
    price_per_accelerator_hour: Money
    active_at: dt.datetime | None = None
    ended_at: dt.datetime | None = None
    end_requested_at: dt.datetime | None = None
    ended_by: str = ""  # "tenant", "time", "provider", "operator"; "" while it runs
    seen_at: dt.datetime | None = None
    accrued_at: dt.datetime | None = None
    version: int = 0
    terms: Mapping[str, object] = field(default_factory=dict)
    members: tuple[Member, ...] = ()

    @property
    def node_ids(self) -> tuple[str, ...]:
        """The broker's nodes that hold the slots now, in slot order."""
        return tuple(member.node_id for member in self.members if member.current)

    @property
    def hours(self) -> Decimal:
        """Booked length."""
        return Decimal((self.ends_at - self.starts_at) // dt.timedelta(microseconds=1)) / Decimal(3_600_000_000)


@dataclass(frozen=True)
class Member:
    """One node that a lease has, or had, for its reader."""

    slot: int
    node_id: str
    state: SlotState
    current: bool = True  # False: another node took its place
    ref: str = ""
    address: str = ""
    reason: str = ""
    serving_since: dt.datetime | None = None
    served_until: dt.datetime | None = None
    certificate: Mapping[str, object] | None = None


@dataclass(frozen=True)
class LeaseEvent:
    """One line of a lease's history."""

    number: int  # ascends as events are committed
    id: str
    lease_id: str
    at: dt.datetime
    kind: str  # "state", "notice", "node", "change", "alert"
    state: State
    reason: str
    details: Mapping[str, object] = field(default_factory=dict)
