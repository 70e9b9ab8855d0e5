"""Ask a host everything that is in commands.toml, read the answers, keep them in a directory where that is wanted."""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from sublet.errors import InputError
from sublet.qualification.hosts.protocol import LONGEST, Host, Output
from sublet.qualification.hosts.recorded import INDEX, SCHEMA, RecordedHost
from sublet.qualification.reading.detect import UNKNOWN, read
from sublet.qualification.reading.host_files import of_files
from sublet.qualification.reading.ib import read_sysfs
from sublet.qualification.reading.values import Reading

_MOST_FILES = 400  # of a directory that is no recording
_SYSFS = Path("sys/class/infiniband")


@dataclass(frozen=True)
class Command:
    """One question to a host."""

    id: str
    argv: tuple[str, ...]
    timeout_s: float


@cache
def commands() -> tuple[Command, ...]:
    """All questions, in order."""
    table = tomllib.loads(files("sublet.qualification.hosts").joinpath("commands.toml").read_text(encoding="utf-8"))
    return tuple(Command(row["id"], tuple(row["argv"]), float(row["timeout_s"])) for row in table["command"])


def observe(host: Host) -> list[Reading]:
    """What a host answers, read. A command that is not there gives no reading; one that fails gives what it said."""
    found = []
    for command in commands():
        output = host.run(command.argv, command.timeout_s)
        text = output.out if output.out.strip() else output.err
        if output.status is None and not output.out.strip():
            continue
        reading = read(text, source=" ".join(command.argv))
        if reading.kind != UNKNOWN:
            found.append(reading)
    return found


def record(host: Host, folder: Path) -> int:
    """Ask everything and keep the raw answers in `folder`, each with its digest. Returns how many commands answered.

    Raises InputError where the folder holds something already.
    """
    if folder.exists() and any(folder.iterdir()):
        raise InputError(f"{folder}: there is something in it; name a new directory")
    folder.mkdir(parents=True, exist_ok=True)
    entries: list[Mapping[str, Any]] = []
    answered = 0
    for command in commands():
        output = host.run(command.argv, command.timeout_s)
        answered += output.status is not None
        entries.append(_kept(folder, command, output))
    index = {"schema": SCHEMA, "host": host.name, "at": host.now(), "commands": entries, "files": {}}
    (folder / INDEX).write_text(json.dumps(index, indent=1) + "\n", encoding="utf-8")
    return answered


def _kept(folder: Path, command: Command, output: Output) -> Mapping[str, Any]:
    entry: dict[str, Any] = {"argv": list(command.argv), "status": output.status, "why": output.why}
    for stream, content in (("out", output.out), ("err", output.err)):
        if content:
            name = f"{command.id}.{stream}"
            (folder / name).write_bytes(content)
            entry[stream] = {"file": name, "sha256": hashlib.sha256(content).hexdigest()}
    return entry


def recorded(place: Path) -> list[Reading]:
    """Readings of a file, of a recording, or of every file in a directory. Raises InputError where nothing is there."""
    if place.is_dir():
        if (place / INDEX).is_file():
            return observe(RecordedHost(place))
        return _directory(place)
    try:
        with place.open("rb") as file:
            return [read(file.read(LONGEST), source=place.name)]
    except OSError as error:
        raise InputError(f"--recorded {place}: {error.strerror or error}") from None


def _directory(place: Path) -> list[Reading]:
    found: list[Reading] = []
    tree = place / _SYSFS
    if tree.is_dir():
        content = {
            str(path.relative_to(tree)): path.read_text(encoding="utf-8", errors="replace")
            for path in sorted(tree.rglob("*"))
            if path.is_file()
        }
        found.append(read_sysfs(content))
    trees = [place / name for name in ("proc", "sys", "etc")]
    kept = {
        f"/{path.relative_to(place)}": path.read_text(encoding="utf-8", errors="replace").rstrip("\n")
        for folder in trees
        for path in sorted(folder.rglob("*"))[:_MOST_FILES]
        if path.is_file()
    }
    if kept:
        found.append(of_files(kept))
    paths = [path for path in sorted(place.rglob("*")) if path.is_file() and not set(trees) & set(path.parents)]
    for path in paths[:_MOST_FILES]:
        with path.open("rb") as file:
            reading = read(file.read(LONGEST), source=str(path.relative_to(place)))
        if reading.kind != UNKNOWN or len(paths) == 1:
            found.append(reading)
    if not found:
        raise InputError(f"--recorded {place}: no output of a tool that is known is in it")
    return found
