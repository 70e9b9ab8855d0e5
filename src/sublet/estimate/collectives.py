"""Hierarchical alpha-beta cost of collectives over a scale-up domain and NICs.

A group that holds g ranks of each domain drives g NICs at once, up to the scale-up rate: that one piece of physics
decides multi-node accuracy. `stride` is how far apart (in ranks) neighbours of the group sit; ranks are laid out with
tensor parallelism innermost, then context, expert/data, and pipeline outermost. Volumes in bytes, times in seconds.
"""

from __future__ import annotations

import numpy as np

from sublet.estimate.inputs import Array, MachineArrays
from sublet.estimate.physics import Physics


def ranks_per_domain(size: Array, stride: Array, machine: MachineArrays) -> Array:
    """How many ranks of a group of `size` sit in one scale-up domain (at least 1, at most the group)."""
    return np.asarray(np.clip(np.floor(machine.domain / stride), 1.0, size))


def rate(size: Array, stride: Array, machine: MachineArrays, physics: Physics) -> Array:
    """Bytes/s per rank of a ring over the group: the link inside a domain, else min(g x NIC, link)."""
    near = ranks_per_domain(size, stride, machine)
    link = physics.link_efficiency * machine.link
    pooled = np.minimum(near * machine.nic * physics.nic_efficiency, link)
    return np.asarray(np.where(near >= size, link, pooled))


def latency(size: Array, stride: Array, machine: MachineArrays, physics: Physics) -> Array:
    """Start-up seconds of one collective: its launch, a tree inside the domain and a tree across domains."""
    near = ranks_per_domain(size, stride, machine)
    far = np.ceil(size / near)
    hops = np.log2(near) * machine.link_latency + np.log2(far) * machine.nic_latency
    return np.asarray(physics.collective_s + hops)


def gather(volume: Array, size: Array, stride: Array, machine: MachineArrays, physics: Physics) -> Array:
    """All-gather to (or reduce-scatter from) `volume` bytes on every rank of the group."""
    share = (size - 1) / size
    return share * volume / rate(size, stride, machine, physics) + latency(size, stride, machine, physics)


def all_reduce(volume: Array, size: Array, stride: Array, machine: MachineArrays, physics: Physics) -> Array:
    """All-reduce of `volume` bytes: a reduce-scatter and an all-gather."""
    return 2 * gather(volume, size, stride, machine, physics)


def send(volume: Array, stride: Array, machine: MachineArrays, physics: Physics) -> Array:
    """Point-to-point transfer to the neighbour `stride` ranks away."""
    inside = stride < machine.domain
    link = physics.link_efficiency * machine.link
    nic = physics.nic_efficiency * machine.nic
    return np.where(inside, volume / link + machine.link_latency, volume / nic + machine.nic_latency)
