"""Loaders: one file per format, each with `fits(sheet)` and `load(sheet, context)`.

The format is told by the header, never by the path. Invariant: at most one loader fits a sheet.
"""

from __future__ import annotations

from types import ModuleType

from sublet.catalog.loaders import changes, facts, fsdl, gpuhunt, gpurentalprices, own, skypilot, tardellirs
from sublet.catalog.loaders.outcome import Context, Loaded
from sublet.catalog.loaders.sheet import Sheet, Unreadable

LOADERS: tuple[ModuleType, ...] = (skypilot, changes, gpuhunt, fsdl, gpurentalprices, tardellirs, facts, own)


def load(sheet: Sheet, context: Context) -> Loaded:
    """What a sheet holds; Unreadable("unknown-format") where no loader knows its header."""
    for loader in LOADERS:
        if loader.fits(sheet):
            loaded: Loaded = loader.load(sheet, context)
            return loaded
    raise Unreadable("unknown-format", f"{sheet.path}: no known format has the columns {', '.join(sheet.header[:12])}")
