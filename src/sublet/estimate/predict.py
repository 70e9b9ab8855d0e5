"""Predictions for measured runs: each run as a job on its machine, in the layout that it states.

What a row leaves open is chosen by the same plan that a quote uses. A run that really ran is always predicted, even
where our memory estimate says that it does not fit; the verdict then says so.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from sublet.errors import InputError
from sublet.estimate.assemble import elasticities, log_normal, verdict
from sublet.estimate.calibration import Calibration, Case
from sublet.estimate.choice import Choice
from sublet.estimate.evaluate import evaluate
from sublet.estimate.frameworks import Framework, family_of
from sublet.estimate.inputs import Layouts, MachineArrays, Options, WorkloadArrays, stack, workload_arrays
from sublet.estimate.machines import machine_arrays
from sublet.estimate.measured import MeasuredRun
from sublet.estimate.physics import physics
from sublet.estimate.plan import choose
from sublet.estimate.result import Interval
from sublet.workload.job import Layout

OFFLOADED_SHARE = 0.25  # of the activations, still on the chip where the rest is offloaded: the layers in flight
PURE_SHARE = 0.77  # elementwise bytes of pure bf16 over those of autocast, whose norms read and write 4-byte elements


@dataclass(frozen=True)
class Prediction:
    """What the estimator says of one run."""

    id: str
    step_s: Interval
    memory_verdict: str
    memory_bytes: float
    choice: Choice


@dataclass(frozen=True)
class Stacked:
    """Many runs as arrays of shape (rows,), ready for `evaluate`."""

    work: WorkloadArrays
    machine: MachineArrays
    layout: Layouts
    options: Options
    cases: tuple[Case, ...]


def framework_of_run(run: MeasuredRun) -> Framework:
    """The run's framework family; one of before fused attention kernels is a family of its own where known."""
    compiled = "-compile" if "compile" in run.framework.lower() and run.framework_family == "PyTorch-FSDP" else ""
    family = family_of(run.framework_family + compiled)
    if run.gradient_precision == "bf16" and family.name == "PyTorch-FSDP":
        # no autocast: norms and residuals stay in two bytes, gradients too
        family = replace(family, elementwise=PURE_SHARE * family.elementwise, gradient_bytes=2.0)
    if run.fused_attention:
        return family
    older = family_of(f"{run.framework_family}-unfused")
    return older if older.name.endswith("-unfused") else replace(family, fused_attention=False)


def stack_of(framework: str) -> str:
    """A framework's text without versions and dates: what names the software stack."""
    text = re.sub(r"[\d.]+|\brelease\b|\bcontainer\b|\bnvidia\b", " ", framework.lower())
    return " ".join(re.findall(r"[a-z+]+", text))[:60]


def case_of(run: MeasuredRun) -> Case:
    """What decides the run's efficiencies."""
    family = framework_of_run(run)
    chip, job = run.machine.accelerator, run.job
    experts = job.model.experts is not None
    return Case(chip, family.name, job.precision, job.task, stack_of(run.framework), experts)


def choices_of(runs: Sequence[MeasuredRun], calibration: Calibration) -> list[Choice]:
    """The layout of every run: stated, completed by the plan where it is not."""
    return [_choice(run, calibration) for run in runs]


def _choice(run: MeasuredRun, calibration: Calibration) -> Choice:
    framework, group = framework_of_run(run), run.fsdp_group or 0
    for layout in (run.job.layout, Layout()):  # degrees that contradict each other are dropped together
        job = replace(run.job, layout=layout)
        try:
            choice = choose(
                job, run.machine, framework, calibration, group=group, accumulation=run.grad_accum, always=True
            )
            break
        except InputError:
            if layout == Layout():
                raise
    if run.recompute_share is not None and (run.job.layout.recompute is None or run.activations_offloaded):
        options = replace(choice.options, full_recompute=np.asarray(float(run.recompute_share)))
        choice = replace(choice, options=options)
    return choice


def stacked(runs: Sequence[MeasuredRun], choices: Sequence[Choice], calibration: Calibration) -> Stacked:
    """Runs and their layouts as arrays, with the efficiencies of `calibration`."""
    constants = physics()
    works, hosts, cases = [], [], []
    for run in runs:
        framework = framework_of_run(run)
        case = case_of(run)
        works.append(workload_arrays(run.job, fused_attention=framework.fused_attention))
        host = machine_arrays(run.machine, run.job, framework, calibration, constants, stack=case.stack)
        if run.activations_offloaded:  # kept in host memory
            host = replace(host, activations=np.asarray(OFFLOADED_SHARE * float(host.activations)))
        hosts.append(host)
        cases.append(case)
    return Stacked(
        stack(works),
        stack(hosts),
        stack([c.layout for c in choices]),
        stack([c.options for c in choices]),
        tuple(cases),
    )


def predict_choices(
    runs: Sequence[MeasuredRun], choices: Sequence[Choice], calibration: Calibration
) -> list[Prediction]:
    """Predictions of `runs` in given layouts."""
    if not runs:
        return []
    constants = physics()
    s = stacked(runs, choices, calibration)
    result = evaluate(s.work, s.machine, s.layout, s.options, constants)
    slopes = elasticities(s.work, s.machine, s.layout, s.options, constants, result.step_s)
    totals = np.broadcast_to(result.memory.total, result.step_s.shape)
    predictions = []
    for i, (run, choice) in enumerate(zip(runs, choices, strict=True)):
        sd = float(np.sqrt(calibration.variance(s.cases[i], slopes[:, i])))
        capacity = run.machine.accelerator.memory_bytes
        predictions.append(
            Prediction(
                id=run.id,
                step_s=log_normal(float(result.step_s[i]), sd),
                memory_verdict=verdict(float(totals[i]), capacity, constants),
                memory_bytes=float(totals[i]),
                choice=choice,
            )
        )
    return predictions


def predict_runs(runs: Sequence[MeasuredRun], calibration: Calibration) -> list[Prediction]:
    """A prediction for every run, in order."""
    return predict_choices(runs, choices_of(runs, calibration), calibration)
