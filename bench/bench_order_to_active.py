"""Our own time, in CPU milliseconds, from an accepted quote to an active lease on the simulated provider. Target: 150.

What is timed: `place_order` and the engine's pass that makes, finds and qualifies one node, and starts its billing.
"""

from __future__ import annotations

import time

from _harness import cpu_s, report
from _leases import broker
from sublet.broker import compose
from sublet.broker.leases import store

REPEATS = 20


def main() -> bool:
    walls = []
    with broker(REPEATS + 5) as bench:

        def once() -> None:
            with bench.database.transaction() as session:
                quote = bench.quote(session).id
            begun = time.perf_counter()
            with bench.database.transaction() as session:
                placed = compose.place_order(
                    session, quote=quote, idempotency_key=quote, actor=bench.member, now=bench.clock.now()
                )
            bench.engine.tick()
            walls.append(time.perf_counter() - begun)
            with bench.database.reading() as session:
                assert placed.lease_id is not None
                assert store.lease_of(session, placed.lease_id).active_at is not None

        cpu, _ = cpu_s(once, repeats=REPEATS)
    walls.sort()
    return report(
        "order_to_active",
        1000 * cpu,
        "CPU-ms",
        at_most=150.0,
        median_wall_ms=round(1000 * walls[len(walls) // 2], 1),
        runs=len(walls),
    )


if __name__ == "__main__":
    main()
