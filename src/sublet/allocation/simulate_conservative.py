"""Conservative backfill: every job gets a reservation when it comes, and nobody ahead of it is ever delayed.

Jobs are planned in the order of submission on the profile of free units; when a job ends before its request, the others
are moved forward in the same order where the room allows (compression, Mu'alem & Feitelson 2001). Invariant: a planned
start never moves to a later time unless a job outlives its request, and then everything is planned anew.

The speed comes from one fact: what newly fits must begin before the horizon of what came free, so a job that is larger
than the most free units before it needs no look.
"""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from heapq import heappop, heappush

import numpy as np

from sublet.allocation.simulate_profile import Profile
from sublet.allocation.simulate_values import Reason, Schedule
from sublet.allocation.trace import Jobs


def simulate_conservative(jobs: Jobs, capacity: int) -> Schedule:
    """The schedule of `jobs` (sizes at most `capacity`) under conservative backfill with requested durations."""
    return _Plan(jobs, capacity).run()


class _Plan:
    def __init__(self, jobs: Jobs, capacity: int) -> None:
        self.submit: list[float] = jobs.submit_s.tolist()
        self.duration: list[float] = jobs.duration_s.tolist()
        self.request: list[float] = jobs.requested_s.tolist()
        self.size: list[int] = jobs.size.tolist()
        count = len(self.submit)
        self.free = capacity
        self.start = [math.nan] * count
        self.reason = [0] * count
        self.reserved = [math.nan] * count
        self.queue: list[int] = []  # waiting jobs by submission
        self.plan: dict[int, float] = {}
        self.due: list[tuple[float, int]] = []  # heap of (planned start, job), old entries are skipped
        self.releases: list[tuple[float, int]] = []
        self.ends: list[tuple[float, int]] = []
        self.profile = Profile(-math.inf, capacity)
        self.horizon = -math.inf  # what came free since the last compression ends here

    def run(self) -> Schedule:
        submit, size, request, start = self.submit, self.size, self.request, self.start
        profile, ends, releases = self.profile, self.ends, self.releases
        count, at, events, infinity = len(submit), 0, 0, math.inf
        while True:
            now = ends[0][0] if ends else infinity
            if at < count and submit[at] < now:
                now = submit[at]
            self._drop_old_plans()
            if self.due and self.due[0][0] < now:
                now = self.due[0][0]
            if now == infinity:
                break
            profile.advance(now)
            while ends and ends[0][0] == now:
                job = heappop(ends)[1]
                events += 1
                self.free += size[job]
                latest = start[job] + request[job]
                del releases[bisect_left(releases, (latest, job))]
                if latest > now:
                    profile.take(now, latest, -size[job])
                    self.horizon = max(self.horizon, latest)
            if self.queue:
                if releases and releases[0][0] <= now:
                    self._plan_anew(now)  # a job outlives its request: its units are not free as planned
                elif self.horizon > now:
                    self._compress()
                self._start_due(now)
            while at < count and submit[at] == now:
                self._arrive(at, now)
                at += 1
                events += 1
        reason = np.array(self.reason, dtype=np.int64)
        return Schedule(np.array(start), reason, np.array(self.reserved), np.full(count, math.nan), events)

    def _drop_old_plans(self) -> None:
        due, plan = self.due, self.plan
        while due and plan.get(due[0][1]) != due[0][0]:
            heappop(due)

    def _arrive(self, job: int, now: float) -> None:
        size, request = self.size[job], self.request[job]
        planned = self.profile.earliest(size, request)
        self.profile.take(planned, planned + request, size)
        if planned <= now and size <= self.free:
            self._begin(job, now, Reason.FIRST if not self.queue else Reason.ENDS_BEFORE)
            return
        self.reserved[job] = planned
        self.queue.append(job)
        self.plan[job] = planned
        heappush(self.due, (planned, job))

    def _begin(self, job: int, now: float, reason: Reason) -> None:
        self.free -= self.size[job]
        self.start[job] = now
        self.reason[job] = reason
        insort(self.releases, (now + self.request[job], job))
        heappush(self.ends, (now + self.duration[job], job))

    def _compress(self) -> None:
        """Move plans forward into what came free, in the order of submission."""
        profile, plan, size, request = self.profile, self.plan, self.size, self.request
        horizon = self.horizon
        kept = -math.inf
        most = self._most_free(horizon)
        for job in self.queue:
            if size[job] > most:
                continue
            planned = plan[job]
            earlier = profile.earlier(size[job], request[job], planned, horizon)
            if earlier is None:
                continue
            profile.take(planned, planned + request[job], -size[job])
            profile.take(earlier, earlier + request[job], size[job])
            plan[job] = earlier
            heappush(self.due, (earlier, job))
            kept = max(kept, planned + request[job])
            horizon = max(horizon, kept)
            most = self._most_free(horizon)
        self.horizon = kept  # those before a job that moved look at its old room next time

    def _most_free(self, horizon: float) -> int:
        profile = self.profile
        return max(profile.free[: max(bisect_left(profile.times, horizon), 1)])

    def _start_due(self, now: float) -> None:
        ready = []
        self._drop_old_plans()
        while self.due and self.due[0][0] <= now:
            ready.append(heappop(self.due)[1])
            self._drop_old_plans()
        if not ready:
            return
        for job in sorted(set(ready)):
            if self.size[job] > self.free:  # only where a job outlives its request
                heappush(self.due, (self.plan[job], job))
                continue
            del self.plan[job]
            self._begin(job, now, Reason.PLANNED)
        self.queue = [job for job in self.queue if job in self.plan]

    def _plan_anew(self, now: float) -> None:
        """All plans from what runs; a job past its request is expected to run as long again as it has run over."""
        size, request, start = self.size, self.request, self.start
        expected = sorted((end if end > now else now + max(60.0, now - end), size[job]) for end, job in self.releases)
        self.profile.times, self.profile.free = (fresh := Profile(now, self.free, expected)).times, fresh.free
        del start
        self.due = []
        for job in self.queue:
            planned = self.profile.earliest(size[job], request[job])
            self.profile.take(planned, planned + request[job], size[job])
            self.plan[job] = planned
            heappush(self.due, (planned, job))
        self.horizon = -math.inf
