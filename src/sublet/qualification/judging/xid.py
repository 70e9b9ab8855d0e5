"""The policy on Xid codes (data/xid.csv): how grave each is, whose fault, and which of several is nearer the root."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from sublet.qualification.judging.values import Severity

FALLEN = 79  # "GPU has fallen off the bus", also for the message that comes without a code
NVLINK5 = range(144, 151)


@dataclass(frozen=True)
class Xid:
    """One code. `rank`: of two codes of one event the smaller is nearer the root."""

    code: int
    meaning: str
    severity: Severity
    application: bool
    rank: int
    action: str  # NVIDIA's immediate action


@cache
def table() -> Mapping[int, Xid]:
    """Every code of the catalogue."""
    text = files("sublet.qualification.judging").joinpath("data/xid.csv").read_text(encoding="utf-8")
    found = {}
    for row in csv.DictReader(text.splitlines()):
        code = int(row["code"])
        severity: Severity = row["severity"]  # type: ignore[assignment]
        found[code] = Xid(
            code, row["meaning"], severity, row["whose"] == "application", int(row["rank"]), row["nvidia_action"]
        )
    return found


def severity_of(code: int, text: str) -> Severity:
    """How grave an event is: by its code, and for some codes by its words."""
    known = table().get(code)
    words = text.casefold()
    if code == 154:  # "GPU recovery action changed from 0x0 (None) to 0x1 (GPU Reset Required)"
        after = words.rpartition(" to ")[2]
        if "none" in after:
            return "INFO"
        if "reboot" in after:
            return "REBOOT"
        return "RESET" if "reset" in after or "drain" in after else "WATCH"
    if code in NVLINK5 and "nonfatal" in words.replace("-", "").replace(" ", ""):
        return "WATCH"
    return known.severity if known else "WATCH"
