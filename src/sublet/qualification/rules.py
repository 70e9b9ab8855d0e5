"""The rules of the gate, read from data/rules.toml: why each check is there, what must hold, how grave a failure is."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Literal

Severity = Literal["critical", "warning", "info"]


@dataclass(frozen=True)
class Rule:
    """One check's rule. `rule` is a sentence with the figures of `limits` in it."""

    id: str
    why: str
    rule: str
    severity: Severity
    limits: Mapping[str, float]
    source: str


_TEXTS = ("why", "rule", "severity", "source", "date")


@cache
def rules() -> Mapping[str, Rule]:
    """Every rule by its check, in the order in which they are reported."""
    table = tomllib.loads(files("sublet.qualification").joinpath("data/rules.toml").read_text(encoding="utf-8"))
    read = {}
    for name, entry in table.items():
        limits = {key: float(value) for key, value in entry.items() if key not in _TEXTS}
        sentence = entry["rule"].format(**limits)
        read[name] = Rule(name, entry["why"], sentence, entry["severity"], limits, entry["source"])
    return read
