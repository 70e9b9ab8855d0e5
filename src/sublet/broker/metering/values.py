"""What metering takes and hands out. All intervals are half-open, [start, end), of aware times."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Protocol

MICROSECOND = timedelta(microseconds=1)
HOUR_US = 3_600_000_000

KINDS: dict[str, str] = {
    "service": "in the tenant's hands",
    "qualification": "being checked before service",
    "lost": "dead, gone or not seen",
    "stopped": "shut down by the guest",
}
"""What a node did in a usage record. Only "service" is billable; every kind costs us."""


class Leased(Protocol):
    """What metering has to know of a lease; `leases.values.Lease` is one."""

    @property
    def id(self) -> str: ...
    @property
    def organisation(self) -> str: ...
    @property
    def project(self) -> str: ...
    @property
    def provider(self) -> str: ...
    @property
    def accelerator(self) -> str: ...
    @property
    def accelerators_per_node(self) -> int: ...


@dataclass(frozen=True)
class Interval:
    """One node for [start, end)."""

    node_id: str
    start: datetime
    end: datetime

    @property
    def microseconds(self) -> int:
        """Length, exactly."""
        return (self.end - self.start) // MICROSECOND


@dataclass(frozen=True)
class Usage(Interval):
    """One usage record: never changed once written."""

    id: str
    lease_id: str
    number: int  # counts the lease's records from 1
    organisation: str
    project: str
    provider: str
    accelerator: str
    accelerators: int
    billable: bool
    kind: str  # one of KINDS
    reason: str  # why it is not billable, as a sentence; "" where it is
    source: str  # whose fact it is: "engine", "provider", ...
    recorded_at: datetime


@dataclass(frozen=True)
class Finding:
    """Something wrong with the records of a lease; `kind` is "gap", "overlap", "outside" or "numbering"."""

    lease_id: str
    kind: str
    node_id: str
    start: datetime | None
    end: datetime | None
    sentence: str


@dataclass(frozen=True)
class Claim(Interval):
    """The provider's own word: this node ran (or was invoiced) for that time. An open end is the time of asking."""

    source: str = ""


@dataclass(frozen=True)
class Difference(Interval):
    """Where records and claims disagree: "unclaimed" is metered and not at the provider, "unmetered" the reverse."""

    lease_id: str
    kind: str
    sentence: str


@dataclass(frozen=True)
class Total:
    """Usage of one lease, summed."""

    lease_id: str
    organisation: str
    project: str
    provider: str
    accelerator: str
    node_hours: Decimal  # billable
    accelerator_hours: Decimal  # billable
    free_node_hours: Decimal  # not billable
    first: datetime
    last: datetime


def hours(microseconds: int) -> Decimal:
    """Hours of a length, to 28 digits: for reading, never for money."""
    return Decimal(microseconds) / HOUR_US
