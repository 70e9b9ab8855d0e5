"""A directory that recorded a node, and any directory or file with outputs of tools in it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sublet.errors import InputError
from sublet.qualification.hosts.protocol import LONGEST, Output

SCHEMA = "sublet.qualification.recording/1"
INDEX = "recording.json"


class RecordedHost:
    """What `record` wrote. Raises InputError where the directory is no recording or was changed since."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        try:
            index: Any = json.loads((folder / INDEX).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise InputError(f"{folder / INDEX}: no recording can be read from it: {error}") from None
        if not isinstance(index, dict) or index.get("schema") != SCHEMA:
            raise InputError(f"{folder / INDEX}: its schema is not {SCHEMA}")
        self._index = index
        commands = index.get("commands")
        self._commands = {
            tuple(map(str, each["argv"])): each
            for each in (commands if isinstance(commands, list) else [])
            if isinstance(each, dict) and isinstance(each.get("argv"), list)
        }

    @property
    def name(self) -> str:
        return str(self._index.get("host", ""))

    def run(self, argv: Sequence[str], timeout_s: float) -> Output:
        entry = self._commands.get(tuple(argv))
        if entry is None:
            return Output(None, why=f"{argv[0]} was not recorded")
        status = entry.get("status")
        out, err = self._content(entry.get("out")), self._content(entry.get("err"))
        return Output(status if isinstance(status, int) else None, out, err, str(entry.get("why", "")))

    def read(self, path: str) -> bytes | None:
        files = self._index.get("files")
        entry = files.get(path) if isinstance(files, dict) else None
        return None if entry is None else self._content(entry)

    def now(self) -> float:
        at = self._index.get("at")
        return float(at) if isinstance(at, int | float) else 0.0

    def _content(self, entry: object) -> bytes:
        """A recorded file, checked against its digest."""
        name = entry.get("file") if isinstance(entry, dict) else None
        if not isinstance(entry, dict) or not isinstance(name, str):
            return b""
        place = self._folder / name
        if self._folder.resolve() not in place.resolve().parents:
            raise InputError(f"{self._folder / INDEX}: {name!r} lies outside the recording")
        try:
            content: bytes = place.read_bytes()[:LONGEST]
        except OSError as error:
            raise InputError(f"{place}: {error.strerror or error}") from None
        if hashlib.sha256(content).hexdigest() != entry.get("sha256"):
            raise InputError(f"{place}: it is not what was recorded (its digest differs)")
        return content
