"""Offers as columns: coded words, exact prices and dates, sized for hundreds of thousands of rows.

A text column is a vocabulary and an array of int32 codes into it (-1 where a row has no value), so that a rule is
asked once per distinct word. Prices are kept as the exact decimal text of the source and read as float64 for ranking;
`row` gives them back as Decimal. Invariant: a table never changes; what changes it returns another one.

Time. `first`..`last` are the days between which the source showed the row without a break, `verified` the last day on
which the price was really read, `until` the day from which it is known to be changed or gone (FOREVER where it is
not). A row stood on day D exactly if first <= D < until.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sublet.catalog import flags as quality
from sublet.catalog.names import resolve
from sublet.catalog.offer import Offer
from sublet.errors import InputError

Codes = NDArray[np.int32]
Rows = NDArray[np.int64]
Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]

# what each text column holds
TEXTS: dict[str, str] = {
    "provider": "canonical name of the provider",
    "shape": "instance type",
    "accelerator": "canonical name; none where ambiguous or unknown",
    "accelerator_raw": "as the source spells it",
    "candidates": "canonical names that an ambiguous spelling may mean, joined by |",
    "region": "region as the provider names it",
    "zone": "availability zone or place",
    "market": "on-demand, spot, reserved-1y, ...",
    "price": "exact decimal text, for the node or, where per_accelerator, for one accelerator",
    "currency": "ISO 4217 code",
    "feed": "kind of source: skypilot, fsdl, ...",
    "scope": "what one snapshot of the source replaces as a whole",
    "file": "file that the row came from",
    "url": "page that the source read the price from",
}
# what each number column holds, and how it is kept
NUMBERS: dict[str, type[np.generic]] = {
    "count": np.int32,  # accelerators that the row's node price buys
    "minimum": np.int32,  # smallest number that can be had
    "per_accelerator": np.bool_,  # priced by the accelerator, any number from `minimum` on
    "vcpus": np.float32,
    "memory_gib": np.float32,
    "first": np.int32,  # days are date.toordinal()
    "last": np.int32,
    "verified": np.int32,
    "until": np.int32,
    "line": np.int32,
    "flags": np.int64,
}
LISTS = ("candidates",)


@dataclass(frozen=True, eq=False)
class Coded:
    """One text column."""

    codes: Codes  # (rows,), -1 for no value
    vocabulary: tuple[str, ...]

    def where(self, wanted: Iterable[str]) -> Bools:
        """The rows that hold one of `wanted`."""
        known = {word: code for code, word in enumerate(self.vocabulary)}
        return self.among(code for word in wanted if (code := known.get(word)) is not None)

    def among(self, codes: Iterable[int]) -> Bools:
        """The rows whose code is one of `codes`."""
        holds = np.zeros(len(self.vocabulary) + 1, dtype=np.bool_)  # the last stands for -1
        holds[list(codes)] = True
        found: Bools = holds[self.codes]
        return found

    def word(self, row: int) -> str | None:
        """The value of one row."""
        code = int(self.codes[row])
        return None if code < 0 else self.vocabulary[code]

    def take(self, rows: Rows) -> Coded:
        """The same column for a selection of rows; the vocabulary stays."""
        return Coded(self.codes[rows], self.vocabulary)


def encode(values: Sequence[str | None]) -> Coded:
    """Code a sequence of words in order of first appearance; None and "" are no value."""
    index: dict[str | None, int] = {None: -1, "": -1}
    fresh = 0
    for word in dict.fromkeys(values):
        if word not in index:
            index[word] = fresh
            fresh += 1
    codes = np.fromiter(map(index.__getitem__, values), dtype=np.int32, count=len(values))
    return Coded(codes, tuple(word for word in index if word))


def constant(value: str | None, rows: int) -> Coded:
    """A column with one word in every row."""
    if not value:
        return Coded(np.full(rows, -1, dtype=np.int32), ())
    return Coded(np.zeros(rows, dtype=np.int32), (value,))


@dataclass(frozen=True, eq=False)
class OfferTable:
    """Many offers; see the module's text for the meaning of the columns.

    `calendars` maps a scope to the days (ordinals, ascending) on which its source was read as a whole.
    """

    texts: Mapping[str, Coded]
    numbers: Mapping[str, NDArray[Any]]
    calendars: Mapping[str, Codes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        lengths = {len(column.codes) for column in self.texts.values()} | {len(a) for a in self.numbers.values()}
        missing = [name for name in (*TEXTS, *NUMBERS) if name not in self.texts and name not in self.numbers]
        if missing or len(lengths) != 1:
            raise ValueError(f"columns of unequal length {sorted(lengths)} or missing: {missing}")

    def __len__(self) -> int:
        return len(self.numbers["count"])

    # columns

    def codes(self, column: str) -> Codes:
        """Codes of a text column, (rows,) int32; -1 for no value. "flags" is coded too (see `vocabulary`)."""
        return self._flags.codes if column == "flags" else self._text(column).codes

    def vocabulary(self, column: str) -> tuple[str, ...]:
        """The words that `codes(column)` count into. For "candidates" and "flags" a word is a list joined by "|"."""
        return self._flags.vocabulary if column == "flags" else self._text(column).vocabulary

    def floats(self, column: str) -> Floats:
        """A number column as float64, NaN where unknown.

        Beside the columns of NUMBERS: "price_per_node_hour" and "price_per_accelerator_hour" in the row's currency,
        "usd_per_node_hour" and "usd_per_accelerator_hour", NaN where the currency is another.
        """
        if column in ("price_per_node_hour", "usd_per_node_hour"):
            return self._priced(column.startswith("usd"))[0]
        if column in ("price_per_accelerator_hour", "usd_per_accelerator_hour"):
            return self._priced(column.startswith("usd"))[1]
        return self._number(column).astype(np.float64)

    def ints(self, column: str) -> NDArray[np.int64]:
        """A number column as int64: count, minimum, first, last, verified, until (days as date.toordinal), flags."""
        return self._number(column).astype(np.int64)

    def has(self, *flags: str) -> Bools:
        """The rows that carry one of some quality flags."""
        found: Bools = (self.numbers["flags"] & quality.bits(flags)) != 0
        return found

    # rows

    def row(self, i: int) -> Offer:
        """One offer, with exact prices."""
        return self.offers([i])[0]

    def offers(self, rows: Sequence[int] | NDArray[np.integer]) -> list[Offer]:
        """The offers of some rows, in that order."""
        return [self._offer(int(i)) for i in rows]

    def take(self, rows: Sequence[int] | NDArray[np.integer] | Bools) -> OfferTable:
        """A table of some rows (indices or a mask)."""
        chosen = np.asarray(rows)
        index = np.flatnonzero(chosen) if chosen.dtype == np.bool_ else chosen.astype(np.int64)
        return replace(
            self,
            texts={name: column.take(index) for name, column in self.texts.items()},
            numbers={name: column[index] for name, column in self.numbers.items()},
        )

    def with_numbers(self, **columns: NDArray[Any]) -> OfferTable:
        """The same table with some number columns replaced."""
        numbers = dict(self.numbers)
        for name, column in columns.items():
            numbers[name] = column.astype(NUMBERS[name])
        return replace(self, numbers=numbers)

    def with_flag(self, flag: str, rows: Bools) -> OfferTable:
        """The same table with one more flag on the rows of a mask."""
        return self.with_numbers(flags=np.where(rows, self.ints("flags") | quality.BIT[flag], self.ints("flags")))

    def where(
        self,
        *,
        accelerator: str | Iterable[str] | None = None,
        count: int | None = None,
        provider: str | Iterable[str] | None = None,
        region: str | Iterable[str] | None = None,
        market: str | Iterable[str] | None = None,
        shape: str | Iterable[str] | None = None,
        feed: str | Iterable[str] | None = None,
        currency: str | None = None,
        as_of: date | None = None,
        without: Iterable[str] = (),
        ambiguous: bool = True,
        multiples: bool = True,
    ) -> Rows:
        """Indices of the rows that match every condition, ascending.

        `accelerator` may be any spelling; an ambiguous one ("H100") stands for all that it may mean. `count` is the
        accelerators of one row; with `multiples`, rows priced by the accelerator match from their minimum on.
        `as_of` keeps what stood on that day. `without` drops rows with one of these flags. With `ambiguous`, rows
        whose own spelling may mean the accelerator match too (they carry the flag "ambiguous-accelerator").
        """
        keep = np.ones(len(self), dtype=np.bool_)
        if accelerator is not None:
            keep &= self._means(_listed(accelerator), ambiguous)
        if count is not None:
            fits = self.numbers["count"] == count
            if multiples:
                fits |= self.numbers["per_accelerator"] & (self.numbers["minimum"] <= count)
            keep &= fits
        spelled = {"provider": provider, "region": region, "market": market, "shape": shape, "feed": feed}
        for column, wanted in spelled.items():
            if wanted is not None:
                keep &= self._spelled(column, _listed(wanted))
        if currency is not None:
            keep &= self.texts["currency"].where([currency])
        if as_of is not None:
            day = as_of.toordinal()
            keep &= (self.numbers["first"] <= day) & (self.numbers["until"] > day)
        dropped = quality.bits(without)
        if dropped:
            keep &= (self.numbers["flags"] & dropped) == 0
        return np.flatnonzero(keep)

    # inside

    def _text(self, column: str) -> Coded:
        if column not in self.texts:
            raise InputError(f'no text column "{column}" in the offers; there are {", ".join(TEXTS)}')
        return self.texts[column]

    def _number(self, column: str) -> NDArray[Any]:
        if column not in self.numbers:
            raise InputError(f'no number column "{column}" in the offers; there are {", ".join(NUMBERS)}')
        return self.numbers[column]

    @cached_property
    def _flags(self) -> Coded:
        masks, codes = np.unique(self.ints("flags"), return_inverse=True)
        return Coded(codes.astype(np.int32), tuple("|".join(quality.names(int(mask))) for mask in masks))

    @cached_property
    def _price_values(self) -> Floats:
        words = self.texts["price"].vocabulary
        values = np.fromiter(map(float, words), dtype=np.float64, count=len(words))
        rows: Floats = np.append(values, np.nan)[self.texts["price"].codes]
        return rows

    def _priced(self, dollars: bool) -> tuple[Floats, Floats]:
        price = self._price_values
        if dollars:
            price = np.where(self.texts["currency"].where(["USD"]), price, np.nan)
        count = self.floats("count")
        by_one = self.numbers["per_accelerator"]
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(by_one, price * count, price), np.where(by_one, price, price / count)

    def _means(self, spellings: tuple[str, ...], ambiguous: bool) -> Bools:
        names: set[str] = set()
        raw: set[str] = set()
        for spelling in spellings:
            meant = resolve(spelling)
            found = (meant.accelerator,) if meant.accelerator else meant.candidates
            names.update(found)
            if not found:
                raw.add(spelling)
        keep = self.texts["accelerator"].where(names)
        if raw:
            keep |= self._spelled("accelerator_raw", tuple(raw)) | self._spelled("accelerator", tuple(raw))
        if ambiguous:
            lists = self.texts["candidates"]
            keep |= lists.among(code for code, word in enumerate(lists.vocabulary) if names & set(word.split("|")))
        return keep

    def _spelled(self, column: str, wanted: tuple[str, ...]) -> Bools:
        folded = {word.casefold() for word in wanted}
        words = self.texts[column]
        return words.among(code for code, word in enumerate(words.vocabulary) if word.casefold() in folded)

    def _offer(self, i: int) -> Offer:
        word = {name: column.word(i) for name, column in self.texts.items()}
        number = {name: column[i] for name, column in self.numbers.items()}
        price = Decimal(word["price"] or "NaN")
        count = int(number["count"])
        by_one = bool(number["per_accelerator"])
        line = int(number["line"])
        return Offer(
            provider=word["provider"] or "",
            shape=word["shape"],
            accelerator=word["accelerator"],
            accelerator_raw=word["accelerator_raw"] or "",
            candidates=tuple((word["candidates"] or "").split("|")) if word["candidates"] else (),
            count=count,
            region=word["region"],
            zone=word["zone"],
            market=word["market"] or "",
            price_per_node_hour=_tidy(price * count if by_one else price),
            price_per_accelerator_hour=_tidy(price if by_one or not count else price / count),
            currency=word["currency"] or "",
            minimum_accelerators=int(number["minimum"]),
            vcpus=_known(number["vcpus"]),
            memory_gib=_known(number["memory_gib"]),
            seen_at=date.fromordinal(int(number["verified"])),
            source=f"{word['feed']}:{word['file']}" + (f":{line}" if line else ""),
            flags=quality.names(int(number["flags"])),
            per_accelerator=by_one,
            source_url=word["url"] or "",
            first_seen=date.fromordinal(int(number["first"])),
        )


def concat(tables: Sequence[OfferTable]) -> OfferTable:
    """One table of the rows of several, in order."""
    if len(tables) == 1:
        return tables[0]
    if not tables:
        return empty()
    calendars: dict[str, Codes] = {}
    for table in tables:
        for scope, days in table.calendars.items():
            both = np.concatenate([calendars[scope], days]) if scope in calendars else days
            calendars[scope] = np.unique(both).astype(np.int32)
    return OfferTable(
        {name: _joined([table.texts[name] for table in tables]) for name in TEXTS},
        {
            name: np.concatenate([table.numbers[name] for table in tables]).astype(kind)
            for name, kind in NUMBERS.items()
        },
        calendars,
    )


def empty() -> OfferTable:
    """A table without rows."""
    return OfferTable(
        {name: constant(None, 0) for name in TEXTS},
        {name: np.empty(0, dtype=kind) for name, kind in NUMBERS.items()},
    )


def _joined(columns: Sequence[Coded]) -> Coded:
    index: dict[str, int] = {}
    parts = []
    for column in columns:
        recode = np.fromiter(
            (index.setdefault(word, len(index)) for word in column.vocabulary), np.int32, len(column.vocabulary)
        )
        parts.append(np.append(recode, np.int32(-1))[column.codes])
    return Coded(np.concatenate(parts).astype(np.int32), tuple(index))


def _listed(wanted: str | Iterable[str]) -> tuple[str, ...]:
    return (wanted,) if isinstance(wanted, str) else tuple(wanted)


def _known(value: Any) -> float | None:
    number = float(value)
    return None if np.isnan(number) else number


def _tidy(amount: Decimal) -> Decimal:
    """The same amount without trailing zeros and without an exponent."""
    return Decimal(f"{amount.normalize():f}") if amount.is_finite() else amount
