"""Promised starts are kept by construction, and the room kept for them is all that they cost."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sublet.allocation.policy import Backfill, Order, Patience, Policy, Promises
from sublet.allocation.simulate import simulate
from sublet.allocation.simulate_profile import Profile
from sublet.allocation.simulate_values import Reason, Snapshot
from sublet.allocation.trace import make_jobs

CAPACITY = 8
PATIENCE = Patience(limit_s=600.0, scale_s=60.0, duration_power=1.0, head_start_s=5.0)
POLICIES = {
    "fcfs": Policy("fcfs", backfill=Backfill("none")),
    "greedy": Policy("greedy", backfill=Backfill("greedy")),
    "easy": Policy("easy"),
    "easy-3": Policy("easy-3", backfill=Backfill(reservations=3)),
    "conservative": Policy("conservative", backfill=Backfill("conservative")),
    "shortest": Policy("shortest", order=Order("shortest")),
    "patience": Policy("patience", order=Order("patience", PATIENCE)),
}


@st.composite
def promised_traces(draw):
    count = draw(st.integers(2, 24))
    duration = draw(st.lists(st.integers(1, 400), min_size=count, max_size=count))
    more = draw(st.lists(st.integers(0, 400), min_size=count, max_size=count))
    jobs = make_jobs(
        draw(st.lists(st.integers(0, 600), min_size=count, max_size=count)),
        duration,
        draw(st.lists(st.integers(1, CAPACITY), min_size=count, max_size=count)),
        requested_s=[took + extra for took, extra in zip(duration, more, strict=True)],
    )
    waits = draw(st.dictionaries(st.integers(0, count - 1), st.integers(0, 900), min_size=1))
    return jobs, waits


@pytest.mark.parametrize("name", POLICIES)
@settings(max_examples=60, deadline=None)
@given(case=promised_traces())
def test_every_promise_is_kept_and_nothing_is_booked_twice(name, case):
    jobs, waits = case
    schedule = simulate(jobs, CAPACITY, POLICIES[name], promise=waits)
    promised = ~np.isnan(schedule.promised_s)
    assert (schedule.start_s[promised] <= schedule.promised_s[promised]).all()
    assert (schedule.promised_s[promised] >= jobs.submit_s[promised]).all()
    assert set(np.flatnonzero(promised)) <= set(waits)
    ends = schedule.start_s + jobs.duration_s
    for moment in schedule.start_s:
        assert jobs.size[(schedule.start_s <= moment) & (ends > moment)].sum() <= CAPACITY


def shortest_first_starves():
    """A large gang, and small short jobs that keep coming: shortest first never lets the gang in by itself."""
    small = 40
    return make_jobs(
        [0.0, 1.0, *(2.0 + 50.0 * at for at in range(small))],
        [100.0, 500.0, *[120.0] * small],
        [8, 8, *[3] * small],
    )


def test_a_promise_is_what_lets_a_gang_in_that_the_order_starves():
    jobs = shortest_first_starves()
    policy = Policy("shortest", order=Order("shortest"))
    free = simulate(jobs, 8, policy)
    kept = simulate(jobs, 8, policy, promise={1: 299.0})
    assert kept.promised_s[1] == 301.0  # a wait of 299 s, rounded up to a minute
    assert free.start_s[1] > 1000.0
    assert kept.start_s[1] <= 301.0
    assert kept.reason[1] == Reason.PLANNED


def test_room_that_is_kept_from_shortly_before_only_can_come_too_late():
    jobs = shortest_first_starves()
    order = Order("shortest")
    early, late = (
        simulate(jobs, 8, Policy("p", order=order, promises=Promises(lead)), promise={1: 299.0})
        for lead in (200.0, 10.0)
    )
    assert early.start_s[1] <= early.promised_s[1]
    assert late.promised_s[1] < late.start_s[1] <= late.promised_s[1] + 120.0  # one small job stands in the way


def test_who_starts_at_once_is_promised_nothing():
    jobs = make_jobs([0.0, 1.0], [10.0, 10.0], [2, 2])
    assert np.isnan(simulate(jobs, 8, Policy("easy"), promise={0: 60.0, 1: 60.0}).promised_s).all()


def test_a_second_promise_does_not_take_the_room_of_the_first():
    jobs = make_jobs([0.0, 1.0, 2.0], [100.0, 100.0, 100.0], [8, 8, 8])
    schedule = simulate(jobs, 8, Policy("easy"), promise={1: 150.0, 2: 0.0})
    assert schedule.promised_s[1] == 181.0
    assert schedule.promised_s[2] == 281.0  # after the first: before it there are only 81 s
    assert schedule.start_s.tolist() == [0.0, 100.0, 200.0]


def test_a_snapshot_carries_promises_on():
    jobs = shortest_first_starves()
    policy = Policy("shortest", order=Order("shortest"))
    kept = simulate(jobs, 8, policy, snapshot=Snapshot(1.0, {0: 0.0}, (1,), {1: 301.0}))
    assert kept.start_s[1] <= 301.0


@given(
    releases=st.lists(st.tuples(st.integers(1, 50), st.integers(1, 4)), max_size=6),
    size=st.integers(1, 4),
    duration=st.integers(1, 30),
    after=st.integers(0, 60),
)
def test_the_earliest_time_after_another_is_the_first_that_fits(releases, size, duration, after):
    steps = sorted(releases)
    profile = Profile(0, 4, steps)
    found = profile.earliest(size, duration, after)
    free = [4 + sum(units for time, units in steps if time <= moment) for moment in range(200)]
    fits = [t for t in range(after, 100) if min(free[t : t + duration]) >= size]
    assert found == fits[0]
