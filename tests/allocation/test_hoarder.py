"""One tenant asks ten times its share: the others are protected, and accounts gain it nothing."""

from __future__ import annotations

import numpy as np
import pytest

from sublet.allocation.hoarder import ask_more, hoarding, usual_shares, usual_tenant
from sublet.allocation.policy import Policy
from sublet.allocation.policy_file import load_policy
from sublet.allocation.trace import make_jobs
from sublet.errors import InputError


@pytest.fixture
def jobs():
    generator = np.random.default_rng(5)
    count = 800
    return make_jobs(
        np.sort(generator.uniform(0, 400_000, count)),
        generator.uniform(600, 7200, count),
        generator.integers(1, 4, count),
        tenant=[f"t{number}" for number in generator.integers(0, 8, count)],
    )


def test_the_others_keep_their_jobs(jobs):
    grown, group = ask_more(jobs, 2, 10, accounts=3)
    own = int((jobs.tenant == 2).sum())
    assert len(grown) == len(jobs) + 9 * own
    assert len(group) == 3
    others = (grown.tenant != 2) & (grown.tenant < len(jobs.tenants))
    assert (grown.submit_s[others] == jobs.submit_s[jobs.tenant != 2]).all()
    assert (np.diff(grown.submit_s) >= 0).all()
    assert sum(usual_shares(jobs).values()) == pytest.approx(jobs.area.sum())


def test_shares_hold_a_hoarder_where_first_come_does_not(jobs):
    tenant = usual_tenant(jobs)
    open_to_all = hoarding(jobs, 20, Policy("easy"), tenant)
    held = hoarding(jobs, 20, load_policy("sublet-shares"), tenant)
    assert open_to_all.rise > 1.0
    assert held.rise < 0.1 * open_to_all.rise
    assert held.hoarder_h > open_to_all.hoarder_h


def test_affiliated_accounts_gain_nothing(jobs):
    tenant, policy = usual_tenant(jobs), load_policy("sublet-shares")
    one = hoarding(jobs, 20, policy, tenant)
    five = hoarding(jobs, 20, policy, tenant, accounts=5)
    assert five.hoarder_h == pytest.approx(one.hoarder_h, rel=0.05)  # predictions of durations go by account
    assert five.rise == pytest.approx(one.rise, abs=0.05)


def test_nonsense_is_refused(jobs):
    with pytest.raises(InputError, match="0 times over 1 accounts"):
        ask_more(jobs, 0, 0)
