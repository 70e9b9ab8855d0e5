"""Small stand-ins: chips, offers and an estimator whose answers can be computed in the head."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal

from hypothesis import settings
from hypothesis import strategies as st

from sublet.catalog.accelerator import Accelerator
from sublet.catalog.offer import Offer
from sublet.catalog.shape import Fabric
from sublet.estimate.result import ChosenLayout, Estimate, Interval, Machine, Memory, Rejection
from sublet.quote.columns import from_offers
from sublet.quote.facts import Facts
from sublet.quote.priced import price_all
from sublet.quote.view import select
from sublet.workload.job import Constraints, TrainingJob
from sublet.workload.model import Model

TODAY = date(2026, 8, 10)
patient = settings(deadline=None)  # a busy machine is no failure


def chip(name, tflops=1000.0, memory=80e9, frameworks=("PyTorch", "JAX"), **other):
    values = {
        "name": name,
        "vendor": "Vendor",
        "family": "Family",
        "launch": date(2022, 1, 1),
        "peak_flops": {"bf16": tflops * 1e12},
        "memory_bytes": memory,
        "memory_bytes_per_s": 3e12,
        "scale_up": "NVLink",
        "topology": "switch",
        "scale_up_bytes_per_s": 450e9,
        "scale_up_domain": 8,
        "scale_out_bytes_per_s": 50e9,
        "tdp_watts": 700.0,
        "die_mm2": 800.0,
        "purchase_usd": 30000.0,
        "frameworks": tuple(frameworks),
        "tpp": 16000.0,
        "performance_density": 19.0,
    }
    return Accelerator(**{**values, **other})


CHIPS = {
    c.name: c
    for c in (
        chip("Fast", 1000.0),
        chip("Slow", 300.0),
        chip("Small", 1000.0, memory=16e9),
        chip("Torus", 400.0, topology="torus2d", frameworks=("JAX",)),
    )
}


def fabric(topology="switch", node=8, assumption=""):
    return Fabric(
        topology=topology,
        domain=node,
        node=node,
        scale_up_bytes_per_s=450e9,
        scale_out_bytes_per_s=50e9,
        scale_up_latency_s=1e-6,
        scale_out_latency_s=5e-6,
        assumption=assumption,
    )


@dataclass(frozen=True)
class FakeVerdict:
    verdict: str
    sentence: str


def export(accelerator, country, on):
    if country == "CN" and accelerator.name == "Fast":
        return FakeVerdict("licence required", "Fast needs a licence for CN: rule R, threshold 4,800, TPP 16,000")
    if country == "CN" and accelerator.name == "Slow":
        return FakeVerdict("not known", "")
    return FakeVerdict("unrestricted", "")


SPELLINGS = {"fast": ("Fast",), "slow": ("Slow",), "either": ("Fast", "Slow"), "small": ("Small",), "torus": ("Torus",)}

FACTS = Facts(
    accelerator=CHIPS.get,
    names=lambda spelling: SPELLINGS.get(spelling.casefold(), ()),
    known=lambda: tuple(CHIPS),
    shape=lambda provider, name: None,
    fabric=lambda accelerator, shape, per_node, provider: fabric(
        accelerator.topology, per_node or 8, "" if provider != "murky" else "assumed 50 GB/s"
    ),
    export=export,
)


def model():
    return Model(
        name="toy",
        layers=10,
        hidden=1024,
        heads=8,
        kv_heads=8,
        head_dim=128,
        ffn_hidden=4096,
        vocab=32000,
        gated=False,
        tied_embeddings=True,
    )


def job(tokens=1e12, framework="PyTorch", precision="bf16", **constraints):
    return TrainingJob(
        name="toy run",
        model=model(),
        task="pretrain",
        tokens=tokens,
        sequence=2048,
        global_batch=512,
        precision=precision,
        framework=framework,
        constraints=Constraints(**constraints),
    )


FLOP = 4e23  # of the fake run: 1000 TFLOP/s at 40 % finish it in 1e9 accelerator-seconds


def estimate(machine: Machine, *, calibrated=True) -> Estimate | Rejection:
    """40 % of peak, perfect scaling, P10 and P90 at -10 % and +20 %; chips under 20 GB do not fit."""
    if machine.accelerator.memory_bytes < 20e9:
        needed = 30e9 / machine.accelerator.memory_bytes
        return Rejection(
            machine, f"memory: needs 30 GB, offers {machine.accelerator.memory_bytes / 1e9:.0f} GB", needed
        )
    run_s = FLOP / (0.4 * machine.accelerator.peak_flops["bf16"] * machine.count)
    steps = 1000.0
    step_s = run_s / steps
    return Estimate(
        machine=machine,
        layout=ChosenLayout(1, 1, 1, 1, 1, machine.count, 1, 1, "zero3", "none", False, False),
        step_s=Interval(0.9 * step_s, step_s, 1.2 * step_s),
        run_s=Interval(0.9 * run_s, run_s, 1.2 * run_s),
        goodput=1.0,
        goodput_source="none lost",
        steps=steps,
        tokens_per_s=1e6,
        mfu=0.4,
        hfu=0.4,
        model_flop=FLOP,
        memory=Memory("fits", 30e9, 70e9, {"weights": 10e9, "activations": 20e9}),
        breakdown_s={"matrix multiplications": 0.8 * step_s, "exposed network": 0.2 * step_s},
        bottleneck="matrix multiplications take 80 % of the step",
        energy_j=Interval(1e12, 1.1e12, 1.3e12),
        calibration="fake",
        calibrated=calibrated,
    )


def plan(job, machines):
    return [estimate(machine) for machine in machines]


def offer(provider="alpha", accelerator="Fast", price="2.00", **other) -> Offer:
    price = Decimal(price)
    count = other.pop("count", 8)
    values = {
        "provider": provider,
        "shape": "box8",
        "accelerator": accelerator,
        "accelerator_raw": accelerator or "either",
        "candidates": (),
        "count": count,
        "region": "us-east-1",
        "zone": None,
        "market": "on-demand",
        "price_per_node_hour": price * count,
        "price_per_accelerator_hour": price,
        "currency": "USD",
        "minimum_accelerators": count,
        "vcpus": None,
        "memory_gib": None,
        "seen_at": TODAY,
        "source": "feed:file.csv:1",
    }
    return Offer(**{**values, **other})


def priced(offers, asked=None, as_of=TODAY, facts=FACTS, estimator=plan):
    return price_all(asked or job(counts=(512,)), from_offers(offers), as_of=as_of, facts=facts, plan=estimator)


def quotes(offers, asked=None, view="best", limit=0, **other):
    return select(priced(offers, asked, **other), view, limit).quotes


PRICES = st.integers(50, 500).map(lambda cents: f"{cents / 100:.2f}")
OFFERS = st.lists(
    st.builds(
        offer,
        provider=st.sampled_from(["alpha", "beta", "gamma"]),
        accelerator=st.sampled_from(["Fast", "Slow", "Small"]),
        price=PRICES,
        region=st.sampled_from([None, "us-east-1", "eu-west-1"]),
        market=st.just("on-demand"),
        currency=st.sampled_from(["USD", "USD", "USD", "CNY"]),
        flags=st.sampled_from([(), (), (), ("placeholder",), ("listed-only",)]),
        seen_at=st.sampled_from([TODAY, date(2026, 8, 1), date(2024, 5, 1)]),
    ),
    min_size=1,
    max_size=12,
)


def essence(quote):
    o = quote.offer
    return (quote.rank, quote.accelerator, quote.count, o.provider, o.region, str(o.price_per_node_hour), quote.pareto)


__all__ = [name for name in dir() if not name.startswith("_")] + ["replace"]
