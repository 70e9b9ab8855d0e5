"""tardellirs/gpu-pricing: single accelerators with their interconnect and tier, collected by hand.

    id, provider_id, gpu_model, gpu_brand, vram_gb, interconnect, tier, is_spot, price_usd_hour, vcpu, ram_gb, notes,
    caveats, source_url, collected_at

The caveats are prose; what they say about the price becomes flags, and the size of a node that is only sold whole
becomes the minimum.
"""

from __future__ import annotations

import re

import numpy as np

from sublet.catalog import flags as quality
from sublet.catalog import rules
from sublet.catalog.loaders.draft import Draft, build, each
from sublet.catalog.loaders.fields import day_of
from sublet.catalog.loaders.outcome import Context, Loaded, settle
from sublet.catalog.loaders.sheet import Sheet

FORM = "tardellirs"
CAVEATS = (
    (re.compile(r"estimated", re.IGNORECASE), "estimated"),
    (re.compile(r"billed separately", re.IGNORECASE), "extras-billed"),
    (
        re.compile(r"min(imum)? (live offer|price)|cheapest (live offer|host)|marketplace:", re.IGNORECASE),
        "marketplace",
    ),
)
SOLD_WHOLE = re.compile(r"sold in (\d+)x", re.IGNORECASE)


def fits(sheet: Sheet) -> bool:
    """A provider, a GPU model, a tier and a price in dollars per hour."""
    return sheet.has("providerid", "gpumodel", "priceusdhour", "tier")


def load(sheet: Sheet, context: Context) -> Loaded:
    """One offer per row, priced by the accelerator."""
    caveats = sheet.column("caveats")
    days = [day or context.when.last for day in each(day_of, sheet.column("collectedat"))]
    tiers = zip(sheet.column("tier"), sheet.column("isspot"), strict=True)
    day = np.array(days, dtype=np.int64)
    draft = Draft(
        sheet=sheet,
        feed=FORM,
        scope=FORM,
        rows=range(len(sheet)),
        price=sheet.column("priceusdhour"),
        first=day,
        last=day,
        provider=context.provider or sheet.column("providerid"),
        market=[_market(tier, spot) for tier, spot in tiers],
        raw=sheet.column("gpumodel"),
        minimum=each(_minimum, caveats),
        per_accelerator=True,
        vcpus=sheet.column("vcpu"),
        memory_gib=sheet.column("ramgb"),
        accelerator_memory_gib=sheet.column("vramgb"),
        interconnect=sheet.column("interconnect"),
        url=sheet.column("sourceurl"),
        flags=np.array(each(_flags, caveats), dtype=np.int64),
        calendars={FORM: sorted(set(days))},
    )
    return settle(sheet, FORM, [(draft, build(draft))])


def _market(tier: str, spot: str) -> str:
    known = rules.market(tier)
    return "spot" if spot.casefold() == "true" and known == "on-demand" else known


def _flags(caveats: str) -> int:
    return quality.bits(flag for look, flag in CAVEATS if look.search(caveats))


def _minimum(caveats: str) -> str:
    found = SOLD_WHOLE.search(caveats)
    return found[1] if found else "1"
