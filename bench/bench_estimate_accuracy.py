"""Every accuracy target of the estimator, refitted without what it scores: one figure for each row of the target table.

Needs the table of published runs: an argument, SUBLET_SHARED, or the shared reference data beside the checkout.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from _harness import cpu_s, report
from sublet.estimate.calibrate import fit, predict_left_out
from sublet.estimate.calibration import shipped
from sublet.estimate.measured import read_runs
from sublet.estimate.predict import predict_runs
from sublet.estimate.targets import AT_LEAST, TARGETS, Outcome, outcomes

SHARED = Path(os.environ.get("SUBLET_SHARED", Path(__file__).resolve().parents[2] / "shared"))
TABLE = SHARED / "data" / "measured" / "training.csv"


def score(table: Path) -> tuple[Outcome, ...]:
    """All targets on the runs of `table`."""
    runs, _ = read_runs(table)
    return outcomes(runs, fit, predict_runs, predict_left_out, shipped())


def slug(name: str) -> str:
    """A name that a file can have."""
    return "_".join("".join(c if c.isalnum() else " " for c in name.lower()).split())


if __name__ == "__main__":
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else TABLE
    if not path.is_file():
        print("estimate_accuracy: skipped, needs the published runs (training.csv) as an argument")
        sys.exit(0)
    seconds, found = cpu_s(lambda: score(path), repeats=1)
    for outcome in found:
        figures = outcome.statistics
        for name, limit in outcome.target.limits.items():
            lower = name in AT_LEAST
            report(
                f"accuracy_{slug(outcome.target.name)}_{name}",
                getattr(figures, name),
                "share" if lower else "of step time",
                at_least=limit if lower else None,
                at_most=None if lower else limit,
                rows=figures.n,
                bias=round(figures.bias, 4),
                worst=round(figures.worst, 3),
                left_out=outcome.target.protocol,
            )
    report(
        "estimate_accuracy",
        sum(outcome.met for outcome in found),
        "targets met",
        at_least=len(TARGETS),
        cpu_s=round(seconds, 1),
    )
