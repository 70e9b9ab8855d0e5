"""Decayed usage: what each tenant (with its affiliates) used, where an hour long ago weighs less than one today.

usage(t) = integral of units in use * 2 ** ((s - t) / half_life) ds. Invariant: the figure depends on what ran when and
on nothing else, and usage of k accounts of one group is the usage of the group.
"""

from __future__ import annotations

import math
from collections.abc import Sequence


class DecayedUsage:
    """Usage of groups, brought up to date when asked: O(1) for each change."""

    __slots__ = ("_at", "_rate", "_running", "_usage")

    def __init__(self, groups: int, half_life_s: float) -> None:
        self._rate = math.log(2.0) / half_life_s
        self._usage = [0.0] * groups
        self._running = [0] * groups
        self._at = [0.0] * groups

    def change(self, group: int, units: int, now: float) -> None:
        """From `now` on, `units` more (or fewer) units of `group` run."""
        self._usage[group] = self.of(group, now)
        self._at[group] = now
        self._running[group] += units

    def of(self, group: int, now: float) -> float:
        """Unit-seconds of `group` that still weigh at `now`."""
        decay = math.exp(-self._rate * (now - self._at[group]))
        return self._usage[group] * decay + self._running[group] * (1.0 - decay) / self._rate

    def all(self, now: float) -> list[float]:
        """Usage of every group at `now`."""
        return [self.of(group, now) for group in range(len(self._usage))]


def over_share(usage: Sequence[float], active: Sequence[bool], tolerance: float, weight: Sequence[float]) -> list[bool]:
    """Which groups used more than `tolerance` times their share; a share is the total usage by `weight` over the groups
    that count.

    A group counts that used anything or is `active` (waits now). One group alone is never over its share.
    """
    counting = [weighs for used, waits, weighs in zip(usage, active, weight, strict=True) if used > 0.0 or waits]
    if len(counting) < 2 or sum(counting) <= 0.0:
        return [False] * len(usage)
    limit = tolerance * sum(usage) / sum(counting)
    return [used > limit * weighs for used, weighs in zip(usage, weight, strict=True)]
