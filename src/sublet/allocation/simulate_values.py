"""What goes into a simulation and what comes out: snapshots, schedules, and the reason of every start.

Invariant: a schedule says for each job when it started and why, or that it did not start within what was played.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum

from sublet.allocation.trace import Counts, Jobs, Seconds


class Reason(IntEnum):
    """Why a job started when it did."""

    NONE = 0  # it did not start within what was simulated
    FIRST = 1  # it was first in the queue, and its units were free
    ENDS_BEFORE = 2  # it went before the head: it ends before the head's reservation
    BESIDE = 3  # it went before the head: the head does not need these units
    PLANNED = 4  # its reservation came (several reservations, conservative)


@dataclass(frozen=True)
class Snapshot:
    """What runs and waits at `now_s`: places of running jobs with their start, of those that wait, and the starts that
    were promised to some of them."""

    now_s: float
    running: Mapping[int, float] = field(default_factory=dict)
    waiting: Sequence[int] = ()
    promised: Mapping[int, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Schedule:
    """What came of it, columns of shape (jobs,): `start_s` (nan: not started), `reason`, `reserved_s` (the first start
    that the job was given a reservation for, nan: none), `promised_s` (the start it was promised, nan: none); `events`
    is arrivals and ends."""

    start_s: Seconds
    reason: Counts
    reserved_s: Seconds
    promised_s: Seconds
    events: int

    def wait_s(self, jobs: Jobs) -> Seconds:
        """Seconds that each job waited."""
        return self.start_s - jobs.submit_s
