"""Kill the broker -9 at every boundary of create, extend, end and replace, on each database that is installed.

    python tools/kill_points.py

The tests take some sixty points on each database; this takes all of them and says how many there were. Half an hour.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def main() -> int:
    """The exit status of the tests."""
    command = [sys.executable, "-m", "pytest", "tests/broker/test_kill9.py", "-s", *sys.argv[1:]]
    return subprocess.run(command, cwd=ROOT, env={**os.environ, "SUBLET_ALL_KILL_POINTS": "1"}, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
