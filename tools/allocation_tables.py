"""Tables of docs/allocation-results.md: every policy that ships on the traces of the shared data.

python tools/allocation_tables.py [FOLDER OF TRACES]
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from sublet.allocation.measures import measure
from sublet.allocation.policy_file import builtin_policies, load_policy
from sublet.allocation.simulate import simulate
from sublet.allocation.trace import fit_to_pool
from sublet.allocation.trace_reader import read_trace

ROOT = Path(__file__).resolve().parents[1]
SHARED = Path(os.environ.get("SUBLET_SHARED", ROOT.parent / "shared")) / "data" / "traces"
POOLS = (
    ("acme_kalos_synth", "node", 302),
    ("philly_2017_oct", "slot", 640),
    ("hpc2n_seth_2002", "slot", 128),
    ("hpc2n_seth_2002", "slot", 240),
    ("chronus_philly_deadlines_a", "slot", 1280),
)
INTRO = """# Results of the policies

Every policy that ships, each trace on one pool, durations as requested where the trace has requests. Waits in hours;
area-weighted weighs a wait by the job's units times its duration. Made by `python tools/allocation_tables.py`; the same
figures against their targets are printed by `python bench/bench_allocation_replay.py`.

"""


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else SHARED
    parts = [table(folder, *pool) for pool in POOLS]
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


NOTES = """
## Where we lose

Targets for the default policy were set on three traces at once: Kalos (mean 0.95, max 116, area-weighted 22.2), Philly
(0.70, 30.4, 4.1) and HPC2N on 128 slots (9.0, 160, 28.7). The search over patience orders (some 20,000 policies) found
none that meets all nine. The frontier: a policy that meets all of Kalos and Philly is over HPC2N's mean; one that is
within 5 % of every target misses three of them by 3 to 5 %. What HPC2N needs (short patience for jobs of hours)
lengthens the wait of Kalos's 128-node gangs, of which two fill the pool. We ship the first kind. Such queues are
chaotic: a change of one per cent in a figure of the policy moves the maximum by tens of hours on HPC2N.

On what was not searched on, against EASY (mean, maximum, area-weighted): Chronus 1,280 slots 0.44, 0.93, 1.02; HPC2N on
240 slots 0.78, 1.00, 1.04 and on 160 slots 0.76, 0.95, 1.09; Kalos on 290 nodes 0.61, 1.12, 1.14. The target was 0.75,
1.15 and 1.15: HPC2N's mean misses it by 1 to 4 %.
"""

if __name__ == "__main__":
    main()
