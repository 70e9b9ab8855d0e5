"""Electric energy of a run: rated power, a busy share, and the host's part. Figures: data/energy.toml."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib.resources import files


@cache
def _figures() -> dict[str, float]:
    table = tomllib.loads(files("sublet.estimate").joinpath("data/energy.toml").read_text())
    return {name: float(entry["value"]) for name, entry in table.items()}


def watts(tdp_watts: float, count: int) -> float:
    """Mean draw of `count` accelerators with their hosts, in watts; cooling of the building is not counted."""
    figures = _figures()
    return tdp_watts * (figures["busy_share"] + figures["host_share"]) * count


def relative_sd() -> float:
    """Standard deviation of log(power)."""
    return _figures()["relative_sd"]
