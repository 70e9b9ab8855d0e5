"""Advance reservations: what is asked for, and a schedule of what is accepted and when it begins.

Invariant: a schedule never holds more nodes than there are, and every accepted request lies whole inside its window;
`check` says so without trusting whoever made it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sublet.errors import InputError

OUT = -1  # the start of a request that is not in the schedule
Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Request:
    """`nodes` nodes for `duration_s` within [earliest_s, deadline_s], worth `value` (any one currency)."""

    request_id: str
    tenant: str
    submit_s: float
    duration_s: float
    nodes: int
    earliest_s: float
    deadline_s: float
    value: float


@dataclass(frozen=True, eq=False)
class Demand:
    """Requests that can be met at all, as arrays (requests,) on a grid of slots, in order of submission.

    `submit` in slots (fractional); `length` slots; a start lies in [first, last]; `slots` ends the grid; `capacity`
    nodes. `impossible` holds the ids of those that no empty pool could serve.
    """

    ids: tuple[str, ...]
    submit: Floats
    length: Ints
    nodes: Ints
    first: Ints
    last: Ints
    value: Floats
    capacity: int
    slots: int
    slot_s: int
    impossible: tuple[str, ...] = ()
    asked_value: float = 0.0

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def density(self) -> Floats:
        """Value per node and slot, (requests,)."""
        area: Floats = (self.nodes * self.length).astype(np.float64)
        density: Floats = self.value / area
        return density


def demand_of(requests: Sequence[Request], capacity: int, slot_s: int = 3_600) -> Demand:
    """The demand on a pool of `capacity` nodes: earliest starts and durations rounded up, deadlines down, to slots."""
    if capacity < 1 or slot_s < 1:
        raise InputError(f"a pool of {capacity} nodes in slots of {slot_s} s: both must be 1 or more")
    ordered = sorted(requests, key=lambda request: (request.submit_s, request.request_id))
    rows: list[tuple[Request, int, int, int]] = []
    impossible: list[str] = []
    for request in ordered:
        length = math.ceil(request.duration_s / slot_s)
        first = math.ceil(max(request.earliest_s, request.submit_s) / slot_s)
        last = math.floor(request.deadline_s / slot_s) - length
        if request.nodes > capacity or last < first:
            impossible.append(request.request_id)
        else:
            rows.append((request, length, first, last))

    def ints(values: list[int]) -> Ints:
        return np.array(values, dtype=np.int64)

    return Demand(
        ids=tuple(request.request_id for request, *_ in rows),
        submit=np.array([request.submit_s / slot_s for request, *_ in rows], dtype=np.float64),
        length=ints([length for _, length, _, _ in rows]),
        nodes=ints([request.nodes for request, *_ in rows]),
        first=ints([first for _, _, first, _ in rows]),
        last=ints([last for *_, last in rows]),
        value=np.array([request.value for request, *_ in rows], dtype=np.float64),
        capacity=capacity,
        slots=max((last + length for _, length, _, last in rows), default=0),
        slot_s=slot_s,
        impossible=tuple(impossible),
        asked_value=math.fsum(request.value for request in requests),
    )


@dataclass(frozen=True, eq=False)
class Schedule:
    """Start slot of each request of a demand, or OUT; int64 (requests,)."""

    start: Ints

    @property
    def accepted(self) -> int:
        """How many are in."""
        return int(np.count_nonzero(self.start != OUT))


def value_of(demand: Demand, schedule: Schedule) -> float:
    """What the accepted requests are worth together."""
    return math.fsum(demand.value[schedule.start != OUT].tolist())


def free_nodes(demand: Demand, schedule: Schedule) -> Ints:
    """Nodes that the schedule leaves free, int64 (slots,)."""
    inside = schedule.start != OUT
    change = np.zeros(demand.slots + 1, dtype=np.int64)
    np.add.at(change, schedule.start[inside], demand.nodes[inside])
    np.add.at(change, (schedule.start + demand.length)[inside], -demand.nodes[inside])
    return demand.capacity - np.cumsum(change)[:-1]


def utilisation(demand: Demand, schedule: Schedule) -> float:
    """Booked share of the node slots from 0 to the last deadline."""
    if not demand.slots:
        return 0.0
    return 1.0 - float(free_nodes(demand, schedule).sum()) / (demand.capacity * demand.slots)


def check(demand: Demand, schedule: Schedule) -> None:
    """InputError where the schedule holds too many nodes in a slot, or a request outside its window."""
    inside = np.flatnonzero(schedule.start != OUT)
    outside = (schedule.start[inside] < demand.first[inside]) | (schedule.start[inside] > demand.last[inside])
    if outside.any():
        at = int(inside[outside][0])
        raise InputError(
            f"request {demand.ids[at]!r} begins in slot {schedule.start[at]}, and may only in"
            f" {demand.first[at]} to {demand.last[at]}"
        )
    least = int(free_nodes(demand, schedule).min(initial=0))
    if least < 0:
        raise InputError(f"the schedule holds {-least} nodes more than there are, {demand.capacity}")
