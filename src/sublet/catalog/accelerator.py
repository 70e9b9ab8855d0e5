"""Accelerators: what a chip is, each figure with its source.

Invariant: a figure that nobody published is None (never 0), and an unverified figure is named in `unverified`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date


@dataclass(frozen=True)
class Accelerator:
    """One kind of chip (or board) that can be rented or bought.

    Rates are dense (no sparsity). Bandwidths are bytes/s; `scale_up_bytes_per_s` is ONE direction per chip (half of
    the data sheet's bidirectional figure), `scale_out_bytes_per_s` one direction per chip.
    """

    name: str  # canonical: "H100 SXM", "A100 SXM 80GB", "TPU v5e"
    vendor: str
    family: str  # calibration falls back to it: "Hopper", "Ampere", "TPU", ...
    launch: date | None
    peak_flops: Mapping[str, float]  # precision ("fp32","tf32","bf16","fp16","fp8","int8","fp4") -> FLOP/s, dense
    memory_bytes: float  # as the driver reports it, where that is known; else the advertised decimal gigabytes
    memory_bytes_per_s: float | None
    scale_up: str  # prose: "NVLink 4 + NVSwitch"
    topology: str  # "switch" | "mesh" | "torus2d" | "torus3d" | "bridge" | "pcie" | "none"
    scale_up_bytes_per_s: float | None
    scale_up_domain: int  # chips reached without leaving that fabric
    scale_out_bytes_per_s: float | None
    tdp_watts: float | None
    die_mm2: float | None
    purchase_usd: float | None  # published purchase price of one chip, in US dollars
    frameworks: tuple[str, ...]  # "PyTorch", "JAX", "TensorFlow", "PaddlePaddle", "MindSpore"
    tpp: float | None  # total processing performance (export control): TFLOP/s (or TOPS) x bit width, largest
    performance_density: float | None  # tpp / die_mm2
    sources: Mapping[str, str] = field(default_factory=dict)  # field -> source
    unverified: frozenset[str] = frozenset()
    notes: str = ""
    memory_gb: float = 0.0  # as sold and as names say it (80 for the H100); `memory_bytes` is what a driver reports
    training: bool = True  # False: inference only (Inferentia)
    datacentre: bool = True  # False: made for desks; export rules treat those apart

    def peak(self, precision: str) -> float | None:
        """Dense peak in FLOP/s for `precision`, or None where the chip does not compute in it."""
        return self.peak_flops.get(precision)
