"""What the fault suite shares: a broker on each database, with a provider that breaks as it is told to."""

from __future__ import annotations

import pytest

from lease_kit import World


@pytest.fixture
def world(database, clock, tmp_path) -> World:
    """Eight nodes of a provider that can prove nothing, as real clouds cannot."""
    return World(database, clock, tmp_path)


@pytest.fixture
def proving_world(database, clock, tmp_path) -> World:
    """A provider that can prove that a node does not exist."""
    return World(database, clock, tmp_path, proves_absence=True)


@pytest.fixture
def small_world(database, clock, tmp_path) -> World:
    """Two nodes only: nothing to spare."""
    return World(database, clock, tmp_path, nodes=2)
