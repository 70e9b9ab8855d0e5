"""Tiers and hoarders replayed: how long each tier waits, and what a tenant that asks ten times its share does.

python bench/bench_allocation_fairness.py [FOLDER OF TRACES]
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from _harness import report
from bench_allocation_replay import POOLS, SHARED, _read
from sublet.allocation.hoarder import hoarding, usual_tenant
from sublet.allocation.policy_file import load_policy
from sublet.allocation.simulate import simulate
from sublet.units import HOUR_S


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else SHARED
    kalos = _read(folder, "kalos")
    tiers = {name: kalos.tier == number for number, name in enumerate(kalos.tiers)}
    for nodes in (302, 290):
        easy, ours = (
            simulate(kalos, nodes, load_policy(name)).wait_s(kalos) / HOUR_S for name in ("easy", "sublet-tiers")
        )
        strategic, standard = (float(np.percentile(ours[tiers[name]], 95)) for name in ("strategic", "standard"))
        ratio = strategic / standard
        report(f"allocation_tiers_{nodes}_p95", ratio, "of standard's", at_most=0.25, strategic_h=round(strategic, 2))
        longest = float(ours[tiers["standard"]].max() / easy[tiers["standard"]].max())
        report(f"allocation_tiers_{nodes}_max", longest, "of EASY's", at_most=1.3)
    for name in ("kalos", "hpc2n"):
        jobs = _read(folder, name)
        for accounts in (1, 5):
            found = hoarding(jobs, POOLS[name][2], load_policy("sublet-shares"), usual_tenant(jobs), accounts=accounts)
            report(
                f"allocation_hoarder_{name}_{accounts}",
                found.rise,
                "rise of others",
                at_most=0.10,
                before_h=round(found.before_h, 2),
                hoarder_h=round(found.hoarder_h, 1),
            )


if __name__ == "__main__":
    main()
