"""Change logs and series of snapshots with a commit date in each row.

    CommitDate | CommitTime, InstanceType, [Region, AvailabilityZone, AcceleratorName, AcceleratorCount,]
    Price [, SpotPrice] [, Currency]                       logs of SkyPilot catalogues and of AWS price tables
    CommitDate, InstanceType, Region, hour, hour_spot, month_1y, month_3y          GCP with commitments

Whether a file is a log (a row where something changed) or a series of snapshots (all rows, again and again) is told by
looking: in a log a series hardly ever repeats its prices. Invariant: a blank price ends the price before it.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import numpy as np
from numpy.typing import NDArray

from sublet.catalog import rules
from sublet.catalog.intervals import LOG, Intervals, changes, combined, snapshots
from sublet.catalog.loaders.draft import Built, Draft, build, each, price_text, spot_flags
from sublet.catalog.loaders.fields import days_of, undated
from sublet.catalog.loaders.outcome import Context, Loaded, provider_of, settle
from sublet.catalog.loaders.sheet import Sheet
from sublet.catalog.table import encode

HOURS_PER_MONTH = 730  # what GCP's price list divides and multiplies by (cloud.google.com/compute/vm-instance-pricing)
MONTHLY_DIGITS = 8  # decimals kept of a monthly price divided down to the hour
DENSE = 0.35  # snapshots: at least this share of (series, day) pairs has a row
REPEATING = 0.5  # snapshots: at least this share of rows repeats the price before it
FORM = "changes"

# column -> (market, hours that the price covers)
MARKETS = {
    "price": ("on-demand", 1),
    "spotprice": ("spot", 1),
    "hour": ("on-demand", 1),
    "hourspot": ("spot", 1),
    "month1y": ("reserved-1y", HOURS_PER_MONTH),
    "month3y": ("reserved-3y", HOURS_PER_MONTH),
}
KEYS = ("instancetype", "region", "availabilityzone", "acceleratorname", "acceleratorcount")


def fits(sheet: Sheet) -> bool:
    """A commit date, an instance type and at least one known price column."""
    dated = sheet.has("commitdate") or sheet.has("committime")
    return dated and sheet.has("instancetype") and any(sheet.has(column) for column in ("price", "hour"))


def load(sheet: Sheet, context: Context) -> Loaded:
    """Intervals of constant price, one per market."""
    provider = rules.provider_id(context.provider or "gcp") if sheet.has("hour") else provider_of(sheet, context)
    days = days_of(sheet, "commitdate", "committime")
    dated = np.array([row for row, day in enumerate(days) if day], dtype=np.int64)
    columns = [column for column in MARKETS if sheet.has(column)]
    prices = {column: each(price_text, sheet.column(column)) for column in columns}
    day = np.array(days, dtype=np.int64)[dated]
    calendar = np.unique(day)
    series = combined(*(encode(sheet.column(column)).codes[dated] for column in KEYS))
    values = {column: encode([text for text, _ in prices[column]]).codes[dated].astype(np.int64) for column in columns}
    stated = combined(*values.values())
    whole = is_snapshots(series, day, stated)
    feed = f"{provider}-{'series' if whole else 'changes'}"
    scope = feed if whole else LOG + feed
    drafts: list[tuple[Draft, Built]] = []
    for column in columns:
        runs = _runs(series, day, values[column], calendar, None if whole else stated)
        if not len(runs.row):
            continue
        market, hours = MARKETS[column]
        rows = dated[runs.row].tolist()
        beside = columns[columns.index(column) - 1] if market == "spot" else ""
        draft = Draft(
            sheet=sheet,
            feed=feed,
            scope=scope,
            rows=rows,
            price=[hourly(prices[column][row][0], hours) for row in rows],
            first=runs.first,
            last=runs.last,
            until=runs.until,
            provider=provider,
            market=market,
            shape=_of(sheet, "instancetype", rows),
            raw=_of(sheet, "acceleratorname", rows),
            count=_of(sheet, "acceleratorcount", rows),
            region=_of(sheet, "region", rows),
            zone=_of(sheet, "availabilityzone", rows),
            currency=_of(sheet, "currency", rows),
            flags=spot_flags([prices[beside][row][0] for row in rows], [prices[column][row][0] for row in rows])
            if beside
            else 0,
            calendars={scope: calendar.tolist()},
        )
        drafts.append((draft, build(draft)))
    others, refused = _fates(dated.tolist(), prices, whole)
    refused += _orphans(series, dated, drafts, others)
    return settle(sheet, f"{FORM}-series" if whole else FORM, drafts, others, refused=[*undated(days), *refused])


def _runs(
    series: NDArray[np.int64],
    day: NDArray[np.int64],
    value: NDArray[np.int64],
    calendar: NDArray[np.int64],
    stated: NDArray[np.int64] | None,  # None for snapshots
) -> Intervals:
    if stated is not None:
        return changes(series, day, value, calendar, stated)
    shown = np.flatnonzero(value >= 0)
    if not len(shown):
        return Intervals(shown, shown, shown, shown)
    found = snapshots(combined(series[shown], value[shown]), day[shown], calendar)
    return Intervals(shown[found.row], found.first, found.last, found.until)


def _fates(
    rows: Sequence[int], prices: dict[str, list[tuple[str, str]]], whole: bool
) -> tuple[dict[int, str], list[tuple[int, str, str]]]:
    """What the rows are that begin no interval, and the prices that are none."""
    others: dict[int, str] = {}
    refused: list[tuple[int, str, str]] = []
    for row in rows:
        reasons = [prices[column][row][1] for column in prices]
        wrong = [reason for reason in reasons if reason not in ("", "no-price")]
        refused += [(row, reason, f"a price of that row is no price ({reason})") for reason in wrong]
        if "" in reasons:
            others[row] = "sighting"
        elif not wrong and whole:
            refused.append((row, "no-price", "no price is stated"))
        elif not wrong:
            others[row] = "leave"
    return others, refused


def _orphans(
    series: NDArray[np.int64], dated: NDArray[np.int64], drafts: Sequence[tuple[Draft, Built]], others: dict[int, str]
) -> list[tuple[int, str, str]]:
    """Rows of a series of which no price became an offer: refused for the reason that the series was refused for."""
    at = dict(zip(dated.tolist(), series.tolist(), strict=True))
    good = {at[draft.rows[i]] for draft, built in drafts for i in (*built.kept.tolist(), *built.repeats, *built.parts)}
    why = {at[draft.rows[i]]: (reason, text) for draft, built in drafts for i, reason, text in built.refused}
    lost = [(row, *why[one]) for row, one in at.items() if one in why and one not in good and row in others]
    for row, _, _ in lost:
        del others[row]
    return lost


def is_snapshots(series: NDArray[np.int64], day: NDArray[np.int64], value: NDArray[np.int64]) -> bool:
    """Whether most series stand on most days and mostly repeat what stood before: snapshots, not changes."""
    days = len(np.unique(day))
    if days < 2:
        return False
    order = np.lexsort((day, series))
    same = series[order][1:] == series[order][:-1]
    repeats = same & (value[order][1:] == value[order][:-1])
    density = len(series) / (len(np.unique(series)) * days)
    return bool(density > DENSE and repeats.sum() > REPEATING * same.sum())


def hourly(price: str, hours: int) -> str:
    """A price for `hours` hours as one for an hour, exact where it is one already."""
    if hours == 1 or not price:
        return price
    return f"{round(Decimal(price) / hours, MONTHLY_DIGITS):f}"


def _of(sheet: Sheet, column: str, rows: Sequence[int]) -> list[str]:
    cells = sheet.column(column)
    return [cells[row] for row in rows]
