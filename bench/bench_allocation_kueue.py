"""Kueue's own load files replayed: use of the pool, decisions a second, and time to admission of each class.

    python bench/bench_allocation_kueue.py

The parameters are those of test/performance/scheduler/configs in kubernetes-sigs/kueue (baseline: 5 cohorts of 6
queues, 15,000 workloads; large-scale: 20 cohorts of 100 queues, 60,000). A cohort is a pool of its queues' quotas; a
queue is a tenant that may use its quota and what it may borrow; classes go by priority, and nobody is preempted.
Kueue's figures are those of its CI, where every admission passes an API server and an etcd: ours is the decision alone,
so that wall times are not like for like; what is compared is how well the pool is used and how long a class waits when
deciding costs what was measured here. That cost is added to each time to admission as if one process decided for all
cohorts.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np

from _harness import cpu_s, report
from sublet.allocation.measures import utilisation
from sublet.allocation.policy import Caps, Policy, Tier
from sublet.allocation.simulate import simulate
from sublet.allocation.simulate_values import Schedule
from sublet.allocation.trace import Jobs, make_jobs

KUEUE_DECISIONS_PER_S = 42.7  # 15,000 workloads in 351 s
KUEUE_USE = 0.559


@dataclass(frozen=True)
class Class:
    """Workloads of one class in one queue: `count` of them, one each `every_s`, `size` units for `runs_s`."""

    name: str
    count: int
    every_s: float
    runs_s: float
    size: int


@dataclass(frozen=True)
class Load:
    """A load file; `admission_s` is Kueue's mean time to admission by class, where its repository says one."""

    name: str
    cohorts: int
    queues: int
    quota: int
    borrows: int
    classes: tuple[Class, ...]
    admission_s: dict[str, float]


LOADS = (
    Load(
        "baseline",
        5,
        6,
        20,
        100,
        (
            Class("large", 50, 1.2, 1.0, 20),
            Class("medium", 100, 0.5, 0.5, 5),
            Class("small", 350, 0.1, 0.2, 1),
        ),
        {"large": 6.666, "medium": 76.768, "small": 215.468},  # rangespec.yaml, means of five runs
    ),
    Load(
        "large_scale",
        20,
        100,
        20,
        100,
        (Class("large", 3, 0.2, 0.2, 20), Class("medium", 7, 0.05, 0.1, 5), Class("small", 20, 0.02, 0.05, 1)),
        {},
    ),
)


def main() -> None:
    for load in LOADS:
        capacity = load.queues * load.quota
        ranks = tuple(Tier(one.name, rank=rank) for rank, one in enumerate(load.classes))
        policy = Policy("kueue", tiers=ranks, caps=Caps(min(1.0, (load.quota + load.borrows) / capacity)))
        jobs = one_cohort(load)
        seconds, schedule = cpu_s(partial(simulate, jobs, capacity, policy))
        _report(load, jobs, schedule, capacity, seconds)


def one_cohort(load: Load) -> Jobs:
    """The workloads of one cohort; all cohorts are alike and share nothing."""
    rows = [
        (number * one.every_s, one.runs_s, one.size, f"cq{queue}", one.name)
        for queue in range(load.queues)
        for one in load.classes
        for number in range(one.count)
    ]
    submit, runs, size, queue_names, classes = zip(*rows, strict=True)
    return make_jobs(submit, runs, size, tenant=queue_names, tier=classes)


def _report(load: Load, jobs: Jobs, schedule: Schedule, capacity: int, seconds: float) -> None:
    end = float((schedule.start_s + jobs.duration_s).max())
    used = float(jobs.area.sum()) / (capacity * end)
    name = f"allocation_kueue_{load.name}"
    total = len(jobs) * load.cohorts
    report(f"{name}_use", used, "until the end", at_least=KUEUE_USE, workloads=total)
    report(f"{name}_use_of_arrivals", utilisation(jobs, schedule.start_s, capacity), "while they come")
    report(f"{name}_length", end, "s", bound_s=round(float(jobs.area.sum()) / capacity, 1))
    report(f"{name}_decisions", len(jobs) / seconds, "per CPU-s", at_least=KUEUE_DECISIONS_PER_S)
    wait = schedule.wait_s(jobs) + load.cohorts * seconds / len(jobs)
    for number, tier in enumerate(jobs.tiers):
        mine = jobs.tier == number
        most = load.admission_s.get(tier)
        longest = round(float(np.max(wait[mine])), 1)
        report(f"{name}_{tier}_admission", float(wait[mine].mean()), "s", at_most=most, longest_s=longest)


if __name__ == "__main__":
    main()
