"""The journal of changes: one JSON object a line, on the disk before a change is made.

Invariant: after a crash at any point the journal holds the way back of everything that may have been changed.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from sublet.errors import InputError

SCHEMA = "sublet.qualification.tuning/1"
State = Literal["applying", "kept", "rolled back", "restored", "stuck"]
"""stuck: the way back failed, which a person must look at."""


@dataclass(frozen=True)
class Entry:
    """A remedy's state; of several lines of one `number` the last counts."""

    number: int
    remedy: str
    state: State
    undo: tuple[tuple[str, ...], ...]
    said: str = ""


class Journal:
    """Appends entries to a file; each is on the disk when `write` returns."""

    def __init__(self, place: Path) -> None:
        self._place = place
        self.entries = read(place)

    def begin(self, remedy: str, undo: Sequence[Sequence[str]]) -> Entry:
        """A new entry, in state "applying"."""
        number = max((each.number for each in self.entries), default=0) + 1
        return self.write(Entry(number, remedy, "applying", tuple(map(tuple, undo))))

    def write(self, entry: Entry) -> Entry:
        """Append. Raises InputError where the file cannot be written."""
        row = {
            "schema": SCHEMA,
            "number": entry.number,
            "remedy": entry.remedy,
            "state": entry.state,
            "undo": entry.undo,
            "said": entry.said,
        }
        try:
            with self._place.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise InputError(f"journal {self._place}: {error.strerror or error}") from None
        self.entries = [each for each in self.entries if each.number != entry.number] + [entry]
        return entry

    def open_entries(self) -> list[Entry]:
        """What is not as it was before, the latest change first."""
        return sorted((e for e in self.entries if e.state in ("applying", "kept", "stuck")), key=lambda e: -e.number)


def read(place: Path) -> list[Entry]:
    """The last state of each entry. A last line that broke off is left out: its change was never made."""
    try:
        lines = place.read_text(encoding="utf-8").split("\n")
    except FileNotFoundError:
        return []
    except OSError as error:
        raise InputError(f"journal {place}: {error.strerror or error}") from None
    found: dict[int, Entry] = {}
    for at, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            undo = tuple(tuple(map(str, command)) for command in row["undo"])
            entry = Entry(int(row["number"]), str(row["remedy"]), row["state"], undo, str(row["said"]))
        except (ValueError, KeyError, TypeError):
            if at == len(lines):
                continue
            raise InputError(f"{place}:{at}: no entry of a journal; nothing was restored") from None
        found[entry.number] = entry
    return list(found.values())
