"""Results over several nodes or settings: SuperBench's results-summary.jsonl, and tables of curves (TSV, CSV)."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sublet.qualification.reading.text import number
from sublet.qualification.reading.values import Reading, ends_in_a_line

SUPERBENCH, CURVES = "superbench results-summary.jsonl", "measured table"


@dataclass(frozen=True)
class NodeResults:
    """One node's metrics (None: the value is no number)."""

    node: str
    metrics: Mapping[str, float | None]


@dataclass(frozen=True)
class Curves:
    """Rates in GB/s by size in bytes, one curve a column."""

    sizes: tuple[int, ...]
    columns: Mapping[str, tuple[float | None, ...]]


def read_superbench(rows: list[Mapping[str, Any]], *, whole: bool) -> Reading:
    """One row a node."""
    nodes = []
    for row in rows:
        metrics = {
            str(key): (float(value) if isinstance(value, int | float) and math.isfinite(value) else None)
            for key, value in row.items()
            if key != "node"
        }
        nodes.append(NodeResults(str(row.get("node", "?")), metrics))
    ranks = {
        int(found[1])
        for node in nodes
        for key in node.metrics
        if "gemm" in key and (found := re.search(r":(\d{1,3})$", key))
    }
    return Reading(
        SUPERBENCH,
        tuple(nodes),
        count=len(nodes) * (max(ranks) + 1) if ranks else None,
        state="unproven" if whole else "cut",
        why="the file does not say how many nodes there are" if whole else "a row is broken",
    )


def read_curves(text: str) -> Reading:
    """A table whose first column is a size in bytes."""
    lines = [line for line in text.split("\n") if line.strip() and not line.startswith("#")]
    mark = "\t" if "\t" in lines[0] else ","
    names = [name.strip() for name in lines[0].split(mark)]
    sizes: list[int] = []
    columns: dict[str, list[float | None]] = {name: [] for name in names[1:]}
    odd = []
    for line in lines[1:]:
        cells = line.split(mark)
        size = number(cells[0])
        if size is None or len(cells) != len(names):
            odd.append(f"cannot read {line[:80]!r}")
            continue
        sizes.append(int(size))
        for name, cell in zip(names[1:], cells[1:], strict=True):
            columns[name].append(number(cell))
    ended = ends_in_a_line(text) and bool(sizes) and not odd
    return Reading(
        CURVES,
        Curves(tuple(sizes), {name: tuple(each) for name, each in columns.items()}),
        state="unproven" if ended else "cut",
        why="the table does not say where it ends" if ended else "a row is broken",
        problems=tuple(odd[:5]),
    )


CURVES_HEADER = re.compile(r"^(?:bytes|size\w{0,20})(?:[\t,]\w{0,40}(?:bw|gbps)\w{0,40})+\s*$", re.IGNORECASE)
