"""What stood on a day: joining tables in time, and the table of one day.

A snapshot replaces all rows of its scope; in a change log a row replaces the one before it in its series. The `until`
column says so after `assemble`, whatever the number of files and the order in which they were read.
Invariant: a table of day D holds nothing that was first seen after D, and no row twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import numpy as np
from numpy.typing import NDArray

from sublet.catalog import quality
from sublet.catalog.intervals import FOREVER, LOG, combined
from sublet.catalog.table import OfferTable, concat

SERIES = ("scope", "provider", "shape", "accelerator_raw", "region", "zone", "market")
# what makes two rows the same offer, whatever file, line and days they come from
SAME = (*SERIES, "price", "currency", "url")
SAME_NUMBERS = ("count", "minimum", "per_accelerator", "vcpus", "memory_gib")


def identity(table: OfferTable, *also: str) -> NDArray[np.int64]:
    """One integer per row, equal where rows are the same offer but for file, line and days; `also` names such days."""
    numbers = (np.rint(np.nan_to_num(table.floats(name), nan=-1.0) * 1000) for name in SAME_NUMBERS)
    return combined(
        *(table.codes(name) for name in SAME),
        *(column.astype(np.int64) for column in numbers),
        *(table.ints(name) for name in also),
    )


def assemble(tables: Sequence[OfferTable]) -> OfferTable:
    """All rows of some tables, with `until` as all of them together tell it."""
    table = concat([one for one in tables if len(one)] or list(tables[:1]))
    if not len(table):
        return table
    if len(tables) > 1:
        table = once(table, "first")
    until = table.ints("until")
    last, first = table.ints("last"), table.ints("first")
    scope = table.texts["scope"]
    logged = scope.among(code for code, word in enumerate(scope.vocabulary) if word.startswith(LOG))
    for code, word in enumerate(scope.vocabulary):
        days = table.calendars.get(word)
        if days is None or word.startswith(LOG):
            continue
        rows = np.flatnonzero(scope.codes == code)
        after = np.append(days, FOREVER)[np.searchsorted(days, last[rows], side="right")]
        until[rows] = np.minimum(until[rows], after)
    rows = np.flatnonzero(logged)
    if len(rows):
        key = combined(*(table.codes(name)[rows] for name in SERIES), table.ints("count")[rows])
        order = np.lexsort((first[rows], key))
        rows, key, begin = rows[order], key[order], first[rows][order]
        opens = np.append(True, (key[1:] != key[:-1]) | (begin[1:] != begin[:-1]))
        starts = np.flatnonzero(opens)  # rows of one series that start on one day share what follows
        after = np.append(begin[starts][1:], FOREVER)
        after[np.append(key[starts][1:] != key[starts][:-1], True)] = FOREVER
        following = after[np.cumsum(opens) - 1]
        until[rows] = np.minimum(until[rows], following)
    return table.with_numbers(until=until)


def standing(table: OfferTable, day: date) -> OfferTable:
    """The rows that stood on `day`, each once, with `verified` no later than that day and the flags of that day."""
    today = day.toordinal()
    rows = np.flatnonzero((table.ints("first") <= today) & (table.ints("until") > today))
    table = table.take(rows)
    if not len(table):
        return table
    table = table.with_numbers(verified=_seen(table, today))
    return quality.judged(once(table), today)


def once(table: OfferTable, *also: str) -> OfferTable:
    """Without repetitions: of rows that are equal but for file, line and days the one that was seen last.

    `also` names days that must be equal too for a row to be a repetition.
    """
    key = identity(table, *also)
    order = np.lexsort((np.arange(len(table)), -table.ints("last"), -table.ints("verified"), key))
    stays = np.ones(len(order), dtype=np.bool_)
    stays[1:] = key[order][1:] != key[order][:-1]
    return table if stays.all() else table.take(np.sort(order[stays]))


def _seen(table: OfferTable, today: int) -> NDArray[np.int64]:
    """The last day up to `today` on which each row was seen: no later than its source was read."""
    scope = table.texts["scope"]
    read = np.full(len(scope.vocabulary) + 1, today, dtype=np.int64)
    for code, word in enumerate(scope.vocabulary):
        days = table.calendars.get(word)
        if days is not None and len(days) and days[0] <= today:
            read[code] = days[np.searchsorted(days, today, side="right") - 1]
    verified, first = table.ints("verified"), table.ints("first")
    return np.where(table.ints("last") > today, np.minimum(verified, np.maximum(read[scope.codes], first)), verified)
