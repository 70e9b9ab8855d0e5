"""Shapes (a provider's instance types) and the fabric between their accelerators.

Invariant: a fabric figure that is assumed rather than published says so in `assumption`.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Fabric:
    """How accelerators of one kind talk in one place.

    `domain` chips share the scale-up network at `scale_up_bytes_per_s` (one direction per chip); `node` chips share
    one host and its NICs; beyond the domain every chip has `scale_out_bytes_per_s` (one direction, node NIC total
    divided by the chips of the node). `topology` as in Accelerator. Latencies in seconds per hop.
    """

    topology: str
    domain: int
    node: int
    scale_up_bytes_per_s: float
    scale_out_bytes_per_s: float
    scale_up_latency_s: float
    scale_out_latency_s: float
    oversubscription: float = 1.0  # >= 1: the share of the NIC rate that survives the spine is 1/oversubscription
    source: str = ""
    assumption: str = ""  # one sentence where something was assumed, else empty


@dataclass(frozen=True)
class Shape:
    """One instance type (or TPU slice, or bare board) of one provider."""

    provider: str
    name: str  # "p5.48xlarge", "Standard_ND96isr_H100_v5", "a3-highgpu-8g", "tpu-v5p-8"
    accelerator: str  # canonical accelerator name
    count: int  # accelerators per node (per slice for a TPU slice)
    vcpus: float | None
    memory_gib: float | None
    fabric: Fabric
    max_nodes: int | None = None  # largest cluster on one fabric, where published
    source: str = ""
    unverified: frozenset[str] = frozenset()
    torus: tuple[int, ...] = ()  # sides of a TPU slice, () elsewhere
