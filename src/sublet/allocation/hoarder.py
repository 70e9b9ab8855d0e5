"""One tenant that asks many times what it used to ask, and what that does to the others: a rehearsal of hoarding.

Invariant: the jobs of all other tenants stay as they are; the hoarder's further jobs are copies of its own, spread
evenly at random over the trace.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from sublet.allocation.policy import Policy
from sublet.allocation.simulate import simulate
from sublet.allocation.trace import Jobs, Seconds
from sublet.errors import InputError
from sublet.units import HOUR_S


@dataclass(frozen=True)
class Hoarding:
    """Mean waits in hours: of the others when the hoarder asks its share and when it asks more, and its own then."""

    before_h: float
    after_h: float
    hoarder_h: float

    @property
    def rise(self) -> float:
        """By what part of it the others' mean wait rises."""
        return self.after_h / self.before_h - 1.0


def usual_tenant(jobs: Jobs) -> int:
    """The tenant whose part of the demand is nearest to an equal one."""
    part = _demand(jobs) / jobs.area.sum()
    return int(np.argmin(np.abs(part - 1.0 / len(jobs.tenants))))


def usual_shares(jobs: Jobs) -> dict[str, float]:
    """What each tenant asks in the trace, as the share that it would have by contract."""
    return dict(zip(jobs.tenants, _demand(jobs).tolist(), strict=True))


def ask_more(jobs: Jobs, tenant: int, times: int, accounts: int = 1, seed: int = 0) -> tuple[Jobs, dict[str, str]]:
    """The trace where `tenant` asks `times` what it asks, over that many accounts, and the accounts' affiliation."""
    if times < 1 or accounts < 1:
        raise InputError(f"{times} times over {accounts} accounts: give at least 1 of each")
    generator = np.random.default_rng(seed)
    own = np.flatnonzero(jobs.tenant == tenant)
    more = np.tile(own, times - 1)
    submit = np.concatenate([jobs.submit_s, generator.uniform(jobs.submit_s[0], jobs.submit_s[-1], len(more))])
    taken = np.concatenate([np.arange(len(jobs)), more])
    order = np.argsort(submit, kind="stable")
    taken = taken[order]
    name = jobs.tenants[tenant]
    others = tuple(f"{name}+{number}" for number in range(1, accounts))
    places = np.array([tenant, *(len(jobs.tenants) + number for number in range(accounts - 1))])
    owner = jobs.tenant[taken].copy()
    mine = np.flatnonzero(owner == tenant)
    owner[mine] = places[np.arange(len(mine)) % accounts]
    grown = replace(
        jobs,
        ids=tuple(f"{jobs.ids[job]}.{number}" for number, job in enumerate(taken)),
        submit_s=submit[order],
        duration_s=jobs.duration_s[taken],
        requested_s=jobs.requested_s[taken],
        size=jobs.size[taken],
        tenant=owner,
        tenants=jobs.tenants + others,
        tier=jobs.tier[taken],
    )
    return grown, dict.fromkeys((name, *others), name)


def hoarding(
    jobs: Jobs,
    capacity: int,
    policy: Policy,
    tenant: int,
    times: int = 10,
    accounts: int = 1,
    entitled: Mapping[str, float] | None = None,
) -> Hoarding:
    """What it does to the others that `tenant` asks `times` what it asks; shares are `entitled`, else usual."""
    shares = usual_shares(jobs) if entitled is None else entitled
    grown, group = ask_more(jobs, tenant, times, accounts)
    before = simulate(jobs, capacity, policy, entitled=shares).wait_s(jobs)[jobs.tenant != tenant]
    wait = simulate(grown, capacity, policy, affiliates=group, entitled=shares).wait_s(grown)
    hoards = (grown.tenant == tenant) | (grown.tenant >= len(jobs.tenants))
    return Hoarding(
        float(before.mean()) / HOUR_S, float(wait[~hoards].mean()) / HOUR_S, float(wait[hoards].mean()) / HOUR_S
    )


def _demand(jobs: Jobs) -> Seconds:
    """Unit-seconds that each tenant asks, shape (tenants,)."""
    return np.bincount(jobs.tenant, weights=jobs.area, minlength=len(jobs.tenants)).astype(np.float64)
