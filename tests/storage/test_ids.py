"""Identifiers: unique, sorted by time, of one form."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sublet.storage import ids
from sublet.storage.clock import VirtualClock

NOW = datetime(2026, 5, 1, tzinfo=UTC)


def test_ids_of_one_millisecond_ascend_and_differ():
    made = [ids.new("lea", NOW) for _ in range(5000)]
    assert made == sorted(made)
    assert len(set(made)) == len(made)


@given(st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1)), st.integers(1, 10**9))
def test_a_later_millisecond_sorts_later(moment, milliseconds):
    early = moment.replace(tzinfo=UTC)
    late = early + timedelta(milliseconds=milliseconds)
    assert ids.new("use", early)[:14] <= ids.new("use", late)[:14]
    assert ids.new("use", early) < ids.new("use", early + timedelta(milliseconds=milliseconds + 1))


def test_an_id_says_what_it_is():
    made = ids.new("org", NOW)
    assert ids.is_id(made, "org")
    assert not ids.is_id(made, "prj")
    assert not ids.is_id("org_123")
    assert len(made) == 30


@pytest.mark.parametrize(("prefix", "now"), [("", NOW), ("Lease", NOW), ("lea", datetime(2026, 5, 1))])
def test_a_wrong_prefix_or_a_time_without_zone_is_refused(prefix, now):
    with pytest.raises(ValueError):
        ids.new(prefix, now)


def test_a_virtual_clock_moves_only_when_told():
    clock = VirtualClock(NOW)
    clock.sleep(90)
    assert clock.now() == NOW + timedelta(seconds=90)
    clock.set(NOW)
    assert clock.advance(timedelta(days=1)) == NOW + timedelta(days=1)
