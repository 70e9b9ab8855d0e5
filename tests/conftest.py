"""Fixtures that every test may use."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import pytest

pytest_plugins = ["broker_kit"]  # databases of each kind, a clock: see its first lines

MEMORY = Path("/dev/shm")  # hundreds of databases are made and dropped: on a disk that is most of the time of the tests
if "TMPDIR" not in os.environ and os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > 4e9:
    os.environ["TMPDIR"] = tempfile.tempdir = str(MEMORY)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what starts a database server: the unit tier (`make test`) leaves it to `make test TIER=all`."""
    for item in items:
        wanted = {*getattr(item, "fixturenames", ())}
        if "postgresql" in item.name or any(name.startswith("postgres") for name in wanted):
            item.add_marker(pytest.mark.server)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of shared reference data, beside the checkout (or SUBLET_SHARED); skips where there is none."""
    place = Path(os.environ.get("SUBLET_SHARED", Path(__file__).resolve().parents[2] / "shared"))
    if not (place / "data").is_dir():
        pytest.skip("needs the shared reference data: put it beside the checkout or set SUBLET_SHARED")
    return place / "data"
