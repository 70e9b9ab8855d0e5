"""The join: offers x estimates, priced. Everything a view needs, as arrays; nothing is ranked or printed here.

`price_all` runs the whole chain once for a job: filters, the newest price of each offer, machines and counts, one
batched call of the estimator, cost, and what misses the deadline or the budget.
Invariant: offers in = offers with a candidate + offers rejected with a reason + older prices of the same offer (+ those
of dominated candidates, where not every offer was asked for).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np

from sublet.estimate.result import Estimate, Machine, Rejection
from sublet.quote import candidates, dominance, filters, pricing, rank, refusals
from sublet.quote.columns import Bools, Columns, Floats, Ints
from sublet.quote.facts import Facts
from sublet.quote.fate import Fate
from sublet.quote.value import UNRANKED, Rejected
from sublet.workload.job import TrainingJob

Plan = Callable[[TrainingJob, Sequence[Machine]], Sequence[Estimate | Rejection]]
CURRENCY = "USD"  # prices in it are ranked against each other


@dataclass(frozen=True)
class Priced:
    """A job's candidates with times and costs: arrays of one entry per candidate, in no order.

    `result[i]` indexes `results`, the estimate of the slowest machine that candidate i may be; `row[i]` the offer in
    `columns`, `group[i]` in `groups` what it is. `cost` is in the offer's own currency, at the median time; `time` in
    seconds.
    """

    job: TrainingJob
    as_of: date
    columns: Columns
    results: tuple[Estimate | Rejection, ...]
    groups: tuple[candidates.Group, ...]
    row: Ints
    count: Ints
    group: Ints
    result: Ints
    time: Floats
    cost: Floats
    trust: Ints
    stale: Bools
    several: Bools
    assumed: Bools  # the fabric of the offer is assumed
    pareto: Bools
    tie: Ints
    export_unknown: frozenset[str]  # chips whose export status the published figures do not settle
    rejected: tuple[Rejected, ...]
    offers: int  # in the catalogue
    every_row: Ints  # offer of every candidate, those that were not estimated or do not fit included
    every_count: Ints
    dominated: int  # candidates that were not estimated: another is no dearer on a network no worse
    superseded: int  # older prices of offers that are there with a newer one
    peers: pricing.Peers
    facts: Facts
    notes: tuple[str, ...]
    evaluated: int  # machines that the estimator was asked about

    def __len__(self) -> int:
        return len(self.row)


def price_all(
    job: TrainingJob,
    columns: Columns,
    *,
    as_of: date,
    facts: Facts,
    plan: Plan,
    every: bool = True,
    stale_after_days: int = pricing.STALE_AFTER_DAYS,
) -> Priced:
    """Every offer at every allowed count with its time and cost, and every refusal with its reason.

    Without `every`, candidates that another offer of the same chip, count and market beats in price and in network
    are not estimated: enough for a view of one row per chip, count and market, and a good deal faster.

    `columns`: offers seen by `as_of`; `plan(job, machines)` gives one Estimate or Rejection per machine, in order.
    Raises InputError where the job names an accelerator that the catalogue does not know.
    """
    fate = Fate(len(columns))
    admitted = filters.apply(columns, fate, job, facts, as_of)
    alive = fate.alive
    rows, several = pricing.newest(columns, alive)
    found = candidates.build(columns, rows, fate, job, admitted.chips, facts)
    every_row, every_count = found.row, found.count
    if not every:
        firmness, _ = pricing.trust(columns.take(found.row), as_of, CURRENCY, stale_after_days)
        lost = dominance.beaten(found, columns, firmness, budget=job.constraints.budget is not None)
        found = candidates.kept(found, ~lost)
    results = tuple(plan(job, found.machines)) if found.machines else ()
    chosen = np.array([_slowest(results, option) for option in found.options], dtype=np.int64)
    result = chosen[found.option] if len(found.option) else found.option

    run_s = np.array([r.run_s.p50 if isinstance(r, Estimate) else np.inf for r in results], dtype=np.float64)
    time = run_s[result] if len(result) else np.zeros(0)
    picked = columns.take(found.row)
    term_h = np.array([pricing.term_hours(market) for market in columns.market.vocabulary], dtype=np.float64)
    cost = pricing.cost(picked.price, found.count, time, term_h[picked.market.codes]) if len(result) else time
    trust, stale = pricing.trust(picked, as_of, CURRENCY, stale_after_days)

    fits = np.isfinite(time)
    late, dear = refusals.misses(job, time, cost, picked)
    rejected = fate.summary(columns)
    rejected += refusals.unfit(job, picked, results, result, fits)
    rejected += refusals.missed(job, picked, found.count, time, cost, fits, late, dear, CURRENCY)
    keep = np.flatnonzero(fits & ~late & ~dear)

    time, cost, trust = time[keep], cost[keep], trust[keep]
    best_trust = trust.min() if len(keep) else UNRANKED
    comparable = (trust == best_trust) & (trust < UNRANKED)
    front = np.zeros(len(keep), dtype=np.bool_)
    front[comparable] = rank.pareto(time[comparable], cost[comparable])
    several_by_row = np.zeros(len(columns), dtype=np.bool_)
    several_by_row[rows] = several
    assumed = np.array([any(f.assumption for f in group.fabrics) for group in found.groups], dtype=np.bool_)
    tie = rank.tie_break(columns, as_of)
    return Priced(
        job=job,
        as_of=as_of,
        columns=columns,
        results=results,
        groups=found.groups,
        row=found.row[keep],
        count=found.count[keep],
        group=found.group[keep],
        result=result[keep],
        time=time,
        cost=cost,
        trust=trust,
        stale=stale[keep],
        several=several_by_row[found.row[keep]],
        assumed=assumed[found.group[keep]] if len(keep) else np.zeros(0, dtype=np.bool_),
        pareto=front,
        export_unknown=admitted.export_unknown,
        tie=tie[found.row[keep]],
        rejected=tuple(rejected),
        offers=len(columns),
        dominated=len(every_row) - len(found.row),
        every_row=every_row,
        every_count=every_count,
        superseded=int(alive.sum()) - len(rows),
        peers=pricing.Peers(columns, alive),
        facts=facts,
        notes=_notes(job, columns),
        evaluated=len(found.machines),
    )


def _slowest(results: Sequence[Estimate | Rejection], option: tuple[int, ...]) -> int:
    """Of the machines that an offer may be, the one to quote: a refusal if there is one, else the slowest."""

    def badness(index: int) -> tuple[float, float]:
        result = results[index]
        if isinstance(result, Rejection):
            return (1.0, result.shortfall or 0.0)
        return (0.0, result.run_s.p50)

    return max(option, key=badness)


def _notes(job: TrainingJob, columns: Columns) -> tuple[str, ...]:
    """What the person who asked should know about the question itself."""
    known = {provider.casefold() for provider in columns.provider.vocabulary}
    notes = []
    for provider in job.constraints.providers:
        if provider.casefold() not in known:
            there = ", ".join(sorted(columns.provider.vocabulary)) or "none"
            notes.append(f"no offers by provider {provider!r} in this catalogue (there are: {there})")
    return tuple(notes)
