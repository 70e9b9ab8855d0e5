"""Who in line is served: by tier and time, never delayed by those behind, and told why it waits."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from sublet.broker.bookings import calendar
from sublet.broker.bookings.values import NodeCalendar
from sublet.broker.orders import queue
from sublet.broker.orders.queue import Want

ZERO = datetime(2026, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


def at(hour: float) -> datetime:
    return ZERO + hour * HOUR


def node(name, *busy, closes=100):
    return NodeCalendar(name, "a", ZERO, at(closes), 0, tuple((at(start), at(end)) for start, end in busy))


def want(name, nodes=1, hours=1.0, tier=1, entered=0, start=None, window_end=None):
    begin = None if start is None else at(start)
    end = None if window_end is None else at(window_end)
    return Want(name, nodes, hours * HOUR, tier, at(-10 + entered), begin, end)


def served(fleet, *wants, now=0):
    return {each.order_id: each for each in queue.decide("h100-8", fleet, wants, at(now))}


def test_tier_comes_first_then_who_came_first():
    wants = [want("late", entered=2), want("early", entered=1), want("gold", tier=0, entered=3)]
    assert [each.order_id for each in queue.line(wants)] == ["gold", "early", "late"]
    decided = served([node("n")], *wants)
    assert [name for name, each in decided.items() if each.start] == ["gold"]


def test_a_small_order_may_pass_a_large_one_only_where_it_does_not_delay_it():
    fleet = [node("a", (0, 4)), node("b")]
    large = want("large", nodes=2, hours=2, entered=0)
    decided = served(fleet, large, want("short", hours=4, entered=1), want("long", hours=5, entered=2))
    assert decided["large"].start is None
    assert decided["short"].start == ZERO
    assert decided["long"].start is None
    assert "the first gap that nobody before it claims starts at 2026-01-01T04:00:00" in decided["large"].reasons[1]


def test_nobody_passes_where_it_would_delay_the_one_before():
    fleet = [node("a", (0, 4)), node("b")]
    decided = served(fleet, want("large", nodes=2, hours=2), want("long", hours=5, entered=1))
    assert decided["long"].start is None
    assert decided["long"].reasons[0] == "1 node of h100-8 would be free, but orders before it have a claim on them"


def test_now_means_now_a_start_is_kept_and_a_window_takes_the_first_gap():
    fleet = [node("a", (0, 3), (5, 6))]
    assert served(fleet, want("now"))["now"].start is None
    assert served(fleet, want("then", start=3))["then"].start == at(3)
    assert served(fleet, want("then", start=2))["then"].start is None
    assert served(fleet, want("within", hours=2, window_end=5))["within"].start == at(3)
    assert served(fleet, want("within", hours=2, window_end=4.9))["within"].start is None
    assert served(fleet, want("within", hours=3, start=1, window_end=20))["within"].start == at(6)


def test_what_came_too_late_says_so():
    fleet = [node("a")]
    assert "passed before nodes were free" in served(fleet, want("x", start=1), now=2)["x"].reasons[0]
    assert "its window closed" in served(fleet, want("x", hours=2, window_end=3), now=2)["x"].reasons[0]
    assert want("x", start=1).too_late(at(1)) == ""


def test_reasons_name_what_is_missing():
    def reasons(fleet, **asked):
        return served(fleet, want("x", **asked))["x"].reasons

    assert reasons([]) == ("no node of h100-8 takes bookings",)
    assert reasons([node("a")], nodes=2) == ("the order asks for 2 nodes, the largest cluster of h100-8 has 1 to book",)
    busy, gap = reasons([node("a", (0, 4)), node("b")], nodes=2, hours=1.5)
    assert busy == (
        "of the 2 nodes asked for, 1 can be had in one cluster of h100-8"
        " from 2026-01-01T00:00:00+00:00 to 2026-01-01T01:30:00+00:00"
    )
    assert gap == "the first gap that nobody before it claims starts at 2026-01-01T04:00:00+00:00"
    assert reasons([node("a", closes=2)], hours=3)[-1] == "what we hold of h100-8 ends before 3 h are free"
    assert "between 2026-01-01T00:00:00+00:00 and" in reasons([node("a", (0, 4))], window_end=3)[0]
    assert "outside what was asked for" in reasons([node("a", (0, 4))], start=3)[1]


wants = st.builds(
    want,
    st.uuids().map(str),
    nodes=st.integers(1, 3),
    hours=st.integers(1, 4),
    tier=st.integers(0, 1),
    entered=st.integers(0, 3),
    start=st.one_of(st.none(), st.integers(0, 6)),
    window_end=st.one_of(st.none(), st.integers(4, 12)),
)
fleets = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=4).map(
    lambda spans: [node(f"n{i}", *([(min(s), max(s))] if s[0] != s[1] else [])) for i, s in enumerate(spans)]
)


@settings(deadline=None)
@given(fleets, st.lists(wants, max_size=6))
def test_no_two_are_given_the_same_node_at_one_time(fleet, asked):
    left = fleet
    for decision in queue.decide("s", fleet, asked, ZERO):
        one = next(each for each in asked if each.order_id == decision.order_id)
        assert (decision.start is None) == bool(decision.reasons)
        if decision.start is not None:
            end = decision.start + one.duration
            free = {each.node_id for each in left if calendar.free_until(each, decision.start, end)}
            assert len(decision.node_ids) == one.nodes
            assert free >= set(decision.node_ids)
            left = calendar.hold(left, decision.node_ids, decision.start, end)


@settings(deadline=None)
@given(fleets, st.lists(wants, min_size=1, max_size=6))
def test_those_behind_change_nothing_for_those_before(fleet, asked):
    line = queue.line(asked)
    whole = queue.decide("s", fleet, line, ZERO)
    for number in range(len(line)):
        assert queue.decide("s", fleet, line[:number], ZERO) == whole[:number]


@settings(deadline=None)
@given(fleets, st.lists(wants.filter(lambda one: not (one.start or one.window_end)), min_size=1, max_size=5))
def test_serving_those_behind_never_moves_the_first_gap_of_one_before(fleet, asked):
    line = queue.line(asked)
    decisions = queue.decide("s", fleet, line, ZERO)
    first = next((number for number, each in enumerate(decisions) if each.start is None), None)
    if first is None:
        return
    before = after = fleet
    for number, (one, decision) in enumerate(zip(line, decisions, strict=True)):
        if decision.start is not None:
            after = calendar.hold(after, decision.node_ids, decision.start, decision.start + one.duration)
            if number < first:
                before = calendar.hold(before, decision.node_ids, decision.start, decision.start + one.duration)
    head = line[first]
    gaps = [calendar.earliest(each, head.nodes, head.duration, ZERO) for each in (before, after)]
    assert gaps[0] is None if gaps[1] is None else gaps[0] is not None and gaps[0][0] == gaps[1][0]
