"""CPU seconds to join, price and rank 100,000 offers for one job, estimates per machine given. Target: under 0.5.

The offers are drawn by a fixed seed: 60 chips, 40 providers, 300 regions, three markets, two thirds of them asked for;
the job is asked for on four counts. The estimator's own time is not in the figure (a stand-in answers at once).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from decimal import Decimal
from functools import cache

import numpy as np

from _harness import cpu_s, peak_mib, report
from sublet.catalog.accelerator import Accelerator
from sublet.catalog.offer import Offer
from sublet.catalog.shape import Fabric, Shape
from sublet.estimate.result import ChosenLayout, Estimate, Interval, Machine, Memory
from sublet.quote.columns import Columns, Words
from sublet.quote.facts import Facts, Verdict
from sublet.quote.priced import price_all
from sublet.quote.view import Quotes, select
from sublet.workload import builtin
from sublet.workload.job import Constraints, TrainingJob

ROWS = 100_000
TODAY = date(2026, 8, 10)
CHIPS, PROVIDERS, REGIONS = 60, 40, 300


@cache
def chip(name: str) -> Accelerator:
    """A made-up chip; its rate follows from its number."""
    return Accelerator(
        name=name,
        vendor="Vendor",
        family="Family",
        launch=TODAY,
        peak_flops={"bf16": (100.0 + 20.0 * int(name[1:])) * 1e12},
        memory_bytes=80e9,
        memory_bytes_per_s=3e12,
        scale_up="link",
        topology="switch",
        scale_up_bytes_per_s=450e9,
        scale_up_domain=8,
        scale_out_bytes_per_s=50e9,
        tdp_watts=700.0,
        die_mm2=800.0,
        purchase_usd=None,
        frameworks=("PyTorch",),
        tpp=None,
        performance_density=None,
    )


FABRIC = Fabric("switch", 8, 8, 450e9, 50e9, 1e-6, 5e-6)


def fabric(accelerator: Accelerator, shape: Shape | None, per_node: int | None, provider: str | None) -> Fabric:
    """The same for all."""
    return FABRIC


def export(accelerator: Accelerator, country: str | None, on: date | None) -> Verdict:
    """Never asked: the job names no country."""
    raise NotImplementedError


FACTS = Facts(chip, lambda spelling: (spelling,), lambda: (), lambda provider, name: None, fabric, export)


def plan(job: TrainingJob, machines: Sequence[Machine]) -> list[Estimate]:
    """40 % of peak, at once."""
    found = []
    for machine in machines:
        run_s = 2e23 / (0.4 * machine.accelerator.peak_flops["bf16"] * machine.count)
        found.append(
            Estimate(
                machine=machine,
                layout=ChosenLayout(1, 1, 1, 1, 1, machine.count, 1, 1, "zero3", "none", False, False),
                step_s=Interval(0.9, 1.0, 1.1),
                run_s=Interval(0.9 * run_s, run_s, 1.1 * run_s),
                goodput=1.0,
                goodput_source="none",
                steps=run_s,
                tokens_per_s=1e6,
                mfu=0.4,
                hfu=0.4,
                model_flop=2e23,
                memory=Memory("fits", 4e10, 8e10, {}),
                breakdown_s={"all": 1.0},
                bottleneck="all of it",
                energy_j=Interval(1.0, 1.0, 1.0),
                calibration="none",
                calibrated=True,
            )
        )
    return found


def offers() -> Columns:
    """100,000 offers as columns, drawn by a fixed seed."""
    random = np.random.default_rng(7)

    def drawn(size: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        return random.integers(0, size, ROWS).astype(np.int64)

    identity: Words[tuple[str, ...]] = Words(drawn(CHIPS), tuple((f"C{i}",) for i in range(CHIPS)))
    provider = Words(drawn(PROVIDERS), tuple(f"cloud{i}" for i in range(PROVIDERS)))
    shape: Words[str | None] = Words(identity.codes, tuple(f"box{i}" for i in range(CHIPS)))
    region: Words[str | None] = Words(drawn(REGIONS), tuple(f"region-{i}" for i in range(REGIONS)))
    zone: Words[str | None] = Words(drawn(3), ("a", "b", "c"))
    market = Words(drawn(3), ("on-demand", "spot", "community"))
    price = np.round(random.uniform(0.5, 12.0, ROWS), 4)
    seen = TODAY.toordinal() - drawn(200)

    def offer(row: int) -> Offer:
        value = Decimal(repr(float(price[row])))
        return Offer(
            provider=provider[row],
            shape=shape[row],
            accelerator=identity[row][0],
            accelerator_raw=identity[row][0],
            candidates=(),
            count=8,
            region=region[row],
            zone=zone[row],
            market=market[row],
            price_per_node_hour=value * 8,
            price_per_accelerator_hour=value,
            currency="USD",
            minimum_accelerators=8,
            vcpus=None,
            memory_gib=None,
            seen_at=TODAY - timedelta(days=TODAY.toordinal() - int(seen[row])),
            source=f"bench:{row}",
        )

    eight = np.full(ROWS, 8, dtype=np.int64)
    return Columns(
        provider=provider,
        shape=shape,
        identity=identity,
        spelling=Words(identity.codes, tuple(f"C{i}" for i in range(CHIPS))),
        region=region,
        zone=zone,
        market=market,
        currency=Words(np.zeros(ROWS, dtype=np.int64), ("USD",)),
        feed=Words(drawn(3), ("one", "two", "three")),
        flags=Words(drawn(3), ((), ("listed-only",), ("placeholder",))),
        unit=eight,
        by_one=np.zeros(ROWS, dtype=np.bool_),
        minimum=eight,
        price=price,
        seen=seen,
        offer=offer,
    )


JOB = TrainingJob(
    name="bench",
    model=builtin.model("mpt-30b"),
    task="pretrain",
    tokens=1e12,
    sequence=2048,
    global_batch=2048,
    precision="bf16",
    framework="PyTorch",
    constraints=Constraints(counts=(128, 256, 512, 1024), markets=("on-demand", "spot")),
)


def rank_all(columns: Columns) -> Quotes:
    """The whole way from columns to the table of twenty rows."""
    return select(price_all(JOB, columns, as_of=TODAY, facts=FACTS, plan=plan), "best", 20)


if __name__ == "__main__":
    table = offers()
    seconds, found = cpu_s(lambda: rank_all(table))
    report(
        "quote_ranking",
        seconds,
        "CPU-s",
        at_most=0.5,
        offers=found.offers,
        candidates=found.candidates,
        rows=len(found.quotes),
        peak_mib=round(peak_mib()),
    )
