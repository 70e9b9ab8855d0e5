"""The fleet of a simulated provider: shapes, how many of each, what they cost, how long they take to come and go.

A fleet is a value; `read_fleet` makes one of a small TOML file, so that an operator can rehearse with his own.
Invariant: a shape name stands once in a fleet, and every price is above zero.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sublet.errors import InputError
from sublet.units import Money, parse_bytes, parse_duration, parse_money


@dataclass(frozen=True)
class FleetShape:
    """One shape that the provider rents out."""

    name: str
    nodes: int  # how many exist
    price_per_node_hour: Money
    accelerator: str = ""  # canonical name; "" for a machine without accelerators
    accelerators_per_node: int = 0
    cpus: float = 8.0
    memory_bytes: float = 64e9
    region: str = ""
    boot_s: float = 0.0  # from `create` to "running"
    terminate_s: float = 0.0  # from `terminate` to "gone"


@dataclass(frozen=True)
class Fleet:
    """Everything that a simulated provider is."""

    shapes: tuple[FleetShape, ...]
    name: str = "simulated"
    proves_absence: bool = False  # a real cloud cannot: its lists lag
    ends_at_until: bool = False

    def __post_init__(self) -> None:
        names = [shape.name for shape in self.shapes]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise InputError(f"fleet {self.name!r} names shape {twice[0]!r} twice: give each shape its own name")
        for shape in self.shapes:
            if shape.price_per_node_hour.amount <= 0:
                raise InputError(f"shape {shape.name!r} costs {shape.price_per_node_hour}: give a price above zero")
            if shape.nodes < 0 or shape.accelerators_per_node < 0:
                raise InputError(f"shape {shape.name!r} has a negative count: give zero or more nodes and accelerators")

    def shape(self, name: str) -> FleetShape | None:
        """The shape of that name, None where the fleet has none."""
        return next((shape for shape in self.shapes if shape.name == name), None)


_FLEET_KEYS = {"name", "proves_absence", "ends_at_until", "shape"}
_SHAPE_KEYS = {
    "name", "nodes", "price_per_node_hour", "accelerator", "accelerators_per_node", "cpus", "memory", "region", "boot",
    "terminate",
}  # fmt: skip


def read_fleet(path: Path) -> Fleet:
    """The fleet in a TOML file: `name` and tables `[[shape]]` with name, nodes, price_per_node_hour ("98.32 USD"),
    accelerator, accelerators_per_node, cpus, memory ("2TiB"), region, boot ("3 min"), terminate ("30 s").

    Raises InputError that names the file and the entry.
    """
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"fleet file cannot be read: {error.strerror}", str(path)) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"fleet file is not TOML: {error}", str(path)) from None
    try:
        _known(data, _FLEET_KEYS, "fleet")
        return Fleet(
            shapes=tuple(_shape(entry, number) for number, entry in enumerate(data.get("shape", []), start=1)),
            name=str(data.get("name", "simulated")),
            proves_absence=bool(data.get("proves_absence", False)),
            ends_at_until=bool(data.get("ends_at_until", False)),
        )
    except InputError as error:
        raise error.at(str(path)) from None


def _shape(entry: Mapping[str, Any], number: int) -> FleetShape:
    what = f"shape {number}"
    _known(entry, _SHAPE_KEYS, what)
    for key in ("name", "nodes", "price_per_node_hour"):
        if key not in entry:
            raise InputError(f'{what} has no {key}: give name, nodes and price_per_node_hour ("98.32 USD")')
    return FleetShape(
        name=str(entry["name"]),
        nodes=_count(entry["nodes"], f"{what} nodes"),
        price_per_node_hour=parse_money(str(entry["price_per_node_hour"]), f"{what} price_per_node_hour"),
        accelerator=str(entry.get("accelerator", "")),
        accelerators_per_node=_count(entry.get("accelerators_per_node", 0), f"{what} accelerators_per_node"),
        cpus=float(_count(entry.get("cpus", 8), f"{what} cpus")),
        memory_bytes=parse_bytes(str(entry.get("memory", "64GB")), f"{what} memory"),
        region=str(entry.get("region", "")),
        boot_s=parse_duration(str(entry.get("boot", "0 s")), f"{what} boot"),
        terminate_s=parse_duration(str(entry.get("terminate", "0 s")), f"{what} terminate"),
    )


def _known(entry: Mapping[str, Any], keys: set[str], what: str) -> None:
    strange = sorted(set(entry) - keys)
    if strange:
        raise InputError(f"{what} has no key {strange[0]!r}: it knows {', '.join(sorted(keys))}")


def _count(value: object, what: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise InputError(f"{what} {value!r} is not a count: give a whole number, zero or more")
    return value
