"""The check that the truth is one: no node in two bookings at one second, looked at without the cache.

Invariant: times are half-open, [start, end): a booking may begin in the second in which another ends.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from sublet.allocation.calendar_values import Booking
from sublet.errors import InputError


def overlaps(nodes: NDArray[np.integer], start_s: NDArray[np.int64], end_s: NDArray[np.int64]) -> list[tuple[int, int]]:
    """Pairs of positions (earlier start first) of neighbouring intervals of one node that overlap.

    Arrays (intervals,): a node's number, its start and its end. Empty exactly where no node is held twice.
    """
    order = np.lexsort((start_s, nodes))
    node, start, end = nodes[order], start_s[order], end_s[order]
    clash = np.flatnonzero((node[1:] == node[:-1]) & (start[1:] < end[:-1]))
    return [(int(order[at]), int(order[at + 1])) for at in clash]


def double_bookings(bookings: Iterable[Booking]) -> list[tuple[str, str, str]]:
    """(node, booking, booking) for each pair of neighbouring bookings that hold one node at one second."""
    held = [(node_id, booking) for booking in bookings for node_id in booking.node_ids]
    number = {node_id: at for at, node_id in enumerate(sorted({node_id for node_id, _ in held}))}
    nodes = np.array([number[node_id] for node_id, _ in held], dtype=np.int64)
    start_s = np.array([booking.start_s for _, booking in held], dtype=np.int64)
    end_s = np.array([booking.end_s for _, booking in held], dtype=np.int64)
    return [
        (held[one][0], held[one][1].booking_id, held[other][1].booking_id)
        for one, other in overlaps(nodes, start_s, end_s)
    ]


def refuse_double(bookings: list[Booking]) -> None:
    """InputError that names the first node and the two bookings that hold it at once."""
    clash = double_bookings(bookings)
    if clash:
        node_id, one, other = clash[0]
        raise InputError(f"bookings {one!r} and {other!r} hold node {node_id!r} at the same time")
