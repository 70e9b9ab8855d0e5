"""Floating-point operations that a model's mathematics needs, per trained token; a multiply-add is two.

Only the work that any implementation must do is counted (model FLOP): matrix multiplications with weights, logits
included, and the two products of attention. Recomputed activations, norms and other elementwise work are not in it.

Invariant: training is exactly three times the forward pass (the backward pass repeats every product twice, once for the
activations and once for the weights), save for LoRA, whose frozen weights need no gradient.
"""

from __future__ import annotations

from sublet.workload.job import Lora, TrainingJob
from sublet.workload.model import Model
from sublet.workload.parameters import count, lora_active


def attention_flop_per_token(model: Model, sequence: int, *, causal: bool = True) -> float:
    """Forward FLOP of attention scores and values per token, mean over a sequence of `sequence` tokens, all layers.

    2 x heads x (query-key width + value width) x mean number of keys; causal: half the sequence. A layer with a sliding
    window of w sees w - w^2 / (2 sequence) keys in the mean.
    """
    latent = model.latent
    widths = latent.nope_dim + latent.rope_dim + latent.v_dim if latent is not None else 2 * model.head_dim
    windowed = min(model.windowed_layers, model.layers) if model.window else 0
    keys = (model.layers - windowed) * _mean_keys(sequence, sequence, causal=causal)
    keys += windowed * _mean_keys(sequence, model.window, causal=causal)
    return 2.0 * model.heads * widths * keys


def forward_flop_per_token(model: Model, sequence: int, *, causal: bool = True) -> float:
    """FLOP of one forward pass per token: two per weight that multiplies the token, plus attention."""
    return 2.0 * count(model).matmul + attention_flop_per_token(model, sequence, causal=causal)


def model_flop_per_token(model: Model, sequence: int, *, causal: bool = True) -> float:
    """Training FLOP per token, forward and backward: six per active weight (logits included) plus attention.

    6 N + 3 x attention, N = active matrix weights with the logits product and without the input embedding: the counting
    of Chowdhery et al. 2022 (PaLM, appendix B) with causal attention halved; `causal=False` is their convention.
    """
    return 3.0 * forward_flop_per_token(model, sequence, causal=causal)


def lora_flop_per_token(model: Model, sequence: int, lora: Lora, *, causal: bool = True) -> float:
    """Training FLOP per token with a frozen base: forward 2 N and activation gradients 2 N.

    Attention counts three times (it has no weights to freeze) and the adapters' own weights six times.
    """
    base = 4.0 * count(model).matmul
    return base + 3.0 * attention_flop_per_token(model, sequence, causal=causal) + 6.0 * lora_active(model, lora)


def job_flop_per_token(job: TrainingJob, *, causal: bool = True) -> float:
    """Training FLOP per token of `job`: LoRA or full."""
    if job.lora is not None:
        return lora_flop_per_token(job.model, job.sequence, job.lora, causal=causal)
    return model_flop_per_token(job.model, job.sequence, causal=causal)


def job_flop(job: TrainingJob, *, causal: bool = True) -> float:
    """Training FLOP of the whole run."""
    return job.tokens * job_flop_per_token(job, causal=causal)


def _mean_keys(sequence: int, window: int, *, causal: bool) -> float:
    """Keys that a query meets in the mean; `window` of at least the sequence is full attention."""
    reach = min(window, sequence)
    if not causal:
        return float(reach)
    return reach - reach * reach / (2.0 * sequence)
