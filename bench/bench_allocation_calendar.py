"""CPU seconds of 100,000 requests on a calendar of 12,544 nodes (100,352 accelerators) x 2,160 h, and how they land.

The draw (seed 4): sizes 1, 2, 4 .. 128 nodes (91 % fit a leaf of 16), 2 to 168 h lognormal around 14.3 h, earliest
starts uniform over 90 days, each may begin up to 0 to 48 h later: load 0.75. Double bookings are counted from the exact
seconds of the bookings, without the cache. Then the same for 125,440 nodes (1,003,520 accelerators): the schedule ten
times side by side (each booking holds its nodes in all ten parts), and 10,000 further requests on top.

    python bench/bench_allocation_calendar.py [--small]     # --small: leave the million out
"""

from __future__ import annotations

import sys
import time
from dataclasses import replace

import numpy as np

from _harness import cpu_s, peak_mib, report
from sublet.allocation.calendar import Calendar
from sublet.allocation.calendar_truth import double_bookings
from sublet.allocation.calendar_values import Ask, Booking
from sublet.allocation.pool import even_pool

NODES, REQUESTS, HOURS = 12_544, 100_000, 2_160
LEAF, POD, PARTS = 16, 128, 10
SIZES = {1: 0.35, 2: 0.2, 4: 0.16, 8: 0.11, 16: 0.09, 32: 0.05, 64: 0.025, 128: 0.015}
HOUR_S = 3_600


def draw(count: int, seed: int) -> list[Ask]:
    """`count` asks of the draw that the module's docstring states."""
    rng = np.random.default_rng(seed)
    sizes = rng.choice(list(SIZES), count, p=list(SIZES.values()))
    hours = np.clip(np.round(np.exp(rng.normal(np.log(14.3), 1.0, count))), 2, 168).astype(int)
    start = (rng.random(count) * (HOURS - hours - 48)).astype(int)
    slack = rng.integers(0, 49, count)
    return [
        Ask(int(nodes), int(long) * HOUR_S, int(at) * HOUR_S, int(at + wait) * HOUR_S)
        for nodes, long, at, wait in zip(sizes, hours, start, slack, strict=True)
    ]


def book_all(calendar: Calendar, asks: list[Ask], prefix: str = "") -> list[float]:
    """Book every ask in turn; CPU microseconds of each."""
    spent = []
    for at, ask in enumerate(asks):
        before = time.thread_time_ns()
        calendar.book(f"{prefix}{at}", "tenant", ask)
        spent.append((time.thread_time_ns() - before) / 1e3)
    return spent


def quality(calendar: Calendar, asks: list[Ask], prefix: str = "") -> tuple[float, int]:
    """Share of the placed asks that fit a leaf and lie in one; how many asks were refused."""
    placed = [calendar.bookings.get(f"{prefix}{at}") for at, ask in enumerate(asks) if ask.nodes <= LEAF]
    held = [booking for booking in placed if booking is not None]
    refused = sum(f"{prefix}{at}" not in calendar.bookings for at in range(len(asks)))
    return sum(booking.leaves == 1 for booking in held) / len(held), refused


def load_of(calendar: Calendar) -> float:
    """Booked share of the node hours."""
    cells = calendar.table.free[:HOURS]
    return 1 - float(cells.sum()) / (len(calendar.pool.nodes) * HOURS)


def million(small: Calendar) -> bool:
    """The same at 1,003,520 accelerators: measured, with no target."""
    pool = even_pool(NODES * PARTS, LEAF, POD)
    names = [node.node_id for node in pool.nodes]
    number = {node.node_id: at for at, node in enumerate(small.pool.nodes)}

    def tenfold(booking: Booking) -> Booking:
        rows = [number[node_id] + part * NODES for part in range(PARTS) for node_id in booking.node_ids]
        return replace(booking, node_ids=tuple(names[row] for row in rows))

    held = [tenfold(booking) for booking in small.bookings.values()]
    seconds, calendar = cpu_s(lambda: Calendar(pool, bookings=held), repeats=1)
    intervals = sum(len(booking.node_ids) for booking in held)
    report("calendar_million_rebuild", seconds, "CPU-s", bookings=len(held), node_intervals=intervals)
    asks = draw(10_000, seed=5)
    spent = book_all(calendar, asks, "new")
    one_leaf, refused = quality(calendar, asks, "new")
    detail = {
        "p50_us": round(float(np.percentile(spent, 50))),
        "p99_us": round(float(np.percentile(spent, 99))),
        "load": round(load_of(calendar), 3),
        "refused": refused,
        "one_leaf": round(one_leaf, 4),
        "peak_mib": round(peak_mib()),
    }
    return report("calendar_million_book", sum(spent) / len(spent), "CPU-us/request", **detail)


def main() -> int:
    """Measure and report; exit code 1 where a target is missed."""
    pool, asks = even_pool(NODES, LEAF, POD), draw(REQUESTS, seed=4)
    best: list[float] = []
    for _ in range(3):
        calendar = Calendar(pool)
        spent = book_all(calendar, asks)
        best = spent if not best or sum(spent) < sum(best) else best
    one_leaf, refused = quality(calendar, asks)
    detail = {"accelerators": NODES * 8, "load": round(load_of(calendar), 3), "refused": refused}
    met = report("calendar_book", sum(best) / 1e6, "CPU-s", at_most=8.0, requests=REQUESTS, **detail)
    p50 = round(float(np.percentile(best, 50)), 1)
    met &= report("calendar_p99", float(np.percentile(best, 99)), "CPU-us", at_most=1_000.0, p50_us=p50)
    met &= report("calendar_one_leaf", one_leaf, "share", at_least=0.99, of="requests of 16 nodes or fewer")
    met &= report("calendar_double", float(len(double_bookings(calendar.bookings.values()))), "bookings", at_most=0.0)
    held = list(calendar.bookings.values())
    seconds, again = cpu_s(lambda: Calendar(pool, bookings=held))
    same = np.array_equal(again.table.busy, calendar.table.busy)
    met &= report("calendar_rebuild", seconds, "CPU-s", at_most=2.0, bookings=len(held), equals_live=same) and same
    if "--small" not in sys.argv:
        million(calendar)
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
