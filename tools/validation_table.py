"""Write docs/validation.md: what was promised and what came out, and the errors by chip, source and class.

    python tools/validation_table.py FILE...     files of measured runs (the schema of training.csv)

Everything printed is computed here from those files by the same functions as `sublet estimate validate`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import marked
from sublet.estimate.calibrate import fit, predict_left_out
from sublet.estimate.calibration import shipped
from sublet.estimate.measured import MeasuredRun, read_files
from sublet.estimate.predict import predict_runs
from sublet.estimate.score import Statistics
from sublet.estimate.targets import Outcome, outcomes
from sublet.estimate.validate import GROUP_KINDS, LEAVE_OUT, Validation, validation

PROTOCOLS = {
    "row": "refitted without the row",
    "source": "refitted without the source",
    "chip": "refitted without the chip",
    "scale": "fitted on up to 64 chips",
    "in sample": "in sample",
}
NAMES = {"mean": "mean", "p90": "p90", "coverage_p10_p90": "coverage", "memory_right": "memory right"}
HEADER = (
    "| | n | bias | mean | median | p90 | worst | in P10-P90 | memory right |\n|---|--:|--:|--:|--:|--:|--:|--:|--:|"
)


def main(paths: Sequence[str]) -> None:
    """Read the files, score them under every protocol, and write the page."""
    runs, skipped = read_files(paths)
    left_out = {by: predict_left_out(runs, by) for by in LEAVE_OUT}
    ways: list[tuple[str | None, Validation]] = [
        (None, validation(runs, predict_runs(runs, shipped()), skipped=skipped)),
        *((by, validation(runs, left_out[by], leave_out=by)) for by in LEAVE_OUT),
    ]
    found = outcomes(runs, fit, predict_runs, lambda _, by: left_out[by], shipped())
    text = "\n\n".join(
        [
            _intro(runs, skipped, [Path(path).name for path in paths]),
            "## Targets",
            _targets(found),
            "## Every measured row",
            _table((f"{PROTOCOLS[by] if by else 'in sample'}", made.overall) for by, made in ways),
            "## By chip, source and class",
            "Each source predicted by coefficients refitted without it.",
            *(_groups(dict(ways)["source"], kind) for kind in GROUP_KINDS),
        ]
    )
    marked.replace("validation.md", "validation", text)


def _intro(runs: Sequence[MeasuredRun], skipped: Sequence[object], names: Iterable[str]) -> str:
    kinds: dict[str, int] = {}
    for run in runs:
        kinds[run.kind] = kinds.get(run.kind, 0) + 1
    counted = ", ".join(f"{number} {kind}" for kind, number in kinds.items())
    return (
        f"From {', '.join(names)}: {len(runs)} training runs ({counted}), {len(skipped)} rows skipped. "
        "The statistics count the measured ones."
    )


def _targets(found: Sequence[Outcome]) -> str:
    lines = ["| rows | predicted | n | target | reached | |", "|---|---|--:|---|---|---|"]
    for outcome in found:
        limits, figures = outcome.target.limits, outcome.statistics
        bounds = ", ".join(
            f"{NAMES[name]} {'>=' if name in ('coverage_p10_p90', 'memory_right') else '<='} {limit:.0%}"
            for name, limit in limits.items()
        )
        reached = ", ".join(f"{NAMES[name]} {getattr(figures, name):.1%}" for name in limits)
        verdict = "met" if outcome.met else "**missed**"
        way = PROTOCOLS[outcome.target.protocol]
        lines.append(f"| {outcome.target.name} | {way} | {figures.n} | {bounds} | {reached} | {verdict} |")
    return "\n".join(lines)


def _groups(made: Validation, kind: str) -> str:
    rows = ((group.key or "not stated", group.statistics) for group in made.groups if group.by == kind)
    return f"### By {kind}\n\n{_table(rows)}"


def _table(rows: Iterable[tuple[str, Statistics]]) -> str:
    return "\n".join([HEADER, *(f"| {_cell(name)} | {_figures(of)} |" for name, of in rows)])


def _figures(of: Statistics) -> str:
    errors = " | ".join(f"{value:.1%}" for value in (of.mean, of.median, of.p90, of.worst))
    return f"{of.n} | {of.bias:+.1%} | {errors} | {of.coverage_p10_p90:.0%} | {of.memory_right:.0%}"


def _cell(text: str) -> str:
    """Text that Markdown shows as it stands in a table."""
    return text.replace("|", "\\|").replace("<", "&lt;").replace(">", "&gt;")


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit("python tools/validation_table.py FILE...: files of measured runs are wanted")
    main(sys.argv[1:])
