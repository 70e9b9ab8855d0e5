"""Copies: nvbandwidth, NVIDIA's bandwidthTest, SuperBench's gpu_copy, and its GPU STREAM. Rates in GB/s."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sublet.qualification.reading.text import number
from sublet.qualification.reading.values import Reading, State, ends_in_a_line

NVBANDWIDTH, BANDWIDTH_TEST, GPU_COPY, GPU_STREAM = "nvbandwidth", "bandwidthTest", "gpu_copy", "gpu_stream"
_RUNNING = re.compile(r"^Running (\w+)\.?$")
_SUM = re.compile(r"^SUM (\w+) ([\d.]+)\s*$")
_MATRIX = re.compile(r"^\s*\d+\s+((?:N/A|[\d.]+)(?:\s+(?:N/A|[\d.]+))*)\s*$")
_DEVICE = re.compile(r"^\s*Device (\d+): \"?([^\"(]+?)\"?(?:\s+\(.*| {2,}.*)?$")
_ITEM = re.compile(r"^bandwidthTest-(\w+)-(\w+), Bandwidth = ([\d.]+) (GB|MB)/s.*Size = (\d+) bytes")
_TITLE = re.compile(r"^\s*(Host to Device|Device to Host|Device to Device) Bandwidth", re.IGNORECASE)
_TABLE_ROW = re.compile(r"^\s+(\d{3,15})\s+([\d.]+)\s*$")
_DIRECTIONS = {"host to device": "h2d", "device to host": "d2h", "device to device": "hbm"}
_COPY = re.compile(r"^((?:cpu|gpu)\w*)\s+([\d.]+)\s*$")
_STREAM = re.compile(r"^STREAM_([A-Z]+)_(\w+?)_gpu_(\d+)_buffer_(\d+)_block_(\d+)\s+([\d.]+)(?:\s+([\d.]+))?\s*$")
_PEAK = re.compile(r"= ([\d.]+) GB/s PEAK")
_LAST = {"one_to_all_read_sm", "device_local_copy", "device_to_device_latency_sm"}
_DAMAGED = re.compile(r"^ERROR|CUDA_ERROR|WAIVED|an illegal memory access|\[CUDA_\w+\]", re.MULTILINE)


@dataclass(frozen=True)
class Copies:
    """Rates by direction: h2d, d2h, p2p_read, p2p_write, hbm (one figure a GPU or a pair). All by copy engines."""

    rates: Mapping[str, tuple[float, ...]]
    left_out: tuple[str, ...] = ()  # what was measured and is not comparable (SM copies, both ways at once)
    peak: float | None = None  # GB/s of the memory by the tool's own account
    errors: tuple[str, ...] = ()


_NVBANDWIDTH = {
    "host_to_device_memcpy_ce": "h2d",
    "device_to_host_memcpy_ce": "d2h",
    "device_to_device_memcpy_read_ce": "p2p_read",
    "device_to_device_memcpy_write_ce": "p2p_write",
}


def read_nvbandwidth(text: str) -> Reading:
    """nvbandwidth's matrices."""
    rates: dict[str, list[float]] = {}
    seen: list[str] = []
    summed: set[str] = set()
    devices = []
    current = ""
    for line in text.split("\n"):
        running, total, device = _RUNNING.match(line), _SUM.match(line), _DEVICE.match(line)
        if running:
            current = running[1]
            seen.append(current)
        elif total:
            summed.add(total[1])
        elif device:
            devices.append(device[2].strip())
        elif current in _NVBANDWIDTH and (row := _MATRIX.match(line)) and "." in row[1]:  # column numbers have none
            figures = [number(word) for word in row[1].split() if word != "N/A"]
            rates.setdefault(_NVBANDWIDTH[current], []).extend(each for each in figures if each)
    damage = tuple(found[0] for found in _DAMAGED.finditer(text) if found[0] != "WAIVED")[:5]
    state: State = "unproven"
    why = "the last of the tool's tests is not there"
    open_ones = [name for name in seen if name not in summed]
    if not ends_in_a_line(text):
        state, why = "cut", "the text ends inside a line"
    elif open_ones or not seen:
        state, why = "cut", f"test {open_ones[0]} has no sum" if open_ones else "no test is in it"
    elif seen[-1] in _LAST:
        state, why = "whole", ""
    data = Copies(
        {key: tuple(each) for key, each in rates.items()},
        tuple(name for name in seen if name not in _NVBANDWIDTH),
        errors=damage,
    )
    return Reading(NVBANDWIDTH, data, tuple(devices), len(devices) or len(rates.get("h2d", [])) or None, state, why)


def read_nvbandwidth_json(document: Mapping[str, Any]) -> Reading:
    """nvbandwidth --json."""
    rates: dict[str, list[float]] = {}
    left_out, errors = [], []
    cases = document.get("testcases")
    for case in cases if isinstance(cases, list) else []:
        if not isinstance(case, Mapping):
            continue
        name, status = str(case.get("name", "")), str(case.get("status", ""))
        if status.casefold() in ("failed", "error"):
            errors.append(f"{name}: {status}")
        matrix = case.get("bandwidth_matrix")
        if name not in _NVBANDWIDTH or not isinstance(matrix, list):
            left_out.append(name)
            continue
        cells = [cell for row in matrix if isinstance(row, list) for cell in row]
        figures = [number(str(cell)) for cell in cells if str(cell) != "N/A"]
        rates.setdefault(_NVBANDWIDTH[name], []).extend(each for each in figures if each)
    devices = document.get("GPU Device list", document.get("GPU Devices"))
    names = [re.sub(r"^\d+: | \(.*$", "", str(each)) for each in devices] if isinstance(devices, list) else []
    data = Copies({key: tuple(each) for key, each in rates.items()}, tuple(left_out), errors=tuple(errors[:5]))
    whole = bool(rates) or bool(errors)
    why = "" if whole else "no test of copies is in it"
    return Reading(
        NVBANDWIDTH,
        data,
        tuple(names),
        len(names) or len(rates.get("h2d", [])) or None,
        "whole" if whole else "cut",
        why,
    )


def read_bandwidth_test(text: str) -> Reading:
    """bandwidthTest: the rate at the largest size of each direction, pinned memory only."""
    best: dict[str, tuple[int, float]] = {}
    left_out, devices = set(), []
    in_mb = False
    names = {"H2D": "h2d", "D2H": "d2h", "D2D": "hbm"}
    current = ""  # direction of the table that the line stands in, where they are printed as tables
    pinned = False
    for line in text.split("\n"):
        item, device = _ITEM.match(line), _DEVICE.match(line)
        title, row = _TITLE.match(line), _TABLE_ROW.match(line)
        if title:
            current, pinned = _DIRECTIONS[title[1].casefold()], False
        elif "PINNED Memory" in line:
            pinned = True
        elif row and current and (pinned or current == "hbm"):
            size, rate = int(row[1][:15]), number(row[2]) or 0.0
            if size >= best.get(current, (0, 0.0))[0]:
                best[current] = size, rate / (1000 if in_mb else 1)
        elif row and current:
            left_out.add(f"{current} pageable")
        elif "Transfer Size" in line:
            in_mb = "MB/s" in line
        if device:
            devices.append(device[2].strip())
        if not item:
            continue
        direction = names.get(item[1])
        if direction is None or (item[2] != "Pinned" and direction != "hbm"):
            left_out.add(f"{item[1]} {item[2]}")
            continue
        rate, size = (number(item[3]) or 0.0) / (1 if item[4] == "GB" else 1000), int(item[5][:15])
        if size >= best.get(direction, (0, 0.0))[0]:
            best[direction] = size, rate
    ended = "Result = PASS" in text and ends_in_a_line(text)
    failed = "Result = FAIL" in text
    data = Copies(
        {key: (rate,) for key, (_, rate) in best.items()},
        tuple(sorted(left_out)),
        errors=("the tool says FAIL",) if failed else (),
    )
    return Reading(
        BANDWIDTH_TEST,
        data,
        tuple(dict.fromkeys(devices)),
        len(devices) or None,
        "whole" if ended or failed else "cut",
        "" if ended or failed else "the tool's result, which comes last, is not there",
    )


def read_gpu_copy(text: str) -> Reading:
    """gpu_copy: copies by copy engine (dma) count, those by the SMs are another thing and are left out."""
    rates: dict[str, list[float]] = {}
    left_out, gpus = [], set()
    for line in text.split("\n"):
        found = _COPY.match(line)
        if not found:
            continue
        name, rate = found[1], number(found[2])
        gpus |= set(re.findall(r"gpu(\d+)", name))
        direction = _direction(name)
        if direction is None or rate is None:
            left_out.append(name)
        else:
            rates.setdefault(direction, []).append(rate)
    ended = ends_in_a_line(text)
    return Reading(
        GPU_COPY,
        Copies({key: tuple(each) for key, each in rates.items()}, tuple(left_out)),
        count=len(gpus) or None,
        state="unproven" if ended else "cut",
        why="the listing does not show its end" if ended else "the text ends inside a line",
    )


def _direction(name: str) -> str | None:
    if "_by_dma" not in name or "_and_" in name or "all" in name:
        return None
    if name.startswith("cpu_to_gpu"):
        return "h2d"
    if re.match(r"gpu\d+_to_cpu", name):
        return "d2h"
    pair = re.match(r"gpu(\d+)_to_gpu(\d+)(?:_(read|write))?", name)
    if pair and pair[1] != pair[2]:
        return f"p2p_{pair[3] or 'write'}"
    return None


def read_gpu_stream(text: str) -> Reading:
    """GPU STREAM: the best copy rate of each GPU (the ratio to the peak is the tool's own)."""
    best: dict[int, float] = {}
    left_out, devices, peaks = set(), [], []
    for line in text.split("\n"):
        found, device, peak = _STREAM.match(line), _DEVICE.match(line), _PEAK.search(line)
        if device:
            devices.append(device[2].strip())
        if peak:
            peaks.append(number(peak[1]) or 0.0)
        if not found:
            continue
        if found[1] in ("COPY", "TRIAD"):
            best[int(found[3][:6])] = max(best.get(int(found[3][:6]), 0.0), number(found[6]) or 0.0)
        else:
            left_out.add(found[1])
    ended = ends_in_a_line(text)
    return Reading(
        GPU_STREAM,
        Copies({"hbm": tuple(best.values())} if best else {}, tuple(sorted(left_out)), min(peaks) if peaks else None),
        tuple(devices),
        len(best) or None,
        "unproven" if ended and best else "cut",
        "the listing does not show its end" if ended else "the text ends inside a line",
    )
