"""Tables of docs/allocation-results.md: every policy that ships on the traces of the shared data.

python tools/allocation_tables.py [FOLDER OF TRACES]
"""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

from sublet.allocation.hoarder import hoarding, usual_tenant
from sublet.allocation.measures import measure
from sublet.allocation.policy import Durations
from sublet.allocation.policy_file import builtin_policies, load_policy
from sublet.allocation.simulate import simulate
from sublet.allocation.trace import fit_to_pool, with_exact_estimates
from sublet.allocation.trace_reader import read_trace
from sublet.units import HOUR_S

ROOT = Path(__file__).resolve().parents[1]
SHARED = Path(os.environ.get("SUBLET_SHARED", ROOT.parent / "shared")) / "data" / "traces"
POOLS = (
    ("acme_kalos_synth", "node", 302),
    ("philly_2017_oct", "slot", 640),
    ("hpc2n_seth_2002", "slot", 128),
    ("hpc2n_seth_2002", "slot", 240),
    ("chronus_philly_deadlines_a", "slot", 1280),
)
TIERS = ("strategic", "enterprise", "standard", "spot")
INTRO = """# Results of the policies

Every policy that ships, each trace on one pool, durations as requested where the trace has requests. Waits in hours;
area-weighted weighs a wait by the job's units times its duration. Made by `python tools/allocation_tables.py`; the same
figures against their targets are printed by `python bench/bench_allocation_replay.py`.

"""


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else SHARED
    parts = [table(folder, *pool) for pool in POOLS]
    parts += [tiers(folder), hoarders(folder), knowledge(folder)]
    (ROOT / "docs" / "allocation-results.md").write_text(INTRO + "\n".join(parts) + NOTES, encoding="utf-8")


def table(folder: Path, name: str, unit: str, capacity: int) -> str:
    """One trace under every policy, as Markdown."""
    jobs, _ = fit_to_pool(read_trace(folder / f"{name}.csv.gz", unit=unit).jobs, capacity)
    rows = []
    for policy in builtin_policies():
        one = measure(jobs, simulate(jobs, capacity, load_policy(policy)), capacity)
        figures = (one.mean_wait_h, one.p95_wait_h, one.p99_wait_h, one.max_wait_h, one.area_weighted_wait_h)
        shown = " | ".join(f"{figure:.2f}" for figure in figures)
        rows.append(f"| `{policy}` | {shown} | {one.bounded_slowdown:.1f} | {one.utilisation:.3f} |")
    head = "| policy | mean | p95 | p99 | max | area-weighted | bounded slowdown | utilisation |\n|---|" + "---|" * 7
    bound = f"No schedule has an area-weighted wait below {one.area_weighted_bound_h:.1f} h."
    return f"## {name}, {capacity:,} {unit}s\n\n{bound}\n\n{head}\n" + "\n".join(rows) + "\n"


def tiers(folder: Path) -> str:
    """Waits of each tier on Kalos, as Markdown."""
    rows = []
    for nodes in (302, 290):
        jobs, _ = fit_to_pool(read_trace(folder / "acme_kalos_synth.csv.gz").jobs, nodes)
        for policy in ("easy", "tiers", "sublet", "sublet-tiers"):
            wait = simulate(jobs, nodes, load_policy(policy)).wait_s(jobs) / HOUR_S
            of = {name: wait[jobs.tier == number] for number, name in enumerate(jobs.tiers)}
            shown = " | ".join(f"{np.percentile(of[name], 95):.2f} / {of[name].max():.0f}" for name in TIERS)
            ratio = np.percentile(of["strategic"], 95) / np.percentile(of["standard"], 95)
            rows.append(f"| {nodes} | `{policy}` | {shown} | {ratio:.2f} |")
    head = "| nodes | policy | " + " | ".join(TIERS) + " | strategic by standard |\n|---|---|" + "---|" * 5
    told = (
        "p95 and longest wait in hours on Kalos (load 0.92 on 302 nodes, 0.96 on 290). Wanted: strategic's p95 at\n"
        "most 0.25 of standard's, standard's longest at most 1.3 of EASY's."
    )
    return f"## Tiers\n\n{told}\n\n{head}\n" + "\n".join(rows) + "\n"


def hoarders(folder: Path) -> str:
    """What one tenant that asks ten times its share does to the others, as Markdown."""
    rows = []
    for name, unit, capacity in (POOLS[0], POOLS[2]):
        jobs, _ = fit_to_pool(read_trace(folder / f"{name}.csv.gz", unit=unit).jobs, capacity)
        tenant = usual_tenant(jobs)
        for policy, accounts in (
            ("easy", 1),
            ("sublet", 1),
            ("fair-share", 1),
            ("sublet-shares", 1),
            ("sublet-shares", 5),
        ):
            found = hoarding(jobs, capacity, load_policy(policy), tenant, accounts=accounts)
            figures = f"{found.before_h:.2f} | {found.after_h:.2f} | {found.rise:+.0%} | {found.hoarder_h:.1f}"
            rows.append(f"| {name} | `{policy}` | {accounts} | {figures} |")
    head = "| trace | policy | accounts | others before, h | after | rise | hoarder, h |\n" + "|---" * 7 + "|"
    told = (
        "The tenant whose demand is nearest to an equal part asks ten times what it asks in the trace, from one\n"
        "account or over five affiliated ones; everybody is entitled to what it asks in the trace. Mean waits;\n"
        "wanted: the others' rises by at most 10 %. The price of `sublet-shares` is in the column before: bursts are\n"
        "held too."
    )
    return f"## One tenant asks ten times its share\n\n{told}\n\n{head}\n" + "\n".join(rows) + "\n"


def knowledge(folder: Path) -> str:
    """What it is worth to know durations better on HPC2N, as Markdown."""
    jobs, _ = fit_to_pool(read_trace(folder / "hpc2n_seth_2002.csv.gz", unit="slot").jobs, 128)
    ours = load_policy("sublet")
    rows = []
    for known, durations, exact in (
        ("as requested", Durations("requested"), False),
        ("mean share of the tenant's last two", Durations("predicted", 2), False),
        ("mean share of the tenant's last eight (`sublet`)", Durations("predicted", 8), False),
        ("the same, of the same request where two are known", Durations("predicted-alike", 8), False),
        ("exactly", Durations("requested"), True),
    ):
        played = with_exact_estimates(jobs) if exact else jobs
        one = measure(played, simulate(played, 128, replace(ours, durations=durations)), 128)
        rows.append(f"| {known} | {one.mean_wait_h:.2f} | {one.max_wait_h:.1f} | {one.area_weighted_wait_h:.2f} |")
    head = "| durations known | mean | max | area-weighted |\n|---|---|---|---|"
    told = "`sublet` on 128 slots, where all that differs is how durations are known. The target of the mean is 9.0 h."
    return f"## HPC2N: what better durations are worth\n\n{told}\n\n{head}\n" + "\n".join(rows) + "\n"


NOTES = """
## Where we lose

Targets for the default policy were set on three traces at once: Kalos (mean 0.95, max 116, area-weighted 22.2), Philly
(0.70, 30.4, 4.1) and HPC2N on 128 slots (9.0, 160, 28.7). Many patience orders were searched; how
many was not counted, and their results were not kept. None that was seen meets all nine, which does not say that none
can. The frontier as it was seen: a policy that meets all of Kalos and Philly is over HPC2N's mean; one
that is within 5 % of every target
misses three of them by 3 to 5 %. What HPC2N needs (short patience for jobs of hours) lengthens the wait of Kalos's
128-node gangs, of which two fill the pool. We ship the first kind. The table above says that knowing durations better
does not close the gap by itself: with exact ones the mean is still over 9.0 h. Such queues are chaotic: a change of one
per cent in a figure of the policy moves the maximum by tens of hours on HPC2N.

Tiers and shares have policies of their own, `sublet-tiers` and `sublet-shares`: in one policy with the short waits of
`sublet` the p95 of standard work is under an hour already. Of four sets of factors on `sublet`'s own order none met
both wishes at load 0.92: the best ratio was 0.57, with standard's longest wait at 2.4 times EASY's.

On what was not searched on, against EASY (mean, maximum, area-weighted): Chronus 1,280 slots 0.44, 0.93, 1.02; HPC2N on
240 slots 0.78, 1.00, 1.04 and on 160 slots 0.76, 0.95, 1.09; Kalos on 290 nodes 0.61, 1.12, 1.14. The target was 0.75,
1.15 and 1.15: HPC2N's mean misses it by 1 to 4 %.

In the tables of whole traces above everybody is entitled to the same, which no trace's tenants were: `sublet-shares`
then leaves units idle that a large tenant would use (Kalos 0.49 of the pool in use, HPC2N 0.47). It is for pools where
shares are sold; without contracts use `sublet`.
"""

if __name__ == "__main__":
    main()
