"""Judging the prices of one day against each other: stale, placeholder, outlier, sources that disagree.

Only offers that stand on the same day are compared, in US dollars per accelerator and hour. A provider counts once in
a median, however many regions it lists. Invariant: judging adds flags; it removes no row and changes no price.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sublet.catalog import rules
from sublet.catalog.flags import BIT, bits
from sublet.catalog.intervals import combined
from sublet.catalog.table import OfferTable

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

NOT_COMPARED = ("placeholder", "foreign-currency", "accelerator-only", "several-prices")


def judged(table: OfferTable, today: int) -> OfferTable:
    """The same table with the flags that depend on the day (`today` is an ordinal) and on the other rows."""
    if not len(table):
        return table
    limit = rules.thresholds()
    flags = table.ints("flags")
    stale = today - table.ints("verified") > limit["stale_days"]
    flags = flags | np.where(stale, BIT["stale"], 0)
    ratio = to_median(table, ~stale)
    flags |= np.where(ratio < limit["placeholder_below"], BIT["placeholder"], 0)
    flags |= np.where((ratio >= limit["placeholder_below"]) & (ratio < limit["low_below"]), BIT["outlier-low"], 0)
    flags |= np.where(ratio > limit["high_above"], BIT["outlier-high"], 0)
    flags |= np.where(disagreeing(table), BIT["sources-disagree"], 0)
    return table.with_numbers(flags=flags)


def to_median(table: OfferTable, fresh: Bools) -> Floats:
    """Price over the median of its accelerator and market, (rows,); NaN where too few providers make one.

    `fresh` rows make the medians (all rows are measured by them); a provider's own median is one vote.
    """
    price = table.floats("usd_per_accelerator_hour")
    chip = np.where(table.codes("accelerator") >= 0, table.codes("accelerator"), -2 - table.codes("candidates"))
    known = (table.codes("accelerator") >= 0) | (table.codes("candidates") >= 0)
    group = combined(chip, table.codes("market"))
    votes = fresh & known & np.isfinite(price) & ((table.ints("flags") & bits(NOT_COMPARED)) == 0)
    ratio = np.full(len(table), np.nan)
    rows = np.flatnonzero(votes)
    if not len(rows):
        return ratio
    vote, voter, _ = _medians(combined(group[rows], table.codes("provider")[rows]), price[rows])
    middle, speaker, votes_cast = _medians(group[rows][voter], vote)
    enough = votes_cast >= rules.thresholds()["least_providers"]
    groups, middle = group[rows][voter][speaker][enough], middle[enough]
    if not len(groups):
        return ratio
    place = np.minimum(np.searchsorted(groups, group), len(groups) - 1)
    measured = known & np.isfinite(price) & (groups[place] == group)
    ratio[measured] = price[measured] / middle[place[measured]]
    return ratio


def _medians(key: Ints, value: Floats) -> tuple[Floats, Ints, Ints]:
    """Of each distinct key, ascending: the median of its values, one position of it, the number of its values."""
    order = np.lexsort((value, key))
    starts = np.flatnonzero(np.append(True, key[order][1:] != key[order][:-1]))
    sizes = np.diff(np.append(starts, len(order)))
    low = value[order][starts + (sizes - 1) // 2]
    high = value[order][starts + sizes // 2]
    return (low + high) / 2, order[starts].astype(np.int64), sizes.astype(np.int64)


def disagreeing(table: OfferTable) -> Bools:
    """Rows for which another source has a clearly different price for the same thing, (rows,).

    Two sources are compared on what both of them state: the instance type, else the accelerator; the region, else all
    regions. A row disagrees with a source when it lies outside the range of that source's prices by more than
    `disagree_above`, and that source was read within `disagree_days` of the row.
    """
    limit = rules.thresholds()
    price = table.floats("usd_per_accelerator_hour")
    seen = table.ints("verified")
    usable = np.isfinite(price) & ((table.ints("flags") & bits(("placeholder", "accelerator-only"))) == 0)
    codes = {name: table.codes(name) for name in ("provider", "market", "shape", "accelerator", "region", "feed")}
    found = np.zeros(len(table), dtype=np.bool_)
    feeds = [np.flatnonzero(usable & (codes["feed"] == feed)) for feed in range(len(table.vocabulary("feed")))]
    for one in feeds:
        for two in feeds:
            if one is two or not len(one) or not len(two):
                continue
            thing = "shape" if _stated(codes["shape"], one) and _stated(codes["shape"], two) else "accelerator"
            names = ["provider", "market", thing]
            if _stated(codes["region"], one) and _stated(codes["region"], two):
                names.append("region")
            mine = one[codes[thing][one] >= 0]
            other = two[codes[thing][two] >= 0]
            if not len(mine) or not len(other):
                continue
            key = combined(*(codes[name][np.concatenate([mine, other])] for name in names))
            left, right = key[: len(mine)], key[len(mine) :]
            keys, low, high, newest = _ranges(right, price[other], seen[other])
            place = np.minimum(np.searchsorted(keys, left), len(keys) - 1)
            near = (keys[place] == left) & (np.abs(newest[place] - seen[mine]) <= limit["disagree_days"])
            slack = 1 + limit["disagree_above"]
            outside = (price[mine] * slack < low[place]) | (price[mine] > high[place] * slack)
            found[mine[near & outside]] = True
    return found


def _stated(codes: NDArray[np.int32], rows: Ints) -> bool:
    """Whether most of these rows state that column."""
    return bool(np.mean(codes[rows] >= 0) > 0.5)


def _ranges(key: Ints, price: Floats, seen: Ints) -> tuple[Ints, Floats, Floats, Ints]:
    """Distinct keys with their lowest and highest price and their newest day."""
    order = np.argsort(key, kind="stable")
    starts = np.flatnonzero(np.append(True, key[order][1:] != key[order][:-1]))
    return (
        key[order][starts],
        np.minimum.reduceat(price[order], starts),
        np.maximum.reduceat(price[order], starts),
        np.maximum.reduceat(seen[order], starts),
    )
