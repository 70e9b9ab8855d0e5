"""The quote: one offer at one count with its estimate, its price and everything that must be said about both.

Invariant: a quote is immutable and self-contained; a figure in it that rests on doubt has that doubt in `flags`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from sublet.catalog.flags import FLAGS as OF_OFFERS
from sublet.catalog.offer import Offer
from sublet.catalog.shape import Fabric
from sublet.estimate.result import Estimate, Interval

# How far a price may be trusted; ranking orders by it before anything else.
FIRM = 0  # in the ranking currency, recent, whole
DOUBTFUL = 1  # old, without the host, or far below the market: ranked below every firm price, marked
UNRANKED = 2  # a placeholder or a foreign currency: shown, marked, never ranked against the others

# The marks that a quote adds to those of its offer (catalog.flags), with what they mean; a renderer prints the meaning
# once below its table.
FLAGS = {
    "stale": "the price is old: its age stands beside it",
    "sources-disagree": "another source states another price for the same accelerator at this provider",
    "several-prices": "the source lists several prices for this; the lowest is quoted",
    "ambiguous-accelerator": "the offer does not say which chip it is: estimated as the slowest it may be",
    "fabric-assumed": "the network between the accelerators is not published: the estimate assumes one and says which",
    "never-calibrated": "nobody has published a measurement of this chip: the interval is wide",
    "memory-edge": "fits, but within the margin at which runs have failed",
    "spot": "can be taken away at any time; interruptions are not in the days",
    "commitment": "sold for a term: the cost is that of the whole term where the run is shorter",
    "deadline-at-risk": "meets the deadline at the median, but not at the ninetieth percentile",
    "budget-at-risk": "within budget at the median, but not at the ninetieth percentile",
    "export-not-known": "the figures that the export rules ask for are not published for this chip",
    "region-unknown": "the source does not say where it is",
}


@dataclass(frozen=True)
class Cost:
    """What the run costs at its tenth, fiftieth and ninetieth percentile of duration, to the cent."""

    p10: Decimal
    p50: Decimal
    p90: Decimal
    currency: str


@dataclass(frozen=True)
class OtherPrice:
    """Another source's price for the same accelerator, provider, market and place."""

    price_per_accelerator_hour: Decimal
    currency: str
    seen_at: date
    source: str


@dataclass(frozen=True)
class Quote:
    """One way to run the job. `rank` counts from 1 in the order asked for; 0 where the price cannot be ranked."""

    rank: int
    offer: Offer
    accelerator: str  # the chip that the estimate is for
    candidates: tuple[str, ...]  # what an ambiguous offer may be; () where it is known
    count: int
    fabric: Fabric  # as this offer has it; the estimate's may be the same fabric of another offer
    estimate: Estimate
    days: Interval
    cost: Cost
    exaflop_per_usd: float | None  # model EFLOP of the run per US dollar; None in another currency
    trust: int  # FIRM | DOUBTFUL | UNRANKED
    pareto: bool  # no firmer quote is both faster and cheaper
    flags: tuple[str, ...]
    price_age_days: int
    other_prices: tuple[OtherPrice, ...]
    interruptions: str  # how often a spot machine is taken away, where that is published; else empty
    similar: int  # offers of the same accelerator and count that this row stands for, itself not counted

    @property
    def assumptions(self) -> tuple[str, ...]:
        """What is taken for granted: about the fabric of this offer, then about the run."""
        of_machine = self.estimate.machine.fabric.assumption
        others = (sentence for sentence in self.estimate.assumptions if sentence != of_machine)
        return tuple(dict.fromkeys(sentence for sentence in (self.fabric.assumption, *others) if sentence))


@dataclass(frozen=True)
class Rejected:
    """Why offers were left out: one reason for one accelerator.

    `kind` is "framework", "memory", "precision", "layout", "export", "minimum-size", "count", "accelerator",
    "provider", "region", "market", "deadline", "budget", "data" or "price". `miss` is how many times over the limit
    the nearest came (1.2: a fifth too much), where that can be said.
    """

    accelerator: str
    kind: str
    reason: str
    offers: int
    count: int | None = None
    miss: float | None = None


def meanings(flags: set[str]) -> dict[str, str]:
    """What the marks on some quotes mean, in the order of the list of marks."""
    known = {**OF_OFFERS, **FLAGS}
    return {flag: known[flag] for flag in known if flag in flags}
