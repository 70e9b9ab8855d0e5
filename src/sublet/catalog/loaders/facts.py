"""Files that hold no price but belong beside the offers: interruption rates and lists of who offers what.

Region, InstanceType, ..., SavingsPct, InterruptionIndex, InterruptionRange       AWS Spot Advisor
AcceleratorName, Clouds                                                           SkyPilot's index of accelerators
"""

from __future__ import annotations

from datetime import date

from sublet.catalog.loaders.outcome import Context, Facts, Loaded, settle
from sublet.catalog.loaders.sheet import Sheet

INTERRUPTIONS = (
    "provider",
    "region",
    "shape",
    "savings_percent",
    "interruption_index",
    "interruption_range",
    "seen_at",
)

LISTINGS = ("accelerator", "clouds", "seen_at")


def fits(sheet: Sheet) -> bool:
    """Interruption ranges, or accelerators with their clouds."""
    return sheet.has("instancetype", "interruptionrange") or set(sheet.keys) == {"acceleratorname", "clouds"}


def load(sheet: Sheet, context: Context) -> Loaded:
    """Every row is a fact; a row without its key is refused."""
    seen = date.fromordinal(context.when.last).isoformat()
    header: tuple[str, ...]
    if sheet.has("clouds"):
        name, header = "listings", LISTINGS
        columns = [sheet.column("acceleratorname"), sheet.column("clouds"), [seen] * len(sheet)]
        keys = columns[0]
    else:
        name, header = "interruptions", INTERRUPTIONS
        keys = sheet.column("instancetype")
        columns = [
            [context.provider or "aws"] * len(sheet),
            sheet.column("region"),
            keys,
            sheet.column("savingspct"),
            sheet.column("interruptionindex"),
            sheet.column("interruptionrange"),
            [seen] * len(sheet),
        ]
    missing = [(row, "no-name", "the row does not say what it is about") for row, key in enumerate(keys) if not key]
    others = {row: "fact" for row, key in enumerate(keys) if key}
    rows = tuple(row for row, key in zip(zip(*columns, strict=True), keys, strict=True) if key)
    return settle(sheet, "facts", [], others, refused=missing, facts=Facts(name, header, rows))
