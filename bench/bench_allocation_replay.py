"""Traces replayed: waits against the targets under the one default policy, speed of the simulators, worth of the ETAs.

    python bench/bench_allocation_replay.py [FOLDER OF TRACES]

Prints one line for each figure with its target; a target that is missed is said to be missed.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from _harness import cpu_s, report
from sublet.allocation.eta_score import score_etas
from sublet.allocation.measures import measure
from sublet.allocation.policy import Policy
from sublet.allocation.policy_file import load_policy
from sublet.allocation.simulate import simulate
from sublet.allocation.trace import Jobs, fit_to_pool
from sublet.allocation.trace_reader import read_trace

ROOT = Path(__file__).resolve().parents[1]
SHARED = Path(os.environ.get("SUBLET_SHARED", ROOT.parent / "shared")) / "data" / "traces"
POOLS = {  # name: file, unit, capacity, most mean, max and area-weighted wait in hours
    "kalos": ("acme_kalos_synth.csv.gz", "node", 302, 0.95, 116.0, 22.2),
    "philly": ("philly_2017_oct.csv.gz", "slot", 640, 0.70, 30.4, 4.1),
    "hpc2n": ("hpc2n_seth_2002.csv.gz", "slot", 128, 9.0, 160.0, 28.7),
}
ETA_MOST_P50_H = {"kalos": 2.0, "hpc2n": 6.2}
SAMPLES = 200


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else SHARED
    traces = {name: _read(folder, name) for name in POOLS}
    ours, easy, conservative = (load_policy(name) for name in ("sublet", "easy", "conservative"))
    for name, jobs in traces.items():
        _, _, capacity, mean, longest, area = POOLS[name]
        figures = measure(jobs, simulate(jobs, capacity, ours), capacity)
        report(f"allocation_{name}_mean_wait", figures.mean_wait_h, "h", at_most=mean)
        report(f"allocation_{name}_max_wait", figures.max_wait_h, "h", at_most=longest)
        report(f"allocation_{name}_area_weighted_wait", figures.area_weighted_wait_h, "h", at_most=area)
        if name == "kalos":
            report("allocation_kalos_utilisation", figures.utilisation, "of the pool", at_least=0.860)
    for policy, least in ((easy, 40_000.0), (conservative, 10_000.0)):
        seconds, schedule = cpu_s(lambda policy=policy: simulate(traces["kalos"], 302, policy))  # type: ignore[misc]
        speed = schedule.events / seconds
        report(f"allocation_{policy.name}_speed", speed, "events per CPU-s", at_least=least)
    for name, most in ETA_MOST_P50_H.items():
        for policy in (easy, ours):
            _etas(name, traces[name], policy, most)


def _read(folder: Path, name: str) -> Jobs:
    file, unit, capacity, *_ = POOLS[name]
    return fit_to_pool(read_trace(folder / file, unit=unit).jobs, capacity)[0]


def _etas(name: str, jobs: Jobs, policy: Policy, most_p50_h: float) -> None:
    capacity = POOLS[name][2]
    schedule = simulate(jobs, capacity, policy)
    seconds, score = cpu_s(lambda: score_etas(jobs, capacity, policy, schedule, sample=SAMPLES, seed=0), repeats=1)
    where = f"allocation_eta_{name}_{policy.name}"
    report(f"{where}_coverage", score.p90_coverage, "of 0.87 to 0.94", at_least=0.87, at_most=0.94, n=score.n)
    report(f"{where}_p50_error", score.p50_mae_h, "h", at_most=most_p50_h, median_h=score.p50_median_error_h)
    report(f"{where}_promises_kept", score.promises_kept, "of the promises", at_least=0.99)
    each_ms = 1e3 * seconds / (score.n + max(1, SAMPLES // 5))
    report(f"{where}_cost", each_ms, "ms each", at_most=100.0)


if __name__ == "__main__":
    main()
