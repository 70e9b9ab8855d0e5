"""Which tool printed a text, by what stands in it (never by its name), and the text read by that tool's parser."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from sublet.qualification.reading import (
    agents,
    copies,
    dcgm,
    fabric_log,
    fleet_results,
    host_files,
    host_tests,
    ib,
    kernel_log,
    lspci,
    nccl,
    nccl_topo,
    network,
    nvlink,
    services,
    smi_failure,
    smi_table,
    smi_text,
    smi_xml,
    topo,
)
from sublet.qualification.reading.text import LONGEST, clean
from sublet.qualification.reading.values import Reading

UNKNOWN = "unknown"
_LONG_LINE = 2000  # characters of a line that are looked at: no tool's lines are as long, and patterns cost with length
_SMI_TEXT = re.compile(
    r"={5,}NVSMI LOG={5,}|^Attached GPUs\s+:|^GPU [0-9A-Fa-f]{8}:[0-9A-Fa-f]{2}:[0-9A-Fa-f]{2}\.\d\s*$", re.M
)
_TABLE = re.compile(r"^\| NVIDIA-SMI \S+", re.M)
_TOPO = re.compile(r"^\s*(?:GPU0|NIC0)\s.*\n?(?:.*\n){0,3}?\s*GPU0\s+(?:X|NV|SYS|P)", re.M)
_NVLINK = re.compile(r"^GPU \d+: .+ \(UUID: ", re.M)
_NCCL_ROW = re.compile(r"^.{0,80}?\s\d+\s+\d+\s+(?:float|half|bfloat16|int8|uint8|double|int32)\s+", re.M)
_COPY = re.compile(r"^(?:cpu|gpu\w*?)_(?:to|and)_(?:cpu|gpu\w*?)_(?:\w+_)?by_(?:sm|dma)", re.M)
_GPU_STREAM = re.compile(r"^STREAM_[A-Z]+_\w+_gpu_\d+", re.M)
_DCGM = re.compile(
    r"^\| Diagnostic\s+\|"
    r"|^Error: (?:Unable to (?:establish a connection to the specified host"
    r"|connect to host engine"
    r"|complete diagnostic)|Cannot perform the (?:requested )?(?:diagnostic|operation))|Successfully ran diagnostic"
    r"|^\|.{20,40}\| (?:Pass|Fail|Skip|Warn)(?: - (?:All|GPU)|\s*\|)",
    re.M,
)
_PERFTEST = re.compile(
    r"^ ?(?:Couldn't connect to \S+:\d+|Port number \d+ state is Down|Unable to find the Infiniband)|BW average\["
    r"|(?:RDMA_\w+|Send) (?:Bidirectional )?(?:BW|Latency) Test",
    re.M,
)
_GPCNET = re.compile(r"^Network(?:Load)? Tests v|must be run on at least \d+ nodes", re.M)

# recognises, reads; in the order in which they are asked
_TEXTS: tuple[tuple[Callable[[str], object], Callable[[str], Reading]], ...] = (
    (kernel_log.opens_like_one, kernel_log.read),
    (host_files.found_in, host_files.read),
    (lambda text: re.search(r"^NTPSynchronized=", text, re.M), host_files.read_timedatectl),
    (lambda text: "Leap status" in text and "Reference ID" in text, host_files.read_chrony),
    (lambda text: "<nvidia_smi_log" in text, smi_xml.read),
    (lambda text: re.search(r"<system version=", text), nccl_topo.read),
    (_SMI_TEXT.search, smi_text.read),
    (_TABLE.search, smi_table.read),
    (_TOPO.search, topo.read),
    (_NVLINK.search, nvlink.read),
    (lambda text: re.search(r"^CA '", text, re.M), ib.read_ibstat),
    (lambda text: re.search(r"^Infiniband device '", text, re.M), ib.read_ibstatus),
    (services.found_in, services.read),
    (lambda text: nccl.HEADER.search(text) or _NCCL_ROW.search(text) or "Collective test starting" in text, nccl.read),
    (_PERFTEST.search, network.read_perftest),
    (
        lambda text: re.search(r"^nvbandwidth Version|^Running \w+_(?:memcpy|read|write)_\w+\.", text, re.M),
        copies.read_nvbandwidth,
    ),
    (lambda text: "[CUDA Bandwidth Test]" in text or "bandwidthTest-" in text, copies.read_bandwidth_test),
    (_GPU_STREAM.search, copies.read_gpu_stream),
    (_COPY.search, copies.read_gpu_copy),
    (lambda text: "STREAM version" in text, host_tests.read_stream),
    (_GPCNET.search, network.read_gpcnet),
    (_DCGM.search, dcgm.read_text),
    (lambda text: fabric_log.LINE.search(text) or re.search(fabric_log.LINE.pattern, text, re.M), fabric_log.read),
    (lambda text: re.search(agents.PROVIDER_LINE.pattern, text, re.M), agents.read_provider),
    (lambda text: any(map(fleet_results.CURVES_HEADER.match, text.split("\n")[:3])), fleet_results.read_curves),
    (lambda text: re.search(lspci.LINE.pattern, text, re.M), lspci.read),
    (kernel_log.looks_like_one, kernel_log.read),
    (smi_failure.found_in, smi_failure.read),
)


def read(raw: bytes | str, *, source: str = "") -> Reading:
    """The text as a reading of its kind; kind "unknown" where no tool is recognised. Raises nothing."""
    text = clean(raw)
    reading = _guarded(text)
    if len(raw) > LONGEST and reading.state != "cut":
        reading = replace(reading, state="cut", why=f"only the first {LONGEST >> 20} MiB were read")
    return replace(reading, source=source)


def _guarded(text: str) -> Reading:
    try:
        return _read(text)
    except Exception as error:  # the last line of defence: a parser's mistake must not stop a judgement
        return Reading(UNKNOWN, state="cut", why=f"its parser gave up: {type(error).__name__}: {error}"[:200])


def _read(text: str) -> Reading:
    if not text.strip():
        return Reading(UNKNOWN, state="cut", why="there is nothing in it")
    opening = text.lstrip()[:1]
    if opening in ("{", "["):
        found = _json(text)
        if found is not None:
            return found
    if host_files.found_in(text):
        return host_files.read(text)
    log_like = any(mark in text for mark in ("NVSMI", "NVRM", "<nvidia", "| NVIDIA-SMI"))
    if not log_like and smi_failure.found_in(text):
        return smi_failure.read(text)
    if "<" not in text[:1000] and len(text) > _LONG_LINE:
        text = "\n".join(line[:_LONG_LINE] for line in text.split("\n"))
    for recognises, reader in _TEXTS:
        if recognises(text):
            return reader(text)
    return Reading(UNKNOWN, state="cut", why="no tool is known that prints this")


def _json(text: str) -> Reading | None:
    """A reading of a JSON text; None where it only looks like one (a log that opens with a bracket)."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        rows, broken = _lines(text) if text.lstrip()[:1] == "{" else ([], True)
        if rows:
            return _rows(rows, broken)
        kind = _broken_kind(text)
        return Reading(kind, state="cut", why=f"the JSON is broken: {error}"[:200]) if kind else None
    return _document(document)


def _document(document: Any) -> Reading:
    if isinstance(document, list):
        if document and all(isinstance(row, Mapping) for row in document) and "node" in document[0]:
            return fleet_results.read_superbench(document, whole=True)
        return agents.read_gpud(document)
    if not isinstance(document, Mapping):
        return Reading(UNKNOWN, state="cut", why="it is a JSON value on its own")
    if "DCGM GPU Diagnostic" in document or "DCGM Diagnostic" in document:
        return dcgm.read_json(document)
    if isinstance(document.get("nvbandwidth"), Mapping):
        return copies.read_nvbandwidth_json(document["nvbandwidth"])
    if "fio version" in document or "jobs" in document:
        return host_tests.read_fio(document)
    if any(re.search(r"/ports/\d+/", str(key)) for key in document):
        return ib.read_sysfs(document)
    if "states" in document or "health" in document:
        return agents.read_gpud(document)
    if isinstance(document.get("pci"), Mapping):
        return agents.read_manifest(document)
    if "MESSAGE" in document:
        return _rows([document], broken=False) or Reading(UNKNOWN, state="cut", why="no message is in it")
    if "event" in document:
        return dcgm.read_events([document])
    if "node" in document:
        return fleet_results.read_superbench([document], whole=True)
    return Reading(UNKNOWN, state="cut", why="no tool is known that writes this JSON")


def _lines(text: str) -> tuple[list[Mapping[str, Any]], bool]:
    rows: list[Mapping[str, Any]] = []
    broken = not text.endswith("\n")
    for line in text.split("\n"):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            broken = True
            continue
        if isinstance(row, Mapping):
            rows.append(row)
        else:
            broken = True
    return rows, broken


def _rows(rows: list[Mapping[str, Any]], broken: bool) -> Reading | None:
    if any("MESSAGE" in row for row in rows):  # journalctl -o json
        said = "".join(f"kernel: {row['MESSAGE']}\n" for row in rows if isinstance(row.get("MESSAGE"), str))
        reading = kernel_log.read(said)
    elif any("event" in row for row in rows):
        reading = dcgm.read_events(rows)
    elif any("node" in row for row in rows):
        reading = fleet_results.read_superbench(rows, whole=not broken)
    else:
        return None
    return replace(reading, state="cut", why="a line is no JSON") if broken else reading


_BROKEN = (
    (dcgm.JSON, '"DCGM '),
    (host_tests.FIO, '"fio version"'),
    (ib.SYSFS, "/ports/"),
    (dcgm.EVENTS, '"event"'),
    (fleet_results.SUPERBENCH, '"node":'),
    (agents.GPUD, '"component"'),
    (agents.MANIFEST, '"pci"'),
)


def _broken_kind(text: str) -> str:
    return next(
        (kind for kind, mark in _BROKEN if mark in text), UNKNOWN if text.lstrip()[:2] in ("{\n", "{}", "{ ") else ""
    )
