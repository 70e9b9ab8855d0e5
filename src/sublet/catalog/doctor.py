"""What is doubtful in a catalogue: refused rows, old prices, ambiguous names, prices that contradict each other.

Invariant: a finding names the thing and says what to do or where to look; no finding changes the catalogue.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np

from sublet.catalog import rules
from sublet.catalog.flags import FLAGS
from sublet.catalog.store import Entry
from sublet.catalog.table import OfferTable


@dataclass(frozen=True)
class Feed:
    """How old one source is on the day of the question."""

    feed: str
    provider: str  # "" where the source covers many
    offers: int
    newest: date
    age_days: int
    stale: bool


@dataclass(frozen=True)
class Disagreement:
    """Two or more sources with clearly different prices for one thing."""

    provider: str
    what: str  # instance type, else accelerator
    market: str
    prices: tuple[tuple[str, float, float, date], ...]  # source, lowest, highest, newest day


@dataclass(frozen=True)
class Report:
    """All findings for one day."""

    as_of: date
    offers: int
    rows: int
    kept: int
    quarantined: int
    reasons: dict[str, int]
    files: tuple[Entry, ...]
    feeds: tuple[Feed, ...]
    flags: dict[str, int]  # flag -> offers that carry it
    unresolved: tuple[tuple[str, str, str, int], ...]  # provider, spelling, candidates, offers
    disagreements: tuple[Disagreement, ...]

    @property
    def worries(self) -> bool:
        """Whether anything deserves a look: rows were refused, a source is stale or sources disagree."""
        return bool(self.quarantined or any(feed.stale for feed in self.feeds) or self.disagreements)


def examine(table: OfferTable, entries: Sequence[Entry], as_of: date) -> Report:
    """The findings for the table of one day (see asof.standing) and the manifest of the imports."""
    reasons: Counter[str] = Counter()
    for entry in entries:
        reasons.update(entry.reasons)
    return Report(
        as_of=as_of,
        offers=len(table),
        rows=sum(entry.rows for entry in entries),
        kept=sum(entry.kept for entry in entries),
        quarantined=sum(entry.quarantined for entry in entries),
        reasons=dict(reasons.most_common()),
        files=tuple(entries),
        feeds=_feeds(table, as_of),
        flags={name: int(table.has(name).sum()) for name in FLAGS if table.has(name).any()},
        unresolved=_unresolved(table),
        disagreements=_disagreements(table),
    )


def _feeds(table: OfferTable, as_of: date) -> tuple[Feed, ...]:
    limit = rules.thresholds()["stale_days"]
    found = []
    verified, scope = table.ints("verified"), table.texts["scope"]
    for code in np.unique(scope.codes):
        rows = np.flatnonzero(scope.codes == code)
        newest = int(verified[rows].max())
        providers = {table.texts["provider"].word(int(row)) for row in rows}
        age = as_of.toordinal() - newest
        found.append(
            Feed(
                feed=table.texts["feed"].word(int(rows[0])) or "",
                provider=providers.pop() or "" if len(providers) == 1 else "",
                offers=len(rows),
                newest=date.fromordinal(newest),
                age_days=age,
                stale=age > limit,
            )
        )
    return tuple(sorted(found, key=lambda feed: (feed.feed, feed.provider)))


def _unresolved(table: OfferTable) -> tuple[tuple[str, str, str, int], ...]:
    rows = np.flatnonzero(table.has("ambiguous-accelerator", "unknown-accelerator"))
    count = Counter(
        tuple(table.texts[name].word(int(row)) or "" for name in ("provider", "accelerator_raw", "candidates"))
        for row in rows
    )
    return tuple((provider, raw, maybe, size) for (provider, raw, maybe), size in count.most_common())


def _disagreements(table: OfferTable) -> tuple[Disagreement, ...]:
    price, verified = table.floats("usd_per_accelerator_hour"), table.ints("verified")
    groups: dict[tuple[str, str, str], dict[str, list[int]]] = {}
    for row in np.flatnonzero(table.has("sources-disagree")).tolist():
        word = {name: column.word(row) or "" for name, column in table.texts.items()}
        what = word["accelerator"] or word["accelerator_raw"]
        groups.setdefault((word["provider"], what, word["market"]), {}).setdefault(word["feed"], []).append(row)
    found = []
    for (provider, what, market), feeds in sorted(groups.items()):
        prices = tuple(
            (
                feed,
                float(price[rows].min()),
                float(price[rows].max()),
                date.fromordinal(int(verified[rows].max())),
            )
            for feed, rows in sorted(feeds.items())
        )
        found.append(Disagreement(provider, what, market, prices))
    return tuple(found)
