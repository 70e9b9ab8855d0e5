"""How good the estimates have to be: which measured rows, predicted without having seen what, within which error.

Invariant: a target is scored on every row that its sentence names; a row is never taken out because it is far off.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from sublet.estimate.measured import MeasuredRun
from sublet.estimate.score import Scored, Statistics, statistics
from sublet.estimate.validate import Fit, Fitted, Predict, Predicted, PredictLeftOut, held_out, scored

FOUNDRY = "mosaicml/llm-foundry"
KORTHIKANTI = "Korthikanti"
SMALL, LARGE = 64, 128  # accelerators: fitted up to the first, asked for from the second


@dataclass(frozen=True)
class Target:
    """A promise about some rows. `limits`: figure of Statistics -> bound; coverage and memory are lower bounds."""

    name: str
    protocol: str  # "row" | "source" | "chip" | "in sample" | "scale"
    rows: Callable[[MeasuredRun], bool]
    limits: Mapping[str, float]


@dataclass(frozen=True)
class Outcome:
    """What a target came to."""

    target: Target
    statistics: Statistics
    met: bool


def open_dense(run: MeasuredRun) -> bool:
    """A measured row of a dense model in bf16 or fp8."""
    return run.kind == "measured" and run.dense and run.job.precision in ("bf16", "fp8")


def _foundry(chip: str) -> Callable[[MeasuredRun], bool]:
    return lambda run: run.source.startswith(FOUNDRY) and run.machine.accelerator.name == chip and open_dense(run)


def _tpu(run: MeasuredRun) -> bool:
    return run.machine.accelerator.name in ("TPU v4", "TPU v5e", "TPU v5p") and open_dense(run)


TARGETS = (
    Target("llm-foundry on H100", "row", _foundry("H100 SXM"), {"mean": 0.04, "p90": 0.09}),
    Target("llm-foundry on A100 80 GB", "row", _foundry("A100 SXM 80GB"), {"mean": 0.04, "p90": 0.09}),
    Target("llm-foundry on A100 40 GB", "row", _foundry("A100 SXM 40GB"), {"mean": 0.04, "p90": 0.09}),
    Target(
        f"llm-foundry on {LARGE} chips and more, fitted on up to {SMALL}",
        "scale",
        lambda run: run.source.startswith(FOUNDRY) and run.machine.count >= LARGE and open_dense(run),
        {"mean": 0.03},
    ),
    Target(
        "Korthikanti et al. 2022, table 5",
        "source",
        lambda run: run.source.startswith(KORTHIKANTI) and run.kind == "measured",
        {"mean": 0.05},
    ),
    Target("all dense rows, bf16 and fp8", "source", open_dense, {"mean": 0.08, "p90": 0.18}),
    Target("TPU v4, v5e, v5p (one source)", "row", _tpu, {"mean": 0.08}),
    Target("mixtures of experts", "source", lambda run: run.kind == "measured" and not run.dense, {"mean": 0.20}),
    Target("a chip never calibrated", "chip", open_dense, {"mean": 0.20, "coverage_p10_p90": 0.80}),
    Target("memory of runs that ran", "in sample", lambda run: run.kind == "measured", {"memory_right": 0.97}),
)
AT_LEAST = ("coverage_p10_p90", "memory_right")


def outcomes(
    runs: Sequence[MeasuredRun],
    fit: Fit[Fitted],
    predict: Predict[Fitted],
    left_out: PredictLeftOut,
    shipped: Fitted,
    targets: Sequence[Target] = TARGETS,
) -> tuple[Outcome, ...]:
    """Every target scored on `runs`; each protocol predicts once. `shipped` is the calibration of "in sample"."""
    made: dict[str, dict[str, Scored]] = {}
    for protocol in dict.fromkeys(target.protocol for target in targets):
        made[protocol] = {row.id: row for row in _rows(protocol, runs, fit, predict, left_out, shipped)}
    found = []
    for target in targets:
        rows = [made[target.protocol][run.id] for run in runs if target.rows(run)]
        figures = statistics(rows)
        found.append(Outcome(target, figures, _met(figures, target.limits)))
    return tuple(found)


def _rows(
    protocol: str,
    runs: Sequence[MeasuredRun],
    fit: Fit[Fitted],
    predict: Predict[Fitted],
    left_out: PredictLeftOut,
    shipped: Fitted,
) -> Sequence[Scored]:
    if protocol == "scale":
        return held_out(
            runs, lambda run: run.machine.count <= SMALL, lambda run: run.machine.count >= LARGE, fit, predict
        )
    said: Sequence[Predicted] = predict(runs, shipped) if protocol == "in sample" else left_out(runs, protocol)
    return [scored(run, prediction) for run, prediction in zip(runs, said, strict=True)]


def _met(figures: Statistics, limits: Mapping[str, float]) -> bool:
    if not figures.n:
        return False
    return all(
        getattr(figures, name) >= limit if name in AT_LEAST else getattr(figures, name) <= limit
        for name, limit in limits.items()
    )
