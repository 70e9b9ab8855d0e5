"""nccl-tests and rccl-tests: the curve of a collective, who took part, and whether the ranks were one communicator.

Ranks are counted three ways: devices listed, "nranks" of the log, and the ratio of bus to algorithm bandwidth, which is
fixed by the collective and the number of ranks (nccl-tests doc/PERFORMANCE.md). Sizes in bytes, rates in GB/s (10^9).
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass

from sublet.qualification.reading.text import unprefixed
from sublet.qualification.reading.values import Reading, State, ends_in_a_line

_ROW = re.compile(
    r"^\s*(\d{1,15})\s+(\d{1,15})\s+([a-z]\w+)\s+(?:([a-z]+)\s+)?(?:(-?\d+)\s+)?"
    r"([\d.]+)\s+([\d.]+)\s+([\d.]+)\s+(\S+)(?:\s+([\d.]+)\s+([\d.]+)\s+([\d.]+)\s+(\S+))?\s*$"
)
_LIKE_ROW = re.compile(r"^\s*\d{1,15}\s+\d{1,15}\s+(?:float|half|bfloat16|double|u?int\d+)\s")
_DEVICE = re.compile(r"Rank\s+(\d+)\s+(?:Group\s+\d+\s+)?Pid\s+\d+ on\s+(\S+) device\s+(\d+) \[([^\]]*)\]\s+(.+?)\s*$")
_STARTED = re.compile(r"Collective test starting: (\w+)")
_NAMED = re.compile(
    r"\b(all_reduce|all_gather|reduce_scatter|alltoall|broadcast|reduce|sendrecv|scatter|gather)_perf\b"
)
_BOUNDS = re.compile(r"Out of bounds values\s*:\s*(\d+)\s+(\w+)")
_AVERAGE = re.compile(r"Avg bus bandwidth\s*:\s*([\d.]+)")
_CONCLUDED = re.compile(r"Collective test concluded")
_NRANKS = re.compile(r"\bnranks (\d+)\b")
_VERSION = re.compile(r"(?:NCCL|RCCL) version ([\d.]+\S*)")
_NET = re.compile(
    r"NET/(IB|OFI|gIB|Socket|FasTrak|GPUDirectTCPX|AWS Libfabric|FastSocket|IBext\w*)|Using network (\w+)"
)
_ASKED = re.compile(r"minBytes (\d+) maxBytes (\d+)")
HEADER = re.compile(r"algbw\s+busbw|^# nThread \d+ nGpus \d+|Test (?:NCCL|CUDA) failure|NCCL WARN ", re.MULTILINE)
_FAILURE = re.compile(
    r"Test (?:NCCL|CUDA|RCCL|HIP) failure|caught collective operation timeout|Got completion from peer"
    r"|NCCL WARN .*(?:failed|error|timed? ?out|closed)|(?:NCCL|CUDA) error|Segmentation fault|DUE TO TIME LIMIT"
    r"|mpirun (?:noticed|detected)"
)


@dataclass(frozen=True)
class Point:
    """One size: out of place unless in place was faster. `wrong`: results that differ, None where nobody looked."""

    size: int
    algorithm: float
    bus: float
    wrong: int | None
    algorithm_in_place: float | None = None


@dataclass(frozen=True)
class Collective:
    """A run. `collective`: all_reduce, all_gather, ... or "" where it cannot be told."""

    collective: str
    points: tuple[Point, ...]
    ranks: int | None
    hosts: int | None
    devices: tuple[str, ...]
    average: float | None
    out_of_bounds: bool | None  # True: results were wrong
    nranks: tuple[int, ...]  # what the library's own log says
    network: str  # IB, OFI, Socket, ... as the library names it; "" where it does not
    version: str
    ended: bool
    elements_per_rank: bool  # the count column is of one rank's share
    rccl: bool
    failure: str = ""  # the first line that says that it broke off


def read(text: str) -> Reading:
    """The run as a Collective."""
    points: list[Point] = []
    operations: Counter[str] = Counter()
    shares: Counter[int] = Counter()
    devices: dict[int, tuple[str, str]] = {}
    named = average = bounds = None
    nranks: list[int] = []
    version = network = ""
    concluded = started = False
    odd: list[str] = []
    failure = ""
    for raw in text.split("\n"):
        line = unprefixed(raw) if raw[:1] not in (" ", "#") else raw
        row = _ROW.match(line)
        if row:
            point, operation, share = _point(row)
            points.append(point)
            operations[operation] += 1
            if share:
                shares[share] += 1
            continue
        if _LIKE_ROW.match(line):
            odd.append(f"cannot read the row {line.strip()[:80]!r}")
            continue
        device = _DEVICE.search(line)
        if device:
            devices[int(device[1])] = (device[2], device[5])
            continue
        found = _STARTED.search(line)
        if found:
            started, named = True, found[1]
        elif (found := _BOUNDS.search(line)) is not None:
            bounds = found[2] != "OK" or int(found[1]) > 0
        elif (found := _AVERAGE.search(line)) is not None:
            average = float(found[1]) if found[1].count(".") <= 1 and found[1] != "." else None
        elif _CONCLUDED.search(line):
            concluded = True
        elif (found := _NRANKS.search(line)) is not None:
            nranks.append(int(found[1]))
        elif (found := _VERSION.search(line)) is not None:
            version = found[1]
        if not failure and _FAILURE.search(line):
            failure = line.strip()[:300]
        if "NCCL INFO" in line and (found := _NET.search(line)) is not None:
            network = network or found[1] or found[2] or ""
        if named is None and (found := _NAMED.search(line)) is not None:
            named = found[0]
    collective = (named or "").removesuffix("_perf") or _by_operation(operations, points, shares)
    ranks = _ranks(collective, points)
    listed = max(devices) + 1 if devices else None
    hosts = len({host for host, _ in devices.values()}) or None
    # after the average comes a line with "#" alone; newer releases end with a line that says so
    closed = average is not None and bool(re.search(r"Avg bus bandwidth[^\n]*\n[^\n]*#[^\S\n]*(?:\n|$)", text))
    ended = (closed or concluded) and (concluded or not started)
    rccl = "rccl" in text.casefold()
    kind = f"{'rccl' if rccl else 'nccl'}-tests {f'{collective}_perf' if collective else 'collective'}"
    run = Collective(
        collective,
        tuple(points),
        ranks or listed or (max(nranks) if nranks else None),
        hosts,
        tuple(name for _, name in devices.values()),
        average,
        bounds,
        tuple(sorted(set(nranks))),
        network,
        version,
        ended,
        bool(shares) and shares.most_common(1)[0][0] > 1,
        rccl,
        failure,
    )
    state: State = "whole" if ended else "unproven"
    why = "" if ended else "the end of the run is not there"
    if not ends_in_a_line(text):
        state, why = "cut", "the text ends inside a line"
    elif odd:
        state, why = "cut", odd[0]
    elif not points and not failure:
        state, why = "cut", "it holds no row of figures"
    return Reading(kind, run, run.devices, listed or run.ranks, state, why)


_BYTES = {
    "float": 4,
    "double": 8,
    "half": 2,
    "bfloat16": 2,
    "int8": 1,
    "uint8": 1,
    "int32": 4,
    "uint32": 4,
    "int64": 8,
    "uint64": 8,
}


def _float(text: str | None) -> float | None:
    try:
        return float(text) if text else None
    except ValueError:
        return None


def _point(row: re.Match[str]) -> tuple[Point, str, int]:
    size, count, kind, operation = int(row[1]), int(row[2]), row[3], row[4] or ""
    width = _BYTES.get(kind, 0)
    share = round(size / (count * width)) if count and width else 0
    wrong = [int(text) for text in (row[9], row[13]) if text and text.isdigit() and len(text) < 16]
    inside, outside = _float(row[12]) or 0.0, _float(row[8]) or 0.0
    better = inside > outside and (_float(row[11]) or 0.0) < 1e5
    algorithm = _float(row[11] if better else row[7]) or 0.0
    point = Point(size, algorithm, inside if better else outside, sum(wrong) if wrong else None, _float(row[11]))
    return point, operation, share


def _by_operation(operations: Counter[str], points: list[Point], shares: Counter[int]) -> str:
    """The collective where the text does not name it: the reduction, else the share of each rank and the ratio."""
    if not operations or not points:
        return ""
    operation = operations.most_common(1)[0][0]
    ratio = _ratio(points)
    share = shares.most_common(1)[0][0] if shares else 0
    if operation in ("sum", "prod", "max", "min", "avg"):
        if share > 1:
            return "reduce_scatter"
        return "all_reduce" if ratio is None or ratio > 0.999 or ratio == 0 else ""
    if operation == "none" and share > 1:
        return "all_gather"
    return ""


def _ratio(points: list[Point]) -> float | None:
    """Bus over algorithm bandwidth at the largest rates, where rounding matters least."""
    best = max((point for point in points if point.algorithm > 0), key=lambda point: point.algorithm, default=None)
    return best.bus / best.algorithm if best and best.algorithm >= 1 else None


def _ranks(collective: str, points: list[Point]) -> int | None:
    ratio = _ratio(points)
    if ratio is None:
        return None
    if collective == "all_reduce" and ratio < 1.9999:
        return max(1, round(2 / (2 - ratio)))
    if collective in ("all_gather", "reduce_scatter", "alltoall") and ratio < 0.9999:
        return max(1, round(1 / (1 - ratio)))
    return None
