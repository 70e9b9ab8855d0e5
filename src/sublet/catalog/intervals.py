"""From dated rows to intervals: when a price began, until when it was shown, and from when it is known to be gone.

Two kinds of history exist. A snapshot lists everything that stands on its day, so a row that the next snapshot lacks
has left. A change log has a row only where something changed, so a price stands until the next row of its series.
Invariant: intervals of one series and price never overlap, and nothing is said to stand on a day before it was seen.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
FOREVER = 2**31 - 1  # the `until` of what is not known to have ended
LOG = "log/"  # the scope of a change log begins so: its rows are replaced one series at a time


def combined(*columns: NDArray[Any]) -> Ints:
    """One integer per row, equal exactly where all columns (same length, whole numbers) are equal."""
    key = np.zeros(len(columns[0]), dtype=np.int64)
    span = 1
    for column in columns:
        if not len(column):
            continue
        low, high = int(column.min()), int(column.max())
        width = high - low + 1
        if span * width > 2**62:  # would overflow: renumber what is there first
            distinct, key = np.unique(key, return_inverse=True)
            span = len(distinct)
        key = key * width + (column.astype(np.int64) - low)
        span *= width
    return key


@dataclass(frozen=True)
class Intervals:
    """One entry per interval; `row` is the input row that speaks for it (its latest sighting)."""

    row: Ints
    first: Ints  # days as ordinals
    last: Ints
    until: Ints


def snapshots(keys: NDArray[Any], days: NDArray[Any], calendar: NDArray[Any]) -> Intervals:
    """Runs of equal `keys` over consecutive days of `calendar` (ascending ordinals, all the days of the source).

    A key that stands twice on one day counts once. `until` is the calendar day after the run, FOREVER where the run
    reaches the calendar's end.
    """
    place = np.searchsorted(calendar, days)
    order = np.lexsort((np.arange(len(keys)), place, keys))
    key, at = keys[order], place[order]
    begins = np.ones(len(order), dtype=np.bool_)
    begins[1:] = (key[1:] != key[:-1]) | (at[1:] > at[:-1] + 1)
    start = np.flatnonzero(begins)
    end = np.append(start[1:], len(order)) - 1 if len(order) else start
    after = np.append(calendar, FOREVER).astype(np.int64)
    return Intervals(
        row=order[end].astype(np.int64),
        first=calendar[at[start]].astype(np.int64),
        last=calendar[at[end]].astype(np.int64),
        until=after[at[end] + 1],
    )


def changes(
    series: NDArray[Any],
    days: NDArray[Any],
    values: NDArray[Any],
    calendar: NDArray[Any],
    everything: NDArray[Any] | None = None,
) -> Intervals:
    """Intervals of constant value in a change log.

    `values` are codes, -1 where the row says that the series has no price from then on; `everything` are codes of all
    that a row states, where that is more. Of several rows of one series and day the last in file order holds. A row
    that repeats everything is nothing but a sighting; where a series ends with one, that was its last, else an open
    price was still shown on the last day of `calendar`.
    """
    order = np.lexsort((np.arange(len(series)), days, series))
    key, day, value = series[order], days[order], values[order]
    stated = value if everything is None else everything[order]
    held = np.ones(len(order), dtype=np.bool_)  # the last row of its series and day
    held[:-1] = (key[1:] != key[:-1]) | (day[1:] != day[:-1])
    order, key, day, value, stated = order[held], key[held], day[held], value[held], stated[held]
    begins = np.ones(len(order), dtype=np.bool_)
    begins[1:] = (key[1:] != key[:-1]) | (value[1:] != value[:-1])
    start = np.flatnonzero(begins)
    if not len(start):
        nothing = np.empty(0, dtype=np.int64)
        return Intervals(nothing, nothing, nothing, nothing)
    end = np.append(start[1:], len(order)) - 1
    follows = np.append(key[start[1:]] == key[start[:-1]], False)  # another interval of the same series comes next
    until = np.where(follows, np.append(day[start[1:]], FOREVER), FOREVER)
    before = np.searchsorted(calendar, until) - 1  # the last day on which the log was written and this still held
    shown = calendar[np.clip(before, 0, len(calendar) - 1)]
    repeats = np.zeros(len(order), dtype=np.bool_)
    repeats[1:] = (key[1:] == key[:-1]) & (stated[1:] == stated[:-1])
    seen_again = ~follows & repeats[end]
    last = np.where(seen_again, day[end], np.maximum(shown, day[start]))
    real = value[start] >= 0
    return Intervals(
        row=order[start][real].astype(np.int64),
        first=day[start][real].astype(np.int64),
        last=last[real].astype(np.int64),
        until=until[real].astype(np.int64),
    )
