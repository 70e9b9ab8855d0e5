"""Which day a file without dates of its own stands for.

In this order: what the caller says; a table of files in a SOURCES.md beside or above it (which may also say when the
file last changed, and then its prices are that old); a date in the path, nearest part first; the file's own date, which
is right for a download (~/.sky/catalogs) and marked "undated" elsewhere.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from functools import lru_cache
from pathlib import Path

from sublet.catalog.loaders.fields import day_of
from sublet.catalog.loaders.outcome import When
from sublet.catalog.loaders.sheet import key_of

ISO = re.compile(r"\d{4}-\d{2}-\d{2}")
CHANGED = re.compile(r"last changed [0-9a-f]* ?(\d{4}-\d{2}-\d{2})")
LEVELS = 4  # folders above the file that are looked at


def when_of(path: Path, seen_at: date | None = None) -> When:
    """The days that stand for `path`; see the module's text."""
    if seen_at is not None:
        return When(seen_at.toordinal(), seen_at.toordinal())
    whole = path.absolute()
    for folder in list(whole.parents)[:LEVELS]:
        listed = _listed(folder).get(whole.relative_to(folder).as_posix())
        if listed:
            return When(*listed)
    for part in (path.name, *(folder.name for folder in list(whole.parents)[:LEVELS])):
        found = [day for day in map(day_of, ISO.findall(part)) if day]
        if found:
            return When(max(found), max(found))
    written = datetime.fromtimestamp(path.stat().st_mtime, tz=UTC).date().toordinal()
    return When(written, written, undated=".sky" not in whole.parts)


@lru_cache(maxsize=256)
def _listed(folder: Path) -> dict[str, tuple[int, int]]:
    """File -> (day of its last change, day of the snapshot), from the table of a SOURCES.md."""
    table = folder / "SOURCES.md"
    try:
        lines = table.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return {}
    found: dict[str, tuple[int, int]] = {}
    columns: list[str] = []
    for line in lines:
        if not line.lstrip().startswith("|"):
            columns = []
            continue
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if not columns:
            columns = [key_of(cell) for cell in cells]
            continue
        row = dict(zip(columns, cells, strict=False))
        days = [day for day in map(day_of, ISO.findall(row.get("date", ""))) if day]
        if row.get("file") and days:
            changed = CHANGED.search(line)
            first = day_of(changed[1]) if changed else 0
            found[row["file"]] = (min(first or days[-1], days[-1]), days[-1])
    return found
