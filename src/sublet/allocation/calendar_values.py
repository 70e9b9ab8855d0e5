"""What goes into the calendar and what comes out: an ask, a booking, a refusal.

Invariant: a booking's times are exact seconds; slots are the cache's business and never leave it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from sublet.errors import InputError

Locality = Literal["same-leaf", "same-pod", "any"]
LOCALITIES: tuple[Locality, ...] = ("same-leaf", "same-pod", "any")
SYSTEM = "system"  # the tenant whose bookings are outages and maintenance
Reason = Literal["too-large", "beyond-horizon", "pool-full", "fragmented"]


@dataclass(frozen=True, slots=True)
class Ask:
    """`nodes` nodes at once for `duration_s` seconds, begun in [earliest_s, latest_s]; a None latest means: then only.

    `locality` bounds how far apart they may be; `tags` are required of every node.
    """

    nodes: int
    duration_s: int
    earliest_s: int
    latest_s: int | None = None
    locality: Locality = "any"
    tags: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        if self.nodes < 1 or self.duration_s < 1:
            raise InputError(f"an ask of {self.nodes} nodes for {self.duration_s} s: both must be 1 or more")
        if self.latest_s is not None and self.latest_s < self.earliest_s:
            raise InputError(f"the latest start {self.latest_s} s is before the earliest, {self.earliest_s} s")
        if self.locality not in LOCALITIES:
            raise InputError(f"locality {self.locality!r} is not known: give one of {', '.join(LOCALITIES)}")


@dataclass(frozen=True, slots=True)
class Booking:
    """Nodes that are `holder`'s in [start_s, end_s). A confirmed one never moves.

    `leaves` is how many leaves it touches and `least_leaves` how many would have done (0 where nobody counted).
    """

    booking_id: str
    holder: str
    node_ids: tuple[str, ...]
    start_s: int
    end_s: int
    confirmed: bool = True
    leaves: int = 0
    least_leaves: int = 0

    @property
    def locality_score(self) -> float:
        """Leaves used / fewest that could hold it: 1.0 is as close as can be; 0 where nobody counted."""
        return self.leaves / self.least_leaves if self.least_leaves else 0.0


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why an ask found no place.

    `too-large`: no leaf, pod or pool is that big; `beyond-horizon`: it would end after the calendar does; `pool-full`:
    never that many nodes free at once; `fragmented`: enough are free, but not the same ones throughout, or too far
    apart.
    """

    reason: Reason
    sentence: str


@dataclass(frozen=True, slots=True)
class Spot:
    """A place found and not yet taken: exact start and end, and the nodes."""

    node_ids: tuple[str, ...]
    start_s: int
    end_s: int
    leaves: int
    least_leaves: int
