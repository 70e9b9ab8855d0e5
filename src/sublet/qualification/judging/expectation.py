"""What was sold, from a person's words: "H100 SXM x8, 8x400G", "8x A100 80GB", "A100 SXM 40GB x8, 4x100G, MIG"."""

from __future__ import annotations

import re

from sublet.catalog.names import resolve
from sublet.errors import InputError
from sublet.qualification.judging.values import Expected

_NICS = re.compile(r"^(\d{1,3})\s*[x×]\s*(\d{1,4})\s*(?:G|Gb|Gbps|Gbit/s|Gb/s)$", re.IGNORECASE)
_AFTER = re.compile(r"^(.+?)\s*[x×]\s*(\d{1,4})$", re.IGNORECASE)
_BEFORE = re.compile(r"^(\d{1,4})\s*[x×]\s*(.+)$", re.IGNORECASE)


def expected(said: str) -> Expected:
    """What a sentence says was sold. Raises InputError for what is not understood."""
    chip: str | None = None
    count: int | None = None
    nics: int | None = None
    rate: float | None = None
    mig = False
    transport = None
    for part in (each.strip() for each in said.split(",")):
        if not part:
            continue
        network = _NICS.match(part)
        if network:
            nics, rate = int(network[1]), float(network[2])
        elif part.casefold() == "mig":
            mig = True
        elif part.casefold() in ("tcp", "ethernet tcp"):
            transport = "tcp"
        elif chip is None:
            chip, count = _chip(part, said)
        else:
            raise InputError(f'--as {said!r}: {part!r} is not understood: write as in "H100 SXM x8, 8x400G"')
    if chip is None and nics is None:
        raise InputError(f'--as {said!r} names no accelerator: write as in "H100 SXM x8, 8x400G"')
    return Expected(chip, count, nics, rate, mig, transport)


def _chip(part: str, said: str) -> tuple[str, int | None]:
    count: int | None = None
    name = part
    after, before = _AFTER.match(part), _BEFORE.match(part)
    if after:
        name, count = after[1], int(after[2])
    elif before:
        count, name = int(before[1]), before[2]
    found = resolve(name)
    if found.accelerator is None:
        several = f"; it may be {', '.join(found.candidates[:4])}" if found.candidates else ""
        raise InputError(f"--as {said!r}: no one accelerator is called {name!r}{several}")
    return found.accelerator, count
