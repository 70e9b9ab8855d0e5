"""The user's catalogue: the embedded offers and what was imported beside them, in one directory.

    $SUBLET_HOME/catalog/manifest.json       every imported file: digest, days, rows, kept, quarantined, reasons
    $SUBLET_HOME/catalog/offers/ID.npz       its offers
    $SUBLET_HOME/catalog/machines/ID.npz     its machines without an accelerator
    $SUBLET_HOME/catalog/quarantine/ID.csv   its quarantined rows: line, reason, detail
    $SUBLET_HOME/catalog/facts/ID.csv        what it says without a price

Invariant: a file that gives nothing (empty, a pointer, a bare header, all rows refused) is never stored, so it never
replaces what was there; the manifest is written last, so a broken import leaves the catalogue as it was.
"""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sublet.catalog import asof, embedded, tablefile
from sublet.catalog.table import OfferTable, concat
from sublet.errors import InputError

if TYPE_CHECKING:
    from sublet.catalog.importing import FileResult

SCHEMA = "sublet.catalog.manifest/1"
SHRUNK = 0.5  # a snapshot with less than this share of the offers before it may be cut off


@dataclass(frozen=True)
class Entry:
    """One imported file, as the manifest keeps it."""

    id: str
    path: str
    label: str
    format: str
    digest: str
    first: str  # days that its rows cover
    last: str
    rows: int
    kept: int
    quarantined: int
    offers: int
    machines: int
    reasons: dict[str, int] = field(default_factory=dict)
    kinds: dict[str, int] = field(default_factory=dict)
    dropped: dict[str, int] = field(default_factory=dict)
    scopes: list[str] = field(default_factory=list)
    facts: str = ""
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Saved:
    """What became of a file that was stored; `warning` where it should be looked at, else ""."""

    entry: Entry
    warning: str = ""

    @property
    def path(self) -> str:
        """Where the file was."""
        return self.entry.path


def home_of(environment: dict[str, str] | None = None) -> Path:
    """The directory of everything that Sublet keeps for this user: SUBLET_HOME, else the XDG data directory."""
    told = os.environ if environment is None else environment
    if told.get("SUBLET_HOME"):
        return Path(told["SUBLET_HOME"]).expanduser()
    base = told.get("XDG_DATA_HOME")
    return (Path(base).expanduser() if base else Path.home() / ".local" / "share") / "sublet"


def open_catalog(home: Path | None = None, as_of: date | None = None) -> OfferTable:
    """The embedded offers and those imported into `home`, as one table.

    With `as_of` the table of that day: what was seen by then, each row once, flagged. Without, all rows of all times.
    """
    stored = [entry for entry in entries(home) if entry.offers]
    imported = [
        _unchanged(tablefile.read(_folder(home) / "offers" / f"{entry.id}.npz"), entry, stored) for entry in stored
    ]
    table = asof.assemble([embedded.offers(), *imported]) if imported else embedded.offers()
    return table if as_of is None else asof.standing(table, as_of)


def machines(home: Path | None = None) -> OfferTable:
    """The machines without an accelerator of all imports."""
    return concat(
        [tablefile.read(_folder(home) / "machines" / f"{entry.id}.npz") for entry in entries(home) if entry.machines]
    )


def entries(home: Path | None = None) -> list[Entry]:
    """The imported files, oldest first; none where nothing was imported. InputError for a damaged manifest."""
    manifest = _folder(home) / "manifest.json"
    try:
        document = json.loads(manifest.read_text(encoding="utf-8"))
        if document["schema"] != SCHEMA:
            raise InputError(f"{manifest} has schema {document['schema']}, this version of sublet reads {SCHEMA}")
        return [Entry(**entry) for entry in document["files"]]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise InputError(f"{manifest} cannot be read: {error.strerror or error}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{manifest} is damaged: remove it and import again") from error


def quarantine(home: Path | None, entry: Entry) -> list[dict[str, str]]:
    """The quarantined rows of one imported file: line, reason, detail."""
    return _rows(_folder(home) / "quarantine" / f"{entry.id}.csv") if entry.quarantined else []


def facts(home: Path | None, name: str) -> list[dict[str, str]]:
    """What the imported files say without a price: "interruptions", "listings" or "failures"."""
    return [
        row
        for entry in entries(home)
        if entry.facts == name
        for row in _rows(_folder(home) / "facts" / f"{entry.id}.csv")
    ]


def save(home: Path | None, results: Iterable[FileResult]) -> list[Saved]:
    """Store what is usable of some files and say what became of each.

    A file that was imported before (same name, format and days) is replaced. InputError where the store cannot be
    written.
    """
    folder = _folder(home)
    kept = {entry.id: entry for entry in entries(home)}
    saved: list[Saved] = []
    for result in results:
        loaded = result.loaded
        if loaded is None or not result.usable:
            continue
        entry = _entry(result)
        saved.append(Saved(entry, _shrunk(entry, kept.values())))
        kept[entry.id] = entry
        tables = (("offers", loaded.offers, entry.offers), ("machines", loaded.machines, entry.machines))
        for name, table, size in tables:
            if table is not None and size:
                tablefile.write(table, folder / name / f"{entry.id}.npz")
        if result.refused:
            lines = [(str(row.line), row.reason, row.detail) for row in result.refused]
            tablefile.replace_file(folder / "quarantine" / f"{entry.id}.csv", _csv(("line", "reason", "detail"), lines))
        if loaded.facts is not None:
            tablefile.replace_file(folder / "facts" / f"{entry.id}.csv", _csv(loaded.facts.header, loaded.facts.rows))
    if saved:
        document = {"schema": SCHEMA, "files": [asdict(entry) for entry in kept.values()]}
        tablefile.replace_file(folder / "manifest.json", json.dumps(document, indent=1).encode())
    return saved


def forget(home: Path | None, entry: Entry) -> None:
    """Take one imported file out of the catalogue."""
    folder = _folder(home)
    left = [asdict(one) for one in entries(home) if one.id != entry.id]
    document = {"schema": SCHEMA, "files": left}
    tablefile.replace_file(folder / "manifest.json", json.dumps(document, indent=1).encode())
    for name, suffix in (("offers", "npz"), ("machines", "npz"), ("quarantine", "csv"), ("facts", "csv")):
        (folder / name / f"{entry.id}.{suffix}").unlink(missing_ok=True)


def _unchanged(table: OfferTable, entry: Entry, others: Iterable[Entry]) -> OfferTable:
    """The table with `verified` no later than the first day on which a file with the same content was seen.

    A snapshot that repeats an older file byte for byte has not read its prices anew.
    """
    same = [one.last for one in others if one.digest == entry.digest and one.last < entry.last]
    if not same:
        return table
    earliest = date.fromisoformat(min(same)).toordinal()
    return table.with_numbers(verified=table.ints("verified").clip(max=earliest))


def _shrunk(entry: Entry, others: Iterable[Entry]) -> str:
    """A warning where a newer snapshot has far fewer offers than the one that it replaces."""
    before = [one for one in others if one.scopes == entry.scopes and one.offers and one.last <= entry.last]
    if not before or not entry.scopes:
        return ""
    last = max(before, key=lambda one: one.last)
    if entry.offers >= SHRUNK * last.offers:
        return ""
    return (
        f"{entry.label} has {entry.offers:,} offers where {last.label} ({last.last}) had {last.offers:,}: if it was cut"
        " off, import the whole file under the same name"
    )


def _entry(result: FileResult) -> Entry:
    loaded = result.loaded
    assert loaded is not None
    offers, machines = loaded.offers, loaded.machines
    tables = [table for table in (offers, machines) if table is not None and len(table)]
    days = [(int(table.ints("first").min()), int(table.ints("verified").max())) for table in tables]
    first = date.fromordinal(min(first for first, _ in days)).isoformat() if days else ""
    last = date.fromordinal(max(last for _, last in days)).isoformat() if days else ""
    scopes = sorted({scope for table in tables for scope in table.calendars})
    identity = "|".join((result.label, result.format or "", first, last, *scopes))
    return Entry(
        id=sha256(identity.encode()).hexdigest()[:16],
        path=str(result.path),
        label=result.label,
        format=result.format or "",
        digest=result.digest,
        first=first,
        last=last,
        rows=result.rows,
        kept=result.kept,
        quarantined=result.quarantined,
        offers=len(offers),
        machines=0 if machines is None else len(machines),
        reasons=dict(result.reasons),
        kinds=dict(result.kinds),
        dropped=dict(result.dropped),
        scopes=scopes,
        facts=loaded.facts.name if loaded.facts else "",
        notes=list(result.notes),
    )


def _folder(home: Path | None) -> Path:
    return (home_of() if home is None else home) / "catalog"


def _csv(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue().encode()


def _rows(path: Path) -> list[dict[str, str]]:
    try:
        return list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))
    except OSError as error:
        raise InputError(f"{path} is missing: import its source again") from error
