"""Free units over time, as a step function from now on: what reservations are planned on.

Invariant: `times` rises strictly and starts at now, `free[k]` holds on [times[k], times[k + 1]), the last one for ever;
a plan never makes a value negative, and what was taken and given back leaves the function as it was.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterable


class Profile:
    """A step function that is changed in place; a few hundred steps, so plain lists beat arrays."""

    __slots__ = ("free", "times")

    def __init__(self, now: float, free: int, releases: Iterable[tuple[float, int]] = ()) -> None:
        """`free` units at `now`, and (time, units) that come free later, sorted by time; overdue ones count as now."""
        times, level = [now], [free]
        for time, units in releases:
            if time <= times[-1]:
                level[-1] += units
            else:
                times.append(time)
                level.append(level[-1] + units)
        self.times = times
        self.free = level

    def advance(self, now: float) -> None:
        """Forget what lies before `now`."""
        times = self.times
        gone = bisect_right(times, now) - 1
        if gone > 0:
            del times[:gone], self.free[:gone]
        if times[0] < now:
            times[0] = now

    def earliest(self, size: int, duration_s: float, after: float = -math.inf) -> float:
        """First time from `after` on from which `size` units stay free for `duration_s`; the last step must offer that
        many."""
        times, free = self.times, self.free
        count = len(times)
        at = max(0, bisect_right(times, after) - 1)
        while True:
            while free[at] < size:
                at += 1
            begin = max(times[at], after)
            end = begin + duration_s
            step = at + 1
            while step < count and times[step] < end:
                if free[step] < size:
                    break
                step += 1
            else:
                return begin
            at = step + 1

    def fits_now(self, size: int, duration_s: float) -> bool:
        """Whether `size` units are free from now for `duration_s`."""
        free = self.free
        last = bisect_left(self.times, self.times[0] + duration_s)
        return min(free[: max(last, 1)]) >= size

    def earlier(self, size: int, duration_s: float, planned: float, horizon: float) -> float | None:
        """First start before `planned` and `horizon` for a job that holds its own plan in this function, or None.

        From `planned` on the job's own units stand in the way of nobody but itself, so only steps before it count.
        """
        times, free = self.times, self.free
        stop = min(planned, horizon)
        count = len(times)
        at = 0
        while at < count and times[at] < stop:
            if free[at] < size:
                at += 1
                continue
            end = min(times[at] + duration_s, planned)
            step = at + 1
            while step < count and times[step] < end:
                if free[step] < size:
                    break
                step += 1
            else:
                return times[at]
            at = step + 1
        return None

    def take(self, start: float, end: float, size: int) -> None:
        """`size` fewer units on [start, end); a negative size gives them back. `start` is not before now."""
        if end <= start:
            return
        times, free = self.times, self.free
        first = self._cut(start)
        last = self._cut(end)
        for step in range(first, last):
            free[step] -= size
        if last < len(times) and free[last] == free[last - 1]:
            del times[last], free[last]
        if first > 0 and free[first] == free[first - 1]:
            del times[first], free[first]

    def _cut(self, time: float) -> int:
        times = self.times
        at = bisect_left(times, time)
        if at == len(times) or times[at] != time:
            times.insert(at, time)
            self.free.insert(at, self.free[at - 1])
        return at
