"""A job as a mapping with the keys of its spec: what `--json` prints, and what a spec can be written from.

Invariant: `spec.job_from_mapping(job_to_mapping(job))` is the same job, but for assumptions and sources.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from sublet.workload.job import Constraints, TrainingJob
from sublet.workload.model import Model


def job_to_mapping(job: TrainingJob) -> dict[str, Any]:
    """Every field of the job, the model by its dimensions, quantities with their units; nothing that is left open."""
    lora = {"rank": job.lora.rank, "targets": list(job.lora.targets)} if job.lora else None
    return _stated(
        {
            "name": job.name,
            "task": job.task,
            "model": model_to_mapping(job.model),
            "tokens": job.tokens,
            "sequence": job.sequence,
            "global_batch": f"{job.global_batch} sequences",
            "precision": job.precision,
            "framework": job.framework,
            "optimizer": job.optimizer,
            "lora": lora,
            "layout": _stated(asdict(job.layout)),
            "constraints": _constraints(job.constraints),
        }
    )


def model_to_mapping(model: Model) -> dict[str, Any]:
    """The model by its dimensions, without what is zero or absent anyway."""
    dimensions = {key: value for key, value in asdict(model).items() if key != "source"}
    for part in ("experts", "latent"):
        if dimensions[part] is not None:
            dimensions[part] = dict(dimensions[part])
    if not model.window:
        dimensions["windowed_layers"] = None
    return _stated(dimensions)


def _constraints(constraints: Constraints) -> dict[str, Any]:
    named = {key: list(value) for key, value in asdict(constraints).items() if isinstance(value, tuple)}
    budget = constraints.budget
    return _stated(
        {
            "deadline": None if constraints.deadline_s is None else f"{constraints.deadline_s!r} s",
            "budget": None if budget is None else f"{budget.amount} {budget.currency}",
            "min_count": constraints.min_count,
            "max_count": constraints.max_count,
            "country": constraints.country,
            "on": constraints.on.isoformat() if constraints.on else None,
            **named,
        }
    )


def _stated(mapping: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in mapping.items() if value is not None and value != [] and value != {}}
