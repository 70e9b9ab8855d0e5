"""Jobs, machines and layouts that the estimator's tests are asked about."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scalar_parts import Efficiency, Question, Spread  # type: ignore[import-not-found]

from sublet.catalog.accelerators import accelerator
from sublet.catalog.fabrics import fabric_for
from sublet.estimate.calibration import uncalibrated
from sublet.estimate.evaluate import Evaluation, evaluate
from sublet.estimate.frameworks import frameworks
from sublet.estimate.inputs import Layouts, MachineArrays, Options, WorkloadArrays, stack, workload_arrays
from sublet.estimate.machines import machine_arrays
from sublet.estimate.physics import Physics, physics
from sublet.estimate.result import Machine
from sublet.workload import builtin
from sublet.workload.job import Layout, Lora, TrainingJob
from sublet.workload.model import Model


@dataclass(frozen=True)
class Stack:
    """Many questions as arrays of shape (rows,)."""

    work: WorkloadArrays
    machine: MachineArrays
    layout: Layouts
    options: Options

    def evaluate(self, constants: Physics | None = None) -> Evaluation:
        """All of them at once, by cause."""
        return evaluate(self.work, self.machine, self.layout, self.options, constants or physics(), parts=True)

    def with_(self, **fields: Any) -> Stack:
        """The same with other values of some fields, whichever record has them ("overlap_dp" means the option)."""
        records = {name: getattr(self, name) for name in ("work", "machine", "layout", "options")}
        for key, value in fields.items():
            owner = next(n for n in ("options", "layout", "work", "machine") if hasattr(records[n], key))
            shape = self.layout.tp.shape
            records[owner] = replace(records[owner], **{key: np.broadcast_to(np.asarray(value, dtype=float), shape)})
        return Stack(**records)


DEGREES = ("tp", "cp", "pp", "vp", "ep", "dp", "micro")
ZERO = {"ddp": (0.0, 0.0), "zero1": (1.0, 0.0), "zero2": (2.0, 0.0), "zero3": (3.0, 0.0), "hsdp": (3.0, 1.0)}


def job(
    model: str | Model = "mpt-7b",
    *,
    batch: int = 256,
    sequence: int = 2048,
    tokens: float = 1e9,
    task: str = "pretrain",
    precision: str = "bf16",
    framework: str = "PyTorch",
    lora: Lora | None = None,
    **layout: Any,
) -> TrainingJob:
    """A training job; `layout` holds what it insists on."""
    known = model if isinstance(model, Model) else builtin.model(model)
    return TrainingJob(
        name=known.name,
        model=known,
        task=task,
        tokens=tokens,
        sequence=sequence,
        global_batch=batch,
        precision=precision,
        framework=framework,
        lora=lora,
        layout=Layout(**layout),
    )


def machine(chip: str = "A100 SXM 80GB", count: int = 8, **fabric: Any) -> Machine:
    """`count` chips on their usual fabric, some figures of it replaced."""
    known = accelerator(chip)
    return Machine(known, replace(fabric_for(known), **fabric), count)


def layouts(rows: Mapping[str, Any] | list[Mapping[str, Any]]) -> Layouts:
    """Degrees by name, 1 where not named; arrays of shape () for one row, (rows,) for a list."""
    if isinstance(rows, list):
        return Layouts(*(np.array([row.get(name, 1) for row in rows], dtype=float) for name in DEGREES))
    return Layouts(*(np.asarray(float(rows.get(name, 1))) for name in DEGREES))


def options(
    sharding: str = "zero3",
    *,
    full: float = 0.0,
    selective: float = 0.0,
    sequence_parallel: float = 1.0,
    offload: float = 0.0,
    group: float = 0.0,
    overlap_tp: float = 1.0,
    overlap_dp: float = 1.0,
) -> Options:
    """One set of options as zero-dimensional arrays."""
    zero, hsdp = ZERO[sharding]
    values = (full, selective, zero, hsdp, group, sequence_parallel, offload, overlap_tp, overlap_dp)
    return Options(*(np.asarray(float(value)) for value in values))


MODELS = (
    "mpt-1b",  # multi-head, tied tables
    "gpt-3-175b",
    "llama-3-70b",  # grouped queries, gated, own output matrix
    "palm-62b",  # one key-value head
    "gemma-2-9b",  # half of the layers windowed
    "mixtral-8x7b",  # experts in every layer
    "gpt-oss-20b",  # experts and windows
    "deepseek-v2",  # latent attention, shared experts, a dense layer
    "deepseek-v3",  # latent queries too
)
CHIPS = {
    "H100 SXM": ("bf16", "fp8"),
    "A100 SXM 40GB": ("bf16",),
    "V100 SXM 32GB": ("fp16",),
    "TPU v5e": ("bf16", "int8"),
    "MI300X": ("bf16", "fp8"),
    "GB200": ("bf16", "fp8", "fp4"),
    "RTX 4090": ("bf16",),
}


def drawn(r: random.Random) -> Question:
    """A random job on a random machine, in a layout that need not be wise."""
    name = r.choice(MODELS)
    model = builtin.model(name)
    chip = r.choice(list(CHIPS))
    tp, cp, pp = r.choice((1, 1, 2, 4, 8, 16)), r.choice((1, 1, 1, 2, 4)), r.choice((1, 1, 2, 4, 5, 8, 24))
    dp = r.choice((1, 1, 2, 3, 8, 32))
    ep = r.choice([d for d in (1, 2, 4, 8, 16) if dp * cp % d == 0]) if model.experts else 1
    micro = r.choice((1, 1, 2, 4))
    adapters = Lora(r.choice((8, 64)), r.choice((("q", "v"), ("q", "k", "v", "o", "gate", "up", "down"))))
    lora = adapters if r.random() < 0.2 else None
    asked = job(
        model,
        batch=r.randint(dp * micro, 40 * dp * micro),
        sequence=r.choice((512, 2048, 8192)),
        task="lora" if lora else "pretrain",
        precision=r.choice(CHIPS[chip]),
        lora=lora,
    )
    host = machine(chip, tp * cp * pp * dp, oversubscription=r.choice((1.0, 2.0)))
    spread = Spread(
        tp=tp,
        cp=cp,
        pp=pp,
        vp=r.choice((1, 2, 3)) if pp > 1 else 1,
        ep=ep,
        dp=dp,
        micro=micro,
        sharding=r.choice(list(ZERO)),
        group=r.choice((0, 0, 2, 16)),
        full=r.choice((0.0, 0.0, 0.25, 0.5, 1.0)),
        selective=r.random() < 0.3,
        sequence_parallel=r.random() < 0.6,
        offload=r.random() < 0.2,
        overlap_tp=r.random() < 0.7,
        overlap_dp=r.random() < 0.7,
    )
    efficiency = Efficiency(r.uniform(0.2, 1.0), r.uniform(0.2, 1.0), r.uniform(0.2, 1.0))
    return Question(asked, host, r.choice(list(frameworks().values())), efficiency, spread, physics())


def arrays(q: Question) -> tuple[WorkloadArrays, MachineArrays, Layouts, Options]:
    """The same question as the array code takes it."""
    spread = q.spread
    work = workload_arrays(q.job, fused_attention=q.framework.fused_attention)
    numbers = machine_arrays(q.machine, q.job, q.framework, uncalibrated(), q.constants)
    numbers = replace(numbers, **{name: np.asarray(value) for name, value in vars(q.efficiency).items()})
    degrees = (spread.tp, spread.cp, spread.pp, spread.vp, spread.ep, spread.dp, spread.micro)
    zero, hsdp = ZERO[spread.sharding]
    flags = (spread.full, spread.selective, zero, hsdp, spread.group, spread.sequence_parallel, spread.offload)
    opt = (*flags, spread.overlap_tp, spread.overlap_dp)
    return (
        work,
        numbers,
        Layouts(*(np.asarray(float(v)) for v in degrees)),
        Options(*(np.asarray(float(v)) for v in opt)),
    )


def corpus(seed: int, size: int) -> tuple[list[Question], Stack]:
    """`size` random questions, and all of them as arrays of shape (size,)."""
    r = random.Random(seed)
    questions = [drawn(r) for _ in range(size)]
    rows = [arrays(question) for question in questions]
    works, hosts, lays, opts = zip(*rows, strict=True)
    return questions, Stack(stack(works), stack(hosts), stack(lays), stack(opts))
