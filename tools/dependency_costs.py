"""Measure what every direct dependency costs, and write the table of docs/dependencies.md.

For each: the pinned version, CPU seconds to import it in a new process (least of five, the bare interpreter subtracted)
and megabytes on disk, its own and with everything that it alone brings in. Needs the full .venv (`make test` makes it).

    .venv/bin/python tools/dependency_costs.py
"""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

from marked import replace
from runtime_pins import ROOT, canonical

# distribution -> module to import, where the two are called differently; None: a command, nobody imports it
MODULES: dict[str, str | None] = {
    "pyyaml": "yaml",
    "import-linter": None,
    "mkdocs-material": None,
    "mypy": None,
    "ruff": None,
    "types-pyyaml": None,
    "editables": None,
    "pytest-cov": None,
    "hatchling": None,
}
USED = {
    "matplotlib": "matplotlib.figure",
    "rich": "rich.console, rich.table",
}  # the part that is imported when it is used
REPEATS = 5


def import_cpu_s(statement: str) -> float:
    """Least CPU seconds of `python -c statement`, interpreter start included."""
    best = float("inf")
    for _ in range(REPEATS):
        child = subprocess.Popen([sys.executable, "-c", statement])
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode != 0:
            raise subprocess.CalledProcessError(child.returncode, statement)
        best = min(best, usage.ru_utime + usage.ru_stime)
    return best


def own_mb(name: str) -> float:
    """Megabytes of the files that the distribution installed, compiled files left out (they come and go)."""
    files = metadata.distribution(name).files or []
    paths = {Path(str(file.locate())) for file in files if file.suffix != ".pyc"}
    return sum(path.stat().st_size for path in paths if path.is_file()) / 1e6


def needs(name: str, seen: set[str]) -> set[str]:
    """The distribution and all that it requires here."""
    if name in seen:
        return seen
    seen.add(name)
    for line in metadata.distribution(name).requires or []:
        child = canonical(line)
        if "extra ==" not in line and _installed(child):
            needs(child, seen)
    return seen


def _installed(name: str) -> bool:
    try:
        metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return False
    return True


def table() -> str:
    """The Markdown table: runtime dependencies first, then the optional ones and those of development."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        project = tomllib.load(file)["project"]
    groups = {"runtime": project["dependencies"], **project["optional-dependencies"]}
    direct = {canonical(line) for lines in groups.values() for line in lines}
    bare = import_cpu_s("pass")
    rows = [
        "| package | version | for | import, CPU-s | own MB | MB with what it alone brings |",
        "|---|---|---|---|---|---|",
    ]
    listed: set[str] = set()
    for group, lines in groups.items():
        for name in sorted({canonical(line) for line in lines} - listed):
            listed.add(name)
            module = USED.get(name, MODULES.get(name, name))
            cost = "a tool" if module is None else f"{max(0.0, import_cpu_s(f'import {module}') - bare):.3f}"
            others: set[str] = set()
            for other in direct - {name}:
                needs(other, others)
            brought = needs(name, set()) - others
            total = sum(own_mb(each) for each in brought | {name})
            rows.append(f"| {name} | {metadata.version(name)} | {group} | {cost} | {own_mb(name):.1f} | {total:.1f} |")
    return "\n".join(rows)


if __name__ == "__main__":
    text = table()
    print(text)
    replace("dependencies.md", "costs", text)
