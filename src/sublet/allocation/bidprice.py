"""What a node and slot must bring: the price at which the demand still to come would just fill what is still free.

For a slot that lies `lead` slots ahead, the requests seen so far say how many nodes later ones will want in it: each
seen request is taken to come again at the seen rate, with its own notice, length, size and value density. Of those only
the ones that would be submitted between now and the slot count. The bid price is the density at which the wanted nodes,
richest first, use up the free ones: zero while all expected demand fits, rising ever faster as the slot is booked.
This is the fluid (certainty-equivalent) form of bid-price control in revenue management, cf. Talluri and van Ryzin,
"An Analysis of Bid-Price Controls for Network Revenue Management", Management Science 44 (1998).

Invariant: nothing submitted after `now` is looked at, no parameter is fitted; fewer free nodes never lower a price.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sublet.allocation.reserve_values import Demand, Floats, Ints

MEMORY = 4_000  # most recent requests that a forecast stands on
_SETTLING_SLOTS = 24.0  # the rate is not measured over less than this


@dataclass(frozen=True, eq=False)
class Forecast:
    """Expected demand: `density` (seen,) falling; `wanted` (leads, seen), nodes wanted at that density or above."""

    density: Floats
    wanted: Floats


def forecast(demand: Demand, seen: int, now: float, leads: int) -> Forecast:
    """The forecast at slot `now` from the first `seen` requests of the demand, for 0 .. `leads` slots ahead."""
    low = max(0, seen - MEMORY)
    some = slice(low, seen)
    elapsed = max(now - (demand.submit[low] if low else 0.0), _SETTLING_SLOTS)
    density = demand.density[some]
    order = np.argsort(-density, kind="stable")
    notice = (demand.first[some] - demand.submit[some])[order]  # from the submission to the earliest start
    until = notice + demand.length[some][order]
    ahead = np.arange(leads + 1)[:, None]
    covered = np.minimum(until, ahead) - np.maximum(notice, 0.0)  # slots of submission from which it covers this one
    np.maximum(covered, 0.0, out=covered)
    covered *= demand.nodes[some][order] / elapsed
    return Forecast(density[order], np.cumsum(covered, axis=1, out=covered))


def bid_prices(known: Forecast, free: Ints, lead: int) -> Floats:
    """Price per node and slot for the slots `lead`, `lead` + 1, .. ahead, of which `free` nodes are free; (slots,)."""
    if not len(known.density):
        return np.zeros(len(free))
    top = len(known.wanted) - 1
    ahead = np.clip(np.arange(lead, lead + len(free)), 0, top)
    fitting = (known.wanted[ahead] < free[:, None]).sum(axis=1)
    prices: Floats = np.append(known.density, 0.0)[fitting]
    return prices
