"""The constants that hold for every chip: read once from data/physics.toml, each with its source there."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files


@dataclass(frozen=True)
class Physics:
    """Values of data/physics.toml; units and sources stand in that file."""

    norm_bytes: float
    activation_bytes: float
    rotary_bytes: float
    logit_bytes: float
    score_bytes: float
    quantise_bytes: float
    head_half_dim: float
    diagonal_keys: float
    kernels_per_layer: float
    link_efficiency: float
    nic_efficiency: float
    contention: float
    straggler: float
    expert_imbalance: float
    step_overhead_s: float
    optimizer_traffic: float
    allocator_margin: float
    edge_share: float
    host_link_bytes_per_s: float
    logit_memory_bytes: float
    gathered_layers: float
    edge_limit: float
    accumulate_bytes: float
    gather_bytes: float
    kernels_per_expert_layer: float
    collective_s: float


@cache
def physics() -> Physics:
    """The shipped constants."""
    table = tomllib.loads(files("sublet.estimate").joinpath("data/physics.toml").read_text())
    return Physics(**{name: float(entry["value"]) for name, entry in table.items()})
