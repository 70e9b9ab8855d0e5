"""What came out of one text: its kind, what could be read, and whether all of it is there.

Invariant: `state` is "whole" only where the text itself proves that nothing was cut off.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

State = Literal["whole", "unproven", "cut"]
"""whole: the text shows its own end. unproven: what is there is in order, more may be missing. cut: some is missing."""


@dataclass(frozen=True)
class Reading:
    """One text, read. `data` is a value of the parser of that kind, None where nothing could be read."""

    kind: str  # the tool that printed it, "unknown" where no tool is recognised
    data: Any = None
    devices: tuple[str, ...] = ()  # accelerators as the tool names them, one for each
    count: int | None = None  # accelerators that the text speaks of
    state: State = "whole"
    why: str = ""  # why it is not whole
    problems: tuple[str, ...] = ()  # what could not be read, one sentence each
    source: str = ""  # where the text came from: a file, a command


def ends_in_a_line(text: str) -> bool:
    """Whether the last line is ended: tools end theirs, a cut text seldom does."""
    return text.endswith("\n")


def state_of(text: str, *, whole: bool, why: str) -> tuple[State, str]:
    """The state of a line-based text: cut inside a line, or whole, or unproven for the reason given."""
    if not ends_in_a_line(text):
        return "cut", "the text ends inside a line"
    return ("whole", "") if whole else ("unproven", why)
