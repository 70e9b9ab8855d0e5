"""What each kind of parallelism sends, and how much of it the computation hides.

Invariant: exposed time is never negative and never more than the time on the link plus its contention.
"""

from __future__ import annotations

import numpy as np

from sublet.estimate import collectives
from sublet.estimate.compute import LayerTime, expert_share, tokens_per_rank
from sublet.estimate.inputs import Array, Layouts, MachineArrays, Options, WorkloadArrays
from sublet.estimate.physics import Physics

ACTIVATION_BYTES = 2.0  # activations and their gradients travel in 2-byte elements


def hidden(traffic: Array, window: Array, share: Array) -> Array:
    """Seconds of traffic that fit into `share` of a clamped window: between 0 and `traffic`."""
    return np.asarray(np.minimum(traffic, share * np.maximum(window, 0.0)))


def exposed(traffic: Array, window: Array, share: Array, physics: Physics) -> Array:
    """Seconds that traffic adds to a step: what does not fit into `share` of a clamped window, and contention.

    Bounds: 0 <= result <= traffic.
    """
    return traffic - (1 - physics.contention) * hidden(traffic, window, share)


def tensor_parallel(
    work: WorkloadArrays, machine: MachineArrays, lay: Layouts, opt: Options, physics: Physics
) -> tuple[Array, Array]:
    """Forward and backward traffic time per microbatch and layer.

    Two all-reduces of the hidden activations each way; with sequence parallelism the same volume as all-gathers and
    reduce-scatters, plus two all-gathers that rebuild inputs in the backward pass.
    """
    volume = ACTIVATION_BYTES * tokens_per_rank(work, lay) * work.hidden
    one = collectives.gather(volume, lay.tp, np.ones_like(lay.tp), machine, physics)
    forward = np.where(lay.tp > 1, 4 * one, 0.0)
    return forward, forward * (1 + 0.5 * opt.sequence_parallel)


def context_parallel(
    work: WorkloadArrays, machine: MachineArrays, lay: Layouts, opt: Options, layer: LayerTime, physics: Physics
) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    """Ring exchange of keys and values per microbatch and layer, behind attention: exposed and hidden time.

    Both as (forward, backward); what the ring hides is no window for other traffic on the same network.
    """
    volume = ACTIVATION_BYTES * lay.micro * work.sequence * work.kv_width / np.minimum(lay.tp, work.kv_heads)
    ring = collectives.gather(volume, lay.cp, lay.tp, machine, physics)
    ring = np.where(lay.cp > 1, ring, 0.0)
    share = machine.overlap_dp * opt.overlap_dp
    behind = hidden(ring, layer.attention_forward, share), hidden(2 * ring, layer.attention_backward, share)
    left = 1 - physics.contention
    return (ring - left * behind[0], 2 * ring - left * behind[1]), behind


def expert_parallel(
    work: WorkloadArrays, machine: MachineArrays, lay: Layouts, opt: Options, physics: Physics
) -> Array:
    """Exposed dispatch and combine per microbatch and mean layer, of one pass (the backward costs the same).

    A token goes over the network once to each scale-up domain that holds one of its experts, however many it has there
    (D (1 - (1 - 1/D)^k) of D domains for k experts drawn evenly), and from there by link to each of them.
    """
    near = collectives.ranks_per_domain(lay.ep, lay.tp * lay.cp, machine)
    domains = lay.ep / near
    reached = domains * (1 - (1 - 1 / domains) ** work.active_experts)
    token = ACTIVATION_BYTES * tokens_per_rank(work, lay) * work.hidden * physics.expert_imbalance / lay.tp
    far = token * reached * (domains - 1) / domains / (machine.nic * physics.nic_efficiency)
    by_link = token * work.active_experts * (near - 1) / near / (physics.link_efficiency * machine.link)
    one = np.maximum(far, by_link) + collectives.latency(lay.ep, lay.tp * lay.cp, machine, physics)
    shown = 1 - machine.overlap_ep * opt.overlap_dp
    return np.asarray(np.where(lay.ep > 1, 2 * one, 0.0) * expert_share(work) * shown)


def pipeline_send(work: WorkloadArrays, machine: MachineArrays, lay: Layouts, physics: Physics) -> Array:
    """One activation transfer between stages (one microbatch, one boundary).

    Each tensor-parallel rank sends its part of the activations through its own NIC (scatter and gather, arXiv
    2104.04473 section 4.1).
    """
    volume = ACTIVATION_BYTES * tokens_per_rank(work, lay) * work.hidden / lay.tp
    stride = lay.tp * lay.cp * lay.dp
    return np.where(lay.pp > 1, collectives.send(volume, stride, machine, physics), 0.0)


def data_parallel(
    dense_params: Array,
    expert_params: Array,
    trainable: Array,
    microbatches: Array,
    forward: Array,
    backward: Array,
    machine: MachineArrays,
    lay: Layouts,
    opt: Options,
    physics: Physics,
) -> Array:
    """Exposed data-parallel traffic of one step.

    `dense_params`, `expert_params`: parameters of this rank's stage before data-parallel sharding; `trainable`: share
    of them that has gradients. `forward`, `backward`: seconds of one microbatch on this stage in which the network is
    free, the windows; each hides traffic once.
    DDP and ZeRO-1 reduce once behind the last backward pass (and gather updated weights behind the first forward
    pass); ZeRO-2 reduce-scatters for every microbatch; ZeRO-3 also gathers the weights in both passes of each.
    HSDP does that inside its group and all-reduces the shards across groups once.
    """
    ranks = lay.dp * lay.cp
    stride = lay.tp
    group = np.where(opt.hsdp > 0, np.clip(np.where(opt.group > 0, opt.group, machine.domain), 1.0, ranks), ranks)
    width = ACTIVATION_BYTES
    share = machine.overlap_dp * opt.overlap_dp
    # ranks of the group that hold the same experts
    alike = np.maximum(group / lay.ep, 1.0)
    dense = collectives.gather(width * dense_params, group, stride, machine, physics)
    experts = collectives.gather(width * expert_params, alike, stride * lay.ep, machine, physics)
    one = np.where(group > 1, dense, 0.0) + np.where((expert_params > 0) & (alike > 1), experts, 0.0)
    grads = trainable * one * (machine.gradient_bytes / width)
    across = np.where(
        group < ranks,
        collectives.all_reduce(
            trainable * machine.gradient_bytes * (dense_params / group + expert_params / alike),
            ranks / group,
            stride * group,
            machine,
            physics,
        ),
        0.0,
    )
    # ZeRO-3: per microbatch; the shards of HSDP go across groups behind the last backward pass, which they share
    back = one + trainable * one
    sharded = microbatches * exposed(one, forward, share, physics)
    sharded = sharded + (microbatches - 1) * exposed(back, backward, share, physics)
    sharded = sharded + exposed(back + across, backward, share, physics)
    # DDP, ZeRO-1: gradients once per step; ZeRO-2: for every microbatch
    times = np.where(opt.zero >= 2, microbatches, 1.0)
    whole = times * exposed(grads, backward, share, physics)
    whole = whole + exposed(trainable * one, forward, share, physics)
    return np.where(ranks > 1, np.where(opt.zero >= 3, sharded, whole), 0.0)
