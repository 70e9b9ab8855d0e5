"""Demand for scarce goods from a CSV file: tenant, class, units, and what else the seller knows.

The edge of the room. Invariant: every row becomes one request, or the file is refused with the line and one sentence.
"""

from __future__ import annotations

import csv
from pathlib import Path

from sublet.allocation.scarce import Request
from sublet.errors import InputError

_NEEDED = ("tenant", "units")
_KNOWN = (*_NEEDED, "class", "submit", "bid", "deployable", "strategic", "competitor", "group")
_YES = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False, "": False}


def read_demand(path: Path) -> tuple[Request, ...]:
    """The requests in a CSV file: tenant, units and, where known, class, submit (period), bid (money per unit),
    deployable (units it can use), strategic and competitor (yes or no), group (affiliates)."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            header = [name.strip() for name in reader.fieldnames or []]
            reader.fieldnames = header
            for name in _NEEDED:
                if name not in header:
                    raise InputError(f"the header has no column {name}: known are {', '.join(_KNOWN)}", f"{path}:1")
            for name in header:
                if name not in _KNOWN:
                    raise InputError(f"{name!r} is not a column of demand: known are {', '.join(_KNOWN)}", f"{path}:1")
            requests = tuple(_request(row, f"{path}:{reader.line_num}") for row in reader)
    except UnicodeDecodeError:
        raise InputError("this is not a text file in UTF-8", str(path)) from None
    if not requests:
        raise InputError("the file holds no request", str(path))
    return requests


def _request(row: dict[str, str | None], where: str) -> Request:
    cells = {name: (value or "").strip() for name, value in row.items() if isinstance(name, str)}
    try:
        if not cells["tenant"]:
            raise InputError("tenant is empty: every request has one")
        return Request(
            cells["tenant"],
            cells.get("class") or "standard",
            int(_number(cells["units"], "units", whole=True)),
            int(_number(cells.get("submit") or "0", "submit", whole=True)),
            _number(cells.get("bid") or "0", "bid"),
            int(_number(cells["deployable"], "deployable", whole=True)) if cells.get("deployable") else None,
            _flag(cells.get("strategic", ""), "strategic"),
            _flag(cells.get("competitor", ""), "competitor"),
            cells.get("group", ""),
        )
    except InputError as error:
        raise error.at(where) from None


def _number(text: str, name: str, *, whole: bool = False) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not 0 <= value < 1e12 or (whole and value != int(value)):
        raise InputError(f"{name} is {text!r}: give a {'whole ' if whole else ''}number of 0 or more")
    return value


def _flag(text: str, name: str) -> bool:
    if text.lower() not in _YES:
        raise InputError(f"{name} is {text!r}: give yes or no")
    return _YES[text.lower()]
