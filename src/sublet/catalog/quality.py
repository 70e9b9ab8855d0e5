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
    epoch = np.where(stale, table.ints("verified") // int(limit["stale_days"]), -1)
    group = _groups(table, epoch)
    ratio = to_median(table, group)
    price = table.floats("usd_per_accelerator_hour")
    next_lower, next_higher = elsewhere(table, group)
    placeholder = (ratio < limit["placeholder_below"]) & (price < limit["placeholder_alone"] * next_lower)
    placeholder |= to_own_list(table, epoch) < limit["placeholder_below"]
    low = (ratio < limit["low_below"]) & (price < limit["low_alone"] * next_lower) & ~placeholder
    high = (ratio > limit["high_above"]) & (price > limit["high_alone"] * next_higher)
    for name, rows in (("placeholder", placeholder), ("outlier-low", low), ("outlier-high", high)):
        flags |= np.where(rows, BIT[name], 0)
    flags |= np.where(disagreeing(table), BIT["sources-disagree"], 0)
    return table.with_numbers(flags=flags)


def _groups(table: OfferTable, epoch: Ints) -> Ints:
    """What is compared: one accelerator in one market at one time, (rows,); -1 for rows that name no accelerator.

    An ambiguous spelling is compared with the likeliest chip that it may mean. `epoch` groups rows that were seen at
    about the same time: an old price is measured by its contemporaries.
    """
    names = {name: code for code, name in enumerate(table.vocabulary("accelerator"))}
    likeliest = [word.split("|")[0] for word in table.vocabulary("candidates")]
    chips = np.array([names.setdefault(name, len(names)) for name in likeliest] + [-1], dtype=np.int64)
    chip = np.where(table.codes("accelerator") >= 0, table.codes("accelerator"), chips[table.codes("candidates")])
    return np.where(chip >= 0, combined(chip, table.codes("market"), epoch), -1)


def _votes(table: OfferTable, group: Ints) -> Bools:
    priced = np.isfinite(table.floats("usd_per_accelerator_hour"))
    found: Bools = (group >= 0) & priced & ((table.ints("flags") & bits(NOT_COMPARED)) == 0)
    return found


def elsewhere(table: OfferTable, group: Ints) -> tuple[Floats, Floats]:
    """The lowest and the highest price that other providers have in the row's group; NaN where there is no other."""
    price = table.floats("usd_per_accelerator_hour")
    return _lowest_elsewhere(table, group, price), -_lowest_elsewhere(table, group, -price)


def _lowest_elsewhere(table: OfferTable, group: Ints, price: Floats) -> Floats:
    provider = table.codes("provider").astype(np.int64)
    rows = np.flatnonzero(_votes(table, group))
    lowest = np.full(len(table), np.nan)
    if not len(rows):
        return lowest
    order = rows[np.lexsort((price[rows], provider[rows], group[rows]))]
    opens = np.append(True, (group[order][1:] != group[order][:-1]) | (provider[order][1:] != provider[order][:-1]))
    best = order[opens]  # each provider's lowest row in each group
    best = best[np.lexsort((price[best], group[best]))]
    starts = np.flatnonzero(np.append(True, group[best][1:] != group[best][:-1]))
    sizes = np.diff(np.append(starts, len(best)))
    second = np.where(sizes > 1, price[best[np.minimum(starts + 1, len(best) - 1)]], np.nan)
    place = np.minimum(np.searchsorted(group[best][starts], group), len(starts) - 1)
    here = group[best][starts][place] == group
    first = best[starts][place]
    lowest[here] = np.where(provider[first] == provider, second[place], price[first])[here]
    return lowest


def to_median(table: OfferTable, group: Ints) -> Floats:
    """Price over the median of its group's providers' own medians, (rows,); NaN where too few providers make one."""
    price = table.floats("usd_per_accelerator_hour")
    ratio = np.full(len(table), np.nan)
    votes = _votes(table, group)
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
    measured = np.isfinite(price) & (groups[place] == group)
    ratio[measured] = price[measured] / middle[place[measured]]
    return ratio


def to_own_list(table: OfferTable, epoch: Ints) -> Floats:
    """List price over the median of the same provider's list prices of that instance type in all its regions, (rows,).

    A region far below its provider's own list lacks a part of the price (the accelerators, as a rule). NaN for spot
    prices, which differ by region rightly, and where fewer than `least_providers` regions are listed.
    """
    price = table.floats("usd_per_accelerator_hour")
    ratio = np.full(len(table), np.nan)
    listed = np.isfinite(price) & ~table.texts["market"].where(["spot"])
    listed &= (table.codes("shape") >= 0) & (table.codes("region") >= 0)
    rows = np.flatnonzero(listed)
    if not len(rows):
        return ratio
    columns = (table.codes(name)[rows] for name in ("feed", "provider", "shape", "market"))
    key = combined(*columns, epoch[rows])
    middle, _, size = _medians(key, price[rows])
    place = np.searchsorted(np.unique(key), key)
    enough = size[place] >= rules.thresholds()["least_providers"]
    ratio[rows] = np.where(enough, price[rows] / middle[place], np.nan)
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

    Two sources are compared on what both of them state: the instance type, else the accelerator; the region, where
    both have regions. Then a row disagrees when it lies outside the range of the other source's prices by more than
    `disagree_above`. Where only one has regions, its prices differ by region rightly, so the whole ranges must lie
    apart. Either way the other source was read within `disagree_days` of the row.
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
            regions = [_stated(codes["region"], rows) for rows in (one, two)]
            if all(regions):
                names.append("region")
            mine, other = (rows[codes[thing][rows] >= 0] for rows in (one, two))
            if not len(mine) or not len(other):
                continue
            key = combined(*(codes[name][np.concatenate([mine, other])] for name in names))
            left, right = key[: len(mine)], key[len(mine) :]
            keys, low, high, newest = _ranges(right, price[other], seen[other])
            place = np.minimum(np.searchsorted(keys, left), len(keys) - 1)
            near = (keys[place] == left) & (np.abs(newest[place] - seen[mine]) <= limit["disagree_days"])
            lowest = highest = price[mine]
            if any(regions) and not all(regions):
                own, floor, ceiling, _ = _ranges(left, price[mine], seen[mine])
                at = np.searchsorted(own, left)
                lowest, highest = floor[at], ceiling[at]
            slack = 1 + limit["disagree_above"]
            outside = (highest * slack < low[place]) | (lowest > high[place] * slack)
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
