"""A command as it is read."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class Run:
    """One command on one node of a lease."""

    id: str
    lease: str
    organisation: str
    project: str
    provider: str
    node: str
    ref: str
    process: str
    argv: tuple[str, ...]
    started_by: str
    started_at: datetime
    ended_at: datetime | None
    status: int | None  # exit status; below zero: killed by that signal; None while it runs
    reason: str  # why it never started, was stopped, or took its time
    job: bool = False  # what was quoted: the receipt sets its time against the quote

    @property
    def seconds(self) -> float | None:
        """How long it ran; None while it does, and where it never did."""
        return (self.ended_at - self.started_at).total_seconds() if self.ended_at and self.process else None
