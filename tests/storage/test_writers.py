"""Sixteen writers at once lose nothing, double nothing, and hear of no lock (bench/bench_writers.py: for a minute)."""

from __future__ import annotations

import pytest
from writers_kit import write_all

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(("processes", "threads"), [(1, 16), (2, 8)])
def test_sixteen_writers(empty_place, processes, threads):
    outcome = write_all(empty_place, seconds=0.8, processes=processes, threads=threads)
    assert outcome.faults() == []
    writers = {act.rsplit("-", 1)[0] for act in outcome.acknowledged}
    assert len(writers) == 16  # everybody had a turn
