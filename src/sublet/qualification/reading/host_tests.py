"""Tests of the host: fio's JSON and STREAM. Rates in bytes per second."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sublet.qualification.reading.text import number
from sublet.qualification.reading.values import Reading, ends_in_a_line

FIO, STREAM = "fio --output-format=json", "STREAM"
_RATE = re.compile(r"^(Copy|Scale|Add|Triad):\s+([\d.]+)\s", re.MULTILINE)
_THREADS = re.compile(r"Number of Threads counted = (\d+)")
_VALID = re.compile(r"Solution Validates")
_INVALID = re.compile(r"Failed Validation", re.IGNORECASE)
_RULE = re.compile(r"^-{20,}\s*$")


@dataclass(frozen=True)
class FioJob:
    """One job, both directions."""

    name: str
    error: int
    read_bytes_per_s: float
    write_bytes_per_s: float
    read_iops: float
    write_iops: float
    read_p99_s: float | None
    dropped: int
    nvme: bool = False
    sequential: bool = False  # in blocks of 128 KiB or more


@dataclass(frozen=True)
class Stream:
    """`rates`: kernel -> bytes per second; `valid`: None where the tool did not say."""

    rates: Mapping[str, float]
    valid: bool | None
    threads: int | None


def read_fio(document: Mapping[str, Any]) -> Reading:
    """fio's jobs."""
    jobs = []
    common = _part(document, "global options")
    disks = document.get("disk_util")
    nvme = (
        any("nvme" in str(each.get("name", "")) for each in disks if isinstance(each, Mapping))
        if isinstance(disks, list)
        else False
    )
    listed = document.get("jobs")
    for each in listed if isinstance(listed, list) else []:
        if not isinstance(each, Mapping):
            continue
        options = {**common, **_part(each, "job options")}
        block = _block(str(options.get("bs", "")))
        down, up = _part(each, "read"), _part(each, "write")
        jobs.append(
            FioJob(
                str(each.get("jobname", "")),
                int(number(str(each.get("error", 0))) or 0),
                _bytes(down),
                _bytes(up),
                _figure(down, "iops"),
                _figure(up, "iops"),
                _p99(down),
                int(_figure(down, "drop_ios") + _figure(up, "drop_ios")),
                nvme or "nvme" in str(options.get("filename", "")),
                str(options.get("rw", "")).startswith(("read", "rw")) and block >= 128 << 10,
            )
        )
    return Reading(
        FIO,
        (str(document.get("fio version", "")), tuple(jobs)),
        state="whole" if jobs else "cut",
        why="" if jobs else "it holds no job",
    )


def _block(text: str) -> float:
    """ "128k" in bytes."""
    return (number(text) or 0) * {"k": 1 << 10, "m": 1 << 20}.get(text.strip().casefold().rstrip("ib")[-1:], 1)


def _part(values: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = values.get(key)
    return found if isinstance(found, Mapping) else {}


def _figure(values: Mapping[str, Any], key: str) -> float:
    return number(str(values.get(key, ""))) or 0.0


def _bytes(values: Mapping[str, Any]) -> float:
    """Rate; older releases give KiB/s alone."""
    return _figure(values, "bw_bytes") or _figure(values, "bw") * 1024


def _p99(values: Mapping[str, Any]) -> float | None:
    for key in ("lat_ns", "clat_ns"):
        part = values.get(key)
        percentiles = part.get("percentile") if isinstance(part, Mapping) else None
        if isinstance(percentiles, Mapping) and (found := number(str(percentiles.get("99.000000", "")))) is not None:
            return found / 1e9
    return None


def read_stream(text: str) -> Reading:
    """STREAM's four kernels."""
    rates = {name: (number(rate) or 0.0) * 1e6 for name, rate in _RATE.findall(text)}
    valid = False if _INVALID.search(text) else True if _VALID.search(text) else None
    threads = _THREADS.search(text)
    last = next((line for line in reversed(text.split("\n")) if line.strip()), "")
    ended = len(rates) == 4 and valid is not None and bool(_RULE.match(last)) and ends_in_a_line(text)
    return Reading(
        STREAM,
        Stream(rates, valid, int(threads[1][:6]) if threads else None),
        state="whole" if ended else "cut",
        why="" if ended else "its validation, which comes last, is not there",
    )
