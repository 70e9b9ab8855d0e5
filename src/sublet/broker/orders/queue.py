"""Who in line is served, where, and why the others wait: pure functions over calendars and what is wanted.

Those in line are looked at by tier, then by who came first. Each takes the place that suits it; one that wants machines
now and cannot have them yet holds a claim on its first gap, so that those behind it may use what is free only where
they do not delay it (conservative backfill). A claim is made anew at every look and books nothing.

Invariant: what one decision takes or claims is not given to another; without new bookings, nobody's first gap moves
later because of those behind.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sublet.broker.bookings import calendar
from sublet.broker.bookings.values import NodeCalendar
from sublet.broker.orders.values import Blocked


@dataclass(frozen=True)
class Want:
    """What an order asks of the calendar: `nodes` nodes of one cluster for `duration`.

    Without `start` and `window_end`: now. With `start` alone: exactly then. With `window_end`: wholly within
    [start or now, window_end).
    """

    order_id: str
    nodes: int
    duration: timedelta
    tier: int
    entered_at: datetime
    start: datetime | None = None
    window_end: datetime | None = None
    project: str = ""  # whose caps bear on it
    accelerators: int = 0
    blocked: tuple[Blocked, ...] = ()  # when a cap lets it have nothing, in order of start

    def too_late(self, now: datetime) -> str:
        """Why it can never be served any more, or an empty text."""
        if self.window_end is not None:
            if max(self.start or now, now) + self.duration > self.window_end:
                return f"its window closed: it had to start by {(self.window_end - self.duration).isoformat()}"
        elif self.start is not None and self.start < now:
            return f"its start, {self.start.isoformat()}, passed before nodes were free"
        return ""

    def capped(self, now: datetime) -> Blocked | None:
        """The cap that alone, whatever is free, keeps it from being served as it asks; None where none does."""
        at = max(self.start or now, now)
        if self.window_end is None:
            return next((span for span in self.blocked if span.start < at + self.duration and span.end > at), None)
        last = self.window_end - self.duration
        stopped_by = None
        for span in self.blocked:
            if span.end > at:
                if span.start >= at + self.duration:
                    return None
                at, stopped_by = span.end, span
        return stopped_by if at > last else None


@dataclass(frozen=True)
class Decision:
    """Where a want is served (`start` and `node_ids`), or the reasons why it waits, the weightiest first."""

    order_id: str
    start: datetime | None
    node_ids: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()


def line(wants: Iterable[Want]) -> list[Want]:
    """The order of service: tier, then who came first."""
    return sorted(wants, key=lambda want: (want.tier, want.entered_at, want.order_id))


def decide(shape: str, calendars: Sequence[NodeCalendar], wants: Iterable[Want], now: datetime) -> list[Decision]:
    """One decision for each want, in the order of service. `calendars`: those of the nodes of `shape`."""
    left = list(calendars)
    decisions = []
    for want in line(wants):
        found = fit(left, want, now)
        if found is not None:
            decisions.append(Decision(want.order_id, *found))
        else:
            decisions.append(Decision(want.order_id, None, (), why(shape, calendars, left, want, now)))
            if want.start is None and want.window_end is None:
                found = calendar.earliest(_allowed(left, want), want.nodes, want.duration, now)
        if found is not None:
            left = calendar.hold(left, found[1], found[0], found[0] + want.duration)
    return decisions


def fit(calendars: Sequence[NodeCalendar], want: Want, now: datetime) -> tuple[datetime, tuple[str, ...]] | None:
    """Where a want may be served as it asks, or None."""
    if want.too_late(now) or want.capped(now):
        return None
    calendars = _allowed(calendars, want)
    if want.window_end is not None:
        return calendar.earliest(calendars, want.nodes, want.duration, max(want.start or now, now), want.window_end)
    start = want.start or now
    place = calendar.place(calendars, want.nodes, start, start + want.duration)
    return None if place is None else (start, place)


def why(
    shape: str, calendars: Sequence[NodeCalendar], left: Sequence[NodeCalendar], want: Want, now: datetime
) -> tuple[str, ...]:
    """Why a want waits. `calendars` as they are; `left`: with what those before it in line take or claim."""
    late = want.too_late(now)
    if late:
        return (late,)
    if not calendars:
        return (f"no node of {shape} takes bookings",)
    if capped := want.capped(now):
        return (capped.sentence,)
    largest = max(calendar.cluster_sizes(calendars).values())
    if largest < want.nodes:
        return (f"the order asks for {_nodes(want.nodes)}, the largest cluster of {shape} has {largest} to book",)
    after = max(want.start or now, now)
    reasons = []
    if fit(calendars, want, now) is not None:
        reasons.append(f"{_nodes(want.nodes)} of {shape} would be free, but orders before it have a claim on them")
    elif want.window_end is not None:
        reasons.append(
            f"no {_nodes(want.nodes)} of one cluster of {shape} are free for {_span(want.duration)}"
            f" between {after.isoformat()} and {want.window_end.isoformat()}"
        )
    else:
        end = after + want.duration
        most = _most_free(calendars, after, end)
        reasons.append(
            f"of the {_nodes(want.nodes)} asked for, {most} can be had in one cluster of {shape}"
            f" from {after.isoformat()} to {end.isoformat()}"
        )
    gap = calendar.earliest(_allowed(left, want), want.nodes, want.duration, after)
    if gap is None:
        reasons.append(f"what we hold of {shape} ends before {_span(want.duration)} are free")
    elif want.start is None and want.window_end is None:
        reasons.append(f"the first gap that nobody before it claims starts at {gap[0].isoformat()}")
    else:
        reasons.append(f"the first gap outside what was asked for starts at {gap[0].isoformat()}")
    return tuple(reasons)


def _allowed(calendars: Sequence[NodeCalendar], want: Want) -> Sequence[NodeCalendar]:
    """The calendars with the time taken off in which a cap lets the want have nothing."""
    if not want.blocked:
        return calendars
    return [replace(node, busy=_union((*node.busy, *((b.start, b.end) for b in want.blocked)))) for node in calendars]


def _union(spans: Iterable[calendar.Gap]) -> tuple[calendar.Gap, ...]:
    found: list[calendar.Gap] = []
    for start, end in sorted(spans):
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], end))
        else:
            found.append((start, end))
    return tuple(found)


def _most_free(calendars: Sequence[NodeCalendar], start: datetime, end: datetime) -> int:
    free = [node for node in calendars if calendar.free_until(node, start, end) is not None]
    return max(calendar.cluster_sizes(free).values(), default=0)


def _nodes(number: int) -> str:
    return f"{number} node{'s' * (number != 1)}"


def _span(duration: timedelta) -> str:
    return f"{duration / timedelta(hours=1):,.6g} h"
