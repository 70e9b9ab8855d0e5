"""Fixtures of the API's tests."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from api_kit import make_world  # noqa: E402


@pytest.fixture
def world(sqlite_database, clock):
    made = make_world(sqlite_database, clock)
    yield made
    made.http.close()
