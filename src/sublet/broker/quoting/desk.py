"""Quotes for a job, or for machines and time, on what stands on the shelf. Pure, but for the facts that ship with us.

A job is priced by the quote room as on any other market; each kind of node is one offer, under the house's own name,
and no count is asked about that no gang of ours could have. Invariant: what is drafted can be ordered as it stands.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from decimal import ROUND_CEILING, Decimal
from functools import partial
from typing import Any

from sublet.broker.errors import Invalid
from sublet.broker.quoting.values import Answer, Draft, Refused, Sale
from sublet.providers.protocol import CPU_ACCELERATOR
from sublet.units import exact

HOUSE = "sublet"
SECONDS_PER_HOUR = Decimal(3600)
TERMS: Mapping[str, Any] = {
    "early_end_refund": "1",
    "billing": "by the second, from the moment that every node has passed its checks",
}
"""Terms of a quote where the operator has no others: what is not used is not charged."""


def machines(sales: Sequence[Sale], *, shape: str, nodes: int, hours: Decimal) -> Answer:
    """A quote for so many nodes of a shape for so long, without a job; Invalid for a shape that we do not have."""
    found = [sale for sale in sales if sale.shape == shape]
    if not found:
        have = ", ".join(sorted({sale.shape for sale in sales})) or "none yet"
        raise Invalid(f"no nodes of shape {shape!r} are on offer here: there are {have}")
    fits = [sale for sale in found if sale.largest >= nodes]
    if not fits:
        most = max(sale.largest for sale in found)
        raise Invalid(f"{nodes} nodes of {shape!r} on one fabric: the largest gang that can be had is {most}")
    sale = min(fits, key=lambda each: each.price.amount)
    terms = {**TERMS, "price_rule": sale.rule}
    count = nodes * sale.accelerators_per_node
    draft = Draft(sale.accelerator, sale.shape, nodes, count, sale.price, hours, {}, terms, {})
    return Answer((draft,), ())


def read_job(spec: Mapping[str, Any]) -> Any:
    """The job of a spec that came over the network: what names a file of this machine is refused."""
    from sublet.workload.spec import job_from_mapping

    model = spec.get("model")
    if (isinstance(model, str) and model.endswith(".json")) or (isinstance(model, Mapping) and "config" in model):
        raise Invalid("job.model names a file: send the model's dimensions, or the name of a built-in model")
    return job_from_mapping(spec)


def job(sales: Sequence[Sale], asked: Any, *, hours: Decimal | None, limit: int, today: date) -> Answer:
    """Quotes for a training job, best first over all kinds of nodes, and why the others were left out."""
    from sublet.quote import document
    from sublet.quote.view import select

    drafts: list[tuple[float, Draft]] = []
    refused: list[Refused] = []
    for sale in sales:
        priced = _price(sale, asked, today)
        if isinstance(priced, Refused):
            refused.append(priced)
            continue
        for quoted in select(priced, "cheapest", limit).quotes:
            held = hours or _held(quoted.estimate.run_s.p90)
            estimate = quoted.estimate
            told = {
                **document.quote(quoted),
                "run_s": document.interval(estimate.run_s, 3),
                "step_s": estimate.step_s.p50,
                "step_s_interval": document.interval(estimate.step_s, 6),
                "tokens": asked.tokens,
                "tokens_per_s": asked.tokens / estimate.run_s.p50,
            }
            draft = Draft(
                accelerator=sale.accelerator,
                shape=sale.shape,
                nodes=quoted.count // sale.accelerators_per_node,
                count=quoted.count,
                price=sale.price,
                hours=held,
                estimate=told,
                terms={**TERMS, "price_rule": sale.rule},
                job=document.job(asked),
            )
            drafts.append((float(quoted.cost.p50), draft))
        refused += [Refused(each.accelerator, each.kind, each.reason) for each in priced.rejected]
    drafts.sort(key=lambda pair: pair[0])
    notes = () if sales else ("no nodes are on offer here yet",)
    return Answer(tuple(draft for _, draft in drafts[:limit]), tuple(refused), notes)


def market(asked: Any, *, limit: int) -> list[dict[str, Any]]:
    """What the catalogue's offers of other sellers cost for the same job, best first, for comparison."""
    from sublet.catalog.asof import standing
    from sublet.catalog.store import open_catalog
    from sublet.estimate.plan import plan
    from sublet.quote.columns import from_table
    from sublet.quote.document import quote
    from sublet.quote.facts import from_catalogue
    from sublet.quote.priced import price_all
    from sublet.quote.view import select

    table = open_catalog()
    seen = table.ints("verified")
    if not len(seen):
        return []
    day = date.fromordinal(int(seen.max()))
    columns = from_table(standing(table, day))
    priced = price_all(asked, columns, as_of=day, facts=from_catalogue(), plan=plan, every=False)
    return [quote(each) for each in select(priced, "best", limit).quotes]


def _price(sale: Sale, asked: Any, today: date) -> Any:
    """The quote room's answer over one kind of node, or why it cannot be asked."""
    from sublet.estimate.plan import plan
    from sublet.quote.columns import from_offers
    from sublet.quote.priced import price_all

    facts, name = _facts(sale, today)
    if name is None:
        why = f"{sale.accelerator!r} has no data sheet here: name it as the catalogue does, or qualify a node"
        return Refused(sale.accelerator, "data", why)
    most = sale.largest * sale.accelerators_per_node
    wishes = asked.constraints
    if wishes.counts and min(wishes.counts) > most:
        return Refused(sale.accelerator, "count", f"{min(wishes.counts)} are asked for and a gang has {most} at most")
    limits = replace(
        wishes,
        max_count=min(wishes.max_count or most, most),
        counts=tuple(count for count in wishes.counts if count <= most),
        providers=(),
        avoid_providers=(),
        markets=("on-demand",),
    )
    if limits.min_count and limits.min_count > most:
        return Refused(sale.accelerator, "count", f"{limits.min_count} are asked for and a gang has {most} at most")
    columns = from_offers([_offer(sale, name, today)])
    planned = plan if sale.accelerator != CPU_ACCELERATOR else partial(_shared, sale)
    return price_all(replace(asked, constraints=limits), columns, as_of=today, facts=facts, plan=planned, every=True)


def _shared(sale: Sale, *asked: Any, **more: Any) -> list[Any]:
    """The estimator's plan for cores that other processes use too: every time as long as sharing makes it."""
    from sublet.estimate.plan import plan
    from sublet.estimate.result import Estimate, Interval
    from sublet.qualification.figures import slowdown_of

    slow = slowdown_of(sale.measured or {})

    def longer(time: Interval) -> Interval:
        return Interval(time.p10 * slow.best, time.p50 * slow.expected, time.p90 * slow.worst)

    def told(answer: Any) -> Any:
        if not isinstance(answer, Estimate) or slow.worst <= 1.05:
            return answer
        why = f"the cores are shared with other processes of the machine: {slow.sentence}"
        return replace(
            answer,
            step_s=longer(answer.step_s),
            run_s=longer(answer.run_s),
            tokens_per_s=answer.tokens_per_s / slow.expected,
            mfu=answer.mfu / slow.expected,
            hfu=answer.hfu / slow.expected,
            breakdown_s={part: seconds * slow.expected for part, seconds in answer.breakdown_s.items()},
            assumptions=(*answer.assumptions, why),
        )

    return [told(answer) for answer in plan(*asked, **more)]


def _offer(sale: Sale, name: str, today: date) -> Any:
    from sublet.catalog.offer import Offer

    return Offer(
        provider=HOUSE,
        shape=sale.shape,
        accelerator=name,
        accelerator_raw=sale.accelerator,
        candidates=(),
        count=sale.accelerators_per_node,
        region=sale.region or None,
        zone=None,
        market="on-demand",
        price_per_node_hour=sale.price.amount * sale.accelerators_per_node,
        price_per_accelerator_hour=sale.price.amount,
        currency=sale.price.currency,
        minimum_accelerators=sale.accelerators_per_node,
        vcpus=None,
        memory_gib=None,
        seen_at=today,
        source=f"{HOUSE}:{sale.rule}",
    )


def _facts(sale: Sale, today: date) -> tuple[Any, str | None]:
    """What the quote room may ask about this kind of node, and the name of its accelerator; None where unknown."""
    from sublet.quote.facts import from_catalogue

    shipped = from_catalogue()
    if sale.accelerator != CPU_ACCELERATOR:
        names = shipped.names(sale.accelerator)
        facts = replace(shipped, shape=lambda provider, name: shipped.shape(sale.provider, name))
        return facts, names[0] if len(names) == 1 and shipped.accelerator(names[0]) else None
    if sale.measured is None:
        return shipped, None
    from sublet.qualification import figures

    chip = figures.accelerator_of(sale.measured, on=today)
    fabric = figures.fabric_of(sale.measured)
    shape = figures.shape_of(sale.measured, provider=HOUSE, shape=sale.shape)
    facts = replace(
        shipped,
        accelerator=lambda name: chip if name == chip.name else shipped.accelerator(name),
        names=lambda spelling: (chip.name,) if spelling == chip.name else shipped.names(spelling),
        known=lambda: (chip.name, *shipped.known()),
        shape=lambda provider, name: shape,
        fabric=lambda accelerator, of, per_node, provider: fabric,
    )
    return facts, chip.name


def _held(run_s: float) -> Decimal:
    """Whole hours that hold a run of so many seconds."""
    return max((exact(run_s) / SECONDS_PER_HOUR).to_integral_value(ROUND_CEILING), Decimal(1))
