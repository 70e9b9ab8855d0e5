"""Write what the benchmarks measured when they were last run here: docs/benchmarks.md, and the few lines of README.md.

make bench; .venv/bin/python tools/bench_table.py
"""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

from marked import replace

BENCH = Path(__file__).resolve().parents[1] / "bench"


# the figures that README.md shows, in words; those of accuracy are mean errors of the step time
SHOWN = {
    "accuracy_all_dense_rows_bf16_and_fp8_mean": "published dense runs, each source left out of the fit: mean error",
    "accuracy_a_chip_never_calibrated_mean": "the same, each chip left out of the fit: mean error",
    "accuracy_a_chip_never_calibrated_coverage_p10_p90": "and how many of them lie within P10-P90",
    "accuracy_mixtures_of_experts_mean": "mixtures of experts, each source left out: mean error",
    "accuracy_memory_of_runs_that_ran_memory_right": 'runs that really ran, not judged "does not fit"',
    "quote_cold": "`sublet quote` from a cold start",
    "quote_ranking": "100,000 offers priced and ranked for one job",
    "catalog_import": "160,603 rows of price lists imported",
    "serve_start_cpu": "`sublet serve` from start to first answer",
    "serve_start_memory": "its memory then",
    "list_leases": "pages of leases served with 10,000 stored, one process",
    "reconcile": "1,000 active leases looked at",
    "order_to_active": "order to active lease, our own time",
}


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


def shown() -> str:
    """The lines of README.md; ValueError where a figure has not been measured here."""
    measured = {record["name"]: record for record in figures()}
    missing = SHOWN.keys() - measured.keys()
    if missing:
        raise ValueError(f"not measured: {', '.join(sorted(missing))}; run `make bench` with the shared reference data")
    lines = ["| | measured | target |", "|---|--:|--:|"]
    for name, told in SHOWN.items():
        record = measured[name]
        rows = record["detail"].get("rows") if name.startswith("accuracy") else None
        lines.append(f"| {told}{f' ({rows} rows)' if rows else ''} | {_plain(record, 'figure')} | {_bound(record)} |")
    return "\n".join(lines)


def _plain(record: dict[str, Any], key: str) -> str:
    share = record["unit"] in ("of step time", "share")
    if share:
        return f"{record[key]:.1%}"
    return f"{record[key]:,.0f} {record['unit']}" if record[key] >= 10 else f"{record[key]:.2g} {record['unit']}"


def _bound(record: dict[str, Any]) -> str:
    return next(f"{sign} {_plain(record, key)}" for sign, key in (("<=", "at_most"), (">=", "at_least")) if record[key])


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
    replace("../README.md", "figures", shown())
