"""Why a quote is what it is: what takes the time, where each figure comes from, and what would change the order.

Invariant: an explanation is computed from the quote itself and from the estimator that made it; it holds no figure of
its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import ROUND_HALF_UP, Decimal

from sublet.errors import InputError
from sublet.estimate.result import Estimate, Interval, Machine
from sublet.quote.priced import CURRENCY, Plan
from sublet.quote.value import FIRM, Quote
from sublet.quote.view import Quotes
from sublet.units import DAY_S
from sublet.workload.job import TrainingJob

PRICE_PLACES = Decimal("0.0001")


@dataclass(frozen=True)
class Crossover:
    """The price at which a quote and another cost the same, all else unchanged."""

    other: int  # the other quote's rank
    what: str  # the other quote, for people
    price_per_accelerator_hour: Decimal
    change: float  # from today's price: -0.1 is a tenth less


@dataclass(frozen=True)
class WhatIf:
    """The same job on the same machine with one thing twice as fast, laid out anew."""

    change: str
    days: Interval
    share: float  # of the time saved: 0.1 is a tenth less


@dataclass(frozen=True)
class Explanation:
    """Everything behind one quote."""

    quote: Quote
    parts: tuple[tuple[str, float, float], ...]  # of a step: name, seconds, share; longest first
    memory: tuple[tuple[str, float], ...]  # component, bytes per accelerator; largest first
    figures: tuple[tuple[str, str], ...]  # figure -> where it comes from
    crossovers: tuple[Crossover, ...]
    what_ifs: tuple[WhatIf, ...]


def explain(quotes: Quotes, row: int, plan: Plan | None = None) -> Explanation:
    """The explanation of the quote in line `row` (from 1) of `quotes`.

    With `plan`, the estimator is asked what twice the link, memory or compute rate would change. Raises InputError
    where there is no such line.
    """
    if not 1 <= row <= len(quotes.quotes):
        there = f"1 to {len(quotes.quotes)}" if quotes.quotes else "no rows at all"
        raise InputError(f"row {row} is not in the list: it has {there}; a larger --limit shows more")
    quote = quotes.quotes[row - 1]
    step = quote.estimate.step_s.p50
    parts = sorted(quote.estimate.breakdown_s.items(), key=lambda part: (-part[1], part[0]))
    return Explanation(
        quote=quote,
        parts=tuple((name, seconds, seconds / step) for name, seconds in parts),
        memory=tuple(sorted(quote.estimate.memory.components.items(), key=lambda part: (-part[1], part[0]))),
        figures=tuple(figures(quote)),
        crossovers=crossovers(quotes.quotes, row - 1),
        what_ifs=what_ifs(quotes.job, quote.estimate, plan) if plan else (),
    )


def figures(quote: Quote) -> list[tuple[str, str]]:
    """Where each figure of a quote comes from, one sentence each."""
    offer, estimate = quote.offer, quote.estimate
    price = f"{offer.source}, seen {offer.seen_at}"
    if quote.price_age_days:
        price += f" ({quote.price_age_days:,} days before the day of the question)"
    if offer.source_url:
        price += f", {offer.source_url}"
    rows = [
        ("price", price),
        ("step time", f"roofline of the chip's data sheet, calibrated: {estimate.calibration}"),
        ("run time", f"step time x {estimate.steps:,.0f} steps / goodput {estimate.goodput:.3f}"),
        ("goodput", estimate.goodput_source),
        ("fabric", quote.fabric.source or "the chip's own data sheet"),
    ]
    if quote.candidates:
        rows.append(
            (
                "accelerator",
                f"the source says {offer.accelerator_raw!r}, which may be {' or '.join(quote.candidates)}; "
                f"estimated as the slowest, {quote.accelerator}",
            )
        )
    if quote.interruptions:
        rows.append(("interruptions", f"{quote.interruptions}; not in the days"))
    rows += [("assumed", sentence) for sentence in quote.assumptions]
    rows += [
        (
            "disagreement",
            f"{other.source} says {other.price_per_accelerator_hour} {other.currency} (seen {other.seen_at}); "
            f"quoted: {offer.price_per_accelerator_hour} {offer.currency} (seen {offer.seen_at})",
        )
        for other in quote.other_prices
    ]
    return rows


def crossovers(quotes: Sequence[Quote], index: int) -> tuple[Crossover, ...]:
    """At which price the quote would cost as much as the first, the one before it and the one after it in the list."""
    own = quotes[index]
    if own.cost.currency != CURRENCY or not own.cost.p50:
        return ()
    found = []
    for other in dict.fromkeys((0, index - 1, index + 1)):
        if other == index or not 0 <= other < len(quotes):
            continue
        rival = quotes[other]
        if rival.cost.currency != own.cost.currency or not rival.rank:
            continue
        ratio = rival.cost.p50 / own.cost.p50
        price = (own.offer.price_per_accelerator_hour * ratio).quantize(PRICE_PLACES, rounding=ROUND_HALF_UP)
        where = f"{rival.count:,} x {rival.accelerator}, {rival.offer.provider}"
        doubt = "" if rival.trust == FIRM else " (its price is doubtful)"
        found.append(Crossover(rival.rank, where + doubt, price, float(ratio) - 1.0))
    return tuple(found)


def what_ifs(job: TrainingJob, estimate: Estimate, plan: Plan) -> tuple[WhatIf, ...]:
    """How long the run would take with twice the rate of one part of the machine, largest gain first."""
    machine = estimate.machine
    cases = _faster(machine)
    results = plan(job, [case for _, case in cases])
    found = []
    for (change, _), result in zip(cases, results, strict=True):
        if isinstance(result, Estimate):
            share = 1.0 - result.run_s.p50 / estimate.run_s.p50
            found.append(WhatIf(change, result.run_s.scaled(1.0 / DAY_S), share))
    return tuple(sorted(found, key=lambda case: (-case.share, case.change)))


def _faster(machine: Machine) -> list[tuple[str, Machine]]:
    """The machine with one rate doubled at a time."""
    chip, fabric = machine.accelerator, machine.fabric
    cases = [
        (
            "twice the compute rate",
            replace(
                machine,
                accelerator=replace(chip, peak_flops={name: 2.0 * peak for name, peak in chip.peak_flops.items()}),
            ),
        ),
    ]
    if chip.memory_bytes_per_s:
        faster = replace(chip, memory_bytes_per_s=2.0 * chip.memory_bytes_per_s)
        cases.append(("twice the memory bandwidth", replace(machine, accelerator=faster)))
    roomier = replace(chip, memory_bytes=2.0 * chip.memory_bytes)
    cases.append(("twice the memory", replace(machine, accelerator=roomier)))
    link = replace(fabric, scale_up_bytes_per_s=2.0 * fabric.scale_up_bytes_per_s)
    cases.append(("twice the scale-up link", replace(machine, fabric=link)))
    if machine.count > fabric.domain:
        network = replace(fabric, scale_out_bytes_per_s=2.0 * fabric.scale_out_bytes_per_s)
        cases.append(("twice the network between nodes", replace(machine, fabric=network)))
    return cases


def order_sentence(explanation: Explanation) -> str:
    """What would change the order, in one sentence."""
    if not explanation.crossovers:
        return "Nothing else is priced in the same currency: no price would change the order."
    quote = explanation.quote
    now = quote.offer.price_per_accelerator_hour
    parts = [
        f"at {cross.price_per_accelerator_hour} ({cross.change:+.0%}) it costs as much as #{cross.other} ({cross.what})"
        for cross in explanation.crossovers
    ]
    return f"Price now {now} {quote.offer.currency} per accelerator-hour; " + "; ".join(parts) + "."
