"""Fixtures of the API's tests."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from api_kit import make_world

from sublet.storage.clock import VirtualClock
from sublet.storage.engine import Database


@pytest.fixture
def world(database, clock):
    made = make_world(database, clock)
    yield made
    made.http.close()


@pytest.fixture(scope="module")
def module_database(sqlite_template, tmp_path_factory):
    """A database with all tables and a clock, for tests that look at one world together."""
    home = tmp_path_factory.mktemp("house")
    shutil.copy(sqlite_template, home / "sublet.db")
    database = Database.open(home)
    yield database, VirtualClock()
    database.close()
