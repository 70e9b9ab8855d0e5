"""Verdict, coverage and letter from findings.

Invariants: a bad finding more never makes the letter better; evidence less never makes the coverage higher; a critical
failure is F, whatever else was measured.
"""

from __future__ import annotations

from collections.abc import Sequence

from sublet.qualification.judging.catalogue import checks
from sublet.qualification.judging.values import GATE, Finding, Word

LETTERS = ((0.97, "A"), (0.93, "B"), (0.85, "C"), (0.70, "D"), (0.0, "F"))
_UNSTEADY = "perf.stability"
_FULL, _ENOUGH = 0.9, 0.6  # coverage for an A, and for any letter


def verdict_of(findings: Sequence[Finding]) -> Word:
    """The gravest word. Unknown where something that matters is undecided, or where nothing was decided at all."""
    failed = {each.severity for each in findings if each.outcome == "fail"}
    undecided = {each.severity for each in findings if each.outcome == "incomplete"}
    if failed & GATE:
        return "critical"
    if undecided - {"INFO"}:
        return "unknown"
    if failed & {"TUNE", "WATCH"}:
        return "warning"
    # measured in full and no reference to hold it against: that is told, and is neither health nor a fault
    told = any(each.outcome != "incomplete" or not each.check.startswith("observe.") for each in findings)
    if not told:
        return "unknown"
    if failed or undecided or not any(each.outcome == "pass" for each in findings):
        return "info"
    return "pass"


def _states(findings: Sequence[Finding]) -> dict[str, set[str]]:
    states: dict[str, set[str]] = {}
    for each in findings:
        states.setdefault(each.check, set()).add(each.outcome)
    return states


def coverage_of(findings: Sequence[Finding]) -> float:
    """Share of the required checks that were decided; those that do not apply by any finding's word are left out.

    A check that one reading decided is decided, so that a reading more can only add.
    """
    decided, wanted = _counts(findings, ("pass", "fail"))
    return decided / wanted if wanted else 0.0


def _counts(findings: Sequence[Finding], good: tuple[str, ...]) -> tuple[int, int]:
    states = _states(findings)
    required = [name for name, check in checks().items() if check.required]
    judged = [name for name in required if states.get(name, set()) & {"pass", "fail"}]
    outside = [name for name in required if name not in judged and "not_applicable" in states.get(name, set())]
    decided = [name for name in judged if "fail" not in states[name] or "fail" in good]
    return len(decided), len(required) - len(outside)


def grade_of(findings: Sequence[Finding]) -> str | None:
    """The letter: F behind a closed gate; else by the worst efficiency, capped by what was covered and by warnings.

    For the caps only checks that passed count as covered, so that a failure more cannot lift one. None: too little was
    covered, or nothing was measured against a reference.
    """
    if any(each.outcome == "fail" and each.severity in GATE for each in findings):
        return "F"
    passed, wanted = _counts(findings, ("pass",))
    share = passed / wanted if wanted else 0.0
    efficiencies = [each.efficiency for each in findings if each.efficiency is not None]
    if share < _ENOUGH or not efficiencies:
        return None
    letter = next(name for least, name in LETTERS if min(efficiencies) >= least)
    if share < _FULL:
        letter = max(letter, "B")
    if any(each.outcome == "fail" and each.severity == "TUNE" for each in findings):
        letter = max(letter, "B")
    if any(each.outcome == "fail" and each.severity == "WATCH" for each in findings):
        letter = max(letter, "C")
    if any(each.outcome == "incomplete" and each.severity != "INFO" for each in findings):
        letter = max(letter, "C")
    if any(each.outcome == "fail" and each.check == _UNSTEADY for each in findings):
        letter = _below(letter)
    return letter


def _below(letter: str) -> str:
    """One letter lower."""
    names = [name for _, name in LETTERS]
    return names[min(names.index(letter) + 1, len(names) - 1)]
