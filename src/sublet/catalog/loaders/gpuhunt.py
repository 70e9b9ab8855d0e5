"""gpuhunt: catalogue items (one row per instance type, place and tier) and its list of TPU prices.

    instance_name, location, price, cpu, memory, gpu_count, gpu_name, gpu_memory, spot, disk_size [, provider, ...]
    TPU, Region, Location, On Demand (USD), Spot (USD)

An item's price is for the instance and its gpu_memory for one GPU; a TPU price is for one chip.
"""

from __future__ import annotations

import numpy as np

from sublet.catalog import flags as quality
from sublet.catalog.loaders.draft import Built, Draft, amount, build, spot_flags
from sublet.catalog.loaders.outcome import Context, Loaded, provider_of, settle
from sublet.catalog.loaders.sheet import Sheet

FORM = "gpuhunt"


def fits(sheet: Sheet) -> bool:
    """Items with a GPU count, or TPU prices by region."""
    items = sheet.has("instancename", "location", "price", "gpucount", "gpuname")
    return items or (sheet.has("tpu", "region") and any(key.startswith("ondemand") for key in sheet.keys))


def load(sheet: Sheet, context: Context) -> Loaded:
    """Offers; an item without a GPU is a machine and is counted as one."""
    return _tpus(sheet, context) if sheet.has("tpu") else _items(sheet, context)


def _items(sheet: Sheet, context: Context) -> Loaded:
    provider = sheet.column("provider")
    if not all(provider):
        told = provider_of(sheet, context)
        provider = [name or told for name in provider]
    if context.provider:
        provider = [context.provider] * len(sheet)
    name, count = sheet.column("gpuname"), sheet.column("gpucount")
    rows = [row for row in range(len(sheet)) if name[row] and amount(count[row]) != 0]
    others = dict.fromkeys(set(range(len(sheet))) - set(rows), "machine")

    def of(column: str) -> list[str]:
        cells = sheet.column(column)
        return [cells[row] for row in rows]

    spot = [cell.casefold() in ("true", "1", "yes") for cell in of("spot")]
    providers = [provider[row] for row in rows]
    draft = Draft(
        sheet=sheet,
        feed=FORM,
        scope=[f"{FORM}/{one}" for one in providers],
        rows=rows,
        price=of("price"),
        first=context.when.first,
        last=context.when.last,
        verified=context.when.first,
        provider=providers,
        market=["spot" if one else "on-demand" for one in spot],
        shape=of("instancename"),
        raw=of("gpuname"),
        count=of("gpucount"),
        region=of("location"),
        vcpus=of("cpu"),
        memory_gib=of("memory"),
        accelerator_memory_gib=of("gpumemory"),
        flags=_undated(context),
        calendars={f"{FORM}/{one}": [context.when.first, context.when.last] for one in set(providers)},
    )
    return settle(sheet, FORM, [(draft, build(draft))], others)


def _tpus(sheet: Sheet, context: Context) -> Loaded:
    on_demand = sheet.column(next(key for key in sheet.keys if key.startswith("ondemand")))
    spot = sheet.column(next((key for key in sheet.keys if key.startswith("spot")), "spot"))
    name, region, place = sheet.column("tpu"), sheet.column("region"), sheet.column("location")
    drafts: list[tuple[Draft, Built]] = []
    for market, cells in (("on-demand", on_demand), ("spot", spot)):
        rows = [row for row in range(len(sheet)) if cells[row] or (market == "on-demand" and not spot[row])]
        if not rows:
            continue
        masks = spot_flags([on_demand[row] for row in rows], [spot[row] for row in rows]) if market == "spot" else 0
        draft = Draft(
            sheet=sheet,
            feed="gpuhunt-tpu",
            scope="gpuhunt-tpu",
            rows=rows,
            price=[cells[row] for row in rows],
            first=context.when.first,
            last=context.when.last,
            verified=context.when.first,
            provider=context.provider or "gcp",
            market=market,
            raw=[name[row] for row in rows],
            minimum="1",
            per_accelerator=True,
            region=[region[row] for row in rows],
            zone=[place[row] for row in rows],
            flags=np.full(len(rows), _undated(context), dtype=np.int64) | masks,
            calendars={"gpuhunt-tpu": [context.when.first, context.when.last]},
        )
        drafts.append((draft, build(draft)))
    return settle(sheet, FORM, drafts)


def _undated(context: Context) -> int:
    return quality.BIT["undated"] if context.when.undated else 0
