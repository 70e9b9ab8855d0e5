"""A key gets its rate and its burst, and never more, whatever the clock does."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sublet.broker.errors import RateLimited
from sublet.broker.tenants.limits import Bucket, Keeper, Rule, take

RULE = Rule(per_second=2, burst=4)


def test_a_burst_passes_and_then_the_rate():
    now = [0.0]
    keeper = Keeper(RULE, lambda: now[0])
    for _ in range(4):
        keeper.admit("tok")
    with pytest.raises(RateLimited) as refused:
        keeper.admit("tok")
    assert refused.value.retry_after_s == 0.5
    assert "2 requests a second" in str(refused.value)
    keeper.admit("other")
    now[0] = 0.5
    keeper.admit("tok")
    with pytest.raises(RateLimited):
        keeper.admit("tok")


def test_a_costly_request_counts_for_more():
    bucket, wait_s = take(None, RULE, 0, cost=3)
    assert (bucket, wait_s) == (Bucket(1, 0), 0)
    assert take(bucket, RULE, 0, cost=3) == (Bucket(1, 0), 1)
    for cost in (0, 5):
        with pytest.raises(ValueError, match="costs"):
            take(None, RULE, 0, cost=cost)


def test_a_rule_without_a_rate_is_none():
    for rate, burst in ((0, 1), (1, 0.5), (float("nan"), 1)):
        with pytest.raises(ValueError, match="above zero"):
            Rule(rate, burst)


def test_memory_is_bounded():
    keeper = Keeper(RULE, lambda: 0.0, most=10)
    for number in range(100):
        keeper.admit(f"10.0.0.{number}")
    assert len(keeper) == 10


@given(st.lists(st.floats(-5, 5), max_size=60))
def test_no_clock_grants_more_than_the_rate(steps):
    bucket, now, start, latest, granted = None, 0.0, 0.0, 0.0, 0
    for step in steps:
        now += step
        latest = max(latest, now)
        bucket, wait_s = take(bucket, RULE, now)
        granted += wait_s == 0
        if granted == 1 and wait_s == 0 and start == 0.0:
            start = now
        assert bucket.left >= 0
    assert granted <= RULE.burst + RULE.per_second * max(0.0, latest - min(0.0, start)) + 1e-6


@given(st.floats(0, 100), st.floats(0.01, 10))
def test_who_waits_as_told_is_admitted(now, rate):
    rule = Rule(rate, 1)
    bucket, _ = take(None, rule, now)
    bucket, wait_s = take(bucket, rule, now)
    assert wait_s > 0
    assert take(bucket, rule, now + wait_s + 1e-9 * (1 + now + wait_s))[1] == 0
