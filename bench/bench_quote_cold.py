"""CPU seconds of `sublet quote examples/mpt-30b.yaml` in a new process, on the embedded catalogue. Target: under 1.0.

Everything is in the figure: interpreter, imports, job, offers, estimates, ranking and the printed table.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

from _harness import child_cpu_s, report, sublet

JOB = Path(__file__).resolve().parents[1] / "examples" / "mpt-30b.yaml"

if __name__ == "__main__":
    with TemporaryDirectory() as home:
        os.environ["SUBLET_HOME"] = home  # nothing imported: the embedded offers alone
        command = sublet("quote", str(JOB))
        said = json.loads(subprocess.run([*command, "--json"], capture_output=True, check=True).stdout)
        report(
            "quote_cold",
            child_cpu_s(command, repeats=5),
            "CPU-s",
            at_most=1.0,
            offers=said["offers"],
            quoted=said["candidates"],
            left_unestimated=said["dominated"],
        )
