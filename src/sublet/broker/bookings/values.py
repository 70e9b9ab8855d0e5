"""What the calendar hands out: a booking, and the calendar of one node as the pure functions of `calendar` take it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class Kind(StrEnum):
    """What takes a node out of the market for a while."""

    LEASE = "lease"
    MAINTENANCE = "maintenance"
    OUTAGE = "outage"


@dataclass(frozen=True)
class Booking:
    """One node for [starts_at, ends_at). An empty interval holds nothing: it was given back before it began."""

    id: str
    node_id: str
    holder: str  # a lease; for maintenance and outages, whatever asked for it
    kind: Kind
    starts_at: datetime
    ends_at: datetime
    released_at: datetime | None = None  # when it was given back; None while it stands
    reason: str = ""

    def covers(self, at: datetime) -> bool:
        """Whether the node is held at that instant."""
        return self.starts_at <= at < self.ends_at


@dataclass(frozen=True)
class NodeCalendar:
    """One node: open for bookings within [opens, closes), and taken for each interval of `busy`.

    `busy` is sorted and disjoint. Nodes of one `cluster` share a fabric, so a gang is placed within one. Of two nodes
    that fit alike the one of lower `rank` is taken.
    """

    node_id: str
    cluster: str
    opens: datetime
    closes: datetime
    rank: int = 0
    busy: tuple[tuple[datetime, datetime], ...] = field(default=())
