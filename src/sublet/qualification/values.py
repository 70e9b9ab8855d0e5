"""The values of qualification: what was sold, what was observed, what was found, and the verdict over it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from sublet.providers.protocol import CPU_ACCELERATOR as CPU_ACCELERATOR
from sublet.qualification.rules import Severity

Outcome = Literal["pass", "fail", "incomplete", "not_applicable"]
"""incomplete: it could not be decided, for it was not measured or the answer is unusable. Never read as pass."""

Word = Literal["pass", "info", "warning", "critical", "unknown"]


@dataclass(frozen=True)
class Sold:
    """What the tenant was promised of one node."""

    accelerator: str  # canonical name; "" for a machine without accelerators
    accelerators: int
    cpus: float
    memory_bytes: float


@dataclass(frozen=True)
class Reference:
    """What peers of this node reach; None: nobody knows yet, and the rate is not judged."""

    gemm_fp32_flops: float | None = None
    gemm_fp64_flops: float | None = None
    memory_bytes_per_s: float | None = None
    source: str = ""


@dataclass(frozen=True)
class Observation:
    """What came back from a node: the probe's measures, and the broker's own clock around it (seconds since epoch).

    `error` says why there are no measures at all.
    """

    measures: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    started_at: float | None = None
    asked_at: float | None = None
    answered_at: float | None = None
    error: str = ""


@dataclass(frozen=True)
class Finding:
    """One check's answer."""

    id: str
    why: str
    rule: str
    outcome: Outcome
    severity: Severity  # of a failure
    found: str  # what was seen, in words, with figures


@dataclass(frozen=True)
class Verdict:
    """The answer of the gate. `coverage`: share of the applicable checks that were decided."""

    verdict: Word
    findings: tuple[Finding, ...]
    coverage: float
    measured: Mapping[str, float | str]  # figures for the estimator, receipts and peers; only what was measured

    @property
    def accepts(self) -> bool:
        """Whether the node may be handed over. Unknown is never healthy."""
        return self.verdict in ("pass", "info", "warning")

    @property
    def reason(self) -> str:
        """One sentence: the gravest findings, or that all is well."""
        bad = [finding for finding in self.findings if finding.outcome in ("fail", "incomplete")]
        grave = {"critical": 0, "warning": 1, "info": 2}
        worst = sorted(bad, key=lambda finding: (grave[finding.severity], finding.outcome != "fail"))
        if not worst:
            return "every check passed"
        return "; ".join(f"{finding.id}: {finding.found}" for finding in worst[:3])
