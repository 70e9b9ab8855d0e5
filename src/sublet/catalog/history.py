"""Prices over time: what one accelerator cost on each day that anything changed, and when it changed.

A price counts from the day it was first seen until it is known to have changed or gone, or else until it was last seen.
Invariant: a point of a series is made only of offers that stood on that day.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from sublet.catalog import quality
from sublet.catalog.intervals import FOREVER, combined
from sublet.catalog.table import OfferTable

# rows whose price says nothing about what the accelerator costs
NOT_A_PRICE = ("foreign-currency", "accelerator-only", "placeholder", "not-accelerator")
MOST_DAYS = 200


@dataclass(frozen=True)
class Point:
    """US dollars per accelerator and hour from `day` on; None where nothing stood."""

    day: date
    low: float | None
    median: float | None
    high: float | None
    offers: int


@dataclass(frozen=True)
class Series:
    """One line of a price chart; `key` says what it is of, in the order that was asked for."""

    key: tuple[str, ...]
    points: tuple[Point, ...]

    def at(self, day: date) -> Point | None:
        """The point that holds on a day, None before the first."""
        held = [point for point in self.points if point.day <= day]
        return held[-1] if held else None


@dataclass(frozen=True)
class Change:
    """The lowest price of a series moved between two days on which it was seen."""

    key: tuple[str, ...]
    before: Point
    after: Point

    @property
    def ratio(self) -> float:
        """New over old lowest price."""
        assert self.before.low is not None
        assert self.after.low is not None
        return self.after.low / self.before.low


def series(
    table: OfferTable,
    rows: NDArray[np.int64],
    *,
    by: Sequence[str] = ("provider",),
    start: date | None = None,
    end: date | None = None,
) -> list[Series]:
    """Price series of some rows of a table of all times, one per distinct value of the text columns `by`.

    Rows that state no price in dollars, or none of a whole node, are left out. With `by` empty all rows are one series.
    Series are in the order of their lowest last price.
    """
    rows = rows[~table.has(*NOT_A_PRICE)[rows]]
    price = table.floats("usd_per_accelerator_hour")
    rows = rows[np.isfinite(price[rows])]
    if not len(rows):
        return []
    key = combined(*(table.codes(name)[rows] for name in by)) if by else np.zeros(len(rows), dtype=np.int64)
    found = []
    for one in np.unique(key):
        chosen = rows[key == one]
        words = tuple(table.texts[name].word(int(chosen[0])) or "" for name in by)
        points = _points(table, chosen, price[chosen], start, end)
        if any(point.low is not None for point in points):
            found.append(Series(words, points))
    return sorted(found, key=lambda one: (_last(one), one.key))


def changes(found: Sequence[Series], *, above: float = 0.05) -> list[Change]:
    """Where the lowest price of a series moved by more than `above` (a share), in order of the day.

    A gap in a series is bridged: the change then lies somewhere between the two days.
    """
    moved = []
    for one in found:
        priced = [point for point in one.points if point.low is not None]
        for before, after in pairwise(priced):
            change = Change(one.key, before, after)
            if abs(change.ratio - 1) > above:
                moved.append(change)
    return sorted(moved, key=lambda change: (change.after.day, change.key))


def implausible(table: OfferTable, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which of some rows were placeholders beside what stood when they did, (rows,).

    `rows` should be all rows of an accelerator, so that each is judged by its neighbours; a price is judged on the
    days on which prices began, at most MOST_DAYS of them, evenly spread.
    """
    found = np.zeros(len(rows), dtype=np.bool_)
    first, gone = table.ints("first")[rows], ends(table, rows)
    days = np.unique(first)
    if len(days) > MOST_DAYS:
        days = days[np.linspace(0, len(days) - 1, MOST_DAYS).round().astype(np.int64)]
    for day in days.tolist():
        standing = np.flatnonzero((first <= day) & (gone > day))
        seen = table.take(rows[standing])
        seen = seen.with_numbers(verified=np.minimum(seen.ints("verified"), day))
        found[standing] |= quality.judged(seen, day).has("placeholder")
    return found


def ends(table: OfferTable, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """The day from which each row no longer counts: when it changed or left, else the day after it was last seen."""
    until = table.ints("until")[rows]
    return np.where(until == FOREVER, table.ints("last")[rows] + 1, until)


def _points(
    table: OfferTable, rows: NDArray[np.int64], price: NDArray[np.float64], start: date | None, end: date | None
) -> tuple[Point, ...]:
    first, gone = table.ints("first")[rows], ends(table, rows)
    low = start.toordinal() if start else int(first.min())
    high = end.toordinal() if end else int(gone.max())
    marks = np.unique(np.concatenate([first, gone, [low]]))
    points: list[Point] = []
    for day in marks[(marks >= low) & (marks <= high)]:
        standing = np.sort(price[(first <= day) & (gone > day)])
        point = Point(
            date.fromordinal(int(day)),
            float(standing[0]) if len(standing) else None,
            float(np.median(standing)) if len(standing) else None,
            float(standing[-1]) if len(standing) else None,
            len(standing),
        )
        if not points or _figures(point) != _figures(points[-1]):
            points.append(point)
    return tuple(points)


def _figures(point: Point) -> tuple[float | None, float | None, float | None, int]:
    return point.low, point.median, point.high, point.offers


def _last(one: Series) -> float:
    return next(point.low for point in reversed(one.points) if point.low is not None)
