"""The order of the queue: a key for each waiting job, and how it changes with time, tiers and usage.

A queue is a list of (band, key, job), least first; `job` is the place by submission, so that ties are FCFS. Bands come
before keys: -1 is promoted by age, 0 is within its guarantees, above that tiers and usage over their share. Invariant:
the list that `refresh` returns is sorted and holds the same jobs.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque
from collections.abc import Sequence
from math import isfinite

from sublet.allocation.fairshare import DecayedUsage, over_share
from sublet.allocation.policy import Policy, Tier

Entry = tuple[int, float, int]

_PROMOTED = -1


class QueueOrder:
    """Keys of waiting jobs under one policy. `estimate_s`, set by the simulator at arrival, ranks them."""

    def __init__(
        self,
        policy: Policy,
        submit_s: Sequence[float],
        size: Sequence[int],
        tier: Sequence[int],
        tier_names: Sequence[str],
        group: Sequence[int],
        groups: int,
        capacity: int,
        weight: Sequence[float],
    ) -> None:
        self._order = policy.order
        self._submit = submit_s
        self._size = size
        self._tier = tier
        self._group = group
        self._capacity = capacity
        known = {entry.name: entry for entry in policy.tiers}
        last = max((entry.rank for entry in policy.tiers), default=0)
        self._tiers = [known.get(name, Tier(name, rank=last)) for name in tier_names]
        self._tier_units = [0] * len(tier_names)
        self._tiered = any(entry.share > 0.0 or entry.rank > 0 for entry in self._tiers)
        fair = policy.fair_share
        self._fair = fair
        self._usage = DecayedUsage(groups, fair.half_life_s) if fair else None
        self._waiting = [0] * groups
        self.over = [False] * groups
        self._group_units = [0] * groups
        self._weight = weight
        multiple = policy.caps.over_multiple * capacity / max(sum(weight), 1e-12)
        self._over_most = [
            min(policy.caps.over_share * capacity, multiple * weighs if weighs > 0.0 else 0.0) for weighs in weight
        ]
        self._most = policy.caps.concurrent * capacity
        self.capped = min([self._most, *self._over_most]) < capacity
        self.counts = self._tiered or fair is not None or self.capped  # whether starts and ends matter to the order
        self._by = policy.order.by
        self._changing = self._by in ("wfp3", "patience", "fair-share")
        self._slope: dict[int, float] = {}
        patience = policy.order.patience
        self._head_start = patience.head_start_s if patience else 0.0
        self._age = patience.age_s if patience else 1.0
        self._age_power = patience.age_power if patience else 1.0
        self._age_counts = patience is not None and isfinite(patience.age_s)
        self._ages = isfinite(policy.order.oldest_first_after_s)
        self._young: deque[int] = deque()
        self.dynamic = self._changing or self._ages or self._tiered or fair is not None
        self._plain = (
            self._by in ("wfp3", "patience") and not (self._age_counts or self._ages or self._tiered) and fair is None
        )
        self.held: dict[int, Entry] = {}

    def enter(self, job: int, now: float, estimate_s: float) -> Entry:
        """The entry of a job that arrives; it is the caller's to put it into the queue."""
        size = self._size[job]
        key = 0.0
        if self._by == "submitted":
            key = self._submit[job]
        elif self._by == "shortest":
            key = estimate_s
        elif self._by == "smallest-area":
            key = estimate_s * size
        elif self._by == "patience":
            patience = self._order.patience
            assert patience is not None
            self._slope[job] = -1.0 / (patience.of(estimate_s, size) * self._tiers[self._tier[job]].patience)
            key = self._pressing(job, now)
        elif self._by == "wfp3":
            self._slope[job] = -(float(size) ** (1 / 3)) / max(estimate_s, 1.0)
            key = self._pressing(job, now)
        elif self._by == "fair-share":
            assert self._usage is not None
            key = self._usage.of(self._group[job], now)
        if self._ages:
            self._young.append(job)
        if self.counts:
            self._waiting[self._group[job]] += 1
        entry = (self._band(job) if self._tiered or self._fair else 0, key, job)
        self.held[job] = entry
        return entry

    def current(self, entry: Entry, now: float) -> Entry:
        """An entry with the key that it has at `now`, in the band where it was."""
        band, key, job = entry
        return (band, self._pressing(job, now), job) if band != _PROMOTED and job in self._slope else (band, key, job)

    def _pressing(self, job: int, now: float) -> float:
        wait = now - self._submit[job]
        key = (wait + self._head_start) * self._slope[job]
        return key - (wait / self._age) ** self._age_power if self._age_counts else key

    def leave(self, job: int) -> None:
        """The job starts or is withdrawn."""
        del self.held[job]
        if self.counts:
            self._waiting[self._group[job]] -= 1

    def run(self, job: int, units: int, now: float) -> None:
        """`units` of the job start (or, negative, end) to run at `now`."""
        self._tier_units[self._tier[job]] += units
        group = self._group[job]
        self._group_units[group] += units
        if self._usage is not None:
            self._usage.change(group, units, now)

    def allowed(self, job: int) -> bool:
        """Whether the caps let the job's tenant run it besides what it runs. A tenant that runs nothing may."""
        group = self._group[job]
        most = min(self._over_most[group], self._most) if self.over[group] else self._most
        used = self._group_units[group]
        return used == 0 or used + self._size[job] <= most

    def refresh(self, queue: list[Entry], now: float) -> list[Entry]:
        """The queue in the order that holds at `now`."""
        if self._fair is not None:
            assert self._usage is not None
            waits = [count > 0 for count in self._waiting]
            self.over = over_share(self._usage.all(now), waits, self._fair.tolerance, self._weight)
        if self._changing or self._tiered or self._fair is not None:
            queue = self._again(queue, now)
        elif self._ages:
            limit = now - self._order.oldest_first_after_s
            young, submit, held = self._young, self._submit, self.held
            while young and submit[young[0]] <= limit:
                job = young.popleft()
                entry = held.get(job)
                if entry is not None:
                    del queue[bisect_left(queue, entry)]
                    held[job] = entry = (_PROMOTED, submit[job], job)
                    insort(queue, entry)
        return queue

    def next_promotion(self) -> float:
        """When the next waiting job passes the age that promotes it; infinite where none will."""
        if not self._ages or self._changing or self._tiered or self._fair is not None:
            return float("inf")
        young = self._young
        while young and young[0] not in self.held:
            young.popleft()
        return self._submit[young[0]] + self._order.oldest_first_after_s if young else float("inf")

    def _band(self, job: int) -> int:
        band = 0
        tier = self._tiers[self._tier[job]]
        if self._tiered:
            over = self._tier_units[self._tier[job]] + self._size[job] > tier.share * self._capacity
            band = 4 * tier.rank + (2 if over and tier.share < 1.0 else 0)
        if self._fair is not None and self._by != "fair-share" and self.over[self._group[job]]:
            band += 1
        return band

    def _again(self, queue: list[Entry], now: float) -> list[Entry]:
        submit, slope, held = self._submit, self._slope, self.held
        banded = self._tiered or self._fair is not None
        if self._plain:  # the same keys as below, for the many calls where nothing else counts
            head_start = self._head_start
            ranked = [(0, (now - submit[job] + head_start) * slope[job], job) for _, _, job in queue]
            ranked.sort()
            return ranked
        limit = now - self._order.oldest_first_after_s
        by = self._by
        usage = self._usage.all(now) if self._usage is not None and by == "fair-share" else None
        pressing = self._pressing
        fresh: list[Entry] = []
        for _, key, job in queue:
            if self._ages and submit[job] <= limit:
                fresh.append((_PROMOTED, submit[job], job))
                continue
            if usage is not None:
                key = usage[self._group[job]]
            elif job in slope:
                key = pressing(job, now)
            fresh.append((self._band(job) if banded else 0, key, job))
        fresh.sort()
        for entry in fresh:
            held[entry[2]] = entry
        return fresh
