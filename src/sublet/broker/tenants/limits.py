"""How many requests one token or one address may make: a token bucket each.

`take` is the rule, pure; `Keeper` holds the buckets of one process in memory. Several processes each grant the rate.
Invariants: over any stretch of time a key gets at most `burst + rate x time`; a refused request costs nothing; a clock
that goes back neither grants nor takes; memory is bounded, whatever keys come.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from sublet.broker.errors import RateLimited


@dataclass(frozen=True)
class Rule:
    """`per_second` requests on average, `burst` at once."""

    per_second: float
    burst: float

    def __post_init__(self) -> None:
        if not (self.per_second > 0 and self.burst >= 1):
            raise ValueError(f"a rate of {self.per_second}/s and a burst of {self.burst}: above zero, and one or more")


@dataclass(frozen=True)
class Bucket:
    """What is left at a moment (seconds of any clock that runs)."""

    left: float
    at_s: float


def take(bucket: Bucket | None, rule: Rule, at_s: float, cost: float = 1.0) -> tuple[Bucket, float]:
    """The bucket after a request of `cost` at `at_s`, and how many seconds too early it came: 0 where it is admitted.

    None is a full bucket. ValueError for a cost above the burst, which would never be admitted.
    """
    if not 0 < cost <= rule.burst:
        raise ValueError(f"a request costs {cost}: above zero, at most the burst of {rule.burst}")
    before = bucket or Bucket(rule.burst, at_s)
    at_s = max(at_s, before.at_s)
    left = min(rule.burst, before.left + (at_s - before.at_s) * rule.per_second)
    if left >= cost:
        return Bucket(left - cost, at_s), 0.0
    return Bucket(left, at_s), (cost - left) / rule.per_second


class Keeper:
    """The buckets of one rule, by key (a token's id, an address). Threads share it."""

    def __init__(self, rule: Rule, seconds: Callable[[], float], *, what: str = "token", most: int = 100_000) -> None:
        """`seconds`: a clock that runs, such as time.monotonic; of more keys than `most` the longest unused go."""
        self.rule, self.what = rule, what
        self._seconds, self._most = seconds, most
        self._buckets: OrderedDict[str, Bucket] = OrderedDict()
        self._lock = threading.Lock()

    def admit(self, key: str, cost: float = 1.0) -> None:
        """Count one request. Raises RateLimited, which says when to come back."""
        with self._lock:
            bucket, wait_s = take(self._buckets.pop(key, None), self.rule, self._seconds(), cost)
            self._buckets[key] = bucket
            if len(self._buckets) > self._most:
                self._buckets.popitem(last=False)
        if wait_s > 0:
            raise RateLimited(
                f"this {self.what} makes more than {self.rule.per_second:g} requests a second: wait {wait_s:.1f} s",
                retry_after_s=wait_s,
            )

    def __len__(self) -> int:
        return len(self._buckets)
