"""How far predictions are from measurements: statistics of the relative error, over all rows and over groups.

Invariant: an error is (predicted - measured) / measured, so +0.1 says that the estimate is a tenth too slow; a figure
of no rows is NaN, never zero.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

MEMORY_WRONG = "does not fit"

# upper bound (inclusive) -> name of the class; the last holds the rest
SIZES = (
    (1e9, "< 1 B"),
    (5e9, "1-5 B"),
    (15e9, "5-15 B"),
    (50e9, "15-50 B"),
    (150e9, "50-150 B"),
    (math.inf, "> 150 B"),
)
SEQUENCES = ((1024, "<= 1k"), (2048, "2k"), (4096, "4k"), (8192, "8k"), (32768, "16k-32k"), (math.inf, "> 32k"))
SCALES = (
    (8, "1-8"),
    (64, "9-64"),
    (512, "65-512"),
    (4096, "513-4,096"),
    (math.inf, "> 4,096"),
)


@dataclass(frozen=True)
class Scored:
    """One measured row beside its prediction. Times in seconds per step; `keys`: group kind -> this row's group."""

    id: str
    measured_s: float
    predicted_s: float
    p10: float
    p90: float
    memory_verdict: str
    keys: Mapping[str, str]

    @property
    def error(self) -> float:
        """Signed, as a fraction of the measured time."""
        return self.predicted_s / self.measured_s - 1.0


@dataclass(frozen=True)
class Statistics:
    """Errors of a set of rows, as fractions of the measured step time."""

    n: int
    bias: float  # mean of the signed errors
    mean: float  # of their sizes, as are the next three
    median: float
    p90: float
    worst: float
    coverage_p10_p90: float  # share of measurements inside the predicted interval
    memory_right: float  # share of runs, all of which ran, that were not said to exceed the memory


@dataclass(frozen=True)
class Group:
    """The statistics of the rows that share a key."""

    by: str
    key: str
    statistics: Statistics


def statistics(rows: Sequence[Scored]) -> Statistics:
    """Statistics over `rows`; percentiles are interpolated linearly."""
    if not rows:
        return Statistics(0, *[math.nan] * 7)
    errors = np.array([row.error for row in rows])
    sizes = np.abs(errors)
    inside = [row.p10 <= row.measured_s <= row.p90 for row in rows]
    right = [row.memory_verdict != MEMORY_WRONG for row in rows]
    return Statistics(
        n=len(rows),
        bias=float(errors.mean()),
        mean=float(sizes.mean()),
        median=float(np.median(sizes)),
        p90=float(np.percentile(sizes, 90)),
        worst=float(sizes.max()),
        coverage_p10_p90=float(np.mean(inside)),
        memory_right=float(np.mean(right)),
    )


def groups(rows: Sequence[Scored], kinds: Iterable[str]) -> tuple[Group, ...]:
    """The statistics of every group, kind after kind; classes in their order, names by the alphabet."""
    found: list[Group] = []
    for kind in kinds:
        members: dict[str, list[Scored]] = {}
        for row in rows:
            members.setdefault(row.keys[kind], []).append(row)
        found.extend(Group(kind, key, statistics(members[key])) for key in sorted(members, key=_order))
    return tuple(found)


def size_class(parameters: float) -> str:
    """Class of a model by its number of parameters."""
    return _class(parameters, SIZES)


def sequence_class(tokens: int) -> str:
    """Class of a job by the tokens of one sequence."""
    return _class(tokens, SEQUENCES)


def scale_class(chips: int) -> str:
    """Class of a run by its number of accelerators."""
    return _class(chips, SCALES)


def _class(value: float, bounds: Sequence[tuple[float, str]]) -> str:
    return next(name for bound, name in bounds if value <= bound)


_RANKS = {name: rank for bounds in (SIZES, SEQUENCES, SCALES) for rank, (_, name) in enumerate(bounds)}


def _order(key: str) -> tuple[int, str]:
    return _RANKS.get(key, 0), key
