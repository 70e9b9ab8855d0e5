"""A judgement as the JSON document that programs read."""

from __future__ import annotations

from typing import Any

from sublet.qualification.judging.catalogue import checks
from sublet.qualification.judging.values import Judgement

SCHEMA = "sublet.qualification.judgement/1"


def document(judgement: Judgement) -> dict[str, Any]:
    """JSON values; findings gravest first."""
    known = checks()
    return {
        "schema": SCHEMA,
        "kind": judgement.kind,
        "chip": judgement.chip,
        "count": judgement.count,
        "verdict": judgement.verdict,
        "findings": [
            {
                "check": each.check,
                "outcome": each.outcome,
                "severity": each.severity,
                "message": each.message,
                "where": list(each.where),
                "cause": each.cause or None,
                "efficiency": None if each.efficiency is None else round(each.efficiency, 4),
                "remedy": known[each.check].remedy if each.outcome == "fail" and each.check in known else None,
            }
            for each in judgement.findings
        ],
        "grade": judgement.grade,
        "coverage": round(judgement.coverage, 4),
    }
