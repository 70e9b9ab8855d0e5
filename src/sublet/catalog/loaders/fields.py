"""Dates in cells, and the calendar of a file that has a date in each row."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date

from sublet.catalog.loaders.draft import each
from sublet.catalog.loaders.sheet import Sheet, Unreadable


def day_of(cell: str) -> int:
    """The day (ordinal) of "2025-06-28", "2025-06-28T10:19:26-08:00" or "20250628"; 0 where there is none.

    The date is taken as written, without moving it to another time zone.
    """
    found = re.match(r"\s*(\d{4})-?(\d{2})-?(\d{2})", cell)
    if not found:
        return 0
    try:
        return date(int(found[1]), int(found[2]), int(found[3])).toordinal()
    except ValueError:
        return 0


def days_of(sheet: Sheet, *columns: str) -> list[int]:
    """The day of every row from the first of `columns` that the sheet has, 0 where a row has none."""
    for column in columns:
        if sheet.has(column):
            return each(day_of, sheet.column(column))
    raise Unreadable("no-date", f"{sheet.path} has no column {' or '.join(columns)}")


def undated(days: Sequence[int]) -> list[tuple[int, str, str]]:
    """The rows without a day, as refusals."""
    return [(row, "no-date", "the row has no date that can be read") for row, day in enumerate(days) if not day]
