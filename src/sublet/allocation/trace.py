"""A trace of gangs as columns: who asked when, for how many units of the pool, for how long, and how long it took.

A unit is what the pool counts in: a whole node, or a slot. Invariant: jobs are sorted by submit time, ties by their
place in the source; every size is at least 1, every duration above 0; all arrays have the same length.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sublet.errors import InputError

Seconds = NDArray[np.float64]
Counts = NDArray[np.int64]

STANDARD_TIER = "standard"


@dataclass(frozen=True)
class Jobs:
    """Columns of shape (jobs,): `submit_s`, `duration_s` (actual), `requested_s` (what the user asked for), `size`
    (units of the pool), `tenant` and `tier` (positions in `tenants` and `tiers`)."""

    ids: tuple[str, ...]
    submit_s: Seconds
    duration_s: Seconds
    requested_s: Seconds
    size: Counts
    tenant: Counts
    tenants: tuple[str, ...]
    tier: Counts
    tiers: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def area(self) -> Seconds:
        """Unit-seconds that each job uses."""
        return self.size * self.duration_s


def make_jobs(
    submit_s: Sequence[float] | Seconds,
    duration_s: Sequence[float] | Seconds,
    size: Sequence[int] | Counts,
    *,
    requested_s: Sequence[float] | Seconds | None = None,
    tenant: Sequence[str] | None = None,
    tier: Sequence[str] | None = None,
    ids: Sequence[str] | None = None,
) -> Jobs:
    """Jobs from columns in any order; what is left out is exact estimates, one tenant and the standard tier.

    Raises InputError where the columns differ in length, or a size, a duration or a time cannot be.
    """
    submit = np.asarray(submit_s, dtype=np.float64)
    count = len(submit)
    duration = np.asarray(duration_s, dtype=np.float64)
    requested = duration if requested_s is None else np.asarray(requested_s, dtype=np.float64)
    sizes = np.asarray(size, dtype=np.int64)
    tenant_names = ["unnamed"] * count if tenant is None else list(tenant)
    tier_names = [STANDARD_TIER] * count if tier is None else list(tier)
    names = [f"j{number}" for number in range(count)] if ids is None else list(ids)
    columns: dict[str, Any] = {
        "duration_s": duration,
        "size": sizes,
        "requested_s": requested,
        "tenant": tenant_names,
        "tier": tier_names,
        "ids": names,
    }
    for name, column in columns.items():
        if len(column) != count:
            raise InputError(f"{name} has {len(column)} values for {count} jobs: give one for each")
    times_ok = bool(np.isfinite(submit).all() and np.isfinite(duration).all() and np.isfinite(requested).all())
    if count and not (times_ok and duration.min() > 0 and requested.min() > 0 and sizes.min() >= 1):
        raise InputError("a job needs finite times, a duration and a request above 0 s and a size of at least 1")
    order = np.argsort(submit, kind="stable")
    tenants = tuple(dict.fromkeys(tenant_names))
    tiers = tuple(dict.fromkeys(tier_names))
    tenant_at = {name: position for position, name in enumerate(tenants)}
    tier_at = {name: position for position, name in enumerate(tiers)}
    return Jobs(
        tuple(names[position] for position in order),
        submit[order],
        duration[order],
        requested[order],
        sizes[order],
        np.array([tenant_at[name] for name in tenant_names], dtype=np.int64)[order],
        tenants,
        np.array([tier_at[name] for name in tier_names], dtype=np.int64)[order],
        tiers,
    )


def fit_to_pool(jobs: Jobs, capacity: int) -> tuple[Jobs, int]:
    """The jobs with gangs above the pool cut to the whole pool, and how many were cut."""
    if capacity < 1:
        raise InputError(f"a pool of {capacity} units serves nobody: give at least 1")
    return replace(jobs, size=np.minimum(jobs.size, capacity)), int((jobs.size > capacity).sum())


def with_exact_estimates(jobs: Jobs) -> Jobs:
    """The jobs as if every user knew the duration."""
    return replace(jobs, requested_s=jobs.duration_s)


def select(jobs: Jobs, keep: NDArray[np.bool_]) -> Jobs:
    """The jobs where `keep` (shape (jobs,)) holds; names of tenants and tiers stay."""
    chosen = np.flatnonzero(keep)
    return replace(
        jobs,
        ids=tuple(jobs.ids[position] for position in chosen),
        submit_s=jobs.submit_s[chosen],
        duration_s=jobs.duration_s[chosen],
        requested_s=jobs.requested_s[chosen],
        size=jobs.size[chosen],
        tenant=jobs.tenant[chosen],
        tier=jobs.tier[chosen],
    )
