"""The made-up node of the benchmarks is the sample of these tests too."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[2] / "bench"))
