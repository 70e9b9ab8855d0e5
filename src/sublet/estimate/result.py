"""What an estimate says: time, memory and energy of one job on one machine, with the reason and the interval.

Invariant: every time is an interval p10 <= p50 <= p90, and every estimate says which calibration it rests on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sublet.catalog.accelerator import Accelerator
from sublet.catalog.shape import Fabric


@dataclass(frozen=True)
class Machine:
    """`count` accelerators of one kind on one fabric: what a job can run on."""

    accelerator: Accelerator
    fabric: Fabric
    count: int


@dataclass(frozen=True)
class Interval:
    """A figure with its tenth, fiftieth and ninetieth percentile, in the unit of the field that holds it."""

    p10: float
    p50: float
    p90: float

    def scaled(self, factor: float) -> Interval:
        """The interval in another unit, or of a multiple."""
        return Interval(self.p10 * factor, self.p50 * factor, self.p90 * factor)


@dataclass(frozen=True)
class ChosenLayout:
    """How the job is spread: every degree, the batch split and the memory savers."""

    tp: int
    cp: int
    pp: int
    vp: int
    ep: int
    dp: int
    micro_batch: int
    grad_accum: int
    sharding: str  # "ddp" | "zero1" | "zero2" | "zero3" | "hsdp"
    recompute: str  # "none" | "selective" | "full"
    sequence_parallel: bool
    offload: bool
    overlap_tp: bool = True  # tensor-parallel traffic behind compute, as far as the framework can
    overlap_dp: bool = True  # data-parallel, context-parallel and pipeline traffic likewise


@dataclass(frozen=True)
class Memory:
    """Bytes per accelerator on the worst stage, by component, against what the chip offers."""

    verdict: str  # "fits" | "edge" | "does not fit"
    bytes: float
    limit_bytes: float
    components: Mapping[str, float]  # weights, gradients, optimizer, activations, logits, buffers, overhead


@dataclass(frozen=True)
class Estimate:
    """One job on one machine in its best (or its demanded) layout."""

    machine: Machine
    layout: ChosenLayout
    step_s: Interval  # one optimizer step, as a benchmark would measure it
    run_s: Interval  # the whole run: steps x step time / goodput
    goodput: float  # share of the wall clock that trains (failures, restarts, checkpoints)
    goodput_source: str
    steps: float
    tokens_per_s: float  # of the whole machine, at p50 of the step
    mfu: float  # model FLOP (6 per active parameter and token + causal attention) over the bf16 peak
    hfu: float  # with recomputed FLOP
    model_flop: float  # of the whole run
    memory: Memory
    breakdown_s: Mapping[str, float]  # part of the step -> seconds; sums to step_s.p50
    bottleneck: str  # one sentence
    energy_j: Interval  # of the whole run, accelerators and hosts
    calibration: str  # which coefficients: "Hopper/PyTorch-FSDP: 61 rows", "never calibrated: family prior"
    calibrated: bool  # False: the interval is wide because nobody measured this chip here
    assumptions: tuple[str, ...] = ()


@dataclass(frozen=True)
class Rejection:
    """Why a job cannot run on a machine, in one sentence, and how near it came."""

    machine: Machine
    reason: str
    shortfall: float | None = None  # smallest (bytes needed / bytes offered), where memory was the reason
