"""From findings to an ordered plan of remedies: what would be done, what may not be, and what is the operator's."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any

from sublet.qualification.judging.values import Finding


@dataclass(frozen=True)
class Remedy:
    """One row of remedies.toml. With `path`, files are read and written; else `read`, `apply`, `undo` are commands."""

    id: str
    check: str
    needs: tuple[str, ...]
    source: str
    told: str = ""  # not ours to do: what the operator does
    read: tuple[str, ...] = ()
    pattern: str = r"(\S.*)"
    target: tuple[str, ...] = ()
    apply: tuple[str, ...] = ()
    undo: tuple[str, ...] = ()
    words: Mapping[str, str] = field(default_factory=dict)  # value as read -> as the command wants it
    path: str = ""
    value: str = ""
    parts: bool = False  # one for each part that the finding names


@dataclass(frozen=True)
class Situation:
    """What we may do on a host. None: not known, which counts as no."""

    root: bool | None
    virtual: bool | None
    idle: bool | None


@dataclass(frozen=True)
class Step:
    """A remedy for a finding. `refused`: why it is not done; empty where it can be."""

    remedy: Remedy
    finding: Finding
    refused: str = ""


@cache
def remedies() -> tuple[Remedy, ...]:
    """All remedies, in the order in which they are tried."""
    table: Any = tomllib.loads(
        files("sublet.qualification.tuning").joinpath("remedies.toml").read_text(encoding="utf-8")
    )
    return tuple(_remedy(row) for row in table["remedy"])


def _remedy(row: Mapping[str, Any]) -> Remedy:
    values: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in row.items()}
    return Remedy(**values)


def plan(findings: Sequence[Finding], situation: Situation) -> tuple[Step, ...]:
    """A step for each failed finding that has a remedy, in the order of the table."""
    failed: dict[str, Finding] = {}
    for each in findings:
        if each.outcome == "fail":
            failed.setdefault(each.check, each)
    return tuple(
        Step(remedy, failed[remedy.check], _refused(remedy, situation))
        for remedy in remedies()
        if remedy.check in failed
    )


def _refused(remedy: Remedy, situation: Situation) -> str:
    if remedy.told:
        return f"the operator's to do: {remedy.told}"
    held = {
        "root": (situation.root, "it needs root"),
        "bare": (
            None if situation.virtual is None else not situation.virtual,
            "it is the host's of this virtual machine",
        ),
        "idle": (situation.idle, "somebody computes here, or it is not known that nobody does"),
    }
    return next((words for need in remedy.needs for good, words in (held[need],) if not good), "")
