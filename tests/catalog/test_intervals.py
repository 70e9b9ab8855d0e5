"""Intervals from dated rows, against a slow statement of what they mean."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from sublet.catalog.intervals import FOREVER, changes, combined, snapshots

SMALL = st.integers(0, 3)
ROWS = st.lists(st.tuples(SMALL, st.integers(10, 16), st.integers(-1, 2)), min_size=1, max_size=30)


def held(intervals, day):
    """Input rows that speak for what stood on a day."""
    stands = (intervals.first <= day) & (intervals.until > day)
    return intervals.row[stands].tolist()


@given(st.lists(st.tuples(SMALL, SMALL, st.integers(-5, 10**12)), min_size=1, max_size=40))
def test_combined_is_equal_exactly_where_all_columns_are(rows):
    key = combined(*(np.array(column) for column in zip(*rows, strict=True)))
    assert len(set(key.tolist())) == len(set(rows))
    assert all((key[i] == key[j]) == (rows[i] == rows[j]) for i in range(len(rows)) for j in range(len(rows)))


def test_combined_survives_columns_whose_product_overflows():
    wide = np.array([0, 2**40, 2**40])
    assert combined(wide, wide, np.array([1, 2, 2])).tolist()[1:] == [combined(wide, wide, np.array([1, 2, 2]))[1]] * 2


@given(ROWS)
def test_a_snapshot_stands_until_the_next_one_lacks_it(rows):
    keys, days = np.array([row[0] for row in rows]), np.array([row[1] for row in rows])
    calendar = np.unique(days)
    found = snapshots(keys, days, calendar)
    for day in range(9, 18):
        read = [one for one in calendar.tolist() if one <= day]
        standing = {key for key, seen in zip(keys.tolist(), days.tolist(), strict=True) if read and seen == read[-1]}
        assert sorted(keys[held(found, day)].tolist()) == sorted(standing)
    assert (found.last >= found.first).all()


@given(ROWS)
def test_a_change_holds_until_the_next_row_of_its_series(rows):
    series, days, values = (np.array(column) for column in zip(*rows, strict=True))
    found = changes(series, days, values, np.unique(days))
    for day in range(9, 18):
        in_time = sorted((row for row in rows if row[1] <= day), key=lambda row: row[1])  # stable: file order holds
        expected = {one: value for one, _, value in in_time}
        standing = {int(series[row]): int(values[row]) for row in held(found, day)}
        assert standing == {one: value for one, value in expected.items() if value >= 0}


def test_a_log_that_ends_with_a_repeat_was_last_seen_then_and_another_on_the_last_day_of_the_log():
    series, days = np.array([1, 1, 2, 3]), np.array([10, 12, 10, 20])
    found = changes(series, days, np.array([5, 5, 6, 7]), np.array([10, 12, 20]))
    assert dict(zip(series[found.row].tolist(), found.last.tolist(), strict=True)) == {1: 12, 2: 20, 3: 20}
    assert (found.until == FOREVER).all()


def test_a_row_in_which_something_else_changed_is_no_last_sighting():
    series, days, price = np.array([1, 1, 2]), np.array([10, 12, 20]), np.array([5, 5, 7])
    beside = np.array([1, 2, 1])  # the spot price moved on day 12
    found = changes(series, days, price, np.unique(days), combined(price, beside))
    assert dict(zip(series[found.row].tolist(), found.last.tolist(), strict=True)) == {1: 20, 2: 20}
