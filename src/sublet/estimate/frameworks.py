"""Framework families: what they overlap and what they keep in memory. Facts in data/frameworks.toml."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files


@dataclass(frozen=True)
class Framework:
    """One family; byte figures are per parameter, shares between 0 and 1, `launch_s` host seconds per kernel."""

    name: str
    match: tuple[str, ...]
    fused_attention: bool
    overlap_tp: float
    overlap_ep: float
    overlap_dp: float
    elementwise: float
    operand_traffic: float
    weight_traffic: float
    drops_last: bool
    activations: float
    launch_s: float
    weight_bytes: float
    gradient_bytes: float
    optimizer_bytes: float
    reserve_bytes: float
    source: str


@cache
def frameworks() -> Mapping[str, Framework]:
    """All families by name, in the order in which they are matched."""
    table = tomllib.loads(files("sublet.estimate").joinpath("data/frameworks.toml").read_text())
    return {name: Framework(name=name, **{**entry, "match": tuple(entry["match"])}) for name, entry in table.items()}


@cache
def family_of(framework: str) -> Framework:
    """The family of a framework's name, by prefix; PyTorch's where nothing matches."""
    text = framework.strip().lower()
    for family in frameworks().values():
        if any(text.startswith(start) for start in family.match):
            return family
    raise AssertionError("the last family matches everything")
