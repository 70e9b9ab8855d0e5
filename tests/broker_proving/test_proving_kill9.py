"""Kill -9 at the boundaries of proving a node: the next server finishes it, and the node is made and proved once.

By default some points on each database; SUBLET_KILL9=all kills at every one.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

WORKER = Path(__file__).with_name("proving_worker.py")
BOUNDARIES = [
    "before commit",  # of the intent and the window
    "after commit",
    "before create",
    "after create",
    "before terminate",
    "after terminate",
    "before commit",  # of the proof
    "after commit",
]
SOME = (1, 3, 6)
Place = Callable[[], tuple[str, Path]]


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """Makes a database with all tables and a folder for the rest; returns where they are."""
    made: list[str] = []

    def new() -> tuple[str, Path]:
        folder = tmp_path / f"point{len(made)}"
        folder.mkdir()
        if request.param == "sqlite":
            shutil.copy(request.getfixturevalue("sqlite_template"), folder / "sublet.db")
            made.append("")
            return str(folder), folder
        made.append(request.getfixturevalue("postgres").create(request.getfixturevalue("postgresql_template")))
        return made[-1], folder

    yield new
    for url in filter(None, made):
        request.getfixturevalue("postgres").drop(url)


def test_killed_while_proving_and_finished_by_another(place: Place):
    with subprocess.Popen(
        [sys.executable, str(WORKER)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as worker:
        assert worker.stdin is not None
        assert worker.stdout is not None

        def ask(kill_at: int | None) -> dict:
            assert worker.stdin is not None
            assert worker.stdout is not None
            where, folder = place()
            print(
                json.dumps({"where": where, "folder": str(folder), "kill_at": kill_at}), file=worker.stdin, flush=True
            )
            answer: dict = json.loads(worker.stdout.readline())
            return answer

        good = {"state": "healthy", "proofs": 1, "signed": True, "made": 1, "left": 0, "held": 0}
        whole = ask(None)
        assert {key: whole.get(key) for key in good} == good
        assert whole["boundaries"] == BOUNDARIES
        everything = os.environ.get("SUBLET_KILL9") == "all"
        for point in range(len(BOUNDARIES)) if everything else SOME:
            said = ask(point)
            assert (said["first"], said["second"]) == (-9, 0), f"point {point}"
            if point == 0:  # nothing was promised, and nothing is there: no engine of workflows is started for it
                assert (said["proofs"], said["made"], said["held"], said["launched"]) == (0, 0, 0, False)
            else:
                assert {key: said[key] for key in good} == good, f"point {point}"
        worker.stdin.close()
        assert worker.wait(timeout=30) == 0
