"""Point-to-point network tests: perftest (ib_write_bw and its kin), GPCNeT."""

from __future__ import annotations

import re
from dataclasses import dataclass

from sublet.qualification.reading.text import number, whole_number
from sublet.qualification.reading.values import Reading, State, ends_in_a_line

GPCNET = "GPCNeT"
_TITLE = re.compile(
    r"^\s*(RDMA_Write|RDMA_Read|Send|Atomic\w*)\s+(?:Bidirectional\s+)?(BW|Latency|Lat) Test", re.MULTILINE
)
_FIELD = re.compile(r"^\s?(Number of qps|Mtu|Link type|Device|Transport type)\s*:\s*(\S+)", re.MULTILINE)
_UNIT = re.compile(r"BW average\[(\w+/sec)\]")
_ROW = re.compile(r"^\s*(\d+)\s+(\d+)\s+(\d[\d.]*)\s+(\d[\d.]*)(?:\s+(\d[\d.]*))?\s*$", re.MULTILINE)
_LATENCY_ROW = re.compile(r"^\s*(\d+)\s+\d+\s+[\d.]+\s+[\d.]+\s+[\d.]+\s+([\d.]+)\s")
_RULE = re.compile(r"^-{40,}\s*$")
_TROUBLE = re.compile(
    r"Couldn't connect|state is Down|Unable to|Failed to|Completion with error|couldn't|error", re.IGNORECASE
)
_UNITS = {"MB/sec": 8 / 1000, "Gb/sec": 1.0, "GB/sec": 8.0, "MiB/sec": 8 * 1.048576 / 1000}  # to Gb/s
_GPCNET_ROW = re.compile(
    r"^\|\s*(.+?)\s*\|\s*([\d.]+)\s*\|\s*([\d.]+)\s*\|\s*([\d.]+)\s*\|.*\|\s*(usec|MiB/s/rank)\s*\|$"
)
_TOO_FEW = re.compile(r"must be run on at least (\d+) nodes")
_BORDER = re.compile(r"^\+[-+]+\+\s*$")


@dataclass(frozen=True)
class Transfer:
    """One row: message size in bytes, average rate in Gb/s."""

    size: int
    gbps: float


@dataclass(frozen=True)
class Perftest:
    """A run (its two ends may be in one text). `test`: write, read, send."""

    test: str
    rows: tuple[Transfer, ...]
    queue_pairs: int | None
    mtu: int | None
    unit: str
    trouble: str = ""
    latencies: tuple[tuple[int, float], ...] = ()  # bytes, average in microseconds


def read_perftest(text: str) -> Reading:
    """perftest's report. Its MB is taken as 10^6 bytes."""
    title = _TITLE.search(text)
    fields: dict[str, str] = dict(_FIELD.findall(text))
    rows: list[Transfer] = []
    unit, factor, after = "", 0.0, False
    ended = False
    latency = bool(title and title[2] != "BW")
    times: list[tuple[int, float]] = []
    for line in text.split("\n"):
        found = _UNIT.search(line)
        if latency and not after and "t_avg[usec]" in line:
            after = True
            continue
        slow = _LATENCY_ROW.match(line) if latency and after else None
        if slow:
            times.append((int(slow[1][:15]), number(slow[2]) or 0.0))
            ended = False
            continue
        if found:
            unit, factor, after = found[1], _UNITS.get(found[1], 0.0), True
            continue
        row = _ROW.match(line) if after else None
        if row and factor:
            average = number(row[4])
            rows.append(Transfer(int(row[1][:15]), (average or 0.0) * factor))
            ended = False
        elif _RULE.match(line) and (rows or times):
            ended = True
        elif line.strip() and not _RULE.match(line):
            ended = False
    troubles = [line.strip()[:200] for line in text.split("\n") if _TROUBLE.search(line)]
    trouble = next((each for each in troubles if "state is Down" in each), troubles[0] if troubles else "")
    test = {"RDMA_Write": "write", "RDMA_Read": "read", "Send": "send"}.get(title[1] if title else "", "")
    state: State = "whole" if ended and (rows or times) else "cut"
    return Reading(
        f"perftest ib_{test or '?'}_{'lat' if latency else 'bw'}",
        Perftest(
            test,
            tuple(rows),
            whole_number(fields.get("Number of qps")),
            whole_number(fields.get("Mtu")),
            unit,
            trouble,
            tuple(times),
        ),
        state=state if ends_in_a_line(text) else "cut",
        why="" if state == "whole" and ends_in_a_line(text) else "the line that closes the figures is not there",
    )


@dataclass(frozen=True)
class Gpcnet:
    """`rows`: name -> (average, unit); `too_few`: nodes that it wanted."""

    rows: tuple[tuple[str, float, str], ...]
    too_few: int | None


def read_gpcnet(text: str) -> Reading:
    """GPCNeT's tables."""
    rows = [
        (found[1], number(found[4]) or 0.0, found[5])
        for line in text.split("\n")
        if (found := _GPCNET_ROW.match(line)) is not None
    ]
    few = _TOO_FEW.search(text)
    last = next((line for line in reversed(text.split("\n")) if line.strip()), "")
    ended = bool(rows) and bool(_BORDER.match(last)) and ends_in_a_line(text)
    return Reading(
        GPCNET,
        Gpcnet(tuple(rows), int(few[1][:6]) if few else None),
        state="unproven" if ended else "cut",
        why="the tables do not say which is the last" if ended else few[0] if few else "a table is not closed",
    )
