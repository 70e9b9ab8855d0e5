"""The gate: from what was sold and what was observed to a verdict, and the whole of it for one node of a provider.

`judge` is pure. `qualify` asks the node through its provider and judges. Invariant: a critical check that could not be
decided makes the verdict "unknown", and neither "unknown" nor "critical" lets a node through.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from sublet.providers.protocol import NodeFacts, Provider
from sublet.qualification.checks import CHECKS, Missing, Subject
from sublet.qualification.observe import TIMEOUT_S, observe
from sublet.qualification.rules import rules
from sublet.qualification.values import CPU_ACCELERATOR as CPU_ACCELERATOR
from sublet.qualification.values import Finding as Finding
from sublet.qualification.values import Observation as Observation
from sublet.qualification.values import Reference as Reference
from sublet.qualification.values import Sold as Sold
from sublet.qualification.values import Verdict as Verdict
from sublet.qualification.values import Word

_NO_REFERENCE = Reference()

# measure and figure of the probe -> name among the verdict's measured figures
_MEASURED = {
    ("identity", "cpu_model"): "cpu_model",
    ("cpu", "cpus"): "cpus",
    ("memory", "bytes"): "memory_bytes",
    ("gemm_fp32", "flops"): "gemm_fp32_flops",
    ("gemm_fp32", "best_flops"): "gemm_fp32_best_flops",
    ("gemm_fp32", "spread"): "gemm_fp32_spread",
    ("gemm_fp64", "flops"): "gemm_fp64_flops",
    ("gemm_fp64", "best_flops"): "gemm_fp64_best_flops",
    ("gemm_fp64", "spread"): "gemm_fp64_spread",
    ("triad", "bytes_per_s"): "memory_bytes_per_s",
    ("triad", "spread"): "memory_bytes_per_s_spread",
    ("triad", "best_bytes_per_s"): "memory_best_bytes_per_s",
    ("sharing", "share"): "core_share",
    ("sharing", "best_flops"): "unshared_fp32_flops",
    ("sharing", "load_1"): "load_1_per_core",
    ("sharing", "load_5"): "load_5_per_core",
    ("sharing", "part_of_machine"): "part_of_machine",
    ("disk", "write_bytes_per_s"): "disk_write_bytes_per_s",
    ("disk", "read_bytes_per_s"): "disk_read_bytes_per_s",
    ("loopback", "bytes_per_s"): "loopback_bytes_per_s",
    ("loopback", "round_trip_s"): "loopback_round_trip_s",
}


def judge(
    sold: Sold,
    seen: Observation,
    *,
    reference: Reference = _NO_REFERENCE,
    claimed: tuple[str, ...] | None = None,
) -> Verdict:
    """The verdict over one observation. `claimed`: accelerators by the provider's own word, None: it gives none."""
    subject = Subject(sold, seen, reference, claimed)
    findings = []
    for rule in rules().values():
        try:
            outcome, found = CHECKS[rule.id](subject, rule.limits)
        except Missing as missing:
            outcome, found = "incomplete", str(missing)
        findings.append(Finding(rule.id, rule.why, rule.rule, outcome, rule.severity, found))
    applicable = [finding for finding in findings if finding.outcome != "not_applicable"]
    decided = [finding for finding in applicable if finding.outcome != "incomplete"]
    coverage = len(decided) / len(applicable) if applicable else 0.0
    return Verdict(_word(findings), tuple(findings), coverage, _figures(seen))


def qualify(
    provider: Provider,
    ref: str,
    sold: Sold,
    *,
    reference: Reference = _NO_REFERENCE,
    facts: NodeFacts | None = None,
    timeout_s: float = TIMEOUT_S,
) -> Verdict:
    """Measure node `ref` through its provider and judge it. Whatever goes wrong on the way makes it "unknown".

    `facts` saves a call where the caller has just described the node.
    """
    facts, seen = observe(provider, ref, facts=facts, timeout_s=timeout_s)
    return judge(sold, seen, reference=reference, claimed=facts.accelerators if facts else None)


def _word(findings: list[Finding]) -> Word:
    """The gravest failure; "unknown" where no critical check failed and one was not decided."""
    failed = {finding.severity for finding in findings if finding.outcome == "fail"}
    undecided = {finding.severity for finding in findings if finding.outcome == "incomplete"}
    if "critical" in failed:
        return "critical"
    if "critical" in undecided or not findings:
        return "unknown"
    if "warning" in failed | undecided:
        return "warning"
    return "info" if "info" in failed | undecided else "pass"


def _figures(seen: Observation) -> Mapping[str, float | str]:
    """What was measured, by the names that others use; what is not a number (or a name) is left out."""
    figures: dict[str, float | str] = {}
    for (measure, key), name in _MEASURED.items():
        value = seen.measures.get(measure, {}).get(key)
        if isinstance(value, str) or (isinstance(value, int | float) and math.isfinite(value)):
            figures[name] = value if isinstance(value, str) else float(value)
    return figures
