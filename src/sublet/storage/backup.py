"""Back up the embedded broker while it serves, and put it back.

A backup is one `.tar.gz`: the databases, copied by SQLite's online backup (one moment, no writer waits), the small
files beside them (signing key, settings), and a manifest with the schema's revision and the SHA-256 of every member. It
holds secrets and is readable by its owner alone.

Invariants: the broker's file is copied after the durable one, so that a restored broker knows at least what its
workflows believe to be done; what remains is done again, and steps are idempotent. `restore` writes nothing unless all
is whole, and never over an existing broker.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import sqlite3
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from sublet import __version__
from sublet.errors import InputError
from sublet.storage import durable, migrate
from sublet.storage.clock import utc
from sublet.storage.engine import FILE_NAME, Database

MANIFEST = "manifest.json"
_LEFT_OUT = (".db", ".lock", ".log", ".sock", ".pid", "-wal", "-shm", "-journal", ".part", ".tar.gz", ".tgz")
_FOLDERS = ("", "keys", "providers")
_LIMIT = 16 * 2**20  # bytes of a file that is no database: keys and settings are small


@dataclass(frozen=True)
class Backup:
    """What a backup holds: the schema's revision, the program that made it, when, and its members with their bytes."""

    path: Path
    revision: str | None
    program: str
    made_at: datetime
    members: tuple[tuple[str, int], ...]

    @property
    def bytes(self) -> int:
        """Bytes of all members, unpacked."""
        return sum(size for _, size in self.members)


def backup(database: Database, to: Path, *, now: datetime) -> Backup:
    """Write a backup of the embedded broker to a new file; serving goes on.

    InputError for PostgreSQL (pg_dump does it), for a file that exists, and for a place that cannot be written.
    """
    if database.path is None:
        raise InputError(f"{database.url} is PostgreSQL: back it up with pg_dump, as the how-to for PostgreSQL says")
    if to.exists():
        raise InputError(f"{to} exists: give a new file, so that no backup is lost")
    home = database.path.parent
    with database.reading() as session:
        revision = migrate.current(session.connection())
    try:
        to.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".backup-", dir=to.parent) as scratch:
            members = {name: _copy(home / name, Path(scratch) / name) for name in _databases(home)} | dict(_small(home))
            manifest = {
                "format": 1,
                "program": __version__,
                "revision": revision,
                "made_at": utc(now).isoformat(),
                "members": {
                    name: {"sha256": _digest(path), "bytes": path.stat().st_size} for name, path in members.items()
                },
            }
            part = Path(scratch) / "archive.part"
            with open(part, "xb", opener=_private) as file:
                with tarfile.open(fileobj=file, mode="w:gz", compresslevel=6) as archive:
                    text = json.dumps(manifest, indent=1).encode()
                    entry = tarfile.TarInfo(MANIFEST)
                    entry.size, entry.mode, entry.mtime = len(text), 0o600, int(utc(now).timestamp())
                    archive.addfile(entry, io.BytesIO(text))
                    for name, path in members.items():
                        archive.add(path, name, recursive=False, filter=_anonymous)
                file.flush()
                os.fsync(file.fileno())
            os.link(part, to)  # appears whole, and never over another file
    except OSError as error:
        raise InputError(f"{to} cannot be written: {error.strerror or error}") from error
    return _backup(to, manifest)


def inspect(path: Path) -> Backup:
    """What a backup says of itself; InputError for a file that is none."""
    with _open(path) as archive:
        return _backup(path, _manifest(archive, path))


def restore(path: Path, home: Path) -> Backup:
    """Put a backup into a folder that holds no broker yet; the next start brings its schema up to date.

    InputError, with nothing written, for a damaged file, one of a newer schema, or a folder with a broker in it.
    """
    if any((home / name).exists() for name in (FILE_NAME, durable.FILE_NAME)):
        raise InputError(f"{home} holds a broker already: move it away, or restore into an empty folder")
    with _open(path) as archive:
        manifest = _manifest(archive, path)
        revision = manifest["revision"]
        if revision is not None and revision not in migrate.revisions():
            raise InputError(
                f"{path} has schema {revision} and this program knows no newer than {migrate.revisions()[-1]}:"
                f" restore it with sublet {manifest['program']} or newer"
            )
        try:
            home.mkdir(mode=0o700, parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix=".restore-", dir=home) as scratch:
                for name, facts in manifest["members"].items():
                    _unpack(archive, name, facts, Path(scratch) / name, path)
                for name in _databases(Path(scratch)):
                    _check(Path(scratch) / name, path)
                for name in sorted(manifest["members"], key=lambda name: name == FILE_NAME):  # the broker's file last
                    (home / name).parent.mkdir(mode=0o700, exist_ok=True)
                    os.replace(Path(scratch) / name, home / name)
        except OSError as error:
            raise InputError(f"{home} cannot be written: {error.strerror or error}") from error
    return _backup(path, manifest)


def _databases(home: Path) -> list[str]:
    """The databases of a broker's folder in the order in which they are copied: workflows first, the broker last."""
    names = {str(path.relative_to(home)) for folder in _FOLDERS for path in (home / folder).glob("*.db")}
    rank = {durable.FILE_NAME: 0, FILE_NAME: 2}
    return sorted(names, key=lambda name: (rank.get(name, 1), name))


def _copy(source: Path, to: Path) -> Path:
    """One moment of a database, by SQLite's online backup: in WAL mode it blocks no writer."""
    to.parent.mkdir(mode=0o700, exist_ok=True)
    with closing(sqlite3.connect(source)) as reader, closing(sqlite3.connect(to)) as writer:
        reader.execute("PRAGMA busy_timeout = 30000")
        reader.backup(writer, pages=-1)
    return to


def _small(home: Path) -> Iterator[tuple[str, Path]]:
    for folder in _FOLDERS:
        for path in sorted((home / folder).glob("*")):
            own = not path.name.startswith(".") and not path.name.endswith(_LEFT_OUT)
            if own and path.is_file() and not path.is_symlink() and path.stat().st_size <= _LIMIT:
                yield str(path.relative_to(home)), path


def _open(path: Path) -> tarfile.TarFile:
    try:
        return tarfile.open(path, mode="r:gz")
    except (OSError, tarfile.TarError, EOFError) as error:
        raise InputError(f"{path} is not a backup that can be read: {error}") from error


def _manifest(archive: tarfile.TarFile, path: Path) -> dict[str, Any]:
    try:
        file = archive.extractfile(MANIFEST)
        manifest: dict[str, Any] = json.loads(file.read() if file else b"")
        names = list(manifest["members"])
        safe = all(Path(name).parent.as_posix() in (".", *_FOLDERS[1:]) for name in names)
        if manifest["format"] != 1 or FILE_NAME not in names or not safe or ".." in " ".join(names):
            raise ValueError("its manifest is of another kind")
        datetime.fromisoformat(manifest["made_at"])
    except (KeyError, ValueError, TypeError, OSError, tarfile.TarError, EOFError) as error:
        raise InputError(f"{path} is not a backup of a broker: {error}") from error
    return manifest


def _unpack(archive: tarfile.TarFile, name: str, facts: dict[str, Any], to: Path, path: Path) -> None:
    to.parent.mkdir(mode=0o700, exist_ok=True)
    try:
        file = archive.extractfile(name)
        if file is None:
            raise KeyError(name)
        with open(to, "xb", opener=_private) as target:
            shutil.copyfileobj(file, target)
            target.flush()
            os.fsync(target.fileno())
    except (KeyError, tarfile.TarError, EOFError, OSError) as error:
        raise InputError(f"{path} is damaged: {name} cannot be read ({error})") from error
    if _digest(to) != facts["sha256"]:
        raise InputError(f"{path} is damaged: {name} does not match its checksum")


def _check(database: Path, path: Path) -> None:
    with closing(sqlite3.connect(database)) as connection:
        verdict = connection.execute("PRAGMA integrity_check(1)").fetchone()[0]
    if verdict != "ok":
        raise InputError(f"{path} is damaged: {database.name}: {verdict}")


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _private(name: str, flags: int) -> int:
    return os.open(name, flags, 0o600)


def _anonymous(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    entry.mode = 0o600
    return entry


def _backup(path: Path, manifest: dict[str, Any]) -> Backup:
    members = tuple((name, int(facts["bytes"])) for name, facts in manifest["members"].items())
    made = datetime.fromisoformat(manifest["made_at"])
    return Backup(path, manifest["revision"], manifest["program"], made, members)
