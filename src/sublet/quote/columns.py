"""Offers as columns: what filtering, pricing and ranking read, 100,000 rows at a time.

Every text column is a vocabulary and an array of codes into it, so that a rule is asked once per distinct value and
not once per row. Invariant: row i of every column is the offer `offer(i)` returns.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from sublet.catalog.offer import Offer
from sublet.catalog.table import Coded, OfferTable

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

V = TypeVar("V", bound=Hashable)


@dataclass(frozen=True)
class Words(Generic[V]):
    """One column of values from a small vocabulary."""

    codes: Ints  # (rows,)
    vocabulary: tuple[V, ...]

    def mask(self, holds: Callable[[V], bool]) -> Bools:
        """The rows whose value satisfies `holds`, which is asked once per distinct value."""
        answers = np.fromiter((holds(word) for word in self.vocabulary), dtype=np.bool_, count=len(self.vocabulary))
        return answers[self.codes] if len(answers) else np.zeros(len(self.codes), dtype=np.bool_)

    def take(self, rows: Ints) -> Words[V]:
        """The same column for a selection of rows; the vocabulary stays."""
        return Words(self.codes[rows], self.vocabulary)

    def __getitem__(self, row: int) -> V:
        return self.vocabulary[int(self.codes[row])]


def words(values: Iterable[V]) -> Words[V]:
    """Encode values in order of first appearance."""
    index: dict[V, int] = {}
    codes = np.fromiter((index.setdefault(value, len(index)) for value in values), dtype=np.int64)
    return Words(codes, tuple(index))


@dataclass(frozen=True)
class Columns:
    """Offers as arrays of one length.

    `identity` holds what the accelerator may be: one canonical name, several where the spelling is ambiguous, none
    where nothing is known. `seen` counts days (date.toordinal), `price` is per accelerator and hour in the offer's
    currency, `unit` the accelerators that one unit of the offer holds (1 where it is priced by the accelerator, which
    `by_one` tells from a node of one), and `minimum` the smallest order.
    """

    provider: Words[str]
    shape: Words[str | None]
    identity: Words[tuple[str, ...]]
    spelling: Words[str]  # the accelerator as the source spells it
    region: Words[str | None]
    zone: Words[str | None]
    market: Words[str]
    currency: Words[str]
    feed: Words[str]  # the source without file and line: "gpurentalprices", "skypilot"
    flags: Words[tuple[str, ...]]
    unit: Ints
    by_one: Bools
    minimum: Ints
    price: Floats
    seen: Ints
    offer: Callable[[int], Offer]

    def __len__(self) -> int:
        return len(self.price)

    def take(self, rows: Ints) -> Columns:
        """The same columns for a selection of rows, in the order of `rows`."""
        offer = self.offer
        return Columns(
            provider=self.provider.take(rows),
            shape=self.shape.take(rows),
            identity=self.identity.take(rows),
            spelling=self.spelling.take(rows),
            region=self.region.take(rows),
            zone=self.zone.take(rows),
            market=self.market.take(rows),
            currency=self.currency.take(rows),
            feed=self.feed.take(rows),
            flags=self.flags.take(rows),
            unit=self.unit[rows],
            by_one=self.by_one[rows],
            minimum=self.minimum[rows],
            price=self.price[rows],
            seen=self.seen[rows],
            offer=lambda row: offer(int(rows[row])),
        )


def feed_of(source: str) -> str:
    """What publishes the prices: the part of a source before its first colon."""
    return source.partition(":")[0]


def from_offers(offers: Sequence[Offer]) -> Columns:
    """Columns of a sequence of offers, in its order."""
    return Columns(
        provider=words(offer.provider for offer in offers),
        shape=words(offer.shape for offer in offers),
        identity=words((offer.accelerator,) if offer.accelerator else offer.candidates for offer in offers),
        spelling=words(offer.accelerator_raw for offer in offers),
        region=words(offer.region for offer in offers),
        zone=words(offer.zone for offer in offers),
        market=words(offer.market for offer in offers),
        currency=words(offer.currency for offer in offers),
        feed=words(feed_of(offer.source) for offer in offers),
        flags=words(offer.flags for offer in offers),
        by_one=np.fromiter((o.per_accelerator for o in offers), dtype=np.bool_, count=len(offers)),
        unit=np.fromiter((1 if o.per_accelerator else o.count for o in offers), dtype=np.int64, count=len(offers)),
        minimum=np.fromiter((offer.minimum_accelerators for offer in offers), dtype=np.int64, count=len(offers)),
        price=np.fromiter((offer.price_per_accelerator_hour for offer in offers), dtype=np.float64, count=len(offers)),
        seen=np.fromiter((offer.seen_at.toordinal() for offer in offers), dtype=np.int64, count=len(offers)),
        offer=lambda row: offers[row],
    )


def ranks(column: Words[V], name: Callable[[V], str]) -> Ints:
    """The position of each row's value among the column's distinct values, sorted by `name` of the value."""
    names = [name(value) for value in column.vocabulary]
    positions = {value: rank for rank, value in enumerate(sorted(set(names)))}
    table = np.array([positions[value] for value in names], dtype=np.int64)
    return table[column.codes] if len(table) else column.codes


def from_table(table: OfferTable) -> Columns:
    """Columns of a catalogue table, without a loop over its rows."""
    accelerator, candidates = table.texts["accelerator"], table.texts["candidates"]
    names = len(accelerator.vocabulary)
    identities: tuple[tuple[str, ...], ...] = (
        *((name,) for name in accelerator.vocabulary),
        *(tuple(word.split("|")) for word in candidates.vocabulary),
        (),
    )
    ambiguous = np.where(candidates.codes >= 0, names + candidates.codes, len(identities) - 1)
    flags = table.vocabulary("flags")
    return Columns(
        provider=_present(table.texts["provider"]),
        shape=_optional(table.texts["shape"]),
        identity=Words(np.where(accelerator.codes >= 0, accelerator.codes, ambiguous).astype(np.int64), identities),
        spelling=_present(table.texts["accelerator_raw"]),
        region=_optional(table.texts["region"]),
        zone=_optional(table.texts["zone"]),
        market=_present(table.texts["market"]),
        currency=_present(table.texts["currency"]),
        feed=_present(table.texts["feed"]),
        flags=Words(
            table.codes("flags").astype(np.int64), tuple(tuple(word.split("|")) if word else () for word in flags)
        ),
        unit=np.where(table.numbers["per_accelerator"], 1, table.ints("count")).astype(np.int64),
        by_one=table.numbers["per_accelerator"],
        minimum=table.ints("minimum"),
        price=np.nan_to_num(table.floats("price_per_accelerator_hour")),
        seen=table.ints("verified"),
        offer=table.row,
    )


def _optional(coded: Coded) -> Words[str | None]:
    """A coded column whose missing values become None."""
    codes = np.where(coded.codes < 0, len(coded.vocabulary), coded.codes).astype(np.int64)
    return Words(codes, (*coded.vocabulary, None))


def _present(coded: Coded) -> Words[str]:
    """A coded column whose missing values become the empty word."""
    codes = np.where(coded.codes < 0, len(coded.vocabulary), coded.codes).astype(np.int64)
    return Words(codes, (*coded.vocabulary, ""))


def combined(*columns: Words[Any] | Ints) -> Ints:
    """One integer per row that is equal exactly where all the given columns are equal."""
    key: Ints | None = None
    span = 1
    for column in columns:
        codes = column.codes if isinstance(column, Words) else column - (column.min() if len(column) else 0)
        width = int(codes.max()) + 1 if len(codes) else 1
        if key is None:
            key, span = codes.astype(np.int64), width
            continue
        if span * width > 2**62:  # would overflow: renumber what is there first
            _, key = np.unique(key, return_inverse=True)
            span = int(key.max()) + 1
        key = key * width + codes
        span *= width
    assert key is not None
    return key
