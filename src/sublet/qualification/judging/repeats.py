"""Repeats of one measurement: how steady they are, and how far a node's distribution lies under its fleet's.

Sources: spread by percentiles and the one-sided distance of two distribution functions, which is the shortfall that a
job may expect (after SuperBench's comparison of distribution functions, USENIX ATC 2024).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from itertools import pairwise
from statistics import median

from sublet.qualification.judging.catalogue import finding, limit
from sublet.qualification.judging.values import Finding
from sublet.qualification.reading.nccl import Collective
from sublet.qualification.reading.values import Reading

_FEWEST = 3  # repeats that have a spread
_LARGE = 1 << 25  # bytes


def percentile(values: Sequence[float], share: float) -> float:
    """Linear between the two nearest values; `share` from 0 to 1. Raises ValueError for no values."""
    if not values:
        raise ValueError("no values have no percentile")
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (place - low) * (ordered[high] - ordered[low])


def spread(values: Sequence[float]) -> float:
    """(p90 - p10) / median, of positive values."""
    middle = median(values)
    return (percentile(values, 0.9) - percentile(values, 0.1)) / middle if middle > 0 else 0.0


def shortfall(node: Sequence[float], fleet: Sequence[float]) -> float:
    """Integral of max(0, F_node - F_fleet) over the rate, by the fleet's median: the share that the node is slower.

    0 for a node that is nowhere slower; for a node that is everywhere slower by a factor f, 1 - f.
    """
    if not node or not fleet or median(fleet) <= 0:
        return 0.0
    one, other = sorted(node), sorted(fleet)
    edges = sorted(set(one) | set(other))
    total = 0.0
    for low, high in pairwise(edges):
        gap = bisect_right(one, low) / len(one) - bisect_right(other, low) / len(other)
        total += max(0.0, gap) * (high - low)
    return total / median(fleet)


def judge_against_fleet(name: str, node: Sequence[float], fleet: Sequence[float]) -> Finding:
    """A node's samples of one measure against those of known good nodes of the same key; higher is better."""
    if not node or len(fleet) < limit("perf.fleet", "nodes"):
        few = f"{name}: {len(fleet)} samples of the fleet are too few to compare with"
        return finding("perf.fleet", "incomplete", few, "INFO")
    slower, ratio = shortfall(node, fleet), median(node) / median(fleet)
    if ratio > limit("perf.too_good", "share"):
        return finding("perf.too_good", "incomplete", f"{name} is {ratio:.0%} of the fleet's median: measure again")
    if slower > limit("perf.fleet", "share"):
        said = f"{name}: {slower:.1%} slower than the fleet"
        return finding("perf.fleet", "fail", said, efficiency=min(ratio, 1.0))
    return finding("perf.fleet", "pass", f"{name} is as fast as the fleet", efficiency=min(ratio, 1.05))


def judge_stability(repeats: Mapping[str, Sequence[float]]) -> list[Finding]:
    """One finding over all measures that were repeated: the least steady one."""
    spreads = {name: spread(values) for name, values in repeats.items() if len(values) >= _FEWEST}
    if not spreads:
        return []
    worst = max(spreads, key=lambda name: spreads[name])
    good = spreads[worst] <= limit("perf.stability", "spread")
    said = f"{worst}: {len(repeats[worst])} repeats spread over {spreads[worst]:.1%} of their median"
    return [finding("perf.stability", "pass" if good else "fail", said)]


def repeats_of(readings: Sequence[Reading]) -> dict[str, tuple[float, ...]]:
    """Bus bandwidths of runs of the same collective over the same ranks, by name and size."""
    found: dict[str, list[float]] = {}
    for reading in readings:
        run = reading.data
        if isinstance(run, Collective):
            for point in run.points:
                if point.size >= _LARGE and point.bus > 0:
                    key = f"{run.collective} over {run.ranks} ranks at {point.size >> 20} MiB"
                    found.setdefault(key, []).append(point.bus)
    return {name: tuple(values) for name, values in found.items()}
