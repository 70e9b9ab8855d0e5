"""Bring the probe to a node and its answer back, through the node's provider. Nothing is judged here.

Invariant: whatever goes wrong (no answer, a command that hangs, an answer that is no report) becomes an observation
that says so; it is never taken for a measurement.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

from sublet.providers.protocol import Limits, NodeFacts, Provider, ProviderError
from sublet.qualification.schema import SCHEMA
from sublet.qualification.values import Observation

TIMEOUT_S = 60.0
PROBE = (sys.executable, "-m", "sublet.qualification.probe", "--json")
_LONGEST = 1 << 20  # bytes of an answer that are read


def observe(
    provider: Provider, ref: str, *, facts: NodeFacts | None = None, timeout_s: float = TIMEOUT_S
) -> tuple[NodeFacts | None, Observation]:
    """The provider's word on the node (None where it gave none) and what the probe measured there."""
    asked = time.time()
    try:
        facts = facts if facts is not None else provider.describe(ref)
        if not provider.capabilities().executes:
            return facts, Observation(error=f"{provider.name} runs no commands, so nothing can be measured")
        process = provider.execute(ref, PROBE, limits=Limits(seconds=timeout_s))
        status = process.wait(timeout_s)
        if status is None:
            process.kill()
            return facts, Observation(error=f"the probe did not end within {timeout_s:g} s")
        output, errors = process.output(limit=_LONGEST), process.errors(limit=4096)
    except ProviderError as error:
        return facts, Observation(error=f"the node could not be measured: {error}")
    if status != 0:
        last = errors.decode(errors="replace").strip().splitlines()[-1:] or ["it said nothing"]
        return facts, Observation(error=f"the probe ended with status {status}: {last[0]}")
    return facts, read_report(output, asked, time.time())


def read_report(output: bytes, asked_at: float, answered_at: float) -> Observation:
    """The probe's report as an observation; one with an `error` where it is no report of this schema."""
    try:
        document: Any = json.loads(output)
        if document["schema"] != SCHEMA:
            return Observation(error=f"the probe speaks schema {document['schema']!r}, {SCHEMA} is wanted")
        measures = {str(name): dict(figures) for name, figures in document["measures"].items()}
        started = float(document["started_at"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        return Observation(error=f"the probe's answer is no report: {type(error).__name__}: {error}")
    return Observation(measures, started, asked_at, answered_at)
