"""gpurentalprices.com: what providers ask per GPU and hour, read every day.

    date, provider, gpu, vram_gb, usd_hr, kind, min_gpus, fetched_at, source_url        all days in one CSV
    {"date", "offers": [{provider, gpu, vram_gb, usd_hr, kind, ...}], "providers": {name: {ok, last_verified, stale}}}

A provider that could not be read is carried forward from the day before; its rows then were fetched on an earlier day
than they stand on, and say so. Several prices of one chip on one day are several products: all are kept.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from sublet.catalog import flags as quality
from sublet.catalog.intervals import combined, snapshots
from sublet.catalog.loaders.draft import Draft, build, each, price_text
from sublet.catalog.loaders.fields import day_of, days_of, undated
from sublet.catalog.loaders.outcome import Context, Facts, Loaded, settle
from sublet.catalog.loaders.sheet import Sheet, Unreadable
from sublet.catalog.table import encode

FORM = "gpurentalprices"
KEYS = ("provider", "gpu", "vramgb", "kind", "mingpus", "sourceurl")
FAILURES = ("date", "provider", "ok", "stale", "last_verified", "error")


def fits(sheet: Sheet) -> bool:
    """Offers per GPU, or the list of days on which a provider could not be read."""
    return sheet.has("provider", "gpu", "usdhr", "kind") or sheet.has("date", "provider", "ok", "lastverified")


def load(sheet: Sheet, context: Context) -> Loaded:
    """Intervals over which a provider asked one price for one product."""
    if not sheet.has("usdhr"):
        return _failures(sheet)
    if sheet.has("date"):
        days = days_of(sheet, "date")
    else:
        days = [day_of(str(sheet.extra.get("date", ""))) or context.when.last] * len(sheet)
    fetched = each(day_of, sheet.column("fetchedat"))
    stale = _stale(sheet.extra.get("providers"))
    provider = sheet.column("provider")
    seen = np.array(
        [
            min(stale.get(name, day), read or day, day) if day else 0
            for name, read, day in zip(provider, fetched, days, strict=True)
        ],
        dtype=np.int64,
    )
    prices = each(price_text, sheet.column("usdhr"))
    gpu = sheet.column("gpu")
    broken = undated(days)
    broken += [
        (row, prices[row][1] or "no-accelerator", "no usable price" if prices[row][1] else "no accelerator is named")
        for row in range(len(sheet))
        if days[row] and (prices[row][1] or not gpu[row])
    ]
    lost = {row for row, _, _ in broken}
    rows = np.array([row for row in range(len(sheet)) if row not in lost], dtype=np.int64)
    day = np.array(days, dtype=np.int64)
    calendar = np.unique(day[rows])
    # a carried row belongs to the day on which it was really read
    carried = seen < day
    words = [encode(sheet.column(column)).codes[rows] for column in KEYS]
    key = combined(*words, encode([text for text, _ in prices]).codes[rows], np.where(carried, seen, 0)[rows])
    runs = snapshots(key, day[rows], calendar)
    chosen = rows[runs.row]

    def of(column: str) -> list[str]:
        cells = sheet.column(column)
        return [cells[row] for row in chosen.tolist()]

    draft = Draft(
        sheet=sheet,
        feed=FORM,
        scope=FORM,
        rows=chosen.tolist(),
        price=of("usdhr"),
        first=runs.first,
        last=runs.last,
        verified=np.where(carried[chosen], seen[chosen], runs.last),
        until=runs.until,
        provider=context.provider or of("provider"),
        market=of("kind"),
        raw=of("gpu"),
        minimum=[cell or "1" for cell in of("mingpus")],
        per_accelerator=True,
        accelerator_memory_gib=of("vramgb"),
        url=of("sourceurl"),
        flags=np.where(carried[chosen], quality.BIT["carried-forward"], 0),
        calendars={FORM: calendar.tolist()},
    )
    return settle(sheet, FORM, [(draft, build(draft))], dict.fromkeys(rows.tolist(), "sighting"), refused=broken)


def _stale(providers: Any) -> dict[str, int]:
    """Provider -> the day on which a provider marked stale was last really read."""
    found: dict[str, int] = {}
    for name, state in providers.items() if isinstance(providers, dict) else ():
        if isinstance(state, dict) and str(state.get("stale")).casefold() == "true":
            read = day_of(str(state.get("last_verified", "")))
            if read:
                found[name] = read
    return found


def _failures(sheet: Sheet) -> Loaded:
    if not len(sheet):
        raise Unreadable("header-only", f"{sheet.path} holds no rows")
    columns = [sheet.column(name.replace("_", "")) for name in FAILURES]
    rows = tuple(zip(*columns, strict=True))
    return settle(sheet, FORM, [], dict.fromkeys(range(len(sheet)), "fact"), facts=Facts("failures", FAILURES, rows))
