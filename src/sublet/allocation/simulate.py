"""The queue of one homogeneous pool, played forward under a policy: the door to the two simulators.

Jobs come, wait, start whole and end; the policy says who is next. Invariants: units in use never exceed the pool; a
gang starts whole or not at all; the same input gives the same bytes (ties fall by submission).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sublet.allocation.policy import Policy
from sublet.allocation.simulate_conservative import simulate_conservative
from sublet.allocation.simulate_easy import Play
from sublet.allocation.simulate_values import Schedule, Snapshot
from sublet.allocation.trace import Jobs
from sublet.errors import InputError


def simulate(
    jobs: Jobs,
    capacity: int,
    policy: Policy,
    *,
    affiliates: Mapping[str, str] | None = None,
    entitled: Mapping[str, float] | None = None,
    snapshot: Snapshot | None = None,
    until_started: int | None = None,
    promise: Mapping[int, float] | None = None,
) -> Schedule:
    """The schedule of `jobs` on `capacity` units; every gang must fit the pool (see `trace.fit_to_pool`).

    `affiliates` maps a tenant to the group that it counts with, `entitled` to its share of the pool by contract, in any
    unit (a group has the sum of its tenants', who is not named has none; left out: all groups the same). With a
    `snapshot`, the jobs it names run or wait at its `now_s` and the others arrive after it (those submitted earlier and
    not named are left out); the play ends when job `until_started` has started. `promise` maps jobs to a wait in
    seconds: those that have to wait are promised a start after that wait, or later where its room is taken, and it is
    kept (see `simulate_promises`). Raises InputError where a gang is larger than the pool.
    """
    if len(jobs) and int(jobs.size.max()) > capacity:
        raise InputError(
            f"a gang of {int(jobs.size.max())} units never fits a pool of {capacity}: cut or remove it first"
        )
    if policy.backfill.method == "conservative" and snapshot is None and promise is None:
        return simulate_conservative(jobs, capacity)
    group_of = group_numbers(jobs.tenants, affiliates or {})
    group = [group_of[tenant] for tenant in jobs.tenant.tolist()]
    weight = [0.0 if entitled else 1.0] * (max(group_of, default=-1) + 1)
    for name, number in zip(jobs.tenants, group_of, strict=True):
        weight[number] += (entitled or {}).get(name, 0.0)
    return Play(jobs, capacity, policy, group, weight, snapshot, promise).run(until_started)


def group_numbers(tenants: Sequence[str], affiliates: Mapping[str, str]) -> list[int]:
    """The number of each tenant's group: a tenant of its own, or all that `affiliates` maps to one name."""
    numbers: dict[tuple[bool, str], int] = {}
    return [numbers.setdefault((name in affiliates, affiliates.get(name, name)), len(numbers)) for name in tenants]
