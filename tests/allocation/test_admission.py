"""Caps on what is held, release of what is not used, and who makes room."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sublet.allocation.admission import Holding, Use, Victim, admit, preempt, released
from sublet.allocation.policy import Admission, Release
from sublet.allocation.policy_file import parse_policy
from sublet.errors import InputError

RULE = Admission(open_entries=3, booked_unit_s=1000 * 3600.0, no_show_factor=0.5)


def test_an_entry_more_than_the_cap_is_refused_with_its_figures():
    taken = admit(RULE, "a", 0.0, [Holding("a", open_entries=2)], {})
    refused = admit(RULE, "a", 0.0, [Holding("a", open_entries=3)], {})
    assert taken.taken
    assert not refused.taken
    assert refused.reason == "3 entries are open, and a may have 3"


def test_the_booked_future_is_capped():
    held = [Holding("a", booked_unit_s=900 * 3600.0)]
    assert admit(RULE, "a", 100 * 3600.0, held, {}).taken
    refused = admit(RULE, "a", 101 * 3600.0, held, {})
    assert not refused.taken
    assert "900.0 unit-hours are booked, 101.0 more are asked" in refused.reason
    assert admit(RULE, "b", 101 * 3600.0, held, {}).taken


def test_affiliates_count_as_one():
    held = [Holding("a1", open_entries=2), Holding("a2", open_entries=1)]
    group = {"a1": "a", "a2": "a", "a3": "a"}
    assert not admit(RULE, "a3", 0.0, held, group).taken
    assert admit(RULE, "a3", 0.0, held, {}).taken


def test_a_no_show_halves_the_caps_and_leaves_one_entry():
    once = [Holding("a", no_shows=1)]
    assert admit(RULE, "a", 500 * 3600.0, once, {}).taken
    refused = admit(RULE, "a", 501 * 3600.0, once, {})
    assert not refused.taken
    assert refused.reason.endswith("may book 500.0 after a no-show")
    assert admit(RULE, "a", 0.0, [Holding("a", no_shows=50)], {}).taken


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2000), st.integers(0, 2)), min_size=1, max_size=5),
    st.integers(0, 1500),
)
def test_splitting_over_affiliated_accounts_gains_nothing(parts, asked):
    group = {f"a{at}": "a" for at in range(len(parts))}
    split = [Holding(f"a{at}", entries, booked * 3600.0, missed) for at, (entries, booked, missed) in enumerate(parts)]
    whole = [Holding("a", *(sum(column) for column in zip(*((e, b * 3600.0, m) for e, b, m in parts), strict=True)))]
    assert admit(RULE, "a0", asked * 3600.0, split, group) == admit(RULE, "a", asked * 3600.0, whole, {})


def test_who_does_not_come_and_what_idles_is_released():
    rule = Release(no_show_after_s=1800.0, idle_after_s=3600.0)
    uses = [
        Use("missed", 4, ready_s=0.0),
        Use("late-but-in-time", 4, ready_s=3000.0),
        Use("idle", 4, ready_s=0.0, came_s=10.0, idle_since_s=500.0),
        Use("busy", 4, ready_s=0.0, came_s=10.0),
        Use("paused", 4, ready_s=0.0, came_s=10.0, idle_since_s=1000.0),
    ]
    freed = released(rule, uses, 4100.0)
    assert [(one.lease, one.no_show) for one in freed] == [("missed", True), ("idle", False)]
    assert released(Release(), uses, 1e12) == ()


def test_the_cheapest_work_is_preempted_and_nothing_that_is_not_needed():
    small, large, dear = Victim("small", 2, 10.0), Victim("large", 8, 80.0), Victim("dear", 8, 8000.0)
    assert preempt(4, 4, [small]) == ()
    assert preempt(0, 2, [dear, small]) == (small,)
    assert preempt(0, 8, [dear, large, small]) == (large,)  # the small one was chosen first, and is let go
    assert preempt(0, 19, [dear, large, small]) is None


@given(
    st.integers(0, 4),
    st.integers(0, 30),
    st.lists(st.tuples(st.integers(1, 8), st.integers(0, 100)), max_size=6),
)
def test_preemption_makes_enough_room_and_no_victim_could_be_spared(free, needed, rows):
    running = [Victim(f"v{at}", units, float(lost)) for at, (units, lost) in enumerate(rows)]
    chosen = preempt(free, needed, running)
    if chosen is None:
        assert free + sum(one.units for one in running) < needed
        return
    room = free + sum(one.units for one in chosen)
    assert room >= needed or not chosen
    assert all(room - one.units < needed for one in chosen)
    assert len({one.job for one in chosen}) == len(chosen)


HEAD = "schema: sublet-policy-1\nname: mine\nversion: 1\n"


def test_the_caps_stand_in_a_policy_file():
    read = parse_policy(
        HEAD
        + "admission: {open_entries: 5, booked_unit_hours: 100, no_show_factor: 0.5}\n"
        + "release: {no_show_after: 30 min, idle_after: 2h}\n"
        + "tiers: [{name: spot, preemptible: true}]\npromises: {lead: 12h}\n",
        "mine.yaml",
    )
    assert read.admission == Admission(5.0, 360_000.0, 0.5)
    assert read.release == Release(1800.0, 7200.0)
    assert read.tiers[0].preemptible
    assert read.promises.lead_s == 43_200.0


def test_a_cap_below_one_entry_is_refused_with_its_line():
    with pytest.raises(InputError, match=r"mine\.yaml:4"):
        parse_policy(HEAD + "admission: {open_entries: 0}\n", "mine.yaml")
