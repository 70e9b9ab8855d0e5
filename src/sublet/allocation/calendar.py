"""The calendar of a pool: which nodes are whose, when. Truth is a set of bookings in exact seconds, the rest a cache.

    calendar = Calendar(even_pool(1280), now_s=0)
    booking = calendar.book("r1", "acme", Ask(nodes=16, duration_s=86_400, earliest_s=3_600, latest_s=172_800))
    calendar.cancel("r1")

Outages and maintenance are bookings of the tenant `system`. The horizon rolls with `advance`.

Invariants: no node is in two bookings at one second; a gang is placed whole or not at all; a confirmed booking never
moves; `cancel` after `book` leaves the calendar as it was; a calendar rebuilt from the bookings equals the live one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from sublet.allocation.calendar_search import earliest
from sublet.allocation.calendar_slots import Rows, SlotTable
from sublet.allocation.calendar_truth import overlaps, refuse_double
from sublet.allocation.calendar_values import SYSTEM, Ask, Booking, Refusal, Spot
from sublet.allocation.placement import Mask, place
from sublet.allocation.pool import Node, Pool, pool_of
from sublet.errors import InputError

_BITS = 64


class Calendar:
    """Bookings of a pool from `now_s` over `horizon_slots` slots of `slot_s` seconds (default: 90 days of hours)."""

    def __init__(
        self,
        pool: Pool,
        now_s: int = 0,
        *,
        slot_s: int = 3_600,
        horizon_slots: int = 2_160,
        bookings: Iterable[Booking] = (),
    ) -> None:
        if slot_s < 1 or horizon_slots < 1:
            raise InputError(f"a calendar of {horizon_slots} slots of {slot_s} s: both must be 1 or more")
        self.slot_s = slot_s
        self.horizon_slots = horizon_slots
        self.now_s = now_s
        self.bookings = {booking.booking_id: booking for booking in bookings}
        self._lay(pool)

    def _lay(self, pool: Pool) -> None:
        """Make the cache anew from the bookings."""
        self.pool = pool
        self._masks: dict[frozenset[str], Mask | None] = {frozenset(): None}
        word = self.now_s // self.slot_s // _BITS
        self.table = SlotTable(pool, self.horizon_slots + _BITS, word * _BITS)
        self._beyond: set[str] = set()
        self._shared: set[int] = set()
        if not self.bookings:
            return
        held = list(self.bookings.values())
        counts = np.array([len(booking.node_ids) for booking in held])
        rows = pool.rows_of(node_id for booking in held for node_id in booking.node_ids)
        times = np.array([(booking.start_s, booking.end_s) for booking in held], dtype=np.int64)
        start_s, end_s = np.repeat(times, counts, axis=0).T
        if overlaps(rows, start_s, end_s):
            refuse_double(held)
        start, end = start_s // self.slot_s, -(-end_s // self.slot_s)
        edge = self.table.first_slot + self.table.slots
        self._beyond = {held[at].booking_id for at in np.flatnonzero(-(-times[:, 1] // self.slot_s) > edge).tolist()}
        start = np.clip(start - self.table.first_slot, 0, self.table.slots)
        end = np.clip(end - self.table.first_slot, 0, self.table.slots)
        some = end > start
        self._shared = set(self.table.fill(rows[some], start[some], end[some]).tolist())

    # --- look ---------------------------------------------------------------------------------------------------------

    @property
    def end_s(self) -> int:
        """The second after the last one that can be booked."""
        return (self.now_s // self.slot_s + self.horizon_slots) * self.slot_s

    def free(self, start_s: int, end_s: int) -> NDArray[np.int32]:
        """Free nodes of the pool in each slot that [start_s, end_s) touches, int32 (slots,)."""
        start, end = self._slots(start_s, end_s)
        return self.table.free[start:end].copy()

    def find(self, ask: Ask) -> Spot | Refusal:
        """The earliest place for this ask, or why there is none; nothing is taken. It never lies in the past."""
        found = self._find(ask)
        if isinstance(found, Refusal):
            return found
        start_s, rows = found
        return Spot(tuple(self.pool.ids[rows]), start_s, start_s + ask.duration_s, *self._leaves(rows))

    def _find(self, ask: Ask) -> tuple[int, Rows] | Refusal:
        nodes, slot_s, table = ask.nodes, self.slot_s, self.table
        refused = self._too_large(ask)
        if refused is not None:
            return refused
        usable = self._usable(ask.tags)
        from_s = max(ask.earliest_s, self.now_s)
        latest_s = ask.earliest_s if ask.latest_s is None else ask.latest_s
        until_s = min(latest_s, self.end_s - ask.duration_s)
        if until_s < from_s:
            when = "in the past" if latest_s < self.now_s else f"past the calendar's end, {self.end_s} s"
            return Refusal("beyond-horizon", f"{ask.duration_s} s from {ask.earliest_s} s on would lie {when}")
        start, end = self._slots(from_s, from_s + ask.duration_s)
        rows = place(table, nodes, start, end, ask.locality, usable)
        if rows is not None:
            return from_s, rows
        length = -(-ask.duration_s // slot_s)  # later starts are at the beginning of a slot
        last = until_s // slot_s - table.first_slot
        first = -(-from_s // slot_s) - table.first_slot
        first += first == start and end - start == length  # just looked at
        if first <= last:
            found = earliest(table, nodes, length, first, last, ask.locality, usable)
            if found is not None:
                return (found[0] + table.first_slot) * slot_s, found[1]
        return self._no_room(ask, start, max(end, last + length))

    def _too_large(self, ask: Ask) -> Refusal | None:
        pool = self.pool
        most = {"same-leaf": pool.largest_leaf, "same-pod": pool.largest_pod, "any": len(pool.nodes)}[ask.locality]
        if ask.nodes <= most:
            return None
        where = {"same-leaf": "largest leaf", "same-pod": "largest pod", "any": "pool"}[ask.locality]
        return Refusal("too-large", f"{ask.nodes} nodes asked for, and the {where} has {most}")

    def _no_room(self, ask: Ask, start: int, end: int) -> Refusal:
        most = int(self.table.free[start:end].max(initial=0))
        if most < ask.nodes:
            return Refusal("pool-full", f"{ask.nodes} nodes asked for, and at most {most} are free in that time")
        kind = "" if ask.locality == "any" else f" within {ask.locality.removeprefix('same-')}"
        tags = f" with {', '.join(sorted(ask.tags))}" if ask.tags else ""
        return Refusal("fragmented", f"up to {most} nodes are free, but no {ask.nodes}{tags} throughout{kind}")

    def _usable(self, tags: frozenset[str]) -> Mask | None:
        if tags not in self._masks:
            self._masks[tags] = self.pool.tagged(tags)
        return self._masks[tags]

    def _slots(self, start_s: int, end_s: int) -> tuple[int, int]:
        """The slots of the table that [start_s, end_s) touches, clipped to it."""
        first, edge = self.table.first_slot, self.table.slots
        start, end = start_s // self.slot_s - first, -(-end_s // self.slot_s) - first
        return min(max(start, 0), edge), min(max(end, 0), edge)

    def _leaves(self, rows: Rows) -> tuple[int, int]:
        """Leaves that these ascending rows touch, and the fewest that could hold as many."""
        width = self.pool.width
        least = -(-len(rows) // self.pool.largest_leaf)
        if int(rows[0]) // width == int(rows[-1]) // width:
            return 1, least
        return int(np.count_nonzero(np.diff(rows // width))) + 1, least

    # --- take and give back -------------------------------------------------------------------------------------------

    def book(self, booking_id: str, holder: str, ask: Ask, *, confirmed: bool = True) -> Booking | Refusal:
        """Find the earliest place and take it, or say why there is none."""
        self._new(booking_id)
        found = self._find(ask)
        if isinstance(found, Refusal):
            return found
        start_s, rows = found
        end_s = start_s + ask.duration_s
        booking = Booking(
            booking_id, holder, tuple(self.pool.ids[rows]), start_s, end_s, confirmed, *self._leaves(rows)
        )
        self.table.mark(rows, *self._slots(start_s, end_s))
        self.bookings[booking_id] = booking
        return booking

    def take(
        self, booking_id: str, holder: str, node_ids: Collection[str], start_s: int, end_s: int, confirmed: bool = True
    ) -> Booking:
        """Book exactly these nodes for exactly [start_s, end_s); InputError where one is taken or the time is none."""
        self._new(booking_id)
        rows = np.sort(self.pool.rows_of(node_ids))
        if not len(rows) or (np.diff(rows) == 0).any() or end_s <= start_s:
            raise InputError(f"booking {booking_id!r}: name nodes once each, at least one, and end after the start")
        start, end = self._slots(start_s, end_s)
        if end > start and not self.table.free_throughout(rows, start, end):
            raise InputError(f"booking {booking_id!r}: a node of it is taken within {start_s} s to {end_s} s")
        ids = tuple(self.pool.ids[rows])
        booking = Booking(booking_id, holder, ids, start_s, end_s, confirmed, *self._leaves(rows))
        if end > start:
            self.table.mark(rows, start, end)
        self.bookings[booking_id] = booking
        self._note_edge(booking)
        return booking

    def out_of_service(self, booking_id: str, node_ids: Collection[str], start_s: int, end_s: int) -> Booking:
        """Maintenance or an outage: a booking of the system tenant. InputError where somebody holds a node then."""
        return self.take(booking_id, SYSTEM, node_ids, start_s, end_s)

    def cancel(self, booking_id: str) -> Booking:
        """Give everything of this booking back; returns it."""
        booking = self._known(booking_id)
        del self.bookings[booking_id]
        self._beyond.discard(booking_id)
        self._give_back(booking.node_ids, *self._slots(booking.start_s, booking.end_s))
        return booking

    def end(self, booking_id: str, end_s: int) -> Booking:
        """Let a booking end at `end_s`, earlier or later, on the same nodes; InputError where they are taken later."""
        old = self._known(booking_id)
        if end_s <= old.start_s:
            raise InputError(f"booking {booking_id!r} begins at {old.start_s} s: it cannot end at {end_s} s; cancel it")
        before, after = self._slots(old.start_s, old.end_s)[1], self._slots(old.start_s, end_s)[1]
        if after > before:
            rows = np.sort(self.pool.rows_of(old.node_ids))
            if not self.table.free_throughout(rows, before, after):
                raise InputError(f"booking {booking_id!r}: a node of it is taken between {old.end_s} s and {end_s} s")
            self.table.mark(rows, before, after)
        self.bookings[booking_id] = replace(old, end_s=end_s)
        if after < before:
            self._give_back(old.node_ids, after, before)
        self._note_edge(self.bookings[booking_id])
        return self.bookings[booking_id]

    def confirm(self, booking_id: str) -> Booking:
        """From now on this booking never moves."""
        self.bookings[booking_id] = replace(self._known(booking_id), confirmed=True)
        return self.bookings[booking_id]

    def move(self, booking_id: str, ask: Ask) -> Booking | Refusal:
        """Place an unconfirmed booking anew, or leave it where it is if refused; InputError where it is confirmed."""
        booking = self._known(booking_id)
        if booking.confirmed:
            raise InputError(f"booking {booking_id!r} is confirmed: it does not move")
        self.cancel(booking_id)
        moved = self.book(booking_id, booking.holder, ask, confirmed=False)
        if isinstance(moved, Refusal):
            self.take(booking_id, booking.holder, booking.node_ids, booking.start_s, booking.end_s, confirmed=False)
        return moved

    def _give_back(self, node_ids: Collection[str], start: int, end: int) -> None:
        """Clear these slots; a row whose slots two bookings share (by rounding) is painted anew from the bookings."""
        if end <= start:
            return
        rows = np.sort(self.pool.rows_of(node_ids))
        if self._shared:
            for row in [row for row in rows.tolist() if row in self._shared]:
                node_id = self.pool.ids[row]
                holding = (booking for booking in self.bookings.values() if node_id in booking.node_ids)
                self.table.repaint(row, [self._slots(booking.start_s, booking.end_s) for booking in holding])
            rows = rows[~np.isin(rows, list(self._shared))]
        if len(rows):
            self.table.clear(rows, start, end)

    def _note_edge(self, booking: Booking) -> None:
        """Remember who reaches past the table's edge: `advance` paints the rest of it later."""
        if -(-booking.end_s // self.slot_s) > self.table.first_slot + self.table.slots:
            self._beyond.add(booking.booking_id)
        else:
            self._beyond.discard(booking.booking_id)

    def _new(self, booking_id: str) -> None:
        if booking_id in self.bookings:
            raise InputError(f"booking {booking_id!r} exists")

    def _known(self, booking_id: str) -> Booking:
        try:
            return self.bookings[booking_id]
        except KeyError:
            raise InputError(f"there is no booking {booking_id!r}") from None

    # --- time goes by, nodes come and go ------------------------------------------------------------------------------

    def advance(self, now_s: int) -> tuple[Booking, ...]:
        """Let it be `now_s`: the horizon rolls on; returns, and forgets, bookings that lie before the calendar now."""
        if now_s < self.now_s:
            raise InputError(f"the calendar is at {self.now_s} s: it does not go back to {now_s} s")
        words = (now_s // self.slot_s - self.table.first_slot) // _BITS
        self.now_s = now_s
        if not words:
            return ()
        edge = self.table.first_slot + self.table.slots
        self.table.roll(words)
        for booking in [self.bookings[name] for name in sorted(self._beyond)]:
            start, end = self._slots(max(booking.start_s, edge * self.slot_s), booking.end_s)
            if end > start:
                self.table.mark(np.sort(self.pool.rows_of(booking.node_ids)), start, end)
            self._note_edge(booking)
        first_s = self.table.first_slot * self.slot_s
        past = tuple(booking for booking in self.bookings.values() if booking.end_s <= first_s)
        for booking in past:
            del self.bookings[booking.booking_id]
        return past

    def add_nodes(self, nodes: Iterable[Node]) -> None:
        """Take these nodes into the pool; the cache is made anew."""
        self._lay(pool_of((*self.pool.nodes, *nodes)))

    def remove_nodes(self, node_ids: Iterable[str]) -> None:
        """Take these nodes out of the pool; InputError where one is booked now or later."""
        gone = frozenset(node_ids)
        self.pool.rows_of(sorted(gone))
        for booking in self.bookings.values():
            held = gone.intersection(booking.node_ids)
            if held:
                raise InputError(f"node {min(held)!r} is in booking {booking.booking_id!r} until {booking.end_s} s")
        self._lay(pool_of(node for node in self.pool.nodes if node.node_id not in gone))
