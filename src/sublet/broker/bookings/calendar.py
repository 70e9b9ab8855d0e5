"""Where a gang of nodes fits: pure functions over the calendars of nodes.

A gang is `nodes` nodes of one cluster for the same [start, end), whole or not at all. Among the places that fit, the
one that spoils least is taken: nodes of low rank first, then the cluster with the fewest other free nodes, then the
nodes that are free for the shortest time afterwards. The same calendars always give the same answer.

Invariant: what is returned is free; `earliest` returns the first start at which `place` would find something.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from sublet.broker.bookings.values import NodeCalendar

Gap = tuple[datetime, datetime]
Place = tuple[str, ...]


def gaps(node: NodeCalendar, after: datetime, before: datetime | None = None) -> list[Gap]:
    """The free intervals of `node` within [after, before), in order, none of them empty."""
    at = max(after, node.opens)
    end = node.closes if before is None else min(before, node.closes)
    found = []
    for start, stop in node.busy:
        if start >= end:
            break
        if start > at:
            found.append((at, start))
        at = max(at, stop)
    if at < end:
        found.append((at, end))
    return found


def free_until(node: NodeCalendar, start: datetime, end: datetime) -> datetime | None:
    """When the gap that holds the whole of [start, end) closes; None where the node is not free for all of it."""
    if start < node.opens or end > node.closes:
        return None
    after = bisect_left(node.busy, (end,))  # the first booking that starts at `end` or later
    if after and node.busy[after - 1][1] > start:
        return None
    return min(node.busy[after][0], node.closes) if after < len(node.busy) else node.closes


def place(calendars: Iterable[NodeCalendar], nodes: int, start: datetime, end: datetime) -> Place | None:
    """The ids of `nodes` nodes of one cluster that are free for [start, end), or None. ValueError for an empty gang."""
    if nodes < 1 or start >= end:
        raise ValueError(f"{nodes} nodes from {start} to {end} is no gang")
    free: dict[str, list[tuple[int, datetime, str]]] = defaultdict(list)
    for node in calendars:
        until = free_until(node, start, end)
        if until is not None:
            free[node.cluster].append((node.rank, until, node.node_id))
    choices = []
    for cluster, found in free.items():
        if len(found) >= nodes:
            taken = sorted(found)[:nodes]
            choices.append((sum(rank for rank, _, _ in taken), len(found), cluster, taken))
    if not choices:
        return None
    return tuple(node_id for _, _, node_id in min(choices)[3])


def earliest(
    calendars: Sequence[NodeCalendar],
    nodes: int,
    duration: timedelta,
    after: datetime,
    before: datetime | None = None,
) -> tuple[datetime, Place] | None:
    """The first start at or after `after` at which a gang fits for `duration`, all of it before `before`, and where.

    Such a start is `after`, or an instant at which some node becomes free: each gap of a node that is long enough
    allows the starts [gap start, gap end - duration], and the first instant that `nodes` nodes of a cluster allow is
    the answer.
    """
    if nodes < 1 or duration <= timedelta(0):
        raise ValueError(f"{nodes} nodes for {duration} is no gang")
    changes: dict[str, list[tuple[datetime, int]]] = defaultdict(list)
    for node in calendars:
        for start, end in gaps(node, after, before):
            if end - start >= duration:
                changes[node.cluster] += [(start, 0), (end - duration, 1)]  # it allows both ends: openings go first
    first = min(filter(None, (_first_instant(found, nodes) for found in changes.values())), default=None)
    if first is None:
        return None
    chosen = place(calendars, nodes, first, first + duration)
    assert chosen is not None
    return first, chosen


def _first_instant(changes: list[tuple[datetime, int]], nodes: int) -> datetime | None:
    """The first instant at which `nodes` allowed ranges are open at once. `changes`: (instant, 0 opens | 1 closes)."""
    count = 0
    for instant, closes in sorted(changes):
        count += -1 if closes else 1
        if count == nodes:
            return instant
    return None


def hold(
    calendars: Sequence[NodeCalendar], node_ids: Iterable[str], start: datetime, end: datetime
) -> list[NodeCalendar]:
    """The same calendars with [start, end) taken on these nodes: what they would be after such a booking."""
    taken = frozenset(node_ids)
    return [
        replace(node, busy=tuple(sorted((*node.busy, (start, end))))) if node.node_id in taken else node
        for node in calendars
    ]


def cluster_sizes(calendars: Iterable[NodeCalendar]) -> Mapping[str, int]:
    """Nodes that the calendars know, by cluster: no gang is larger than the largest of them."""
    sizes: dict[str, int] = defaultdict(int)
    for node in calendars:
        sizes[node.cluster] += 1
    return sizes
