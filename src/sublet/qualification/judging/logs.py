"""Rules over kernel logs and the fabric manager's log: what happened, by the table of codes, root cause first."""

from __future__ import annotations

import re
from collections.abc import Sequence

from sublet.qualification.judging import xid
from sublet.qualification.judging.catalogue import finding, limit
from sublet.qualification.judging.context import Context
from sublet.qualification.judging.values import GATE, SEVERITIES, Finding, Severity
from sublet.qualification.reading.fabric_log import FabricLog
from sublet.qualification.reading.kernel_log import Event, Log

_GEN1 = 2.5  # GT/s
_ENDS = re.compile(
    r"don.?t match|mismatch|failed to (?:initiali[sz]e|start|configure|open)|abort|exiting|NVLink fatal|not supported",
    re.IGNORECASE,
)
_NVLINK = {74, 45, 155, *xid.NVLINK5}


def judge_kernel(log: Log, context: Context) -> list[Finding]:
    """Findings over the events of a kernel or system log."""
    found = _xids([event for event in log.events if event.what in ("xid", "fallen")])
    found += _sxids([event for event in log.events if event.what == "sxid"])
    found += _limited([event for event in log.events if event.what == "pcie_limited"], context)
    found += _carrier([event for event in log.events if event.what == "carrier"])
    for what, check, words in (
        ("aer", "pcie.errors", "uncorrected errors of the bus"),
        ("machine_check", "host.machine_check", "machine checks of the host"),
        ("fabric_manager", "fabric.manager", "the fabric manager's service ended"),
        ("dead", "observe.tool", "the driver could not start a GPU"),
    ):
        events = [event for event in log.events if event.what == what]
        if events:
            found.append(finding(check, "fail", f"{len(events)} times: {words}: {events[0].text[-120:]}"))
    return found


def _code(event: Event) -> int:
    return xid.FALLEN if event.what == "fallen" else event.code or 0


def _xids(events: Sequence[Event]) -> list[Finding]:
    graves: list[tuple[Severity, int, Event]] = []
    soft: list[Event] = []
    for event in events:
        code = _code(event)
        severity = xid.severity_of(code, event.text)
        if event.caused_by is not None and event.caused_by not in (code, 0):
            code, severity = event.caused_by, xid.severity_of(event.caused_by, event.text)
        known = xid.table().get(code)
        if severity == "INFO" or (known is not None and known.application and severity not in GATE and code != 45):
            soft.append(event)
        else:
            graves.append((severity, code, event))
    found = [_root(graves, events)] if graves else []
    if not graves:
        found = [finding("xid", "pass", "no event that needs a reset, a reboot or a return")]
    return found + _applications(soft)


def _root(graves: list[tuple[Severity, int, Event]], events: Sequence[Event]) -> Finding:
    """One finding: the event nearest the root, and how many others it took along."""

    def nearness(each: tuple[Severity, int, Event]) -> tuple[int, int, int]:
        severity, code, event = each
        known = xid.table().get(code)
        return (severity not in GATE, known.rank if known else 20, event.line)

    severity, code, event = min(graves, key=nearness)
    severity = min((each[0] for each in graves if each[1] == code), key=SEVERITIES.index)
    known = xid.table().get(code)
    meaning = known.meaning if known else "a code that the catalogue does not know"
    same = [each for each in graves if each[1] == code]
    places = list(dict.fromkeys(each[2].at for each in same if each[2].at))
    # a link has two ends and more listeners: of NVLink faults of one event only the root's GPU is blamed
    symptoms = list(
        dict.fromkeys(
            e.at for _, other, e in graves if other != code and e.at and e.at not in places and other in _NVLINK
        )
    )
    others = sorted({other for _, other, e in graves if other != code and e.at not in symptoms})
    name = "a GPU fell off the bus" + (" (no Xid was logged)" if event.what == "fallen" else "")
    said = f"{', '.join(places[:8]) or 'a GPU'}: {name if code == xid.FALLEN else f'Xid {code}, {meaning}'}"
    if len(same) > 1:
        said += f", {len(same)} times"
    if symptoms:
        said += f"; {', '.join(symptoms[:8])} only answer to it"
    if others:
        said += f"; also Xid {', '.join(map(str, others[:6]))}"
    return finding("xid", "fail", said, severity, tuple(places))


def _applications(events: list[Event]) -> list[Finding]:
    if not events:
        return []
    by_gpu: dict[str, set[str]] = {}
    for event in events:
        by_gpu.setdefault(event.at, set()).update({event.name} if event.name else set())
    codes = ", ".join(map(str, sorted({_code(event) for event in events})))
    crowded = [gpu for gpu, names in by_gpu.items() if len(names) > 1]
    if crowded:
        said = f"{', '.join(crowded)}: Xid {codes} in several applications, which points at the GPU"
        return [finding("xid.application", "fail", said, "WATCH", tuple(crowded))]
    if {_code(event) for event in events} == {154}:
        return []  # a recovery action that was called off
    said = f"{len(events)} times Xid {codes} on {', '.join(list(by_gpu)[:4])}: the application's own fault; restart it"
    return [finding("xid.application", "fail", said, "INFO", tuple(by_gpu))]


def _sxids(events: Sequence[Event]) -> list[Finding]:
    if not events:
        return []
    graded = {(event.at, event.code) for event in events if "fatal" in event.text.casefold()}
    # "Severity 0 Engine instance ..." and "Data {...}" go on with the message before them
    events = [e for e in events if "fatal" in e.text.casefold() or (e.at, e.code) not in graded]
    fatal = [event for event in events if "fatal" in event.text.casefold() and "non-fatal" not in event.text.casefold()]
    unclear = [event for event in events if "fatal" not in event.text.casefold()]
    if fatal:
        return [finding("sxid", "fail", f"{fatal[0].at}: fatal SXid {fatal[0].code} of an NVSwitch")]
    if unclear:
        return [finding("sxid", "fail", f"{unclear[0].at}: SXid {unclear[0].code}, not said to be harmless", "WATCH")]
    return [finding("sxid", "fail", f"{len(events)} non-fatal SXids, which are routine", "INFO")]


def _limited(events: Sequence[Event], context: Context) -> list[Finding]:
    """PCIe links that came up too slow; by the kernel's words the device could do more."""
    if not events:
        return []
    worst = max(events, key=lambda event: event.figures[3] / event.figures[0] if len(event.figures) == 6 else 0)
    if len(worst.figures) != 6:
        return [finding("pcie.link", "incomplete", "a link is said to be limited, and the line cannot be read")]
    have, speed, lanes, can, wanted, most = worst.figures
    places = tuple(dict.fromkeys(event.at for event in events))
    said = (
        f"{', '.join(places[:8])}: {have:g} of {can:g} Gb/s ({speed:g} of {wanted:g} GT/s, {lanes:g} of {most:g} lanes)"
    )
    severity: Severity | None = None if can >= 100 else "INFO"
    if severity is None and speed <= _GEN1 and lanes == most and "mlx" not in worst.text:
        severity = "WATCH"  # may have been asleep
        said += ": at the lowest speed, which may be power saving"
    return [finding("pcie.link", "fail", said, severity, places)]


def _carrier(events: Sequence[Event]) -> list[Finding]:
    fabric = [event for event in events if event.at.startswith(("ib", "mlx", "rdma", "roce", "hsn", "bond_ib"))]
    if not fabric:
        if events:
            return [finding("ib.flap", "fail", f"{events[0].at} lost its carrier {len(events)} times", "INFO")]
        return []
    counts: dict[str, int] = {}
    for event in fabric:
        counts[event.at] = counts.get(event.at, 0) + 1
    said = ", ".join(f"{name} lost its carrier {count} times" for name, count in list(counts.items())[:4])
    many = max(counts.values()) > limit("ib.flap", "flaps")
    return [finding("ib.flap", "fail", said, None if many else "WATCH", tuple(counts))]


def judge_fabric(log: FabricLog, context: Context) -> list[Finding]:
    """The fabric manager's log: its level does not tell what is grave, the word non-fatal does."""
    fatal = [event for event in log.events if event.grade == "fatal"]
    routine = [event for event in log.events if event.grade == "non-fatal"]
    own = [event for event in log.events if not event.grade]
    found = []
    if fatal:
        places = tuple(dict.fromkeys(event.at for event in fatal))
        found.append(
            finding("sxid", "fail", f"{', '.join(places)}: fatal error {fatal[0].code} of an NVSwitch", where=places)
        )
    elif routine:
        codes = ", ".join(map(str, sorted({event.code for event in routine if event.code is not None})))
        found.append(finding("sxid", "fail", f"non-fatal error {codes} of an NVSwitch, which is routine", "INFO"))
    elif log.lines:
        found.append(finding("sxid", "pass", "no error of an NVSwitch"))
    grave = [event for event in own if _ENDS.search(event.said)]
    if grave:
        found.append(finding("fabric.manager", "fail", f"it cannot work: {grave[0].said[:160]}"))
    elif own:
        found.append(finding("fabric.manager", "fail", f"it logged {len(own)} errors: {own[-1].said[:120]}", "WATCH"))
    return found
