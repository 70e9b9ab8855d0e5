"""Share of the wall clock that trains: failures, restarts and checkpoints, apart from the step time itself.

Young's and Daly's first-order optimum of the checkpoint interval: tau = sqrt(2 C M) with checkpoint time C and mean
time between failures M; lost share = C/tau + tau/(2M) + R/M with restart time R. Figures and sources stand in
data/goodput.toml.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from math import sqrt


@dataclass(frozen=True)
class Reliability:
    """Mean hours between failures of one accelerator, restart seconds, checkpoint write rate, and everything else."""

    chip_hours_per_failure: float
    restart_s: float
    checkpoint_bytes_per_parameter: float
    storage_bytes_per_s_per_chip: float
    other_loss: float
    run_sd: float
    source: str


@cache
def reliability() -> Reliability:
    """The shipped figures."""
    table = tomllib.loads(files("sublet.estimate").joinpath("data/goodput.toml").read_text())
    values = {name: float(entry["value"]) for name, entry in table.items()}
    return Reliability(**values, source=table["chip_hours_per_failure"]["source"])


def goodput(count: int, parameters: float, figures: Reliability) -> float:
    """Share of the wall clock spent on steps that count, between 0 and 1.

    `parameters`: trained parameters whose state a checkpoint holds.
    """
    mean_s = figures.chip_hours_per_failure * 3600 / count
    write_s = parameters * figures.checkpoint_bytes_per_parameter / (figures.storage_bytes_per_s_per_chip * count)
    interval_s = sqrt(2 * write_s * mean_s)
    lost = write_s / interval_s + interval_s / (2 * mean_s) + figures.restart_s / mean_s
    return max(1 - lost, 0.05) * (1 - figures.other_loss)
