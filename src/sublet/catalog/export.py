"""Whether a US export rule asks for a licence before a chip goes to a user's country: a planning aid, not legal advice.

The rules are data (data/export_rules.csv, data/export_destinations.csv), each with its dates, thresholds and source.
TPP is the largest of bit length x TOPS; performance density is TPP over the die area in mm2. The framework of January
2025 (the "AI diffusion rule") is left out: it was withdrawn on 2025-05-13, two days before it would have applied.
Invariant: a verdict is "unrestricted" only where every rule in force could be tested and none applied.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from pathlib import Path

from sublet.catalog.accelerator import Accelerator
from sublet.errors import InputError

DATA = Path(__file__).parent / "data"

UNRESTRICTED = "unrestricted"
LICENCE = "licence required"
NOT_KNOWN = "not known"


@dataclass(frozen=True)
class ExportVerdict:
    """What the rules say of one chip, one country and one day."""

    verdict: str  # "unrestricted" | "licence required" | "not known"
    rule: str  # the rule that decided, "" where none did
    effective: date | None  # when that rule came into force
    threshold: str  # the test with its numbers, in words
    tpp: float | None
    density: float | None
    sentence: str  # for a person: what, why, since when
    unverified: bool = False  # the rule or its destinations rest on memory
    source: str = ""


@dataclass(frozen=True)
class _Rule:
    name: str
    effective: date
    until: date | None
    test: str  # "TPP" | "density" | "I/O" | "named"
    tpp_min: float
    tpp_max: float
    density_min: float
    density_max: float
    io_min: float
    chips: frozenset[str]
    destinations: str
    datacentre_only: bool
    source: str
    unverified: bool


@lru_cache(maxsize=1)
def _rules() -> tuple[_Rule, ...]:
    def number(text: str, default: float) -> float:
        return float(text) if text else default

    with (DATA / "export_rules.csv").open(encoding="utf-8", newline="") as file:
        return tuple(
            _Rule(
                name=row["rule"],
                effective=date.fromisoformat(row["effective"]),
                until=date.fromisoformat(row["until"]) if row["until"] else None,
                test=row["test"],
                tpp_min=number(row["tpp_min"], 0.0),
                tpp_max=number(row["tpp_max"], float("inf")),
                density_min=number(row["density_min"], 0.0),
                density_max=number(row["density_max"], float("inf")),
                io_min=number(row["io_gb_per_s_min"], 0.0),
                chips=frozenset(filter(None, row["chips"].split(";"))),
                destinations=row["destinations"],
                datacentre_only=row["datacentre_only"] == "yes",
                source=row["source"],
                unverified=bool(row["unverified"]),
            )
            for row in csv.DictReader(file)
        )


@lru_cache(maxsize=1)
def destinations() -> Mapping[str, Mapping[str, str]]:
    """List of destinations -> ISO 3166 code -> country groups."""
    found: dict[str, dict[str, str]] = {}
    with (DATA / "export_destinations.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            found.setdefault(row["list"], {})[row["country"]] = row["groups"]
    return found


def check(accelerator: Accelerator, country: str | None, on: date | None) -> ExportVerdict:
    """Whether `accelerator` may go to a user in `country` (ISO 3166, two letters) on the day `on` without a licence.

    Without a country or a day the answer is "not known". Raises InputError for a country that is no two-letter code.
    """
    tpp, density = accelerator.tpp, accelerator.performance_density
    if country is None or on is None:
        missing = "the user's country" if country is None else "the day"
        return ExportVerdict(NOT_KNOWN, "", None, "", tpp, density, f"Export: {missing} is not stated.")
    code = country.strip().upper()
    if len(code) != 2 or not code.isalpha():
        raise InputError(f"country {country!r} is no ISO 3166 code of two letters, such as CN, US or DE.")
    exempt = _exempt(accelerator, on)
    if exempt is not None:
        return exempt
    undecided: list[_Rule] = []
    for rule in _rules():
        groups = destinations().get(rule.destinations, {}).get(code)
        if groups is None or on < rule.effective or (rule.until is not None and on >= rule.until):
            continue
        met = _met(rule, accelerator)
        if met is None:
            undecided.append(rule)
        elif met:
            return _licence(rule, accelerator, code, groups)
    if undecided:
        first = undecided[0]
        missing = _missing(first, accelerator)
        return ExportVerdict(
            NOT_KNOWN,
            first.name,
            first.effective,
            _threshold(first),
            tpp,
            density,
            f"Export of {accelerator.name} to {code} is not known: {first.name} tests {_threshold(first)}, and the "
            f"chip's {missing} is not published.",
            True,
            first.source,
        )
    figures = _figures(accelerator)
    return ExportVerdict(
        UNRESTRICTED,
        "",
        None,
        "",
        tpp,
        density,
        f"No export rule known here stops {accelerator.name} ({figures}) for a user in {code} on {on.isoformat()}.",
    )


@lru_cache(maxsize=1)
def _exemptions() -> tuple[dict[str, str], ...]:
    with (DATA / "export_exempt.csv").open(encoding="utf-8", newline="") as file:
        return tuple(csv.DictReader(file))


def _exempt(chip: Accelerator, on: date) -> ExportVerdict | None:
    """The verdict on chips that the rules do not speak of, by vendor: the last row in force."""
    rows = [row for row in _exemptions() if row["vendor"] == chip.vendor]
    rows = [row for row in rows if not row["since"] or on >= date.fromisoformat(row["since"])]
    if not rows:
        return None
    row = rows[-1]
    return ExportVerdict(
        UNRESTRICTED,
        row["label"],
        None,
        "",
        chip.tpp,
        chip.performance_density,
        f"{chip.name} {row['sentence']}.",
        source=row["source"],
    )


def _met(rule: _Rule, chip: Accelerator) -> bool | None:
    """Whether the chip meets the rule's test; None where a figure that decides is not published."""
    if rule.test == "named":
        return chip.name in rule.chips
    if chip.tpp is None:
        return None
    if chip.tpp < rule.tpp_min or chip.tpp >= rule.tpp_max:
        return False
    if rule.test == "I/O":
        if chip.scale_up_bytes_per_s is None:
            return None
        return 2.0 * chip.scale_up_bytes_per_s / 1e9 >= rule.io_min
    if rule.test == "density":
        if rule.datacentre_only and not chip.datacentre:
            return False
        if chip.performance_density is None:
            return None
        return rule.density_min <= chip.performance_density < rule.density_max
    return True


def _missing(rule: _Rule, chip: Accelerator) -> str:
    if chip.tpp is None:
        return "TPP"
    return "transfer rate" if rule.test == "I/O" else "die area"


def _threshold(rule: _Rule) -> str:
    if rule.test == "named":
        return "the chip by name"
    parts = [f"TPP of {rule.tpp_min:g} or more"]
    if rule.tpp_max < float("inf"):
        parts[0] = f"TPP from {rule.tpp_min:g} to below {rule.tpp_max:g}"
    if rule.test == "I/O":
        parts.append(f"{rule.io_min:g} GB/s or more of transfer in both directions")
    if rule.test == "density":
        upper = f" to below {rule.density_max:g}" if rule.density_max < float("inf") else " or more"
        parts.append(f"performance density of {rule.density_min:g}{upper}")
    return " and ".join(parts)


def _figures(chip: Accelerator) -> str:
    tpp = "TPP not published" if chip.tpp is None else f"TPP {chip.tpp:,.0f}"
    if chip.performance_density is None:
        return f"{tpp}, density not known"
    return f"{tpp}, density {chip.performance_density:.2f}"


def _licence(rule: _Rule, chip: Accelerator, code: str, groups: str) -> ExportVerdict:
    threshold = _threshold(rule)
    also = ""
    if rule.test == "I/O" and chip.scale_up_bytes_per_s is not None:
        also = f", {2.0 * chip.scale_up_bytes_per_s / 1e9:g} GB/s"
    return ExportVerdict(
        LICENCE,
        rule.name,
        rule.effective,
        threshold,
        chip.tpp,
        chip.performance_density,
        f"{chip.name} needs a US licence for a user in {code} ({groups}): {rule.name}, in force since "
        f"{rule.effective.isoformat()}, covers {threshold}; the chip has {_figures(chip)}{also}.",
        rule.unverified,
        rule.source,
    )
