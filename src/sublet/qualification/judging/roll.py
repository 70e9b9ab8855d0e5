"""From answers about single parts (GPUs, ports) to one finding: one cause is one, however many parts show it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sublet.qualification.judging.catalogue import checks, finding
from sublet.qualification.judging.values import SEVERITIES, Finding, Outcome, Severity

_ORDER: tuple[Outcome, ...] = ("fail", "incomplete", "pass", "not_applicable")


@dataclass(frozen=True)
class Seen:
    """A check's answer about one part."""

    part: str
    outcome: Outcome
    said: str
    severity: Severity | None = None
    efficiency: float | None = None


def roll_up(check: str, seen: Sequence[Seen], noun: str = "GPU") -> list[Finding]:
    """One finding of a check: of the parts that failed, else of those undecided, else that all is well."""
    if not seen:
        return []
    outcome = next(each for each in _ORDER if any(one.outcome == each for one in seen))
    worst = [one for one in seen if one.outcome == outcome]
    default = checks()[check].severity
    gravest = min(SEVERITIES.index(one.severity or default) for one in worst)
    causes: dict[str, list[Seen]] = {}
    for one in worst:
        causes.setdefault(one.said, []).append(one)
    ranked = sorted(causes.items(), key=lambda cause: min(SEVERITIES.index(s.severity or default) for s in cause[1]))
    said = "; ".join(f"{_who([s.part for s in parts], len(seen), noun)}{words}" for words, parts in ranked[:3])
    if len(ranked) > 3:
        said += f"; and {len(ranked) - 3} more"
    efficiencies = [one.efficiency for one in seen if one.efficiency is not None]
    return [
        finding(
            check,
            outcome,
            said,
            SEVERITIES[gravest],
            () if len(worst) == len(seen) and len(seen) > 1 else tuple(one.part for one in worst),
            min(efficiencies, default=None),
        )
    ]


def _who(parts: list[str], total: int, noun: str) -> str:
    if len(parts) == total and total > 1:
        return f"all {total} {noun}s: "
    if len(parts) > 4:
        return f"{len(parts)} of {total} {noun}s: "
    return f"{', '.join(parts)}: " if any(parts) else ""
