"""Traces from files: CSV with the columns of our data, gzip or not, and the Standard Workload Format (SWF).

The edge of the room: the one file that reads traces. Invariant: a row that cannot be used is left out and counted, with
one sentence that names the first of its kind; a file without a usable row is an InputError. SWF after
D. Feitelson, Parallel Workloads Archive, version 2.2: 18 fields, -1 is unknown, `;` starts a comment.
"""

from __future__ import annotations

import csv
import gzip
import io
import math
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sublet.allocation.trace import STANDARD_TIER, Jobs, make_jobs
from sublet.errors import InputError

_NEEDED = ("submit_s", "duration_s")
_SIZES = ("nodes", "n_gpus")
_SWF_FIELDS = 18
_UNNAMED = "unnamed"


@dataclass(frozen=True)
class Trace:
    """What a file held: its usable jobs, and a sentence for each kind of row that was left out."""

    name: str
    jobs: Jobs
    rows: int
    left_out: tuple[str, ...]
    has_requests: bool


@dataclass
class _Columns:
    submit: list[float] = field(default_factory=list)
    duration: list[float] = field(default_factory=list)
    requested: list[float] = field(default_factory=list)
    size: list[int] = field(default_factory=list)
    tenant: list[str] = field(default_factory=list)
    tier: list[str] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    bad: dict[str, list[tuple[int, str]]] = field(default_factory=dict)
    requests: int = 0
    rows: int = 0

    def add(
        self,
        submit: float,
        duration: float,
        requested: float | None,
        size: int,
        tenant: str,
        tier: str,
        job_id: str,
    ) -> None:
        self.submit.append(submit)
        self.duration.append(duration)
        self.requested.append(duration if requested is None else requested)
        self.requests += requested is not None
        self.size.append(size)
        self.tenant.append(tenant or _UNNAMED)
        self.tier.append(tier or STANDARD_TIER)
        self.ids.append(job_id or f"j{self.rows - 1}")


class _BadRowError(Exception):
    """Why a row is left out: the kind (counted together) and what was seen."""

    def __init__(self, kind: str, seen: str) -> None:
        super().__init__(kind)
        self.kind = kind
        self.seen = seen


def read_trace(path: Path, *, unit: str = "node", gpus_per_node: int = 8) -> Trace:
    """The trace in a .csv, .csv.gz, .swf or .swf.gz file; sizes in whole nodes (`unit="node"`) or slots ("slot").

    Nodes are the column `nodes`, else n_gpus / `gpus_per_node` rounded up; slots are `n_gpus` rounded up, else `nodes`.
    Raises InputError with file and line where the file is no trace or holds no usable row.
    """
    text = _text(path)
    columns = _Columns()
    if path.name.removesuffix(".gz").endswith(".swf") or text.lstrip().startswith(";"):
        _read_swf(text, columns, unit, gpus_per_node)
    else:
        _read_csv(path, text, columns, unit, gpus_per_node)
    left_out = tuple(_sentence(str(path), kind, seen) for kind, seen in columns.bad.items())
    if not columns.ids:
        raise InputError(left_out[0] if left_out else "the file holds no job", None if left_out else str(path))
    jobs = make_jobs(
        columns.submit,
        columns.duration,
        columns.size,
        requested_s=columns.requested,
        tenant=columns.tenant,
        tier=columns.tier,
        ids=columns.ids,
    )
    return Trace(path.name, jobs, columns.rows, left_out, columns.requests > 0)


def _sentence(name: str, kind: str, seen: Sequence[tuple[int, str]]) -> str:
    line, value = seen[0]
    also = f" (and {len(seen) - 1} more rows like it)" if len(seen) > 1 else ""
    return f"{name}:{line}: the row is left out because {kind}: {value}{also}"


def _text(path: Path) -> str:
    try:
        data = path.read_bytes()
        if data[:2] == b"\x1f\x8b":
            data = gzip.decompress(data)
        return data.decode("utf-8-sig")
    except (UnicodeDecodeError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InputError(f"this is not a UTF-8 text file, gzip or plain: {error}", str(path)) from None


def _read_csv(path: Path, text: str, columns: _Columns, unit: str, gpus_per_node: int) -> None:
    reader = csv.reader(io.StringIO(text, newline=""))
    try:
        header = [name.strip() for name in next(reader, [])]
        missing = [name for name in _NEEDED if name not in header]
        if missing or not any(name in header for name in _SIZES):
            wanted = " and ".join(missing) if missing else "nodes or n_gpus"
            raise InputError(
                f"the header has no column {wanted}: a trace has submit_s, duration_s and nodes or n_gpus", f"{path}:1"
            )
        place = {name: position for position, name in enumerate(header)}
        for row in reader:
            if not row:
                continue
            columns.rows += 1
            try:
                _add_csv(row, place, columns, unit, gpus_per_node)
            except _BadRowError as bad:
                columns.bad.setdefault(bad.kind, []).append((reader.line_num, bad.seen))
    except csv.Error as error:
        raise InputError(f"this is not CSV: {error}", f"{path}:{reader.line_num}") from None


def _add_csv(row: list[str], place: dict[str, int], columns: _Columns, unit: str, gpus_per_node: int) -> None:
    if len(row) != len(place):
        raise _BadRowError("it has another number of fields than the header", f"{len(row)} for {len(place)}")

    def cell(name: str) -> str:
        return row[place[name]].strip() if name in place else ""

    submit = _number(cell("submit_s"), "submit_s")
    duration = _number(cell("duration_s"), "duration_s")
    if duration <= 0:
        raise _BadRowError("duration_s is not above 0", cell("duration_s"))
    asked = cell("requested_s")
    requested = _number(asked, "requested_s") if asked else None
    if requested is not None and requested <= 0:
        requested = None
    nodes, gpus = cell("nodes"), cell("n_gpus")
    if unit == "node":
        size = _number(nodes, "nodes") if nodes else _number(gpus, "n_gpus") / gpus_per_node
    else:
        size = _number(gpus, "n_gpus") if gpus else _number(nodes, "nodes")
    if size <= 0:
        raise _BadRowError("it asks for no unit of the pool", f"n_gpus {gpus!r}, nodes {nodes!r}")
    columns.add(submit, duration, requested, math.ceil(size), cell("tenant"), cell("priority"), cell("job_id"))


def _number(text: str, name: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise _BadRowError(f"{name} is not a number", repr(text)) from None
    if not math.isfinite(value) or abs(value) > 1e15:
        raise _BadRowError(f"{name} is not a finite number", repr(text))
    return value


def _swf_rows(text: str) -> Iterator[tuple[int, list[str]]]:
    for number, line in enumerate(text.splitlines(), start=1):
        if (stripped := line.strip()) and not stripped.startswith(";"):
            yield number, stripped.split()


def _read_swf(text: str, columns: _Columns, unit: str, gpus_per_node: int) -> None:
    for number, fields in _swf_rows(text):
        columns.rows += 1
        try:
            if len(fields) != _SWF_FIELDS:
                raise _BadRowError("an SWF row has 18 fields", str(len(fields)))
            values = [_number(value, f"field {place}") for place, value in enumerate(fields, start=1)]
            submit, duration, used, asked_units, asked_s = (values[place] for place in (1, 3, 4, 7, 8))
            units = used if used > 0 else asked_units
            if duration <= 0:
                raise _BadRowError("its run time (field 4) is not above 0", fields[3])
            if units <= 0:
                raise _BadRowError("it asks for no processor (fields 5 and 8)", f"{fields[4]}, {fields[7]}")
            size = units / gpus_per_node if unit == "node" else units
            user = "" if values[11] < 0 else f"u{fields[11]}"
            columns.add(submit, duration, asked_s if asked_s > 0 else None, math.ceil(size), user, "", f"s{fields[0]}")
        except _BadRowError as bad:
            columns.bad.setdefault(bad.kind, []).append((number, bad.seen))
