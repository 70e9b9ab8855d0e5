"""Write the tables of docs/method.md from the estimator's data files, so that page and code cannot differ.

.venv/bin/python tools/method_tables.py
"""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

from marked import replace

DATA = Path(__file__).resolve().parents[1] / "src/sublet/estimate/data"


def _values(*names: str) -> str:
    """Every entry of data files whose rows have a value, a unit and a source."""
    rows = ["| constant | value | meaning | source |", "|---|---|---|---|"]
    for name in names:
        table = tomllib.loads((DATA / name).read_text(encoding="utf-8"))
        rows += [f"| `{key}` | {row['value']:g} | {row['unit']} | {row['source']} |" for key, row in table.items()]
    return "\n".join(rows)


def constants() -> str:
    """Constants of the step time and of the memory."""
    return _values("physics.toml")


def goodput() -> str:
    """Constants of the whole run and of its energy."""
    return _values("goodput.toml", "energy.toml")


def frameworks() -> str:
    """How each family runs a step: one column for each family, one row for each figure of the file."""
    table = tomllib.loads((DATA / "frameworks.toml").read_text(encoding="utf-8"))
    fields = list(dict.fromkeys(field for row in table.values() for field in row if field not in ("match", "source")))
    rows = [f"| `{field}` | {' | '.join(_cell(row.get(field)) for row in table.values())} |" for field in fields]
    sources = [f"- {name}: {row['source']}." for name, row in table.items()]
    return "\n".join([f"| | {' | '.join(table)} |", "|---|" + "---|" * len(table), *rows, "", *sources])


def _cell(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, int | float) else str(value)


def priors() -> str:
    """Base efficiencies, published kernel rates and the standard deviations of the effects."""
    document = json.loads((DATA / "priors.json").read_text(encoding="utf-8"))
    kinds = list(next(iter(document["spread"].values())))
    rows = [
        f"| {name} | {document['base'][name]:g} | " + " | ".join(f"{spread[kind]:g}" for kind in kinds) + " |"
        for name, spread in document["spread"].items()
    ]
    parts = [
        "Logarithm of each efficiency: what is added to the published kernel rate, and the spread of each effect.",
        "\n".join([f"| | base | {' | '.join(kinds)} |", "|---|" + "---|" * (len(kinds) + 1), *rows]),
        f"What no effect explains: {document['residual']:g} of the logarithm of the step time, "
        "before a family has rows of its own.",
        f"Achieved share of the matrix peak, by chip (and number format): {_shares(document['matmul'])}. "
        f"By family where a chip is not listed: {_shares(document['matmul_family'])}; "
        f"else {document['matmul_default']:g}.",
        f"Share of the peak that fused attention reaches, by family: {_shares(document['attention_family'])}; "
        f"else {document['attention_default']:g}.",
    ]
    for key, what in (("software", "software's kernels"), ("format", "number format")):
        shifts = [
            f"{name} {coefficient} {value:+g}"
            for name, of in document[key].items()
            for coefficient, value in of.items()
        ]
        parts.append(f"Added to the logarithm for the {what}: {', '.join(shifts)}.")
    return "\n\n".join(parts)


def _shares(of: dict[str, float]) -> str:
    return ", ".join(f"{name.replace('|', ' ')} {value:g}" for name, value in of.items())


PARTS = {"constants": constants, "goodput": goodput, "frameworks": frameworks, "priors": priors}

if __name__ == "__main__":
    for name, part in PARTS.items():
        replace("method.md", name, part())
