"""From a machine and a calibration to the numbers that the formulas take."""

from __future__ import annotations

import numpy as np

from sublet.estimate.calibration import Calibration, Case
from sublet.estimate.frameworks import Framework
from sublet.estimate.inputs import MachineArrays
from sublet.estimate.physics import Physics
from sublet.estimate.result import Machine
from sublet.workload.job import TrainingJob

ATTENTION_PRECISIONS = ("bf16", "fp16", "tf32", "fp32")


def usable_peak(machine: Machine, precision: str) -> float | None:
    """Dense FLOP/s in `precision`; a chip that has bf16 alone runs fp16 jobs in it. None: it cannot."""
    peaks = machine.accelerator.peak_flops
    stand_in = {"fp16": "bf16"}.get(precision, precision)
    return peaks.get(precision) or peaks.get(stand_in)


def attention_peak(machine: Machine, precision: str) -> float:
    """Dense FLOP/s that attention runs at: the job's format, or bf16 where the matrices use fewer than 16 bits."""
    wanted = precision if precision in ATTENTION_PRECISIONS else "bf16"
    peak = usable_peak(machine, wanted) or usable_peak(machine, "fp16") or usable_peak(machine, precision)
    assert peak is not None, "checked by the caller: the chip computes in the job's precision"
    return peak


def machine_arrays(
    machine: Machine,
    job: TrainingJob,
    framework: Framework,
    calibration: Calibration,
    physics: Physics,
    *,
    stack: str = "",
) -> MachineArrays:
    """The machine's numbers as zero-dimensional arrays; the chip must compute in the job's precision."""
    chip, fabric = machine.accelerator, machine.fabric
    peak = usable_peak(machine, job.precision)
    assert peak is not None, "checked by the caller: the chip computes in the job's precision"
    gemm, attention, memory = calibration.efficiency(Case(chip, framework.name, job.precision, job.task, stack))
    values = {
        "count": machine.count,
        "peak": peak,
        "peak_attention": attention_peak(machine, job.precision),
        "memory_bytes": chip.memory_bytes,
        "memory_rate": chip.memory_bytes_per_s or np.nan,
        "node": min(fabric.node, machine.count),
        "domain": min(fabric.domain, machine.count),
        "link": fabric.scale_up_bytes_per_s,
        "nic": fabric.scale_out_bytes_per_s / fabric.oversubscription,
        "link_latency": fabric.scale_up_latency_s,
        "nic_latency": fabric.scale_out_latency_s,
        "host_link": physics.host_link_bytes_per_s,
        "gemm": gemm,
        "attention": attention,
        "memory": memory,
        "overlap_tp": framework.overlap_tp,
        "overlap_ep": framework.overlap_ep,
        "overlap_dp": framework.overlap_dp,
        "elementwise": framework.elementwise,
        "operand_traffic": framework.operand_traffic,
        "weight_traffic": framework.weight_traffic,
        "drops_last": framework.drops_last,
        "activations": framework.activations,
        "launch": framework.launch_s,
        "optimizer_bytes": framework.optimizer_bytes,
        "weight_bytes": framework.weight_bytes,
        "gradient_bytes": framework.gradient_bytes,
        "reserve_bytes": framework.reserve_bytes,
    }
    return MachineArrays(**{name: np.asarray(float(value)) for name, value in values.items()})
