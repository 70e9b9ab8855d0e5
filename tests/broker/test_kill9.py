"""Kill -9 at the boundaries of create, extend, end and replace: nothing leaked, doubled, lost or unbilled.

By default a few points on each database, spread over all of them and over what they are; with
SUBLET_ALL_KILL_POINTS=1 every one, more than 60: `python tools/kill_points.py` does that.
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

POINTS = 60  # at least so many, evenly spread, beside the last of each kind
WORKER = Path(__file__).with_name("kill9_worker.py")
Place = Callable[[], tuple[str, Path]]


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """Makes a database with all tables and a folder for the rest; returns where they are."""
    made: list[str] = []

    def sqlite() -> tuple[str, Path]:
        folder = tmp_path / f"point{len(made)}"
        folder.mkdir()
        shutil.copy(request.getfixturevalue("sqlite_template"), folder / "sublet.db")
        made.append("")
        return str(folder), folder

    def postgresql() -> tuple[str, Path]:
        url = request.getfixturevalue("postgres").create(request.getfixturevalue("postgresql_template"))
        folder = tmp_path / f"point{len(made)}"
        folder.mkdir()
        made.append(url)
        return url, folder

    yield sqlite if request.param == "sqlite" else postgresql
    for url in filter(None, made):
        request.getfixturevalue("postgres").drop(url)


def test_killed_at_any_boundary_and_taken_over(place: Place):
    with subprocess.Popen(
        [sys.executable, str(WORKER)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as worker:
        assert worker.stdin is not None
        assert worker.stdout is not None
        answers = worker.stdout

        def ask(kill_at: int | None) -> dict:
            where, folder = place()
            print(
                json.dumps({"where": where, "folder": str(folder), "kill_at": kill_at}), file=worker.stdin, flush=True
            )
            answer: dict = json.loads(answers.readline())
            return answer

        whole = ask(None)
        assert (whole["first"], whole["wrong"]) == (0, [])
        count = len(whole["boundaries"])
        assert count > 60
        assert {"before create", "after create", "before terminate", "after terminate"} <= set(whole["boundaries"])
        kinds = {name: number for number, name in enumerate(whole["boundaries"])}  # the last of each
        points = sorted({*range(0, count, max(1, count // POINTS)), *kinds.values()})
        if os.environ.get("SUBLET_ALL_KILL_POINTS") == "1":
            points = list(range(count))
        failed = []
        for point in points:
            said = ask(point)
            assert said["first"] == -9, f"point {point} was not reached"
            if said["second"] != 0 or said["wrong"]:
                failed.append((point, whole["boundaries"][point], said["second"], said["wrong"]))
        worker.stdin.close()
        assert worker.wait(timeout=30) == 0
    print(f"killed at {len(points)} of {count} points")
    assert not failed, "\n".join(map(str, failed))
