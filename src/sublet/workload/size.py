"""Bytes of a job's weights and training state, before any layout: what no machine can do with less than in total.

Invariant: activations, logits and buffers are not in it; how the rest is spread is the estimator's business.
"""

from __future__ import annotations

from dataclasses import dataclass

from sublet.workload.job import TrainingJob
from sublet.workload.parameters import count, lora_count

# Rajbhandari et al. 2020 (ZeRO), arXiv 1910.02054, section 3.1: mixed precision with Adam keeps 2 bytes of weight,
# 2 of gradient and 12 of master weight and two moments; single precision keeps 4 + 4 + 8
_MIXED, _SINGLE = (2, 2, 12), (4, 4, 8)


@dataclass(frozen=True)
class StateBytes:
    """Bytes over the whole machine, one copy of each."""

    weights: float
    gradients: float
    optimizer: float

    @property
    def total(self) -> float:
        return self.weights + self.gradients + self.optimizer


def state_bytes(job: TrainingJob) -> StateBytes:
    """Weights, gradients and AdamW states of a job; with LoRA only the adapters have gradients and states."""
    weight, gradient, states = _SINGLE if job.precision in ("fp32", "tf32") else _MIXED
    total = count(job.model).total
    trained = total if job.lora is None else lora_count(job.model, job.lora)
    adapters = 0 if job.lora is None else trained
    return StateBytes(weight * float(total + adapters), gradient * float(trained), states * float(trained))
