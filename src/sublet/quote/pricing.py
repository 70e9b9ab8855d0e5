"""From offers to money: which row of several holds, how far it may be trusted, what a run costs.

Ranking reads arrays of floats; money that a person or a program sees is Decimal, computed again from the offer itself.
Invariant: zero is never a price, an old price says how old it is, and a price in another currency is never compared.
"""

from __future__ import annotations

from datetime import date
from decimal import ROUND_HALF_UP, Decimal

import numpy as np

from sublet.catalog.offer import Offer
from sublet.estimate.result import Interval
from sublet.quote.columns import Bools, Columns, Floats, Ints, combined, ranks
from sublet.quote.value import DOUBTFUL, FIRM, UNRANKED, Cost, OtherPrice

STALE_AFTER_DAYS = 90  # a price older than a quarter is doubtful: list prices were cut by 44 % from one day to the next
DISAGREE_BEYOND = 0.05  # sources that differ by less than this agree: rounding, and an hour's change of a spot price
HOURS_PER_YEAR = 8760
CENT = Decimal("0.01")

# marks of the catalogue that decide the trust in a price
UNRANKED_FLAGS = frozenset({"placeholder", "foreign-currency"})
DOUBTFUL_FLAGS = frozenset({"stale", "outlier-low", "accelerator-only", "price-mismatch"})


def newest(columns: Columns, alive: Bools) -> tuple[Ints, Bools]:
    """Among offers of the same thing in the same place and market, the one seen last; on one day, the lowest.

    Returns the rows that hold, in the order of the table, and for each whether other prices were listed beside it that
    day. The others are superseded: still there for `Peers`, never quoted.
    """
    rows = np.flatnonzero(alive)
    if not len(rows):
        return rows, np.zeros(0, dtype=np.bool_)
    picked = columns.take(rows)
    key = combined(
        picked.provider, picked.shape, picked.identity, picked.unit, picked.region, picked.market, picked.currency
    )
    feed, zone = ranks(picked.feed, str), ranks(picked.zone, str)
    # of listings that are equal but for their marks the most marked one: doubt is not lost
    marked = -ranks(picked.flags, "|".join)
    order = np.lexsort((rows, feed, zone, marked, picked.price, -picked.seen, key))
    key, price, seen = key[order], picked.price[order], picked.seen[order]
    first = np.ones(len(order), dtype=np.bool_)
    first[1:] = key[1:] != key[:-1]
    starts = np.flatnonzero(first)
    # the dearest price that the same group lists on its newest day
    group = np.cumsum(first) - 1
    same_day = seen == seen[starts][group]
    dearest = np.maximum.reduceat(np.where(same_day, price, -np.inf), starts)
    several = dearest > price[starts] * (1 + 1e-9)
    chosen = rows[order[starts]]
    back = np.argsort(chosen, kind="stable")
    return chosen[back], several[back]


def trust(columns: Columns, as_of: date, currency: str, stale_after_days: int) -> tuple[Ints, Bools]:
    """How far each offer's price may be trusted (FIRM, DOUBTFUL, UNRANKED), and which are stale."""
    stale = (as_of.toordinal() - columns.seen > stale_after_days) | columns.flags.mask(lambda flags: "stale" in flags)
    unranked = columns.currency.mask(lambda value: value != currency)
    unranked |= columns.flags.mask(lambda flags: not UNRANKED_FLAGS.isdisjoint(flags))
    doubtful = stale | columns.flags.mask(lambda flags: not DOUBTFUL_FLAGS.isdisjoint(flags))
    return np.where(unranked, UNRANKED, np.where(doubtful, DOUBTFUL, FIRM)).astype(np.int64), stale


def term_hours(market: str) -> float:
    """Hours that a committed market is sold for ("reserved-1y": 8760); 0 where it is sold by the hour."""
    kind, _, term = market.partition("-")
    if kind == "reserved" and term.endswith("y") and term[:-1].isdigit():
        return float(int(term[:-1]) * HOURS_PER_YEAR)
    return 0.0


def cost(price: Floats, count: Ints, run_s: Floats, term_h: Floats) -> Floats:
    """Price of the run: per accelerator and hour x accelerators x hours, at least those of the term. Any shape."""
    return price * count * np.maximum(run_s / 3600.0, term_h)


def money(offer: Offer, count: int, run_s: Interval) -> Cost:
    """The exact cost of a run on `count` accelerators, rounded once, to the cent.

    Uses the price of the whole node where the offer is a node: per-accelerator prices are rounded by their sources.
    """
    hourly = offer.price_per_node_hour * count / offer.count
    term = term_hours(offer.market)

    def at(seconds: float) -> Decimal:
        hours = Decimal(repr(max(seconds / 3600.0, term)))
        return (hourly * hours).quantize(CENT, rounding=ROUND_HALF_UP)

    return Cost(at(run_s.p10), at(run_s.p50), at(run_s.p90), offer.currency)


class Peers:
    """What other sources say a provider asks for the same accelerator, asked one offer at a time.

    Rows compare where provider, chip, market and currency are equal and neither region nor instance type contradicts:
    a source that names none speaks of all.
    """

    def __init__(self, columns: Columns, alive: Bools) -> None:
        self._columns = columns
        rows = np.flatnonzero(alive)
        key = combined(columns.provider, columns.identity, columns.market, columns.currency)
        self._key = key
        order = np.argsort(key[rows], kind="stable")
        self._rows = rows[order]
        self._sorted = key[self._rows]
        self._cache: dict[tuple[int, int, int, int, float], tuple[OtherPrice, ...]] = {}

    def others(self, row: int) -> tuple[OtherPrice, ...]:
        """The newest price of every other source that differs by more than 5 %, newest first."""
        columns = self._columns
        price = float(columns.price[row])
        identity = (
            int(self._key[row]),
            int(columns.region.codes[row]),
            int(columns.shape.codes[row]),
            int(columns.feed.codes[row]),
            price,
        )
        if identity not in self._cache:
            self._cache[identity] = self._find(row, price)
        return self._cache[identity]

    def _find(self, row: int, price: float) -> tuple[OtherPrice, ...]:
        columns = self._columns
        low, high = np.searchsorted(self._sorted, [self._key[row], self._key[row] + 1])
        rows = self._rows[low:high]
        rows = rows[columns.feed.codes[rows] != columns.feed.codes[row]]
        for place in (columns.region, columns.shape):
            if place[row] is not None and len(rows):
                unsaid = np.array([value is None for value in place.vocabulary])
                rows = rows[(place.codes[rows] == place.codes[row]) | unsaid[place.codes[rows]]]
        found = []
        for feed in np.unique(columns.feed.codes[rows]).tolist():
            own = rows[columns.feed.codes[rows] == feed]
            latest = own[columns.seen[own] == columns.seen[own].max()]
            nearest = int(latest[np.argmin(np.abs(columns.price[latest] - price))])
            if abs(float(columns.price[nearest]) / price - 1.0) > DISAGREE_BEYOND:
                offer = columns.offer(nearest)
                found.append(OtherPrice(offer.price_per_accelerator_hour, offer.currency, offer.seen_at, offer.source))
        return tuple(sorted(found, key=lambda other: (other.seen_at, other.source), reverse=True))
