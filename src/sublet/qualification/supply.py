"""What measured nodes say of a supply: multipliers for a quote, by provider, region, shape and fabric.

Efficiencies (measured over reference) are averaged in the logarithm and shrunk towards a prior of some pseudo-nodes;
evidence loses half its weight in a half-life. A region's prior is what its provider shows elsewhere. Invariants: no
evidence gives the prior; more evidence of one value comes nearer to it and is surer; hardware and software factors are
never mixed. Pure: ages are arguments.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import Literal

from sublet.qualification.judging.values import Judgement

Component = Literal["gemm", "hbm", "host", "peer", "intra", "inter", "disk"]
COMPONENTS: Mapping[str, Component] = {
    "perf.gemm": "gemm",
    "perf.hbm": "hbm",
    "perf.h2d_d2h": "host",
    "perf.p2p": "peer",
    "perf.allreduce_intra": "intra",
    "perf.allreduce_inter": "inter",
    "disk.bw": "disk",
}
_P90 = NormalDist().inv_cdf(0.9)


@dataclass(frozen=True)
class Supply:
    """What nodes have in common. `fabric`: in words ("8x400G"); "" where it does not matter."""

    provider: str
    region: str
    shape: str
    fabric: str


@dataclass(frozen=True)
class Evidence:
    """One component of one node: `efficiency` is measured over reference, > 0; `coverage` from 0 to 1."""

    supply: Supply
    component: Component
    efficiency: float
    age_days: float
    coverage: float = 1.0


@dataclass(frozen=True)
class Prior:
    """What is believed of a supply that nobody measured. `spread`: of the logarithm of one node's efficiency."""

    efficiency: float = 1.0
    nodes: float = 8.0  # weight, in nodes
    spread: float = 0.10
    half_life_days: float = 30.0


@dataclass(frozen=True)
class Multiplier:
    """Of one node of a supply. `log_mean`, `log_spread`: of its efficiency; `nodes`: weight of the evidence."""

    log_mean: float
    log_spread: float
    nodes: float

    @property
    def mean(self) -> float:
        """To quote with."""
        return math.exp(self.log_mean)

    @property
    def p10(self) -> float:
        """To promise with."""
        return math.exp(self.log_mean - _P90 * self.log_spread)

    @property
    def p90(self) -> float:
        return math.exp(self.log_mean + _P90 * self.log_spread)

    def of_slowest(self, count: int) -> float:
        """The expected slowest of `count` nodes, which sets the pace of a job over them (Blom 1958); count >= 1."""
        if count < 1:
            raise ValueError(f"{count} nodes have no slowest")
        return math.exp(self.log_mean + self.log_spread * NormalDist().inv_cdf((1 - 0.375) / (count + 0.25)))


@dataclass(frozen=True)
class Factors:
    """What a quote applies. `hardware`: by component; `software`: seen over predicted without the hardware's share."""

    hardware: Mapping[Component, Multiplier]
    software: float = 1.0

    @property
    def qualified(self) -> bool:
        """Whether anything of it was measured."""
        return any(each.nodes > 0 for each in self.hardware.values())


def evidence_of(judgement: Judgement, supply: Supply, age_days: float) -> list[Evidence]:
    """The measured components of a judged node; the worst where one was measured more than once."""
    worst: dict[Component, float] = {}
    for each in judgement.findings:
        component = COMPONENTS.get(each.check)
        if component is not None and each.efficiency is not None and each.efficiency > 0:
            worst[component] = min(worst.get(component, math.inf), each.efficiency)
    return [Evidence(supply, name, value, age_days, judgement.coverage) for name, value in worst.items()]


def shrunk(evidence: Iterable[Evidence], prior: Prior) -> Multiplier:
    """One component: (k0 ln e0 + sum w ln e) / (k0 + sum w), with w = coverage x 0.5^(age / half-life)."""
    total, weighted = prior.nodes, prior.nodes * math.log(prior.efficiency)
    rows = [(each, _weight(each, prior)) for each in evidence]
    for each, weight in rows:
        total += weight
        weighted += weight * math.log(each.efficiency)
    mean = weighted / total
    squares = prior.nodes * (prior.spread**2 + (math.log(prior.efficiency) - mean) ** 2)
    squares += sum(weight * (math.log(each.efficiency) - mean) ** 2 for each, weight in rows)
    # of the next node: its own spread, and what is not known of the mean
    return Multiplier(mean, math.sqrt(squares / total * (1 + 1 / total)), total - prior.nodes)


def _weight(each: Evidence, prior: Prior) -> float:
    if not each.efficiency > 0 or not math.isfinite(each.efficiency):
        raise ValueError(f"{each.component} of {each.supply.provider}: no efficiency is {each.efficiency}")
    weight: float = each.coverage * 0.5 ** (max(each.age_days, 0.0) / prior.half_life_days)
    return weight


def multiplier(evidence: Sequence[Evidence], supply: Supply, component: Component, prior: Prior) -> Multiplier:
    """Of one supply: evidence of its own over a prior that its provider's other regions of the same shape give."""
    own = [each for each in evidence if each.component == component]
    near = [each for each in own if _alike(each.supply, supply)]
    here = [each for each in near if each.supply.region == supply.region]
    elsewhere = shrunk([each for each in near if each.supply.region != supply.region], prior)
    inherited = replace(prior, efficiency=elsewhere.mean, spread=min(elsewhere.log_spread, prior.spread * 1.5))
    found = shrunk(here, inherited)
    return Multiplier(found.log_mean, found.log_spread, found.nodes + elsewhere.nodes)


def _alike(one: Supply, other: Supply) -> bool:
    return (one.provider, one.shape, one.fabric) == (other.provider, other.shape, other.fabric)


def factors(evidence: Sequence[Evidence], supply: Supply, prior: Prior, software: float = 1.0) -> Factors:
    """All components of a supply."""
    every = dict.fromkeys(COMPONENTS.values())
    return Factors({name: multiplier(evidence, supply, name, prior) for name in every}, software)


def software_factor(observed_mfu: float, predicted_mfu: float, slowdown_by_hardware: float) -> float:
    """What is left of seen over predicted throughput when the hardware's share is taken out. All > 0."""
    return observed_mfu / predicted_mfu * slowdown_by_hardware


def slowdown(shares: Mapping[Component, float], found: Factors, nodes: int = 1) -> float:
    """How many times longer a step takes; `shares`: of the step by component, what they leave over is not slowed.

    A component runs at the pace of the slowest of `nodes`.
    """
    used = sum(shares.values())
    if used > 1 + 1e-9 or any(share < 0 for share in shares.values()):
        raise ValueError(f"shares of a step add up to {used:.3f}; at most 1 is right")
    slowed = sum(share / found.hardware[name].of_slowest(nodes) for name, share in shares.items())
    return (slowed + 1 - used) / found.software


def interval(shares: Mapping[Component, float], found: Factors) -> tuple[float, float]:
    """The slowdown of one node at p10 and at p90 of every component: best first."""
    ends = []
    for pick in ("p90", "p10"):
        slowed = sum(share / getattr(found.hardware[name], pick) for name, share in shares.items())
        ends.append((slowed + 1 - sum(shares.values())) / found.software)
    return ends[0], ends[1]


def curve_of(
    reference: Mapping[int, float], measured: Sequence[tuple[Mapping[int, float], float]], prior: Prior
) -> dict[int, float]:
    """An all-reduce curve (bytes -> GB/s) for a supply: at each size the reference times the shrunk multiplier there.

    `measured`: curves with their age in days. A size that nobody measured takes the multiplier of the nearest that was.
    """
    place = Supply("", "", "", "")
    ratios: dict[int, Multiplier] = {}
    for size, rate in reference.items():
        found = [Evidence(place, "inter", curve[size] / rate, age) for curve, age in measured if curve.get(size, 0) > 0]
        if found:
            ratios[size] = shrunk(found, prior)
    if not ratios:
        return {size: rate * prior.efficiency for size, rate in reference.items()}
    return {
        size: rate * ratios[min(ratios, key=lambda each: abs(math.log(each / size)))].mean
        for size, rate in reference.items()
    }


def bandwidth_at(curve: Mapping[int, float], size: float) -> float:
    """GB/s at a message size: linear in the logarithms between two sizes, the end's own beyond it."""
    if not curve:
        raise ValueError("an empty curve has no bandwidth")
    sizes = sorted(curve)
    if size <= sizes[0]:
        return curve[sizes[0]]
    if size >= sizes[-1]:
        return curve[sizes[-1]]
    high = next(each for each in sizes if each >= size)
    low = sizes[max(sizes.index(high) - 1, 0)]
    share = math.log(size / low) / math.log(high / low)
    rate: float = curve[low] * (curve[high] / curve[low]) ** share
    return rate
