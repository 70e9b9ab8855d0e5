"""Leases per second through the whole life, quote to receipt, one process, SQLite and PostgreSQL, simulated provider.

What is timed is wall time of everything: quote, order, booking, creation, qualification with its certificate, service,
end, settlement, receipt. The clock of the lease is virtual, the databases write to the disk as they always do. CPU
milliseconds of this process stand beside it.
"""

from __future__ import annotations

import os
import sys
import time

from _harness import report
from _leases import Bench, NotInstalled, broker, postgresql
from sublet.broker.billing import receipts
from sublet.broker.leases import service as leases
from sublet.broker.leases.states import State
from sublet.broker.tenants.values import SYSTEM

LEASES = int(os.environ.get("SUBLET_BENCH_LEASES", "200"))


def live(bench: Bench, count: int) -> tuple[float, float]:
    """Wall and CPU seconds of `count` whole lives, all at once on as many nodes; each ends settled, with a receipt."""
    begun, spent = time.perf_counter(), time.process_time()
    lease_ids = []
    for _ in range(count):
        with bench.database.transaction() as session:
            lease_ids.append(bench.order(session))
    bench.engine.tick()
    bench.clock.advance(1800)
    bench.engine.tick()
    for lease_id in lease_ids:
        with bench.database.transaction() as session:
            leases.request_end(session, lease_id, actor=bench.member, now=bench.clock.now())
    for _ in range(20):
        bench.engine.tick()
        with bench.database.reading() as session:
            if not leases.running(session):
                break
        bench.clock.advance(600)
    wall, cpu = time.perf_counter() - begun, time.process_time() - spent
    with bench.database.reading() as session:
        states = {leases.get(session, lease_id, actor=SYSTEM).state for lease_id in lease_ids}
        assert states == {State.SETTLED}, states
        assert all(receipts.of_lease(session, lease_id, actor=SYSTEM) for lease_id in lease_ids)
    return wall, cpu


def measure(kind: str, url: str = "") -> bool:
    """One database."""
    with broker(LEASES, url) as bench:
        wall, cpu = live(bench, LEASES)
    each = round(1000 * cpu / LEASES, 1)
    return report(f"lease_life_{kind}", LEASES / wall, "leases/s", leases=LEASES, cpu_ms_each=each)


def main() -> bool:
    """Both databases."""
    met = measure("sqlite")
    try:
        with postgresql() as new:
            met &= measure("postgresql", new())
    except NotInstalled as reason:
        print(f"postgresql left out: {reason}")
    return met


if __name__ == "__main__":
    sys.exit(not main())
