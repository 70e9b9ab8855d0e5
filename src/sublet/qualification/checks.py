"""The checks: each takes what was sold, what was observed and its rule's limits, and says what it found.

Pure functions over values. Invariant: a check that lacks a figure answers "incomplete", never "pass".
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sublet.catalog.names import resolve
from sublet.qualification.values import CPU_ACCELERATOR, Observation, Outcome, Reference, Sold
from sublet.units import format_bytes, format_rate, format_si


@dataclass(frozen=True)
class Subject:
    """What a check looks at."""

    sold: Sold
    seen: Observation
    reference: Reference
    claimed: tuple[str, ...] | None  # accelerators that the provider says it delivered; None: it does not say


Answer = tuple[Outcome, str]


class Missing(Exception):
    """A figure that the check needs is not there; the text says which and why."""


def _figures(subject: Subject, name: str) -> Mapping[str, Any]:
    if subject.seen.error:
        raise Missing(subject.seen.error)
    figures = subject.seen.measures.get(name)
    if figures is None:
        raise Missing(f"{name} was not measured")
    if "error" in figures:
        raise Missing(f"{name} could not be measured: {figures['error']}")
    return figures


def _number(subject: Subject, name: str, key: str) -> float:
    value = _figures(subject, name).get(key)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise Missing(f"{name} says nothing usable about {key}: {value!r}")
    return float(value)


def _true(subject: Subject, name: str, key: str) -> bool:
    value = _figures(subject, name).get(key)
    if not isinstance(value, bool):
        raise Missing(f"{name} says nothing usable about {key}: {value!r}")
    return value


def identity(subject: Subject, limits: Mapping[str, float]) -> Answer:
    """Accelerators: by the driver on the node, and by the provider's own word where it gives one."""
    sold, figures = subject.sold, _figures(subject, "identity")
    processor = str(figures.get("cpu_model") or "unnamed processor")
    named = (sold.accelerator,) * sold.accelerators
    if subject.claimed is not None and tuple(map(_canonical, subject.claimed)) != named:
        return "fail", f"the provider delivered {_listed(subject.claimed)}, sold were {_listed(named)}"
    if sold.accelerator == CPU_ACCELERATOR:
        return "pass", f"the processor itself was sold: {processor}"
    found = figures.get("accelerators")
    if not isinstance(found, list):
        return "incomplete", "an accelerator may be there, but no driver on the node names it"
    if tuple(_canonical(name) for name in found) != named:
        return "fail", f"the node has {_listed(tuple(map(str, found)))}, sold were {_listed(named)}"
    return "pass", f"{_listed(named)} on {processor}"


def _canonical(name: object) -> str:
    return str(name) if name == CPU_ACCELERATOR else resolve(str(name)).accelerator or str(name)


def _listed(names: tuple[str, ...]) -> str:
    counts = {name: names.count(name) for name in dict.fromkeys(names)}
    return ", ".join(f"{count} x {name}" for name, count in counts.items()) or "no accelerator"


def cpu_count(subject: Subject, limits: Mapping[str, float]) -> Answer:
    """Cores."""
    cpus = _number(subject, "cpu", "cpus")
    return _judge(cpus >= subject.sold.cpus), f"{cpus:g} cores usable, {subject.sold.cpus:g} sold"


def memory_size(subject: Subject, limits: Mapping[str, float]) -> Answer:
    """Memory."""
    usable = _number(subject, "memory", "bytes")
    said = f"{format_bytes(usable)} usable, {format_bytes(subject.sold.memory_bytes)} sold"
    return _judge(usable >= limits["share"] * subject.sold.memory_bytes), said


def memory_intact(subject: Subject, limits: Mapping[str, float]) -> Answer:
    """Memory gives back what it was given."""
    size = _number(subject, "memory", "touched_bytes")
    if size <= 0:
        raise Missing("no memory was tried")
    good = _true(subject, "memory", "intact")
    return _judge(good), f"{format_bytes(size)} came back {'as written' if good else 'changed'}"


def gemm_fp32(subject: Subject, limits: Mapping[str, float]) -> Answer:
    """Single precision products."""
    return _gemm(subject, "gemm_fp32", limits, subject.reference.gemm_fp32_flops)


def gemm_fp64(subject: Subject, limits: Mapping[str, float]) -> Answer:
    """Double precision products."""
    return _gemm(subject, "gemm_fp64", limits, subject.reference.gemm_fp64_flops)


def _gemm(subject: Subject, name: str, limits: Mapping[str, float], reference: float | None) -> Answer:
    error = _figures(subject, name).get("relative_error")
    if isinstance(error, float) and not math.isfinite(error):
        return "fail", "products hold infinities or no numbers"
    error, rate = _number(subject, name, "relative_error"), _number(subject, name, "flops")
    said = f"{format_si(rate, 'FLOP/s')}, off by {error:.1e} of the size"
    if error > limits["relative_error"]:
        return "fail", f"products are wrong: {said}"
    return _against(rate, reference, limits["share"], said, "FLOP/s")


def memory_bandwidth(subject: Subject, limits: Mapping[str, float]) -> Answer:
    """The triad."""
    rate = _number(subject, "triad", "bytes_per_s")
    if not _true(subject, "triad", "intact"):
        return "fail", f"{format_rate(rate)}, and the result is wrong"
    return _against(rate, subject.reference.memory_bytes_per_s, limits["share"], format_rate(rate), "B/s")


def disk(subject: Subject, limits: Mapping[str, float]) -> Answer:
    """Rates of the disk."""
    write, read = _number(subject, "disk", "write_bytes_per_s"), _number(subject, "disk", "read_bytes_per_s")
    good = write >= limits["write_bytes_per_s"] and read >= limits["read_bytes_per_s"]
    return _judge(good), f"{format_rate(write)} written, {format_rate(read)} read"


def disk_intact(subject: Subject, limits: Mapping[str, float]) -> Answer:
    """The disk gives back what it was given."""
    good = _true(subject, "disk", "intact")
    return _judge(
        good
    ), f"{format_bytes(_number(subject, 'disk', 'bytes'))} came back {'as' if good else 'not as'} written"


def network_loopback(subject: Subject, limits: Mapping[str, float]) -> Answer:
    """The node's own network stack."""
    rate, trip = _number(subject, "loopback", "bytes_per_s"), _number(subject, "loopback", "round_trip_s")
    said = f"{format_rate(rate)}, {trip * 1e6:.0f} µs there and back"
    if not _true(subject, "loopback", "intact"):
        return "fail", f"{said}, and data was lost"
    return _judge(rate >= limits["bytes_per_s"] and trip <= limits["round_trip_s"]), said


def clock_offset(subject: Subject, limits: Mapping[str, float]) -> Answer:
    """The node's clock against the broker's: how far outside the moment between question and answer it started."""
    seen = subject.seen
    if seen.error:
        raise Missing(seen.error)
    if seen.started_at is None or seen.asked_at is None or seen.answered_at is None:
        raise Missing("the times of question and answer are not known")
    offset = max(seen.asked_at - seen.started_at, seen.started_at - seen.answered_at, 0.0)
    return _judge(
        offset <= limits["offset_s"]
    ), f"{offset:.3g} s off at least" if offset else "agrees with the broker's"


def clock_steady(subject: Subject, limits: Mapping[str, float]) -> Answer:
    """The node's wall clock against its own monotonic one."""
    drift = _number(subject, "clock", "drift_s")
    if _true(subject, "clock", "went_back"):
        return "fail", "the clock went back while it was watched"
    return _judge(abs(drift) < limits["drift_s"]), f"{drift:+.1e} s against the monotonic clock"


def steady(subject: Subject, limits: Mapping[str, float]) -> Answer:
    """Spread of the repeats of every rate."""
    spreads = {name: _number(subject, name, "spread") for name in ("gemm_fp32", "gemm_fp64", "triad")}
    worst = max(spreads, key=lambda name: spreads[name])
    return _judge(spreads[worst] < limits["spread"]), f"{worst} differs most, by {spreads[worst]:.0%}"


def _against(rate: float, reference: float | None, share: float, said: str, unit: str) -> Answer:
    if reference is None:
        return "pass", f"{said}; no reference to compare with yet"
    return _judge(
        rate >= share * reference
    ), f"{said}; {rate / reference:.0%} of the reference {format_si(reference, unit)}"


def _judge(good: bool) -> Outcome:
    return "pass" if good else "fail"


CHECKS: Mapping[str, Callable[[Subject, Mapping[str, float]], Answer]] = {
    "identity": identity,
    "cpu.count": cpu_count,
    "memory.size": memory_size,
    "memory.intact": memory_intact,
    "gemm.fp32": gemm_fp32,
    "gemm.fp64": gemm_fp64,
    "memory.bandwidth": memory_bandwidth,
    "disk": disk,
    "disk.intact": disk_intact,
    "network.loopback": network_loopback,
    "clock.offset": clock_offset,
    "clock.steady": clock_steady,
    "steady": steady,
}
