"""The log of NVIDIA's fabric manager. Its [ERROR] is also put before errors that are routine ("non-fatal")."""

from __future__ import annotations

import re
from dataclasses import dataclass

from sublet.qualification.reading.values import Reading, ends_in_a_line

KIND = "fabric manager log"
LINE = re.compile(r"^\[[A-Z][a-z]{2} +\d+ \d{4} [\d:]+\] \[(?P<level>[A-Z]+)\] \[tid \d+\] (?P<said>.*)$")
_ERROR = re.compile(r"NVSwitch (?P<grade>non-fatal|fatal) error (?P<code>\d{1,6})", re.IGNORECASE)
_AT = re.compile(r"pci bus id ([0-9A-Fa-f:.]+)")


@dataclass(frozen=True)
class FabricEvent:
    """`grade`: fatal, non-fatal, or "" for an error of the manager itself."""

    level: str
    grade: str
    code: int | None
    at: str
    said: str


@dataclass(frozen=True)
class FabricLog:
    """Errors and warnings; the rest is counted."""

    events: tuple[FabricEvent, ...]
    lines: int


def read(text: str) -> Reading:
    """The log's errors."""
    events = []
    count = 0
    for line in text.split("\n"):
        found = LINE.match(line)
        if not found:
            continue
        count += 1
        error, at = _ERROR.search(found["said"]), _AT.search(found["said"])
        if error or found["level"] in ("ERROR", "CRITICAL", "FATAL"):
            grade, code = (error["grade"].casefold(), int(error["code"])) if error else ("", None)
            events.append(FabricEvent(found["level"], grade, code, at[1] if at else "", found["said"][:200]))
    ended = ends_in_a_line(text)
    return Reading(
        KIND,
        FabricLog(tuple(events), count),
        state="unproven" if ended else "cut",
        why="a log does not say what else there was" if ended else "the text ends inside a line",
    )
