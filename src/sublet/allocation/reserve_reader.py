"""Read reservation requests from a CSV file (plain or .gz) with the columns of the traces.

Needed: job_id (or request_id), submit_s, duration_s, nodes, earliest_start_s, deadline_s, value; tenant if there.
Invariant: every row becomes a request or an error that names file, line and column; none is dropped.
"""

from __future__ import annotations

import csv
import gzip
import io
import math
import zlib
from pathlib import Path

from sublet.allocation.reserve_values import Request
from sublet.errors import InputError

_NUMBERS = ("submit_s", "duration_s", "nodes", "earliest_start_s", "deadline_s", "value")


def read_requests(path: Path) -> tuple[Request, ...]:
    """The requests of a file, in its order."""
    raw = path.read_bytes()
    try:
        text = (gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw).decode("utf-8-sig")
    except (UnicodeDecodeError, EOFError, zlib.error, gzip.BadGzipFile):
        raise InputError("is neither UTF-8 text nor gzip of it: give a CSV file", str(path)) from None
    table = csv.DictReader(io.StringIO(text, newline=""))
    header = table.fieldnames or []
    id_column = "request_id" if "request_id" in header else "job_id"
    missing = [name for name in (id_column, *_NUMBERS) if name not in header]
    if missing:
        raise InputError(f"has no column {', '.join(missing)}: reservation requests need them", f"{path}:1")
    requests: list[Request] = []
    seen: dict[str, int] = {}
    try:
        for row in table:
            request = _request(row, id_column, f"{path}:{table.line_num}")
            first = seen.setdefault(request.request_id, table.line_num)
            if first != table.line_num:
                raise InputError(f"request {request.request_id!r} is also on line {first}", f"{path}:{table.line_num}")
            requests.append(request)
    except csv.Error as error:
        raise InputError(f"is not CSV: {error}", f"{path}:{table.line_num}") from None
    return tuple(requests)


def _request(row: dict[str, str], id_column: str, where: str) -> Request:
    number = {name: _number(row, name, where) for name in _NUMBERS}
    for name, least in (("duration_s", "above 0"), ("nodes", "a whole number, 1 or more"), ("value", "0 or more")):
        seen = number[name]
        bad = seen < 0 if name == "value" else seen <= 0 or (name == "nodes" and seen != int(seen))
        if bad:
            raise InputError(f"{name} is {row[name]!r}: it must be {least}", where)
    if not row[id_column]:
        raise InputError(f"{id_column} is empty: every request needs a name", where)
    return Request(
        request_id=row[id_column],
        tenant=row.get("tenant") or "",
        submit_s=number["submit_s"],
        duration_s=number["duration_s"],
        nodes=int(number["nodes"]),
        earliest_s=number["earliest_start_s"],
        deadline_s=number["deadline_s"],
        value=number["value"],
    )


def _number(row: dict[str, str], name: str, where: str) -> float:
    text = row[name]
    try:
        number = float(text)
    except (TypeError, ValueError):
        raise InputError(f"{name} is {text!r}: it must be a number", where) from None
    if not math.isfinite(number):
        raise InputError(f"{name} is {text!r}: it must be a finite number", where)
    return number
