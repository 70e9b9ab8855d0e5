"""From readings of one node to its judgement."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from sublet.qualification.judging import (
    collectives,
    devices,
    gpus,
    host,
    links,
    logs,
    outliers,
    ports,
    rates,
    repeats,
    services,
    vendor,
)
from sublet.qualification.judging.catalogue import checks, finding
from sublet.qualification.judging.chips import Chip, chip_of, one_of
from sublet.qualification.judging.context import Context
from sublet.qualification.judging.grade import coverage_of, grade_of, verdict_of
from sublet.qualification.judging.values import GATE, SEVERITIES, Expected, Finding, Judgement
from sublet.qualification.reading import agents, copies, host_files, host_tests
from sublet.qualification.reading.dcgm import Diagnostic
from sublet.qualification.reading.fabric_log import FabricLog
from sublet.qualification.reading.fleet_results import SUPERBENCH, Curves
from sublet.qualification.reading.ib import Ports
from sublet.qualification.reading.kernel_log import Log
from sublet.qualification.reading.lspci import KIND as LSPCI
from sublet.qualification.reading.lspci import VERBOSE
from sublet.qualification.reading.nccl import Collective
from sublet.qualification.reading.nccl_topo import KIND as TOPO_FILE
from sublet.qualification.reading.network import Gpcnet, Perftest
from sublet.qualification.reading.nvlink import NvlinkStatus
from sublet.qualification.reading.services import Services
from sublet.qualification.reading.smi_failure import SmiFailure
from sublet.qualification.reading.smi_record import SmiLog
from sublet.qualification.reading.topo import Topology
from sublet.qualification.reading.values import Reading

SEVERAL = "recorded node"

_BY_TYPE: dict[type, Callable[[Any, Context], list[Finding]]] = {
    NvlinkStatus: links.judge_nvlink,
    Topology: links.judge_topology,
    Log: logs.judge_kernel,
    FabricLog: logs.judge_fabric,
    Diagnostic: vendor.judge_dcgm,
    agents.ProviderLog: vendor.judge_provider,
    Collective: collectives.judge,
    Curves: collectives.judge_curves,
    Perftest: rates.judge_perftest,
    Gpcnet: rates.judge_gpcnet,
    host_tests.Stream: rates.judge_stream,
    Services: services.judge,
    host_files.HostFiles: host.judge,
    host_files.Clock: host.judge_clock,
}
_BY_KIND: dict[str, Callable[[Any, Context], list[Finding]]] = {
    LSPCI: devices.judge,
    VERBOSE: devices.judge,
    TOPO_FILE: links.judge_topo_file,
    agents.GPUD: vendor.judge_gpud,
    SUPERBENCH: outliers.judge,
}


def judge(readings: Sequence[Reading], expected: Expected | None = None) -> Judgement:
    """The judgement over everything that was read of one node."""
    chip = _chip(readings)
    context = Context(expected or Expected(), chip)
    findings = [each for reading in readings for each in findings_of(reading, context)]
    if len(readings) > 1:
        findings = _merged([*findings, *host.judge_together(readings), *_repeated(readings)])
    findings = _explained(findings)
    if not findings:
        findings = [finding("observe.complete", "incomplete", "nothing that can be judged was read")]
    counts = [reading.count for reading in readings if reading.count]
    return Judgement(
        kind=readings[0].kind if len(readings) == 1 else SEVERAL,
        chip=chip.name if chip else None,
        count=max(counts, default=None),
        verdict=verdict_of(findings),
        findings=tuple(sorted(findings, key=_order)),
        grade=grade_of(findings),
        coverage=coverage_of(findings),
    )


def _repeated(readings: Sequence[Reading]) -> list[Finding]:
    return repeats.judge_stability(repeats.repeats_of(readings))


def _chip(readings: Sequence[Reading]) -> Chip | None:
    """The one chip that all readings name; the first where they differ."""
    named = [device for reading in readings for device in dict.fromkeys(reading.devices)]
    return one_of(named) or next((chip for device in named if (chip := chip_of(device)) is not None), None)


def findings_of(reading: Reading, context: Context) -> list[Finding]:
    """The findings of one reading, and whether it is all there."""
    found = _judged(reading, context)
    if reading.state == "cut":
        found.append(finding("observe.complete", "incomplete", f"{reading.kind}: {reading.why}"))
    elif reading.state == "unproven":
        found.append(finding("observe.complete", "incomplete", f"{reading.kind}: {reading.why}", "INFO"))
    if reading.problems:
        grave = reading.state == "cut"
        found.append(
            finding(
                "observe.complete", "incomplete", f"{reading.kind}: {reading.problems[0]}", None if grave else "INFO"
            )
        )
    return found


def _judged(reading: Reading, context: Context) -> list[Finding]:
    data = reading.data
    if isinstance(data, SmiLog):
        return gpus.judge(reading, context)
    if isinstance(data, SmiFailure):
        return gpus.judge_failure(data.cause, data.said, context)
    if isinstance(data, Ports):
        return ports.judge(data, context, whole=reading.state == "whole")
    if isinstance(data, copies.Copies):
        return rates.judge_copies(data, reading.devices, context)
    if reading.kind == host_tests.FIO and data:
        return rates.judge_fio(data[1], context)
    if reading.kind == agents.MANIFEST and data is not None:
        said = f"{reading.count or 'no'} GPUs should be there; a list is no observation"
        return [finding("node.manifest", "incomplete", said, "INFO"), finding("node.manifest", "not_applicable", said)]
    rule = _BY_TYPE.get(type(data)) or _BY_KIND.get(reading.kind)
    return rule(data, context) if rule and data is not None else []


def _explained(findings: list[Finding]) -> list[Finding]:
    """Failures that follow from another one say so; they stay, for a cause may be mended and its symptom may not."""
    known = checks()
    failed = {each.check for each in findings if each.outcome == "fail" and each.severity != "INFO"}
    causes = {symptom: cause for cause in failed for symptom in known[cause].explains if symptom in failed}
    return [
        replace(each, cause=causes[each.check], message=f"{each.message} (follows from {causes[each.check]})")
        if each.outcome == "fail" and each.check in causes
        else each
        for each in findings
    ]


def _order(each: Finding) -> tuple[int, bool, int, str]:
    """Gates first and of those the causes, then what is undecided, then the rest by severity."""
    grave = {"fail": 0 if each.severity in GATE else 2, "incomplete": 1 if each.severity != "INFO" else 3}
    return (
        grave.get(each.outcome, 4 if each.outcome == "pass" else 5),
        bool(each.cause),
        SEVERITIES.index(each.severity),
        each.check,
    )


def _merged(findings: list[Finding]) -> list[Finding]:
    """Of several readings' answers to one check: every failure once, the undecided once; a pass only where all is well.

    A dead fabric manager explains GPUs that are not in the fabric, and a GPU that fell off the bus explains a count.
    """
    seen: dict[tuple[str, str], Finding] = {}
    for each in findings:
        key = (each.check, each.outcome if each.outcome != "fail" else f"fail {each.message}")
        kept = seen.get(key)
        if kept is None or SEVERITIES.index(each.severity) < SEVERITIES.index(kept.severity):
            seen[key] = each
    return list(seen.values())
