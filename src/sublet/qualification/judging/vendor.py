"""Rules over what other checkers say: DCGM, gpud, a provider's own check. Their word is evidence, not the verdict."""

from __future__ import annotations

import re

from sublet.qualification.judging import chips, xid
from sublet.qualification.judging.catalogue import finding
from sublet.qualification.judging.context import Context
from sublet.qualification.judging.values import SEVERITIES, Finding, Severity
from sublet.qualification.reading.agents import Component, ProviderLog
from sublet.qualification.reading.dcgm import Diagnostic, Result

_PERSISTENCE = re.compile(r"persistence", re.IGNORECASE)
_ZERO = re.compile(r"totall?ing 0(?:\.0+)? seconds", re.IGNORECASE)
_UNMEASURED = re.compile(
    r"unable to allocate|could not allocate|insufficient memory|not enough (?:free )?memory", re.IGNORECASE
)
_PERSISTENCE_ERROR = 29  # DCGM's error id of persistence mode


def judge_dcgm(diagnostic: Diagnostic, context: Context) -> list[Finding]:
    """A diagnostic: failures by their severity; failures by nothing and passes without a measurement decide nothing."""
    if diagnostic.refused and re.search(r"GPU is lost|fallen off", diagnostic.refused, re.IGNORECASE):
        return [finding("observe.tool", "fail", f"DCGM says: {diagnostic.refused}")]
    if diagnostic.refused:
        return [finding("dcgm", "incomplete", f"it did not run: {diagnostic.refused}")]
    if not diagnostic.results:
        return [finding("dcgm", "incomplete", "it holds no result")]
    found: list[Finding] = []
    ids = tuple(f"[10de:{each.casefold()}]" for each in diagnostic.device_ids)
    chip = chips.one_of(ids)
    if context.sold is not None and chip is not None:
        good = chip.name == context.sold.name
        found.append(finding("gpu.identity", "pass" if good else "fail", f"{chip.name}; {context.sold.name} was sold"))
    if context.expected.count is not None and ids:
        good = len(ids) == context.expected.count
        found.append(
            finding("gpu.count", "pass" if good else "fail", f"{len(ids)} GPUs, {context.expected.count} were sold")
        )
    failed, tunable, undecided = [], [], []
    for result in diagnostic.results:
        if result.error_id == _PERSISTENCE_ERROR or (
            result.status in ("fail", "warn")
            and (_PERSISTENCE.search(result.test) or result.said.casefold().startswith("persistence mode"))
        ):
            tunable.append(result)
        elif result.status == "pass" and _UNMEASURED.search(result.said):
            undecided.append((result, "passed, and it could not allocate what it would have measured"))
        elif result.status in ("fail", "error") and _ZERO.search(result.said):
            undecided.append((result, "failed by zero seconds of throttling"))
        elif result.status == "fail":
            failed.append(result)
        elif result.status in ("error", "unknown"):
            undecided.append((result, f"gave {result.status}"))
    if tunable:
        found.append(
            finding("gpu.persistence", "fail", "DCGM says that persistence mode is off (nvidia-smi -pm 1)", "TUNE")
        )
    named = [result for result in failed if result.test != "a test that is not named"]
    if failed:
        severity = min((_severity(result) for result in failed), key=SEVERITIES.index)
        parts = tuple(sorted({f"GPU {gpu}" for result in failed for gpu in result.gpus}))
        words = "; ".join(_words(result) for result in (named or failed)[:3])
        found.append(
            finding("dcgm", "fail", words if named else f"{len(failed)} tests failed, not named", severity, parts)
        )
    for result, words in undecided[:2]:
        found.append(finding("dcgm", "incomplete", f"{result.test} {words}"))
    passed = sum(result.status == "pass" for result in diagnostic.results)
    if not failed and not undecided:
        skipped = sum(result.status == "skip" for result in diagnostic.results)
        if passed:
            found.append(finding("dcgm", "pass", f"{passed} tests passed"))
            if skipped > passed:
                said = f"{skipped} tests were skipped, {passed} ran: this diagnostic tested little"
                found.append(finding("dcgm", "incomplete", said, "INFO"))
        elif not tunable:
            found.append(finding("dcgm", "incomplete", "no test came to a result"))
    warned = [result for result in diagnostic.results if result.status == "warn" and result not in tunable]
    warned = [result for result in warned if result.test != "a test that is not named"]
    if warned:
        found.append(finding("dcgm", "fail", f"{_words(warned[0])} (a warning)", "INFO"))
    return found


def _words(result: Result) -> str:
    where = f" on GPU {', '.join(map(str, result.gpus))}" if result.gpus else ""
    return f"{result.test}{where}{f': {result.said[:140]}' if result.said else ''}"


# DCGM's grades: monitor, isolate, unknown (read as reset by a scanner of clusters), triage, configuration, reset
_GRADES: dict[int, Severity] = {1: "WATCH", 2: "ISOLATE", 3: "RESET", 4: "ISOLATE", 5: "TUNE", 6: "RESET"}


def _severity(result: Result) -> Severity:
    return _GRADES.get(result.severity or 0, "ISOLATE")


def judge_gpud(components: tuple[Component, ...], context: Context) -> list[Finding]:
    """gpud's states. Its own code takes an unknown state for healthy; here it decides nothing."""
    found: list[Finding] = []
    for component in components:
        name, health = component.name, component.health.strip().casefold()
        check = _component(name)
        if health in ("healthy", "true"):
            found.append(finding(check, "pass", f"gpud: {name} is healthy"))
        elif health in ("unhealthy", "false"):
            named = re.search(r"\bxid:? ?(\d{1,3})\b", component.reason, re.IGNORECASE) if check == "xid" else None
            severity = xid.severity_of(int(named[1]), component.reason) if named else None
            severity = "WATCH" if severity == "INFO" else severity  # gpud does not call it unhealthy for nothing
            found.append(finding(check, "fail", f"gpud: {component.reason[:200] or name}", severity))
        elif health == "degraded":
            found.append(finding(check, "fail", f"gpud: {name} is degraded: {component.reason[:200]}", "WATCH"))
        else:
            found.append(
                finding(
                    check, "incomplete", f"gpud: {name} is {component.health!r}, which nothing says is healthy", "WATCH"
                )
            )
    return found


_COMPONENTS = {
    "fabric-manager": "fabric.manager",
    "remapped-rows": "ecc.remap",
    "ecc": "ecc.uncorrectable",
    "sxid": "sxid",
    "xid": "xid",
    "error-xid": "xid",
    "infiniband": "ib.ports",
    "nvlink": "nvlink.links",
    "hw-slowdown": "gpu.throttle",
    "clock": "gpu.throttle",
    "temperature": "gpu.thermal",
    "persistence": "gpu.persistence",
    "gpu-counts": "gpu.count",
}


def _component(name: str) -> str:
    return next((check for part, check in _COMPONENTS.items() if part in name), "agent.state")


def judge_provider(log: ProviderLog, context: Context) -> list[Finding]:
    """A provider's check: what passed, what failed, what crashed and so decides nothing."""
    found: list[Finding] = []
    failed = [test for test in log.tests if test.outcome == "fail"]
    crashed = [test for test in log.tests if test.outcome == "crashed"]
    passed = [test for test in log.tests if test.outcome == "pass"]
    for test in failed[:5]:
        check, severity = _provider(test.test)
        found.append(finding(check, "fail", f"the provider's check failed: {test.said[:160]}", severity))
    found += [
        finding("provider.check", "incomplete", f"a test crashed and decides nothing: {test.said[:160]}")
        for test in crashed[:3]
    ]
    if passed:
        found.append(finding("provider.check", "pass", f"{len(passed)} tests of the provider passed"))
    return found


_PROVIDER: tuple[tuple[str, str, Severity | None], ...] = (
    (r"ecc|row remap", "ecc.uncorrectable", None),
    (r"gpu count|bus check", "gpu.count", None),
    (r"pcie", "pcie.link", None),
    (r"flap", "ib.flap", None),
    (r"rdma|interface|wpa|rttcc|mlx\d|infiniband|\bib\b|link check", "ib.ports", None),
    (r"xid", "xid", None),
    (r"nvlink|links detected", "nvlink.links", None),
    (r"nccl|allreduce|all_reduce", "perf.allreduce_intra", None),
    (r"fryer|gemm", "perf.gemm", None),
    (r"sdc|corruption", "sdc", None),
    (r"dcgm", "dcgm", None),
)


def _provider(test: str) -> tuple[str, Severity | None]:
    for pattern, check, severity in _PROVIDER:
        if re.search(pattern, test, re.IGNORECASE):
            return check, severity
    return "provider.check", None
