"""The values of judging: a check's answer, what was sold, and the verdict over all of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Severity = Literal["ISOLATE", "REBOOT", "RESET", "TUNE", "WATCH", "INFO"]
Outcome = Literal["pass", "fail", "incomplete", "not_applicable"]
"""incomplete: it could not be decided. Never read as pass."""
Word = Literal["pass", "info", "warning", "critical", "unknown"]

SEVERITIES: tuple[Severity, ...] = ("ISOLATE", "REBOOT", "RESET", "TUNE", "WATCH", "INFO")  # gravest first
GATE: frozenset[Severity] = frozenset(("ISOLATE", "REBOOT", "RESET"))  # a failure of these keeps the node from a tenant


@dataclass(frozen=True)
class Finding:
    """One check's answer. `severity`: of a failure; of an incomplete one, INFO means that nothing hangs on it."""

    check: str
    outcome: Outcome
    severity: Severity
    message: str
    where: tuple[str, ...] = ()  # GPUs, ports, nodes; none: the whole node
    efficiency: float | None = None  # measured over reference, where the check compares the two
    cause: str = ""  # the check whose failure this one follows from


@dataclass(frozen=True)
class Expected:
    """What was sold. None: not said."""

    chip: str | None = None
    count: int | None = None
    nics: int | None = None
    nic_gbps: float | None = None
    mig: bool = False  # slices were sold
    transport: str | None = None  # "tcp" where plain TCP was sold

    @property
    def fabric_gbps(self) -> float | None:
        """Rate of all cards of a node together."""
        return self.nics * self.nic_gbps if self.nics and self.nic_gbps else None


@dataclass(frozen=True)
class Judgement:
    """The verdict over the readings of one node."""

    kind: str
    chip: str | None
    count: int | None
    verdict: Word
    findings: tuple[Finding, ...]
    grade: str | None
    coverage: float  # share of the required checks that apply which were decided
