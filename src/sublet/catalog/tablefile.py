"""Offers on disk: one .npz file per table, small and quick to load.

Codes, days and numbers are packed into a few arrays and the vocabularies into one block of JSON, because opening many
small arrays is what takes the time. Invariant: `read(write(table))` has the same rows and columns; a file is replaced
as a whole or not at all.
"""

from __future__ import annotations

import io
import json
import os
import zipfile
from contextlib import suppress
from importlib.resources.abc import Traversable
from pathlib import Path

import numpy as np

from sublet.catalog import flags as quality
from sublet.catalog.table import NUMBERS, TEXTS, Coded, OfferTable
from sublet.errors import InputError

VERSION = 1
WHOLE = tuple(name for name, kind in NUMBERS.items() if kind is np.int32)
REAL = tuple(name for name, kind in NUMBERS.items() if kind is np.float32)


def write(table: OfferTable, path: Path, *, compress: bool = False) -> None:
    """Write a table; what was at `path` stays until the new file is complete."""
    header = {
        "version": VERSION,
        "flags": list(quality.FLAGS),
        "texts": {name: list(table.texts[name].vocabulary) for name in TEXTS},
        "whole": WHOLE,
        "real": REAL,
        "calendars": {scope: days.tolist() for scope, days in table.calendars.items()},
    }
    arrays = {
        "header": np.frombuffer(json.dumps(header, ensure_ascii=False).encode(), dtype=np.uint8),
        "codes": np.stack([table.texts[name].codes for name in TEXTS]),
        "whole": np.stack([table.numbers[name] for name in WHOLE]),
        "real": np.stack([table.numbers[name] for name in REAL]),
        "flags": table.numbers["flags"],
        "per_accelerator": table.numbers["per_accelerator"],
    }
    buffer = io.BytesIO()
    (np.savez_compressed if compress else np.savez)(buffer, **arrays)  # type: ignore[arg-type]
    replace_file(path, buffer.getvalue())


def read(path: Path | Traversable) -> OfferTable:
    """Read a table; InputError where the file is damaged or of a later version."""
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as arrays:
            header = json.loads(arrays["header"].tobytes())
            codes, whole, real = arrays["codes"], arrays["whole"], arrays["real"]
            flags, by_one = arrays["flags"], arrays["per_accelerator"]
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise InputError(f"{path} is no table of offers or is damaged: import its sources again") from error
    if header["version"] != VERSION or header["flags"] != list(quality.FLAGS)[: len(header["flags"])]:
        raise InputError(f"{path} was written by another version of sublet: import its sources again")
    texts = {
        name: Coded(codes[at].astype(np.int32), tuple(words))
        for at, (name, words) in enumerate(header["texts"].items())
    }
    numbers = {name: whole[at] for at, name in enumerate(header["whole"])}
    numbers |= {name: real[at] for at, name in enumerate(header["real"])}
    numbers |= {"flags": flags, "per_accelerator": by_one}
    calendars = {scope: np.array(days, dtype=np.int32) for scope, days in header["calendars"].items()}
    return OfferTable(texts, numbers, calendars)


def replace_file(path: Path, content: bytes) -> None:
    """Put `content` at `path` in one step; InputError where that place cannot be written."""
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        beside.write_bytes(content)
        beside.replace(path)
    except OSError as error:
        with suppress(OSError):
            beside.unlink()
        raise InputError(f"{path} cannot be written: {error.strerror or error}") from error
