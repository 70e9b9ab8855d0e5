"""The calendar in the database: against a naive model, and against whoever tries to go round it."""

from __future__ import annotations

import threading
from collections import Counter
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import insert, text
from sqlalchemy.exc import DBAPIError, IntegrityError

from sublet.broker.bookings import service as bookings
from sublet.broker.bookings.tables import BookingRow
from sublet.broker.errors import Conflict, Invalid, NotFound
from sublet.storage import ids

ZERO = datetime(2026, 1, 1, tzinfo=UTC)
TICK = timedelta(microseconds=1)
TERM = 12  # hours that a node is in the calendar


def at(hour: float) -> datetime:
    return ZERO + timedelta(hours=hour)


def enter(session, *names, cluster="a", shape="h100-8", term=(0, TERM)):
    bookings.enter(session, node_ids=names, shape=shape, cluster=cluster, opens=at(term[0]), closes=at(term[1]))


def take(session, holder, names, start, end, **more):
    names = [names] if isinstance(names, str) else names
    return bookings.book(session, holder=holder, node_ids=names, start=at(start), end=at(end), now=ZERO, **more)


class Rollback(Exception):
    """Ends an example and leaves the database as it was."""


class Naive:
    """The calendar as a child would draw it: one cell per node and hour, with the name of who holds it."""

    def __init__(self, nodes):
        self.nodes = nodes
        self.cells: dict[tuple[str, int], str] = {}
        self.closed: set[str] = set()
        self.held: dict[str, dict[str, tuple[int, int]]] = {}  # holder -> node -> (start, end), while it stands

    def free(self, node, hours, but=None):
        inside = all(0 <= hour < TERM for hour in hours)
        return inside and all(self.cells.get((node, hour)) in (None, but) for hour in hours)

    def paint(self, node, start, end, holder):
        for hour in range(start, end):
            if holder is None:
                self.cells.pop((node, hour), None)
            else:
                self.cells[node, hour] = holder

    def book(self, holder, nodes, start, end):
        if not all(self.free(node, range(start, end)) and node not in self.closed for node in nodes):
            return False
        for node in nodes:
            self.paint(node, start, end, holder)
            self.held.setdefault(holder, {})[node] = (start, end)
        return True

    def extend(self, holder, until):
        longer = {node: span for node, span in self.held[holder].items() if span[1] < until}
        if not longer:
            return "invalid"
        for node, (_, end) in longer.items():
            if node in self.closed or not self.free(node, range(end, until)):
                return False
        for node, (start, end) in longer.items():
            self.paint(node, end, until, holder)
            self.held[holder][node] = (start, until)
        return True

    def cut(self, holder, node, hour):
        start, end = self.held[holder][node]
        stop = min(max(hour, start), end)
        self.paint(node, stop, end, None)
        return start, stop

    def shorten(self, holder, hour):
        for node in self.held[holder]:
            self.held[holder][node] = self.cut(holder, node, hour)

    def release(self, holder, hour):
        for node in self.held[holder]:
            self.cut(holder, node, hour)
        del self.held[holder]

    def replace(self, holder, old, new, hour):
        start, end = self.held[holder][old]
        begin = max(hour, start)
        if begin >= end or new in self.closed or not self.free(new, range(begin, end)):
            return False
        self.cut(holder, old, hour)
        del self.held[holder][old]
        self.paint(new, begin, end, holder)
        self.held[holder][new] = (begin, end)
        return True

    def earliest(self, nodes, hours, after):
        for start in range(max(after, 0), TERM - hours + 1):
            free = [n for n in self.nodes if n not in self.closed and self.free(n, range(start, start + hours))]
            if len(free) >= nodes:
                return start
        return None


NODES = ["n0", "n1", "n2"]
holders, hours, names = st.sampled_from(["x", "y", "z"]), st.integers(0, TERM), st.sampled_from(NODES)
steps = st.one_of(
    st.tuples(st.just("book"), holders, st.sets(names, min_size=1), hours, st.integers(1, 5)),
    st.tuples(st.just("extend"), holders, hours),
    st.tuples(st.just("shorten"), holders, hours),
    st.tuples(st.just("release"), holders, hours),
    st.tuples(st.just("replace"), holders, names, names, hours),
    st.tuples(st.just("close"), names, st.booleans()),
    st.tuples(st.just("earliest"), st.integers(1, 3), st.integers(1, 5), hours),
)


def outcome(action):
    try:
        return action()
    except Conflict:
        return False
    except Invalid:
        return "invalid"


def same(session, model, history):
    """The database holds what the model holds, and no booking has moved or vanished."""
    drawn = {}
    for node in NODES:
        for booking in bookings.of_node(session, node_id=node):
            first = (booking.starts_at - ZERO) // timedelta(hours=1)
            last = (booking.ends_at - ZERO) // timedelta(hours=1)
            for hour in range(first, last):
                assert (node, hour) not in drawn
                drawn[node, hour] = booking.holder
    assert drawn == model.cells
    rows = {row.id: (row.node_id, row.holder, row.starts_at) for row in session.query(BookingRow)}
    session.expunge_all()
    assert history.items() <= rows.items()
    history.update(rows)
    assert bookings.double_bookings(session) == ()


def act(session, model, step):
    kind, *rest = step
    if kind == "book":
        holder, nodes, start, length = rest
        if holder in model.held:
            return
        expected = model.book(holder, sorted(nodes), start, start + length)
        got = outcome(lambda: bool(take(session, holder, sorted(nodes), start, start + length)))
    elif kind == "close":
        node, closed = rest
        (model.closed.add if closed else model.closed.discard)(node)
        bookings.set_terms(session, node_id=node, is_open=not closed)
        expected = got = None
    elif kind == "earliest":
        nodes, length, after = rest
        expected = model.earliest(nodes, length, after)
        duration = timedelta(hours=length)
        found = bookings.earliest(session, shape="h100-8", nodes=nodes, duration=duration, after=at(after))
        got = None if found is None else (found[0] - ZERO) // timedelta(hours=1)
        if found is not None:
            assert bookings.place(session, shape="h100-8", nodes=nodes, start=found[0], end=found[0] + duration)
    elif rest[0] not in model.held:
        with pytest.raises(NotFound):
            bookings.standing(session, holder=rest[0], now=ZERO)
        return
    elif kind == "extend":
        expected = model.extend(*rest)
        got = outcome(lambda: bookings.extend(session, holder=rest[0], until=at(rest[1]), now=ZERO))
    elif kind == "shorten":
        expected, got = model.shorten(*rest), None
        bookings.shorten(session, holder=rest[0], until=at(rest[1]), now=ZERO)
    elif kind == "release":
        expected, got = model.release(*rest), None
        for _ in range(2):  # a second time changes nothing
            bookings.release(session, holder=rest[0], at=at(rest[1]), now=ZERO)
    else:
        holder, old, new, hour = rest
        if old not in model.held[holder] or old == new or new in model.held[holder]:
            return
        before = bookings.of_holder(session, holder=holder)
        expected = model.replace(holder, old, new, hour)
        got = True
        try:
            bookings.replace_node(session, holder=holder, old=old, new=new, at=at(hour), now=ZERO)
        except Conflict:
            got = False
            assert bookings.of_holder(session, holder=holder) == before
    assert got == expected, step


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(steps, max_size=25))
def test_any_sequence_of_acts_leaves_what_a_naive_model_leaves(database, sequence):
    with suppress(Rollback), database.transaction() as session:
        enter(session, *NODES)
        model = Naive(NODES)
        history: dict = {}
        for step in sequence:
            act(session, model, step)
            same(session, model, history)
        raise Rollback


# --- the database refuses by itself ----------------------------------------------------------------------------------


def raw(node="n0", start=0.0, end=1.0, holder="x"):
    """A row put in without asking the service."""
    return insert(BookingRow).values(
        id=ids.new("bkg", ZERO), node_id=node, holder=holder, kind="lease", starts_at=at(start), ends_at=at(end)
    )


@pytest.fixture
def fleet(database):
    with database.transaction() as session:
        enter(session, *NODES)
    return database


@pytest.mark.parametrize(("start", "end"), [(0, 6), (2, 4), (1, 3), (3, 5), (0, 3), (2.5, 3)])
def test_the_database_refuses_an_overlapping_row(fleet, start, end):
    with fleet.transaction() as session:
        session.execute(raw(start=2, end=4))
    with pytest.raises(IntegrityError), fleet.transaction() as session:
        session.execute(raw(start=start, end=end))


def test_the_database_lets_neighbours_empty_intervals_and_other_nodes_in(fleet):
    with fleet.transaction() as session:
        for row in (
            raw(start=2, end=4),
            raw(start=4, end=5),
            raw(start=1, end=2),
            raw(start=3, end=3),
            raw("n1", 2, 4),
        ):
            session.execute(row)
        session.execute(raw("n2", 3, 3))
        session.execute(raw("n2", 2, 4))
        assert bookings.double_bookings(session) == ()
        assert len(bookings.of_node(session, node_id="n0")) == 3


def test_the_database_refuses_an_update_that_overlaps_or_moves_a_booking(fleet):
    with fleet.transaction() as session:
        session.execute(raw(start=0, end=2))
        session.execute(raw(start=4, end=6, holder="y"))
    for change in (
        f"ends_at = '{at(5):%Y-%m-%d %H:%M:%S.%f}'",
        "ends_at = starts_at, starts_at = ends_at",
        "node_id = 'n1'",
        "holder = 'z'",
        "kind = 'outage'",
        "id = 'bkg_other'",
        f"starts_at = '{at(1):%Y-%m-%d %H:%M:%S.%f}'",
    ):
        with pytest.raises(DBAPIError), fleet.transaction() as session:
            session.execute(text(f"UPDATE bookings SET {change} WHERE holder = 'x'"))
    with pytest.raises(DBAPIError), fleet.transaction() as session:
        session.execute(text("DELETE FROM bookings"))
    with fleet.transaction() as session:  # to end earlier, or later where it is free, is no move
        session.execute(text(f"UPDATE bookings SET ends_at = '{at(4):%Y-%m-%d %H:%M:%S.%f}' WHERE holder = 'x'"))


def test_a_time_in_another_form_does_not_slip_past_sqlite(sqlite_database):
    with sqlite_database.transaction() as session:
        enter(session, *NODES)
        session.execute(raw(start=2, end=4))
    columns = "(id, node_id, holder, kind, starts_at, ends_at, reason)"
    row = f"INSERT INTO bookings {columns} VALUES ('b', 'n0', 'x', 'lease', '{{}}', '{{}}', '')"
    for start, end in [("2026-01-01T08:00:00Z", "2026-01-01T09:00:00Z"), ("2026-01-01 08:00", "2026-01-01 09:00")]:
        with pytest.raises(IntegrityError, match="is written as"), sqlite_database.transaction() as session:
            session.execute(text(row.format(start, end)))


def together(number, work):
    """Run `work(i)` in `number` threads that start at once; what they returned or raised."""
    gate = threading.Barrier(number)
    done: list = [None] * number

    def run(index):
        gate.wait()
        try:
            done[index] = work(index)
        except Exception as error:
            done[index] = error

    threads = [threading.Thread(target=run, args=(index,)) for index in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return done


def test_threads_that_book_one_node_at_once_get_it_once(fleet):
    def work(index):
        return fleet.run(lambda session: take(session, f"h{index}", NODES, 1, 3))

    done = together(8, work)
    assert Counter(type(result) for result in done) == {tuple: 1, Conflict: 7}
    with fleet.reading() as session:
        assert len(bookings.held_at(session, at=at(2))) == 3
        assert bookings.double_bookings(session) == ()


def test_connections_that_go_round_the_service_and_its_lock_get_a_node_once(fleet):
    def work(index):
        with fleet.engine.begin() as connection:
            connection.execute(raw(start=index / 10, end=index / 10 + 5, holder=f"h{index}"))
        return "booked"

    done = together(8, work)
    assert done.count("booked") == 1
    assert all(result == "booked" or isinstance(result, DBAPIError) for result in done)
    with fleet.reading() as session:
        assert len(bookings.of_node(session, node_id="n0")) == 1


# --- single acts -----------------------------------------------------------------------------------------------------


def test_a_gang_is_booked_whole_or_not_at_all(fleet):
    with fleet.transaction() as session:
        take(session, "x", "n1", 2, 4)
        with pytest.raises(Conflict, match="node n1 is booked from 2026-01-01T02:00:00"):
            take(session, "y", NODES, 3, 5)
        with pytest.raises(NotFound):
            bookings.standing(session, holder="y", now=ZERO)
        assert {booking.node_id for booking in take(session, "y", NODES, 4, 5)} == set(NODES)


def test_bookings_are_exact_to_the_microsecond(fleet):
    with fleet.transaction() as session:
        bookings.book(session, holder="x", node_ids=["n0"], start=at(1) + TICK, end=at(2) - TICK, now=ZERO)
        bookings.book(session, holder="y", node_ids=["n0"], start=at(1), end=at(1) + TICK, now=ZERO)
        bookings.book(session, holder="z", node_ids=["n0"], start=at(2) - TICK, end=at(2), now=ZERO)
        with pytest.raises(Conflict):
            bookings.book(session, holder="w", node_ids=["n0"], start=at(1), end=at(1) + TICK, now=ZERO)
    with fleet.reading() as session:
        held = bookings.held_at(session, at=at(1) + TICK)
        assert held["n0"].holder == "x"
        assert held["n0"].starts_at == at(1) + TICK


def test_an_extension_takes_every_node_or_none(fleet):
    with fleet.transaction() as session:
        take(session, "x", ["n0", "n1"], 0, 2)
        take(session, "y", "n1", 3, 4)
        assert not bookings.extend(session, holder="x", until=at(3.5), now=ZERO)
        assert {booking.ends_at for booking in bookings.of_holder(session, holder="x")} == {at(2)}
        assert bookings.extend(session, holder="x", until=at(3), now=ZERO)
        assert {booking.ends_at for booking in bookings.of_holder(session, holder="x")} == {at(3)}
        bookings.set_terms(session, node_id="n0", is_open=False)
        bookings.release(session, holder="y", at=at(3), now=ZERO)
        assert not bookings.extend(session, holder="x", until=at(4), now=ZERO)
        with pytest.raises(Invalid, match="must end later"):
            bookings.extend(session, holder="x", until=at(3), now=ZERO)


def test_an_extension_ends_with_the_nodes_time_in_the_calendar(fleet):
    with fleet.transaction() as session:
        take(session, "x", "n0", 0, 2)
        assert not bookings.extend(session, holder="x", until=at(TERM) + TICK, now=ZERO)
        assert bookings.extend(session, holder="x", until=at(TERM), now=ZERO)


def test_what_is_released_before_it_began_is_free_again_and_stays_in_the_books(fleet):
    with fleet.transaction() as session:
        (made,) = take(session, "x", "n0", 2, 4)
        (ended,) = bookings.release(session, holder="x", at=at(1), now=at(1))
        assert ended.id == made.id
        (kept,) = bookings.of_holder(session, holder="x")
        assert kept.starts_at == kept.ends_at == at(2)
        assert kept.released_at == at(1)
        take(session, "y", "n0", 1, 5)


def test_a_node_is_replaced_for_the_rest_of_the_time_only(fleet):
    with fleet.transaction() as session:
        take(session, "x", ["n0", "n1"], 1, 5)
        made = bookings.replace_node(session, holder="x", old="n0", new="n2", at=at(3), now=at(3))
        assert (made.node_id, made.starts_at, made.ends_at) == ("n2", at(3), at(5))
        assert bookings.held_at(session, at=at(3)).keys() == {"n1", "n2"}
        assert bookings.held_at(session, at=at(2)).keys() == {"n0", "n1"}
        with pytest.raises(NotFound, match="does not hold node n0"):
            bookings.replace_node(session, holder="x", old="n0", new="n2", at=at(3), now=at(3))


def test_a_node_leaves_the_calendar_only_after_its_last_booking(fleet):
    with fleet.transaction() as session:
        take(session, "x", "n0", 2, 4)
        with pytest.raises(Conflict, match="is booked until"):
            bookings.set_terms(session, node_id="n0", closes=at(3))
        bookings.set_terms(session, node_id="n0", closes=at(4))
        with pytest.raises(Conflict, match="is in the calendar from"):
            take(session, "y", "n0", 4, 5)
        with pytest.raises(NotFound):
            bookings.set_terms(session, node_id="nowhere", rank=1)


def test_a_closed_node_takes_no_lease_but_may_be_maintained(fleet):
    with fleet.transaction() as session:
        bookings.set_terms(session, node_id="n0", is_open=False)
        assert bookings.place(session, shape="h100-8", nodes=3, start=at(0), end=at(1)) is None
        with pytest.raises(Conflict, match="takes no new bookings"):
            take(session, "x", "n0", 0, 1)
        take(session, "service", "n0", 0, 1, kind="maintenance")


@pytest.mark.parametrize(
    ("nodes", "start", "end", "error"),
    [(["n0"], 2, 2, Invalid), ([], 1, 2, Invalid), (["n0", "n0"], 1, 2, Invalid), (["nowhere"], 1, 2, NotFound)],
)
def test_a_booking_that_makes_no_sense_is_refused(fleet, nodes, start, end, error):
    with fleet.transaction() as session, pytest.raises(error):
        take(session, "x", nodes, start, end)
