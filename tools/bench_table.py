"""Write the table of docs/benchmarks.md: what each script measures, and what it measured when it was last run here.

make bench; .venv/bin/python tools/bench_table.py
"""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

from marked import replace

BENCH = Path(__file__).resolve().parents[1] / "bench"


def scripts() -> dict[str, str]:
    """Script -> the first paragraph of its docstring."""
    found = {}
    for path in sorted(BENCH.glob("bench_*.py")):
        told = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
        found[path.name] = " ".join(told.split("\n\n")[0].split())
    return found


def figures() -> list[dict[str, Any]]:
    """What bench/out/ holds, by name."""
    return [json.loads(path.read_text(encoding="utf-8")) for path in sorted((BENCH / "out").glob("*.json"))]


def table() -> str:
    """The scripts, then the figures with the machine and the day of each."""
    lines = ["| script | what it measures |", "|---|---|"]
    lines += [f"| `{name}` | {told} |" for name, told in scripts().items()]
    measured = [record for record in figures() if record.get("script") in scripts()]
    if measured:
        lines += ["", "| figure | measured | target | met |", "|---|--:|---|---|"]
        lines += [
            f"| {record['name']} | {record['figure']:,.4g} {record['unit']} | {_target(record)} "
            f"| {'' if _target(record) == '-' else 'yes' if record['met'] else '**no**'} |"
            for record in measured
        ]
        machines = sorted({_machine(record) for record in measured})
        lines += ["", f"Measured on {'; '.join(machines)}."]
    return "\n".join(lines)


def _target(record: dict[str, Any]) -> str:
    limits = [
        f"{sign} {record[key]:,g}" for sign, key in (("<=", "at_most"), (">=", "at_least")) if record[key] is not None
    ]
    return ", ".join(limits) or "-"


def _machine(record: dict[str, Any]) -> str:
    of = record["machine"]
    return f"{of['processor']}, {of['cores']} cores, {of['system']}, Python {of['python']}, {record['date'][:10]}"


if __name__ == "__main__":
    replace("benchmarks.md", "figures", table())
