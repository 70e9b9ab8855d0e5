"""What `sublet estimate` prints for a person: tables and sentences made of values, no arithmetic of its own."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from sublet.estimate.calibration import Calibration, Case
from sublet.estimate.measured import MeasuredRun, Skipped
from sublet.estimate.result import ChosenLayout, Estimate
from sublet.estimate.score import Statistics
from sublet.estimate.search import SearchResult
from sublet.estimate.validate import GROUP_KINDS, Validation
from sublet.units import format_bytes, format_count, format_duration, format_si
from sublet.workload.job import TrainingJob

_WORST = 5  # rows shown by name
_SKIPPED = 10
_POINTS = 20
_VISIBLE = 0.0005  # share below which a part of the step or of the memory is not worth a line
_FIGURES = ("n", "bias", "mean", "median", "p90", "worst", "in P10-P90", "memory right")


def print_validation(result: Validation) -> None:
    """The statistics by group and overall, the worst rows, and what was not scored."""
    console = _console()
    how = {
        None: "in sample: with the coefficients as they are, which may have been fitted to these rows",
        "row": "each row by coefficients refitted without it",
        "source": "each source by coefficients refitted without it",
        "chip": "each chip by coefficients refitted without it: what a chip that nobody measured would get",
    }[result.leave_out]
    console.print(f"Error of step time, (predicted - measured) / measured; {how}.")
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("")
    for name in _FIGURES:
        table.add_column(name, justify="right")
    for kind in GROUP_KINDS:
        members = [group for group in result.groups if group.by == kind]
        if members:
            table.add_row(f"[bold]{kind}[/bold]")
        for group in members:
            table.add_row(f"  {_plain(group.key) or '(not stated)'}", *_row(group.statistics))
    table.add_row("[bold]all[/bold]", *_row(result.overall))
    console.print(table)
    counted = [row for row in result.rows if row.keys["kind"] in result.scored_kinds]
    worst = sorted(counted, key=lambda row: -abs(row.error))[:_WORST]
    if worst:
        console.print("Furthest off: " + ", ".join(f"{row.id} {row.error:+.0%}" for row in worst))
    kinds = ", ".join(f"{number} {kind}" for kind, number in result.kinds.items())
    console.print(f"Rows: {kinds or 'none'}; the statistics count: {', '.join(result.scored_kinds) or 'none'}.")
    _print_skipped(console, result.skipped)


def print_calibration(
    calibration: Calibration,
    fitted: Sequence[MeasuredRun],
    left: int,
    skipped: Sequence[Skipped],
    out: Path | None,
) -> None:
    """The efficiencies of every (chip, framework family, precision) that rows speak of."""
    console = _console()
    cases = Counter(
        (run.machine.accelerator.name, run.framework_family, run.job.precision, run.job.task == "lora")
        for run in fitted
    )
    chips = {run.machine.accelerator.name: run.machine.accelerator for run in fitted}
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("accelerator", "software", "format"):
        table.add_column(name)
    for name in ("rows", "matrices", "attention", "memory"):
        table.add_column(name, justify="right")
    for (chip, family, precision, lora), number in sorted(cases.items()):
        case = Case(chips[chip], family, precision, "lora" if lora else "pretrain")
        shares = (f"{share:.1%}" for share in calibration.efficiency(case))
        table.add_row(chip, family, precision, str(number), *shares)
    console.print("Shares of the data-sheet rates that large matrix products, attention and memory traffic reach:")
    console.print(table)
    console.print(f"Fitted to {len(fitted)} rows; left out, as not of kind 'measured' or timing whole runs: {left}.")
    _print_skipped(console, skipped)
    if out is not None:
        console.print(f"Written to {out}; use it with --calibration {out}.")


def print_search(job: TrainingJob, found: SearchResult, best: Estimate, cpu_s: float) -> None:
    """How much was looked at, and the layouts that nothing beats in both step time and memory."""
    console = _console()
    console.print(
        f"{job.name} on {best.machine.count:,} x {best.machine.accelerator.name}: {found.evaluations:,} layouts "
        f"in {cpu_s:.1f} CPU-s, {len(found.pareto)} that nothing beats in both time and memory."
    )
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("step", justify="right")
    table.add_column("memory", justify="right")
    table.add_column("layout")
    for point in found.pareto[:_POINTS]:
        table.add_row(format_duration(point.step_s), format_bytes(point.memory_bytes), _layout(point.layout))
    console.print(table)
    if len(found.pareto) > _POINTS:
        console.print(f"... and {len(found.pareto) - _POINTS} slower and smaller ones (--json lists all)")
    console.print(f"Best that fits with room: {_layout(best.layout)}, {format_duration(best.step_s.p50)} a step.")


def print_estimate(job: TrainingJob, estimate: Estimate) -> None:
    """Time, memory, energy and what they rest on, of one layout."""
    console = _console()
    step, run = estimate.step_s, estimate.run_s
    console.print(
        f"[bold]{_plain(job.name)}[/bold] on {estimate.machine.count:,} x {estimate.machine.accelerator.name}: "
        f"{_layout(estimate.layout)}"
    )
    console.print(
        f"step {format_duration(step.p50)} (P10 {format_duration(step.p10)}, P90 {format_duration(step.p90)}), "
        f"{format_count(estimate.tokens_per_s)} tokens/s, MFU {estimate.mfu:.1%}, HFU {estimate.hfu:.1%}"
    )
    console.print(
        f"run of {estimate.steps:,.0f} steps: {format_duration(run.p50)} "
        f"(P10 {format_duration(run.p10)}, P90 {format_duration(run.p90)}) at goodput {estimate.goodput:.1%} "
        f"({_plain(estimate.goodput_source)})"
    )
    energy = estimate.energy_j.p50
    if math.isfinite(energy):
        console.print(f"energy {format_si(energy / 3600.0, 'Wh')}")
    console.print(f"bottleneck: {_plain(estimate.bottleneck)}")
    _print_parts(console, "time of a step", estimate.breakdown_s, step.p50, format_duration)
    memory = estimate.memory
    _print_parts(console, "memory per accelerator", memory.components, memory.bytes, format_bytes)
    console.print(f"{format_bytes(memory.bytes)} of {format_bytes(memory.limit_bytes)}: {memory.verdict}")
    console.print(f"calibration: {_plain(estimate.calibration)}")
    for assumption in dict.fromkeys(estimate.assumptions):
        console.print(f"assumed: {_plain(assumption)}")


def _console() -> Console:
    """A console that never breaks a table's line for want of a terminal."""
    console = Console(highlight=False, soft_wrap=True)
    if not console.is_terminal:
        console = Console(highlight=False, soft_wrap=True, width=160)
    return console


def _row(of: Statistics) -> tuple[str, ...]:
    if not of.n:
        return ("0", *["-"] * 7)
    errors = (f"{of.bias:+.1%}", *(f"{value:.1%}" for value in (of.mean, of.median, of.p90, of.worst)))
    return (str(of.n), *errors, f"{of.coverage_p10_p90:.0%}", f"{of.memory_right:.0%}")


def _print_parts(
    console: Console, title: str, parts: Mapping[str, float], total: float, form: Callable[[float], str]
) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column(title)
    table.add_column("", justify="right")
    table.add_column("share", justify="right")
    for name, value in sorted(parts.items(), key=lambda item: -item[1]):
        if value > _VISIBLE * total:
            table.add_row(name, form(value), f"{value / total:.1%}")
    console.print(table)


def _print_skipped(console: Console, skipped: Sequence[Skipped]) -> None:
    if not skipped:
        return
    console.print(f"Not scored: {len(skipped)} rows.")
    for row in skipped[:_SKIPPED]:
        console.print(f"  {_plain(row.id)}: {_plain(row.reason)}")
    if len(skipped) > _SKIPPED:
        console.print(f"  ... and {len(skipped) - _SKIPPED} more (--json lists all)")


def _layout(layout: ChosenLayout) -> str:
    degrees = ("tp", "cp", "pp", "vp", "ep", "dp")
    shown = [f"{name} {getattr(layout, name)}" for name in degrees if getattr(layout, name) > 1]
    shown.append(f"micro batch {layout.micro_batch} x {layout.grad_accum}")
    shown.append(layout.sharding)
    shown.append("no recompute" if layout.recompute == "none" else f"recompute {layout.recompute}")
    shown += ["sequence parallel"] * layout.sequence_parallel + ["offload"] * layout.offload
    return ", ".join(shown)


def _plain(text: str) -> str:
    """Text that rich prints as it stands."""
    return text.replace("[", r"\[")
