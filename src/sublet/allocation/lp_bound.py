"""An upper bound on what any schedule of reservations can be worth, and the shadow price of a node in each slot.

The start-indexed LP (each request a fraction of one start, no slot over capacity) has the Lagrangian dual

    L(price) = capacity * sum(price) + sum over requests of max(0, value - nodes * cheapest window at these prices)

for any price >= 0, and by weak duality L bounds the LP and so every schedule. A projected subgradient with averaged
directions and steps that shrink when nothing is gained brings it down (Held, Wolfe and Crowder, "Validation of
subgradient optimization", Mathematical Programming 6, 1974).

Invariant: what is returned is L of the returned prices, as written above: a valid bound, however early it ends.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sublet.allocation.reserve_values import Demand, Floats

_AVERAGED = 0.8  # weight of the past in the direction
_FIRST_STEP = 0.03  # of the bound
_SHRINK, _PATIENCE = 0.9, 10  # the step shrinks by this after so many rounds without gain


@dataclass(frozen=True, eq=False)
class Bound:
    """`value` bounds every schedule from above; `price` per node and slot (slots,) proves it."""

    value: float
    price: Floats


def upper_bound(demand: Demand, rounds: int = 2_500) -> Bound:
    """The least bound found in `rounds` rounds; some 0.5 ms a round for a thousand requests."""
    if not len(demand):
        return Bound(0.0, np.zeros(demand.slots))
    starts = demand.last - demand.first + 1
    request = np.repeat(np.arange(len(demand)), starts)
    offset = np.concatenate([[0], np.cumsum(starts)[:-1]])
    start = np.arange(len(request)) - offset[request] + demand.first[request]
    end = start + demand.length[request]
    price = np.full(demand.slots, demand.value.sum() / (demand.nodes * demand.length).sum() * 0.7)
    best, best_price = np.inf, price
    step, idle = _FIRST_STEP, 0
    direction: Floats | None = None
    chosen = np.empty(len(demand), dtype=np.int64)
    for _ in range(rounds):
        summed = np.concatenate([[0.0], np.cumsum(price)])
        cost = summed[end] - summed[start]
        least = np.minimum.reduceat(cost, offset)
        gain = demand.value - demand.nodes * least
        value = float(demand.capacity * price.sum() + gain[gain > 0].sum())
        if value < best * (1 - 1e-7):
            best, best_price, idle = value, price, 0
        else:
            idle += 1
            if idle >= _PATIENCE:
                step, idle = step * _SHRINK, 0
        cheapest = np.flatnonzero(cost == least[request])
        chosen[request[cheapest][::-1]] = cheapest[::-1]  # the first of equals
        served = chosen[gain > 0]
        change = np.zeros(demand.slots + 1)
        np.add.at(change, start[served], demand.nodes[gain > 0])
        np.add.at(change, end[served], -demand.nodes[gain > 0])
        slack = demand.capacity - np.cumsum(change)[:-1]
        direction = slack if direction is None else _AVERAGED * direction + (1 - _AVERAGED) * slack
        inward = np.where((price <= 0) & (direction > 0), 0.0, direction)
        length = float(inward @ inward)
        if length < 1e-12:
            break
        price = np.maximum(0.0, price - step * best / length * inward)
    return Bound(best, best_price)
