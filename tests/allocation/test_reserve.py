"""Reservations: schedules are feasible, bounds bound, decisions look back only, re-planning keeps what is promised."""

from __future__ import annotations

import gzip
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sublet.allocation.bidprice import bid_prices, forecast
from sublet.allocation.lp_bound import upper_bound
from sublet.allocation.replan import replan, rounds
from sublet.allocation.reserve import accept_by_bid_price, accept_first_come
from sublet.allocation.reserve_reader import read_requests
from sublet.allocation.reserve_values import (
    OUT,
    Request,
    Schedule,
    check,
    demand_of,
    free_nodes,
    utilisation,
    value_of,
)
from sublet.errors import InputError

HOUR = 3_600
CAPACITY = 6


@st.composite
def requests(draw, most=14):
    rows = []
    for at in range(draw(st.integers(0, most))):
        submit, notice, length, slack = (draw(st.integers(0, top)) for top in (60, 20, 8, 10))
        first = submit + notice
        ends = first + length + 1 + slack
        nodes, value = draw(st.integers(1, CAPACITY)), draw(st.integers(0, 99))
        rows.append(
            Request(f"r{at:02d}", "t", submit * 600.0, (length + 1) * HOUR, nodes, first * HOUR, ends * HOUR, value)
        )
    return rows


def crowd(count=120, seed=1):
    """More demand than a pool of CAPACITY nodes can hold, of very different worth."""
    rng = np.random.default_rng(seed)
    rows = []
    for at in range(count):
        submit, length, nodes = rng.random() * 300, int(rng.integers(2, 30)), int(rng.integers(1, CAPACITY + 1))
        first = int(submit + rng.integers(1, 40))
        value = float(nodes * length * np.exp(rng.normal(2.0, 0.6)))
        ends = (first + length + int(rng.integers(0, 24))) * HOUR
        rows.append(Request(f"r{at:03d}", "t", submit * HOUR, length * HOUR, nodes, first * HOUR, ends, value))
    return demand_of(rows, CAPACITY)


@settings(max_examples=60, deadline=None)
@given(requests())
def test_every_way_to_accept_gives_a_feasible_schedule_under_the_bound(rows):
    demand = demand_of(rows, CAPACITY)
    bound = upper_bound(demand, 50)
    online, decisions = accept_by_bid_price(demand)
    planned = replan(demand, bound.price, spent=rounds(200))
    for schedule in (online, accept_first_come(demand), planned):
        check(demand, schedule)
        assert value_of(demand, schedule) <= bound.value * (1 + 1e-9)
    assert [decision.request_id for decision in decisions] == list(demand.ids)
    for decision, start in zip(decisions, online.start.tolist(), strict=True):
        assert decision.start == start
        assert (decision.verdict == "accepted") == (start != OUT)
        assert decision.verdict != "below-bid" or decision.value < decision.bid


@settings(max_examples=40, deadline=None)
@given(requests(), st.integers(0, 14))
def test_a_decision_looks_at_what_came_before_it_and_nothing_else(rows, count):
    demand = demand_of(rows, CAPACITY)
    if not len(demand):
        return
    early = demand_of([row for row in rows if row.request_id in demand.ids[:count]], CAPACITY)
    one, other = accept_by_bid_price(early)[1], accept_by_bid_price(demand)[1]
    assert one == other[: len(one)]


def test_the_bound_is_tight_where_the_lp_is_known():
    # two nodes, one slot: the LP takes the two of most value per node, and half of the third's node is not there
    rows = [Request(str(at), "", 0, HOUR, 1, HOUR, 2 * HOUR, value) for at, value in enumerate((5.0, 4.0, 3.0))]
    assert upper_bound(demand_of(rows, 2)).value == pytest.approx(9.0, rel=1e-3)


@settings(max_examples=15, deadline=None)
@given(requests(most=6))
def test_the_bound_is_above_the_best_of_all_schedules(rows):
    demand = demand_of(rows, CAPACITY)
    best = 0.0
    choices = [
        [OUT, *range(first, min(last, first + 2) + 1)] for first, last in zip(demand.first, demand.last, strict=True)
    ]
    for starts in itertools.product(*choices):
        schedule = Schedule(np.array(starts, dtype=np.int64))
        if len(demand) and free_nodes(demand, schedule).min() >= 0:
            best = max(best, value_of(demand, schedule))
    assert best <= upper_bound(demand, 30).value * (1 + 1e-9)


def test_prices_rise_as_the_pool_fills_and_are_zero_where_all_expected_demand_fits():
    demand = crowd()
    known = forecast(demand, len(demand), 300.0, 100)
    for lead in (1, 10, 50):
        prices = [float(bid_prices(known, np.array([free]), lead)[0]) for free in range(CAPACITY + 1)]
        assert prices == sorted(prices, reverse=True)
        assert bid_prices(known, np.array([1_000_000]), lead)[0] == 0.0
    assert bid_prices(known, np.array([0]), 20)[0] == pytest.approx(demand.density.max())


def test_bid_prices_earn_more_than_first_come_and_replanning_more_still():
    demand = crowd()
    bound = upper_bound(demand)
    plain, online = accept_first_come(demand), accept_by_bid_price(demand)[0]
    planned = replan(demand, bound.price, spent=rounds(3_000))
    values = [value_of(demand, schedule) for schedule in (plain, online, planned)]
    assert values == sorted(values)
    assert values[1] > 1.05 * values[0]
    assert values[2] > 0.85 * bound.value


def test_replanning_moves_no_confirmed_booking_and_drops_none_that_was_accepted():
    demand = crowd()
    bound = upper_bound(demand, 300)
    begin = accept_by_bid_price(demand)[0]
    inside = np.flatnonzero(begin.start != OUT)
    fixed, kept = inside[::3].tolist(), inside[1::3].tolist()
    after = replan(demand, bound.price, spent=rounds(3_000), begin=begin, fixed=fixed, kept=kept)
    check(demand, after)
    assert (after.start[fixed] == begin.start[fixed]).all()
    assert (after.start[kept] != OUT).all()
    assert value_of(demand, after) > value_of(demand, begin)


def test_the_same_seed_and_rounds_give_the_same_schedule():
    demand = crowd()
    price = upper_bound(demand, 200).price
    one, same, other = (replan(demand, price, spent=rounds(640), seed=seed) for seed in (1, 1, 2))
    assert one.start.tolist() == same.start.tolist() != other.start.tolist()


def test_what_cannot_be_met_is_named_and_not_counted_as_met():
    rows = [
        Request("wide", "", 0, HOUR, CAPACITY + 1, 0, 9 * HOUR, 1),
        Request("late", "", 0, 2 * HOUR, 1, HOUR, 2 * HOUR, 1),
        Request("good", "", 0, HOUR, 3, HOUR, 2 * HOUR, 1),
    ]
    demand = demand_of(rows, CAPACITY)
    assert (demand.ids, sorted(demand.impossible), demand.asked_value) == (("good",), ["late", "wide"], 3)
    assert utilisation(demand, accept_first_come(demand)) == pytest.approx(0.25)


def test_check_finds_what_is_wrong():
    demand = demand_of([Request(str(at), "", 0, HOUR, 4, HOUR, 3 * HOUR, 1) for at in range(2)], CAPACITY)
    with pytest.raises(InputError, match="2 nodes more than there are"):
        check(demand, Schedule(np.array([1, 1])))
    with pytest.raises(InputError, match="only in 1 to 2"):
        check(demand, Schedule(np.array([0, OUT])))


HEADER = "job_id,tenant,submit_s,duration_s,nodes,earliest_start_s,deadline_s,value\n"


def test_plain_and_gzip_read_alike(tmp_path):
    text = HEADER + "a,t,0,3600,2,3600,9000,12.5\n"
    (tmp_path / "a.csv").write_text(text)
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(text.encode()))
    expected = (Request("a", "t", 0.0, 3600.0, 2, 3600.0, 9000.0, 12.5),)
    assert read_requests(tmp_path / "a.csv") == read_requests(tmp_path / "a.csv.gz") == expected


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("job_id,value\n", "a.csv:1: has no column submit_s"),
        (HEADER + "a,t,0,x,2,3600,9000,1\n", "a.csv:2: duration_s is 'x'"),
        (HEADER + "a,t,0,3600,2.5,3600,9000,1\n", "a.csv:2: nodes is '2.5'"),
        (HEADER + "a,t,0,3600,2,3600,9000,-1\n", "a.csv:2: value is '-1'"),
        (HEADER + "a,t,0,3600,2,3600,nan,1\n", "a.csv:2: deadline_s is 'nan'"),
        (HEADER + "a,t,0,3600,2,3600\n", "a.csv:2: deadline_s is None"),
        (HEADER + ",t,0,3600,2,3600,9000,1\n", "a.csv:2: job_id is empty"),
        (HEADER + "a,t,0,3600,2,3600,9000,1\n" * 2, "a.csv:3: request 'a' is also on line 2"),
    ],
)
def test_a_bad_row_is_named(tmp_path, text, says):
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(InputError, match=says):
        read_requests(tmp_path / "a.csv")


def test_the_shared_reservations_meet_the_online_target(shared):
    demand = demand_of(read_requests(shared / "traces/reservations_synth_h800.csv.gz"), 219)
    assert len(demand) == 925
    assert demand.asked_value == pytest.approx(8_986_839.14)
    online = accept_by_bid_price(demand)[0]
    check(demand, online)
    assert value_of(demand, online) >= 0.86 * 6_789_525
