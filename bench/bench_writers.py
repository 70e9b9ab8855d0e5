"""Sixteen writers (4 processes x 4 threads) on one database for a minute, SQLite and PostgreSQL: acts per second.

The target is zero faults: nothing lost, nothing doubled, no "database is locked" to a writer. Each act is a read, an
insert and an update of one common row. PostgreSQL runs where it is installed. SUBLET_BENCH_S shortens the minute.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path

from _harness import report

TESTS = Path(__file__).resolve().parents[1] / "tests"
sys.path[:0] = [str(TESTS), str(TESTS / "storage")]

from writers_kit import write_all  # noqa: E402

from broker_kit import Cluster, postgresql_binaries  # noqa: E402

SECONDS = float(os.environ.get("SUBLET_BENCH_S", "60"))


def measure(kind: str, where: str) -> bool:
    """One database: report the rate and the faults."""
    outcome = write_all(where, seconds=SECONDS, processes=4, threads=4)
    faults = outcome.faults()
    for sentence in faults[:5]:
        print(f"  {kind}: {sentence}")
    rate = len(outcome.acknowledged) / SECONDS
    report(f"writers_{kind}_rate", rate, "acts/s", slowest_s=round(outcome.slowest_s, 3), seconds=SECONDS)
    return report(f"writers_{kind}_faults", len(faults), "faults", at_most=0, acts=len(outcome.acknowledged))


def main() -> bool:
    """Both databases; whether there was no fault."""
    with tempfile.TemporaryDirectory() as folder:
        met = measure("sqlite", folder)
    try:
        cluster = Cluster(postgresql_binaries())
    except BaseException as reason:  # pytest's skip is no Exception
        if isinstance(reason, KeyboardInterrupt):
            raise
        print(f"postgresql left out: {reason}")
        return met
    try:
        cluster.initialise()
        met &= measure("postgresql", cluster.create())
        cluster.stop("immediate")
    finally:
        shutil.rmtree(cluster.folder, ignore_errors=True)
    return met


if __name__ == "__main__":
    sys.exit(not main())
