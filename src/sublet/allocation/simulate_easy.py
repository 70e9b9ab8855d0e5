"""Backfill in the order of a policy: none, greedy, or EASY with one or several reservations; event by event.

Invariant: under EASY no job that goes before the head delays the head's reservation as long as no job outlives its
request. EASY after Lifka (1995) and Mu'alem & Feitelson (2001); several reservations after the reservation depth of
Chiang et al. (2002). The speed comes from not looking again: an arrival frees nothing and moves no reservation, so
only the newcomer is tried.
"""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections.abc import Mapping
from heapq import heapify, heappop, heappush

import numpy as np

from sublet.allocation.policy import Policy
from sublet.allocation.queue_order import Entry, QueueOrder
from sublet.allocation.simulate_profile import Profile
from sublet.allocation.simulate_promises import Promises
from sublet.allocation.simulate_values import Reason, Schedule, Snapshot
from sublet.allocation.trace import Jobs
from sublet.errors import InputError

_LEAST_SHARE_OF_REQUEST = 0.01  # a prediction is never below this share of the request


class Play:
    """The state of one simulation."""

    def __init__(
        self,
        jobs: Jobs,
        capacity: int,
        policy: Policy,
        group: list[int],
        weight: list[float],
        snapshot: Snapshot | None,
        promise: Mapping[int, float] | None = None,
    ) -> None:
        self.submit: list[float] = jobs.submit_s.tolist()
        self.duration: list[float] = jobs.duration_s.tolist()
        self.request: list[float] = jobs.requested_s.tolist()
        self.size: list[int] = jobs.size.tolist()
        self.tenant: list[int] = jobs.tenant.tolist()
        self.capacity = capacity
        self.free = capacity
        self.policy = policy
        self.order = QueueOrder(
            policy, self.submit, self.size, jobs.tier.tolist(), jobs.tiers, group, len(weight), capacity, weight
        )
        count = len(self.submit)
        self.start = [math.nan] * count
        self.reason = [0] * count
        self.reserved = [math.nan] * count
        self.queue: list[Entry] = []
        self.releases: list[tuple[float, int]] = []  # (latest end by request, job) of what runs, sorted
        self.ends: list[tuple[float, int]] = []  # heap of (end, job)
        self.history: list[list[float]] = [[] for _ in jobs.tenants]
        self.alike: dict[tuple[int, float], list[float]] = {}  # the same, of one request
        self.predicts = policy.durations.order != "requested"
        self.by_request = policy.durations.order == "predicted-alike"
        self.rank_s: dict[int, float] = {}
        self.tries_elsewhere = policy.backfill.candidates != "order"
        self.head: Entry | None = None  # the blocked job that holds the reservation
        self.shadow = math.inf
        self.extra = 0
        self.profile: Profile | None = None
        self.planned: dict[int, float] = {}  # room in the profile that is kept for promised jobs
        self.events = 0
        self.now = -math.inf
        self.said = promise or {}
        self.promised = [math.nan] * count
        given = snapshot.promised if snapshot is not None else {}
        self.promises = Promises(given, policy.promises.lead_s, self.size, self.request)
        self.arrivals = list(range(count))
        self.resume: list[int] = []
        if snapshot is not None:
            self._resume(snapshot)

    def _resume(self, snapshot: Snapshot) -> None:
        now = snapshot.now_s
        for job, start in snapshot.running.items():
            self.start[job] = start
            self.free -= self.size[job]
            self.ends.append((max(start + self.duration[job], now), job))
            self.releases.append((start + self.request[job], job))
            if self.order.counts:
                self.order.run(job, self.size[job], now)
        if self.free < 0:
            raise InputError(f"the running jobs use {self.capacity - self.free} units of a pool of {self.capacity}")
        heapify(self.ends)
        self.releases.sort()
        self.resume = sorted(snapshot.waiting)
        named = set(self.resume) | set(snapshot.running)
        self.arrivals = [job for job in self.arrivals if job not in named and self.submit[job] > now]
        self.now = now

    def run(self, until_started: int | None) -> Schedule:
        """Play until everything has ended, or the job has started."""
        submit, size, duration, ends, start = self.submit, self.size, self.duration, self.ends, self.start
        order, releases, request, reason = self.order, self.releases, self.request, self.reason
        arrivals, counts, predicts = self.arrivals, self.order.counts, self.predicts
        aging = not math.isinf(self.policy.order.oldest_first_after_s)
        infinity = math.inf
        promises, said = self.promises, self.said
        if self.resume:
            fresh = [self._enter(job, self.now) for job in self.resume]
            self._pass_full(self.now)
            del fresh
        count = len(arrivals)
        at = 0
        next_arrival = submit[arrivals[0]] if count else infinity
        while True:
            if until_started is not None and start[until_started] == start[until_started]:
                break
            next_end = ends[0][0] if ends else infinity
            now = next_end if next_end < next_arrival else next_arrival
            if aging and (promotion := order.next_promotion()) < now:
                self._pass_full(promotion)
                continue
            due = promises.next_timer() if promises.given else infinity
            if due < now:
                self._pass_full(due)
                continue
            if now == infinity:
                break
            ended = due == now
            while ends and ends[0][0] == now:
                job = heappop(ends)[1]
                self.free += size[job]
                del releases[bisect_left(releases, (start[job] + request[job], job))]
                ended = True
                self.events += 1
                if counts:
                    order.run(job, -size[job], now)
                if predicts:
                    self._learn(job)
            came: list[int] = []
            if next_arrival == now:
                fresh = []
                while next_arrival == now:
                    job = arrivals[at]
                    at += 1
                    next_arrival = submit[arrivals[at]] if at < count else infinity
                    self.events += 1
                    if not self.queue and not ended and not counts and size[job] <= self.free:
                        self.free -= size[job]  # nobody waits: nothing to weigh
                        start[job] = now
                        reason[job] = 1
                        insort(releases, (now + request[job], job))
                        heappush(ends, (now + duration[job], job))
                    else:
                        fresh.append(self._enter(job, now))
                        if job in said:
                            came.append(job)
                if fresh and not ended:
                    self._pass_fresh(fresh, now)
            if ended and self.queue:
                self._pass_full(now)
            for job in came:
                if start[job] != start[job]:
                    self._promise(job, now)
        return Schedule(
            np.array(self.start),
            np.array(self.reason, dtype=np.int64),
            np.array(self.reserved),
            np.array(self.promised),
            self.events,
        )

    def _promise(self, job: int, now: float) -> None:
        """Tell a job that has to wait when it starts at the latest, and keep the room for it."""
        profile = Profile(now, self.free, ((end, self.size[runner]) for end, runner in self.releases))
        self.promised[job] = at = self.promises.earliest(profile, job, now, self.said[job])
        self.promises.give(job, at)
        self.head = None  # what was planned so far does not know of it

    def _enter(self, job: int, now: float) -> Entry:
        estimate = self._estimate(job) if self.predicts else self.request[job]
        if self.tries_elsewhere:
            by_area = self.policy.backfill.candidates == "smallest-area"
            self.rank_s[job] = estimate * self.size[job] if by_area else estimate
        entry = self.order.enter(job, now, estimate)
        insort(self.queue, entry)
        return entry

    def _estimate(self, job: int) -> float:
        history = self.history[self.tenant[job]]
        if self.by_request:
            alike = self.alike.get((self.tenant[job], self.request[job]), [])
            history = alike if len(alike) > 1 else history
        if not history:
            return self.request[job]
        share = sum(history) / len(history)
        return self.request[job] * min(1.0, max(_LEAST_SHARE_OF_REQUEST, share))

    def _learn(self, job: int) -> None:
        kept = [self.history[self.tenant[job]]]
        if self.by_request:
            kept.append(self.alike.setdefault((self.tenant[job], self.request[job]), []))
        for history in kept:
            history.append(self.duration[job] / self.request[job])
            if len(history) > self.policy.durations.history:
                del history[0]

    def _begin(self, job: int, now: float, reason: Reason) -> None:
        size = self.size[job]
        self.free -= size
        self.start[job] = now
        self.reason[job] = reason
        insort(self.releases, (now + self.request[job], job))
        heappush(self.ends, (now + self.duration[job], job))
        order = self.order
        order.leave(job)
        self.promises.given.pop(job, None)
        if order.counts:
            order.run(job, size, now)

    def _pass_full(self, now: float) -> None:
        """Look at the whole queue: units came free, or the order changed."""
        order, size = self.order, self.size
        if order.dynamic:
            self.queue = order.refresh(self.queue, now)
        method = self.policy.backfill.method
        self.head = None
        self.profile = None
        if self.promises.given:
            self.promises.pass_timers(now)
            if hard := self.promises.hard(now):
                self._plan(self.queue, now, hard)
                return
        passed_over: list[Entry] = []
        queue = self.queue
        done = 0
        for entry in queue:
            job = entry[2]
            if order.capped and not order.allowed(job):
                passed_over.append(entry)
            elif size[job] <= self.free:
                self._begin(job, now, Reason.FIRST)
            elif method == "greedy":
                passed_over.append(entry)
            else:
                self.head = entry
                break
            done += 1
        rest = queue[done:]
        self.queue = passed_over + rest
        if self.head is None or method == "none":
            return
        if method == "conservative" or (method == "easy" and self.policy.backfill.reservations > 1):
            self._plan(rest, now, [])
            return
        self._shadow(now)
        if self.free:
            self._backfill(rest[1:], now)

    def _shadow(self, now: float) -> None:
        """When the head can start at the latest, and how many units it leaves free then."""
        assert self.head is not None
        job = self.head[2]
        needed, available = self.size[job], self.free
        shadow = math.inf
        size = self.size
        for end, runner in self.releases:
            if available >= needed and end > shadow:
                break
            available += size[runner]
            if available >= needed and shadow == math.inf:
                shadow = end if end > now else now
        self.shadow = shadow
        self.extra = available - needed
        if self.reserved[job] != self.reserved[job]:
            self.reserved[job] = shadow

    def _backfill(self, candidates: list[Entry], now: float) -> None:
        """Start what delays no reservation, in the order of the policy."""
        if self.tries_elsewhere:
            rank = self.rank_s
            candidates = sorted(candidates, key=lambda entry: (rank[entry[2]], entry[2]))
        order, size, request, queue = self.order, self.size, self.request, self.queue
        capped, window = order.capped, self.shadow - now
        profile, planned = self.profile, self.planned
        free = self.free
        started: set[int] = set()
        for entry in candidates:
            job = entry[2]
            units = size[job]
            if units > free or (capped and not order.allowed(job)):
                continue
            if profile is not None:
                own = planned.get(job)
                if own is not None:  # its own room is not in its way
                    profile.take(own, own + request[job], -units)
                if not profile.fits_now(units, request[job]):
                    if own is not None:
                        profile.take(own, own + request[job], units)
                    continue
                profile.take(now, now + request[job], units)
                reason = Reason.ENDS_BEFORE if own is None else Reason.PLANNED
            elif request[job] <= window:
                reason = Reason.ENDS_BEFORE
            elif units <= self.extra:
                self.extra -= units
                reason = Reason.BESIDE
            else:
                continue
            self._begin(job, now, reason)
            started.add(job)
            free = self.free
            if not free:
                break
        if len(started) == 1:
            (job,) = started
            del queue[next(place for place, entry in enumerate(queue) if entry[2] == job)]
        elif started:
            self.queue = [entry for entry in queue if entry[2] not in started]

    def _plan(self, queue: list[Entry], now: float, hard: list[tuple[float, int]]) -> None:
        """Keep the room of the promised jobs, start in the order of the policy whom that leaves room for, plan the
        first of the others, then backfill beside all of them."""
        size, request, order, backfill = self.size, self.request, self.order, self.policy.backfill
        self.profile = profile = Profile(now, self.free, ((end, size[job]) for end, job in self.releases))
        self.planned = planned = self.promises.book(profile, hard, now)
        if planned:
            held_now = {job for job, start in planned.items() if start <= now}
            queue = [entry for entry in queue if entry[2] in held_now] + [
                entry for entry in queue if entry[2] not in held_now
            ]
        most = {"easy": backfill.reservations, "none": 1}.get(backfill.method, len(queue))
        held, tried = 0, 0
        started: set[int] = set()
        for entry in queue:
            if held == most:
                break
            job = entry[2]
            tried += 1
            if order.capped and not order.allowed(job):
                continue
            own = planned.get(job)
            if own is not None:
                profile.take(own, own + request[job], -size[job])
            if size[job] <= self.free and profile.fits_now(size[job], request[job]):
                profile.take(now, now + request[job], size[job])
                self._begin(job, now, Reason.PLANNED if held or own is not None else Reason.FIRST)
                started.add(job)
                continue
            if backfill.method != "greedy":
                own = profile.earliest(size[job], request[job])  # no later than what was promised
            if own is not None:
                profile.take(own, own + request[job], size[job])
                if self.reserved[job] != self.reserved[job]:
                    self.reserved[job] = own
            if held == 0:
                self.head = entry
            held += 1
        if started:
            self.queue = [entry for entry in self.queue if entry[2] not in started]
        if self.free and backfill.method != "none":
            self._backfill(queue[tried:], now)

    def _pass_fresh(self, fresh: list[Entry], now: float) -> None:
        """Jobs arrived and nothing ended: whoever was refused before is refused still, so only they are tried."""
        method = self.policy.backfill.method
        head = self.head
        if head is None or method == "greedy" or min(fresh) < self.order.current(head, now):
            self._pass_full(now)
            return
        if method == "none" or not self.free:
            return
        if self.profile is not None:
            waited = len(self.queue) - len(fresh)
            if method == "conservative" or 1 <= waited < self.policy.backfill.reservations:
                self._pass_full(now)  # a newcomer is among those that get a reservation
                return
            self.profile.advance(now)
        self._backfill(sorted(fresh), now)
