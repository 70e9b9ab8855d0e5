"""`sublet estimate`: search layouts, explain one estimate, validate against published runs, calibrate to them.

Each command reads files, calls the estimate room and prints; no rule of estimation lives here. The rooms are imported
by the command that needs them, so that `--help` needs none.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from sublet.estimate.calibration import Calibration
    from sublet.estimate.measured import MeasuredRun, Skipped
    from sublet.estimate.result import ChosenLayout, Estimate, Machine, Rejection
    from sublet.workload.job import TrainingJob

SEARCH_SCHEMA = "sublet.estimate.search/1"
EXPLAIN_SCHEMA = "sublet.estimate.explain/1"

_FILES = click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
_JOB = click.argument("job", type=click.Path(path_type=Path))
_ACCELERATOR = click.option("--accelerator", required=True, metavar="NAME", help="Chip, in any spelling that resolves.")
_COUNT = click.option("--count", required=True, type=click.IntRange(min=1), help="Accelerators.")
_INTERCONNECT = click.option(
    "--interconnect", default="", metavar="TEXT", help='Network in words: "8x NDR InfiniBand 400 Gb/s per node".'
)
_CALIBRATION = click.option(
    "--calibration", type=click.Path(path_type=Path), help="Coefficients to use instead of those shipped."
)
_JSON = click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")


@click.group()
def estimate() -> None:
    """Search layouts, explain one estimate, validate against published runs, calibrate to them."""


@estimate.command()
@_FILES
@click.option("--leave-out", type=click.Choice(["source", "chip", "row"]), help="Refit without what is scored.")
@click.option("--all-kinds", is_flag=True, help="Count rows that are not of kind 'measured' in the statistics too.")
@_CALIBRATION
@_JSON
@click.option("--json-file", type=click.Path(path_type=Path, dir_okay=False), help="Write the JSON document there too.")
def validate(
    files: tuple[Path, ...],
    leave_out: str | None,
    all_kinds: bool,
    calibration: Path | None,
    as_json: bool,
    json_file: Path | None,
) -> None:
    """Score the estimates against files of measured runs (the schema of training.csv)."""
    from sublet.errors import InputError
    from sublet.estimate import calibrate as fitting
    from sublet.estimate.predict import predict_runs
    from sublet.estimate.validate import document, validation

    if leave_out and calibration:
        raise InputError("--calibration and --leave-out exclude each other: leaving out refits the coefficients")
    runs, skipped = _read(files)
    if leave_out:
        predictions = fitting.predict_left_out(runs, leave_out)
    else:
        predictions = predict_runs(runs, _calibration(calibration))
    result = validation(runs, predictions, skipped=skipped, leave_out=leave_out, all_kinds=all_kinds)
    text = json.dumps(document(result), indent=1, allow_nan=False)
    if json_file is not None:
        _write(json_file, text)
    if as_json:
        click.echo(text)
        return
    from sublet.cli.estimate_tables import print_validation

    print_validation(result)


@estimate.command()
@_FILES
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="File for the coefficients (JSON).")
@_JSON
def calibrate(files: tuple[Path, ...], out: Path | None, as_json: bool) -> None:
    """Fit the coefficients to files of measured runs: rows of kind 'measured' that time steps, not whole runs."""
    from sublet.errors import InputError
    from sublet.estimate import calibrate as fitting

    runs, skipped = _read(files)
    fitted = [run for run in runs if run.calibrates]
    if not fitted:
        raise InputError(f"none of the {len(runs)} runs in {_names(files)} can be fitted: kind 'measured' is wanted")
    calibration = fitting.fit(fitted)
    text = calibration.to_json()
    if out is not None:
        _write(out, text)
    if as_json:
        click.echo(text)
        return
    from sublet.cli.estimate_tables import print_calibration

    print_calibration(calibration, fitted, len(runs) - len(fitted), skipped, out)


@estimate.command()
@_JOB
@_ACCELERATOR
@_COUNT
@_INTERCONNECT
@_CALIBRATION
@click.option("--quick", is_flag=True, help="Only the layouts that practice has left over.")
@_JSON
def search(
    job: Path,
    accelerator: str,
    count: int,
    interconnect: str,
    calibration: Path | None,
    quick: bool,
    as_json: bool,
) -> None:
    """Evaluate every layout of a job on COUNT chips; the best in step time and memory."""
    from sublet.estimate.search import search as search_layouts

    training, machine, coefficients = _job(job), _machine(accelerator, count, interconnect), _calibration(calibration)
    started = time.process_time()
    found = search_layouts(training, machine, coefficients, exhaustive=not quick)
    cpu_s = time.process_time() - started
    best = _fitting(found.best)
    if as_json:
        points = [
            {"step_s": point.step_s, "memory_bytes": point.memory_bytes, "layout": _layout(point.layout)}
            for point in found.pareto
        ]
        document = {
            "schema": SEARCH_SCHEMA,
            "evaluations": found.evaluations,
            "cpu_s": cpu_s,
            "pareto": points,
            "best": _explained(best),
        }
        click.echo(json.dumps(document, indent=1, allow_nan=False))
        return
    from sublet.cli.estimate_tables import print_search

    print_search(training, found, best, cpu_s)


@estimate.command()
@_JOB
@_ACCELERATOR
@_COUNT
@_INTERCONNECT
@_CALIBRATION
@click.option("--tp", type=click.IntRange(min=1), help="Tensor parallelism.")
@click.option("--pp", type=click.IntRange(min=1), help="Pipeline stages.")
@click.option("--vp", type=click.IntRange(min=1), help="Interleaved parts per stage.")
@click.option("--cp", type=click.IntRange(min=1), help="Context parallelism.")
@click.option("--ep", type=click.IntRange(min=1), help="Expert parallelism.")
@click.option("--dp", type=click.IntRange(min=1), help="Data parallelism.")
@click.option("--micro-batch", type=click.IntRange(min=1), help="Sequences per microbatch and data-parallel rank.")
@click.option("--sharding", type=click.Choice(["ddp", "zero1", "zero2", "zero3", "hsdp"]))
@click.option("--recompute", type=click.Choice(["none", "selective", "full"]), help="Activation recomputation.")
@click.option("--sequence-parallel/--no-sequence-parallel", default=None)
@click.option("--offload/--no-offload", default=None, help="Optimizer states in host memory.")
@_JSON
def explain(
    job: Path,
    accelerator: str,
    count: int,
    interconnect: str,
    calibration: Path | None,
    as_json: bool,
    **layout: Any,
) -> None:
    """Where the time and the memory of one step go, in the best layout or in the one demanded."""
    from dataclasses import replace

    from sublet.estimate.plan import plan

    training = _job(job)
    demanded = {name: value for name, value in layout.items() if value is not None}
    training = replace(training, layout=replace(training.layout, **demanded))
    answer = plan(training, [_machine(accelerator, count, interconnect)], _calibration(calibration))[0]
    found = _fitting(answer)
    if as_json:
        click.echo(json.dumps({"schema": EXPLAIN_SCHEMA, **_explained(found)}, indent=1, allow_nan=False))
        return
    from sublet.cli.estimate_tables import print_estimate

    print_estimate(training, found)


def _read(files: Sequence[Path]) -> tuple[tuple[MeasuredRun, ...], tuple[Skipped, ...]]:
    """The runs of all files, in order."""
    from sublet.estimate.measured import read_files

    return read_files(files)


def _job(path: Path) -> TrainingJob:
    from sublet.workload.spec import load_job

    return load_job(path)


def _machine(name: str, count: int, interconnect: str) -> Machine:
    from sublet.catalog.accelerators import accelerator
    from sublet.estimate.interconnect import fabric_from_text
    from sublet.estimate.result import Machine

    chip = accelerator(name)
    return Machine(chip, fabric_from_text(interconnect, chip, count), count)


def _calibration(path: Path | None) -> Calibration:
    """The coefficients of a file, or those shipped."""
    from sublet.errors import InputError
    from sublet.estimate.calibration import Calibration, shipped

    if path is None:
        return shipped()
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read the calibration {path}: {error}") from error
    return Calibration.from_json(text)


def _fitting(answer: Estimate | Rejection) -> Estimate:
    """The estimate; NothingFitsError with the reason where the machine cannot run the job."""
    from sublet.errors import NothingFitsError
    from sublet.estimate.result import Rejection

    if isinstance(answer, Rejection):
        raise NothingFitsError(f"{answer.machine.count} x {answer.machine.accelerator.name}: {answer.reason}")
    return answer


def _layout(layout: ChosenLayout) -> dict[str, Any]:
    from dataclasses import asdict

    return asdict(layout)


def _explained(estimate: Estimate) -> dict[str, Any]:
    """An estimate for programs: times in seconds, memory in bytes per accelerator, energy in joules."""
    from dataclasses import asdict

    return {
        "accelerator": estimate.machine.accelerator.name,
        "count": estimate.machine.count,
        "step_s": asdict(estimate.step_s),
        "run_s": asdict(estimate.run_s),
        "goodput": estimate.goodput,
        "goodput_source": estimate.goodput_source,
        "steps": estimate.steps,
        "tokens_per_s": estimate.tokens_per_s,
        "mfu": estimate.mfu,
        "hfu": estimate.hfu,
        "model_flop": estimate.model_flop,
        "memory_bytes": estimate.memory.bytes,
        "memory": {
            "verdict": estimate.memory.verdict,
            "bytes": estimate.memory.bytes,
            "limit_bytes": estimate.memory.limit_bytes,
            "components": dict(estimate.memory.components),
        },
        "layout": _layout(estimate.layout),
        "breakdown_s": dict(estimate.breakdown_s),
        "bottleneck": estimate.bottleneck,
        "energy_j": {name: _finite(value) for name, value in asdict(estimate.energy_j).items()},
        "calibration": estimate.calibration,
        "calibrated": estimate.calibrated,
        "assumptions": list(estimate.assumptions),
    }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _names(files: Iterable[Path]) -> str:
    return ", ".join(str(file) for file in files)


def _write(path: Path, text: str) -> None:
    from sublet.errors import InputError

    try:
        path.write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror or error}") from error
