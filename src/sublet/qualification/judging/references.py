"""What peers reach (data/references.toml): rows with their source, and the refusal of those that cannot be.

A figure outside 0.3 to 1.05 of what the hardware can do is refused: a slip of a unit or a digit, or a wish.
Limits of the hardware: memory by its data sheet; copies by their links; an all-reduce by what each node must send over
its cards (two nodes: the data once in each direction) or each GPU over its NVLinks with reduction in the switch.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from sublet.qualification.judging.catalogue import data
from sublet.qualification.judging.chips import Chip, chips

LOWEST, HIGHEST = 0.3, 1.05
_PCIE_GB_PER_S = {3: 15.75, 4: 31.5, 5: 63.0, 6: 126.0}  # 16 lanes, one direction (PCI-SIG rates less encoding)


@dataclass(frozen=True)
class Reference:
    """One row. `curve`: size in bytes -> GB/s; a measure without sizes has the one size 0."""

    measure: str  # collective, host_copy, peer_copy, memory
    chips: tuple[str, ...]
    curve: Mapping[int, float]
    kind: str
    source: str
    date: str
    n: int
    nodes: int = 1
    gpus: int = 0
    fabric_gbps: float | None = None
    tcp: bool = False
    collective: str = ""
    gen: int = 0
    line: bool = False  # a pass line, not what peers reach
    doubted: bool = False  # marked in the file as one that must be refused

    def at(self, size: int) -> float | None:
        """The reference at a size: interpolated over the logarithm of the size, never beyond the row's own sizes."""
        sizes = sorted(self.curve)
        if not sizes or size < sizes[0] or size > sizes[-1]:
            return None
        if size in self.curve:
            return self.curve[size]
        high = next(each for each in sizes if each > size)
        low = sizes[sizes.index(high) - 1]
        share = math.log(size / low) / math.log(high / low)
        rate: float = self.curve[low] * (self.curve[high] / self.curve[low]) ** share
        return rate


def limit_of(row: Reference, chip: Chip | None) -> float | None:
    """GB/s that the hardware can do for a row's measure; None where it is not known."""
    if row.measure == "host_copy":
        return _PCIE_GB_PER_S.get(row.gen)
    if chip is None:
        return None
    if row.measure == "memory":
        return chip.hbm_gb_per_s or None
    links = max(chip.links, 12 if chip.fabric == "bridge" else 0) * chip.link_gb_per_s
    if row.measure == "peer_copy":
        return links or None
    factor = 2.0 if row.collective == "all_reduce" else 1.0
    if row.nodes == 1:
        return links * (2 * 7 / 8 if row.collective == "all_reduce" else 1) or None
    if row.tcp:
        return 12.5 * factor
    return row.fabric_gbps / 8 * factor * 15 / 16 if row.fabric_gbps else None


def plausible(row: Reference) -> bool:
    """Whether every figure of a row can be, and is not far below what any working part does."""
    chip = chips().get(row.chips[0]) if row.chips else None
    limit = limit_of(row, chip)
    if limit is None:
        return True
    low = 0.0 if row.measure == "collective" and (row.tcp or len(row.curve) > 1 or row.nodes > 1) else LOWEST
    return all(low * limit <= figure <= HIGHEST * limit for figure in row.curve.values())


@cache
def rows() -> tuple[tuple[Reference, ...], tuple[Reference, ...]]:
    """The rows that count, and those that were refused."""
    table = data("references.toml")
    every = [_row(measure, entry) for measure, entries in table.items() for entry in entries]
    return tuple(row for row in every if plausible(row)), tuple(row for row in every if not plausible(row))


def _row(measure: str, entry: Mapping[str, Any]) -> Reference:
    curve = {int(size): float(rate) for size, rate in entry.get("curve", {}).items()} or {0: float(entry["gb_per_s"])}
    fabric = entry.get("fabric")
    names = (entry["chip"], *entry.get("also", ())) if "chip" in entry else ()
    return Reference(
        measure,
        tuple(names),
        curve,
        entry["kind"],
        entry["source"],
        str(entry["date"]),
        entry["n"],
        entry.get("nodes", 1),
        entry.get("gpus", 0),
        float(fabric) if isinstance(fabric, int | float) and fabric else None,
        fabric == "tcp",
        entry.get("collective", ""),
        entry.get("gen", 0),
        entry.get("line", False),
        entry.get("refused", False),
    )


def for_chip(measure: str, chip: str) -> Reference | None:
    """The row of a measure for a chip: a measurement before a pass line."""
    found = [row for row in rows()[0] if row.measure == measure and chip in row.chips]
    return min(found, key=lambda row: (row.kind != "own_fleet", row.line), default=None)


def for_generation(gen: int) -> Reference | None:
    """The row of pinned copies for a PCIe generation."""
    return next((row for row in rows()[0] if row.measure == "host_copy" and row.gen == gen), None)


def curves(collective: str, chip: str | None, nodes: int) -> list[Reference]:
    """Rows of a collective on that many nodes (three stands for more), all fabrics, best first."""
    wanted = min(nodes, 3)
    found = [
        row
        for row in rows()[0]
        if row.measure == "collective"
        and row.collective == collective
        and row.nodes == wanted
        and (chip is None or chip in row.chips)
    ]
    return sorted(found, key=lambda row: (row.line, -max(row.curve.values())))
