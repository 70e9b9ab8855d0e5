"""Counters of two readings of one node: what grew in between, and how fast.

Invariant: a counter that fell was set back (a reload, a reboot, a reset) and counts from nothing, never as negative; a
counter that only one reading has decides nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sublet.qualification.judging.catalogue import finding, limit
from sublet.qualification.judging.values import Finding, Severity
from sublet.qualification.reading.ib import Ports
from sublet.qualification.reading.nvlink import NvlinkStatus
from sublet.qualification.reading.smi_record import SmiLog
from sublet.qualification.reading.text import whole_number
from sublet.qualification.reading.values import Reading

Key = tuple[str, str, str]  # check, part, counter

_IB = {
    "link_downed": "ib.flap",
    "link_error_recovery": "ib.flap",
    "carrier_changes": "ib.flap",
    "symbol_error": "ib.errors",
    "port_rcv_errors": "ib.errors",
    "local_link_integrity_errors": "ib.errors",
    "excessive_buffer_overrun_errors": "ib.errors",
}
_SMI = {
    "replays": "pcie.replays",
    "volatile_dram_uncorrectable": "ecc.uncorrectable",
    "volatile_sram_uncorrectable": "ecc.uncorrectable",
    "volatile_sram_parity": "ecc.uncorrectable",
    "volatile_sram_secded": "ecc.uncorrectable",
    "volatile_double_bit": "ecc.uncorrectable",
    "remap_uncorrectable": "ecc.remap",
}
# a single step of these is a fault; of the others so many an hour are allowed as the check says
_ANY: dict[str, Severity | None] = {"ecc.uncorrectable": None, "ecc.remap": None, "ib.flap": "WATCH"}


@dataclass(frozen=True)
class Counters:
    """All counters of one moment. `at_s`: seconds on any one clock."""

    at_s: float
    values: Mapping[Key, int]


def counters_of(readings: Sequence[Reading], at_s: float) -> Counters:
    """What readings of one moment count."""
    values: dict[Key, int] = {}
    for reading in readings:
        values.update(_values(reading.data))
    return Counters(at_s, values)


def _values(data: object) -> Iterable[tuple[Key, int]]:
    if isinstance(data, Ports):
        for port in data.ports:
            part = f"{port.device}/{port.number}"
            yield from (((_IB[name], part, name), n) for name, n in port.counters.items() if name in _IB)
    elif isinstance(data, NvlinkStatus):
        for gpu in data.gpus:
            yield from ((("nvlink.errors", f"GPU {gpu.index}", name), n) for name, n in gpu.errors.items())
    elif isinstance(data, SmiLog):
        for record in data.gpus:
            for name, check in _SMI.items():
                count = whole_number(record.fields.get(name))
                if count is not None:
                    yield (check, record.bus, name), count


def judge(before: Counters, after: Counters) -> list[Finding]:
    """One finding a check: what grew faster than the check allows. Raises ValueError where time did not pass."""
    hours = (after.at_s - before.at_s) / 3600
    if hours <= 0:
        raise ValueError("the second reading is not after the first")
    grown: dict[str, list[tuple[int, str]]] = {}
    seen: set[str] = set()
    for key, count in after.values.items():
        if key not in before.values:
            continue
        check, part, name = key
        seen.add(check)
        step = count - before.values[key]
        step = count if step < 0 else step
        if step > _allowed(check, hours):
            grown.setdefault(check, []).append((step, f"{part} {name} +{step}"))
    found = []
    for check in sorted(seen):
        steps = sorted(grown.get(check, ()), reverse=True)
        span = f"in {hours * 60:.3g} minutes"
        if not steps:
            found.append(finding(check, "pass", f"no counter grew more than it may {span}"))
            continue
        many = check == "ib.flap" and steps[0][0] > limit("ib.flap", "flaps")
        severity = None if many else _ANY.get(check, "WATCH")
        said = "; ".join(words for _, words in steps[:4])
        parts = tuple(dict.fromkeys(words.rpartition(" ")[0].rpartition(" ")[0] for _, words in steps))
        found.append(finding(check, "fail", f"{said} {span}", severity, parts[:8]))
    return found


def _allowed(check: str, hours: float) -> float:
    """The steps that a check lets pass in that time; at least those of a minute's share of one."""
    return 0.0 if check in _ANY else limit(check, "per_hour") * hours
