"""A trace played on a pool under a policy: the schedule, what it was worth, and how good the ETAs would have been.

Invariant: the same jobs, pool, policy and seed give the same bytes; nothing is read and no time is taken here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from sublet.allocation.eta_score import EtaScore, score_etas
from sublet.allocation.measures import Measures, measure
from sublet.allocation.policy import Policy
from sublet.allocation.simulate import simulate
from sublet.allocation.simulate_values import Schedule
from sublet.allocation.trace import Jobs, fit_to_pool

_OUTSIDE_JSON = ("area_weighted_bound_h", "makespan_bound_d")


@dataclass(frozen=True)
class Replay:
    """What came of a replay: `jobs` as played (gangs above the pool cut, `cut` of them)."""

    jobs: Jobs
    cut: int
    capacity: int
    policy: Policy
    schedule: Schedule
    measures: Measures
    eta: EtaScore | None


def replay(
    jobs: Jobs,
    capacity: int,
    policy: Policy,
    *,
    sample_eta: int = 0,
    seed: int = 0,
    affiliates: Mapping[str, str] | None = None,
) -> Replay:
    """Play `jobs` on `capacity` units; with `sample_eta`, predict the starts of that many delayed jobs as well."""
    jobs, cut = fit_to_pool(jobs, capacity)
    schedule = simulate(jobs, capacity, policy, affiliates=affiliates)
    measures = measure(jobs, schedule, capacity)
    eta = score_etas(jobs, capacity, policy, schedule, sample=sample_eta, seed=seed) if sample_eta else None
    return Replay(jobs, cut, capacity, policy, schedule, measures, eta)


def document(result: Replay, cpu_s: float) -> dict[str, Any]:
    """The replay as `sublet allocate replay --json` prints it; `cpu_s` is what the caller measured."""
    figures: dict[str, Any] = {
        name: value for name, value in asdict(result.measures).items() if name not in _OUTSIDE_JSON
    }
    return {
        "schema": "sublet.allocate.replay/1",
        "policy": {"name": result.policy.name, "version": result.policy.version},
        "capacity": result.capacity,
        "cut_to_pool": result.cut,
        **figures,
        "bounds": {name: getattr(result.measures, name) for name in _OUTSIDE_JSON},
        "events": result.schedule.events,
        "cpu_s": cpu_s,
        "eta": _eta(result.eta),
    }


def _eta(eta: EtaScore | None) -> dict[str, float | int | None]:
    """The figures, each null where nothing was predicted."""
    if eta is None or eta.n == 0:
        return {"p90_coverage": None, "p50_mae_h": None, "n": 0}
    return {name: value for name, value in asdict(eta).items() if name != "n"} | {"n": eta.n}
