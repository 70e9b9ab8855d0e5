"""Promised starts, and the room that is kept for them: why a promise holds by construction.

A promise is given where a booking of the pool at that time fits beside all that runs (as long as was requested) and all
that is promised already; from `lead` before it, nothing may start that would need its room. Invariant: with no limit on
the lead, and as long as no job outlives its request and no unit is lost, the bookings always fit together, so that
every promised job starts when it was promised, or sooner.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from heapq import heappop, heappush

from sublet.allocation.simulate_profile import Profile

_STEP_S = 60.0  # promises are rounded up to this


class Promises:
    """What is promised to jobs that wait."""

    def __init__(
        self, given: Mapping[int, float], lead_s: float, size: Sequence[int], request: Sequence[float]
    ) -> None:
        self.given: dict[int, float] = {}
        self._lead = lead_s
        self._size = size
        self._request = request
        self._timers: list[tuple[float, int]] = []
        for job, at in given.items():
            self.give(job, at)

    def give(self, job: int, at: float) -> None:
        """Job `job` is to start by `at`."""
        self.given[job] = at
        heappush(self._timers, (at, job))
        if not math.isinf(self._lead):
            heappush(self._timers, (at - self._lead, job))

    def next_timer(self) -> float:
        """When a promise becomes hard or is due next; infinite where none will."""
        timers, given = self._timers, self.given
        while timers and timers[0][1] not in given:
            heappop(timers)
        return timers[0][0] if timers else math.inf

    def pass_timers(self, now: float) -> None:
        """What became hard or due until `now` has been looked at."""
        while self._timers and self._timers[0][0] <= now:
            heappop(self._timers)

    def hard(self, now: float) -> list[tuple[float, int]]:
        """(promise, job) of those whose room is kept at `now`, the earliest promise first."""
        return sorted((at, job) for job, at in self.given.items() if at - self._lead <= now)

    def book(self, profile: Profile, hard: Sequence[tuple[float, int]], now: float) -> dict[int, float]:
        """Take the room of each from `profile`: when it was promised, or as soon as there is room where that is
        gone. The planned starts by job."""
        planned = {}
        for at, job in hard:
            size, request = self._size[job], self._request[job]
            start = profile.earliest(size, request, max(at, now))
            profile.take(start, start + request, size)
            planned[job] = start
        return planned

    def earliest(self, profile: Profile, job: int, now: float, wait_s: float) -> float:
        """The first time from `wait_s` on that job `job` can be promised; `profile` is what runs, and is used up."""
        self.book(profile, sorted((at, other) for other, at in self.given.items()), now)
        after = now + math.ceil(wait_s / _STEP_S) * _STEP_S
        return profile.earliest(self._size[job], self._request[job], after)
