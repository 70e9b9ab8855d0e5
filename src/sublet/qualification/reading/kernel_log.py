"""Kernel and system logs: dmesg in any of its forms, kmsg, journalctl, syslog.

Events of NVIDIA's driver (Xid, SXid, a GPU fallen off the bus without any Xid and over several lines), PCIe links that
came up too slow, InfiniBand links that flap. Invariant: a line that is not understood is no event, and never an error.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from sublet.qualification.reading.values import Reading, ends_in_a_line

DMESG, SYSLOG = "dmesg", "syslog"
_XID = re.compile(r"NVRM: (?:GPU at )?Xid \((?:PCI:)?([0-9a-fA-F:.]+)\): (\d{1,4})(?:, (.*))?$")
_SXID = re.compile(r"SXid \((?:PCI:)?([0-9a-fA-F:.]+)\): (\d{1,6})(?:, (.*))?$")
_PID = re.compile(r"pid='?<?([\w]+)>?'?")
_NAME = re.compile(r"name='?([^,']+?)'?(?:,|$)")
_CAUSED = re.compile(r"caused by previous Xid (\d{1,4})")
_GPU_AT = re.compile(r"(?:GPU|GPU at PCI:|device) ([0-9a-fA-F]{4,8}:[0-9a-fA-F]{2}:[0-9a-fA-F]{2}(?:\.[0-7])?)")
_PCI_ID = re.compile(r"PCI ID: ?([0-9a-fA-F]{4}):([0-9a-fA-F]{4})")
_FALLEN = re.compile(r"fallen off the bus|GPU is lost", re.IGNORECASE)
_LIMITED = re.compile(
    r"(\S+): ([\d.]+) Gb/s available PCIe bandwidth, limited by ([\d.]+) GT/s PCIe x(\d+) link at (\S+) "
    r"\(capable of ([\d.]+) Gb/s with ([\d.]+) GT/s PCIe x(\d+) link\)"
)
_CARRIER = re.compile(
    r"\b([A-Za-z][\w.-]{1,30}): (?:lost carrier|Lost carrier|Link DOWN|link down|link becomes not ready)"
)
_IB_LINK = re.compile(
    r"mlx\d?_core ([0-9a-f:.]+)(?:[ :]+([a-z][\w.-]+))?(?:: [Pp]ort: ?\d+)?:? .*?(?:Link down|PORT_ERR)", re.IGNORECASE
)
_DEAD = re.compile(r"(?:RmInitAdapter|rm_init_adapter) failed|probe of (\S+) failed with error", re.IGNORECASE)
_AT_DEAD = re.compile(r"\b([0-9a-fA-F]{4,8}:[0-9a-fA-F]{2}:[0-9a-fA-F]{2})\.[0-7]\b")
_AER = re.compile(r"(?:AER|pcieport).*(?:Uncorrected|Uncorrectable|severity=Uncorrect\w+)", re.IGNORECASE)
_MCE = re.compile(r"mce: \[Hardware Error\]|EDAC .*\bUE\b|Machine check events logged", re.IGNORECASE)
_FM_DEAD = re.compile(r"nvidia-fabricmanager.*(?:Failed|failed|main process exited|code=(?:exited|killed|dumped))")
_HINT = re.compile(r"available PCIe|carrier|[Ll]ink |mlx|fabricmanager|AER|pcieport|mce:|EDAC|Machine check")
_OPENS = re.compile(r"\s*(?:\[ *\d+\.\d{3,6}\] |\[[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d [\d:]{8} \d{4}\] |kern +:)")
_BOOT = re.compile(r"Linux version \d|\[\s*0\.0{3,}\]")
_SYSLOG_LINE = re.compile(r"^(?:[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d|\d{4}-\d\d-\d\dT\S+) \S+ [\w./@-]+(?:\[\d+\])?: ")
_LOOKS = re.compile(
    r"NVRM:|\bkernel: |^kern +:|^\[ *\d+\.\d{3,6}\] |^\[[A-Z][a-z]{2} [A-Z][a-z]{2} .*\d{4}\] "
    r"|^\d+,\d+,\d+,.;|lost carrier|SXid",
    re.MULTILINE,
)


@dataclass(frozen=True)
class Event:
    """One event. `what`: xid, sxid, fallen, dead (the driver cannot start a GPU), pcie_limited, carrier, aer,

    machine_check, fabric_manager.
    """

    what: str
    at: str  # PCI address or interface
    code: int | None = None
    pid: str = ""
    name: str = ""
    caused_by: int | None = None
    text: str = ""
    chip: str = ""  # "10de:26b5" where the log gives it
    figures: tuple[float, ...] = ()
    line: int = 0


@dataclass(frozen=True)
class Log:
    """The events of a log, in its order."""

    events: tuple[Event, ...]
    lines: int
    from_boot: bool
    gpus: tuple[str, ...]  # PCI addresses of GPUs that are named


def opens_like_one(text: str) -> bool:
    """Whether the first line is one of a kernel log, which saves asking for every other tool."""
    return bool(_OPENS.match(text))


def looks_like_one(text: str) -> bool:
    """Whether a text is such a log."""
    return bool(_LOOKS.search(text)) or bool(_SYSLOG_LINE.match(text.lstrip()))


def read(text: str) -> Reading:
    """The log's events."""
    events: list[Event] = []
    lines = text.split("\n")
    pending: tuple[str, int] | None = None  # a GPU named by a message that goes on over lines
    chip = ""
    for at, line in enumerate(lines):
        if "NVRM" in line or "SXid" in line or "nvidia" in line:
            event = _driver(line, at)
            if event:
                events.append(event)
                pending = None
                continue
            named, identity = _GPU_AT.search(line), _PCI_ID.search(line)
            chip = f"{identity[1]}:{identity[2]}".casefold() if identity else chip
            if named:
                pending = (named[1], at)
            if _DEAD.search(line):
                dead = _AT_DEAD.search(line)
                events.append(Event("dead", _address(dead[1]) if dead else "", text=line.strip()[:200], line=at))
                continue
            if _FALLEN.search(line):
                where = pending[0] if pending and at - pending[1] <= 5 else named[1] if named else ""
                events.append(Event("fallen", _address(where), text=line.strip()[:200], chip=chip, line=at))
                pending = None
                continue
        other = _other(line, at)
        if other:
            events.append(other)
    syslog = bool(_SYSLOG_LINE.match(text.lstrip())) and "NVRM" not in text
    ended = ends_in_a_line(text)
    gpus = tuple(dict.fromkeys(event.at for event in events if event.what in ("xid", "fallen") and event.at))
    log = Log(tuple(events), len(lines), bool(_BOOT.search(text[:20_000])), gpus)
    return Reading(
        SYSLOG if syslog else DMESG,
        log,
        devices=tuple(dict.fromkeys(f"[{event.chip}]" for event in events if event.chip)),
        state="unproven" if ended else "cut",
        why="a log does not say what else there was" if ended else "the text ends inside a line",
    )


def _address(raw: str) -> str:
    """A PCI address as the kernel writes it, without function and with four digits of domain."""
    parts = raw.casefold().partition(".")[0].split(":")
    if len(parts) == 3:
        parts[0] = parts[0][-4:].rjust(4, "0")
    return ":".join(parts)


def _driver(line: str, at: int) -> Event | None:
    xid = _XID.search(line)
    if xid:
        rest = xid[3] or ""
        pid, name, caused = _PID.search(rest), _NAME.search(rest), _CAUSED.search(rest)
        return Event(
            "xid",
            _address(xid[1]),
            int(xid[2]),
            pid[1] if pid and pid[1].isdigit() else "",
            "" if not name or "<unknown>" in name[1] else name[1].strip(),
            int(caused[1]) if caused else None,
            rest[:300],
            line=at,
        )
    sxid = _SXID.search(line)
    if sxid:
        return Event("sxid", _address(sxid[1]), int(sxid[2]), text=(sxid[3] or "")[:300], line=at)
    return None


def _other(line: str, at: int) -> Event | None:
    if not _HINT.search(line):
        return None
    if "available PCIe bandwidth" in line:
        found = _LIMITED.search(line)
        if found:
            figures = tuple(float(found[index][:12]) for index in (2, 3, 4, 6, 7, 8) if _is_number(found[index]))
            return Event("pcie_limited", found[1], text=line.strip()[-220:], figures=figures, line=at)
    carrier = _CARRIER.search(line)
    if carrier:
        return Event("carrier", carrier[1], text=line.strip()[:200], line=at)
    if "mlx" in line:
        found = _IB_LINK.search(line)
        if found:
            return Event("carrier", f"mlx {found[2] or found[1]}", text=line.strip()[:200], line=at)
    if _FM_DEAD.search(line):
        return Event("fabric_manager", "", text=line.strip()[:200], line=at)
    if _AER.search(line):
        return Event("aer", "", text=line.strip()[:200], line=at)
    if _MCE.search(line):
        return Event("machine_check", "", text=line.strip()[:200], line=at)
    return None


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
