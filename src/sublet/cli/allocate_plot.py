"""Drawings of `sublet allocate`: queue and use over a replay, fill rates under several rules."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sublet.errors import InputError
from sublet.units import DAY_S

if TYPE_CHECKING:
    from sublet.allocation.replay import Replay
    from sublet.allocation.scarce import Outcome


def plot_replay(result: Replay, path: Path) -> None:
    """Units in use and units that wait over time; the ending of `path` says the format."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    jobs, start = result.jobs, result.schedule.start_s
    first = jobs.submit_s[0]
    figure, (use, queue) = plt.subplots(2, 1, sharex=True, figsize=(10, 6), layout="constrained")
    for axis, begins, ends, name in (
        (use, start, start + jobs.duration_s, "in use"),
        (queue, jobs.submit_s, start, "waiting"),
    ):
        times = np.concatenate([begins, ends])
        units = np.concatenate([jobs.size, -jobs.size])
        order = np.argsort(times, kind="stable")
        axis.step((times[order] - first) / DAY_S, np.cumsum(units[order]), where="post", linewidth=0.8)
        axis.set_ylabel(f"units {name}")
        axis.set_ylim(bottom=0)
    use.axhline(result.capacity, color="grey", linewidth=0.8)
    use.set_title(f"{result.policy.name}: mean wait {result.measures.mean_wait_h:.2f} h")
    queue.set_xlabel("days")
    _save(figure, path)


def plot_comparison(outcomes: Sequence[Outcome], path: Path) -> None:
    """Fill rate of each tenant under each rule."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    from sublet.allocation.scarce_measures import summarise

    summaries = [summarise(outcome) for outcome in outcomes]
    tenants = [line.name for line in summaries[0].tenants]
    figure, axis = plt.subplots(figsize=(max(6.0, 1.2 * len(tenants)), 4.5), layout="constrained")
    width = 0.8 / len(summaries)
    places = np.arange(len(tenants))
    for number, one in enumerate(summaries):
        axis.bar(places + number * width, [line.fill for line in one.tenants], width, label=one.rule)
    axis.set_xticks(places + 0.4 - width / 2, tenants)
    axis.set_ylabel("share of what was asked that was granted")
    axis.legend(fontsize="small")
    _save(figure, path)


def _save(figure: object, path: Path) -> None:
    from matplotlib import pyplot as plt

    try:
        figure.savefig(path)  # type: ignore[attr-defined]
    except ValueError as error:
        raise InputError(f"{str(path)!r} cannot be drawn: {error}") from None
    finally:
        plt.close("all")
