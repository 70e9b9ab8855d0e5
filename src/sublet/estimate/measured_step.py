"""Seconds per optimizer step that a measured row states, or that its throughput or utilisation implies.

Invariant: FLOP are counted as the row's own definition counts them (attention causal or full, recomputation in or out),
so that a utilisation turns back into the time that was measured.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from sublet.catalog.accelerator import Accelerator
from sublet.errors import InputError
from sublet.estimate.rows import Row, reading
from sublet.workload.flops import attention_flop_per_token, job_flop_per_token
from sublet.workload.job import TrainingJob
from sublet.workload.parameters import count

_WHOLE_RUN = re.compile(r"full pre-?train|whole[- ]run|end-to-end:|gpu[- ]hours|price list", re.IGNORECASE)


@dataclass(frozen=True)
class StepTime:
    """The measured step and the cell it comes from."""

    step_s: float
    basis: str  # "step_time_s" | "tokens_per_s" | "tflops" | "mfu" | "hfu" | "whole run"


def step_of(row: Row, job: TrainingJob, accelerator: Accelerator, chips: int) -> StepTime:
    """The step time of `row`; InputError where it states no speed.

    In this order: the step time; tokens/s per chip; FLOP/s per chip or utilisation, whichever has more digits; tokens
    and chip-hours (or wall clock) of a whole run, which contain restarts and evaluation.
    """
    tokens = job.global_batch * job.sequence
    stated = row.positive("step_time_s")
    if stated is not None:
        return StepTime(stated, "step_time_s")
    whole = is_whole_run(row)
    rate = row.positive("tokens_per_s_per_chip")
    if rate is not None:
        return StepTime(tokens / (rate * chips), "whole run" if whole else "tokens_per_s")
    achieved = _flop_per_s(row, job, accelerator)
    if achieved is not None:
        rate, basis, hardware = achieved
        return StepTime(tokens * counted_flop_per_token(row, job, hardware) / (rate * chips), basis)
    trained, hours, wall = (row.positive(name) for name in ("tokens_total", "chip_hours", "time_to_train_s"))
    if trained is not None and hours is not None:
        return StepTime(hours * 3600.0 / chips * tokens / trained, "whole run")
    if trained is not None and wall is not None:
        return StepTime(wall * tokens / trained, "whole run")
    raise InputError("no step time, throughput, utilisation or chip-hours are stated")


def is_whole_run(row: Row) -> bool:
    """True where the figures are of a whole run: tokens over chip-hours, with restarts and evaluation in them."""
    if row.positive("step_time_s") is not None:
        return False
    prose = f"{row.text('task')} {row.text('notes')}"
    return row.positive("chip_hours") is not None and (
        _WHOLE_RUN.search(prose) is not None or not row.text("kind").lower().startswith("measured")
    )


def counted_flop_per_token(row: Row, job: TrainingJob, hardware: bool) -> float:
    """Training FLOP per token as the row's definition counts them.

    Hardware FLOP under full recomputation add one forward pass of the layers, not of the logits: the formula
    96 B s l h^2 (1 + s/6h + V/16lh) of Narayanan et al. 2021 (arXiv 2104.04473), for any shape.
    """
    causal = counts_causal(row)
    flop = job_flop_per_token(job, causal=causal)
    if not hardware:
        return flop
    attention = attention_flop_per_token(job.model, job.sequence, causal=causal)
    recompute = row.text("activation_checkpointing").lower()
    if "select" in recompute:
        return flop + attention
    if recompute and not re.search(r"full|block|remat", recompute):
        return flop
    parameters = count(job.model)
    return flop + 2.0 * (parameters.matmul - parameters.embedding) + attention


def counts_causal(row: Row) -> bool:
    """True where the row's definition halves attention for the causal mask; silent rows go by framework and date."""
    text = row.text("mfu_definition").lower()
    if re.search(r"non[- ]?causal|full attention|12 ?l|full \(", text):
        return False
    if "causal" in text:
        return True
    date, framework = row.text("date")[:7], row.text("framework")
    return any(
        re.search(rule["framework"], framework, re.IGNORECASE) is not None and date >= rule["since"]
        for rule in reading()["counts_causal"]
    )


def _flop_per_s(row: Row, job: TrainingJob, accelerator: Accelerator) -> tuple[float, str, bool] | None:
    """FLOP/s per chip, the cell they come from, and whether they count recomputation."""
    definition = row.text("mfu_definition").lower()
    mfu, hfu, tflops = row.positive("mfu"), row.positive("hfu"), row.positive("tflops_per_chip")
    hardware = "hardware" in definition or (mfu is None and hfu is not None)
    column, share = ("mfu", mfu) if mfu is not None else ("hfu", hfu)
    peak = _peak(definition, job, accelerator)
    if tflops is not None and (share is None or peak is None or row.digits("tflops_per_chip") >= row.digits(column)):
        return tflops * 1e12, "tflops", hardware
    if share is not None and peak is not None:
        return (share if share <= 1.0 else share / 100.0) * peak, column, hardware and column == "hfu"
    return None


def _peak(definition: str, job: TrainingJob, accelerator: Accelerator) -> float | None:
    """FLOP/s that the utilisation is a share of: named in the definition, else the chip's bf16 peak."""
    found = re.search(r"over (\d+(?:\.\d+)?)(?! ?b)\b", definition)
    if found is not None and float(found.group(1)) > 20:
        return float(found.group(1)) * 1e12
    if re.search(r"fp8 peak|peak fp8", definition):
        return accelerator.peak("fp8") or accelerator.peak("bf16")
    return accelerator.peak("bf16") or accelerator.peak("fp16") or accelerator.peak(job.precision)
