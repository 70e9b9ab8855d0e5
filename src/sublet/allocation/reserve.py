"""Accept or refuse reservations one by one as they come, at once and for good, by bid price or first come first served.

Invariant: a decision looks at what was submitted before it and at nothing else; an accepted request keeps its start;
every decision says why.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sublet.allocation.bidprice import Forecast, bid_prices, forecast
from sublet.allocation.reserve_values import OUT, Demand, Floats, Ints, Schedule

Verdict = Literal["accepted", "no-room", "below-bid"]
_CALIBRATE_SLOTS = 24  # the forecast is made anew when so many slots have gone by


@dataclass(frozen=True, slots=True)
class Decision:
    """What became of a request: `bid` is what its cheapest feasible start would have displaced (0 where none)."""

    request_id: str
    verdict: Verdict
    start: int
    value: float
    bid: float


def accept_by_bid_price(demand: Demand) -> tuple[Schedule, tuple[Decision, ...]]:
    """Accept what is worth at least the bid price of its cheapest feasible start, and begin it there."""
    free = np.full(demand.slots, demand.capacity, dtype=np.int64)
    start = np.full(len(demand), OUT, dtype=np.int64)
    decisions: list[Decision] = []
    known = Forecast(np.zeros(0), np.zeros((1, 0)))
    due = -np.inf
    for at in range(len(demand)):
        now = float(demand.submit[at])
        if at and now >= due:
            known = forecast(demand, at, now, demand.slots)
            due = (now // _CALIBRATE_SLOTS + 1) * _CALIBRATE_SLOTS
        low, high = int(demand.first[at]), int(demand.last[at] + demand.length[at])
        prices = bid_prices(known, free[low:high], low - int(now))
        decision = decide(demand, at, free, prices)
        decisions.append(decision)
        _take(demand, at, decision.start, free, start)
    return Schedule(start), tuple(decisions)


def accept_first_come(demand: Demand) -> Schedule:
    """Accept whatever fits, at its earliest: the baseline."""
    free = np.full(demand.slots, demand.capacity, dtype=np.int64)
    start = np.full(len(demand), OUT, dtype=np.int64)
    for at in range(len(demand)):
        feasible = feasible_starts(demand, at, free)
        _take(demand, at, int(feasible[0]) if len(feasible) else OUT, free, start)
    return Schedule(start)


def decide(demand: Demand, at: int, free: Ints, prices: Floats) -> Decision:
    """Whether request `at` is taken, and where; `prices` per node and slot over its whole window (slots,)."""
    value = float(demand.value[at])
    feasible = feasible_starts(demand, at, free)
    if not len(feasible):
        return Decision(demand.ids[at], "no-room", OUT, value, 0.0)
    summed = np.concatenate([[0.0], np.cumsum(prices)])
    offset = feasible - demand.first[at]
    bids = (summed[offset + demand.length[at]] - summed[offset]) * demand.nodes[at]
    cheapest = int(bids.argmin())
    bid = float(bids[cheapest])
    if value < bid:
        return Decision(demand.ids[at], "below-bid", OUT, value, bid)
    return Decision(demand.ids[at], "accepted", int(feasible[cheapest]), value, bid)


def feasible_starts(demand: Demand, at: int, free: Ints) -> NDArray[np.int64]:
    """The slots in which request `at` could begin, ascending; `free` nodes (slots,)."""
    low, length = int(demand.first[at]), int(demand.length[at])
    short = free[low : int(demand.last[at]) + length] < demand.nodes[at]
    before = np.zeros(len(short) + 1, dtype=np.int64)
    np.cumsum(short, out=before[1:])
    starts: NDArray[np.int64] = np.flatnonzero(before[length:] == before[:-length]) + low
    return starts


def _take(demand: Demand, at: int, slot: int, free: Ints, start: Ints) -> None:
    if slot != OUT:
        start[at] = slot
        free[slot : slot + int(demand.length[at])] -= demand.nodes[at]
