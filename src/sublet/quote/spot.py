"""How often a spot machine would be taken away, from the bands that a provider publishes.

A band says what share of instances of a type was interrupted within a month. A run needs all of its nodes at once, so
that any one of them stops it: with a share f a month per node, k nodes see one interruption every
730.5 h / (k x -ln(1 - f)) in the mean. Invariant: what is not published is not estimated.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import date

HOURS_PER_MONTH = 730.5


@dataclass(frozen=True)
class Band:
    """The published band of one instance type in one region: shares of instances interrupted in a month."""

    text: str  # as published: "5-10%"
    low: float
    high: float
    seen_at: date


def band(text: str, seen_at: date) -> Band | None:
    """The band that a text such as "<5%", "5-10%" or ">20%" means; None where it is none."""
    plain = text.strip().removesuffix("%")
    try:
        if plain.startswith("<"):
            return Band(text, 0.0, float(plain[1:]) / 100.0, seen_at)
        if plain.startswith(">"):
            return Band(text, float(plain[1:]) / 100.0, 1.0, seen_at)
        low, high = plain.split("-")
        return Band(text, float(low) / 100.0, float(high) / 100.0, seen_at)
    except ValueError:
        return None


def hours_between(share: float, nodes: int) -> float:
    """Mean hours between two interruptions of a run on `nodes` nodes, `share` of which is interrupted in a month."""
    if share <= 0.0:
        return math.inf
    if share >= 1.0:
        return 0.0
    return HOURS_PER_MONTH / (nodes * -math.log1p(-share))


def sentence(found: Band, nodes: int) -> str:
    """What a band means for a run, in one sentence."""
    shortest, longest = hours_between(found.high, nodes), hours_between(found.low, nodes)
    if math.isinf(longest):
        gap = f"at least {_hours(shortest)} apart in the mean"
    elif shortest == 0.0:
        gap = f"at most {_hours(longest)} apart in the mean"
    else:
        gap = f"{_hours(shortest)} to {_hours(longest)} apart in the mean"
    machine = "this node" if nodes == 1 else f"{nodes:,} nodes"
    return f"{found.text} of such instances were interrupted in a month (seen {found.seen_at}): on {machine} {gap}"


def _hours(value: float) -> str:
    return f"{value:,.0f} h" if value >= 10 else f"{value:.1f} h"
