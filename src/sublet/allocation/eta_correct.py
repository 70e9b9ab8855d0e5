"""Adaptive conformal correction of ETAs: how much later jobs started than was said moves what is said next.

For each class (size class and tier) the ratio of the actual wait to the predicted p90 is kept; the corrected p90 is the
prediction times a quantile of those ratios, at a level that rises after a miss and falls after a hit (Gibbs & Candes
2021), so that coverage holds in the long run whatever the jobs do. Invariant: a correction never crosses the quantiles,
and uses only outcomes that were known when it was made.
"""

from __future__ import annotations

from bisect import insort
from collections import deque
from dataclasses import dataclass, replace

from sublet.allocation.eta import Eta

FLOOR_S = 60.0  # a predicted wait below a minute is corrected as a minute
_KEPT = 80
_ENOUGH = 12
_STEP = 0.02


@dataclass(frozen=True)
class Outcome:
    """What was predicted and what came."""

    kind: tuple[int, str]
    predicted: Eta
    corrected_p90_s: float
    wait_s: float


class Conformal:
    """Running correction factors for the p90 of each class."""

    def __init__(self, target: float = 0.9) -> None:
        self._target = target
        self._level = target
        self._ratios: dict[tuple[int, str] | None, deque[float]] = {}

    def correct(self, kind: tuple[int, str], predicted: Eta) -> Eta:
        """The prediction with its p90 corrected; p50 stays, and p90 is never below it."""
        late = max(predicted.p90_s, FLOOR_S) * self.factor(kind)
        return replace(predicted, p90_s=max(late, predicted.p50_s))

    def factor(self, kind: tuple[int, str]) -> float:
        """What the p90 of a class is multiplied by."""
        ratios = self._ratios.get(kind)
        if ratios is None or len(ratios) < _ENOUGH:
            ratios = self._ratios.get(None)
        if ratios is None or len(ratios) < _ENOUGH:
            return 1.25  # before anything is known, a quarter more: raw quantiles are too narrow
        ordered: list[float] = []
        for ratio in ratios:
            insort(ordered, ratio)
        at = min(len(ordered) - 1, int(self._level * (len(ordered) + 1)))
        return ordered[at]

    def learn(self, outcome: Outcome) -> None:
        """A job whose ETA was given has started."""
        ratio = outcome.wait_s / max(outcome.predicted.p90_s, FLOOR_S)
        for key in (outcome.kind, None):
            self._ratios.setdefault(key, deque(maxlen=_KEPT)).append(ratio)
        hit = outcome.wait_s <= outcome.corrected_p90_s
        self._level = min(0.999, max(0.5, self._level + _STEP * (self._target - hit)))


def size_class(size: int) -> int:
    """Classes of gangs that wait alike: 1, 2-3, 4-7, 8-15, ... units."""
    return size.bit_length()
