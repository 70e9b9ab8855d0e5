"""Order among quotes: the Pareto set of (finish time, cost), the views, and one best row of many alike.

Ranking is neutral. Ties are broken by, in this order: the price seen last, a digest of the question's date and the
provider's name (so that no provider is always first), instance type, region, market, accelerator, count.
Invariant: the order depends on the offers and the question, never on the order in which the offers are listed.
"""

from __future__ import annotations

from datetime import date
from hashlib import blake2b

import numpy as np

from sublet.quote.columns import Bools, Columns, Floats, Ints, combined, ranks
from sublet.workload.job import Constraints

VIEWS = {
    "best": "the view that the constraints ask for: fastest with a budget alone, else cheapest",
    "cheapest": "least cost first",
    "fastest": "soonest finished first",
    "value": "most model FLOP per dollar first",
    "pareto": "only what no other offer beats in both time and cost, soonest finished first",
    "all": "as best, every offer on a row of its own",
}


def order_of(view: str, constraints: Constraints) -> str:
    """The order that a view means for a job: "cheapest", "fastest", "value" or "pareto"."""
    if view in ("best", "all"):
        return "fastest" if constraints.budget is not None and constraints.deadline_s is None else "cheapest"
    return view


def pareto(time: Floats, cost: Floats) -> Bools:
    """Which points no other point dominates: none is at most as long and as dear, and less in one of the two.

    Equal points are kept together. O(n log n); arrays of one length, any unit.
    """
    order = np.lexsort((cost, time))
    t, c = time[order], cost[order]
    fresh = np.ones(len(order), dtype=np.bool_)
    fresh[1:] = (t[1:] != t[:-1]) | (c[1:] != c[:-1])
    lowest_before = np.concatenate(([np.inf], np.minimum.accumulate(c)[:-1])) if len(c) else c
    on_front = c < lowest_before  # an equal copy of a front point is not lower: take its first copy's verdict
    first = np.maximum.accumulate(np.where(fresh, np.arange(len(order)), 0)) if len(order) else order
    result = np.zeros(len(order), dtype=np.bool_)
    result[order] = on_front[first]
    return result


def tie_break(columns: Columns, as_of: date) -> Ints:
    """One integer per offer, smaller first: the documented order among offers that are equal in time and cost."""
    provider = ranks(columns.provider, lambda name: blake2b(f"{as_of}:{name}".encode(), digest_size=8).hexdigest())
    parts = [
        columns.seen.max() - columns.seen if len(columns) else columns.seen,
        provider,
        ranks(columns.shape, str),
        ranks(columns.region, str),
        ranks(columns.market, str),
        ranks(columns.identity, "\0".join),
        columns.unit,
        ranks(columns.feed, str),
    ]
    return combined(*parts)


def order(trust: Ints, goal: Floats, other: Floats, tie: Ints) -> Ints:
    """Indices, best first: by trust, then the least `goal`, then the least `other`, then the documented ties."""
    return np.lexsort((tie, other, goal, trust))


def best_of_each(ordered: Ints, key: Ints) -> Ints:
    """The first of `ordered` for every distinct key of `key`, in order."""
    _, first = np.unique(key[ordered], return_index=True)
    return ordered[np.sort(first)]
