"""The estimator once more in plain Python: one job, one machine, one layout; loops over layers and microbatches.

It reads the same constants and follows docs/method.md, and shares no line with the array formulas that it checks:
the model is walked layer by layer and matrix by matrix, keys are counted query by query, microbatches one by one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from scalar_parts import (  # type: ignore[import-not-found]
    BYTES,
    TWO_BYTES,
    Held,
    Question,
    attention_elements,
    dispatch,
    gather,
    groups,
    held,
    hide,
    layers_of,
    link,
    mean_keys,
    nic,
    shards,
    stage,
    trainable,
    widths,
)


@dataclass(frozen=True)
class Answer:
    """Seconds of a step, by cause, and bytes, by component."""

    step_s: float
    parts: dict[str, float]
    memory: dict[str, float]
    microbatches: int


# ---- one layer -------------------------------------------------------------------------------------------------------


@dataclass
class Times:
    """Seconds of one microbatch in the mean layer."""

    gemm: float = 0.0
    gemm_backward: float = 0.0
    attention: float = 0.0
    attention_backward: float = 0.0
    elementwise: float = 0.0


def gemm(q: Question, flop: float, elements: float, precision_bytes: float, peak: float) -> float:
    """FLOP at the calibrated rate, operand bytes at the memory rate."""
    moved = q.framework.operand_traffic * elements * precision_bytes
    return float(flop / (peak * q.efficiency.gemm) + moved / q.memory_rate)


def layer_times(q: Question) -> Times:
    """Every layer in turn, divided by their number."""
    model, s, c = q.job.model, q.spread, q.constants
    query, kv, value, score_dim = widths(model)
    up = 3 if model.gated else 2
    total = Times()
    for layer in layers_of(model):
        # matrices that every token visits
        flop = 2 * q.tokens * (layer.attention + layer.ffn) / s.tp
        elements = (layer.attention + layer.ffn) / s.tp + q.tokens * (2 * model.hidden + (query + kv + value) / s.tp)
        if layer.ffn_width:
            elements += q.tokens * (2 * model.hidden + up * layer.ffn_width / s.tp)
        # routed experts
        if layer.expert:
            assert model.experts is not None
            seen = q.tokens * model.experts.active * c.expert_imbalance
            flop += 2 * seen * layer.expert / s.tp
            elements += layer.expert * model.experts.count / s.ep / s.tp
            elements += seen * (2 * model.hidden + up * model.experts.ffn_hidden / s.tp)
        forward = gemm(q, flop, elements, BYTES[q.job.precision], q.peak(q.job.precision))
        total.gemm += forward
        total.gemm_backward += forward  # for the activations
        if not q.frozen:  # for the weights
            total.gemm_backward += gemm(q, flop, elements, 2.0, q.wide_peak) if q.job.precision == "int8" else forward
        # attention
        if q.framework.fused_attention:
            keys = mean_keys(q.job.sequence, layer.window) + c.diagonal_keys
            work = 2 * q.tokens * keys * (query + value) / s.tp * (1 + c.head_half_dim / score_dim)
            seconds = work / (q.wide_peak * q.efficiency.attention)
            total.attention += seconds
            total.attention_backward += 2.5 * seconds
        else:
            work = 2 * q.tokens * q.job.sequence * (query + value) / s.tp
            moved = c.score_bytes * q.tokens * q.job.sequence * model.heads / s.tp
            seconds = work / (q.wide_peak * q.efficiency.gemm) + moved / q.memory_rate
            total.attention += seconds
            total.attention_backward += 2 * seconds
        # elementwise
        norms = c.norm_bytes * model.hidden / (s.tp if s.sequence_parallel else 1)
        inner = c.activation_bytes * (1.5 if model.gated else 1.0) * layer.active_width + c.rotary_bytes * (query + kv)
        casts = 0.0
        if q.job.precision in ("fp8", "int8", "fp4"):
            casts = c.quantise_bytes * (2 * model.hidden + (value + layer.active_width) / s.tp)
        moved = q.tokens * q.framework.elementwise * (norms + inner / s.tp + casts)
        if layer.expert:
            assert model.experts is not None
            moved += q.tokens * 8 * model.hidden * model.experts.active
        total.elementwise += moved / q.memory_rate
    return Times(*(x / model.layers for x in vars(total).values()))


def recomputed(q: Question, t: Times) -> float:
    """What the backward pass computes again, of the mean layer."""
    model = q.job.model
    again = 0.0
    if q.spread.full:
        whole = t.gemm + t.attention + t.elementwise
        if q.framework.drops_last:
            ffn = sum(
                layer.ffn + (model.experts.active if model.experts else 0) * layer.expert for layer in layers_of(model)
            )
            attention = model.layers * attention_elements(model)
            whole -= ffn / (3 if model.gated else 2) / (attention + ffn) * t.gemm
        again += q.spread.full * whole
    if q.spread.selective and not q.framework.fused_attention:
        again += t.attention
    return again


def data_parallel(q: Question, h: Held, forward: float, backward: float) -> float:
    """Exposed data-parallel traffic, microbatch by microbatch."""
    ranks, group = groups(q)
    if ranks == 1:
        return 0.0
    s = q.spread
    share = q.framework.overlap_dp if s.overlap_dp else 0.0
    one: float = gather(q, TWO_BYTES * h.dense, group, s.tp) if group > 1 else 0.0
    if h.expert and group > s.ep:  # ranks that hold the same experts
        one += gather(q, TWO_BYTES * h.expert, group / s.ep, s.tp * s.ep)
    grads = trainable(q) * one

    def shown(traffic: float, window: float) -> float:
        return float(traffic - (1 - q.constants.contention) * hide(traffic, window, share))

    seconds: float = 0.0
    if stage(q) < 3:
        wide = grads * q.framework.gradient_bytes / TWO_BYTES
        for _ in range(q.microbatches if stage(q) == 2 else 1):
            seconds += shown(wide, backward)
        return seconds + shown(grads, forward)
    across = 0.0
    if group < ranks:
        volume = trainable(q) * q.framework.gradient_bytes * h.split(group, s.ep)
        across = 2 * gather(q, volume, ranks / group, s.tp * group)
    for i in range(q.microbatches):
        last = i == q.microbatches - 1
        seconds += shown(one, forward) + shown(one + grads + (across if last else 0.0), backward)
    return seconds


def step(q: Question) -> tuple[float, dict[str, float]]:
    """Seconds of one optimizer step, and by cause."""
    model, s, c, f = q.job.model, q.spread, q.constants, q.framework
    t = layer_times(q)
    again = recomputed(q, t)
    per_stage = model.layers / s.pp

    # traffic inside the mean layer: forward, backward with what is computed again
    tp = [0.0, 0.0]
    if s.tp > 1:
        shown = 1 - (f.overlap_tp if s.overlap_tp else 0.0)
        forward = shown * 4 * gather(q, TWO_BYTES * q.tokens * model.hidden, s.tp, 1)
        tp = [forward, s.full * forward + forward * (1.5 if s.sequence_parallel else 1.0)]
    cp, behind = [0.0, 0.0], [0.0, 0.0]
    if s.cp > 1:
        share = f.overlap_dp if s.overlap_dp else 0.0
        kv_heads = model.heads if model.latent else model.kv_heads
        volume = TWO_BYTES * s.micro * q.job.sequence * widths(model)[1] / min(s.tp, kv_heads)
        ring = gather(q, volume, s.cp, s.tp)
        once, twice = hide(ring, t.attention, share), hide(2 * ring, t.attention_backward, share)
        forward = ring - (1 - c.contention) * once
        cp = [forward, s.full * forward + 2 * ring - (1 - c.contention) * twice]
        behind = [once, s.full * once + twice]
    ep = [0.0, 0.0]
    if s.ep > 1 and model.experts is not None:
        sent = TWO_BYTES * q.tokens * model.hidden * c.expert_imbalance / s.tp
        shown = 1 - (f.overlap_ep if s.overlap_dp else 0.0)
        forward = shown * 2 * dispatch(q, sent, s.ep, s.tp * s.cp, model.experts.active)
        forward *= model.experts.layers / model.layers
        ep = [forward, (1 + s.full) * forward]

    # the device against the host that launches
    kernels = c.kernels_per_layer
    if model.experts is not None:
        kernels += c.kernels_per_expert_layer * model.experts.layers / model.layers
    computing = [
        t.gemm + t.attention + t.elementwise,
        t.gemm_backward + t.attention_backward + 2 * t.elementwise + again,
    ]
    launching = [kernels * f.launch_s, (2 + s.full) * kernels * f.launch_s]
    idle = []
    for i in (0, 1):
        busy = computing[i] + tp[i] + cp[i] + ep[i]
        idle.append((busy**4 + launching[i] ** 4) ** 0.25 - busy)
    mean_layer = sum(computing) + sum(tp) + sum(cp) + sum(ep) + sum(idle)

    # beside the layers
    h = held(q)
    copied = (0.0 if q.frozen else c.accumulate_bytes) + (c.gather_bytes if stage(q) == 3 else 0.0)
    weights = f.weight_traffic * copied * (h.dense + h.expert) / q.memory_rate
    passes = 2 if q.frozen else 3
    table = model.hidden * model.vocab / s.tp
    logits = passes * 2 * q.tokens * table / (q.wide_peak * q.efficiency.gemm)
    logits += (c.logit_bytes * q.tokens * model.vocab / s.tp + passes * 2 * table) / q.memory_rate
    on_last = logits if model.layers % s.pp == 0 else logits / s.pp

    # the pipeline
    steady = 0.0
    for _ in range(q.microbatches):
        steady += per_stage * mean_layer + on_last + weights
    fill = (s.pp - 1) / s.vp * (per_stage * mean_layer + logits / s.pp)
    hops = 0.0
    if s.pp > 1:
        volume = TWO_BYTES * q.tokens * model.hidden / s.tp
        fabric = q.machine.fabric
        if s.tp * s.cp * s.dp < q.domain:
            hop = volume / link(q) + fabric.scale_up_latency_s
        else:
            hop = volume / nic(q) + fabric.scale_out_latency_s
        hops = 2 * hop * (s.pp - 1)
        hops += 2 * hop * q.microbatches * s.vp * (1 - (f.overlap_dp if s.overlap_dp else 0.0))

    windows = [per_stage * (computing[i] + idle[i] - behind[i]) for i in (0, 1)]
    dp = data_parallel(q, h, *windows)
    local = trainable(q) * h.split(shards(q)[2], s.ep)
    optimizer = c.optimizer_traffic * local / q.memory_rate
    if s.offload:
        optimizer += 2 * f.gradient_bytes * local / c.host_link_bytes_per_s

    base = steady + fill + hops + dp + optimizer + c.step_overhead_s
    apart = s.tp * s.cp * s.dp / max(min(q.machine.fabric.node, q.machine.count), q.domain)
    late = c.straggler * math.log2(max(apart, 1.0)) * base
    times = q.microbatches * per_stage
    return base + late, {
        "matrix multiplication": times * (t.gemm + t.gemm_backward),
        "attention": times * (t.attention + t.attention_backward),
        "elementwise": times * 3 * t.elementwise,
        "kernel launches": times * sum(idle),
        "recomputation": times * again,
        "weight traffic": q.microbatches * weights,
        "logits and loss": q.microbatches * on_last,
        "tensor-parallel traffic": times * sum(tp),
        "context-parallel traffic": times * sum(cp),
        "expert-parallel traffic": times * sum(ep),
        "pipeline bubble": fill,
        "pipeline traffic": hops,
        "data-parallel traffic": dp,
        "optimizer": optimizer,
        "step overhead": c.step_overhead_s,
        "stragglers": late,
    }


# ---- memory ----------------------------------------------------------------------------------------------------------


def memory(q: Question) -> dict[str, float]:
    """Bytes on the worst stage, by component."""
    model, s, c, f = q.job.model, q.spread, q.constants, q.framework
    h = held(q)
    weight_shards, gradient_shards, optimizer_shards = shards(q)
    query, kv, value, _ = widths(model)
    sequence_split = s.tp if s.sequence_parallel else 1

    # bytes per token that the mean layer keeps
    kept = 0.0
    for layer in layers_of(model):
        copies = model.experts.active if layer.expert and model.experts else 0
        kept += (8 + 4 * copies) * model.hidden / sequence_split
        kept += 2 * (query + kv + value + (3 if model.gated else 2) * layer.active_width) / s.tp
        if not f.fused_attention and not s.selective:
            kept += 5 * model.heads * q.job.sequence / s.tp
    kept *= f.activations / model.layers
    entry = 2 * model.hidden / sequence_split

    in_flight: float = min(q.microbatches, s.pp)
    if s.vp > 1:
        in_flight *= 1 + (s.pp - 1) / (s.pp * s.vp)
    layers = in_flight * model.layers / s.pp
    recomputing = layers * (s.full * entry + (1 - s.full) * kept) + (kept if s.full else 0.0)
    activations = q.tokens * min(recomputing, layers * kept) * (1 + c.allocator_margin)
    logits = f.activations * c.logit_memory_bytes * q.tokens * model.vocab / s.tp
    # the first stage holds the most microbatches, the last the logits
    first, last = activations, activations / max(in_flight, 1.0) + logits
    worst = max(first, last) if s.pp > 1 else activations + logits
    return {
        "weights": f.weight_bytes * h.split(weight_shards, s.ep),
        "gradients": f.gradient_bytes * trainable(q) * h.split(gradient_shards, s.ep),
        "optimizer": 0.0 if s.offload else f.optimizer_bytes * trainable(q) * h.split(optimizer_shards, s.ep),
        "activations": activations,
        "logits": worst - activations,
        "buffers": c.gathered_layers * TWO_BYTES * h.layer if stage(q) == 3 else 0.0,
        "overhead": f.reserve_bytes,
    }


def answer(q: Question) -> Answer:
    """Step time and memory of one job in one layout on one machine."""
    seconds, parts = step(q)
    return Answer(seconds, parts, memory(q), q.microbatches)
