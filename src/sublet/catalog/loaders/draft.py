"""From a loader's raw columns to offers: prices and counts parsed, names resolved, what cannot be an offer refused.

A loader hands over text columns (a list with one entry per offer, or one word for all of them) and says which input
row each offer comes from. Invariant: every offer handed over comes out in the table, or as a repeat of one that does,
or as a part of an accelerator, or refused with a reason.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from sublet.catalog import flags as quality
from sublet.catalog import rules
from sublet.catalog.intervals import FOREVER, combined
from sublet.catalog.loaders.sheet import Sheet
from sublet.catalog.names import resolve
from sublet.catalog.table import Coded, OfferTable, constant, encode

T = TypeVar("T")
Texts = Sequence[str] | str
Days = NDArray[np.int64] | int

NO_PRICE = frozenset({"", "-", "na", "n/a", "nan", "none", "null"})
SAME_PRICE = 5e-5  # dollars an hour
TOO_DEAR = 1_000_000  # per hour: no node costs that, so the cell holds something else


@dataclass
class Draft:
    """Offers as a loader reads them. `rows` are positions in the sheet; a word instead of a list holds for all."""

    sheet: Sheet
    feed: str
    scope: Texts
    rows: Sequence[int]
    price: Sequence[str]
    first: Days
    last: Days
    provider: Texts
    market: Texts
    shape: Texts = ""
    raw: Texts = ""
    count: Texts = ""  # "" asks the name ("tpu-v5p-8") or the instance type
    minimum: Texts = ""  # "" is the count
    per_accelerator: bool = False
    region: Texts = ""
    zone: Texts = ""
    currency: Texts = ""
    vcpus: Texts = ""
    memory_gib: Texts = ""
    accelerator_memory_gib: Texts = ""
    interconnect: Texts = ""
    url: Texts = ""
    file: Texts = ""  # where the row comes from; "" is the sheet
    verified: Days | None = None
    until: Days = FOREVER
    flags: NDArray[np.int64] | int = 0
    calendars: dict[str, list[int]] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Built:
    """What became of a draft, in positions of its `rows`."""

    table: OfferTable
    kept: NDArray[np.int64]  # positions that became the rows of `table`, in its order
    repeats: list[int]  # the same offer stands there a second time
    parts: list[int]  # less than one accelerator: known, and nothing to rent for a job
    refused: list[tuple[int, str, str]]  # position, reason, detail


@lru_cache(maxsize=1 << 17)
def price_text(cell: str) -> tuple[str, str]:
    """(exact decimal text, "") or ("", reason): "$1,234.50" -> "1234.5"."""
    word = cell.strip().lstrip("$€£").replace(",", "").strip()
    if word.casefold() in NO_PRICE:
        return "", "no-price"
    try:
        amount = Decimal(word)
    except InvalidOperation:
        return "", "bad-price"
    if not amount.is_finite() or amount >= TOO_DEAR:
        return "", "bad-price"
    if amount < 0:
        return "", "negative-price"
    if amount == 0:
        return "", "zero-price"
    return f"{amount.normalize():f}", ""


def spot_flags(on_demand: Sequence[str], spot: Sequence[str]) -> NDArray[np.int64]:
    """Flags of spot prices that are not below the on-demand price beside them, (rows,).

    Equal means equal to the fourth decimal: some sources round one of the two.
    """
    masks = np.zeros(len(spot), dtype=np.int64)
    for i, pair in enumerate(zip(on_demand, spot, strict=True)):
        one, two = (price_text(cell)[0] for cell in pair)
        if one and two:
            gap = float(two) - float(one)
            if abs(gap) < SAME_PRICE:
                masks[i] = quality.BIT["spot-equals-on-demand"]
            elif gap > 0:
                masks[i] = quality.BIT["spot-above-on-demand"]
    return masks


@lru_cache(maxsize=1 << 16)
def amount(cell: str) -> float:
    """A quantity, NaN where there is none; of a range ("20-26") the lower end, which is what can be relied on."""
    found = re.match(r"\s*(\d{1,9}(?:\.\d+)?)(?!\d)", cell)
    return float(found[1]) if found else float("nan")


def each(convert: Callable[[str], T], cells: Sequence[str]) -> list[T]:
    """`convert` of every cell, computed once per distinct one."""
    made = {cell: convert(cell) for cell in set(cells)}
    return [made[cell] for cell in cells]


def build(draft: Draft) -> Built:
    """Parse, resolve and refuse; see the module's text."""
    size = len(draft.rows)
    prices = each(price_text, draft.price)
    refused = [(i, reason, _price_detail(reason, draft.price[i])) for i, (_, reason) in enumerate(prices) if reason]
    providers = _convert(rules.provider_id, draft.provider, size)
    meant = _resolved(draft, size)
    alive, parts = [], []
    for i in range(size):
        if prices[i][1]:
            continue
        count, share, kind, _ = meant[i]
        if not providers[i]:
            refused.append((i, "no-provider", "no provider is named: say which with --provider"))
        elif kind == "none":
            refused.append((i, "no-accelerator", "neither the row nor its instance type names an accelerator"))
        elif kind == "slice" or share < 1 or (0 < count < 1 and not draft.per_accelerator):
            parts.append(i)
        elif not draft.per_accelerator and (count < 1 or count != int(count)):
            refused.append((i, "bad-count", f'"{_at(draft.count, i)}" is no number of accelerators'))
        else:
            alive.append(i)
    chosen, repeats, variant = _distinct(draft, prices, meant, providers, np.array(alive, dtype=np.int64))
    table = _table(draft, prices, meant, providers, chosen).with_flag("several-prices", variant)
    return Built(table, chosen, repeats, parts, refused)


# one entry per offer: accelerators in the row, share of one accelerator, kind of resolution, (name, candidates)
Meaning = tuple[float, float, str, tuple[str, str]]


def _resolved(draft: Draft, size: int) -> list[Meaning]:
    columns = [
        _spread(column, size)
        for column in (
            draft.raw,
            draft.provider,
            draft.shape,
            draft.accelerator_memory_gib,
            draft.interconnect,
            draft.count,
        )
    ]
    known: dict[tuple[str, ...], Meaning] = {}
    meant = []
    for key in zip(*columns, strict=True):
        found = known.get(key)
        if found is None:
            found = known[key] = _meaning(*key)
        meant.append(found)
    return meant


def _meaning(raw: str, provider: str, shape: str, memory: str, interconnect: str, count: str) -> Meaning:
    gib = amount(memory)
    means = resolve(
        raw,
        provider=rules.provider_id(provider) or None,
        shape=shape or None,
        memory_gib=gib if gib > 0 else None,
        interconnect=interconnect or None,
    )
    stated = amount(count)
    hinted = means.count_hint
    if hinted and (np.isnan(stated) or (stated == 1 and raw.casefold().startswith("tpu"))):
        stated = hinted  # a TPU row counts slices, the name counts chips
    elif np.isnan(stated) and not count:
        stated = float(rules.accelerators_in(rules.provider_id(provider), shape) or (0 if shape else 1))
    kind = means.kind
    if kind == "slice" and stated >= 2 and stated == int(stated):
        kind = "ambiguous"  # parts are rented one by one: of several the listed memory is wrong, not the accelerator
    names = (means.accelerator or "", "" if means.accelerator else "|".join(means.candidates))
    return stated if not np.isnan(stated) else 0.0, means.share, kind, names


def _distinct(
    draft: Draft, prices: list[tuple[str, str]], meant: list[Meaning], providers: list[str], alive: NDArray[np.int64]
) -> tuple[NDArray[np.int64], list[int], NDArray[np.bool_]]:
    """Positions without exact repeats, the repeats, and which of the former share their key with another price."""
    if not len(alive):
        return alive, [], np.empty(0, dtype=np.bool_)
    picked = alive.tolist()
    texts = (
        *(draft.shape, draft.raw, draft.region, draft.zone, draft.market, draft.scope, draft.minimum),
        *(draft.vcpus, draft.memory_gib, draft.accelerator_memory_gib, draft.interconnect, draft.url, draft.currency),
    )
    words = [encode([providers[i] for i in picked])]
    words += [encode([column[i] for i in picked]) for column in texts if not isinstance(column, str)]
    days = [np.broadcast_to(np.asarray(day), len(draft.rows)) for day in (draft.first, draft.until)]
    key = combined(
        *(column.codes for column in words),
        np.array([meant[i][0] for i in picked], dtype=np.int64),
        *(day[alive] for day in days),
    )
    _, firsts = np.unique(combined(key, encode([prices[i][0] for i in picked]).codes), return_index=True)
    stays = np.zeros(len(alive), dtype=np.bool_)
    stays[firsts] = True
    _, group, size = np.unique(key[stays], return_inverse=True, return_counts=True)
    return alive[stays], alive[~stays].tolist(), size[group] > 1


def _table(
    draft: Draft, prices: list[tuple[str, str]], meant: list[Meaning], providers: list[str], chosen: NDArray[np.int64]
) -> OfferTable:
    size = len(chosen)
    picked = chosen.tolist()

    def text(column: Texts) -> Coded:
        return constant(column, size) if isinstance(column, str) else encode([column[i] for i in picked])

    def number(column: Texts) -> NDArray[np.float32]:
        if isinstance(column, str):
            return np.full(size, amount(column), dtype=np.float32)
        return np.array(each(amount, [column[i] for i in picked]), dtype=np.float32)

    def day(column: Days) -> NDArray[np.int64]:
        return np.full(size, column) if isinstance(column, int) else column[chosen]

    count = np.array([meant[i][0] for i in picked], dtype=np.float64)
    least = number(draft.minimum)
    least = np.where(least >= 1, least, np.maximum(count, 1))
    first, last = day(draft.first), day(draft.last)
    table = OfferTable(
        {
            "provider": encode([providers[i] for i in picked]),
            "shape": text(draft.shape),
            "accelerator": encode([meant[i][3][0] for i in picked]),
            "accelerator_raw": text(draft.raw),
            "candidates": encode([meant[i][3][1] for i in picked]),
            "region": text(draft.region),
            "zone": text(draft.zone),
            "market": _mapped(text(draft.market), rules.market),
            "price": encode([prices[i][0] for i in picked]),
            "currency": constant("USD", size),
            "feed": constant(draft.feed, size),
            "scope": text(draft.scope),
            "file": text(draft.file or draft.sheet.label),
            "url": text(draft.url),
        },
        {
            "count": (least if draft.per_accelerator else count).astype(np.int32),
            "minimum": least.astype(np.int32),
            "per_accelerator": np.full(size, draft.per_accelerator),
            "vcpus": number(draft.vcpus),
            "memory_gib": number(draft.memory_gib),
            "first": first.astype(np.int32),
            "last": last.astype(np.int32),
            "verified": (last if draft.verified is None else day(draft.verified)).astype(np.int32),
            "until": day(draft.until).astype(np.int32),
            "line": np.array([draft.sheet.lines[draft.rows[i]] for i in picked], dtype=np.int32),
            "flags": day(draft.flags),
        },
        {scope: np.unique(np.array(days, dtype=np.int32)) for scope, days in draft.calendars.items()},
    )
    for flag, kinds in _FLAG_OF_KIND.items():
        table = table.with_flag(flag, np.array([meant[i][2] in kinds for i in picked], dtype=np.bool_))
    return _with_standing(table, draft, picked)


_FLAG_OF_KIND = {
    "ambiguous-accelerator": ("ambiguous",),
    "unknown-accelerator": ("unknown",),
    "not-accelerator": ("not-accelerator",),
}


def _with_standing(table: OfferTable, draft: Draft, picked: list[int]) -> OfferTable:
    """Currency (as the row says, else as the rules say, else US dollars) and the flags that rules give."""
    if not picked:
        return table
    provider, region = table.texts["provider"], table.texts["region"]
    _, examples, group = np.unique(combined(provider.codes, region.codes), return_index=True, return_inverse=True)
    ruled = [rules.standing(draft.feed, provider.word(int(i)) or "", region.word(int(i)) or "") for i in examples]
    stated = [_at(draft.currency, i).upper() for i in picked]
    words = [word or ruled[place][0] or "USD" for word, place in zip(stated, group.tolist(), strict=True)]
    table = OfferTable({**table.texts, "currency": encode(words)}, table.numbers, table.calendars)
    added = np.array([quality.bits(flags) for _, flags in ruled], dtype=np.int64)[group]
    table = table.with_numbers(flags=table.ints("flags") | added)
    return table.with_flag("foreign-currency", ~table.texts["currency"].where(["USD"]))


def _mapped(column: Coded, convert: Callable[[str], str]) -> Coded:
    meant = encode([convert(word) for word in column.vocabulary])
    return Coded(np.append(meant.codes, np.int32(-1))[column.codes], meant.vocabulary)


def _convert(convert: Callable[[str], str], column: Texts, size: int) -> list[str]:
    return [convert(column)] * size if isinstance(column, str) else each(convert, column)


def _spread(column: Texts, size: int) -> Sequence[str]:
    return [column] * size if isinstance(column, str) else column


def _at(column: Texts, i: int) -> str:
    return column if isinstance(column, str) else column[i]


def _price_detail(reason: str, cell: Any) -> str:
    return {
        "no-price": "no price is stated",
        "zero-price": f'"{cell}": zero is not a price',
        "negative-price": f'"{cell}" is below zero',
    }.get(reason, f'"{cell}" is no price')
