"""The catalogue that comes with Sublet: offers from sources that may be passed on, each row with its source and day.

`tools/build_offers.py` makes the files; NOTICE and `offer_sources.csv` name the sources and their licences.
Invariant: loading it needs no network, no folder of the user's and no other file.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

from sublet.catalog import tablefile
from sublet.catalog.rules import read_data
from sublet.catalog.table import OfferTable

OFFERS = "offers.npz"


@dataclass(frozen=True)
class Source:
    """One source of the embedded offers."""

    feed: str
    title: str
    url: str
    licence: str
    holder: str
    attribution: str
    first: str
    last: str
    rows: int  # rows of the source that were read
    changed: str  # what was done to them


@dataclass(frozen=True)
class Interruption:
    """How often spot instances of a type were taken back in a region."""

    provider: str
    region: str
    shape: str
    savings_percent: float | None
    band: str  # "<5%", "5-10%", ... of instances interrupted in a month
    seen_at: str


@lru_cache(maxsize=1)
def offers() -> OfferTable:
    """The embedded offers."""
    return tablefile.read(files("sublet.catalog").joinpath("data", OFFERS))


@lru_cache(maxsize=1)
def sources() -> tuple[Source, ...]:
    """Where the embedded offers come from, under which licence."""
    return tuple(
        Source(**{**row, "rows": int(row["rows"])})  # type: ignore[arg-type]
        for row in read_data("offer_sources.csv")
    )


@lru_cache(maxsize=1)
def interruptions() -> tuple[Interruption, ...]:
    """AWS's published interruption bands of spot instances."""
    return tuple(
        Interruption(
            row["provider"],
            row["region"],
            row["shape"],
            float(row["savings_percent"]) if row["savings_percent"] else None,
            row["interruption_range"],
            row["seen_at"],
        )
        for row in read_data("offer_interruptions.csv")
    )
