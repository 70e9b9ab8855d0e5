"""Evaluations per CPU-second with full physics; CPU seconds to plan a thousand machines, and of a first estimate."""

from __future__ import annotations

import sys

import numpy as np

from _harness import child_cpu_s, cpu_s, report
from sublet.catalog.accelerators import accelerator, accelerators
from sublet.catalog.fabrics import fabric_for
from sublet.estimate.calibration import shipped
from sublet.estimate.grid import blocks
from sublet.estimate.inputs import workload_arrays
from sublet.estimate.layouts import enumerate_layouts, option_axes
from sublet.estimate.machines import machine_arrays
from sublet.estimate.physics import physics
from sublet.estimate.plan import framework_of, plan
from sublet.estimate.result import Estimate, Machine
from sublet.workload import builtin
from sublet.workload.job import Layout, TrainingJob

COUNTS = (8, 64, 128, 256, 512, 1024, 2048)
FIRST = """
from sublet.catalog.accelerators import accelerator
from sublet.catalog.fabrics import fabric_for
from sublet.estimate.plan import plan
from sublet.estimate.result import Machine
from sublet.workload.spec import job_from_options
chip = accelerator("H100 SXM")
plan(job_from_options("mpt-30b", "1T"), [Machine(chip, fabric_for(chip), 512)])
"""


def job(model: str, batch: int, framework: str) -> TrainingJob:
    """Pre-training in bf16 on sequences of 2,048 tokens."""
    return TrainingJob("bench", builtin.model(model), "pretrain", 3e11, 2048, batch, "bf16", framework)


def evaluate_all(model: str, batch: int, framework: str) -> int:
    """Time and memory of every layout and option of a model on 1,024 A100, none dropped; how many there are."""
    asked, chip = job(model, batch, framework), accelerator("A100 SXM 80GB")
    family = framework_of(asked)
    host = Machine(chip, fabric_for(chip), 1024)
    work = workload_arrays(asked, fused_attention=family.fused_attention)
    numbers = machine_arrays(host, asked, family, shipped(), physics())
    lay = enumerate_layouts(asked, host.count, host.fabric.domain, exhaustive=True)
    axes = option_axes(Layout(), fused_attention=family.fused_attention, exhaustive=True)
    done = sum(block.step_s.size for block in blocks(work, numbers, lay, axes, physics(), limit=np.inf))
    assert done == len(lay.tp) * int(np.prod(axes.shape)), "nothing was dropped"
    return done


if __name__ == "__main__":
    for name, model, batch, framework in (
        ("dense", "gpt-3-175b", 1536, "Megatron"),
        ("experts", "mixtral-8x7b", 1024, "Megatron"),
    ):
        seconds, done = cpu_s(lambda m=model, b=batch, f=framework: evaluate_all(m, b, f))  # type: ignore[misc]
        report(f"estimate_speed_{name}", done / seconds, "per CPU-s", at_least=1.5e6, evaluations=done)
    chips = [chip for chip in accelerators().values() if chip.training]
    machines = [Machine(chip, fabric_for(chip), count) for chip in chips for count in COUNTS]
    asked = job("mpt-30b", 2048, "PyTorch")
    plan(asked, machines[:1])
    seconds, answers = cpu_s(lambda: plan(asked, machines))
    fitting = sum(isinstance(answer, Estimate) for answer in answers)
    report("estimate_plan", seconds, "CPU-s", at_most=1.0, machines=len(machines), fitting=fitting)
    report("estimate_first", child_cpu_s([sys.executable, "-c", FIRST]), "CPU-s", at_most=0.6)
