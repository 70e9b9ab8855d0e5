"""From priced candidates to quotes in an order: the views, the rows shown, and the nearest miss where nothing fits.

Only rows that are shown are built as values. Invariant: a quote's rank says its place in the view that was asked for,
and a price that cannot be compared has no rank (0) and stands below all that have one.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np

from sublet.catalog.offer import Offer
from sublet.errors import InputError, NothingFitsError
from sublet.estimate.result import Estimate
from sublet.quote import pricing, rank, spot
from sublet.quote.columns import Floats, Ints
from sublet.quote.priced import CURRENCY, Priced
from sublet.quote.value import UNRANKED, Quote, Rejected
from sublet.units import DAY_S
from sublet.workload.job import TrainingJob

DEFAULT_LIMIT = 20
NOT_ASKED_FOR = ("accelerator", "provider", "region", "market", "price", "data")  # kinds of Rejected


@dataclass(frozen=True)
class Quotes:
    """The answer to one question: quotes in ranked order, what was left out and why, and what it all rests on."""

    job: TrainingJob
    as_of: date
    view: str
    quotes: tuple[Quote, ...]
    more: int  # rows of this view that the limit cut off
    candidates: int  # offers x counts that were quoted, alike rows counted one by one
    dominated: int  # offers x counts that another offer of the same chip beats in price and network: not estimated
    offers: int  # in the catalogue that day
    superseded: int  # of them, older prices of offers that are there with a newer one
    rejected: tuple[Rejected, ...]
    feeds: tuple[str, ...]  # sources of the quotes shown
    notes: tuple[str, ...]


def select(priced: Priced, view: str = "best", limit: int = DEFAULT_LIMIT) -> Quotes:
    """The quotes of a view in its order.

    One row stands for all offers of the same accelerator, count and market (the best of them); `limit` 0, and the view
    "all", give every offer its own row. Raises InputError for an unknown view or a negative limit.
    """
    if view not in rank.VIEWS:
        raise InputError(f"view {view!r} is not known: choose {', '.join(rank.VIEWS)}")
    if limit < 0:
        raise InputError(f"limit {limit} is negative: give 0 for all rows or the number of rows to show")
    rows = np.flatnonzero(priced.pareto) if view == "pareto" else np.arange(len(priced))
    goal, other = _goals(priced, view)
    ordered = rows[rank.order(priced.trust[rows], goal[rows], other[rows], priced.tie[rows])]
    kind = _kind(priced, priced.row, priced.count)
    if view == "all" or limit == 0:
        alike: dict[int, int] = {}
    else:
        ordered = rank.best_of_each(ordered, kind)
        kinds, sizes = np.unique(_kind(priced, priced.every_row, priced.every_count), return_counts=True)
        alike = dict(zip(kinds.tolist(), (sizes - 1).tolist(), strict=True))
    shown = ordered[:limit] if limit else ordered
    quotes = tuple(
        _quote(priced, index, place, alike.get(int(kind[index]), 0)) for place, index in enumerate(shown.tolist(), 1)
    )
    feeds = np.unique(priced.columns.feed.codes[priced.row[shown]]).tolist() if len(shown) else []
    return Quotes(
        job=priced.job,
        as_of=priced.as_of,
        view=view,
        quotes=quotes,
        more=len(ordered) - len(shown),
        candidates=len(priced),
        dominated=priced.dominated,
        offers=priced.offers,
        superseded=priced.superseded,
        rejected=priced.rejected,
        feeds=tuple(sorted(priced.columns.feed.vocabulary[code] for code in feeds)),
        notes=priced.notes,
    )


def _kind(priced: Priced, row: Ints, count: Ints) -> Ints:
    """One integer per candidate: what one row of a view stands for, an accelerator, a market and a count."""
    columns, most = priced.columns, int(priced.every_count.max(initial=0)) + 1
    market = columns.identity.codes[row] * len(columns.market.vocabulary) + columns.market.codes[row]
    return market * most + count


def _goals(priced: Priced, view: str) -> tuple[Floats, Floats]:
    """What a view orders by: first this, then that; arrays of one entry per candidate."""
    view = rank.order_of(view, priced.job.constraints)
    if view in ("fastest", "pareto"):
        return priced.time, priced.cost
    if view == "value":
        flop = np.array([r.model_flop if isinstance(r, Estimate) else np.nan for r in priced.results])
        return priced.cost / flop[priced.result], priced.time
    return priced.cost, priced.time


def _quote(priced: Priced, index: int, place: int, similar: int) -> Quote:
    """One candidate as a value."""
    estimate = priced.results[int(priced.result[index])]
    assert isinstance(estimate, Estimate)
    row, count = int(priced.row[index]), int(priced.count[index])
    offer = priced.columns.offer(row)
    identity = priced.columns.identity[row]
    cost = pricing.money(offer, count, estimate.run_s)
    other_prices = priced.peers.others(row)
    dollars = float(cost.p50)
    group = priced.groups[int(priced.group[index])]
    accelerator = estimate.machine.accelerator.name
    return Quote(
        rank=place if priced.trust[index] < UNRANKED else 0,
        offer=offer,
        accelerator=accelerator,
        candidates=identity if len(identity) > 1 else (),
        count=count,
        fabric=group.fabrics[group.identity.index(accelerator)],
        estimate=estimate,
        days=estimate.run_s.scaled(1.0 / DAY_S),
        cost=cost,
        exaflop_per_usd=estimate.model_flop / 1e18 / dollars if offer.currency == CURRENCY and dollars > 0 else None,
        trust=int(priced.trust[index]),
        pareto=bool(priced.pareto[index]),
        flags=_flags(priced, index, offer.flags, estimate, bool(other_prices)),
        price_age_days=priced.as_of.toordinal() - int(priced.columns.seen[row]),
        other_prices=other_prices,
        interruptions=_interruptions(priced, offer, count),
        similar=similar,
    )


def _interruptions(priced: Priced, offer: Offer, count: int) -> str:
    """How often a spot offer is taken away, where a band was published by the day of the question; else empty."""
    if offer.market != "spot" or not offer.region or not offer.shape:
        return ""
    found = priced.facts.interruptions(offer.provider, offer.region, offer.shape)
    if found is None or found.seen_at > priced.as_of:
        return ""
    return spot.sentence(found, -(-count // offer.count))


def _flags(
    priced: Priced, index: int, of_offer: tuple[str, ...], estimate: Estimate, disagree: bool
) -> tuple[str, ...]:
    """The offer's own marks, then those that this job and this day add."""
    constraints = priced.job.constraints
    row = int(priced.row[index])
    market = priced.columns.market[row]
    run_s, price = estimate.run_s, float(priced.columns.price[row])
    deadline, budget = constraints.deadline_s, constraints.budget
    dearest = price * float(priced.count[index]) * run_s.p90 / 3600.0
    added = {
        "ambiguous-accelerator": len(priced.columns.identity[row]) > 1,
        "stale": bool(priced.stale[index]),
        "sources-disagree": disagree,
        "several-prices": bool(priced.several[index]),
        "fabric-assumed": bool(priced.assumed[index]),
        "never-calibrated": not estimate.calibrated,
        "memory-edge": estimate.memory.verdict == "edge",
        "spot": market == "spot",
        "commitment": pricing.term_hours(market) > 0,
        "deadline-at-risk": deadline is not None and run_s.p90 > deadline,
        "budget-at-risk": budget is not None and dearest > float(budget.amount),
        "region-unknown": bool(constraints.avoid_regions) and priced.columns.region[row] is None,
        "export-not-known": estimate.machine.accelerator.name in priced.export_unknown,
    }
    return tuple(dict.fromkeys((*of_offer, *(name for name, holds in added.items() if holds))))


def nothing_fits(priced: Priced) -> NothingFitsError:
    """The refusal that names the nearest miss: what came closest to memory, deadline or budget, and by how much."""
    job = priced.job
    near = [entry for entry in priced.rejected if entry.miss is not None]
    if near:
        best = min(near, key=lambda entry: (entry.miss or 0.0, entry.accelerator, entry.count or 0))
        count = f"{best.count:,} x " if best.count else ""
        return NothingFitsError(
            f"nothing fits {job.name}; the nearest miss is {count}{best.accelerator}: {best.reason}"
        )
    if priced.notes:
        return NothingFitsError(f"nothing fits {job.name}: {'; '.join(priced.notes)}")
    if not priced.offers:
        return NothingFitsError(f"nothing fits {job.name}: the catalogue has no offers as of {priced.as_of}")
    # what the tenant did not ask for explains nothing, unless that is all there was
    asked = [entry for entry in priced.rejected if entry.kind not in NOT_ASKED_FOR]
    grouped: dict[str, int] = {}
    for entry in asked or priced.rejected:
        grouped[entry.reason] = grouped.get(entry.reason, 0) + entry.offers
    most = sorted(grouped.items(), key=lambda item: (-item[1], item[0]))[:3]
    why = "; ".join(f"{reason} ({offers:,} offers)" for reason, offers in most)
    return NothingFitsError(f"nothing fits {job.name}: {why}")
