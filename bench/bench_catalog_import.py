"""CPU seconds to import a whole folder of offers (160,603 rows) into an empty catalogue, interpreter start included.

Needs the shared reference data beside the checkout or in SUBLET_SHARED; says so and stops where there is none.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from _harness import child_cpu_s, report, sublet

AT_MOST_CPU_S = 5.0


def main() -> int:
    """Measure and report; exit code 1 where the target is missed."""
    folder = Path(os.environ.get("SUBLET_SHARED", Path(__file__).resolve().parents[2] / "shared")) / "data" / "offers"
    if not folder.is_dir():
        print("catalog_import: skipped, needs the shared reference data (SUBLET_SHARED)")
        return 0
    command = sublet("catalog", "import", str(folder), "--json")
    with tempfile.TemporaryDirectory() as home:
        os.environ["SUBLET_HOME"] = home
        seconds = child_cpu_s(command)
        run = subprocess.run(command, capture_output=True, check=True, text=True)
    totals = json.loads(run.stdout)["totals"]
    met = report("catalog_import", seconds, "CPU-s", at_most=AT_MOST_CPU_S, **totals)
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
