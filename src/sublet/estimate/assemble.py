"""From chosen layouts to estimates: intervals, goodput, energy, memory verdict and the bottleneck in words.

The step's interval comes from the calibration's posterior: the variance of log step time is that of the efficiencies,
through the step's elasticity to each of them, plus the residual of the framework family; percentiles are log-normal.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from sublet.estimate.bottleneck import sentence
from sublet.estimate.calibration import COEFFICIENTS, Calibration, Case
from sublet.estimate.choice import Choice
from sublet.estimate.energy import relative_sd, watts
from sublet.estimate.evaluate import Evaluation, evaluate, step_time
from sublet.estimate.frameworks import Framework
from sublet.estimate.goodput import goodput, reliability
from sublet.estimate.inputs import Array, Layouts, MachineArrays, Options, WorkloadArrays, stack, workload_arrays
from sublet.estimate.machines import machine_arrays, usable_peak
from sublet.estimate.physics import Physics, physics
from sublet.estimate.result import Estimate, Interval, Memory
from sublet.workload.flops import job_flop_per_token
from sublet.workload.job import TrainingJob

Z90 = 1.2815515594  # ninetieth percentile of the standard normal


def log_normal(middle: float, sd: float) -> Interval:
    """Interval of a log-normal with median `middle` and standard deviation `sd` of its logarithm."""
    return Interval(middle * np.exp(-Z90 * sd).item(), middle, middle * np.exp(Z90 * sd).item())


def elasticities(
    work: WorkloadArrays, machine: MachineArrays, lay: Layouts, opt: Options, constants: Physics, step: Array
) -> NDArray[np.float64]:
    """d log(step) / d log(efficiency) for each of COEFFICIENTS, by forward difference; shape (3, rows)."""
    bump = 0.01
    slopes = []
    for name in COEFFICIENTS:
        moved = replace(machine, **{name: getattr(machine, name) * np.exp(bump)})
        after, _ = step_time(work, moved, lay, opt, constants)
        slopes.append(np.log(after / step) / bump)
    return np.array(slopes)


def verdict(bytes_: float, capacity: float, constants: Physics) -> str:
    """The three states of a memory estimate."""
    if bytes_ > constants.edge_limit * capacity:
        return "does not fit"
    return "edge" if bytes_ > constants.edge_share * capacity else "fits"


def estimates(
    job: TrainingJob, choices: Sequence[Choice], framework: Framework, calibration: Calibration
) -> list[Estimate]:
    """An estimate for every chosen layout, evaluated together."""
    if not choices:
        return []
    constants = physics()
    work = workload_arrays(job, fused_attention=framework.fused_attention)
    hosts = stack([machine_arrays(c.machine, job, framework, calibration, constants) for c in choices])
    lay = stack([c.layout for c in choices])
    opt = stack([c.options for c in choices])
    result = evaluate(work, hosts, lay, opt, constants, parts=True)
    slopes = elasticities(work, hosts, lay, opt, constants, result.step_s)
    return [
        _one(job, choice, i, result, slopes[:, i], framework, calibration, constants)
        for i, choice in enumerate(choices)
    ]


def _at(values: Array, i: int) -> float:
    return float(values[i] if np.ndim(values) else values)


def _one(
    job: TrainingJob,
    choice: Choice,
    i: int,
    result: Evaluation,
    slopes: NDArray[np.float64],
    framework: Framework,
    calibration: Calibration,
    constants: Physics,
) -> Estimate:
    machine = choice.machine
    chip = machine.accelerator
    case = Case(chip, framework.name, job.precision, job.task, experts=job.model.experts is not None)
    step = _at(result.step_s, i)
    sd = float(np.sqrt(calibration.variance(case, slopes)))
    per_step = job.global_batch * job.sequence
    steps = float(np.ceil(job.tokens / per_step))
    figures = reliability()
    work = workload_arrays(job)
    share = goodput(machine.count, float(work.trainable_params), figures)
    run_sd = float(np.hypot(sd, figures.run_sd))
    run = log_normal(steps * step / share, run_sd)
    model_flop = job_flop_per_token(job)
    peak = usable_peak(machine, "bf16") or usable_peak(machine, job.precision)
    assert peak is not None, "checked before: the chip computes in the job's precision"
    useful = model_flop * per_step / (step * machine.count * peak)
    parts = {name: _at(value, i) for name, value in result.parts.items()}
    forward = (parts["matrix multiplication"] + parts["attention"]) / 3
    again = parts["recomputation"] / max(forward, 1e-12)
    memory = result.memory
    total = _at(memory.total, i)
    components = {
        name: _at(getattr(memory, name), i)
        for name in ("weights", "gradients", "optimizer", "activations", "logits", "buffers", "overhead")
    }
    power = watts(chip.tdp_watts, machine.count) if chip.tdp_watts else float("nan")
    energy_sd = float(np.hypot(run_sd, relative_sd()))
    assumptions = [*job.assumptions]
    if machine.fabric.assumption:
        assumptions.append(machine.fabric.assumption)
    if not chip.tdp_watts:
        assumptions.append(f"{chip.name}: rated power not published, so no energy is given")
    return Estimate(
        machine=machine,
        layout=choice.named(_at(result.microbatches, i)),
        step_s=log_normal(step, sd),
        run_s=run,
        goodput=share,
        goodput_source=figures.source,
        steps=steps,
        tokens_per_s=per_step / step,
        mfu=useful,
        hfu=useful * (1 + min(again, 1.0) / 3),
        model_flop=model_flop * steps * per_step,
        memory=Memory(verdict(total, chip.memory_bytes, constants), total, chip.memory_bytes, components),
        breakdown_s=parts,
        bottleneck=sentence(parts, step),
        energy_j=log_normal(run.p50 * power, energy_sd),
        calibration=calibration.describe(case),
        calibrated=calibration.chip_support(case) > 0,
        assumptions=tuple(assumptions),
    )
