"""The seam: run a command, read a file, tell the time. Three ends implement it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

LONGEST = 64 << 20  # bytes of a command's output or of a file that are kept


@dataclass(frozen=True)
class Output:
    """What a command left. `status` is None where it could not be started or did not end in time."""

    status: int | None
    out: bytes = b""
    err: bytes = b""
    why: str = ""


class Host(Protocol):
    """A machine as an observer sees it. Nothing here raises for a machine's faults: it says what it could not do."""

    @property
    def name(self) -> str:
        """What a report calls it."""

    def run(self, argv: Sequence[str], timeout_s: float) -> Output:
        """Run a command to its end; it gets no input."""

    def read(self, path: str) -> bytes | None:
        """A file's content; None where it cannot be read."""

    def now(self) -> float:
        """Seconds since the epoch: of the observation, not of its reading."""
