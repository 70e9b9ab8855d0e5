"""The calendar's laws: one holder per node and second, whole gangs, the cache equal to the truth."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sublet.allocation.calendar import Calendar
from sublet.allocation.calendar_truth import double_bookings
from sublet.allocation.calendar_values import SYSTEM, Ask, Booking, Refusal
from sublet.allocation.pool import Node, even_pool, pool_of
from sublet.errors import InputError

HOUR = 3_600
NEAR: Any = "near"
NODES = 21  # leaves of 4 and a last one of 1; pods of 8: padding everywhere

asks = st.builds(
    lambda nodes, duration, earliest, slack, locality: Ask(nodes, duration, earliest, earliest + slack, locality),
    st.integers(1, 12),
    st.integers(1, 90 * HOUR),
    st.integers(0, 150 * HOUR),
    st.integers(0, 60 * HOUR),
    st.sampled_from(["same-leaf", "same-pod", "any"]),
)
steps = st.lists(st.one_of(asks, st.integers(0, 50)), max_size=40)


def small(**settings_) -> Any:
    return Calendar(even_pool(NODES, leaf=4, pod=8), horizon_slots=200, **settings_)


def state(calendar):
    table = calendar.table
    return table.first_slot, table.busy.tobytes(), table.leaf_free.tobytes(), table.free.tobytes()


def lived(script, **settings_) -> Any:
    """A calendar in which every ask was booked if it could, and every number cancelled the booking of that number."""
    calendar = small(**settings_)
    for at, step in enumerate(script):
        if isinstance(step, Ask):
            calendar.book(str(at), "tenant", step)
        elif str(step) in calendar.bookings:
            calendar.cancel(str(step))
    return calendar


@settings(max_examples=60, deadline=None)
@given(steps)
def test_no_node_is_held_twice_and_gangs_are_whole_inside_their_window(script):
    calendar = lived(script)
    assert double_bookings(calendar.bookings.values()) == []
    for name, booking in calendar.bookings.items():
        ask = script[int(name)]
        assert len(set(booking.node_ids)) == len(booking.node_ids) == ask.nodes
        assert ask.earliest_s <= booking.start_s <= ask.latest_s
        assert booking.end_s - booking.start_s == ask.duration_s


@settings(max_examples=60, deadline=None)
@given(steps)
def test_rebuilt_equals_live(script):
    calendar = lived(script)
    again = Calendar(calendar.pool, horizon_slots=200, bookings=calendar.bookings.values())
    assert state(again) == state(calendar)


@settings(max_examples=60, deadline=None)
@given(steps)
def test_free_is_nodes_less_popcount(script):
    table = lived(script).table
    bits = np.unpackbits(table.busy[:, table.pool.real].T.copy().view(np.uint8), axis=1, bitorder="little")
    assert (table.free == NODES - bits.sum(axis=0)).all()
    assert (table.leaf_free.sum(axis=1) == table.free).all()


@settings(max_examples=60, deadline=None)
@given(steps, asks)
def test_cancel_after_book_is_the_identity(script, ask):
    calendar = lived(script)
    before, held = state(calendar), dict(calendar.bookings)
    if not isinstance(calendar.book("x", "tenant", ask), Refusal):
        calendar.cancel("x")
    assert state(calendar) == before
    assert calendar.bookings == held


@settings(max_examples=60, deadline=None)
@given(steps, asks)
def test_a_later_ask_moves_no_confirmed_booking_and_find_takes_nothing(script, ask):
    calendar = lived(script)
    before, held = state(calendar), dict(calendar.bookings)
    calendar.find(ask)
    assert state(calendar) == before
    calendar.book("x", "tenant", ask)
    assert {name: calendar.bookings[name] for name in held} == held
    for name in held:
        with pytest.raises(InputError, match="confirmed"):
            calendar.move(name, ask)
    assert {name: calendar.bookings[name] for name in held} == held


@settings(max_examples=40, deadline=None)
@given(steps)
def test_the_same_asks_give_the_same_calendar(script):
    one, other = lived(script), lived(script)
    assert one.bookings == other.bookings
    assert state(one) == state(other)


@settings(max_examples=60, deadline=None)
@given(steps, asks)
def test_refused_only_where_no_slot_has_room(script, ask):
    calendar = lived(script)
    found = calendar.find(ask)
    if not isinstance(found, Refusal) or found.reason in ("too-large", "beyond-horizon"):
        return
    pool, table = calendar.pool, calendar.table
    bits = np.unpackbits(table.busy.T.copy().view(np.uint8), axis=1, bitorder="little").astype(bool)
    length = -(-ask.duration_s // HOUR)
    last = min(ask.latest_s, calendar.end_s - ask.duration_s) // HOUR
    for start in range(-(-ask.earliest_s // HOUR), last + 1):
        free = ~bits[:, start : start + length].any(axis=1)
        leaves = free.reshape(-1, pool.width).sum(axis=1)
        most = {
            "same-leaf": leaves.max(),
            "same-pod": leaves.reshape(-1, pool.pod_leaves).sum(axis=1).max(),
            "any": leaves.sum(),
        }[ask.locality]
        assert most < ask.nodes


@settings(max_examples=40, deadline=None)
@given(steps, st.lists(st.integers(0, 120 * HOUR), max_size=4))
def test_a_rolled_calendar_equals_one_made_then(script, times):
    calendar = lived(script)
    for now_s in sorted(times):
        calendar.advance(now_s)
        again = Calendar(calendar.pool, now_s, horizon_slots=200, bookings=calendar.bookings.values())
        assert state(again) == state(calendar)


def test_what_reaches_past_the_edge_appears_when_the_horizon_gets_there():
    calendar = small()
    calendar.out_of_service("works", ["n000003"], 100 * HOUR, 600 * HOUR)
    calendar.advance(150 * HOUR)
    assert (calendar.free(300 * HOUR, 340 * HOUR) == NODES - 1).all()
    calendar.advance(450 * HOUR)
    assert (calendar.free(590 * HOUR, 602 * HOUR) == [NODES - 1] * 10 + [NODES] * 2).all()


def test_slots_round_outwards_and_the_truth_keeps_the_seconds():
    calendar = small()
    booking = calendar.book("a", "t", Ask(NODES, 1_800, 5_400))
    assert (booking.start_s, booking.end_s) == (5_400, 7_200)
    assert calendar.free(0, 3 * HOUR).tolist() == [NODES, 0, NODES]
    assert calendar.find(Ask(1, HOUR, HOUR, 9 * HOUR)).start_s == 2 * HOUR


def test_exact_start_first_then_the_beginning_of_slots():
    calendar = small()
    assert calendar.find(Ask(1, HOUR, 100, 9 * HOUR)).start_s == 100
    calendar.out_of_service("x", [f"n{at:06d}" for at in range(NODES)], 0, 2 * HOUR)
    assert calendar.find(Ask(1, HOUR, 100, 9 * HOUR)).start_s == 2 * HOUR


def test_an_outage_takes_nodes_out_and_gives_them_back():
    calendar = small()
    outage = calendar.out_of_service("power", [f"n{at:06d}" for at in range(8)], HOUR, 5 * HOUR)
    assert outage.holder == SYSTEM
    assert calendar.find(Ask(NODES - 7, HOUR, HOUR)).reason == "pool-full"
    calendar.cancel("power")
    assert calendar.find(Ask(NODES, HOUR, HOUR)).start_s == HOUR


def test_a_lease_ends_earlier_or_later_on_its_own_nodes():
    calendar = small()
    calendar.book("a", "t", Ask(4, 4 * HOUR, 0, locality="same-leaf"))
    calendar.end("a", 2 * HOUR)
    assert (calendar.free(0, 4 * HOUR) == [17, 17, 21, 21]).all()
    calendar.end("a", 10 * HOUR)
    assert calendar.bookings["a"].end_s == 10 * HOUR
    calendar.take("b", "t", calendar.bookings["a"].node_ids[:1], 10 * HOUR, 12 * HOUR)
    before = state(calendar)
    with pytest.raises(InputError, match="taken between"):
        calendar.end("a", 11 * HOUR)
    assert state(calendar) == before


def test_an_unconfirmed_booking_moves_and_then_is_confirmed():
    calendar = small()
    calendar.book("a", "t", Ask(4, HOUR, 0), confirmed=False)
    assert calendar.move("a", Ask(4, HOUR, 7 * HOUR)).start_s == 7 * HOUR
    assert calendar.move("a", Ask(NODES + 1, HOUR, 0)).reason == "too-large"
    assert calendar.bookings["a"].start_s == 7 * HOUR
    calendar.confirm("a")
    with pytest.raises(InputError, match="confirmed"):
        calendar.move("a", Ask(4, HOUR, 0))


def test_bookings_that_share_a_slot_by_rounding_are_given_back_one_by_one():
    nodes = ("n000000",)
    first, second = Booking("a", "t", nodes, 0, 1_800), Booking("b", "t", nodes, 1_800, 2 * HOUR)
    calendar = small(bookings=[first, second])
    calendar.cancel("b")
    assert calendar.free(0, 2 * HOUR).tolist() == [NODES - 1, NODES]
    calendar.cancel("a")
    assert (calendar.free(0, 2 * HOUR) == NODES).all()


def test_a_truth_that_holds_a_node_twice_is_refused_by_name():
    one = Booking("a", "t", ("n000000", "n000001"), 0, 100)
    other = Booking("b", "t", ("n000001",), 99, 200)
    with pytest.raises(InputError, match="'a' and 'b' hold node 'n000001'"):
        small(bookings=[one, other])


def test_tags_are_required_of_every_node():
    nodes = [Node(f"n{at}", f"l{at // 4}", "p", frozenset({"ib"} if at % 2 else set())) for at in range(16)]
    calendar: Any = Calendar(pool_of(nodes))
    booking = calendar.book("a", "t", Ask(8, HOUR, 0, tags=frozenset({"ib"})))
    assert all(int(name[1:]) % 2 for name in booking.node_ids)
    refused = calendar.find(Ask(1, HOUR, 0, tags=frozenset({"ib"})))
    assert (refused.reason, "with ib" in refused.sentence) == ("fragmented", True)


def test_nodes_come_and_go_and_bookings_stay():
    calendar = small()
    held = calendar.book("a", "t", Ask(4, HOUR, 0))
    calendar.add_nodes([Node(f"m{at}", "l000005", "p000002") for at in range(6)])
    assert calendar.bookings["a"] == held
    assert calendar.free(0, 2 * HOUR).tolist() == [NODES + 2, NODES + 6]
    with pytest.raises(InputError, match="is in booking 'a'"):
        calendar.remove_nodes(held.node_ids)
    calendar.remove_nodes(["m0", "m1"])
    assert calendar.free(0, 2 * HOUR).tolist() == [NODES, NODES + 4]


@pytest.mark.parametrize(
    ("ask", "reason"),
    [
        (Ask(NODES + 1, HOUR, 0), "too-large"),
        (Ask(5, HOUR, 0, locality="same-leaf"), "too-large"),
        (Ask(9, HOUR, 0, locality="same-pod"), "too-large"),
        (Ask(1, 201 * HOUR, 0), "beyond-horizon"),
        (Ask(1, HOUR, 300 * HOUR), "beyond-horizon"),
    ],
)
def test_refusals_say_why(ask, reason):
    refused = small().find(ask)
    assert refused.reason == reason
    assert any(character.isdigit() for character in refused.sentence)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Ask(0, HOUR, 0), "1 or more"),
        (lambda: Ask(1, HOUR, 5, 4), "before the earliest"),
        (lambda: Ask(1, HOUR, 0, locality=NEAR), "same-leaf"),
        (lambda: small(slot_s=0), "1 or more"),
        (lambda: small().cancel("x"), "no booking 'x'"),
        (lambda: small().take("x", "t", ["nowhere"], 0, 1), "'nowhere' is not in this pool"),
        (lambda: small().take("x", "t", ["n000001", "n000001"], 0, 1), "once each"),
        (lambda: pool_of([]), "at least one node"),
        (lambda: pool_of([Node("a"), Node("a")]), "twice"),
        (lambda: even_pool(8, leaf=4, pod=2), "1 <= leaf <= pod"),
    ],
)
def test_bad_input_gets_a_sentence(make, says):
    with pytest.raises(InputError, match=says):
        make()


def test_taking_what_is_taken_is_refused_and_ids_are_unique():
    calendar = small()
    calendar.take("a", "t", ["n000001"], 0, HOUR)
    with pytest.raises(InputError, match="is taken"):
        calendar.take("b", "t", ["n000001"], 0, HOUR)
    with pytest.raises(InputError, match="'a' exists"):
        calendar.take("a", "t", ["n000002"], 0, HOUR)
    with pytest.raises(InputError, match="does not go back"):
        calendar.advance(-1)
