"""What one durable workflow per lease would cost, against the reconciler over rows that drives leases instead.

Both drive the same leases with the same engine, from order to active and then through four looks at each that serves.
In the experiment each lease has a workflow `lease/<id>`: a step that advances the lease, then a wait, and again.
Figures are CPU milliseconds of this process per lease; docs/durability.md says what was concluded from them.
"""

from __future__ import annotations

import resource
import sys
import threading
import time
from collections.abc import Callable

from _harness import peak_mib, report
from _leases import Bench, broker
from sublet.storage import durable

LEASES = 100
LOOKS = 4  # at each lease, once it serves


def cpu_of(work: Callable[[], object]) -> float:
    before = resource.getrusage(resource.RUSAGE_SELF)
    work()
    after = resource.getrusage(resource.RUSAGE_SELF)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def ordered(bench: Bench, count: int) -> list[str]:
    lease_ids = []
    for _ in range(count):
        with bench.database.transaction() as session:
            lease_ids.append(bench.order(session))
    return lease_ids


def by_rows(bench: Bench) -> tuple[float, float]:
    """CPU seconds to active, and of the looks."""
    ordered(bench, LEASES)
    to_active = cpu_of(bench.engine.tick)

    def look() -> None:
        for _ in range(LOOKS):
            bench.clock.advance(6)
            assert bench.engine.tick().looked == LEASES

    return to_active, cpu_of(look)


@durable.step("advance")
def advance(lease_id: str) -> bool:
    bench: Bench = durable.resources()
    return bench.engine.advance(lease_id) is None


@durable.workflow("bench-lease")
def life(lease_id: str) -> int:
    looks = 0
    while looks <= LOOKS and not advance(lease_id):
        looks += 1
        durable.wait(0.2)  # real time: the shortest that still lets the others run
    return looks


def by_workflows(bench: Bench) -> tuple[float, float, float, int]:
    """CPU seconds to launch, to active and of the looks together; most threads at once."""
    lease_ids = ordered(bench, LEASES)
    durable.prepare(bench.database, bench)
    launch = cpu_of(durable.ensure)
    most = [0]

    def run() -> None:
        for lease_id in lease_ids:
            durable.start(f"lease/{lease_id}", "bench-lease", lease_id)
        waiting = set(lease_ids)
        while waiting:
            most[0] = max(most[0], threading.active_count())
            waiting = {each for each in waiting if durable.status(f"lease/{each}") == "running"}
            time.sleep(0.5)

    spent = cpu_of(run)
    durable.stop()
    return launch, spent, peak_mib(), most[0]


def main() -> bool:
    with broker(LEASES) as bench:
        active, looks = by_rows(bench)
    rows = 1000 * (active + looks) / LEASES
    report("durable_leases_rows", rows, "CPU-ms", leases=LEASES, of_it_looks_ms=round(1000 * looks / LEASES, 2))
    before = peak_mib()
    with broker(LEASES) as bench:
        launch, spent, after, threads = by_workflows(bench)
    return report(
        "durable_leases_workflows",
        1000 * spent / LEASES,
        "CPU-ms",
        leases=LEASES,
        launch_s=round(launch, 2),
        threads=threads,
        more_mib=round(after - before),
    )


if __name__ == "__main__":
    sys.exit(not main())
