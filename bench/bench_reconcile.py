"""CPU seconds of one pass over 1,000 active leases: each looked at, and metered where that is due. Target: under 2.

The pass that is timed is one in which every lease is metered (the first pass after a minute); in the passes between,
twelve of thirteen at the default policy, nothing is metered: their figure is given too.
"""

from __future__ import annotations

import sys

from _harness import cpu_s, report
from _leases import broker
from sublet.broker.supply import service as supply

LEASES = 1000


def main(leases: int = LEASES) -> bool:
    with broker(leases) as bench:
        with bench.database.transaction() as session:
            quote = bench.quote(session)
            for node in supply.nodes(session):
                bench.lease(session, node.id, quote)
        activate, _ = cpu_s(bench.engine.tick, repeats=1)
        bench.clock.advance(65)
        metered, done = cpu_s(bench.engine.tick, repeats=1)
        assert not done.errors
        assert done.looked == leases

        def look() -> int:
            bench.clock.advance(6)
            return bench.engine.tick().looked

        plain, looked = cpu_s(look)
        assert looked == leases
    return report(
        "reconcile",
        metered,
        "CPU-s",
        at_most=2.0,
        leases=leases,
        without_metering=round(plain, 3),
        to_active_each_ms=round(1000 * activate / leases, 1),
    )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
