"""The SkyPilot catalogue, v5 to v8: one CSV per cloud, prices for the whole row, on demand and spot side by side.

The column set and order differ by cloud and version, so everything is read by name. A row without a spot price has no
spot market; a row without an accelerator is a machine and is kept apart.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from sublet.catalog import flags as quality
from sublet.catalog.loaders import gcp
from sublet.catalog.loaders.draft import Built, Draft, amount, build, each, price_text, spot_flags
from sublet.catalog.loaders.machines import machines_of
from sublet.catalog.loaders.outcome import Context, Loaded, provider_of, settle
from sublet.catalog.loaders.sheet import Sheet

FORM = "skypilot"


def fits(sheet: Sheet) -> bool:
    """InstanceType, AcceleratorName, AcceleratorCount, Price and Region, and no date column."""
    wanted = sheet.has("instancetype", "acceleratorname", "acceleratorcount", "price", "region")
    return wanted and not (sheet.has("commitdate") or sheet.has("committime"))


def load(sheet: Sheet, context: Context) -> Loaded:
    """Offers of one cloud; GCP's accelerator rows are joined with their hosts."""
    provider = provider_of(sheet, context)
    name, shape, count = sheet.column("acceleratorname"), sheet.column("instancetype"), sheet.column("acceleratorcount")
    price, spot = sheet.column("price"), sheet.column("spotprice")
    region, zone = places(sheet.column("region"), sheet.column("availabilityzone"))
    others: dict[int, str] = {}
    whole: list[int] = []  # rows that are a node or a TPU slice
    bare: list[int] = []  # accelerators without a machine
    plain: list[int] = []  # machines without an accelerator
    complaints: list[tuple[int, str, str]] = []
    for row in range(len(sheet)):
        if name[row]:
            (whole if shape[row] or name[row].casefold().startswith("tpu") else bare).append(row)
        elif not shape[row]:
            complaints.append((row, "no-name", "neither an instance type nor an accelerator is named"))
        else:
            plain.append(row)
            others[row] = "unnamed" if (number := amount(count[row])) == number and number > 0 else "machine"
    machines, broken = machines_of(
        sheet, plain, provider=provider, scope=f"{FORM}/{provider}", when=context.when, region=region, zone=zone
    )
    for row, reason, text in broken:
        complaints.append((row, reason, text))
        del others[row]
    place = [f"{one}/{two}" for one, two in zip(region, zone, strict=True)]
    nodes = gcp.nodes(bare, plain, name=name, count=count, shape=shape, place=place, price=price, spot=spot)
    reader = _Reader(sheet, context, provider, region, zone)
    reader.add(whole, whole, [price[r] for r in whole], [spot[r] for r in whole], [shape[r] for r in whole], "")
    for with_host, flag in ((True, "host-included"), (False, "accelerator-only")):
        some = [node for node in nodes if (node.host is not None) == with_host]
        rows = [node.row for node in some]
        hosts = [node.row if node.host is None else node.host for node in some]
        reader.add(rows, hosts, [n.price for n in some], [n.spot for n in some], [n.shape for n in some], flag)
    joined = {node.row for node in nodes}
    complaints += [
        (row, price_text(price[row])[1] or "no-price", "no price is stated") for row in bare if row not in joined
    ]
    return settle(sheet, FORM, reader.drafts, others, refused=complaints, machines=machines)


class _Reader:
    """Makes the on-demand and the spot draft of rows that have both prices side by side."""

    def __init__(
        self, sheet: Sheet, context: Context, provider: str, region: Sequence[str], zone: Sequence[str]
    ) -> None:
        self.sheet, self.when, self.provider = sheet, context.when, provider
        self.region, self.zone = region, zone
        self.name, self.count = sheet.column("acceleratorname"), sheet.column("acceleratorcount")
        self.vcpus, self.memory = sheet.column("vcpus"), sheet.column("memorygib")
        self.price, self.spot = sheet.column("price"), sheet.column("spotprice")
        info = sheet.column("gpuinfo")
        self.chip_memory, self.interconnect = each(chip_memory_gib, info), each(form_factor, info)
        self.drafts: list[tuple[Draft, Built]] = []

    def add(
        self,
        rows: Sequence[int],
        hosts: Sequence[int],  # the rows that state CPU and memory
        price: Sequence[str],
        spot: Sequence[str],
        shape: Sequence[str],
        flag: str,
    ) -> None:
        if not rows:
            return
        flags = quality.bits([flag] if flag else []) | quality.bits(["undated"] if self.when.undated else [])
        on_demand = [i for i in range(len(rows)) if price[i] or not spot[i]]
        interruptible = [i for i in range(len(rows)) if spot[i]]
        for market, cells, chosen in (("on-demand", price, on_demand), ("spot", spot, interruptible)):
            if not chosen:
                continue
            masks = np.full(len(chosen), flags, dtype=np.int64)
            if market == "spot":
                masks |= spot_flags([self.price[rows[i]] for i in chosen], [self.spot[rows[i]] for i in chosen])
            draft = Draft(
                sheet=self.sheet,
                feed=FORM,
                scope=f"{FORM}/{self.provider}",
                rows=[rows[i] for i in chosen],
                price=[cells[i] for i in chosen],
                first=self.when.first,
                last=self.when.last,
                verified=self.when.first,
                provider=self.provider,
                market=market,
                shape=[
                    shape[i] or (self.name[rows[i]] if self.name[rows[i]].startswith("tpu") else "") for i in chosen
                ],
                raw=[self.name[rows[i]] for i in chosen],
                count=[self.count[rows[i]] for i in chosen],
                region=[self.region[rows[i]] for i in chosen],
                zone=[self.zone[rows[i]] for i in chosen],
                vcpus=[self.vcpus[hosts[i]] for i in chosen],
                memory_gib=[self.memory[hosts[i]] for i in chosen],
                accelerator_memory_gib=[self.chip_memory[rows[i]] for i in chosen],
                interconnect=[self.interconnect[rows[i]] for i in chosen],
                flags=masks,
                calendars={f"{FORM}/{self.provider}": [self.when.first, self.when.last]},
            )
            self.drafts.append((draft, build(draft)))


def chip_memory_gib(info: str) -> str:
    """Memory of one accelerator from a GpuInfo cell, "" where it does not say.

    The cell is a Python literal, JSON, a mixture of both, cut off, or a bare name; only the size of one accelerator is
    read (the total is that of one accelerator in some clouds and that of the node in others).
    """
    found = re.search(r"MemoryInfo\W+SizeInMiB\W+(\d+(?:\.\d+)?)", info)
    return f"{float(found[1]) / 1024:.3f}" if found else ""


def form_factor(info: str) -> str:
    """ "PCIe", "SXM" or "NVL" where the GpuInfo cell names it."""
    found = re.search(r"\b(PCIe|SXM\d?|NVL)\b", info, re.IGNORECASE)
    return found[1] if found else ""


_PLACE = re.compile(r"(?P<place>.*), (?P<country>[A-Z]{2}), (?P<continent>[A-Z]{2})")


def places(regions: Sequence[str], zones: Sequence[str]) -> tuple[list[str], list[str]]:
    """Region and zone in one spelling: "Denmark, DK, EU" -> ("DK", "Denmark"); OCI's capital domains as its others."""
    made: dict[tuple[str, str], tuple[str, str]] = {}
    for pair in set(zip(regions, zones, strict=True)):
        region, zone = pair
        found = _PLACE.fullmatch(region)
        if found and not zone:
            made[pair] = (found["country"], found["place"].strip())
        elif zone.startswith(region.upper()) and region != region.upper():
            made[pair] = (region, region + zone[len(region) :])
        else:
            made[pair] = pair
    pairs = [made[pair] for pair in zip(regions, zones, strict=True)]
    return [region for region, _ in pairs], [zone for _, zone in pairs]
