"""What every benchmark shares: CPU seconds, one printed line, one JSON file under bench/out/.

    from _harness import cpu_s, report
    seconds, offers = cpu_s(lambda: load(everything))
    report("catalog_import", seconds, "CPU-s", at_most=5.0, rows=len(offers))

Invariant: a figure is CPU time (user and system), the least of its repeats, so that a busy machine changes it little;
and it never travels without its unit, its date and the machine that it was measured on.
"""

from __future__ import annotations

import json
import os
import platform
import resource
import subprocess
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")
OUT = Path(__file__).resolve().parent / "out"
REPEATS = 3


def cpu_s(work: Callable[[], T], repeats: int = REPEATS) -> tuple[float, T]:
    """Least CPU seconds of `repeats` calls in this process (threads included), and what the last call returned."""
    best = float("inf")
    for _ in range(repeats):
        before = _spent(resource.getrusage(resource.RUSAGE_SELF))
        value = work()
        best = min(best, _spent(resource.getrusage(resource.RUSAGE_SELF)) - before)
    return best, value


def child_cpu_s(arguments: Sequence[str], repeats: int = REPEATS) -> float:
    """Least CPU seconds of `repeats` runs of a command, interpreter start included; raises CalledProcessError."""
    best = float("inf")
    for _ in range(repeats):
        child = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        assert child.stderr is not None
        with child.stderr:
            message = child.stderr.read()
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode != 0:
            raise subprocess.CalledProcessError(child.returncode, list(arguments), stderr=message)
        best = min(best, _spent(usage))
    return best


def sublet(*arguments: str) -> list[str]:
    """The command line of `sublet ARGUMENTS` in the environment that runs this benchmark."""
    return [str(Path(sys.executable).with_name("sublet")), *arguments]


def peak_mib() -> float:
    """Largest resident memory of this process so far, in MiB."""
    kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return kib / 1024 / (1024 if platform.system() == "Darwin" else 1)  # macOS counts bytes


def report(
    name: str,
    figure: float,
    unit: str,
    *,
    at_most: float | None = None,
    at_least: float | None = None,
    **detail: object,
) -> bool:
    """Write bench/out/NAME.json, print one line, and say whether the target (if there is one) is met."""
    met = (at_most is None or figure <= at_most) and (at_least is None or figure >= at_least)
    record = {
        "schema": "sublet.bench/1",
        "name": name,
        "script": Path(sys.argv[0]).name,
        "figure": figure,
        "unit": unit,
        "at_most": at_most,
        "at_least": at_least,
        "met": met,
        "date": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "machine": machine(),
        "detail": detail,
    }
    OUT.mkdir(exist_ok=True)
    (OUT / f"{name}.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    limits = [
        f"{word} {limit:,g}" for word, limit in (("at most", at_most), ("at least", at_least)) if limit is not None
    ]
    verdict = f"  (target {' and '.join(limits)}: {'met' if met else 'MISSED'})" if limits else ""
    extra = "".join(f"  {key}={value}" for key, value in detail.items())
    print(f"{name:<26} {figure:>12,.4g} {unit:<14}{verdict}{extra}", flush=True)
    return met


def machine() -> dict[str, object]:
    """What the figure was measured on; nothing that names the host or its owner."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "load_1min": round(os.getloadavg()[0], 2),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
    }


def _spent(usage: resource.struct_rusage) -> float:
    return usage.ru_utime + usage.ru_stime


def _processor() -> str:
    listing = Path("/proc/cpuinfo")
    if listing.is_file():
        for line in listing.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or "unknown"
