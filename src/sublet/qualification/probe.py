"""The program that measures a node, run on the node itself: `python -m sublet.qualification.probe --json`.

It runs inside the slice that the tenant will get, under the same limits, and says what it found; it judges nothing.
Each measure stands alone: one that fails says why and the others go on. Random data everywhere, for power and speed
depend on the bits. Invariant: a figure is in the report only if it was measured here and now.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

from sublet.qualification import probe_compute, probe_host, probe_io
from sublet.qualification.schema import SCHEMA

BUDGET_S = 3.0  # of measuring; starting Python and numpy comes on top

Measure = Callable[[float], Mapping[str, Any]]  # seconds that it may take -> figures

# share of the budget per measure; the others take none to speak of
MEASURES: Mapping[str, tuple[Measure, float]] = {
    "identity": (probe_host.identity, 0.0),
    "cpu": (probe_host.cpu, 0.0),
    "memory": (probe_host.memory, 0.08),
    "gemm_fp32": (probe_compute.gemm_fp32, 0.21),
    "gemm_fp64": (probe_compute.gemm_fp64, 0.12),
    "triad": (probe_compute.triad, 0.12),
    "sharing": (probe_compute.sharing, 0.20),
    "disk": (probe_io.disk, 0.16),
    "loopback": (probe_io.loopback, 0.08),
    "clock": (probe_host.clock, 0.03),
}


def report(budget_s: float = BUDGET_S, only: tuple[str, ...] = ()) -> dict[str, Any]:
    """Measure what `only` names (nothing named: all) in about `budget_s` seconds.

    Returns schema, started_at (seconds since the epoch, the node's clock), seconds, and `measures`: name -> figures,
    or {"error": sentence} for one that could not be made.
    """
    started, began = time.time(), time.perf_counter()
    measures: dict[str, dict[str, Any]] = {}
    for name, (measure, share) in MEASURES.items():
        if only and name not in only:
            continue
        at = time.perf_counter()
        try:
            measures[name] = dict(measure(budget_s * share))
        except Exception as error:  # whatever it is: the others still tell something
            measures[name] = {"error": f"{type(error).__name__}: {error}"}
        measures[name]["seconds"] = round(time.perf_counter() - at, 4)
    return {
        "schema": SCHEMA,
        "started_at": started,
        "seconds": round(time.perf_counter() - began, 4),
        "measures": measures,
    }


def main(arguments: list[str] | None = None) -> int:
    """The command. Prints one line of JSON, or a line per measure without --json."""
    parser = argparse.ArgumentParser(prog="sublet.qualification.probe", description="Measure this node.")
    parser.add_argument("--json", action="store_true", help="one line of JSON")
    parser.add_argument("--seconds", type=float, default=BUDGET_S, help="how long measuring may take in all")
    parser.add_argument("--only", default="", help=f"of {','.join(MEASURES)}")
    options = parser.parse_args(arguments)
    only = tuple(filter(None, options.only.split(",")))
    unknown = sorted(set(only) - set(MEASURES))
    if unknown:
        parser.error(f"{unknown[0]!r} is no measure: there are {', '.join(MEASURES)}")
    found = report(options.seconds, only)
    with contextlib.suppress(BrokenPipeError):
        if options.json:
            print(json.dumps(found, separators=(",", ":")))
        else:
            for name, figures in found["measures"].items():
                print(f"{name}: " + ", ".join(f"{key}={value}" for key, value in figures.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
