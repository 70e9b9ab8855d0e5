"""The schedule that re-planning works on: put in, take out, undo, each in a few array operations.

Invariant: `free` is capacity less the nodes of all that is in, and never negative after a move is complete.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sublet.allocation.reserve_values import OUT, Demand, Floats, Schedule

_BLOCK = 8_192


class Dice:
    """Numbers of a seeded generator in [0, 1), drawn in blocks: one costs no call into NumPy."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self._left: list[float] = []

    def __call__(self) -> float:
        """The next number."""
        if not self._left:
            self._left = self._rng.random(_BLOCK).tolist()
        return self._left.pop()


class State:
    """Who is in and where. `worth` is each request's value over what its cheapest window costs at the shadow prices."""

    def __init__(self, demand: Demand, price: Floats, dice: Dice) -> None:
        self.dice = dice
        self.nodes: list[int] = demand.nodes.tolist()
        self.length: list[int] = demand.length.tolist()
        self.first: list[int] = demand.first.tolist()
        self.last: list[int] = demand.last.tolist()
        self.value: list[float] = demand.value.tolist()
        summed = np.concatenate([[0.0], np.cumsum(price)])
        self.cost = [
            summed[first + length : last + length + 1] - summed[first : last + 1]
            for first, last, length in zip(self.first, self.last, self.length, strict=True)
        ]
        cheapest = np.array([cost.min() for cost in self.cost]) * demand.nodes
        self.worth: list[float] = np.minimum(demand.value / np.maximum(cheapest, 1e-9), 50.0).tolist()
        self.free = np.full(demand.slots, demand.capacity, dtype=np.int32)
        self.start = np.full(len(demand), OUT, dtype=np.int64)
        self.end = np.full(len(demand), OUT, dtype=np.int64)
        self.at: list[int] = [OUT] * len(demand)  # the same as `start`, quicker to ask one by one
        self._before = np.zeros(demand.slots + 1, dtype=np.int32)

    def put(self, request: int, slot: int) -> None:
        """Begin `request` in `slot`, whether there is room or not."""
        end = slot + self.length[request]
        self.free[slot:end] -= self.nodes[request]
        self.at[request] = slot
        self.start[request], self.end[request] = slot, end

    def remove(self, request: int) -> None:
        """Take `request` out."""
        slot = self.at[request]
        self.free[slot : slot + self.length[request]] += self.nodes[request]
        self.at[request] = OUT
        self.start[request] = self.end[request] = OUT

    def insert(self, request: int) -> bool:
        """Put `request` where it fits: the earliest, the latest, the cheapest or any such slot, by chance."""
        low, length = self.first[request], self.length[request]
        cost = self.cost[request]
        short = self.free[low : self.last[request] + length] < self.nodes[request]
        count = len(cost)
        starts: NDArray[np.intp] | None = None
        if short.any():
            if count == 1:
                return False
            before = self._summed(short)
            starts = (before[length:] == before[:-length]).nonzero()[0]
            count = len(starts)
            if not count:
                return False
        chance = self.dice()
        if chance < 0.35:
            pick = 0
        elif chance < 0.5:
            pick = count - 1
        elif chance < 0.8:
            pick = int((cost if starts is None else cost[starts]).argmin())
        else:
            pick = int(self.dice() * count)
        self.put(request, low + (pick if starts is None else int(starts[pick])))
        return True

    def least_lack(self, request: int) -> int:
        """The slot in which `request` would lack the fewest node slots, the first of equals."""
        low, length = self.first[request], self.length[request]
        lack = np.maximum(self.nodes[request] - self.free[low : self.last[request] + length], 0)
        before = self._summed(lack)
        return low + int((before[length:] - before[:-length]).argmin())

    def out(self) -> list[int]:
        """Requests that are not in, ascending."""
        outside: list[int] = (self.start < 0).nonzero()[0].tolist()
        return outside

    def schedule(self) -> Schedule:
        """The starts, copied."""
        return Schedule(self.start.copy())

    def _summed(self, values: NDArray[np.generic]) -> NDArray[np.int32]:
        before = self._before[: len(values) + 1]
        np.cumsum(values, out=before[1:])
        return before
