"""The best layout of a job on each of many machines, in one vectorised pass, and the estimate that follows.

Invariant: `plan` answers in the order of its machines, each with an Estimate or with the reason why there is none;
the estimate's p50 is what `evaluate` says of the chosen layout, nothing added.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sublet.errors import InputError
from sublet.estimate.assemble import estimates
from sublet.estimate.calibration import Calibration, shipped
from sublet.estimate.choice import Choice
from sublet.estimate.frameworks import Framework, family_of
from sublet.estimate.grid import blocks
from sublet.estimate.inputs import Layouts, stack, take, workload_arrays
from sublet.estimate.layouts import concatenate, enumerate_layouts, option_axes
from sublet.estimate.machines import machine_arrays, usable_peak
from sublet.estimate.physics import physics
from sublet.estimate.result import Estimate, Machine, Rejection
from sublet.units import format_bytes
from sublet.workload.job import TrainingJob

EDGE_PENALTY = 1.1  # a layout at the memory edge is chosen only where it is this much faster


def framework_of(job: TrainingJob) -> Framework:
    """The framework family that runs the job; LoRA runs have one of their own."""
    return family_of("LoRA" if job.task == "lora" and job.framework in ("PyTorch", "Megatron") else job.framework)


def refusal(job: TrainingJob, machine: Machine) -> str | None:
    """Why the machine cannot run the job whatever the layout, or None."""
    chip = machine.accelerator
    if usable_peak(machine, job.precision) is None:
        known = ", ".join(chip.peak_flops) or "no published format"
        return f"{chip.name} does not compute in {job.precision} (it does in {known})"
    if not chip.memory_bytes_per_s:
        return f"{chip.name}: memory bandwidth not published"
    return None


@dataclass(frozen=True)
class _Asked:
    """Machines that can be planned, their layouts, and where each machine's rows begin and end."""

    indices: tuple[int, ...]
    layouts: Layouts
    owner: np.ndarray  # (rows,) position in `indices`


def plan(
    job: TrainingJob,
    machines: Sequence[Machine],
    calibration: Calibration | None = None,
    *,
    framework: Framework | None = None,
    group: int = 0,
) -> list[Estimate | Rejection]:
    """Estimate `job` on every machine in its fastest layout that fits, in the order given.

    `group`: stated sharding group of HSDP in ranks (0: the scale-up domain). Raises nothing: what cannot run comes
    back as a Rejection that says why.
    """
    calibration = calibration or shipped()
    framework = framework or framework_of(job)
    answers: list[Estimate | Rejection | None] = [None] * len(machines)
    asked = _enumerate(job, machines, answers)
    if asked is not None:
        choices = _choose(job, [machines[i] for i in asked.indices], asked, framework, calibration, group, answers)
        for index, estimate in zip(
            choices, estimates(job, list(choices.values()), framework, calibration), strict=True
        ):
            answers[index] = estimate
    return [answer for answer in answers if answer is not None]


def choose(
    job: TrainingJob,
    machine: Machine,
    framework: Framework,
    calibration: Calibration,
    *,
    group: int = 0,
    accumulation: int | None = None,
    always: bool = False,
) -> Choice:
    """The layout of one job on one machine; with `always`, the leanest one where none fits.

    `accumulation`: microbatches per step and rank, where known; other layouts are left out if that leaves any.
    Raises InputError where no layout obeys the job or the chip lacks its number format.
    """
    answers: list[Estimate | Rejection | None] = [None]
    asked = _enumerate(job, [machine], answers)
    if asked is not None:
        if accumulation is not None:
            asked = _with_accumulation(asked, job.global_batch, accumulation)
        limit = 1.0
        while True:
            chosen = _choose(job, [machine], asked, framework, calibration, group, answers, limit)
            if chosen:
                return chosen[0]
            refused = answers[0]
            assert isinstance(refused, Rejection), "nothing chosen means refused"
            if not always or refused.shortfall is None:
                break
            limit = refused.shortfall * 1.0001
    refused = answers[0]
    assert isinstance(refused, Rejection), "nothing chosen means refused"
    raise InputError(f"{job.name}: {refused.reason}")


def _with_accumulation(asked: _Asked, batch: int, accumulation: int) -> _Asked:
    """The layouts with that many microbatches, or all where there are none."""
    counts = np.ceil(batch / (asked.layouts.dp * asked.layouts.micro))
    rows = np.flatnonzero(counts == accumulation)
    return _Asked(asked.indices, take(asked.layouts, rows), asked.owner[rows]) if len(rows) else asked


def _enumerate(
    job: TrainingJob, machines: Sequence[Machine], answers: list[Estimate | Rejection | None]
) -> _Asked | None:
    cache: dict[tuple[int, int], Layouts] = {}
    indices: list[int] = []
    parts: list[Layouts] = []
    for i, machine in enumerate(machines):
        reason = refusal(job, machine)
        if reason is None:
            key = (machine.count, min(machine.fabric.domain, 16))
            if key not in cache:
                cache[key] = enumerate_layouts(job, *key)
            if len(cache[key].tp):
                indices.append(i)
                parts.append(cache[key])
                continue
            reason = (
                f"no layout of {machine.count} accelerators obeys the job: a step has {job.global_batch} sequences"
                " and the stated degrees must divide the count"
            )
        answers[i] = Rejection(machine, reason)
    if not indices:
        return None
    owner = np.repeat(np.arange(len(indices)), [len(part.tp) for part in parts])
    return _Asked(tuple(indices), concatenate(parts), owner)


def _choose(
    job: TrainingJob,
    machines: Sequence[Machine],
    asked: _Asked,
    framework: Framework,
    calibration: Calibration,
    group: int,
    answers: list[Estimate | Rejection | None],
    limit: float = 1.0,
) -> dict[int, Choice]:
    """The chosen layout of every machine that can hold the job; the others are answered with a Rejection.

    `limit`: share of the accelerators' memory that may be used.
    """
    constants = physics()
    work = workload_arrays(job, fused_attention=framework.fused_attention)
    hosts = stack([machine_arrays(m, job, framework, calibration, constants) for m in machines])
    axes = option_axes(job.layout, fused_attention=framework.fused_attention, exhaustive=False, group=group)
    best = np.full(len(machines), np.inf)
    where = np.zeros((len(machines), 2), dtype=int)
    least = np.full(len(machines), np.inf)
    for block in blocks(work, take(hosts, asked.owner), asked.layouts, axes, constants, limit=limit):
        owners = asked.owner[block.start : block.start + len(block.smallest)]
        np.minimum.at(least, owners, block.smallest)
        if not len(block.rows):
            continue
        owner = asked.owner[block.rows]
        capacity = hosts.memory_bytes[owner][:, None]
        step = np.where(block.bytes > constants.edge_share * capacity, EDGE_PENALTY, 1.0) * block.step_s
        step = np.where(block.bytes > limit * capacity, np.inf, step)
        option = step.argmin(axis=1)
        fastest = step[np.arange(len(option)), option]
        order = np.lexsort((block.rows, fastest, owner))
        heads, first = np.unique(owner[order], return_index=True)
        rows = order[first]
        better = fastest[rows] < best[heads]
        best[heads[better]] = fastest[rows][better]
        where[heads[better]] = np.stack([block.rows[rows], option[rows]], axis=1)[better]
    chosen: dict[int, Choice] = {}
    for position, index in enumerate(asked.indices):
        machine = machines[position]
        if np.isfinite(best[position]):
            row, option = where[position]
            chosen[index] = Choice.from_grid(machine, asked.layouts, int(row), axes, int(option))
        else:
            capacity = machine.accelerator.memory_bytes
            answers[index] = Rejection(
                machine,
                f"does not fit: needs {format_bytes(float(least[position]))} per accelerator in the leanest layout, "
                f"{machine.accelerator.name} has {format_bytes(capacity)}",
                shortfall=float(least[position]) / capacity,
            )
    return chosen
