"""This machine: the gate's own probe of processors, memory, disk and network, and the tools of its accelerators."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from sublet.qualification import gate
from sublet.qualification.hosts.live import LiveHost
from sublet.qualification.hosts.observing import observe
from sublet.qualification.hosts.protocol import Host
from sublet.qualification.judging.judge import judge
from sublet.qualification.judging.values import Expected, Finding, Judgement, Severity, Word
from sublet.qualification.observe import PROBE, TIMEOUT_S, read_report

KIND = "this machine"
_SEVERITY: Mapping[str, Severity] = {"critical": "ISOLATE", "warning": "WATCH", "info": "INFO"}
_GRAVE: tuple[Word, ...] = ("critical", "unknown", "warning", "info", "pass")


def judge_here(expected: Expected | None = None, host: Host | None = None) -> Judgement:
    """The gate's verdict over this machine, and the judgement over its accelerators where it has any.

    Nobody sold this machine to itself: the processors and the memory that it says it has are taken as what was sold.
    """
    host = host or LiveHost()
    asked = time.time()
    output = host.run(PROBE, TIMEOUT_S)
    if output.status == 0:
        seen = read_report(output.out, asked, time.time())
    else:
        said = output.why or output.err.decode(errors="replace").strip().splitlines()[-1:] or ["it said nothing"]
        seen = gate.Observation(error=f"the probe did not run: {said if isinstance(said, str) else said[0]}")
    readings = observe(host)
    accelerated = judge(readings, expected) if readings else None
    sold = gate.Sold(gate.CPU_ACCELERATOR, 0, _figure(seen, "cpu", "cpus"), _figure(seen, "memory", "bytes"))
    verdict = gate.judge(sold, seen, claimed=() if accelerated is None else None)
    own = [
        Finding(f"host.{each.id}", each.outcome, _SEVERITY[each.severity], each.found)
        for each in verdict.findings
        if each.id != "identity"
    ]
    words: list[Word] = [_of_host(own)]
    if accelerated is not None:
        words.append(accelerated.verdict)
    return Judgement(
        kind=KIND,
        chip=accelerated.chip if accelerated else None,
        count=accelerated.count if accelerated else None,
        verdict=min(words, key=_GRAVE.index),
        findings=(*(accelerated.findings if accelerated else ()), *own),
        grade=accelerated.grade if accelerated else None,
        coverage=accelerated.coverage if accelerated else verdict.coverage,
    )


def _of_host(findings: list[Finding]) -> Word:
    from sublet.qualification.judging.grade import verdict_of

    return verdict_of(findings)


def _figure(seen: gate.Observation, measure: str, name: str) -> float:
    value: Any = seen.measures.get(measure, {}).get(name)
    return float(value) if isinstance(value, int | float) else 1.0
