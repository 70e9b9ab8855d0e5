"""Every layout and option of a job on one machine: the Pareto set of (step time, memory), and the best that fits.

Invariant: the Pareto set is that of all combinations evaluated; chunks only bound the memory used.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sublet.estimate.assemble import estimates
from sublet.estimate.calibration import Calibration, shipped
from sublet.estimate.choice import Choice
from sublet.estimate.evaluate import microbatch_count
from sublet.estimate.frameworks import Framework
from sublet.estimate.grid import blocks
from sublet.estimate.inputs import Layouts, workload_arrays
from sublet.estimate.layouts import OptionAxes, enumerate_layouts, option_axes
from sublet.estimate.machines import machine_arrays
from sublet.estimate.physics import physics
from sublet.estimate.plan import EDGE_PENALTY, framework_of, plan, refusal
from sublet.estimate.result import ChosenLayout, Estimate, Machine, Rejection
from sublet.workload.job import TrainingJob


@dataclass(frozen=True)
class Point:
    """One layout of the Pareto set: seconds per step and bytes per accelerator."""

    step_s: float
    memory_bytes: float
    layout: ChosenLayout


@dataclass(frozen=True)
class SearchResult:
    """How many combinations were evaluated, those that nothing beats in time and memory, and the best that fits."""

    evaluations: int
    pareto: tuple[Point, ...]
    best: Estimate | Rejection


def pareto_front(step_s: NDArray[np.float64], bytes_: NDArray[np.float64]) -> NDArray[np.intp]:
    """Indices of the points that no other point beats in both coordinates, fastest first; O(n log n)."""
    order = np.lexsort((bytes_, step_s))
    least = np.minimum.accumulate(bytes_[order])
    ahead = np.concatenate(([np.inf], least[:-1]))
    return order[bytes_[order] < ahead]


def search(
    job: TrainingJob,
    machine: Machine,
    calibration: Calibration | None = None,
    *,
    exhaustive: bool = True,
    framework: Framework | None = None,
) -> SearchResult:
    """All layouts of `job` on `machine`. What does not fit is counted, and left out of the Pareto set."""
    calibration = calibration or shipped()
    framework = framework or framework_of(job)
    best = plan(job, [machine], calibration, framework=framework)[0]
    if refusal(job, machine) is not None:
        return SearchResult(0, (), best)
    constants = physics()
    work = workload_arrays(job, fused_attention=framework.fused_attention)
    host = machine_arrays(machine, job, framework, calibration, constants)
    axes = option_axes(job.layout, fused_attention=framework.fused_attention, exhaustive=exhaustive)
    lay = enumerate_layouts(job, machine.count, machine.fabric.domain, exhaustive=exhaustive)
    steps, sizes, places = [], [], []
    width = int(np.prod(axes.shape))
    for block in blocks(work, host, lay, axes, constants):
        if not len(block.rows):
            continue
        step, size = block.step_s.ravel(), block.bytes.ravel()
        inside = np.flatnonzero(size <= machine.accelerator.memory_bytes)
        front = inside[pareto_front(step[inside], size[inside])]
        steps.append(step[front])
        sizes.append(size[front])
        places.append(np.stack([block.rows[front // width], front % width], axis=1))
    if not steps:
        return SearchResult(len(lay.tp) * width, (), best)
    step, size, place = np.concatenate(steps), np.concatenate(sizes), np.concatenate(places)
    points = []
    for i in pareto_front(step, size):
        choice = Choice.from_grid(machine, lay, int(place[i, 0]), axes, int(place[i, 1]))
        layout = choice.named(float(microbatch_count(work, choice.layout)))
        points.append(Point(float(step[i]), float(size[i]), layout))
    if exhaustive:
        best = _fastest(job, machine, lay, axes, step, size, place, framework, calibration, best)
    return SearchResult(len(lay.tp) * width, tuple(points), best)


def _fastest(
    job: TrainingJob,
    machine: Machine,
    lay: Layouts,
    axes: OptionAxes,
    step: NDArray[np.float64],
    size: NDArray[np.float64],
    place: NDArray[np.intp],
    framework: Framework,
    calibration: Calibration,
    quick: Estimate | Rejection,
) -> Estimate | Rejection:
    """The fastest of the Pareto points, the memory edge penalised; the quick plan's answer where it is as good."""
    edge = physics().edge_share * machine.accelerator.memory_bytes
    i = int(np.argmin(np.where(size > edge, EDGE_PENALTY, 1.0) * step))
    choice = Choice.from_grid(machine, lay, int(place[i, 0]), axes, int(place[i, 1]))
    found = estimates(job, [choice], framework, calibration)[0]
    if isinstance(quick, Estimate) and quick.step_s.p50 <= found.step_s.p50 and quick.memory.verdict == "fits":
        return quick
    return found
