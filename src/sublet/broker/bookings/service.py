"""Book nodes, give them back, and find where a gang fits: the calendar's functions over a session.

Those who act through here (orders, leases, supply) hold the rights and write the audit log; the calendar knows times.
Invariant: `book` and `extend` take all of what they were asked for or nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Row, and_, insert, select, update
from sqlalchemy.orm import Session, aliased

from sublet.broker.bookings import calendar
from sublet.broker.bookings.tables import BookingRow, CalendarNode
from sublet.broker.bookings.values import Booking, Kind, NodeCalendar
from sublet.broker.errors import Conflict, Invalid, NotFound
from sublet.storage import ids
from sublet.storage.clock import utc

_MOST_NAMES = 1000  # in one statement
_TAKEN = BookingRow.starts_at < BookingRow.ends_at  # an empty interval holds nothing


# --- nodes enter and leave the calendar (supply) ---------------------------------------------------------------------


def enter(
    session: Session,
    *,
    node_ids: Iterable[str],
    shape: str,
    cluster: str,
    opens: datetime,
    closes: datetime,
    rank: int = 0,
) -> None:
    """Let these nodes be booked within [opens, closes). Nodes of one `cluster` share a fabric: a gang stays in one."""
    rows = [
        {
            "node_id": node_id,
            "shape": shape,
            "cluster": cluster,
            "opens_at": utc(opens),
            "closes_at": utc(closes),
            "open": True,
            "rank": rank,
        }
        for node_id in node_ids
    ]
    session.execute(insert(CalendarNode), rows)


def set_terms(
    session: Session,
    *,
    node_id: str,
    is_open: bool | None = None,
    rank: int | None = None,
    closes: datetime | None = None,
) -> None:
    """Whether a node takes new bookings, how gladly it is taken, and when it leaves the calendar; None leaves as it is.

    Conflict where it would leave before the end of a booking: a confirmed booking never moves.
    """
    values: dict[str, Any] = {}
    if is_open is not None:
        values["open"] = is_open
    if rank is not None:
        values["rank"] = rank
    if closes is not None:
        last = last_end(session, node_id=node_id)
        if last is not None and last > closes:
            raise Conflict(
                f"node {node_id} is booked until {last.isoformat()}:"
                f" it cannot leave the calendar at {closes.isoformat()}"
            )
        values["closes_at"] = max(utc(closes), _terms(session, [node_id])[node_id].opens_at)
    _terms(session, [node_id])
    session.execute(update(CalendarNode).where(CalendarNode.node_id == node_id).values(**values))


def last_end(session: Session, *, node_id: str) -> datetime | None:
    """The end of the last booking of a node, past ones included; None where it never had one."""
    query = select(BookingRow.ends_at).where(BookingRow.node_id == node_id, _TAKEN)
    return session.execute(query.order_by(BookingRow.ends_at.desc()).limit(1)).scalar_one_or_none()


# --- where something fits --------------------------------------------------------------------------------------------


def calendars(
    session: Session, *, shape: str, after: datetime, before: datetime | None = None, closed: bool = False
) -> list[NodeCalendar]:
    """The calendars of the nodes of `shape` that take bookings within [after, before), ordered by id.

    `closed` adds those that take no new bookings (cordoned and the like).
    """
    known = [CalendarNode.shape == shape, CalendarNode.closes_at > after]
    if before is not None:
        known.append(CalendarNode.opens_at < before)
    if not closed:
        known.append(CalendarNode.open.is_(True))
    span = [BookingRow.ends_at > after, _TAKEN]
    if before is not None:
        span.append(BookingRow.starts_at < before)
    nodes = session.execute(select(*_NODE).where(*known).order_by(CalendarNode.node_id)).all()
    taken = session.execute(
        select(BookingRow.node_id, BookingRow.starts_at, BookingRow.ends_at)
        .join(CalendarNode, CalendarNode.node_id == BookingRow.node_id)
        .where(*known, *span)
        .order_by(BookingRow.node_id, BookingRow.starts_at)
    )
    busy: dict[str, list[tuple[datetime, datetime]]] = defaultdict(list)
    for node_id, start, end in taken:
        busy[node_id].append((start, end))
    return [
        NodeCalendar(node_id, cluster, opens, closes, rank, tuple(busy[node_id]))
        for node_id, cluster, opens, closes, rank in nodes
    ]


def place(session: Session, *, shape: str, nodes: int, start: datetime, end: datetime) -> tuple[str, ...] | None:
    """Nodes of one cluster that are free for the whole of [start, end), or None. Nothing is booked by it."""
    return calendar.place(calendars(session, shape=shape, after=start), nodes, utc(start), utc(end))


def earliest(
    session: Session,
    *,
    shape: str,
    nodes: int,
    duration: timedelta,
    after: datetime,
    before: datetime | None = None,
) -> tuple[datetime, tuple[str, ...]] | None:
    """The first start at or after `after` at which `place` finds a gang for `duration`, all of it before `before`."""
    known = calendars(session, shape=shape, after=after)
    return calendar.earliest(known, nodes, duration, utc(after), None if before is None else utc(before))


# --- take and give back ----------------------------------------------------------------------------------------------


def book(
    session: Session,
    *,
    holder: str,
    node_ids: Sequence[str],
    start: datetime,
    end: datetime,
    kind: Kind | str = Kind.LEASE,
    reason: str = "",
    now: datetime,
) -> tuple[Booking, ...]:
    """Take every node of `node_ids` for [start, end), or none of them.

    Conflict where a node is booked within that time, takes no bookings (only leases mind) or is not in the calendar for
    all of it; NotFound for a node that the calendar does not know.
    """
    start, end, kind = utc(start), utc(end), Kind(kind)
    if start >= end:
        raise Invalid(f"a booking from {start.isoformat()} to {end.isoformat()} is empty: its end must lie later")
    if not node_ids or len(set(node_ids)) != len(node_ids):
        raise Invalid(f"a booking names each of its nodes once, and at least one: {list(node_ids)}")
    terms = _terms(session, node_ids)
    for node_id in node_ids:
        _, _, opens, closes, is_open = terms[node_id]
        if kind is Kind.LEASE and not is_open:
            raise Conflict(f"node {node_id} takes no new bookings")
        if not opens <= start < end <= closes:
            raise Conflict(
                f"node {node_id} is in the calendar from {opens.isoformat()} to {closes.isoformat()}:"
                f" it cannot be booked from {start.isoformat()} to {end.isoformat()}"
            )
    _refuse_overlap(session, node_ids, start, end)
    made = tuple(Booking(ids.new("bkg", now), node_id, holder, kind, start, end, None, reason) for node_id in node_ids)
    session.execute(insert(BookingRow), [_columns(booking) for booking in made])
    return made


def extend(session: Session, *, holder: str, until: datetime, now: datetime) -> bool:
    """Let the holder keep all its nodes until `until`, or (False) change nothing.

    False where a node is booked by another before then, leaves the calendar before then, or takes no more bookings.
    Invalid where `until` is no later than the present end; NotFound where the holder holds nothing.
    """
    until = utc(until)
    held = standing(session, holder=holder, now=now)
    longer = [booking for booking in held if booking.ends_at < until]
    if not longer:
        last = max(booking.ends_at for booking in held)
        raise Invalid(f"{holder} holds its nodes until {last.isoformat()}: an extension must end later than that")
    terms = _terms(session, [booking.node_id for booking in longer])
    for booking in longer:
        _, _, _, closes, is_open = terms[booking.node_id]
        if (booking.kind is Kind.LEASE and not is_open) or closes < until:
            return False
        if _others(session, [booking.node_id], booking.ends_at, until):
            return False
    _set_ends(session, longer, until)
    return True


def shorten(session: Session, *, holder: str, until: datetime, now: datetime) -> tuple[Booking, ...]:
    """End the holder's bookings at `until` at the latest; they still stand, and may be extended again.

    A booking that starts later than that becomes empty. Returns what the holder then holds.
    """
    for booking in standing(session, holder=holder, now=now):
        end = max(utc(until), booking.starts_at)
        if end < booking.ends_at:
            _set_ends(session, [booking], end)
    return of_holder(session, holder=holder)


def release(
    session: Session, *, holder: str, at: datetime, now: datetime, node_ids: Collection[str] | None = None
) -> tuple[Booking, ...]:
    """Give back what the holder holds (of `node_ids`, where given) from `at` on, for good; what was before `at` stays.

    Idempotent: what was given back before stays as it was. Returns the bookings that it ended, as they were.
    """
    ended = tuple(
        booking
        for booking in of_holder(session, holder=holder)
        if booking.released_at is None and (node_ids is None or booking.node_id in node_ids)
    )
    _give_back(session, ended, at, now)
    return ended


def replace_node(session: Session, *, holder: str, old: str, new: str, at: datetime, now: datetime) -> Booking:
    """Give back node `old` at `at` and take node `new` from then to the same end; returns the new booking.

    The old booking is not moved: it ends. Conflict where `new` is not free; NotFound where `old` is not the holder's.
    """
    at = utc(at)
    held = [booking for booking in standing(session, holder=holder, now=now) if booking.node_id == old]
    if not held:
        raise NotFound(f"{holder} does not hold node {old}")
    booking = max(held, key=lambda piece: piece.ends_at)
    start = max(at, booking.starts_at)
    if start >= booking.ends_at:
        raise Conflict(f"{holder} holds node {old} until {booking.ends_at.isoformat()}: nothing is left to replace")
    (made,) = book(session, holder=holder, node_ids=[new], start=start, end=booking.ends_at, kind=booking.kind, now=now)
    _give_back(session, [booking], at, now)
    return made


# --- who holds what --------------------------------------------------------------------------------------------------


def of_holder(session: Session, *, holder: str) -> tuple[Booking, ...]:
    """Everything that a holder ever booked, in the order of start and node."""
    return _bookings(session, BookingRow.holder == holder)


def of_holders(session: Session, *, holders: Collection[str], after: datetime) -> tuple[Booking, ...]:
    """What these holders have booked at `after` or later, by holder."""
    wanted = sorted(holders)
    found: list[Booking] = []
    for first in range(0, len(wanted), _MOST_NAMES):
        some = wanted[first : first + _MOST_NAMES]
        found += _bookings(session, BookingRow.holder.in_(some), BookingRow.ends_at > after, _TAKEN)
    return tuple(found)


def standing(session: Session, *, holder: str, now: datetime) -> tuple[Booking, ...]:
    """What a holder has not given back. NotFound where there is nothing."""
    held = tuple(booking for booking in of_holder(session, holder=holder) if booking.released_at is None)
    if not held:
        raise NotFound(f"{holder} holds no node at {now.isoformat()}")
    return held


def of_node(
    session: Session, *, node_id: str, after: datetime | None = None, before: datetime | None = None
) -> tuple[Booking, ...]:
    """Bookings of a node that hold it within [after, before), in order."""
    wanted = [BookingRow.node_id == node_id, _TAKEN]
    if after is not None:
        wanted.append(BookingRow.ends_at > after)
    if before is not None:
        wanted.append(BookingRow.starts_at < before)
    return _bookings(session, *wanted)


def held_at(session: Session, *, at: datetime, node_ids: Collection[str] | None = None) -> Mapping[str, Booking]:
    """Node -> the booking that holds it at that instant."""
    wanted = [BookingRow.starts_at <= at, BookingRow.ends_at > at]
    if node_ids is not None:
        wanted.append(BookingRow.node_id.in_(node_ids))
    return {booking.node_id: booking for booking in _bookings(session, *wanted)}


def double_bookings(session: Session) -> tuple[tuple[Booking, Booking], ...]:
    """Pairs of bookings that hold one node at one instant: always empty, and here to be asked on a live database."""
    one, other = aliased(BookingRow), aliased(BookingRow)
    pairs = session.execute(
        select(one, other).join(
            other,
            and_(
                other.node_id == one.node_id,
                other.id > one.id,
                other.starts_at < one.ends_at,
                other.ends_at > one.starts_at,
                other.starts_at < other.ends_at,
                one.starts_at < one.ends_at,
            ),
        )
    ).all()
    return tuple((_booking_of(first), _booking_of(second)) for first, second in pairs)


# --- inside ----------------------------------------------------------------------------------------------------------

_NODE = (
    CalendarNode.node_id,
    CalendarNode.cluster,
    CalendarNode.opens_at,
    CalendarNode.closes_at,
    CalendarNode.rank,
)
_BOOKING = tuple(BookingRow.__table__.c)


def _terms(session: Session, node_ids: Collection[str]) -> dict[str, Any]:
    rows = session.execute(
        select(
            CalendarNode.node_id,
            CalendarNode.cluster,
            CalendarNode.opens_at,
            CalendarNode.closes_at,
            CalendarNode.open,
        ).where(CalendarNode.node_id.in_(node_ids))
    )
    terms = {row[0]: row for row in rows}
    for node_id in node_ids:
        if node_id not in terms:
            raise NotFound(f"node {node_id} is not in the calendar")
    return terms


def _others(session: Session, node_ids: Collection[str], start: datetime, end: datetime) -> tuple[Booking, ...]:
    return _bookings(
        session, BookingRow.node_id.in_(node_ids), BookingRow.starts_at < end, BookingRow.ends_at > start, _TAKEN
    )


def _refuse_overlap(session: Session, node_ids: Collection[str], start: datetime, end: datetime) -> None:
    """Say in words what the database would refuse."""
    for other in _others(session, node_ids, start, end):
        raise Conflict(
            f"node {other.node_id} is booked from {other.starts_at.isoformat()} to {other.ends_at.isoformat()}:"
            f" it cannot be booked from {start.isoformat()} to {end.isoformat()}"
        )


def _give_back(session: Session, bookings: Iterable[Booking], at: datetime, now: datetime) -> None:
    for booking in bookings:
        end = min(max(utc(at), booking.starts_at), booking.ends_at)
        session.execute(update(BookingRow).where(BookingRow.id == booking.id).values(ends_at=end, released_at=utc(now)))


def _set_ends(session: Session, bookings: Iterable[Booking], end: datetime) -> None:
    wanted = [booking.id for booking in bookings]
    session.execute(update(BookingRow).where(BookingRow.id.in_(wanted)).values(ends_at=end))


def _bookings(session: Session, *where: ColumnElement[bool]) -> tuple[Booking, ...]:
    query = select(*_BOOKING).where(*where)
    rows = session.execute(query.order_by(BookingRow.starts_at, BookingRow.node_id, BookingRow.id))
    return tuple(_booking_of(row) for row in rows)


def _booking_of(row: Row[Any] | BookingRow) -> Booking:
    return Booking(
        row.id, row.node_id, row.holder, Kind(row.kind), row.starts_at, row.ends_at, row.released_at, row.reason
    )


def _columns(booking: Booking) -> dict[str, Any]:
    return {
        "id": booking.id,
        "node_id": booking.node_id,
        "holder": booking.holder,
        "kind": booking.kind.value,
        "starts_at": booking.starts_at,
        "ends_at": booking.ends_at,
        "released_at": booking.released_at,
        "reason": booking.reason,
    }
