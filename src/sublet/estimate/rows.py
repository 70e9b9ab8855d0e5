"""One row of a published table, read by column name whatever its order, case or older spelling.

Invariant: a blank cell is unknown (None or ""), never zero; a cell that holds no number where one belongs is unknown
too, so that one odd cell costs that figure and not the row.
"""

from __future__ import annotations

import csv
import io
import math
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from sublet.errors import InputError

_NUMBER = re.compile(r"[-+]?(?:\d[\d,_ ]*\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")
_BLANK = frozenset({"", "-", "–", "—", "?", "n/a", "na", "nan", "none stated", "not stated", "unknown", "null"})


@cache
def reading() -> Mapping[str, Any]:
    """The spellings and presumptions of `data/measured_reading.toml`."""
    text = Path(__file__).with_name("data").joinpath("measured_reading.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


@dataclass(frozen=True)
class Row:
    """One line of a file; `cells` by our column names."""

    path: str
    line: int  # as an editor counts
    cells: Mapping[str, str]

    def text(self, column: str) -> str:
        """The cell without surrounding space; "" where it is blank or says that nothing is stated."""
        value = self.cells.get(column, "").strip()
        return "" if value.lower() in _BLANK else value

    def number(self, column: str) -> float | None:
        """The first number in the cell ("1,024", "~32", "4e+06"); None where there is none."""
        found = _NUMBER.search(self.text(column))
        if found is None:
            return None
        value = float(re.sub(r"[,_ ]", "", found.group()))
        return value if math.isfinite(value) else None

    def positive(self, column: str) -> float | None:
        """The number, where it is above zero."""
        value = self.number(column)
        return value if value is not None and value > 0 else None

    def whole(self, column: str) -> int | None:
        """The number as a whole one, where it is at least one."""
        value = self.number(column)
        return round(value) if value is not None and round(value) >= 1 else None

    def digits(self, column: str) -> int:
        """Significant digits that the cell states; 0 where it is blank."""
        found = _NUMBER.search(self.text(column))
        if found is None:
            return 0
        mantissa = re.split(r"[eE]", found.group())[0]
        return len(re.sub(r"\D", "", mantissa).lstrip("0"))


def read_rows(path: str | Path, required: Iterable[str]) -> tuple[Row, ...]:
    """Every row of a CSV file that is not empty; InputError where it cannot be read or lacks a `required` column."""
    place = Path(path)
    try:
        text = place.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InputError(f"cannot read {place}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{place} is not UTF-8 text (byte {error.start}): a CSV table is wanted") from error
    reader = csv.reader(io.StringIO(text, newline=""))
    header = next(reader, None)
    if header is None:
        raise InputError(f"{place} is empty: a CSV table of measured runs with a header line is wanted")
    columns = [_column(name) for name in header]
    missing = [name for name in required if name not in columns]
    if missing:
        raise InputError(
            f"{place}:1: the header has no column {', '.join(missing)}; it has {', '.join(header[:8])}, ...: "
            "a table of the schema of training.csv is wanted"
        )
    rows, line = [], reader.line_num + 1
    for values in reader:
        if any(value.strip() for value in values):
            rows.append(Row(str(place), line, dict(zip(columns, values, strict=False))))
        line = reader.line_num + 1
    return tuple(rows)


def _column(name: str) -> str:
    """Our name of a header cell."""
    plain = re.sub(r"[^a-z0-9]+", "_", name.strip().lower()).strip("_")
    known: Mapping[str, list[str]] = reading()["columns"]
    if plain in known:
        return plain
    return next((ours for ours, others in known.items() if plain in others), plain)
