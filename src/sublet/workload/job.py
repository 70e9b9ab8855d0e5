"""A training job: what the tenant wants to run, and what it will accept.

Invariant: every quantity carries its unit in its name; a job that reaches this class is complete and consistent.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date

from sublet.units import Money
from sublet.workload.model import Model


@dataclass(frozen=True)
class Constraints:
    """What the tenant will accept. Empty tuples and None mean: anything."""

    deadline_s: float | None = None
    budget: Money | None = None
    counts: tuple[int, ...] = ()  # exactly these accelerator counts
    min_count: int | None = None
    max_count: int | None = None
    accelerators: tuple[str, ...] = ()  # canonical names or names that resolve
    avoid_accelerators: tuple[str, ...] = ()
    providers: tuple[str, ...] = ()
    avoid_providers: tuple[str, ...] = ()
    regions: tuple[str, ...] = ()
    avoid_regions: tuple[str, ...] = ()
    markets: tuple[str, ...] = ("on-demand",)
    country: str | None = None  # ISO 3166 code of the user, for export rules
    on: date | None = None  # the day the question is asked for


@dataclass(frozen=True)
class Lora:
    """Low-rank adapters on a frozen base."""

    rank: int
    targets: tuple[str, ...] = ("q", "k", "v", "o")  # of "q","k","v","o","gate","up","down"


@dataclass(frozen=True)
class Layout:
    """A layout the tenant insists on; None means: choose."""

    tp: int | None = None
    pp: int | None = None
    vp: int | None = None
    cp: int | None = None
    ep: int | None = None
    dp: int | None = None
    micro_batch: int | None = None
    sharding: str | None = None  # "ddp" | "zero1" | "zero2" | "zero3" | "hsdp"
    recompute: str | None = None  # "none" | "selective" | "full"
    sequence_parallel: bool | None = None
    offload: bool | None = None


@dataclass(frozen=True)
class TrainingJob:
    """One training run."""

    name: str
    model: Model
    task: str  # "pretrain" | "finetune" | "lora"
    tokens: float  # trained in the whole run
    sequence: int  # tokens per sequence
    global_batch: int  # sequences per optimizer step
    precision: str  # "bf16" | "fp16" | "fp8" | "int8" | "fp4" | "fp32" | "tf32": of the matrix multiplications
    framework: str  # "PyTorch" | "JAX" | "TensorFlow" | "PaddlePaddle" | "Megatron" (a PyTorch family) | ...
    optimizer: str = "adamw"
    lora: Lora | None = None
    layout: Layout = field(default_factory=Layout)
    constraints: Constraints = field(default_factory=Constraints)
    assumptions: tuple[str, ...] = ()  # what was not stated and had to be chosen, one sentence each
