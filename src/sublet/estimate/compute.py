"""Time of the computation on one rank: matrix multiplications, attention, elementwise work, logits, launches.


Every matrix multiplication costs its FLOP at the calibrated rate plus its operand bytes at the memory rate: the sum is
a soft roofline whose efficiency falls with size, by the chip's own ratio of FLOP to bytes. All times are for ONE
microbatch and ONE layer unless the name says otherwise. Source: docs/method.md, "Computation".
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sublet.estimate.inputs import Array, Layouts, MachineArrays, Options, WorkloadArrays
from sublet.estimate.physics import Physics


@dataclass(frozen=True)
class LayerTime:
    """Seconds per microbatch and mean layer, forward and backward; parts sum to the whole."""

    gemm_forward: Array
    gemm_backward: Array
    attention_forward: Array
    attention_backward: Array
    elementwise_forward: Array
    elementwise_backward: Array

    @property
    def forward(self) -> Array:
        """Forward time."""
        return self.gemm_forward + self.attention_forward + self.elementwise_forward

    @property
    def backward(self) -> Array:
        """Backward time without recomputation."""
        return self.gemm_backward + self.attention_backward + self.elementwise_backward


def tokens_per_rank(work: WorkloadArrays, lay: Layouts) -> Array:
    """Tokens of one microbatch that one context-parallel rank holds."""
    return np.asarray(lay.micro * work.sequence / lay.cp)


def expert_share(work: WorkloadArrays) -> Array:
    """Share of the layers that have experts."""
    return np.asarray(work.moe_layers / work.layers)


def _gemm_seconds(flop: Array, bytes_: Array, machine: MachineArrays) -> Array:
    exposed = machine.operand_traffic * bytes_ / (machine.memory_rate * machine.memory)
    return np.asarray(flop / (machine.peak * machine.gemm) + exposed)


def layer_time(work: WorkloadArrays, machine: MachineArrays, lay: Layouts, opt: Options, physics: Physics) -> LayerTime:
    """Time of the mean layer (dense and expert layers weighted) on one rank."""
    tokens = tokens_per_rank(work, lay)
    moe = expert_share(work)
    element = work.gemm_bytes
    # dense matrices: attention in every layer, feed-forward in the dense ones, shared experts in the others
    dense = work.attention_params + (1 - moe) * work.dense_params + moe * work.shared_params
    dense_flop = 2 * tokens * dense / lay.tp
    inner = work.query_width + work.kv_width + work.value_width + (1 - moe) * (2 + work.gated) * work.ffn
    operand = tokens * (2 * work.hidden * (2 - moe) + inner / lay.tp)
    dense_bytes = element * (operand + dense / lay.tp)
    # routed experts: each rank of the expert group holds experts/ep of them and sees its share of the group's tokens
    routed = tokens * work.active_experts * physics.expert_imbalance
    expert_flop = moe * 2 * routed * work.expert_params / lay.tp
    expert_weights = work.expert_params * work.experts / lay.ep / lay.tp
    expert_bytes = (
        moe * element * (expert_weights + routed * (2 * work.hidden + (2 + work.gated) * work.expert_ffn / lay.tp))
    )
    flop, bytes_ = dense_flop + expert_flop, dense_bytes + expert_bytes
    gemm_forward = _gemm_seconds(flop, bytes_, machine)
    wide = _gemm_seconds(flop * machine.peak / machine.peak_attention, 2 * bytes_ / element, machine)
    gradient = np.where(work.wide_gradients > 0, wide, gemm_forward)
    gemm_backward = gemm_forward + work.weight_gradients * gradient

    # attention: score and value products over the keys that the mask leaves
    keys = work.keys + physics.diagonal_keys
    shape_loss = 1 + physics.head_half_dim / work.head_dim
    pair_width = work.query_width + work.value_width
    fused_flop = 2 * tokens * keys * pair_width / lay.tp
    plain_flop = 2 * tokens * work.sequence * pair_width / lay.tp
    score_bytes = physics.score_bytes * tokens * work.sequence * work.heads / lay.tp
    rate = machine.peak_attention * machine.attention
    fused = fused_flop * shape_loss / rate
    plain = plain_flop / (machine.peak_attention * machine.gemm) + score_bytes / (machine.memory_rate * machine.memory)
    attention_forward = np.where(work.fused_attention > 0, fused, plain)
    attention_backward = np.where(work.fused_attention > 0, 2.5 * fused, 2.0 * plain)

    # elementwise: what stays whole on each tensor-parallel rank, and what is split
    ffn_width = (1 - moe) * work.ffn + moe * (work.active_experts * work.expert_ffn)
    split = physics.activation_bytes * (1 + 0.5 * work.gated) * ffn_width
    split = split + physics.rotary_bytes * (work.query_width + work.kv_width)
    routing = moe * 8.0 * work.hidden * work.active_experts
    quantised = 2 * work.hidden + work.value_width / lay.tp + ffn_width / lay.tp
    cast = work.low_precision * physics.quantise_bytes * quantised
    whole = (physics.norm_bytes * work.hidden) / np.where(opt.sequence_parallel > 0, lay.tp, 1.0)
    moved = tokens * (machine.elementwise * (whole + split / lay.tp + cast) + routing)
    elementwise_forward = moved / (machine.memory_rate * machine.memory)
    return LayerTime(
        gemm_forward=gemm_forward,
        gemm_backward=gemm_backward,
        attention_forward=attention_forward,
        attention_backward=attention_backward,
        elementwise_forward=elementwise_forward,
        elementwise_backward=2 * elementwise_forward,
    )


def host_time(work: WorkloadArrays, machine: MachineArrays, lay: Layouts, physics: Physics) -> Array:
    """Seconds that the host needs to launch one forward pass of a microbatch and mean layer (backward: two)."""
    experts = expert_share(work) * physics.kernels_per_expert_layer
    return np.asarray((physics.kernels_per_layer + experts) * machine.launch)


def recompute_time(layer: LayerTime, work: WorkloadArrays, machine: MachineArrays, opt: Options) -> Array:
    """Backward time added per microbatch and layer by recomputation: all of the forward, or its attention core.

    A fused kernel recomputes its scores anyway, so selective recomputation costs time only where attention is unfused.
    """
    selective = np.where(work.fused_attention > 0, 0.0, layer.attention_forward)
    moe = expert_share(work)
    ffn = (1 - moe) * work.dense_params + moe * (work.shared_params + work.active_experts * work.expert_params)
    last = ffn / (2 + work.gated) / (work.attention_params + ffn)
    full = layer.forward - machine.drops_last * last * layer.gemm_forward
    return np.asarray(opt.full_recompute * full + opt.selective_recompute * selective)


def logits_time(work: WorkloadArrays, machine: MachineArrays, lay: Layouts, physics: Physics) -> Array:
    """Forward and backward time of the output matrix and the loss for one microbatch (last stage).

    The output matrix is multiplied in the attention's precision (bf16), as mixed 8-bit recipes do.
    """
    tokens = tokens_per_rank(work, lay)
    elements = work.hidden * work.vocab / lay.tp
    passes = 2 + work.weight_gradients
    flop = passes * 2 * tokens * elements / (machine.peak_attention * machine.gemm)
    bytes_ = physics.logit_bytes * tokens * work.vocab / lay.tp + passes * 2 * elements
    return np.asarray(flop + bytes_ / (machine.memory_rate * machine.memory))


def weight_time(
    stage_params: Array, machine: MachineArrays, work: WorkloadArrays, opt: Options, physics: Physics
) -> Array:
    """Memory traffic per microbatch that grows with the weights: accumulating gradients, copying gathered weights."""
    accumulate = physics.accumulate_bytes * work.weight_gradients
    gather = np.where(opt.zero >= 3, physics.gather_bytes, np.zeros_like(opt.zero))
    moved = machine.weight_traffic * stage_params * (accumulate + gather)
    return np.asarray(moved / (machine.memory_rate * machine.memory))


def optimizer_time(local_params: Array, machine: MachineArrays, opt: Options, physics: Physics) -> Array:
    """One optimizer step over the locally held trainable parameters; offloaded states cross the host link."""
    moved = physics.optimizer_traffic * local_params
    at_home = moved / (machine.memory_rate * machine.memory)
    away = 2 * machine.gradient_bytes * local_params / machine.host_link
    return np.asarray(at_home + opt.offload * away)
