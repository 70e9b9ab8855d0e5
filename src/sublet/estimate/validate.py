"""Predictions beside measurements: in sample, or refitted without the source, the chip or the row that is scored.

Invariant: under a leave-out nothing that shares the left-out key has been fitted to what predicts it; and every run
that is handed in comes back as a row or, where no time could be predicted, as skipped with the reason.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol, TypeVar

from sublet.errors import InputError
from sublet.estimate.measured import MeasuredRun, Skipped
from sublet.estimate.result import Interval
from sublet.estimate.score import (
    Group,
    Scored,
    Statistics,
    groups,
    scale_class,
    sequence_class,
    size_class,
    statistics,
)
from sublet.workload.parameters import count

SCHEMA = "sublet.estimate.validate/1"
GROUP_KINDS = ("chip", "source", "size", "sequence", "scale", "precision")
LEAVE_OUT = ("source", "chip", "row")

Fitted = TypeVar("Fitted")


class Predicted(Protocol):
    """What a predictor says of one run."""

    @property
    def step_s(self) -> Interval:
        """Seconds of one optimizer step."""

    @property
    def memory_verdict(self) -> str:
        """One of "fits", "edge", "does not fit"."""


Fit = Callable[[Sequence[MeasuredRun]], Fitted]
Predict = Callable[[Sequence[MeasuredRun], Fitted], Sequence[Predicted]]
PredictLeftOut = Callable[[Sequence[MeasuredRun], str], Sequence[Predicted]]


@dataclass(frozen=True)
class Validation:
    """Every row scored, the statistics over those of `scored_kinds`, and what was skipped."""

    leave_out: str | None
    rows: tuple[Scored, ...]
    kinds: dict[str, int]  # kind of measurement -> rows
    scored_kinds: tuple[str, ...]  # those that the statistics count
    overall: Statistics
    groups: tuple[Group, ...]
    skipped: tuple[Skipped, ...]


def left_out_key(run: MeasuredRun, by: str) -> str:
    """What must not have been fitted to when `run` is predicted."""
    if by == "source":
        return run.source
    if by == "chip":
        return run.machine.accelerator.name
    if by == "row":
        return run.id
    raise InputError(f"cannot leave out by {by!r}: {', '.join(LEAVE_OUT)} are known")


def refitted(runs: Sequence[MeasuredRun], by: str, fit: Fit[Fitted], predict: Predict[Fitted]) -> tuple[Predicted, ...]:
    """Predictions of `runs`, each by a fit to the runs that calibrate and do not share its key; one fit per key."""
    members: dict[str, list[int]] = {}
    for i, run in enumerate(runs):
        members.setdefault(left_out_key(run, by), []).append(i)
    predictions: dict[int, Predicted] = {}
    for key, indices in members.items():
        fitted = fit([run for run in runs if run.calibrates and left_out_key(run, by) != key])
        made = predict([runs[i] for i in indices], fitted)
        predictions.update(zip(indices, made, strict=True))
    return tuple(predictions[i] for i in range(len(runs)))


def held_out(
    runs: Sequence[MeasuredRun],
    fit_on: Callable[[MeasuredRun], bool],
    score_on: Callable[[MeasuredRun], bool],
    fit: Fit[Fitted],
    predict: Predict[Fitted],
) -> tuple[Scored, ...]:
    """Rows of the runs in `score_on`, predicted by one fit to those in `fit_on` that calibrate and are not scored."""
    wanted = [run for run in runs if score_on(run)]
    fitted = fit([run for run in runs if run.calibrates and fit_on(run) and not score_on(run)])
    return tuple(scored(run, made) for run, made in zip(wanted, predict(wanted, fitted), strict=True))


def scored(run: MeasuredRun, prediction: Predicted) -> Scored:
    """The run beside its prediction, with the groups it belongs to."""
    return Scored(
        id=run.id,
        measured_s=run.step_s,
        predicted_s=prediction.step_s.p50,
        p10=prediction.step_s.p10,
        p90=prediction.step_s.p90,
        memory_verdict=prediction.memory_verdict,
        keys={
            "chip": run.machine.accelerator.name,
            "source": run.source,
            "size": size_class(count(run.job.model).total),
            "sequence": sequence_class(run.job.sequence),
            "scale": scale_class(run.machine.count),
            "precision": run.job.precision,
            "kind": run.kind,
        },
    )


def validation(
    runs: Sequence[MeasuredRun],
    predictions: Sequence[Predicted],
    *,
    skipped: Sequence[Skipped] = (),
    leave_out: str | None = None,
    all_kinds: bool = False,
) -> Validation:
    """The scores of `predictions`, one per run. Statistics count the rows of kind "measured", or all with `all_kinds`.

    Every row is listed either way. A prediction that is no positive number is skipped, with that reason.
    """
    rows, missing = [], list(skipped)
    for run, prediction in zip(runs, predictions, strict=True):
        if math.isfinite(prediction.step_s.p50) and prediction.step_s.p50 > 0:
            rows.append(scored(run, prediction))
        else:
            missing.append(Skipped(run.id, f"no step time could be predicted ({prediction.memory_verdict})"))
    kinds: dict[str, int] = {}
    for row in rows:
        kinds[row.keys["kind"]] = kinds.get(row.keys["kind"], 0) + 1
    counted = tuple(kind for kind in kinds if all_kinds or kind == "measured")
    within = [row for row in rows if row.keys["kind"] in counted]
    return Validation(
        leave_out=leave_out,
        rows=tuple(rows),
        kinds=kinds,
        scored_kinds=counted,
        overall=statistics(within),
        groups=groups(within, GROUP_KINDS),
        skipped=tuple(missing),
    )


def document(result: Validation) -> dict[str, Any]:
    """The validation as a JSON-ready mapping (schema sublet.estimate.validate/1); a figure of no rows is None."""
    return {
        "schema": SCHEMA,
        "leave_out": result.leave_out,
        "kinds": result.kinds,
        "scored_kinds": list(result.scored_kinds),
        "overall": _figures(result.overall),
        "groups": [{"by": group.by, "key": group.key, **_figures(group.statistics)} for group in result.groups],
        "rows": [
            {
                "id": row.id,
                "measured_step_s": row.measured_s,
                "predicted_step_s": row.predicted_s,
                "p10": row.p10,
                "p90": row.p90,
                "memory_verdict": row.memory_verdict,
                "error": row.error,
                **row.keys,
            }
            for row in result.rows
        ],
        "skipped": [{"id": row.id, "reason": row.reason} for row in result.skipped],
    }


def _figures(of: Statistics) -> dict[str, float | int | None]:
    return {
        name: None if isinstance(value, float) and math.isnan(value) else value for name, value in asdict(of).items()
    }
