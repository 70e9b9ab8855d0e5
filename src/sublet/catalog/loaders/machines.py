"""Machines without an accelerator: kept as rows of their own table, so that nothing a file says is lost.

They are no offers for a job (their `count` is 0 and no name is resolved), but GCP's nodes are made with them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sublet.catalog.intervals import FOREVER
from sublet.catalog.loaders.draft import amount, each, price_text
from sublet.catalog.loaders.outcome import When
from sublet.catalog.loaders.sheet import Sheet
from sublet.catalog.table import OfferTable, concat, constant, encode


def machines_of(
    sheet: Sheet,
    rows: Sequence[int],
    *,
    provider: str,
    scope: str,
    when: When,
    region: Sequence[str],
    zone: Sequence[str],
) -> tuple[OfferTable | None, list[tuple[int, str, str]]]:
    """The machines of some rows of a SkyPilot sheet, and the rows that have no usable price at all."""
    if not rows:
        return None, []
    tables, priced, problems = [], set(), {}
    for market, column in (("on-demand", "price"), ("spot", "spotprice")):
        cells = sheet.column(column)
        prices = dict(zip(rows, each(price_text, [cells[row] for row in rows]), strict=True))
        good = [row for row in rows if prices[row][0]]
        priced.update(good)
        if market == "on-demand" or not priced:
            problems = {row: prices[row][1] for row in rows if not prices[row][0]}
        if good:
            tables.append(
                _table(sheet, good, [prices[row][0] for row in good], market, provider, scope, when, region, zone)
            )
    broken = [
        (row, reason, "a machine without a price" if reason == "no-price" else "zero is not a price")
        for row, reason in problems.items()
        if row not in priced
    ]
    return (concat(tables) if tables else None), broken


def _table(
    sheet: Sheet,
    rows: Sequence[int],
    price: Sequence[str],
    market: str,
    provider: str,
    scope: str,
    when: When,
    region: Sequence[str],
    zone: Sequence[str],
) -> OfferTable:
    size = len(rows)

    def numbers(column: str) -> np.ndarray:
        cells = sheet.column(column)
        return np.array(each(amount, [cells[row] for row in rows]), dtype=np.float32)

    shapes = sheet.column("instancetype")
    whole = np.full(size, 0, dtype=np.int32)
    return OfferTable(
        {
            "provider": constant(provider, size),
            "shape": encode([shapes[row] for row in rows]),
            "accelerator": constant(None, size),
            "accelerator_raw": constant(None, size),
            "candidates": constant(None, size),
            "region": encode([region[row] for row in rows]),
            "zone": encode([zone[row] for row in rows]),
            "market": constant(market, size),
            "price": encode(price),
            "currency": constant("USD", size),
            "feed": constant("skypilot", size),
            "scope": constant(scope, size),
            "file": constant(sheet.label, size),
            "url": constant(None, size),
        },
        {
            "count": whole,
            "minimum": whole,
            "per_accelerator": whole.astype(np.bool_),
            "vcpus": numbers("vcpus"),
            "memory_gib": numbers("memorygib"),
            "first": np.full(size, when.first, dtype=np.int32),
            "last": np.full(size, when.last, dtype=np.int32),
            "verified": np.full(size, when.first, dtype=np.int32),
            "until": np.full(size, FOREVER, dtype=np.int32),
            "line": np.array([sheet.lines[row] for row in rows], dtype=np.int32),
            "flags": whole.astype(np.int64),
        },
        {scope: np.unique(np.array([when.first, when.last], dtype=np.int32))},
    )
