"""Write the tables of docs/data-sources.md from the catalogue's own lists of sources.

.venv/bin/python tools/source_tables.py
"""

from __future__ import annotations

import csv
from pathlib import Path

from marked import replace

CATALOG = Path(__file__).resolve().parents[1] / "src/sublet/catalog/data"


def _rows(name: str) -> list[dict[str, str]]:
    with (CATALOG / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def offers() -> str:
    """Every source whose rows ship, with its days, its licence and what was changed."""
    lines = ["| source | rows read | days | licence | attribution | changed here |", "|---|--:|---|---|---|---|"]
    lines += [
        f"| [{row['title']}]({row['url']}) | {int(row['rows']):,} | {_days(row)} | {row['licence']} "
        f"| {row['attribution']} | {row['changed']} |"
        for row in _rows("offer_sources.csv")
    ]
    return "\n".join(lines)


def accelerators() -> str:
    """Every source of the accelerator table, by the key that its rows use."""
    lines = ["| key | source | read |", "|---|---|---|"]
    lines += [f"| `{row['key']}` | {row['citation']} | {row['date']} |" for row in _rows("accelerator_sources.csv")]
    return "\n".join(lines)


def _days(row: dict[str, str]) -> str:
    return row["first"] if row["first"] == row["last"] else f"{row['first']} to {row['last']}"


PARTS = {"offers": offers, "accelerators": accelerators}

if __name__ == "__main__":
    for name, part in PARTS.items():
        replace("data-sources.md", name, part())
