"""ETAs: ordered, reproducible, honest about a free pool, and corrected by what happened."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sublet.allocation.eta import Draws, Eta, History, predict, state_at
from sublet.allocation.eta_correct import Conformal, Outcome
from sublet.allocation.eta_score import score_etas
from sublet.allocation.policy import Policy
from sublet.allocation.simulate import simulate
from sublet.allocation.simulate_values import Snapshot
from sublet.allocation.trace import make_jobs

EASY = Policy("easy")


def busy(seed=1, count=120):
    generator = np.random.default_rng(seed)
    duration = generator.integers(10, 400, count)
    return make_jobs(
        np.sort(generator.integers(0, 6000, count)),
        duration,
        generator.integers(1, 9, count),
        requested_s=duration * generator.integers(1, 5, count),
        tenant=[f"t{number}" for number in generator.integers(0, 4, count)],
    )


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 1000))
def test_quantiles_are_ordered_and_the_same_generator_gives_the_same_bytes(seed):
    jobs = busy(seed)
    schedule = simulate(jobs, 8, EASY)
    delayed = np.flatnonzero(schedule.wait_s(jobs) > 0)
    if not len(delayed):
        return
    target = int(delayed[len(delayed) // 2])
    state = state_at(jobs, schedule, target)
    one, two = (predict(jobs, 8, EASY, state, target, History(), np.random.default_rng(seed), runs=5) for _ in range(2))
    assert 0 <= one.p10_s <= one.p50_s <= one.p90_s
    assert one == two


def test_a_free_pool_starts_at_once():
    jobs = make_jobs([10.0], [5.0], [4])
    eta = predict(jobs, 8, EASY, Snapshot(10.0, {}, (0,)), 0, History(), np.random.default_rng(0), runs=3)
    assert (eta.p10_s, eta.p90_s) == (0.0, 0.0)


def test_with_exact_requests_known_to_be_exact_the_eta_is_the_start():
    jobs = make_jobs([0.0, 5.0], [100.0, 50.0], [8, 8])
    history = History()
    for _ in range(10):
        history.add(0, 100.0, 1.0)
    schedule = simulate(jobs, 8, EASY)
    eta = predict(jobs, 8, EASY, state_at(jobs, schedule, 1), 1, history, np.random.default_rng(0), runs=3)
    assert (eta.p10_s, eta.p50_s, eta.p90_s) == (95.0, 95.0, 95.0)


def drawn(shares, elapsed, u):
    return float(Draws([sorted(shares)], [elapsed]).at(np.array([u]))[0])


@given(st.lists(st.floats(0.01, 1.5), min_size=1, max_size=30), st.floats(0, 2), st.floats(0, 0.999))
def test_a_draw_never_ends_a_job_before_what_has_passed(shares, elapsed, u):
    assert drawn(shares, elapsed, u) >= elapsed


def test_a_draw_is_a_quantile_of_what_is_still_possible():
    assert [drawn([0.1, 0.2, 0.3, 0.4], 0.15, u) for u in (0.0, 0.4, 0.99)] == [0.2, 0.3, 0.4]
    assert drawn([0.1, 0.2], 0.5, 0.5) == 0.75
    assert drawn([0.1, 0.2], 2.0, 0.5) == 2.2


def test_the_same_request_of_a_tenant_counts_before_its_others():
    history = History()
    for _ in range(10):
        history.add(0, 100.0, 0.9)
        history.add(0, 500.0, 0.1)
    assert set(history.shares(0, 100.0)) == {0.9}
    assert set(history.shares(0, 300.0)) == {0.1, 0.9}
    assert set(history.shares(7, 100.0)) == {0.1, 0.9}
    assert History().shares(0, 100.0) == [1.0]


def test_conformal_coverage_comes_to_its_target_when_predictions_are_too_narrow():
    generator, conformal, hits = np.random.default_rng(3), Conformal(0.9), []
    for _ in range(600):
        raw = Eta(50.0, 100.0, 150.0, ())
        eta = conformal.correct((1, "standard"), raw)
        waited = float(generator.lognormal(5.0, 0.8))
        hits.append(waited <= eta.p90_s)
        conformal.learn(Outcome((1, "standard"), raw, eta.p90_s, waited))
        assert eta.p50_s <= eta.p90_s
    assert np.mean(hits[100:]) == pytest.approx(0.9, abs=0.03)


def test_scores_of_a_trace_are_shares_and_reproducible():
    jobs = busy()
    schedule = simulate(jobs, 8, EASY)
    one, two = (score_etas(jobs, 8, EASY, schedule, sample=15, seed=4, runs=5) for _ in range(2))
    assert one == two
    assert one.n == 15
    assert 0 <= one.p90_coverage <= 1
    assert one.promises_kept == 1.0
