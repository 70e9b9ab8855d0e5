"""The registry of shapes: instance types, TPU slices and reference boards with the fabric between their accelerators.

Invariant: a figure that nobody checked is named in `unverified` and, where it is the network, in the fabric's
`assumption`. TPU slices are made from their names, so that any size that a catalogue lists is found.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from functools import lru_cache
from math import prod
from pathlib import Path
from types import MappingProxyType

from sublet.catalog.accelerator import Accelerator
from sublet.catalog.accelerators import accelerators
from sublet.catalog.fabrics import built, fabric_for, networks
from sublet.catalog.names import resolve
from sublet.catalog.rules import provider_id
from sublet.catalog.shape import Shape

DATA = Path(__file__).parent / "data"


@lru_cache(maxsize=1)
def shapes() -> Mapping[tuple[str, str], Shape]:
    """All shapes of the data by (provider, name), in the order of the file; TPU slices are found by name alone."""
    with (DATA / "shape_sources.csv").open(encoding="utf-8", newline="") as file:
        citations = {row["key"]: f"{row['citation']} [{row['date']}]" for row in csv.DictReader(file)}
    chips = accelerators()
    with (DATA / "shapes.csv").open(encoding="utf-8", newline="") as file:
        found = [_read(row, chips[row["accelerator"]], citations[row["source"]]) for row in csv.DictReader(file)]
    return MappingProxyType({(shape.provider, shape.name): shape for shape in found})


@lru_cache(maxsize=16384)
def find(provider: str, name: str) -> Shape | None:
    """The shape that `provider` calls `name`, both in any case; None where it is not known."""
    where = provider_id(provider)
    known = _folded().get((where, _key(where, name)))
    if known is not None:
        return known
    return tpu_slice(name) if where == "gcp" else None


@lru_cache(maxsize=1)
def _folded() -> Mapping[tuple[str, str], Shape]:
    return {(provider, _key(provider, name)): shape for (provider, name), shape in shapes().items()}


def _key(provider: str, name: str) -> str:
    key = name.strip().casefold().replace(" ", "_")
    if provider == "azure" and not key.startswith("standard_"):
        key = f"standard_{key}"
    return key


def tpu_slice(name: str) -> Shape | None:
    """The TPU slice of that name ("tpu-v5p-8", "v6e-256", "tpu7x-4x4x4"); None where it names no slice.

    The sides of the torus are those of the name, else the usual ones of that many chips.
    """
    meant = resolve(name)
    if meant.accelerator is None or meant.count_hint is None:
        return None
    chip = accelerators()[meant.accelerator]
    chips = meant.count_hint
    if chip.vendor != "Google" or not chip.topology.startswith("torus") or chips > chip.scale_up_domain:
        return None
    fabric = fabric_for(chip, None, chips, "gcp")
    return Shape(
        provider="gcp",
        name=name,
        accelerator=chip.name,
        count=chips,
        vcpus=None,
        memory_gib=None,
        fabric=fabric,
        source=fabric.source,
        torus=_torus(name, chips, 2 if chip.topology == "torus2d" else 3),
    )


def _torus(name: str, chips: int, dimensions: int) -> tuple[int, ...]:
    """Sides of the torus: those that the name states, else the most even split into powers of two."""
    stated = name.rsplit("-", 1)[-1].split("x")
    if len(stated) > 1 and all(side.isdigit() for side in stated) and prod(map(int, stated)) == chips:
        return tuple(int(side) for side in stated)
    sides = [1] * dimensions
    left = chips
    for factor in (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31):
        while left % factor == 0:
            sides[sides.index(min(sides))] *= factor
            left //= factor
    sides[sides.index(min(sides))] *= left
    return tuple(sorted(sides))


def _read(row: dict[str, str], chip: Accelerator, citation: str) -> Shape:
    count = int(row["count"])
    unverified = frozenset(filter(None, row["unverified"].split(";")))
    nic = float(row["nic_gbit_per_node"])
    note = row["note"]
    assumption = ""
    if "nic_gbit_per_node" in unverified:
        because = f" ({note})" if note else ""
        assumption = (
            f"the network of {row['provider']} {row['name']} was not found in a published source{because}: "
            f"{nic:g} Gb/s of {networks()[row['network']].text} per node assumed."
        )
    is_tpu = chip.vendor == "Google"
    return Shape(
        provider=row["provider"],
        name=row["name"],
        accelerator=chip.name,
        count=count,
        vcpus=float(row["vcpus"]) if row["vcpus"] else None,
        memory_gib=float(row["memory_gib"]) if row["memory_gib"] else None,
        fabric=built(
            chip,
            count,
            network=row["network"],
            nic_gbit_per_node=nic,
            domain=int(row["domain"]) if row["domain"] else (count if is_tpu else None),
            source=f"{citation}; {note}" if note else citation,
            assumption=assumption,
        ),
        max_nodes=int(row["max_nodes"]) if row["max_nodes"] else None,
        source=citation,
        unverified=unverified,
    )
