"""When a waiting job will start, as p10, p50 and p90: the queue is played forward many times with durations drawn from
what each tenant's jobs did, given how long they run already, and with arrivals like those of the last days.

A draw is a share of the request: an empirical quantile of the tenant's past shares at u, where one u in two is drawn
once per tenant and run (jobs of one user go wrong together). Invariant: p10 <= p50 <= p90; a free pool gives 0; the
same state and generator give the same bytes.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from sublet.allocation.policy import Policy
from sublet.allocation.simulate import simulate
from sublet.allocation.simulate_values import Schedule, Snapshot
from sublet.allocation.trace import Jobs, Seconds
from sublet.units import DAY_S

RUNS = 25
_WINDOW_S = 3 * DAY_S  # arrivals are resampled from this much past
_KEPT = 60  # latest jobs of a tenant that its shares come from
_KEPT_ALIKE = 20  # of the same request
_ENOUGH_ALIKE = 4  # fewer than this: all requests of the tenant count
_ENOUGH = 8  # fewer than this: what all tenants did counts too
_SHARED = 0.5  # part of the draws that all jobs of a tenant share within a run


@dataclass(frozen=True)
class Eta:
    """Wait from now in seconds: quantiles, and the sorted outcomes of the runs that they were read from."""

    p10_s: float
    p50_s: float
    p90_s: float
    outcomes_s: tuple[float, ...]


class History:
    """Shares of the request that ended jobs used, by tenant and request, by tenant, and for all: what predictions draw
    from. The narrowest that has seen enough is taken: the same request of the same tenant is mostly the same work."""

    def __init__(self) -> None:
        self._latest: dict[tuple[int, float], deque[float]] = {}
        self._sorted: dict[tuple[int, float], list[float]] = {}

    def add(self, tenant: int, request_s: float, share: float) -> None:
        """A job of the tenant that asked for `request_s` ended after `share` of it."""
        for key, kept in (((tenant, request_s), _KEPT_ALIKE), ((tenant, 0.0), _KEPT), ((-1, 0.0), 8 * _KEPT)):
            latest = self._latest.setdefault(key, deque())
            ordered = self._sorted.setdefault(key, [])
            latest.append(share)
            insort(ordered, share)
            if len(latest) > kept:
                old = latest.popleft()
                del ordered[bisect_right(ordered, old) - 1]

    def shares(self, tenant: int, request_s: float) -> list[float]:
        """Sorted shares to draw from; the request itself where nothing has ended yet."""
        alike = self._sorted.get((tenant, request_s), [])
        if len(alike) >= _ENOUGH_ALIKE:
            return alike
        own = self._sorted.get((tenant, 0.0), [])
        return own if len(own) >= _ENOUGH else self._sorted.get((-1, 0.0), [1.0])


class Draws:
    """Shares of the request that live and coming jobs will have used, drawn at quantiles u for all of them at once.

    `shares` holds the sorted past shares of each job, `elapsed` the share of its request that has passed. A draw is the
    quantile u among those above `elapsed`; beyond all that was seen, it is within the rest of the request, or a tenth
    more than what has passed where that is over too.
    """

    def __init__(self, shares: Sequence[Sequence[float]], elapsed: Sequence[float]) -> None:
        place: dict[int, int] = {}  # the same list stands in the table once
        flat: list[float] = []
        for one in shares:
            if id(one) not in place:
                place[id(one)] = len(flat)
                flat.extend(one)
        first = [bisect_right(one, gone) for one, gone in zip(shares, elapsed, strict=True)]
        self._flat = np.array(flat)
        self._from = np.array([place[id(one)] + at for one, at in zip(shares, first, strict=True)], dtype=np.int64)
        self._left = np.array([len(one) - at for one, at in zip(shares, first, strict=True)], dtype=np.int64)
        self._elapsed = np.array(elapsed, dtype=np.float64)

    def at(self, u: Seconds) -> Seconds:
        """One draw for each job, shape (jobs,), at quantiles `u` of the same shape."""
        left, gone = self._left, self._elapsed
        seen = self._flat[self._from - (left == 0) + np.minimum(left - 1, (u * left).astype(np.int64)) * (left > 0)]
        beyond = np.where(gone < 1.0, gone + u * (1.0 - gone), gone * 1.1)
        drawn: Seconds = np.where(left > 0, seen, beyond)
        return drawn


def predict(
    jobs: Jobs,
    capacity: int,
    policy: Policy,
    state: Snapshot,
    target: int,
    history: History,
    generator: np.random.Generator,
    *,
    runs: int = RUNS,
) -> Eta:
    """The ETA of job `target`, which waits in `state`; of `jobs`, those submitted until then are known, durations of
    what runs and waits are not looked at."""
    now = state.now_s
    live = sorted([*state.running, *state.waiting])
    count = len(live)
    place = {job: at for at, job in enumerate(live)}
    took = np.searchsorted(jobs.submit_s, [now - _WINDOW_S, now], side="left")
    past = np.arange(took[0], took[1])
    span = min(_WINDOW_S, now - float(jobs.submit_s[0]))
    columns = np.concatenate([np.array(live, dtype=np.int64), past])
    tenants = jobs.tenant[columns].tolist()
    requests = jobs.requested_s[columns]
    elapsed = np.zeros(len(columns))
    for job, start in state.running.items():
        elapsed[place[job]] = (now - start) / float(jobs.requested_s[job])
    shares = [history.shares(tenant, request) for tenant, request in zip(tenants, requests.tolist(), strict=True)]
    draws = Draws(shares, elapsed.tolist())
    owner = jobs.tenant[columns]
    running = {place[job]: start for job, start in state.running.items()}
    waiting = [place[job] for job in state.waiting]
    promised = {place[job]: at for job, at in state.promised.items()}
    snapshot = Snapshot(now, running, waiting, promised)
    mine = place[target]
    outcomes = []
    base = replace(
        jobs,
        ids=tuple(map(str, range(len(columns)))),
        size=jobs.size[columns],
        tenant=jobs.tenant[columns],
        tier=jobs.tier[columns],
        requested_s=requests,
        submit_s=jobs.submit_s[columns],
        duration_s=jobs.duration_s[columns],
    )
    for _ in range(runs):
        common = generator.random(len(jobs.tenants))
        single = generator.random(len(columns))
        pick = generator.random(len(columns))
        duration = np.maximum(draws.at(np.where(pick < _SHARED, common[owner], single)) * requests, 1.0)
        offset = float(generator.random()) * span
        future = base.submit_s.copy()
        if len(past):
            future[count:] = now + 1e-3 + np.mod(jobs.submit_s[past] - (now - span) + offset, span)
        order = np.concatenate([np.arange(count), count + np.argsort(future[count:], kind="stable")])
        drawn_jobs = replace(
            base,
            submit_s=future[order],
            duration_s=duration[order],
            requested_s=requests[order],
            size=base.size[order],
            tenant=base.tenant[order],
            tier=base.tier[order],
        )
        played = simulate(drawn_jobs, capacity, policy, snapshot=snapshot, until_started=mine)
        outcomes.append(max(0.0, float(played.start_s[mine]) - now))
    outcomes.sort()
    p10, p50, p90 = np.quantile(outcomes, [0.1, 0.5, 0.9]).tolist()
    return Eta(p10, p50, p90, tuple(outcomes))


def state_at(jobs: Jobs, schedule: Schedule, target: int) -> Snapshot:
    """What ran and waited when job `target` was submitted, the job itself among those that wait."""
    now = float(jobs.submit_s[target])
    known = np.arange(len(jobs)) <= target
    begun = known & (schedule.start_s <= now)
    running = np.flatnonzero(begun & (schedule.start_s + jobs.duration_s > now))
    waiting = np.flatnonzero(known & (schedule.start_s > now))
    return Snapshot(
        now, {int(job): float(schedule.start_s[job]) for job in running}, tuple(int(job) for job in waiting)
    )
