"""How good ETAs would have been on a trace: jobs that had to wait are predicted as of their submission, in time order.

Invariant: a prediction uses what was known at that time only: jobs that had ended, ETAs whose job had started.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sublet.allocation.eta import RUNS, Eta, History, predict, state_at
from sublet.allocation.eta_correct import Conformal, Outcome, size_class
from sublet.allocation.policy import Policy
from sublet.allocation.simulate import simulate
from sublet.allocation.simulate_values import Schedule
from sublet.allocation.trace import Jobs
from sublet.units import HOUR_S

_WARM = 0.2  # the first part of a trace is only learnt from


@dataclass(frozen=True)
class EtaScore:
    """Over `n` delayed jobs: coverage of the corrected p90, error of p50 in hours, share of p50 within 10 minutes, mean
    p90 (sharpness), raw coverage before correction. Then the trace is played once more, where each was promised its
    corrected p90, or later where the room was taken: the share that started by it, and by how much the mean wait of all
    jobs rose for it."""

    n: int
    p90_coverage: float
    p50_mae_h: float
    p50_median_error_h: float
    within_10_min: float
    mean_p90_h: float
    raw_p90_coverage: float
    promises_kept: float
    promises_cost: float


def score_etas(
    jobs: Jobs, capacity: int, policy: Policy, schedule: Schedule, *, sample: int, seed: int, runs: int = RUNS
) -> EtaScore:
    """Predict `sample` delayed jobs after the first fifth of the trace, and as many more before as warm up the
    correction; every prediction sees the state of the replay at its time."""
    generator = np.random.default_rng(seed)
    wait = schedule.wait_s(jobs)
    delayed = np.flatnonzero(wait > 0)
    first = int(_WARM * len(jobs))
    scored_from = delayed[delayed >= first]
    warm_from = delayed[delayed < first]
    scored = _some(scored_from, sample, generator)
    warm = _some(warm_from, max(1, sample // 5), generator)
    history, conformal = History(), Conformal()
    ends = schedule.start_s + jobs.duration_s
    ended = np.argsort(ends, kind="stable")
    share = (jobs.duration_s / jobs.requested_s).tolist()
    at = 0
    pending: list[tuple[float, int, Outcome]] = []
    results: list[tuple[Eta, Eta, float]] = []
    said: dict[int, float] = {}
    for target in sorted([*warm, *scored]):
        now = float(jobs.submit_s[target])
        while at < len(ended) and ends[ended[at]] <= now:
            job = int(ended[at])
            history.add(int(jobs.tenant[job]), float(jobs.requested_s[job]), share[job])
            at += 1
        for known in sorted(entry for entry in pending if entry[0] <= now):
            conformal.learn(known[2])
        pending = [entry for entry in pending if entry[0] > now]
        state = state_at(jobs, schedule, target)
        raw = predict(jobs, capacity, policy, state, target, history, generator, runs=runs)
        kind = (size_class(int(jobs.size[target])), jobs.tiers[int(jobs.tier[target])])
        eta = conformal.correct(kind, raw)
        waited = float(wait[target])
        pending.append((float(schedule.start_s[target]), target, Outcome(kind, raw, eta.p90_s, waited)))
        if target >= first:
            results.append((raw, eta, waited))
            said[target] = eta.p90_s
    if not results:
        return EtaScore(0, *[float("nan")] * 8)
    held = simulate(jobs, capacity, policy, promise=said)
    promised = ~np.isnan(held.promised_s)
    errors = np.array([abs(waited - eta.p50_s) for _, eta, waited in results])
    return EtaScore(
        n=len(results),
        p90_coverage=float(np.mean([waited <= eta.p90_s for _, eta, waited in results])),
        p50_mae_h=float(errors.mean()) / HOUR_S,
        p50_median_error_h=float(np.median(errors)) / HOUR_S,
        within_10_min=float((errors <= 600.0).mean()),
        mean_p90_h=float(np.mean([eta.p90_s for _, eta, _ in results])) / HOUR_S,
        raw_p90_coverage=float(np.mean([waited <= raw.p90_s for raw, _, waited in results])),
        promises_kept=float((held.start_s[promised] <= held.promised_s[promised]).mean()) if promised.any() else 1.0,
        promises_cost=float(held.wait_s(jobs).mean() / wait.mean()) - 1.0,
    )


def _some(among: np.ndarray[tuple[int], np.dtype[np.int64]], count: int, generator: np.random.Generator) -> list[int]:
    if len(among) <= count:
        return [int(job) for job in among]
    return sorted(int(job) for job in generator.choice(among, size=count, replace=False))
