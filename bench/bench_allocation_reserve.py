"""Share of the LP bound that reservations reach: accepted one by one, and re-planned for 60 CPU seconds.

    python bench/bench_allocation_reserve.py [REQUESTS.csv[.gz] --nodes N] [--lp-bound X] [--replan 60]

First the file (without one: the shared H800 requests), against the bound given or our own dual bound. Then sets that no
rule was chosen on (drawn here, seeds 101 to 106, like the shared file in kind: gangs of 1 to 64 nodes, 4 h to 14 d,
lognormal values, notice of hours to weeks), on pools and loads that differ: how far above first come, first served the
same rule lands, with nothing changed.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from _harness import cpu_s, report
from sublet.allocation.lp_bound import upper_bound
from sublet.allocation.replan import replan
from sublet.allocation.reserve import accept_by_bid_price, accept_first_come
from sublet.allocation.reserve_reader import read_requests
from sublet.allocation.reserve_values import Demand, Request, check, demand_of, utilisation, value_of

SHARED = Path(os.environ.get("SUBLET_SHARED", Path(__file__).resolve().parents[2] / "shared"))
SHARED_REQUESTS = SHARED / "data" / "traces" / "reservations_synth_h800.csv.gz"
SHARED_NODES, SHARED_LP = 219, 6_789_525.0  # the LP as solved with HiGHS
HOUR_S = 3_600
SLOTS = 1_344
SIZES = {1: 0.23, 2: 0.2, 4: 0.22, 8: 0.125, 16: 0.13, 32: 0.07, 64: 0.025}
LENGTHS = {4: 0.075, 8: 0.095, 12: 0.115, 24: 0.21, 48: 0.19, 72: 0.125, 120: 0.1, 168: 0.07, 336: 0.02}
# (seed, nodes, demand over capacity, spread of the values (sigma of the logarithm), median notice h)
HELD_OUT = (
    (101, 219, 1.5, 0.4, 28.0),
    (102, 432, 1.29, 0.4, 28.0),
    (103, 219, 2.0, 0.3, 28.0),
    (104, 219, 1.2, 0.5, 60.0),
    (105, 128, 1.6, 0.4, 12.0),
    (106, 432, 1.5, 0.6, 28.0),
)


def drawn(seed: int, nodes: int, load: float, sigma: float, notice_h: float) -> Demand:
    """A set of requests over 56 days whose node hours are `load` times the pool's."""
    rng = np.random.default_rng(seed)
    requests: list[Request] = []
    asked = 0
    while asked < load * nodes * SLOTS:
        tier = int(rng.choice(3, p=[0.46, 0.31, 0.23]))
        size = int(rng.choice(list(SIZES), p=list(SIZES.values())))
        hours = int(rng.choice(list(LENGTHS), p=list(LENGTHS.values())))
        submit = rng.random() * (SLOTS - 100)
        notice = np.exp(rng.normal(np.log(notice_h), 1.5)) * (1.5, 1.0, 0.6)[tier]
        slack = 0 if rng.random() < 0.2 else int(np.exp(rng.normal(np.log(18.0), 1.4)))
        rate = 8 * (2.6, 2.4, 2.1)[tier] * np.exp(rng.normal(0.0, sigma))  # USD per node and hour
        first = int(np.ceil(submit + notice))
        if size > nodes // 3 or first + hours > SLOTS:
            continue
        ends = min(first + hours + slack, SLOTS)
        name = f"r{len(requests):05d}"
        value = float(size * hours * rate)
        requests.append(Request(name, "", submit * HOUR_S, hours * HOUR_S, size, first * HOUR_S, ends * HOUR_S, value))
        asked += size * hours
    return demand_of(requests, nodes)


def cpu_budget(seconds: float) -> Callable[[], float]:
    """The share of so many CPU seconds that is spent."""
    begun = time.process_time()
    return lambda: (time.process_time() - begun) / seconds


def the_file(demand: Demand, lp_bound: float | None, replan_s: float) -> bool:
    """The figures of the given file."""
    seconds, bound = cpu_s(lambda: upper_bound(demand), repeats=1)
    limit = bound.value if lp_bound is None else lp_bound
    report("reserve_bound", bound.value, "USD", cpu_s=round(seconds, 2), over_given=round(bound.value / limit, 5))
    plain = accept_first_come(demand)
    seconds, (online, _) = cpu_s(lambda: accept_by_bid_price(demand))
    check(demand, online)
    detail = {
        "accepted": online.accepted,
        "utilisation": round(utilisation(demand, online), 3),
        "cpu_s": round(seconds, 2),
        "first_come": round(value_of(demand, plain) / limit, 4),
    }
    met = report("reserve_online", value_of(demand, online) / limit, "of the LP", at_least=0.86, **detail)
    planned = replan(demand, bound.price, spent=cpu_budget(replan_s))
    check(demand, planned)
    detail = {"accepted": planned.accepted, "utilisation": round(utilisation(demand, planned), 3), "cpu_s": replan_s}
    return report("reserve_replan", value_of(demand, planned) / limit, "of the LP", at_least=0.92, **detail) and met


def held_out(replan_s: float) -> None:
    """The same rule on sets that it was not chosen on, against our own bound."""
    online, plain, planned = [], [], []
    for row in HELD_OUT:
        demand = drawn(*row)
        bound = upper_bound(demand)
        online.append(value_of(demand, accept_by_bid_price(demand)[0]) / bound.value)
        plain.append(value_of(demand, accept_first_come(demand)) / bound.value)
        again = replan(demand, bound.price, spent=cpu_budget(replan_s))
        check(demand, again)
        planned.append(value_of(demand, again) / bound.value)
        print(
            f"  seed {row[0]}: {len(demand):,} requests on {row[1]} nodes, load {row[2]}, sigma {row[3]},"
            f" notice {row[4]} h: first come {plain[-1]:.3f}, online {online[-1]:.3f}, re-planned {planned[-1]:.3f}"
        )
    detail = {"least": round(min(online), 4), "first_come": round(float(np.mean(plain)), 4), "sets": len(HELD_OUT)}
    report("reserve_online_held_out", float(np.mean(online)), "of the bound", **detail)
    report(
        "reserve_replan_held_out", float(np.mean(planned)), "of the bound", least=round(min(planned), 4), cpu_s=replan_s
    )


def main() -> int:
    """Measure and report; exit code 1 where a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("requests", type=Path, nargs="?", default=SHARED_REQUESTS)
    parser.add_argument("--nodes", type=int, default=SHARED_NODES)
    parser.add_argument("--lp-bound", type=float)
    parser.add_argument("--replan", type=float, default=60.0)
    parser.add_argument("--no-held-out", action="store_true")
    options = parser.parse_args()
    ours = options.requests == SHARED_REQUESTS and options.nodes == SHARED_NODES
    lp_bound = SHARED_LP if options.lp_bound is None and ours else options.lp_bound
    met = the_file(demand_of(read_requests(options.requests), options.nodes), lp_bound, options.replan)
    if not options.no_held_out:
        held_out(options.replan / 6)
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
