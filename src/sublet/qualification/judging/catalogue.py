"""The catalogue of checks, read from data/checks.toml."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from sublet.qualification.judging.values import SEVERITIES, Finding, Outcome, Severity

_TEXTS = ("explains", "tier", "severity", "required", "why", "observe", "rule", "remedy", "source", "date")


@dataclass(frozen=True)
class Check:
    """One check. `rule` is a sentence with the figures of `limits` in it."""

    id: str
    tier: str
    severity: Severity
    required: bool
    why: str
    observe: str
    rule: str
    remedy: str
    source: str
    date: str
    limits: Mapping[str, float]
    explains: tuple[str, ...] = ()  # checks whose failures follow from a failure of this one


def data(name: str) -> dict[str, Any]:
    """A TOML file of this room's data folder."""
    text = files("sublet.qualification.judging").joinpath(f"data/{name}").read_text(encoding="utf-8")
    return tomllib.loads(text)


@cache
def checks() -> Mapping[str, Check]:
    """Every check by its id, in the order of the file."""
    found = {}
    for name, entry in data("checks.toml").items():
        assert entry["severity"] in SEVERITIES, name
        limits = {key: float(value) for key, value in entry.items() if key not in _TEXTS}
        texts = {key: str(entry[key]) for key in ("tier", "why", "observe", "remedy", "source", "date")}
        found[name] = Check(
            id=name,
            severity=entry["severity"],
            required=entry["required"],
            rule=entry["rule"].format(**limits),
            limits=limits,
            explains=tuple(entry.get("explains", ())),
            **texts,
        )
    return found


def limit(check: str, name: str) -> float:
    """A figure of a check's rule."""
    return checks()[check].limits[name]


def finding(
    check: str,
    outcome: Outcome,
    message: str,
    severity: Severity | None = None,
    where: tuple[str, ...] = (),
    efficiency: float | None = None,
) -> Finding:
    """A finding of a check of the catalogue; its severity where none is given."""
    return Finding(check, outcome, severity or checks()[check].severity, message, where, efficiency)
