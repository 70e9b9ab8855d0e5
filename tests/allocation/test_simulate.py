"""Laws of the queue: what must hold under every policy, and what each policy promises."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sublet.allocation.policy import Backfill, Caps, FairShare, Order, Patience, Policy, Tier
from sublet.allocation.simulate import simulate
from sublet.allocation.simulate_values import Reason, Snapshot
from sublet.allocation.trace import make_jobs, with_exact_estimates
from sublet.errors import InputError

CAPACITY = 8
PATIENCE = Patience(limit_s=600.0, scale_s=60.0, duration_power=1.0, head_start_s=5.0)
POLICIES = {
    "fcfs": Policy("fcfs", backfill=Backfill("none")),
    "greedy": Policy("greedy", backfill=Backfill("greedy")),
    "easy": Policy("easy"),
    "easy-shortest": Policy("easy-shortest", backfill=Backfill(candidates="shortest")),
    "easy-3": Policy("easy-3", backfill=Backfill(reservations=3)),
    "conservative": Policy("conservative", backfill=Backfill("conservative")),
    "shortest": Policy("shortest", order=Order("shortest")),
    "area-aged": Policy("area-aged", order=Order("smallest-area", oldest_first_after_s=50.0)),
    "wfp3": Policy("wfp3", order=Order("wfp3")),
    "patience": Policy("patience", order=Order("patience", PATIENCE)),
    "fair-share": Policy("fair-share", order=Order("fair-share"), fair_share=FairShare(300.0)),
    "tiers": Policy("tiers", tiers=(Tier("a", share=0.5), Tier("b", share=0.25), Tier("c", rank=1))),
    "multiple": Policy("multiple", caps=Caps(over_multiple=0.5), fair_share=FairShare(300.0)),
    "capped": Policy("capped", caps=Caps(0.5, 0.25), fair_share=FairShare(300.0)),
}


@st.composite
def traces(draw, over_request=False):
    """Small traces on integer seconds; durations within the request unless `over_request`."""
    count = draw(st.integers(1, 24))
    submit = draw(st.lists(st.integers(0, 60), min_size=count, max_size=count))
    duration = draw(st.lists(st.integers(1, 40), min_size=count, max_size=count))
    more = draw(st.lists(st.integers(-5 if over_request else 0, 40), min_size=count, max_size=count))
    return make_jobs(
        submit,
        duration,
        draw(st.lists(st.integers(1, CAPACITY), min_size=count, max_size=count)),
        requested_s=[max(1, took + extra) for took, extra in zip(duration, more, strict=True)],
        tenant=draw(st.lists(st.sampled_from("xyz"), min_size=count, max_size=count)),
        tier=draw(st.lists(st.sampled_from("abc"), min_size=count, max_size=count)),
    )


def peak_use(jobs, start_s):
    times = np.concatenate([start_s + jobs.duration_s, start_s])  # ends before starts at one instant
    units = np.concatenate([-jobs.size, jobs.size])
    return int(np.cumsum(units[np.argsort(times, kind="stable")]).max())


@pytest.mark.parametrize("name", POLICIES)
@settings(max_examples=40, deadline=None)
@given(jobs=traces(over_request=True))
def test_every_gang_starts_once_and_whole_and_the_pool_is_never_exceeded(name, jobs):
    schedule = simulate(jobs, CAPACITY, POLICIES[name])
    assert (schedule.start_s >= jobs.submit_s).all()
    assert peak_use(jobs, schedule.start_s) <= CAPACITY
    assert schedule.events == 2 * len(jobs)
    assert (schedule.reason != Reason.NONE).all()


@pytest.mark.parametrize("name", POLICIES)
@settings(max_examples=15, deadline=None)
@given(jobs=traces(over_request=True))
def test_the_same_input_gives_the_same_bytes(name, jobs):
    one, two = (simulate(jobs, CAPACITY, POLICIES[name]) for _ in range(2))
    assert one.start_s.tobytes() == two.start_s.tobytes()
    assert one.reason.tobytes() == two.reason.tobytes()


@settings(max_examples=100, deadline=None)
@given(jobs=traces())
def test_easy_never_delays_the_reservation_of_the_head(jobs):
    schedule = simulate(jobs, CAPACITY, POLICIES["easy"])
    reserved = ~np.isnan(schedule.reserved_s)
    assert (schedule.start_s[reserved] <= schedule.reserved_s[reserved]).all()


@settings(max_examples=100, deadline=None)
@given(jobs=traces())
def test_conservative_starts_nobody_later_than_planned_on_arrival(jobs):
    schedule = simulate(jobs, CAPACITY, POLICIES["conservative"])
    reserved = ~np.isnan(schedule.reserved_s)
    assert (schedule.start_s[reserved] <= schedule.reserved_s[reserved]).all()


@settings(max_examples=60, deadline=None)
@given(jobs=traces())
def test_a_later_request_never_delays_an_earlier_one_under_conservative(jobs):
    exact = with_exact_estimates(jobs)
    cut = int(np.searchsorted(exact.submit_s, 30.0))
    first = make_jobs(exact.submit_s[:cut], exact.duration_s[:cut], exact.size[:cut])
    alone = simulate(first, CAPACITY, POLICIES["conservative"]).start_s
    assert (simulate(exact, CAPACITY, POLICIES["conservative"]).start_s[:cut] <= alone).all()


def idle_beside(jobs, start, moment):
    """Jobs that wait at `moment` although EASY in the order of submission must have started them by then."""
    ends = start + jobs.duration_s
    running = (start <= moment) & (ends > moment)
    free = CAPACITY - int(jobs.size[running].sum())
    waiting = [int(job) for job in np.flatnonzero((jobs.submit_s <= moment) & (start > moment))]
    if not waiting:
        return []
    head, rest = waiting[0], waiting[1:]
    if jobs.size[head] <= free:
        return [head]
    latest = sorted((float(start[job] + jobs.requested_s[job]), int(jobs.size[job])) for job in np.flatnonzero(running))
    room, shadow = free, None
    for end, units in latest:
        if shadow is not None and end > shadow:
            break
        room += units
        if shadow is None and room >= jobs.size[head]:
            shadow = end
    beside = room - int(jobs.size[head])
    return [
        job
        for job in rest
        if jobs.size[job] <= free and (moment + jobs.requested_s[job] <= shadow or jobs.size[job] <= beside)
    ]


@settings(max_examples=150, deadline=None)
@given(jobs=traces())
def test_easy_leaves_nothing_idle_that_would_delay_nobody(jobs):
    start = simulate(jobs, CAPACITY, POLICIES["easy"]).start_s
    for moment in np.unique(np.concatenate([jobs.submit_s, start + jobs.duration_s])):
        assert idle_beside(jobs, start, moment) == []


def test_the_check_of_easy_finds_what_strict_order_leaves_idle():
    jobs = make_jobs([0, 1, 2, 3], [100, 50, 60, 500], [6, 8, 2, 2])
    strict = simulate(jobs, CAPACITY, POLICIES["fcfs"]).start_s
    assert idle_beside(jobs, strict, 2.0) == [2]  # it ends before the head can start, and strict order lets it wait
    late = simulate(jobs, CAPACITY, POLICIES["easy"]).start_s + np.array([0, 1, 0, 1])
    assert idle_beside(jobs, late, 100.0) == [1]  # the head, a second late


@settings(max_examples=60, deadline=None)
@given(jobs=traces())
def test_greedy_leaves_nothing_idle_that_a_waiting_gang_fits(jobs):
    start = simulate(jobs, CAPACITY, POLICIES["greedy"]).start_s
    ends = start + jobs.duration_s
    for moment in np.unique(np.concatenate([jobs.submit_s, ends])):
        used = int(jobs.size[(start <= moment) & (ends > moment)].sum())
        waiting = (jobs.submit_s <= moment) & (start > moment)
        assert not (jobs.size[waiting] <= CAPACITY - used).any()


@settings(max_examples=60, deadline=None)
@given(jobs=traces())
def test_equal_jobs_are_served_in_the_order_of_submission(jobs):
    same = make_jobs(jobs.submit_s, np.full(len(jobs), 20.0), np.full(len(jobs), 3))
    for name in ("fcfs", "easy", "shortest", "conservative", "wfp3", "patience"):
        assert (np.diff(simulate(same, CAPACITY, POLICIES[name]).start_s) >= 0).all(), name


@settings(max_examples=60, deadline=None)
@given(jobs=traces())
def test_a_tenant_over_its_cap_runs_one_gang_at_a_time(jobs):
    policy = Policy("capped", caps=Caps(0.5))
    start = simulate(jobs, CAPACITY, policy).start_s
    ends = start + jobs.duration_s
    for moment in start:
        running = (start <= moment) & (ends > moment)
        for tenant in range(len(jobs.tenants)):
            mine = running & (jobs.tenant == tenant)
            assert jobs.size[mine].sum() <= CAPACITY * 0.5 or mine.sum() == 1


@settings(max_examples=60, deadline=None)
@given(jobs=traces())
def test_splitting_over_affiliated_accounts_changes_nothing(jobs):
    policy = Policy("fair", order=Order("fair-share"), fair_share=FairShare(300.0), caps=Caps(0.5, 0.25))
    accounts = [
        f"x{number % 3}" if jobs.tenants[of] == "x" else jobs.tenants[of] for number, of in enumerate(jobs.tenant)
    ]
    split = make_jobs(jobs.submit_s, jobs.duration_s, jobs.size, requested_s=jobs.requested_s, tenant=accounts)
    one = make_jobs(
        jobs.submit_s,
        jobs.duration_s,
        jobs.size,
        requested_s=jobs.requested_s,
        tenant=[jobs.tenants[of] for of in jobs.tenant],
    )
    group = {f"x{number}": "x" for number in range(3)}
    assert (
        simulate(split, CAPACITY, policy, affiliates=group).start_s == simulate(one, CAPACITY, policy).start_s
    ).all()


def test_entitled_shares_say_who_is_over_and_how_much_it_may_run():
    """Two tenants keep asking; the one that is entitled to a quarter comes to run a quarter."""
    count = 60
    jobs = make_jobs(
        [float(at) for at in range(2 * count)], [40.0] * (2 * count), [1] * (2 * count), tenant=["x", "y"] * count
    )
    policy = Policy("held", fair_share=FairShare(1e6), caps=Caps(over_multiple=1.0))

    def mean_units_of_x(entitled):
        start = simulate(jobs, CAPACITY, policy, entitled=entitled).start_s
        mine = jobs.tenant == jobs.tenants.index("x")
        overlap = np.minimum(start + jobs.duration_s, 300.0) - np.maximum(start, 100.0)
        return float(np.maximum(overlap[mine], 0.0).sum()) / 200.0

    assert mean_units_of_x({"x": 1.0, "y": 3.0}) == pytest.approx(2.0, abs=0.5)
    assert mean_units_of_x(None) == pytest.approx(4.0, abs=0.5)


def test_easy_fills_the_gap_before_the_head_and_says_why():
    jobs = make_jobs([0, 1, 2, 3], [100, 50, 60, 500], [6, 8, 2, 2])
    schedule = simulate(jobs, 8, Policy("easy"))
    assert schedule.start_s.tolist() == [0, 100, 2, 150]
    assert schedule.reason.tolist() == [Reason.FIRST, Reason.FIRST, Reason.ENDS_BEFORE, Reason.FIRST]
    assert schedule.reserved_s[1] == 100


def test_an_empty_pool_starts_everybody_at_once():
    jobs = make_jobs([5.0, 6.0], [10.0, 10.0], [2, 2])
    for policy in POLICIES.values():
        assert simulate(jobs, CAPACITY, policy).start_s.tolist() == [5.0, 6.0]


def test_a_snapshot_goes_on_from_what_runs_and_waits():
    jobs = make_jobs([0, 1, 2, 50], [100, 20, 20, 5], [6, 4, 8, 1])
    whole = simulate(jobs, 8, Policy("easy"))
    later = simulate(jobs, 8, Policy("easy"), snapshot=Snapshot(10.0, {0: 0.0}, (1, 2)))
    assert later.start_s.tolist() == whole.start_s.tolist()


def test_a_gang_larger_than_the_pool_is_refused():
    with pytest.raises(InputError, match="9 units never fits a pool of 8"):
        simulate(make_jobs([0], [1], [9]), 8, Policy("easy"))


@pytest.mark.parametrize(
    ("nodes", "name", "mean_h", "max_h", "area_h"),
    [(302, "fcfs", 70.56, 145.0, 60.4), (302, "greedy", 1.161, 155.6, 23.4), (302, "easy", 1.431, 105.8, 20.2)],
)
def test_the_published_baselines_are_reproduced(shared, nodes, name, mean_h, max_h, area_h):
    from sublet.allocation.measures import measure
    from sublet.allocation.trace_reader import read_trace

    jobs = read_trace(shared / "traces/acme_kalos_synth.csv.gz").jobs
    figures = measure(jobs, simulate(jobs, nodes, POLICIES[name]), nodes)
    assert figures.mean_wait_h == pytest.approx(mean_h, rel=2e-3)
    assert figures.max_wait_h == pytest.approx(max_h, rel=2e-3)
    assert figures.area_weighted_wait_h == pytest.approx(area_h, rel=3e-3)
