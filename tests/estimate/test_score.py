import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sublet.estimate.score import Scored, groups, scale_class, sequence_class, size_class, statistics


def scored(measured, predicted, low=0.0, high=math.inf, verdict="fits", **keys):
    return Scored("row", measured, predicted, low, high, verdict, keys)


def test_errors_are_shares_of_the_measured_time_with_their_sign():
    assert scored(2.0, 3.0).error == pytest.approx(0.5)
    assert scored(2.0, 1.0).error == pytest.approx(-0.5)


def test_statistics_of_a_few_rows_by_hand():
    of = statistics([scored(1, 1.1), scored(1, 0.9), scored(1, 1.3), scored(1, 0.7), scored(1, 1.05)])
    assert of.n == 5
    assert of.bias == pytest.approx(0.01)
    assert of.mean == pytest.approx(0.17)
    assert of.median == pytest.approx(0.1)
    assert of.p90 == pytest.approx(0.3)
    assert of.worst == pytest.approx(0.3)


def test_coverage_counts_measurements_inside_the_interval_ends_included():
    rows = [scored(1, 1, 0.9, 1.1), scored(1, 2, 1.5, 2.5), scored(1, 1, 1.0, 1.0), scored(1, 0.5, 0.4, 0.6)]
    assert statistics(rows).coverage_p10_p90 == pytest.approx(0.5)


def test_memory_is_right_unless_a_run_that_ran_is_said_not_to_fit():
    rows = [scored(1, 1, verdict=verdict) for verdict in ("fits", "edge", "does not fit", "fits")]
    assert statistics(rows).memory_right == pytest.approx(0.75)


def test_no_rows_have_no_figures():
    of = statistics([])
    assert of.n == 0
    assert math.isnan(of.mean)
    assert math.isnan(of.coverage_p10_p90)


times = st.floats(min_value=1e-3, max_value=1e3)


@given(st.lists(st.tuples(times, times), min_size=1, max_size=40))
def test_the_figures_of_any_rows_are_in_order(pairs):
    of = statistics([scored(measured, predicted) for measured, predicted in pairs])
    slack = 1e-9 * (1 + of.worst)
    assert abs(of.bias) <= of.mean + slack
    assert of.mean <= of.worst + slack
    assert of.median <= of.p90 + slack
    assert of.p90 <= of.worst + slack
    assert 0 <= of.coverage_p10_p90 <= 1


@given(st.lists(st.sampled_from(["A", "B", "C"]), max_size=30))
def test_groups_part_the_rows(keys):
    rows = [scored(1, 1.1, chip=key) for key in keys]
    found = groups(rows, ["chip"])
    assert sum(group.statistics.n for group in found) == len(rows)
    assert [group.key for group in found] == sorted(set(keys))


def test_classes_come_in_their_order_and_not_by_the_alphabet():
    rows = [scored(1, 1, scale=scale_class(chips)) for chips in (5000, 8, 600, 64)]
    assert [group.key for group in groups(rows, ["scale"])] == ["1-8", "9-64", "513-4,096", "> 4,096"]


@pytest.mark.parametrize(
    ("chips", "name"), [(1, "1-8"), (8, "1-8"), (9, "9-64"), (4096, "513-4,096"), (4097, "> 4,096")]
)
def test_scale_classes_hold_their_upper_bound(chips, name):
    assert scale_class(chips) == name


def test_size_and_sequence_classes():
    assert size_class(7e9) == "5-15 B"
    assert size_class(1e12) == "> 150 B"
    assert sequence_class(2048) == "2k"
    assert sequence_class(65536) == "> 32k"
