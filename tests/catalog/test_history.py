"""Price series: made of what stood, and the moves in them."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from offers_kit import own_table, sample

from sublet.catalog.asof import assemble, standing
from sublet.catalog.history import changes, implausible, series
from sublet.catalog.table import concat


def every(table):
    return np.arange(len(table))


def test_a_series_steps_where_a_price_begins_or_ends():
    table = assemble([sample("history/gcp_changes.csv").loaded.offers])
    rows = table.where(shape="a3-highgpu-8g", market="on-demand")
    (one,) = series(table, rows)
    assert one.key == ("gcp",)
    assert [(point.day, point.low) for point in one.points] == [
        (date(2024, 1, 10), 11.0),
        (date(2024, 9, 1), None),
        (date(2025, 1, 1), 10.75),
        (date(2025, 2, 2), None),
    ]
    held = one.at(date(2024, 5, 1))
    assert held is not None
    assert held.low == 11.0
    assert one.at(date(2023, 1, 1)) is None


def test_moves_bridge_a_gap_and_leave_out_what_is_small():
    table = assemble(
        [sample("history/lambda_changes.csv").loaded.offers, sample("history/gcp_changes.csv").loaded.offers]
    )
    found = series(table, table.where(market="on-demand"), by=("provider", "shape"))
    moves = changes(found, above=0.05)
    assert [(move.key, move.before.day, move.after.day, round(move.ratio, 3)) for move in moves] == [
        (("lambda", "gpu_8x_a100_80gb_sxm4"), date(2023, 1, 17), date(2024, 2, 5), 1.192)
    ]
    assert len(changes(found, above=0.01)) == 2


@given(st.dates(date(2022, 6, 1), date(2026, 6, 1)))
@settings(deadline=None, max_examples=30)
def test_a_point_is_the_lowest_of_what_stood(day):
    names = ("history/gcp_changes.csv", "history/aws_spot_weekly.csv", "gpurentalprices_daily.csv")
    table = assemble([sample(name).loaded.offers for name in names])
    (whole,) = series(table, every(table), by=())
    there = standing(table, day)
    last = table.ints("last").max()
    if not len(there) or day.toordinal() > last:
        return
    alive = there.ints("last") + 1 > day.toordinal()
    alive |= there.ints("until") < 2**31 - 1
    prices = there.floats("usd_per_accelerator_hour")[alive]
    point = whole.at(day)
    assert (point.low if point else None) == (pytest.approx(prices.min()) if len(prices) else None)


def test_what_is_no_price_in_dollars_is_left_out(tmp_path):
    table = own_table(
        tmp_path, {}, {"provider": "b", "currency": "EUR"}, {"provider": "c", "flags": "placeholder"}, {"provider": "d"}
    )
    assert [one.key for one in series(table, every(table))] == [("acme",), ("d",)]
    assert series(table, np.array([], dtype=np.int64)) == []


def test_series_come_cheapest_first_and_within_the_days_asked_for(tmp_path):
    table = assemble(
        [
            own_table(tmp_path / "a", {"price_per_node_hour": 40}, {"provider": "b", "price_per_node_hour": 16}),
            own_table(tmp_path / "b", {"price_per_node_hour": 8, "seen_at": "2025-06-01"}),
        ]
    )
    found = series(table, every(table))
    assert [one.key[0] for one in found] == ["acme", "b"]
    early = series(table, every(table), start=date(2025, 2, 1), end=date(2025, 3, 1))
    assert [(point.day, point.low) for point in early[0].points] == [(date(2025, 2, 1), 5.0)]


def test_a_placeholder_of_its_time_is_found(tmp_path):
    rows = [{"provider": name, "price_per_node_hour": 32} for name in "abc"]
    table = concat(
        [
            own_table(tmp_path / "a", *rows, {"provider": "floor", "price_per_node_hour": 4}),
            own_table(tmp_path / "b", *({**row, "seen_at": "2026-01-01", "price_per_node_hour": 4} for row in rows)),
        ]
    )
    assert implausible(table, every(table)).tolist() == [False, False, False, True, False, False, False]
