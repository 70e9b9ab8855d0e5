"""The Full Stack Deep Learning tables of cloud and of serverless GPUs.

    Cloud, GPU Type, GPU Arch, GPUs, GPU RAM, vCPUs, RAM, On-demand, Per-GPU, Spot, Name
    Vendor, GPU Type, GPU Arch, GPUs, GPU RAM, vCPUs, RAM, Per-Hour, Per-GPU

On-demand, Spot and Per-Hour are for the row. GPU RAM is that of one GPU in some rows and that of the node in others, so
it is used only where one GPU stands in the row; elsewhere the name says it ("A100 (80 GB)").
"""

from __future__ import annotations

import numpy as np

from sublet.catalog import flags as quality
from sublet.catalog.loaders.draft import Built, Draft, amount, build, each, price_text, spot_flags
from sublet.catalog.loaders.outcome import Context, Loaded, settle
from sublet.catalog.loaders.sheet import Sheet

FORM = "fsdl"
DISAGREE = 0.02  # the row's own two prices may differ by rounding, not by more


def fits(sheet: Sheet) -> bool:
    """A GPU type, a number of GPUs, a price per GPU, and a cloud or vendor."""
    return sheet.has("gputype", "gpus", "pergpu") and (sheet.has("cloud") or sheet.has("vendor"))


def load(sheet: Sheet, context: Context) -> Loaded:
    """Offers of one table; a row with a price per GPU only is multiplied up."""
    serverless = sheet.has("vendor")
    feed = "fsdl-serverless" if serverless else FORM
    count = sheet.column("gpus")
    whole = sheet.column("perhour" if serverless else "ondemand")
    by_one, spot = sheet.column("pergpu"), sheet.column("spot")
    memory = [gib if number in ("1", "1.0") else "" for gib, number in zip(sheet.column("gpuram"), count, strict=True)]
    price = [cell or _multiplied(one, number) for cell, one, number in zip(whole, by_one, count, strict=True)]
    mismatch = np.array(
        [_mismatch(cell, one, number) for cell, one, number in zip(whole, by_one, count, strict=True)], dtype=np.bool_
    )
    rows = range(len(sheet))
    drafts: list[tuple[Draft, Built]] = []
    columns = {
        "on-demand": (price, [row for row in rows if price[row] or not spot[row]]),
        "spot": (spot, [row for row in rows if spot[row]]),
    }
    for market, (cells, chosen) in columns.items():
        if not chosen:
            continue
        masks = np.where(mismatch[chosen], quality.BIT["price-mismatch"], 0) | _undated(context)
        if market == "spot":
            masks = masks | spot_flags([price[row] for row in chosen], [spot[row] for row in chosen])

        def of(column: str, chosen: list[int] = chosen) -> list[str]:
            cells = sheet.column(column)
            return [cells[row] for row in chosen]

        draft = Draft(
            sheet=sheet,
            feed=feed,
            scope=feed,
            rows=chosen,
            price=[cells[row] for row in chosen],
            first=context.when.first,
            last=context.when.last,
            verified=context.when.first,
            provider=context.provider or of("vendor" if serverless else "cloud"),
            market="serverless" if serverless else market,
            shape=[
                shape_name(cloud, name)
                for cloud, name in zip(of("vendor" if serverless else "cloud"), of("name"), strict=True)
            ],
            raw=of("gputype"),
            count=[count[row] for row in chosen],
            vcpus=of("vcpus"),
            memory_gib=of("ram"),
            accelerator_memory_gib=[memory[row] for row in chosen],
            flags=masks,
            calendars={feed: [context.when.first, context.when.last]},
        )
        drafts.append((draft, build(draft)))
    return settle(sheet, FORM, drafts)


def shape_name(cloud: str, name: str) -> str:
    """The instance type in the provider's own spelling: Azure's "NC24ads A100 v4" is Standard_NC24ads_A100_v4."""
    if name and cloud.casefold() == "azure" and not name.startswith(("Standard", "Basic")):
        return f"Standard_{name.replace(' ', '_')}"
    return name


def _undated(context: Context) -> int:
    return quality.BIT["undated"] if context.when.undated else 0


def _multiplied(one: str, count: str) -> str:
    price, number = price_text(one)[0], amount(count)
    return f"{float(price) * number:.6g}" if price and number == number else ""


def _mismatch(whole: str, one: str, count: str) -> bool:
    node, single = (each(price_text, [whole, one])[at][0] for at in (0, 1))
    number = amount(count)
    if not node or not single or not number > 0:
        return False
    rounding = 0.005 * number  # the price per GPU is rounded to the cent
    return abs(float(node) - float(single) * number) > DISAGREE * float(node) + rounding
