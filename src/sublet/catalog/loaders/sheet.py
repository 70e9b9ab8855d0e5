"""A file of offers as text cells, read so that one bad row, one odd byte or one odd delimiter costs only itself.

Invariant: every data row of the file is in `rows` or in `refused`; a file that holds no rows says why in Unreadable.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

DELIMITERS = ",;\t|"
LFS = b"version https://git-lfs.github.com/spec/"
LONGEST_CELL = 1 << 20


class Unreadable(Exception):
    """The file as a whole cannot be used; `reason` is one of the slugs of REASONS."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


@dataclass(frozen=True)
class Refused:
    """A row that was not kept, and why."""

    line: int
    reason: str
    detail: str


@dataclass(frozen=True, eq=False)
class Sheet:
    """Cells of one file; `rows` all have the width of `header`."""

    path: Path
    label: str  # the last two parts of the path: enough to find the row again
    digest: str  # SHA-256 of the file
    header: tuple[str, ...]
    rows: Sequence[Sequence[str]]
    lines: Sequence[int]  # line of each row in the file
    refused: tuple[Refused, ...] = ()  # rows that could not even be cut into cells
    notes: tuple[str, ...] = ()
    extra: dict[str, Any] = field(default_factory=dict)  # what a JSON file says beside its rows
    _columns: dict[str, list[str]] = field(default_factory=dict, repr=False)  # columns that were already read

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def keys(self) -> tuple[str, ...]:
        """The header, each name reduced to its lower-case letters and digits."""
        return tuple(key_of(name) for name in self.header)

    def has(self, *names: str) -> bool:
        """Whether all these columns (in the reduced spelling) are there."""
        return set(names) <= set(self.keys)

    def column(self, name: str) -> list[str]:
        """The trimmed cells of a column (reduced spelling), not to be changed; "" where there is no such column."""
        if name not in self._columns:
            keys = self.keys
            if name in keys:
                at = keys.index(name)
                cells = [row[at] for row in self.rows]
                trimmed = {cell: cell.strip() for cell in set(cells)}
                self._columns[name] = [trimmed[cell] for cell in cells]
            else:
                self._columns[name] = [""] * len(self.rows)
        return self._columns[name]


def key_of(name: str) -> str:
    """A column name as it is compared: lower-case letters and digits."""
    return re.sub(r"[^a-z0-9]", "", name.casefold())


def read_sheet(path: Path) -> Sheet:
    """Read one file. Unreadable where it holds no rows at all: empty, a pointer, binary, no header."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise Unreadable("unreadable", f"{path} cannot be read: {error.strerror or error}") from error
    label = "/".join(path.parts[-2:]) if len(path.parts) > 1 else path.name
    digest = hashlib.sha256(data).hexdigest()
    if data.startswith(b"PAR1"):
        header, rows = _parquet(path)
        return Sheet(path, label, digest, header, rows, range(1, len(rows) + 1))
    text, notes = _decode(data, path)
    if text.lstrip()[:1] in ("{", "["):
        header, rows, extra = _json(text, path)
        return Sheet(path, label, digest, header, rows, range(1, len(rows) + 1), notes=notes, extra=extra)
    return _table(text, path, label, digest, notes)


def _decode(data: bytes, path: Path) -> tuple[str, tuple[str, ...]]:
    if not data.strip():
        raise Unreadable("empty-file", f"{path} is empty")
    if data.startswith(LFS):
        raise Unreadable("lfs-pointer", f"{path} is a Git LFS pointer, not the data: run git lfs pull")
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return data.decode("utf-16", errors="replace"), ("read as UTF-16",)
    try:
        return data.decode("utf-8-sig"), ()
    except UnicodeDecodeError:
        if b"\0" in data[:4096]:
            raise Unreadable("not-text", f"{path} is not a text file") from None
        return data.decode("cp1252", errors="replace"), ("not UTF-8: read as Windows-1252",)


def _table(text: str, path: Path, label: str, digest: str, notes: tuple[str, ...]) -> Sheet:
    first = next((line for line in text.splitlines() if line.strip()), "")
    delimiter = max(DELIMITERS, key=first.count)
    cut, lines, refused = _cut(text, delimiter)
    while cut and not any(cell.strip() for cell in cut[0]):
        cut, lines = cut[1:], lines[1:]
    if not cut:
        raise Unreadable("empty-file", f"{path} is empty")
    header = tuple(cell.strip() for cell in cut[0])
    if not any(header) or all(re.fullmatch(r"[\d.\s$-]*", cell) for cell in header):
        raise Unreadable("no-header", f'{path} has no header: its first line is "{first[:60]}"')
    rows, lines = cut[1:], lines[1:]
    if any(len(row) != len(header) for row in rows):
        rows, lines, ragged = _level(header, rows, lines)
        refused = (*refused, *ragged)
    if not rows and not refused:
        raise Unreadable("header-only", f"{path} holds a header and no rows")
    return Sheet(path, label, digest, header, rows, lines, refused, notes)


def _cut(text: str, delimiter: str) -> tuple[list[list[str]], Sequence[int], tuple[Refused, ...]]:
    """Cells of every row and the line each row ends on; a row that the reader cannot cut is refused alone."""
    csv.field_size_limit(LONGEST_CELL)
    plain = '"' not in text and "\0" not in text
    try:
        rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter))
        if plain or len(rows) >= text.count("\n") + (not text.endswith("\n")):  # one line, one row
            return rows, range(1, len(rows) + 1), ()
    except csv.Error:
        pass
    rows, lines, refused = [], [], []
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    while True:
        try:
            row = next(reader)
        except StopIteration:
            break
        except csv.Error as error:
            refused.append(Refused(reader.line_num, "unreadable-row", str(error)))
            continue
        rows.append(row)
        lines.append(reader.line_num)
    return rows, lines, tuple(refused)


def _level(
    header: tuple[str, ...], rows: Sequence[list[str]], lines: Sequence[int]
) -> tuple[list[list[str]], list[int], list[Refused]]:
    """Rows of the header's width. Blank lines are dropped; short rows are padded; what is too long is an unquoted list
    in the last column (Azure's Generation "V1,V2") and is joined there, where the prices still stand in their place."""
    width = len(header)
    priced = [at for at, name in enumerate(header) if "price" in key_of(name)]
    level, kept, refused = [], [], []
    for row, line in zip(rows, lines, strict=True):
        if len(row) == width:
            pass
        elif not any(cell.strip() for cell in row):
            continue
        elif len(row) < width:
            row = [*row, *[""] * (width - len(row))]
        elif not any(cell.strip() for cell in row[width:]):
            row = row[:width]
        elif (width - 1) in priced or not all(_numeric(row[at]) for at in priced):
            refused.append(
                Refused(line, "ragged-row", f"{len(row)} cells under {width} columns, and the prices do not line up")
            )
            continue
        else:
            row = [*row[: width - 1], ",".join(row[width - 1 :])]
        level.append(row)
        kept.append(line)
    return level, kept, refused


def _numeric(cell: str) -> bool:
    try:
        float(cell.strip().lstrip("$") or 0)
    except ValueError:
        return False
    return True


def _json(text: str, path: Path) -> tuple[tuple[str, ...], list[list[str]], dict[str, Any]]:
    """A list of flat objects, or one object whose longest list of objects is meant; numbers keep their digits."""
    try:
        document = json.loads(text, parse_float=str, parse_int=str)
    except (ValueError, RecursionError) as error:
        raise Unreadable("not-json", f"{path} begins like JSON and is not: {error}") from error
    extra: dict[str, Any] = {}
    if isinstance(document, dict):
        lists = {
            name: value
            for name, value in document.items()
            if isinstance(value, list) and all(isinstance(item, dict) for item in value)
        }
        extra = {name: value for name, value in document.items() if name not in lists}
        document = max(lists.values(), key=len, default=[])
    records = [record for record in document if isinstance(record, dict)]
    if not records:
        raise Unreadable("header-only", f"{path} holds no list of offers")
    header = tuple(dict.fromkeys(name for record in records for name in record))
    rows = [["" if (value := record.get(name)) is None else str(value) for name in header] for record in records]
    return header, rows, extra


def _parquet(path: Path) -> tuple[tuple[str, ...], list[list[str]]]:
    try:
        from pyarrow import parquet
    except ImportError:
        raise Unreadable("needs-pyarrow", f'{path} is Parquet: install pyarrow ("sublet[parquet]")') from None
    try:
        table = parquet.read_table(path)
    except Exception as error:  # pyarrow has no common base for what a damaged file raises
        raise Unreadable("not-parquet", f"{path} begins like Parquet and cannot be read: {error}") from error
    if not table.num_rows:
        raise Unreadable("header-only", f"{path} holds no rows")
    columns = [["" if value is None else str(value) for value in column.to_pylist()] for column in table.columns]
    return tuple(table.column_names), [list(row) for row in zip(*columns, strict=True)]
