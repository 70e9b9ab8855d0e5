"""What a schedule was worth: waits, slowdown, use of the pool, and lower bounds where they say something.

Mean, maximum and area-weighted wait stand together: a policy that improves one of them by the others is not ahead.
Invariant: every figure follows from the jobs, the starts and the size of the pool; an empty trace has no figures.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sublet.allocation.simulate_values import Schedule
from sublet.allocation.trace import Jobs, Seconds
from sublet.errors import InputError
from sublet.units import DAY_S, HOUR_S

SLOWDOWN_FLOOR_S = 10.0  # bounded slowdown's tau: shorter jobs count as this long


@dataclass(frozen=True)
class Measures:
    """Waits in hours over all jobs; `area_weighted_wait_h` weighs a wait by the job's unit-seconds;
    `bounded_slowdown` is the mean of max(1, (wait + duration) / max(duration, 10 s)); `utilisation` is inside the
    window of arrivals; `area_weighted_bound_h` and `makespan_bound_d` are what no schedule can be below."""

    jobs: int
    mean_wait_h: float
    median_wait_h: float
    p95_wait_h: float
    p99_wait_h: float
    max_wait_h: float
    area_weighted_wait_h: float
    bounded_slowdown: float
    utilisation: float
    makespan_d: float
    area_weighted_bound_h: float
    makespan_bound_d: float


def measure(jobs: Jobs, schedule: Schedule, capacity: int) -> Measures:
    """The measures of a complete schedule; InputError where a job never started, or there is none."""
    if not len(jobs):
        raise InputError("there is no job to measure")
    if np.isnan(schedule.start_s).any():
        raise InputError("a job of the schedule never started: measure a replay that was played to its end")
    wait = schedule.wait_s(jobs)
    hours = wait / HOUR_S
    area = jobs.area
    first = float(jobs.submit_s[0])
    ends = schedule.start_s + jobs.duration_s
    slowdown = np.maximum(1.0, (wait + jobs.duration_s) / np.maximum(jobs.duration_s, SLOWDOWN_FLOOR_S))
    p95, p99 = np.percentile(hours, [95, 99])
    return Measures(
        jobs=len(jobs),
        mean_wait_h=float(hours.mean()),
        median_wait_h=float(np.median(hours)),
        p95_wait_h=float(p95),
        p99_wait_h=float(p99),
        max_wait_h=float(hours.max()),
        area_weighted_wait_h=float((hours * area).sum() / area.sum()),
        bounded_slowdown=float(slowdown.mean()),
        utilisation=utilisation(jobs, schedule.start_s, capacity),
        makespan_d=(float(ends.max()) - first) / DAY_S,
        area_weighted_bound_h=area_weighted_bound_s(jobs, capacity) / HOUR_S,
        makespan_bound_d=makespan_bound_s(jobs, capacity) / DAY_S,
    )


def utilisation(jobs: Jobs, start_s: Seconds, capacity: int) -> float:
    """Share of the pool's unit-seconds in use between the first and the last arrival; 1.0 where that is one instant."""
    first, last = float(jobs.submit_s[0]), float(jobs.submit_s[-1])
    if last <= first:
        return 1.0
    inside = np.minimum(start_s + jobs.duration_s, last) - np.minimum(start_s, last)
    return float((jobs.size * inside).sum() / (capacity * (last - first)))


def area_weighted_bound_s(jobs: Jobs, capacity: int) -> float:
    """Least area-weighted wait, in seconds: on a fluid pool every order that leaves nothing idle has the same sum of
    area * mean busy time, and a job ends no earlier than half its duration after its own mean busy time."""
    now, backlog, total = float(jobs.submit_s[0]), 0.0, 0.0
    # served area times time: integrate the busy fluid pool, then subtract each job's own earliest
    busy = 0.0  # integral of (served area rate * time) over the busy periods
    for submit, area in zip(jobs.submit_s.tolist(), jobs.area.tolist(), strict=True):
        span = min(submit - now, backlog / capacity)
        busy += capacity * span * (now + span / 2)
        backlog = max(0.0, backlog - capacity * (submit - now))
        backlog += area
        total += area
        now = submit
    span = backlog / capacity
    busy += capacity * span * (now + span / 2)
    own = float((jobs.area * (jobs.submit_s + jobs.duration_s / 2)).sum())
    return max(0.0, (busy - own) / total)


def makespan_bound_s(jobs: Jobs, capacity: int) -> float:
    """Least time from the first arrival to the last end: the fluid pool's, or the longest single job's."""
    first = float(jobs.submit_s[0])
    done = first
    for submit, area in zip(jobs.submit_s.tolist(), jobs.area.tolist(), strict=True):
        done = max(done, submit) + area / capacity
    return max(done, float((jobs.submit_s + jobs.duration_s).max())) - first
