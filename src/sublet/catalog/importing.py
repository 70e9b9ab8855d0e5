"""Reading files and folders of offers: what was found in each, what was kept, what was refused and why.

This is the edge of the room: it reads files. Invariant: for every file rows = kept + quarantined, and what is wrong
with one file costs no other.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from sublet.catalog import loaders
from sublet.catalog.loaders.dating import when_of
from sublet.catalog.loaders.outcome import Context, Loaded
from sublet.catalog.loaders.sheet import Refused, Sheet, Unreadable, read_sheet
from sublet.errors import InputError

SUFFIXES = frozenset({".csv", ".tsv", ".json", ".parquet"})
SKYPILOT_HOME = Path("~/.sky/catalogs")


@dataclass(frozen=True, eq=False)
class FileResult:
    """What became of one file. `failure` is the reason why nothing of it can be used, "" where something can."""

    path: Path
    format: str | None
    digest: str
    rows: int
    kept: int
    quarantined: int
    reasons: Mapping[str, int] = field(default_factory=dict)  # why rows were quarantined
    kinds: Mapping[str, int] = field(default_factory=dict)  # what the kept rows are (outcome.KINDS)
    dropped: Mapping[str, int] = field(default_factory=dict)  # prices of kept rows that were left out
    failure: str = ""
    message: str = ""
    notes: tuple[str, ...] = ()
    label: str = ""
    refused: tuple[Refused, ...] = ()
    loaded: Loaded | None = None

    @property
    def offers(self) -> int:
        """Offers that the file gave: a row with a spot and an on-demand price gives two."""
        return len(self.loaded.offers) if self.loaded else 0

    @property
    def usable(self) -> bool:
        """Whether anything of the file is worth storing."""
        return self.loaded is not None and self.kept > 0


def find_files(paths: Iterable[Path]) -> tuple[list[Path], list[Path]]:
    """The files to read under some paths in a fixed order, and those passed over for their kind.

    Raises InputError for a path that is not there. Hidden files below a given folder are passed over.
    """
    found: dict[Path, None] = {}
    ignored: dict[Path, None] = {}
    for path in paths:
        if path.is_dir():
            for inner in sorted(path.rglob("*")):
                hidden = any(part.startswith(".") for part in inner.relative_to(path).parts)
                if inner.is_dir() or hidden:
                    continue
                (found if inner.suffix.casefold() in SUFFIXES else ignored)[inner] = None
        elif path.exists() or path.is_symlink():
            found[path] = None
        else:
            raise InputError(f"{path} does not exist: give a file or a folder of offers")
    return list(found), list(ignored)


def skypilot_home() -> Path | None:
    """The folder of SkyPilot's own downloaded catalogues, None where there is none."""
    home = SKYPILOT_HOME.expanduser()
    return home if home.is_dir() else None


def read_files(
    files: Iterable[Path], *, provider: str | None = None, seen_at: date | None = None
) -> Iterator[FileResult]:
    """Read files one after the other; nothing that is wrong with one of them is raised."""
    for path in files:
        yield read_file(path, provider=provider, seen_at=seen_at)


def read_file(path: Path, *, provider: str | None = None, seen_at: date | None = None) -> FileResult:
    """Read one file of any known format. `provider` and `seen_at` stand in for what the file does not say."""
    try:
        sheet = read_sheet(path)
    except Unreadable as problem:
        return FileResult(path, None, "", 0, 0, 0, failure=problem.reason, message=problem.detail)
    try:
        loaded = loaders.load(sheet, Context(when_of(path, seen_at), provider))
    except Unreadable as problem:
        return _nothing(sheet, problem.reason, problem.detail)
    except Exception as error:  # a fault of ours, not of the file: it must not cost the other files
        return _nothing(sheet, "loader-failed", f"{path}: Sublet failed on this file ({error!r}); please report it")
    reasons = Counter(row.reason for row in loaded.refused)
    kept = sum(loaded.kept.values())
    quarantined = len(loaded.refused)
    failure = "" if kept else "nothing-kept"
    return FileResult(
        path=path,
        format=loaded.format,
        digest=sheet.digest,
        rows=len(sheet) + len(sheet.refused),
        kept=kept,
        quarantined=quarantined,
        reasons=dict(reasons.most_common()),
        kinds=loaded.kept,
        dropped=loaded.dropped,
        failure=failure,
        message=f"{path}: none of its {quarantined} rows can be used" if failure else "",
        notes=sheet.notes,
        label=sheet.label,
        refused=loaded.refused,
        loaded=loaded,
    )


def _nothing(sheet: Sheet, reason: str, detail: str) -> FileResult:
    rows = len(sheet) + len(sheet.refused)
    refused = tuple(Refused(line, reason, detail) for line in sheet.lines) + sheet.refused
    return FileResult(
        path=sheet.path,
        format=None,
        digest=sheet.digest,
        rows=rows,
        kept=0,
        quarantined=rows,
        reasons={reason: rows},
        failure=reason,
        message=detail,
        label=sheet.label,
        refused=refused,
    )
