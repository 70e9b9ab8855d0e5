"""`nvidia-smi topo -m`: how each GPU reaches each other GPU and each NIC, and which NUMA node it sits on."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from sublet.qualification.reading.values import Reading, State, ends_in_a_line

KIND = "nvidia-smi topo -m"
_DEVICE = re.compile(r"^(?:(?:GPU|NIC)\d+|(?:mlx\d_|ib|bnxt_re|irdma|rdmap|efa|hfi)\w+)$")
_CELL = re.compile(r"^(?:X|SYS|NODE|PHB|PXB|PIX|NV\d+|C2C)$")
_NIC = re.compile(r"^\s+(NIC\d+):\s+(\S+)\s*$")
_LEGEND_LAST = re.compile(r"^\s*NV#\s*=", re.MULTILINE)


@dataclass(frozen=True)
class Topology:
    """`cells`: (row, column) -> PIX, PXB, PHB, NODE, SYS, NV18 ...; rows and columns as printed (GPU0, NIC3)."""

    gpus: tuple[str, ...]
    nics: tuple[str, ...]
    cells: Mapping[tuple[str, str], str]
    numa: Mapping[str, str]
    missing: tuple[str, ...]  # GPUs of the header that have no whole row

    def links(self) -> dict[tuple[str, str], int | None]:
        """NVLinks of each pair of GPUs; 0 where there are none, None where the cell is not there."""
        pairs: dict[tuple[str, str], int | None] = {}
        for at, one in enumerate(self.gpus):
            for other in self.gpus[at + 1 :]:
                cell = self.cells.get((one, other)) or self.cells.get((other, one))
                pairs[one, other] = None if cell is None else int(cell[2:]) if cell.startswith("NV") else 0
        return pairs


def read(text: str) -> Reading:
    """The matrix as a Topology."""
    columns: list[str] = []
    cells: dict[tuple[str, str], str] = {}
    numa: dict[str, str] = {}
    rows: list[str] = []
    short: list[str] = []
    legend_nics: list[str] = []
    for line in text.split("\n"):
        words = line.split()
        nic = _NIC.match(line)
        if nic:
            legend_nics.append(nic[1])
            continue
        if not words:
            continue
        if not columns:
            if _DEVICE.match(words[0]) and not any(_CELL.match(word) for word in words[1:3]):
                columns = [word for word in words if _DEVICE.match(word)]
            continue
        if not _DEVICE.match(words[0]) or len(words) < 2 or words[1] == "=":
            continue
        row, values = words[0], words[1:]
        rows.append(row)
        seen = []
        for word in values:
            if not _CELL.match(word):
                break
            seen.append(word)
        wanted = [column for column in columns if row.startswith("GPU") or column.startswith("GPU")]
        if len(seen) < len(wanted):
            short.append(row)
        cells |= {(row, column): cell for column, cell in zip(columns, seen, strict=False)}
        rest = values[len(seen) :]
        if row.startswith("GPU") and len(rest) >= 2:
            numa[row] = rest[1]
    gpus = tuple(column for column in columns if column.startswith("GPU"))
    nics = tuple(column for column in columns if not column.startswith("GPU"))
    missing = tuple(gpu for gpu in gpus if gpu not in rows or gpu in short)
    data = Topology(gpus, nics, cells, numa, missing)
    nic_rows = [row for row in rows if not row.startswith("GPU")]
    state, why = _state(text, data, nic_rows, legend_nics)
    odd = tuple(f"the row of {row} is too short" for row in short[:8])
    return Reading(KIND, data, (), len(gpus) or None, state, why, odd)


def _state(text: str, data: Topology, rows: list[str], legend: list[str]) -> tuple[State, str]:
    if not ends_in_a_line(text):
        return "cut", "the text ends inside a line"
    if not data.gpus:
        return "cut", "there is no row of column names"
    if data.missing:
        return "cut", f"the row of {data.missing[0]} is not whole"
    if not _LEGEND_LAST.search(text):
        return "unproven", "the legend, which comes last, is not there"
    named = {nic for nic in data.nics if nic.startswith("NIC")} | {row for row in rows if row.startswith("NIC")}
    if set(rows) != set(data.nics) or (named and set(legend) != named):
        return "unproven", "not every NIC has its row and its line in the legend"
    return "whole", ""
