"""`systemctl status`: which services of the node are at work."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from sublet.qualification.reading.values import Reading, ends_in_a_line

KIND = "systemctl status"
_UNIT = re.compile(r"^[^\w\s]? ?(?P<unit>[\w@.-]{2,80})\.service(?: - .{0,200})?$")
_ACTIVE = re.compile(r"^\s+Active: (?P<state>[a-z]+)(?: \((?P<detail>[^)]{0,80})\))?")
_MISSING = re.compile(r"^Unit (?P<unit>[\w@.-]{2,80})\.service could not be found\.$")


@dataclass(frozen=True)
class Services:
    """unit (without ".service") -> "active (running)", "inactive (dead)", "failed (...)", "missing"."""

    states: Mapping[str, str]


def found_in(text: str) -> bool:
    """Whether a text is such a listing."""
    return any(_MISSING.match(line) for line in text.split("\n")) or (
        "Active: " in text and any(_UNIT.match(line) for line in text.split("\n"))
    )


def read(text: str) -> Reading:
    """The units and their states. A unit whose state is not shown is left out, and the text is cut."""
    states: dict[str, str] = {}
    open_unit = ""
    for line in text.split("\n"):
        missing, unit, active = _MISSING.match(line), _UNIT.match(line), _ACTIVE.match(line)
        if missing:
            states[missing["unit"]] = "missing"
        elif unit:
            open_unit = unit["unit"]
        elif active and open_unit:
            states[open_unit] = active["state"] + (f" ({active['detail']})" if active["detail"] else "")
            open_unit = ""
    whole = bool(states) and not open_unit and ends_in_a_line(text)
    why = "it shows only the units that were asked for" if whole else "what is said of a unit breaks off"
    return Reading(KIND, Services(states), state="unproven" if whole else "cut", why=why)
