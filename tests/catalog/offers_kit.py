"""What the tests of offers share: sample files, small tables, one import of the shared data folder."""

from __future__ import annotations

from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import Any

from sublet.catalog.asof import assemble
from sublet.catalog.importing import FileResult, find_files, read_file, read_files
from sublet.catalog.loaders.own import COLUMNS
from sublet.catalog.table import OfferTable

SAMPLES = Path(__file__).parent / "samples"
DAY = date(2025, 1, 15)


def sample(name: str, **context: Any) -> FileResult:
    """One sample file, read."""
    result = read_file(SAMPLES / name, **context)
    assert result.loaded is not None, result.message
    return result


def cloud(name: str) -> FileResult:
    """One sample SkyPilot file, read as of DAY."""
    return sample(f"skypilot/2025-01-15/{name}.csv")


def offers_of(result: FileResult, **conditions: Any) -> list:
    """The offers of a file that match `OfferTable.where` conditions."""
    assert result.loaded is not None, result.message
    table = result.loaded.offers
    return table.offers(table.where(**conditions))


def written(folder: Path, name: str, text: str | bytes) -> Path:
    """A file with some text, in a new folder if need be."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def own_table(folder: Path, *rows: dict[str, object]) -> OfferTable:
    """A table of rows in Sublet's own form; what a row leaves out has an ordinary value."""
    usual = {
        "provider": "acme",
        "accelerator": "H100 SXM",
        "count": 8,
        "market": "on-demand",
        "price_per_node_hour": 24,
        "currency": "USD",
        "seen_at": "2025-01-15",
        "source": "test",
    }
    lines = [",".join(COLUMNS)]
    lines += [",".join(str({**usual, **row}.get(name, "")) for name in COLUMNS) for row in rows]
    result = read_file(written(folder, "own.csv", "\n".join(lines) + "\n"))
    assert result.loaded is not None, result.message
    assert not result.quarantined, result.refused
    return result.loaded.offers


@lru_cache(maxsize=1)
def read_everything(folder: Path) -> tuple[tuple[FileResult, ...], OfferTable]:
    """Every file of the shared offers, and all their offers as one table."""
    files, _ = find_files([folder])
    results = tuple(read_files(files))
    return results, assemble([result.loaded.offers for result in results if result.loaded])


def table_in(path: Path, **context: Any) -> OfferTable:
    """The offers of a file that can be used."""
    result = read_file(path, **context)
    assert result.loaded is not None, result.message
    return result.loaded.offers
