"""`dcgmi diag`: the table in words, JSON of DCGM 2 and 3, JSON of DCGM 4, and the events that wrappers write."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sublet.qualification.reading.text import number, whole_number
from sublet.qualification.reading.values import Reading, State, ends_in_a_line

TEXT, JSON, EVENTS = "dcgmi diag", "dcgmi diag -j", "DCGM preflight events"
_ROW = re.compile(r"^\|\s?(.*?)\s*\|\s?(.*?)\s*\|?\s*$")
_SECTION = re.compile(r"^[|+]-{3,}\s+(\w[\w ]*?)\s+-{3,}")
_BORDER = re.compile(r"^\+-{10,}\+-{10,}\+\s*$")
_STATUS = re.compile(r"^(Pass|Fail|Warn|Skip|Not Run|Error|Running)\b(?:\s*-\s*(.*))?$", re.IGNORECASE)
_ENTITY = re.compile(r"^(?:GPU|CPU) ?(\d+): (Pass|Fail|Warn|Skip|Not Run|Error)\b", re.IGNORECASE)
_DETAIL_OF = re.compile(r"^(?:Warning|Error|Info): ?\w+ ?\d*$")
_GPUS = re.compile(r"GPUs?:?\s*([\d,\s]+)")
_METADATA = {"DCGM Version", "Driver Version Detected", "GPU Device IDs Detected", "Diagnostic", "EUD Test Version"}
_DETAIL = {"Error", "Warning", "Info", ""}


@dataclass(frozen=True)
class Result:
    """One test's answer on some GPUs (none named: on all)."""

    test: str
    status: str  # pass, fail, warn, skip, error or unknown
    gpus: tuple[int, ...] = ()
    said: str = ""
    error_id: int | None = None
    severity: int | None = None  # DCGM's: 1 monitor, 2 isolate, 3 unknown, 4 triage, 5 configuration, 6 reset


@dataclass(frozen=True)
class Diagnostic:
    """A whole diagnostic."""

    results: tuple[Result, ...]
    version: str = ""
    driver: str = ""
    device_ids: tuple[str, ...] = ()
    ended: bool = True
    refused: str = ""  # why the diagnostic did not run


def _status(raw: object) -> str:
    word = str(raw).strip().casefold()
    known = {"pass": "pass", "fail": "fail", "warn": "warn", "skip": "skip", "not run": "skip", "error": "error"}
    return known.get(word, "pass" if word == "passed" else "fail" if word == "failed" else "unknown")


def read_json(document: Mapping[str, Any]) -> Reading:
    """JSON: "DCGM GPU Diagnostic" (2 and 3), "DCGM Diagnostic" (4, with entity results)."""
    body = document.get("DCGM Diagnostic", document.get("DCGM GPU Diagnostic"))
    if not isinstance(body, Mapping):
        return Reading(JSON, state="cut", why="there is no diagnostic in it")
    refused = str(body.get("runtime_error") or document.get("runtime_error") or "")
    results = [
        result
        for category in _items(body.get("test_categories"))
        for test in _items(category.get("tests"))
        for result in _results(test)
    ]
    meta = body.get("metadata") if isinstance(body.get("metadata"), Mapping) else body
    ids = body.get("GPU Device IDs") or (meta or {}).get("GPU Device IDs") or ()
    groups = _items(body.get("entity_groups") or document.get("entity_groups"))
    named = [
        str(each["device_id"]) for group in groups for each in _items(group.get("entities")) if each.get("device_id")
    ]
    devices = tuple(str(each) for each in ids) if isinstance(ids, list) and ids else tuple(named)
    diagnostic = Diagnostic(
        tuple(results),
        str((meta or {}).get("version") or body.get("version") or ""),
        str(body.get("Driver Version Detected") or (meta or {}).get("Driver Version Detected") or ""),
        devices,
        refused=refused[:200],
    )
    gpus = {gpu for result in results for gpu in result.gpus}
    return Reading(
        JSON,
        diagnostic,
        devices=tuple(f"[10de:{each.casefold()}]" for each in devices),
        count=len(devices) or len(gpus) or None,
        state="whole" if results or refused else "cut",
        why="" if results or refused else "it holds no result",
    )


def _items(value: object) -> list[Mapping[str, Any]]:
    return [each for each in value if isinstance(each, Mapping)] if isinstance(value, list) else []


def _results(test: Mapping[str, Any]) -> Iterable[Result]:
    name = str(test.get("name", "?"))
    listed = _items(test.get("results"))
    summary = test.get("test_summary")
    if not listed and isinstance(summary, Mapping):
        listed = [summary]
    if not listed:
        yield Result(name, "unknown", said="it has no result")
    if listed and isinstance(summary, Mapping) and summary not in listed:
        words = {_status(each.get("status", "")) for each in listed}
        if _status(summary.get("status", "")) not in words:  # the whole failed, and no part says so
            listed = [*listed, summary]
    for each in listed:
        ids = each.get("gpu_ids", each.get("gpu_id", each.get("entity_id")))
        gpus = tuple(int(found) for found in re.findall(r"\d{1,4}", str(ids))) if ids is not None else ()
        warnings = each.get("warnings")
        first = _items(warnings)[0] if _items(warnings) else {}
        if first:
            said = str(first.get("warning", first.get("message", "")))
        elif isinstance(warnings, list | str):
            said = " ".join(map(str, warnings)) if isinstance(warnings, list) else warnings
        else:
            said = ""
        info = each.get("info")
        said = said or (" ".join(map(str, info)) if isinstance(info, list) else str(info or ""))
        yield Result(
            name,
            _status(each.get("status", "")),
            gpus,
            said[:300],
            whole_number(str(first.get("error_id", each.get("error_id", "")))),
            whole_number(str(first.get("error_severity", each.get("error_severity", "")))),
        )


def read_text(text: str) -> Reading:
    """The table, or an excerpt of it."""
    results: list[Result] = []
    meta: dict[str, str] = {}
    test = ""
    said_of: list[str] = []
    border, borders = False, 0
    whole_test: int | None = None
    refused = ""
    for line in text.split("\n"):
        if _BORDER.match(line):
            border, borders = True, borders + 1
            continue
        row = _ROW.match(line)
        if _SECTION.match(line) or not row:
            if line.startswith("Error:") or "Unable to" in line:
                refused = refused or line.strip()[:200]
            border = border if not line.strip() else False
            continue
        border = False
        name, value = row[1].strip(), row[2].rstrip()
        entity = _ENTITY.match(value.strip())
        if entity and not name and results:
            word, part = _status(entity[2]), int(entity[1][:4])
            whole = whole_test if whole_test is not None and results[whole_test].test == test else None
            if whole is not None:  # the line of the whole test stands for its parts
                said_of[whole] = ""
                results[whole] = Result(test, word, (part,))
                whole_test = None
            else:
                results.append(Result(test, word, (part,)))
                said_of.append("")
            continue
        status = _STATUS.match(value.strip())
        if name in _METADATA:
            meta[name] = value.strip()
        elif status and name not in ("Error", "Warning", "Info"):
            test = name or test
            named = _GPUS.search(status[2] or "")
            listed = tuple(int(each) for each in re.findall(r"\d{1,4}", named[1])) if named else ()
            results.append(Result(test, _status(status[1]), listed))
            said_of.append("")
            whole_test = None if listed else len(results) - 1
        elif (name in _DETAIL or _DETAIL_OF.match(name)) and said_of:
            said_of[-1] += value.strip() if _broken(said_of[-1]) else f" {value.strip()}"
    told = tuple(
        Result(each.test, each.status, each.gpus, words.strip()[:400])
        for each, words in zip(results, said_of, strict=True)
    )
    ids = tuple(re.findall(r"\b[0-9a-fA-F]{4}\b", meta.get("GPU Device IDs Detected", "")))
    diagnostic = Diagnostic(
        told,
        meta.get("DCGM Version", ""),
        meta.get("Driver Version Detected", ""),
        ids,
        border and borders >= 2,
        refused,
    )
    gpus = {gpu for each in told for gpu in each.gpus}
    state: State = "whole"
    why = ""
    if not ends_in_a_line(text) or not (told or refused):
        state, why = "cut", "the text ends inside a line" if told else "it holds no result"
    elif not diagnostic.ended and not refused:
        state, why = "cut", "the end of the table is not there"
    return Reading(
        TEXT, diagnostic, tuple(f"[10de:{each.casefold()}]" for each in ids), len(ids) or len(gpus) or None, state, why
    )


def _broken(said: str) -> bool:
    """Whether a cell's text goes on in the middle of a word: the tool wraps at a fixed width."""
    return bool(said) and len(said) % 46 == 0


def read_events(rows: list[Mapping[str, Any]]) -> Reading:
    """One JSON object a line, as wrappers of the diagnostic write them."""
    results: list[Result] = []
    totals: Mapping[str, Any] | None = None
    gpus: set[str] = set()
    started = None
    for row in rows:
        event = str(row.get("event", ""))
        if "total" in row and "passed" in row:
            totals = row
        elif event.casefold().startswith("test ") and "test" in row:
            word = event.split()[1].casefold()
            gpus.add(str(row.get("gpu", "")))
            results.append(
                Result(
                    str(row["test"]),
                    _status(word),
                    said=str(row.get("detail", ""))[:300],
                    error_id=whole_number(str(row.get("error_code", ""))),
                )
            )
        elif "gpus=" in event:
            started = len(re.findall(r"\d{1,4}", event.partition("gpus=")[2]))
    if totals is not None:
        for word, status in (("failed", "fail"), ("warned", "warn"), ("passed", "pass")):
            told = sum(result.status == status for result in results)
            missing = min(64, int(number(str(totals.get(word))) or 0) - told)
            results += [Result("a test that is not named", status)] * max(0, missing)
    diagnostic = Diagnostic(tuple(results), ended=totals is not None)
    return Reading(
        EVENTS,
        diagnostic,
        count=started or len(gpus) or None,
        state="whole" if totals is not None else "cut",
        why="" if totals is not None else "the summary is not there",
    )
