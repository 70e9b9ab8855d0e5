"""One evaluation: step time and memory of every layout under every option, from the same few formulas.

Invariant: `evaluate` is the only place where a step is put together; search, calibration, plan and explain all call it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sublet.estimate import communication
from sublet.estimate.compute import host_time, layer_time, logits_time, optimizer_time, recompute_time, weight_time
from sublet.estimate.inputs import Array, Layouts, MachineArrays, Options, WorkloadArrays
from sublet.estimate.memory import MemoryBytes, memory_bytes, sharding_ranks, stage_params
from sublet.estimate.physics import Physics


@dataclass(frozen=True)
class Evaluation:
    """Seconds of one step, by cause where asked for, and bytes."""

    step_s: Array
    memory: MemoryBytes
    microbatches: Array
    parts: dict[str, Array]  # cause -> seconds; the values sum to `step_s`


def microbatch_count(work: WorkloadArrays, lay: Layouts) -> Array:
    """Microbatches per step and data-parallel rank (at least one)."""
    return np.asarray(np.maximum(np.ceil(work.batch / (lay.dp * lay.micro) - 1e-6), 1.0))


def evaluate(
    work: WorkloadArrays, machine: MachineArrays, lay: Layouts, opt: Options, physics: Physics, *, parts: bool = False
) -> Evaluation:
    """Step time in seconds and memory in bytes; inputs broadcast, and the result has the broadcast shape."""
    micro = microbatch_count(work, lay)
    memory = memory_bytes(work, machine, lay, opt, micro, physics)
    step, causes = step_time(work, machine, lay, opt, physics, parts=parts)
    return Evaluation(step_s=step, memory=memory, microbatches=micro, parts=causes)


def _waiting(busy: Array, host: Array) -> Array:
    """Seconds that the device waits for the host where launching takes longer than running: a smooth maximum."""
    return np.asarray(np.sqrt(np.sqrt(np.square(np.square(busy)) + np.square(np.square(host)))) - busy)


def step_time(
    work: WorkloadArrays, machine: MachineArrays, lay: Layouts, opt: Options, physics: Physics, *, parts: bool = False
) -> tuple[Array, dict[str, Array]]:
    """Seconds of one optimizer step and, with `parts`, the same by cause (else an empty mapping)."""
    micro = microbatch_count(work, lay)
    layer = layer_time(work, machine, lay, opt, physics)
    again = recompute_time(layer, work, machine, opt)
    # traffic inside a layer: forward, and backward with what is recomputed
    full = opt.full_recompute
    tp_forward, tp_backward = communication.tensor_parallel(work, machine, lay, opt, physics)
    shown = 1 - machine.overlap_tp * opt.overlap_tp
    tp_forward, tp_backward = shown * tp_forward, shown * (full * tp_forward + tp_backward)
    ring, behind = communication.context_parallel(work, machine, lay, opt, layer, physics)
    cp_forward, cp_backward = ring[0], full * ring[0] + ring[1]
    ep_forward = communication.expert_parallel(work, machine, lay, opt, physics)
    ep_backward = (1 + full) * ep_forward

    held = stage_params(work, lay)
    weights = weight_time(held.dense + held.expert, machine, work, opt, physics)
    per_stage = work.layers / lay.pp
    busy_forward = layer.forward + tp_forward + cp_forward + ep_forward
    busy_backward = layer.backward + again + tp_backward + cp_backward + ep_backward
    host = host_time(work, machine, lay, physics)
    idle_forward = _waiting(busy_forward, host)
    idle_backward = _waiting(busy_backward, (2 + full) * host)
    mean_layer = busy_forward + idle_forward + busy_backward + idle_backward
    logits = logits_time(work, machine, lay, physics)
    even = np.abs(per_stage - np.round(per_stage)) < 1e-6
    on_last = np.where(even, logits, logits / lay.pp)  # uneven layers are placed to balance the tables
    stage = per_stage * mean_layer
    steady = micro * (stage + on_last + weights)
    fill = (lay.pp - 1) / lay.vp * (stage + logits / lay.pp)
    hop = communication.pipeline_send(work, machine, lay, physics)
    hops = hop * (2 * (lay.pp - 1) + 2 * micro * lay.vp * (1 - machine.overlap_dp * opt.overlap_dp))

    trainable = np.where(work.weight_gradients > 0, 1.0, work.adapter_params / work.total_params)
    window_forward = per_stage * (layer.forward + idle_forward - behind[0])
    window_backward = per_stage * (layer.backward + again + idle_backward - full * behind[0] - behind[1])
    dp = communication.data_parallel(
        held.dense, held.expert, trainable, micro, window_forward, window_backward, machine, lay, opt, physics
    )
    ranks, group = sharding_ranks(machine, lay, opt)
    split = np.where(opt.zero >= 3, group, np.where(opt.zero >= 1, ranks, 1.0))
    local = trainable * (held.dense / split + held.expert / np.maximum(split / lay.ep, 1.0))
    optimizer = optimizer_time(local, machine, opt, physics)
    doublings = np.log2(np.maximum(lay.tp * lay.cp * lay.dp / np.maximum(machine.node, machine.domain), 1.0))
    wait = 1 + physics.straggler * doublings
    base = steady + fill + hops + dp + optimizer + physics.step_overhead_s
    step = base * wait
    if not parts:
        return step, {}
    times = micro * per_stage
    return step, {
        "matrix multiplication": times * (layer.gemm_forward + layer.gemm_backward),
        "attention": times * (layer.attention_forward + layer.attention_backward),
        "elementwise": times * (layer.elementwise_forward + layer.elementwise_backward),
        "kernel launches": times * (idle_forward + idle_backward),
        "recomputation": times * again,
        "weight traffic": micro * weights,
        "logits and loss": micro * on_last,
        "tensor-parallel traffic": times * (tp_forward + tp_backward),
        "context-parallel traffic": times * (cp_forward + cp_backward),
        "expert-parallel traffic": times * (ep_forward + ep_backward),
        "pipeline bubble": fill,
        "pipeline traffic": hops,
        "data-parallel traffic": dp,
        "optimizer": optimizer,
        "step overhead": np.asarray(physics.step_overhead_s),
        "stragglers": base * (wait - 1),
    }
