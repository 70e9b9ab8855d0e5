"""Bytes per accelerator on the worst pipeline stage, by component.

Activations follow arXiv 2205.05198 (bytes that the backward pass needs per token and layer), generalised to grouped
and latent attention, gated and expert feed-forward. Invariant: more ranks or more savers never need more bytes of the
component that they split.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sublet.estimate.compute import expert_share, tokens_per_rank
from sublet.estimate.inputs import Array, Layouts, MachineArrays, Options, WorkloadArrays
from sublet.estimate.physics import Physics


@dataclass(frozen=True)
class StageParams:
    """Matrix parameters of the heaviest stage on one rank, before data-parallel sharding."""

    dense: Array
    expert: Array
    layer: Array  # of one mean layer, experts included: what a gather buffer holds


@dataclass(frozen=True)
class MemoryBytes:
    """Bytes per accelerator, by component."""

    weights: Array
    gradients: Array
    optimizer: Array
    activations: Array
    logits: Array
    buffers: Array
    overhead: Array

    @property
    def total(self) -> Array:
        """All components."""
        return (
            self.weights
            + self.gradients
            + self.optimizer
            + self.activations
            + self.logits
            + self.buffers
            + self.overhead
        )


def stage_params(work: WorkloadArrays, lay: Layouts) -> StageParams:
    """Parameters of the heaviest stage: its layers and one embedding table (both without a pipeline)."""
    moe = expert_share(work)
    dense_layer = (work.attention_params + (1 - moe) * work.dense_params + moe * work.shared_params) / lay.tp
    expert_layer = moe * work.expert_params * work.experts / lay.ep / lay.tp
    table = work.hidden * work.vocab
    tables = np.where(lay.pp > 1, np.minimum(work.embedding_params, table), work.embedding_params) / lay.tp
    per_stage = work.layers / lay.pp
    return StageParams(
        dense=per_stage * dense_layer + tables, expert=per_stage * expert_layer, layer=dense_layer + expert_layer
    )


def sharding_ranks(machine: MachineArrays, lay: Layouts, opt: Options) -> tuple[Array, Array]:
    """Ranks over which optimizer states are split, and over which ZeRO-3 weights are (its group)."""
    ranks = lay.dp * lay.cp
    group = np.where(opt.hsdp > 0, np.clip(np.where(opt.group > 0, opt.group, machine.domain), 1.0, ranks), ranks)
    return ranks, group


def activation_bytes_per_token(work: WorkloadArrays, lay: Layouts, opt: Options) -> tuple[Array, Array]:
    """Bytes per token that one layer keeps for its backward pass: without recomputation, and its input alone."""
    moe = expert_share(work)
    sequence_split = np.where(opt.sequence_parallel > 0, lay.tp, 1.0)
    ffn_width = (1 - moe) * work.ffn + moe * work.active_experts * work.expert_ffn
    whole = (8.0 + moe * 4.0 * work.active_experts) * work.hidden / sequence_split
    split = 2.0 * (work.query_width + work.kv_width + work.value_width + (2 + work.gated) * ffn_width) / lay.tp
    scores = 5.0 * work.heads * work.sequence / lay.tp
    unfused = np.where(work.fused_attention > 0, 0.0, scores * (1 - opt.selective_recompute))
    return whole + split + unfused, 2.0 * work.hidden / sequence_split


def memory_bytes(
    work: WorkloadArrays,
    machine: MachineArrays,
    lay: Layouts,
    opt: Options,
    microbatches: Array,
    physics: Physics,
) -> MemoryBytes:
    """Every component for each layout and option."""
    params = stage_params(work, lay)
    ranks, group = sharding_ranks(machine, lay, opt)
    trainable = np.where(work.weight_gradients > 0, 1.0, work.adapter_params / work.total_params)
    optimizer_split = np.where(opt.zero >= 3, group, np.where(opt.zero >= 1, ranks, 1.0))
    gradient_split = np.where(opt.zero >= 3, group, np.where(opt.zero >= 2, ranks, 1.0))
    weight_split = np.where(opt.zero >= 3, group, 1.0)

    def held(split: Array) -> Array:
        return params.dense / split + params.expert / np.maximum(split / lay.ep, 1.0)

    weights = machine.weight_bytes * held(weight_split)
    gradients = machine.gradient_bytes * trainable * held(gradient_split)
    optimizer = machine.optimizer_bytes * trainable * held(optimizer_split) * (1 - opt.offload)

    tokens = tokens_per_rank(work, lay)
    full, entry = activation_bytes_per_token(work, lay, opt)
    per_stage = work.layers / lay.pp
    interleave = np.where(lay.vp > 1, 1 + (lay.pp - 1) / (lay.pp * lay.vp), 1.0)
    in_flight = np.minimum(microbatches, lay.pp) * interleave
    full = full * machine.activations
    kept = opt.full_recompute * entry + (1 - opt.full_recompute) * full
    working = np.where(opt.full_recompute > 0, full, 0.0)  # the layer being recomputed
    layers = in_flight * per_stage
    held_bytes = np.minimum(layers * kept + working, layers * full)  # recomputing never needs more than keeping
    activations = tokens * held_bytes * (1 + physics.allocator_margin)
    logits = machine.activations * physics.logit_memory_bytes * tokens * work.vocab / lay.tp
    # the first stage holds the most microbatches, the last the logits: the worst of the two
    last = activations / np.maximum(in_flight, 1.0) + logits
    first = activations + np.where(lay.pp > 1, 0.0, logits)
    worst = np.maximum(first, last)
    buffers = np.where(opt.zero >= 3, physics.gathered_layers * 2.0 * params.layer, 0.0) + np.zeros_like(weights)
    return MemoryBytes(
        weights=weights,
        gradients=gradients,
        optimizer=optimizer,
        activations=activations,
        logits=worst - activations,
        buffers=buffers,
        overhead=machine.reserve_bytes + np.zeros_like(tokens),
    )
