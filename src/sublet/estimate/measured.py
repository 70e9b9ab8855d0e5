"""Published measurements of training as jobs on machines, each with the step time that was measured.

One row of a table of the schema of `training.csv` becomes one `MeasuredRun`. Invariant: rows in = runs + skipped; a
skipped row says why; a row of dense training is skipped only where its chip, its model or its speed cannot be told.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sublet.catalog.accelerator import Accelerator
from sublet.catalog.accelerators import accelerator
from sublet.catalog.names import resolve
from sublet.errors import InputError
from sublet.estimate.interconnect import fabric_from_text, slices_of
from sublet.estimate.measured_layout import layout_of, sharding_of
from sublet.estimate.measured_model import model_of
from sublet.estimate.measured_step import step_of
from sublet.estimate.result import Machine
from sublet.estimate.rows import Row, read_rows, reading
from sublet.workload.job import Lora, TrainingJob
from sublet.workload.model import Model
from sublet.workload.parameters import count as count_parameters

REQUIRED_COLUMNS = ("chip", "model")


@dataclass(frozen=True)
class MeasuredRun:
    """One measured configuration: what ran, on what, and how long a step took.

    `job.layout` holds what the row states or what follows from it; None in it is for the search to choose.
    """

    id: str
    source: str
    source_ref: str
    date: str
    system: str
    machine: Machine
    job: TrainingJob
    framework: str  # as the row spells it
    framework_family: (
        str  # family of frameworks.toml: "PyTorch-FSDP", "Megatron", "Megatron-unfused", "JAX", "LoRA", ...
    )
    fused_attention: bool  # the framework of that date runs attention as one (flash-type) kernel
    step_s: float
    step_basis: str  # "step_time_s" | "tokens_per_s" | "tflops" | "mfu" | "hfu" | "whole run"
    kind: str  # "measured" | "measured (recalled)" | "derived" | "digitized" | ...
    dense: bool
    precision_stated: bool
    memory_gb: float | None  # of one chip, as the row states it
    grad_accum: int | None  # microbatches per step and data-parallel rank, where stated
    fsdp_group: int | None  # data-parallel ranks that hold one sharded copy of the model
    recompute_share: float | None  # part of the forward FLOP done again, where utilisations or policy tell
    activations_offloaded: bool
    gradient_precision: str  # in which gradients are reduced: "fp32", "bf16"; "" not stated
    slices: int  # separate scale-up fabrics (TPU slices) that the job spans
    assumptions: tuple[str, ...]
    notes: str
    place: str  # file:line

    @property
    def calibrates(self) -> bool:
        """True where coefficients may be fitted to it: measured, and a step rather than a whole run with restarts."""
        return self.kind == "measured" and self.step_basis != "whole run"

    @property
    def tokens_per_s_per_chip(self) -> float:
        """Trained tokens per second and accelerator."""
        return self.job.global_batch * self.job.sequence / (self.step_s * self.machine.count)


@dataclass(frozen=True)
class Skipped:
    """A row that is no training run, or that states too little to be one."""

    id: str
    reason: str


def read_runs(path: str | Path) -> tuple[tuple[MeasuredRun, ...], tuple[Skipped, ...]]:
    """Every run of a CSV file of the schema of `training.csv`, and the rows that are none with the reason.

    Raises InputError where the file cannot be read or is no such table.
    """
    runs: list[MeasuredRun] = []
    skipped: list[Skipped] = []
    taken: set[str] = set()
    for row in read_rows(path, REQUIRED_COLUMNS):
        try:
            run = _run(row)
            runs.append(run if run.id not in taken else replace(run, id=f"{run.id} (line {row.line})"))
            taken.add(run.id)
        except InputError as error:
            skipped.append(Skipped(_identity(row), str(error)))
    return tuple(runs), tuple(skipped)


def read_files(paths: Iterable[str | Path]) -> tuple[tuple[MeasuredRun, ...], tuple[Skipped, ...]]:
    """The runs of several files in order; an id that was taken before gets its place, so that ids stay unique."""
    runs: list[MeasuredRun] = []
    skipped: list[Skipped] = []
    taken: set[str] = set()
    for path in paths:
        some, others = read_runs(path)
        for run in some:
            unique = run if run.id not in taken else replace(run, id=f"{run.id} ({run.place})")
            taken.add(unique.id)
            runs.append(unique)
        skipped += others
    return tuple(runs), tuple(skipped)


def _run(row: Row) -> MeasuredRun:
    task = _task(row)
    model, said = model_of(row)
    chip, chip_said = _chip(row)
    sequence = row.whole("seq_len") or model.context or 2048
    global_batch, batch_said = _batch(row, model, sequence)
    count, count_said = _count(row, model, chip, global_batch * sequence)
    precision, precision_said = _precision(row, chip)
    family, framework = _family(row, chip, task)
    system, slices = row.text("system"), slices_of(row.text("system"), count)
    fabric = fabric_from_text(row.text("interconnect"), chip, count, system=system, slices=slices)
    spread = layout_of(
        row,
        model,
        count=count,
        slices=slices,
        node=fabric.node,
        family=family,
        lora=task == "lora",
        global_batch=global_batch,
    )
    assumptions = (*said, *chip_said, *batch_said, *count_said, *precision_said, *spread.assumptions)
    if fabric.assumption:
        assumptions += (fabric.assumption,)
    adapter = reading()["lora"]
    job = TrainingJob(
        name=_identity(row),
        model=model,
        task=task,
        tokens=row.positive("tokens_total") or float(global_batch * sequence),
        sequence=sequence,
        global_batch=global_batch,
        precision=precision,
        framework=framework,
        lora=Lora(int(adapter["rank"]), tuple(adapter["targets"])) if task == "lora" else None,
        layout=spread.layout,
        assumptions=assumptions,
    )
    step = step_of(row, job, chip, count)
    fused = _fused_attention(row, family)
    return MeasuredRun(
        id=_identity(row),
        source=row.text("source"),
        source_ref=row.text("source_ref"),
        date=row.text("date"),
        system=system,
        machine=Machine(chip, fabric, count),
        job=job,
        framework=row.text("framework"),
        framework_family=family if fused else reading()["unfused_family"].get(family, family),
        fused_attention=fused,
        step_s=step.step_s,
        step_basis=step.basis,
        kind=row.text("kind").lower() or "measured",
        dense=model.experts is None,
        precision_stated=bool(row.text("precision")),
        memory_gb=row.positive("chip_memory_gb"),
        grad_accum=spread.grad_accum,
        fsdp_group=spread.fsdp_group,
        recompute_share=spread.recompute_share,
        activations_offloaded=spread.activations_offloaded,
        gradient_precision=_gradient_precision(row),
        slices=slices,
        assumptions=assumptions,
        notes=row.text("notes"),
        place=f"{row.path}:{row.line}",
    )


def _identity(row: Row) -> str:
    return row.text("id") or f"{Path(row.path).name}:{row.line}"


def _task(row: Row) -> str:
    """The task, "pretrain", "finetune" or "lora"; InputError for a row that trains nothing."""
    text = f"{row.text('task')}".lower()
    if re.search(r"infer|serv|decode|prefill|generation|offline|server", text):
        raise InputError(f"task {row.text('task')!r} is no training")
    if "lora" in text or "adapter" in text:
        return "lora"
    return "finetune" if re.search(r"fine-?tun|\bsft\b", text) else "pretrain"


def _chip(row: Row) -> tuple[Accelerator, tuple[str, ...]]:
    """The accelerator of the row; a board variant that the catalogue lacks is taken as its nearest relative."""
    raw = row.text("chip")
    if not raw:
        raise InputError("no chip is named")
    memory = row.positive("chip_memory_gb")
    for spelling in _spellings(raw):
        found = resolve(spelling, memory_gib=memory)
        name = found.accelerator or (found.candidates[0] if found.candidates else None)
        if name is None and memory is not None:
            found = resolve(spelling)
            name = found.accelerator or (found.candidates[0] if found.candidates else None)
        if name is not None:
            said = () if found.accelerator and spelling == raw else (f"chip {raw!r} taken as {name}",)
            return accelerator(name), said
    raise InputError(f"no accelerator of the catalogue is called {raw!r}")


def _spellings(raw: str) -> tuple[str, ...]:
    """The name as it stands, then without remarks, then ever shorter: "H200-NVL-141GB (air)" -> ... -> "H200"."""
    plain = re.sub(r"\s*[(\[].*?[)\]]", "", raw).strip()
    parts = re.split(r"[-\s_]+", plain)
    shorter = ["-".join(parts[:length]) for length in range(len(parts) - 1, 0, -1)]
    return tuple(dict.fromkeys((raw, plain, *shorter)))


def _batch(row: Row, model: Model, sequence: int) -> tuple[int, tuple[str, ...]]:
    """Sequences per step: stated, or from tokens, or from the split over chips, or presumed by model size."""
    stated = row.whole("global_batch")
    if stated is not None:
        return stated, ()
    tokens = row.positive("global_batch_tokens")
    if tokens is not None:
        return _round_batch(tokens / sequence), ()
    micro, dp, accumulation = row.positive("micro_batch"), row.whole("dp"), row.whole("grad_accum")
    if micro is not None and dp is not None:
        return max(round(micro * dp * (accumulation or 1)), 1), ()
    chips, rate, step = row.whole("n_chips"), row.positive("tokens_per_s_per_chip"), row.positive("step_time_s")
    if chips is not None and rate is not None and step is not None:
        return max(round(rate * chips * step / sequence), 1), ()
    billions = count_parameters(model).total / 1e9
    presumed = next(
        (float(rule["tokens"]) for rule in reading()["presumed_batch"] if billions < rule["below_params_b"]), 4194304.0
    )
    batch = _round_batch(presumed / sequence)
    return batch, (f"batch not stated: {batch} sequences of {sequence} tokens presumed",)


def _round_batch(sequences: float) -> int:
    """Whole sequences; the power of two where "4M tokens" is within a tenth of one."""
    whole = max(round(sequences), 1)
    power = 1 << max(round(sequences) - 1, 0).bit_length()
    nearest = min((power, max(power // 2, 1)), key=lambda value: abs(value - sequences))
    return int(nearest if abs(nearest - sequences) <= 0.1 * sequences and abs(whole - sequences) > 1e-6 else whole)


def _count(row: Row, model: Model, chip: Accelerator, tokens: int) -> tuple[int, tuple[str, ...]]:
    """Accelerators of the run: stated, or the product of its degrees, or presumed from batch and model size."""
    stated = row.whole("n_chips")
    if stated is not None:
        return stated, ()
    degrees = [row.whole(name) for name in ("tp", "pp", "dp")]
    if None not in degrees:
        product = row.whole("cp") or 1
        for degree in degrees:
            product *= degree or 1
        return product, ()
    rule: Mapping[str, Any] = reading()["presumed_count"]
    state = count_parameters(model).total * rule["state_bytes_per_parameter"]
    needed = state / (chip.memory_bytes * rule["share_of_memory"])
    count = 1 << max(int(max(tokens / rule["tokens_per_chip"], needed, 8)) - 1, 0).bit_length()
    return count, (f"count not stated: {count} chips presumed",)


def _precision(row: Row, chip: Accelerator) -> tuple[str, tuple[str, ...]]:
    """The precision of the matrix multiplications: stated, or presumed by source and framework, if the chip has it."""
    text = row.text("precision").lower()
    stated = next((rule["name"] for rule in reading()["precision"] if re.search(rule["pattern"], text)), None)
    if stated is not None:
        usable = _computable(str(stated), chip)
        return usable, (() if usable == stated else (f"{chip.name} has no {stated}: {usable} taken",))
    for rule in reading()["presumed_precision"]:
        fits = all(re.search(rule.get(name, ""), row.text(name).lower()) for name in ("source", "framework"))
        if fits and chip.peak(rule["name"]) is not None:
            return str(rule["name"]), (f"precision not stated: {rule['name']} presumed",)
    return "bf16", ("precision not stated: bf16 presumed",)


def _computable(precision: str, chip: Accelerator) -> str:
    """The precision, or the next wider one that the chip computes in; two of 16 bits stand for each other."""
    wider: Mapping[str, list[str]] = reading()["wider"]
    return next((name for name in (precision, *wider.get(precision, ())) if chip.peak(name) is not None), precision)


def _family(row: Row, chip: Accelerator, task: str) -> tuple[str, str]:
    """(calibration family, framework) of the row's software."""
    text = row.text("framework").lower()
    families = reading()["family"]
    for rule in families:
        if rule.get("task", task) == task and re.search(rule["pattern"], text):
            return str(rule["name"]), str(rule["framework"])
    presumed = reading()["presumed_family"]
    tp, pp = row.whole("tp") or 1, row.whole("pp") or 1
    if chip.name.startswith("TPU"):
        name = presumed["tpu"]
    elif tp * pp > 1:
        name = presumed["model_parallel"]
    elif "mlperf" in row.text("source").lower():
        name = presumed["pretraining_submission"]
    elif sharding_of(row.text("sharding")) == "zero1":
        name = presumed["model_parallel"]
    else:
        name = presumed["other"]
    return str(name), next(str(rule["framework"]) for rule in families if rule["name"] == name)


def _fused_attention(row: Row, family: str) -> bool:
    """True where the family ran attention as one kernel at the row's date; an undated row is taken as recent."""
    since: Mapping[str, str] = reading()["fused_attention_since"]
    if re.search(r"flash", row.text("framework"), re.IGNORECASE):
        return True
    date = row.text("date")
    return not date or date[:7] >= since.get(family, since["other"])


def _gradient_precision(row: Row) -> str:
    """Composer's modes: DEFAULT reduces gradients in fp32, PURE in the compute precision."""
    found = re.search(r"mixed-precision mode (\w+)", row.text("notes"), re.IGNORECASE)
    if found is None:
        return ""
    return {"pure": "bf16", "default": "fp32"}.get(found.group(1).lower(), "")
