"""The calendar's arithmetic: where a gang fits, against a model that tries every instant."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sublet.broker.bookings import calendar
from sublet.broker.bookings.values import NodeCalendar

ZERO = datetime(2026, 1, 1, tzinfo=UTC)
HORIZON = 24  # hours


def at(hour: float) -> datetime:
    return ZERO + timedelta(hours=hour)


def node(name: str, *busy: tuple[float, float], cluster: str = "a", rank: int = 0, term: tuple[float, float] = (0, 99)):
    taken = tuple((at(start), at(end)) for start, end in sorted(busy))
    return NodeCalendar(name, cluster, at(term[0]), at(term[1]), rank, taken)


@st.composite
def fleets(draw):
    made = []
    for number in range(draw(st.integers(0, 6))):
        cuts = sorted(draw(st.sets(st.integers(0, HORIZON), max_size=6)))
        busy = list(zip(cuts[::2], cuts[1::2], strict=False))
        opens = draw(st.integers(0, 4))
        term = (opens, draw(st.integers(opens, HORIZON)))
        cluster = draw(st.sampled_from("ab"))
        made.append(node(f"n{number}", *busy, cluster=cluster, rank=draw(st.integers(0, 1)), term=term))
    return made


def is_free(calendar_of: NodeCalendar, start: datetime, end: datetime) -> bool:
    inside = calendar_of.opens <= start and end <= calendar_of.closes
    return inside and all(stop <= start or begin >= end for begin, stop in calendar_of.busy)


def fits(fleet: list[NodeCalendar], nodes: int, start: datetime, end: datetime) -> bool:
    return any(
        sum(is_free(one, start, end) for one in fleet if one.cluster == cluster) >= nodes
        for cluster in {one.cluster for one in fleet}
    )


spans = st.tuples(st.integers(0, HORIZON), st.integers(1, 8))


@settings(deadline=None)
@given(fleets(), st.integers(1, 4), spans)
def test_place_finds_a_gang_exactly_where_there_is_one_and_it_is_free(fleet, nodes, span):
    start, end = at(span[0]), at(span[0] + span[1])
    found = calendar.place(fleet, nodes, start, end)
    assert (found is not None) == fits(fleet, nodes, start, end)
    if found is not None:
        chosen = [one for one in fleet if one.node_id in found]
        assert len(set(found)) == len(chosen) == nodes
        assert len({one.cluster for one in chosen}) == 1
        assert all(is_free(one, start, end) for one in chosen)


@settings(deadline=None)
@given(fleets(), st.integers(1, 4), spans, st.one_of(st.none(), st.integers(0, HORIZON)))
def test_earliest_is_the_first_hour_that_a_search_of_every_hour_finds(fleet, nodes, span, until):
    after, duration = at(span[0]), timedelta(hours=span[1])
    before = None if until is None else at(until)
    # every cut lies on an hour, so a first start does too
    naive = next(
        (
            start
            for start in (at(hour) for hour in range(span[0], HORIZON + 1))
            if fits(fleet, nodes, start, start + duration) and (before is None or start + duration <= before)
        ),
        None,
    )
    found = calendar.earliest(fleet, nodes, duration, after, before)
    assert (found and found[0]) == naive
    if found is not None:
        assert found[1] == calendar.place(fleet, nodes, found[0], found[0] + duration)


@settings(deadline=None)
@given(fleets(), spans)
def test_gaps_and_bookings_fill_the_term_without_overlap(fleet, span):
    start, end = at(span[0]), at(span[0] + span[1])
    for one in fleet:
        free = calendar.gaps(one, start, end)
        assert all(start <= a < b <= end for a, b in free)
        for hour in range(HORIZON + 1):
            inside = max(start, one.opens) <= at(hour) < min(end, one.closes)
            held = any(a <= at(hour) < b for a, b in one.busy)
            assert any(a <= at(hour) < b for a, b in free) == (inside and not held)


@settings(deadline=None)
@given(fleets(), st.integers(1, 3), spans)
def test_what_is_held_is_no_longer_free(fleet, nodes, span):
    start, end = at(span[0]), at(span[0] + span[1])
    found = calendar.place(fleet, nodes, start, end)
    if found is not None:
        after = calendar.hold(fleet, found, start, end)
        assert not any(is_free(one, start, end) for one in after if one.node_id in found)
        assert [one for one in after if one.node_id not in found] == [one for one in fleet if one.node_id not in found]


def test_intervals_are_half_open_so_one_may_start_where_another_ends():
    fleet = [node("a", (2, 4), (6, 8))]
    assert calendar.place(fleet, 1, at(4), at(6)) == ("a",)
    assert calendar.place(fleet, 1, at(4), at(6) + timedelta(microseconds=1)) is None
    assert calendar.place(fleet, 1, at(4) - timedelta(microseconds=1), at(6)) is None


def test_a_gang_never_spans_two_clusters():
    fleet = [node("a", cluster="x"), node("b", cluster="y")]
    assert calendar.place(fleet, 2, at(0), at(1)) is None
    assert calendar.earliest(fleet, 2, timedelta(hours=1), at(0)) is None
    assert calendar.cluster_sizes(fleet) == {"x": 1, "y": 1}


def test_the_place_that_spoils_least_is_taken():
    assert calendar.place([node("a", rank=1), node("b")], 1, at(0), at(1)) == ("b",)  # the healthy one
    fleet = [node("a", cluster="large"), node("b", cluster="large"), node("c", cluster="small")]
    assert calendar.place(fleet, 1, at(0), at(1)) == ("c",)  # the large cluster stays whole
    assert calendar.place([node("a"), node("b", (3, 4))], 1, at(0), at(2)) == ("b",)  # the long gap stays long


def test_an_empty_gang_is_a_mistake():
    with pytest.raises(ValueError, match="no gang"):
        calendar.place([node("a")], 0, at(0), at(1))
    with pytest.raises(ValueError, match="no gang"):
        calendar.place([node("a")], 1, at(1), at(1))
    with pytest.raises(ValueError, match="no gang"):
        calendar.earliest([node("a")], 1, timedelta(0), at(1))
