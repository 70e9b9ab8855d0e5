"""Chips side by side: the same job on the same number of each, on the fabric that each chip usually has.

Invariant: every chip that was asked for is in the answer, with figures or with the reason why there are none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date

import numpy as np

from sublet.catalog.accelerator import Accelerator
from sublet.catalog.offer import Offer
from sublet.catalog.shape import Fabric
from sublet.errors import InputError
from sublet.estimate.result import Estimate, Machine, Rejection
from sublet.quote import filters, pricing
from sublet.quote.columns import Columns
from sublet.quote.facts import Facts
from sublet.quote.priced import CURRENCY, Plan
from sublet.quote.value import FIRM, UNRANKED, Cost
from sublet.workload.job import TrainingJob


@dataclass(frozen=True)
class FullLinks:
    """What narrower links cost: the same chip with the scale-up links of its sibling."""

    sibling: str  # the chip that is the same but for its links: "H100 SXM" for the H800 SXM
    links: float  # own link rate over the sibling's
    step_s: float  # with the sibling's links, laid out anew
    share_lost: float  # of the step: 1 - step with full links / step


@dataclass(frozen=True)
class Price:
    """The lowest price known for a chip."""

    offer: Offer
    trust: int  # FIRM | DOUBTFUL
    age_days: int
    slower_network: bool  # than the one that the comparison assumes


@dataclass(frozen=True)
class Contender:
    """One chip at one precision. `estimate` and `reason` exclude each other."""

    accelerator: Accelerator
    precision: str
    estimate: Estimate | None
    reason: str  # why there is no estimate, else empty
    price: Price | None
    cost: Cost | None
    full_links: FullLinks | None

    @property
    def tokens_per_s_per_kusd(self) -> float | None:
        """Training throughput per 1,000 US dollars of the chips' purchase price, hosts and network not included."""
        price = self.accelerator.purchase_usd
        if self.estimate is None or not price:
            return None
        return self.estimate.tokens_per_s / (self.estimate.machine.count * price / 1000.0)


@dataclass(frozen=True)
class Comparison:
    """The chips in the order asked for."""

    job: TrainingJob
    count: int
    as_of: date
    contenders: tuple[Contender, ...]


def compare(
    job: TrainingJob,
    spellings: Sequence[str],
    count: int,
    *,
    precisions: Sequence[str] = (),
    columns: Columns,
    as_of: date,
    facts: Facts,
    plan: Plan,
) -> Comparison:
    """Estimate `job` on `count` of each accelerator named, in each of `precisions` (default: the job's own).

    A name that may mean several chips stands for all of them. Raises InputError for a name that is not known.
    """
    if count < 1:
        raise InputError(f"count {count} is not a number of accelerators: give 1 or more")
    chips = _chips(spellings, facts)
    fabrics = {chip.name: facts.fabric(chip, None, None, None) for chip in chips}
    known = {name: chip for name in facts.known() if (chip := facts.accelerator(name)) is not None}
    prices = {
        chip.name: _lowest(columns, chip, fabrics[chip.name], count, job.constraints.markets, as_of, facts)
        for chip in chips
    }
    contenders: dict[tuple[str, str], Contender] = {}
    for precision in precisions or (job.precision,):
        asked = replace(job, precision=precision)
        refused = {chip.name: _refusal(chip, asked, facts, as_of) for chip in chips}
        able = [chip for chip in chips if not refused[chip.name]]
        machines = [Machine(chip, fabrics[chip.name], count) for chip in able]
        wider = {chip.name: wide for chip in able if (wide := _with_full_links(chip, fabrics[chip.name], known, count))}
        results = list(plan(asked, [*machines, *(machine for _, machine in wider.values())]))
        full = dict(zip(wider, results[len(machines) :], strict=True))
        of_chip = {chip.name: result for chip, result in zip(able, results[: len(machines)], strict=True)}
        for chip in chips:
            result = of_chip.get(chip.name)
            contenders[chip.name, precision] = _contender(
                chip,
                precision,
                result if result is not None else refused[chip.name],
                prices[chip.name],
                count,
                _links(chip, wider.get(chip.name), result, full.get(chip.name)),
            )
    ordered = [contenders[chip.name, precision] for chip in chips for precision in precisions or (job.precision,)]
    return Comparison(job, count, as_of, tuple(ordered))


def sibling_with_full_links(chip: Accelerator, known: Mapping[str, Accelerator]) -> Accelerator | None:
    """The chip that differs from `chip` only by faster scale-up links, None where there is none.

    Same vendor, family, memory, memory bandwidth and peak rate; at least a quarter more link rate.
    """
    own = chip.scale_up_bytes_per_s
    if not own:
        return None
    same = [
        other
        for other in known.values()
        if (other.vendor, other.family, other.topology) == (chip.vendor, chip.family, chip.topology)
        and _close(other.memory_bytes, chip.memory_bytes)
        and _close(other.memory_bytes_per_s, chip.memory_bytes_per_s)
        and _close(other.peak("bf16"), chip.peak("bf16"))
        and (other.scale_up_bytes_per_s or 0.0) > 1.25 * own
    ]
    return min(same, key=lambda other: (other.launch or date.max, other.name), default=None)


def _close(a: float | None, b: float | None) -> bool:
    return a is not None and b is not None and abs(a - b) <= 0.02 * max(a, b)


def _chips(spellings: Sequence[str], facts: Facts) -> list[Accelerator]:
    chips: dict[str, Accelerator] = {}
    for spelling in spellings:
        for name in sorted(filters.wanted_names([spelling], facts)):
            chip = facts.accelerator(name)
            if chip is None:
                raise InputError(f"accelerator {name!r}: the catalogue has no data sheet of it")
            chips[name] = chip
    if not chips:
        raise InputError('no accelerators to compare: name some, for example --accelerators "H100 SXM,A100 SXM 40GB"')
    return list(chips.values())


def _refusal(chip: Accelerator, job: TrainingJob, facts: Facts, as_of: date) -> str:
    """Why a chip is not for this job, whatever the count; empty where it is."""
    refusal = filters.framework_refusal(chip, job.framework)
    if not refusal and job.constraints.country:
        verdict = facts.export(chip, job.constraints.country, job.constraints.on or as_of)
        if verdict.verdict == "licence required":
            return f"export: {verdict.sentence.rstrip('.')}"
    return refusal


def _with_full_links(
    chip: Accelerator, fabric: Fabric, known: Mapping[str, Accelerator], count: int
) -> tuple[Accelerator, Machine] | None:
    """The sibling with full links, and the chip's own machine with only those links put in."""
    sibling = sibling_with_full_links(chip, known)
    if sibling is None or not sibling.scale_up_bytes_per_s or not chip.scale_up_bytes_per_s:
        return None
    factor = sibling.scale_up_bytes_per_s / chip.scale_up_bytes_per_s
    wide = replace(fabric, scale_up_bytes_per_s=fabric.scale_up_bytes_per_s * factor)
    return sibling, Machine(replace(chip, scale_up_bytes_per_s=sibling.scale_up_bytes_per_s), wide, count)


def _links(
    chip: Accelerator,
    wide: tuple[Accelerator, Machine] | None,
    own: Estimate | Rejection | None,
    full: Estimate | Rejection | None,
) -> FullLinks | None:
    if wide is None or not isinstance(own, Estimate) or not isinstance(full, Estimate):
        return None
    sibling = wide[0]
    assert sibling.scale_up_bytes_per_s is not None
    assert chip.scale_up_bytes_per_s is not None
    return FullLinks(
        sibling=sibling.name,
        links=chip.scale_up_bytes_per_s / sibling.scale_up_bytes_per_s,
        step_s=full.step_s.p50,
        share_lost=1.0 - full.step_s.p50 / own.step_s.p50,
    )


def _lowest(
    columns: Columns, chip: Accelerator, fabric: Fabric, count: int, markets: Sequence[str], as_of: date, facts: Facts
) -> Price | None:
    """The lowest price of exactly that chip that can be ordered `count` times.

    Firm prices come before doubtful ones, and those on a network no worse than `fabric` before the others. Among old
    prices the newest says most.
    """
    wanted = {market.casefold() for market in markets}
    keep = columns.identity.mask(lambda names: names == (chip.name,)) & (columns.price > 0)
    keep &= columns.currency.mask(lambda currency: currency == CURRENCY) & (columns.seen <= as_of.toordinal())
    keep &= (columns.minimum <= count) & (count % np.maximum(columns.unit, 1) == 0)
    if wanted:
        keep &= columns.market.mask(lambda market: market.casefold() in wanted)
    rows, _ = pricing.newest(columns, keep)
    picked = columns.take(rows)
    trust, _ = pricing.trust(picked, as_of, CURRENCY, pricing.STALE_AFTER_DAYS)
    ranked = np.flatnonzero(trust < UNRANKED)
    if not len(ranked):
        return None
    slower = np.array([_slower(picked, int(row), chip, fabric, facts) for row in ranked], dtype=np.bool_)
    age = as_of.toordinal() - picked.seen[ranked]
    old = np.where(trust[ranked] == FIRM, 0, age)
    best = int(np.lexsort((picked.price[ranked], old, slower, trust[ranked]))[0])
    row = int(ranked[best])
    return Price(picked.offer(row), int(trust[row]), int(age[best]), bool(slower[best]))


def _slower(picked: Columns, row: int, chip: Accelerator, fabric: Fabric, facts: Facts) -> bool:
    """Whether an offer's network is worse than the one that the comparison assumes."""
    provider, name = picked.provider[row], picked.shape[row]
    shape = facts.shape(provider, name) if name else None
    per_node = shape.count if shape else None if picked.by_one[row] else int(picked.unit[row])
    own = facts.fabric(chip, shape if shape and shape.accelerator == chip.name else None, per_node, provider)
    return own.domain < fabric.domain or own.scale_out_bytes_per_s < 0.99 * fabric.scale_out_bytes_per_s


def _contender(
    chip: Accelerator,
    precision: str,
    result: Estimate | Rejection | str,
    price: Price | None,
    count: int,
    links: FullLinks | None,
) -> Contender:
    estimate = result if isinstance(result, Estimate) else None
    reason = result.reason if isinstance(result, Rejection) else result if isinstance(result, str) else ""
    return Contender(
        accelerator=chip,
        precision=precision,
        estimate=estimate,
        reason=reason,
        price=price,
        cost=pricing.money(price.offer, count, estimate.run_s) if price and estimate else None,
        full_links=links,
    )
