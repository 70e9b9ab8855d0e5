"""CPU milliseconds of warm queries over 130,000 offers, and of loading the embedded catalogue cold.

The table is the embedded catalogue, repeated with shifted days until it has 130,000 rows; no other data is needed.
"""

from __future__ import annotations

import sys
from datetime import date, timedelta

from _harness import child_cpu_s, cpu_s, report
from sublet.catalog import embedded
from sublet.catalog.asof import standing
from sublet.catalog.table import OfferTable, concat

ROWS = 130_000
AT_MOST_MS = 20.0
AT_MOST_LOAD_MS = 60.0
INNER = 20  # queries per measurement, so that the clock's grain does not show


def table_of(rows: int) -> OfferTable:
    """The embedded offers, repeated to `rows` rows; each copy is a day later than the one before."""
    one = embedded.offers()
    copies = []
    for shift in range(-(-rows // len(one))):
        days = {name: one.ints(name) + shift for name in ("first", "last", "verified")}
        copies.append(one.with_numbers(**days))
    return concat(copies).take(range(rows))


def main() -> int:
    """Measure and report; exit code 1 where a target is missed."""
    table = table_of(ROWS)
    table.where(accelerator="H100", count=8)  # warm: names and prices are read once

    def everywhere() -> int:
        return sum(len(table.where(accelerator="H100", count=8)) for _ in range(INNER)) // INNER

    def on_a_day() -> int:
        day = date(2025, 5, 7)
        found = (table.where(accelerator="H100", count=8, as_of=day + timedelta(days=shift)) for shift in range(INNER))
        return sum(map(len, found)) // INNER

    seconds, offers = cpu_s(everywhere)
    met = report("catalog_query", seconds / INNER * 1e3, "CPU-ms", at_most=AT_MOST_MS, rows=len(table), offers=offers)
    seconds, offers = cpu_s(on_a_day)
    met &= report(
        "catalog_query_as_of", seconds / INNER * 1e3, "CPU-ms", at_most=AT_MOST_MS, rows=len(table), offers=offers
    )
    seconds, day_table = cpu_s(lambda: standing(table, date(2025, 5, 7)))
    report("catalog_standing", seconds * 1e3, "CPU-ms", rows=len(table), offers=len(day_table))
    seconds, whole = cpu_s(embedded.offers.__wrapped__)  # what the cache would hide
    started = child_cpu_s([sys.executable, "-c", "from sublet.catalog import embedded; embedded.offers()"])
    detail = {"rows": len(whole), "with_interpreter_ms": round(started * 1e3)}
    met &= report("catalog_load_cold", seconds * 1e3, "CPU-ms", at_most=AT_MOST_LOAD_MS, **detail)
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
