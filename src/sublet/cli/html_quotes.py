"""Quotes as one self-contained page: the best of them, the chart, the table, and what is behind every row."""

from __future__ import annotations

from html import escape

from sublet.cli import html_chart, render_text
from sublet.cli.html_page import bars, bullets, cell, element, fill, headings, pairs
from sublet.quote.explain import crossovers, figures
from sublet.quote.rank import VIEWS, order_of
from sublet.quote.value import Quote
from sublet.quote.view import Quotes
from sublet.units import format_bytes, format_duration

NUMBERS = frozenset({"#", "n", "days (P10–P90)", "cost (P10–P90)", "EFLOP/$"})
EXPLAINED = 60  # rows with their details in the page, besides those of the Pareto set


def page(quotes: Quotes, today_ordinal: int) -> str:
    """The page as HTML text."""
    letters, meanings = render_text.marks_of(quotes.quotes)
    headline = render_text.headline(quotes.job)
    facts = [
        f"Prices as of {render_text.age(quotes, today_ordinal)}",
        f"{quotes.offers:,} offers, {quotes.candidates:,} quoted",
        VIEWS[order_of(quotes.view, quotes.job.constraints)],
    ]
    rows = [
        part
        for index, quote in enumerate(quotes.quotes)
        for part in _row(quotes, index, quote, letters, explained=index < EXPLAINED or quote.pareto)
    ]
    out = render_text.left_out(quotes, per_kind=8)
    left_out = element("h2", "Left out") + bullets(out, "reasons") if out else ""
    assumed = [f"assumed: {sentence}" for sentence in quotes.job.assumptions]
    return fill(
        "quote.html",
        f"{quotes.job.name}: quotes as of {quotes.as_of}",
        {
            "heading": escape(headline),
            "facts": escape(" · ".join(facts)),
            "cards": _cards(quotes),
            "chart": html_chart.chart(quotes.quotes),
            "legend": html_chart.legend(quotes.quotes),
            "headings": headings(render_text.HEADINGS, NUMBERS),
            "rows": "\n".join(rows),
            "marks": bullets((f"{letter}: {meaning}" for letter, meaning in meanings.items()), "marks"),
            "left_out": left_out,
            "footer": bullets(
                [
                    *quotes.notes,
                    *assumed,
                    f"prices from {', '.join(quotes.feeds)}; licences: sublet catalog sources",
                    "one row stands for all offers of an accelerator, count and market: the best of them",
                    "made by Sublet; P10–P90 is the interval that the run is expected to end in, four times of five",
                ],
                "marks",
            ),
        },
    )


def _cards(quotes: Quotes) -> str:
    """The cheapest, the soonest and the one in between that a person is likely to want."""
    ranked = [quote for quote in quotes.quotes if quote.rank]
    if not ranked:
        return ""
    firmest = min(quote.trust for quote in ranked)
    level = [quote for quote in ranked if quote.trust == firmest]
    cheapest = min(level, key=lambda quote: (quote.cost.p50, quote.days.p50))
    soonest = min(level, key=lambda quote: (quote.days.p50, quote.cost.p50))
    # nearest to the corner of both: the least product of time and cost
    balanced = min(level, key=lambda quote: (float(quote.cost.p50) * quote.days.p50, quote.rank))
    cards = []
    for heading, quote in (("Cheapest", cheapest), ("Soonest", soonest), ("Least days x cost", balanced)):
        name = f"{quote.count:,} × {quote.accelerator}"
        where = ", ".join(filter(None, (quote.offer.provider, quote.offer.region)))
        line = f"{render_text.short(quote.days.p50)} days · {render_text.money(quote.cost.p50, quote.cost.currency)}"
        cards.append(
            element(
                "div",
                element("h3", heading) + element("strong", escape(line)) + element("span", escape(f"{name}, {where}")),
                class_="card",
            )
        )
    return "\n".join(cards)


def _row(quotes: Quotes, index: int, quote: Quote, letters: dict[str, str], *, explained: bool) -> list[str]:
    """The row of a quote, and under it the hidden row with what is behind it."""
    told = render_text.cells(quote, letters)
    rank, name, count, provider, region, days, cost, worth, fits, why = told
    verdict = quote.estimate.memory.verdict
    cells = [
        cell(rank, "number", quote.rank or 10**9),
        cell(name, "name"),
        cell(count, "number", quote.count),
        cell(provider),
        cell(region),
        cell(days, "number", quote.days.p50),
        cell(cost, "number", quote.cost.p50 if quote.rank else ""),
        cell(worth, "number", quote.exaflop_per_usd or ""),
        cell(fits, {"fits": "fits", "edge": "edge"}.get(verdict, "bad")),
        cell(why, "why"),
    ]
    kinds = "quote" + (" pareto" if quote.pareto else "") + ("" if quote.rank else " unranked")
    attributes = {"id": f"row-{index}", "class_": kinds}
    if not explained:
        return [element("tr", "".join(cells), **attributes)]
    attributes |= {"tabindex": "0", "aria_expanded": "false"}
    inside = element("td", _behind(quotes, index, quote), colspan=str(len(cells)))
    return [element("tr", "".join(cells), **attributes), f'<tr class="detail" hidden>{inside}</tr>']


def _behind(quotes: Quotes, index: int, quote: Quote) -> str:
    """The step's parts, memory, layout, sources and crossover prices of one quote."""
    estimate = quote.estimate
    step = estimate.step_s.p50
    parts = [
        (name, seconds / step, f"{format_duration(seconds)} ({seconds / step:.1%})")
        for name, seconds in sorted(estimate.breakdown_s.items(), key=lambda part: -part[1])
        if seconds / step >= 0.005
    ]
    memory = estimate.memory
    used = ", ".join(
        f"{name} {format_bytes(size)}" for name, size in sorted(memory.components.items(), key=lambda c: -c[1]) if size
    )
    offer = quote.offer
    shape = f", {offer.shape}" if offer.shape else ""
    rows = [
        ("price", f"{offer.price_per_accelerator_hour} {offer.currency} per accelerator-hour{shape}"),
        *(("from" if name == "price" else name, source) for name, source in figures(quote)),
        ("layout", render_text.layout(estimate.layout)),
        ("memory", f"{format_bytes(memory.bytes)} of {format_bytes(memory.limit_bytes)}: {used}"),
        ("throughput", f"{estimate.tokens_per_s:,.0f} tokens/s, MFU {estimate.mfu:.1%}"),
        *(
            (
                f"costs as much as #{cross.other}",
                f"at {cross.price_per_accelerator_hour} ({cross.change:+.0%}): {cross.what}",
            )
            for cross in crossovers(quotes.quotes, index)
        ),
    ]
    if quote.similar:
        rows.append(("stands for", f"{quote.similar:,} more offers of the same accelerator, count and market"))
    return bars(parts) + pairs(rows)
