"""The registry of accelerators: reads data/accelerators.csv once and answers by any spelling.

Invariant: every figure of every accelerator names its source, and the figures that nobody checked are in `unverified`.
Units of the file (TFLOP/s, GB, GB/s, Gb/s) are turned into FLOP/s, bytes and bytes/s here and nowhere else.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from datetime import date
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType

from sublet.catalog import names, spelling
from sublet.catalog.accelerator import Accelerator
from sublet.errors import InputError

DATA = Path(__file__).parent / "data"

# column of the file -> (field of Accelerator, factor to its unit)
_PEAKS = {
    "fp32_tflops": ("fp32", 1e12),
    "tf32_tflops": ("tf32", 1e12),
    "fp16_tflops": ("fp16", 1e12),
    "bf16_tflops": ("bf16", 1e12),
    "fp8_tflops": ("fp8", 1e12),
    "int8_tops": ("int8", 1e12),
    "fp4_tflops": ("fp4", 1e12),
}
_FIELDS = {
    "launch": "launch",
    "memory_gb": "memory_gb",
    "memory_mib": "memory_bytes",
    "memory_gb_per_s": "memory_bytes_per_s",
    "scale_up_gb_per_s": "scale_up_bytes_per_s",
    "scale_up_domain": "scale_up_domain",
    "scale_out_gbit_per_s": "scale_out_bytes_per_s",
    "tdp_watts": "tdp_watts",
    "die_mm2": "die_mm2",
    "purchase_usd": "purchase_usd",
    "frameworks": "frameworks",
    "scale_up": "scale_up",
    **{column: f"peak_flops.{precision}" for column, (precision, _) in _PEAKS.items()},
}
_BITS = {"fp32": 32, "fp16": 16, "bf16": 16, "fp8": 8, "int8": 8, "fp4": 4}
_MIB = 1024.0**2


@lru_cache(maxsize=1)
def accelerators() -> Mapping[str, Accelerator]:
    """All known accelerators by canonical name, in the order of the file (newest vendors' flagships first)."""
    with (DATA / "accelerator_sources.csv").open(encoding="utf-8", newline="") as file:
        citations = {row["key"]: f"{row['citation']} [{row['date']}]" for row in csv.DictReader(file)}
    with (DATA / "accelerators.csv").open(encoding="utf-8", newline="") as file:
        chips = [_read(row, citations) for row in csv.DictReader(file)]
    return MappingProxyType({chip.name: chip for chip in chips})


def accelerator(name: str) -> Accelerator:
    """The accelerator that `name` means, in any spelling.

    Raises InputError when the name is unknown (with the nearest names), when it may mean several chips (with all of
    them), or when it names something that is no accelerator.
    """
    found = accelerators().get(name)
    if found is not None:
        return found
    meaning = names.resolve(name)
    if meaning.accelerator is not None:
        return accelerators()[meaning.accelerator]
    if meaning.kind in ("ambiguous", "slice"):
        what = "may be" if meaning.kind == "ambiguous" else "is a part of"
        raise InputError(f"accelerator {name!r} {what} {_listed(meaning.candidates)}: name one of them.")
    if meaning.kind == "not-accelerator":
        raise InputError(f"{name!r} is no accelerator that these jobs can run on: {meaning.note}.")
    near = _nearest(name)
    hint = f"the nearest names are {_listed(near)}" if near else "`sublet catalog list` shows the known names"
    raise InputError(f"accelerator {name!r} is not known: {hint}.")


def _nearest(name: str) -> tuple[str, ...]:
    keys = {key: meaning for key, meaning in spelling.keys().items() if not isinstance(meaning, str)}
    close = get_close_matches(spelling.compact(name), list(keys), n=3, cutoff=0.6)
    return tuple(dict.fromkeys(variant.accelerator for key in close for variant in keys[key]))[:4]


def _listed(chips: tuple[str, ...]) -> str:
    quoted = [repr(chip) for chip in chips]
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} or {quoted[-1]}"


def _number(text: str, factor: float = 1.0) -> float | None:
    return float(text) * factor if text else None


def _read(row: dict[str, str], citations: Mapping[str, str]) -> Accelerator:
    peaks = {precision: float(row[column]) * factor for column, (precision, factor) in _PEAKS.items() if row[column]}
    die = _number(row["die_mm2"])
    tpp = max((rate / 1e12 * _BITS[precision] for precision, rate in peaks.items() if precision in _BITS), default=None)
    measured = _number(row["memory_mib"], _MIB)
    return Accelerator(
        name=row["name"],
        vendor=row["vendor"],
        family=row["family"],
        launch=date.fromisoformat(row["launch"]) if row["launch"] else None,
        peak_flops=MappingProxyType(peaks),
        memory_bytes=measured if measured is not None else float(row["memory_gb"]) * 1e9,
        memory_bytes_per_s=_number(row["memory_gb_per_s"], 1e9),
        scale_up=row["scale_up"],
        topology=row["topology"],
        scale_up_bytes_per_s=_number(row["scale_up_gb_per_s"], 1e9),
        scale_up_domain=int(row["scale_up_domain"]),
        scale_out_bytes_per_s=_number(row["scale_out_gbit_per_s"], 1e9 / 8),
        tdp_watts=_number(row["tdp_watts"]),
        die_mm2=die,
        purchase_usd=_number(row["purchase_usd"]),
        frameworks=tuple(row["frameworks"].split(";")) if row["frameworks"] else (),
        tpp=tpp,
        performance_density=tpp / die if tpp is not None and die is not None else None,
        sources=_sources(row, citations),
        unverified=_unverified(row),
        notes=row["notes"],
        memory_gb=float(row["memory_gb"]),
        training=row["training"] != "no",
        datacentre=row["datacentre"] != "no",
    )


def _sources(row: dict[str, str], citations: Mapping[str, str]) -> Mapping[str, str]:
    default = citations[row["source"]]
    found = {field: default for column, field in _FIELDS.items() if row[column]}
    if row["field_sources"]:
        for pair in row["field_sources"].split(";"):
            column, _, key = pair.partition("=")
            found[_FIELDS[column]] = citations[key]
    found.setdefault("memory_bytes", found["memory_gb"])
    return MappingProxyType(found)


def _unverified(row: dict[str, str]) -> frozenset[str]:
    named = row["unverified"]
    if named == "*":
        fields = {field for column, field in _FIELDS.items() if row[column]}
    else:
        fields = {_FIELDS[column] for column in named.split(";") if column}
    if "memory_gb" in fields and not row["memory_mib"]:
        fields.add("memory_bytes")
    return frozenset(fields)
