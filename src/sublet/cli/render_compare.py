"""Chips side by side, as text cells for the terminal and Markdown, as JSON and as a page.

Invariant: a chip that was refused has a row too, with its reason in place of figures.
"""

from __future__ import annotations

from html import escape as html_escape
from math import isnan
from typing import Any

from rich import box
from rich.markup import escape
from rich.table import Table

from sublet.cli import render_text as text
from sublet.cli.html_page import bullets, cell, element, fill
from sublet.cli.render_quotes import console
from sublet.quote.compare import Comparison, Contender
from sublet.quote.document import JOULES_PER_KWH, interval, job, layout
from sublet.quote.value import FIRM
from sublet.units import DAY_S, format_bytes

SCHEMA = "sublet.compare/1"
LINES = (
    "accelerator",
    "number format",
    "days (P10–P90)",
    "cost (P10–P90)",
    "lowest price, seen",
    "tokens/s",
    "MFU",
    "memory",
    "energy, MWh",
    "tokens/s per $1,000 of purchase price",
    "lost to narrower links",
    "layout",
    "why",
)


def cells(contender: Contender) -> list[str]:
    """What is said of one chip, in the order of LINES."""
    estimate, found = contender.estimate, contender.price
    name = [contender.accelerator.name, contender.precision]
    if estimate is None:
        return [*name, *("–" for _ in LINES[3:]), contender.reason]
    price = "no price known"
    if found is not None:
        offer = found.offer
        price = f"{offer.price_per_accelerator_hour} {offer.currency}/h {offer.provider}, {offer.seen_at}"
        price += "" if found.trust == FIRM else f", {found.age_days:,} days old"
        price += ", on a slower network" if found.slower_network else ""
    energy = estimate.energy_j.p50 / JOULES_PER_KWH / 1000.0
    worth, links, memory = contender.tokens_per_s_per_kusd, contender.full_links, estimate.memory
    return [
        *name,
        text.days(estimate.run_s.scaled(1.0 / DAY_S)),
        text.cost_of(contender.cost) if contender.cost else "–",
        price,
        f"{estimate.tokens_per_s:,.0f}",
        f"{estimate.mfu:.1%}",
        f"{memory.verdict}: {format_bytes(memory.bytes)} of {format_bytes(memory.limit_bytes)}",
        "–" if isnan(energy) else f"{energy:,.0f}",
        f"{worth:,.1f}" if worth else "–",
        f"{links.share_lost:.1%} of the step" if links else "–",
        text.layout(estimate.layout),
        estimate.bottleneck + ("" if estimate.calibrated else " (never calibrated)"),
    ]


def link_sentences(comparison: Comparison) -> list[str]:
    """What narrower links cost, one sentence for each chip that has them."""
    return [
        f"{one.accelerator.name} ({one.precision}): {links.links:.0%} of the {links.sibling}'s links cost "
        f"{links.share_lost:.1%} of the step; with full links a step would take {links.step_s:.3g} s "
        f"instead of {one.estimate.step_s.p50:.3g} s"
        for one in comparison.contenders
        if (links := one.full_links) is not None and one.estimate is not None
    ]


def notes(comparison: Comparison) -> list[str]:
    """What the figures rest on, each once."""
    found = [f"assumed: {sentence}" for sentence in comparison.job.assumptions]
    for one in comparison.contenders:
        if one.estimate is None:
            continue
        name, told = one.accelerator.name, [one.estimate.calibration, *_own_assumptions(comparison, one)]
        if one.accelerator.purchase_usd:
            source = one.accelerator.sources.get("purchase_usd", "")
            told.append(f"bought for {one.accelerator.purchase_usd:,.0f} USD" + (f" ({source})" if source else ""))
        found += [sentence if sentence.startswith(name) else f"{name}: {sentence}" for sentence in told]
    return list(dict.fromkeys(found))


def _own_assumptions(comparison: Comparison, one: Contender) -> list[str]:
    assert one.estimate is not None
    return [sentence for sentence in one.estimate.assumptions if sentence not in comparison.job.assumptions]


def headline(comparison: Comparison) -> str:
    """The job and the count in one line."""
    return f"{text.headline(comparison.job)}: {comparison.count:,} of each"


def _turned(comparison: Comparison) -> tuple[list[str], list[list[str]]]:
    """Chips as columns: the heading line, and a line for each figure."""
    columns = [cells(contender) for contender in comparison.contenders]
    lines = [[name, *(column[index] for column in columns)] for index, name in enumerate(LINES)]
    return lines[0], lines[1:]


def print_comparison(comparison: Comparison) -> None:
    """The chips side by side in the terminal."""
    out = console()
    out.print(f"[bold]{escape(headline(comparison))}[/bold]", soft_wrap=True)
    out.print(f"[dim]prices as of {comparison.as_of}[/dim]", soft_wrap=True)
    head, lines = _turned(comparison)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    table.add_column("", style="dim", min_width=14)
    for name in head[1:]:
        table.add_column(escape(name), overflow="fold", max_width=44)
    for line in lines:
        table.add_row(*(escape(word) for word in line))
    out.print(table)
    for sentence in link_sentences(comparison):
        out.print(escape(sentence), soft_wrap=True)
    for sentence in notes(comparison):
        out.print(f"[dim]{escape(sentence)}[/dim]", soft_wrap=True)


def markdown(comparison: Comparison) -> str:
    """The table and its notes in Markdown."""
    head, lines = _turned(comparison)
    text_lines = [f"**{headline(comparison)}**", "", *text.markdown_table(["", *head[1:]], lines), ""]
    text_lines += [f"- {sentence}" for sentence in (*link_sentences(comparison), *notes(comparison))]
    return "\n".join(text_lines) + "\n"


def document(comparison: Comparison) -> dict[str, Any]:
    """The comparison for programs."""
    return {
        "schema": SCHEMA,
        "job": job(comparison.job),
        "count": comparison.count,
        "as_of": comparison.as_of.isoformat(),
        "accelerators": [_entry(contender) for contender in comparison.contenders if contender.estimate],
        "rejected": [
            {"accelerator": one.accelerator.name, "precision": one.precision, "reason": one.reason}
            for one in comparison.contenders
            if one.estimate is None
        ],
    }


def _entry(one: Contender) -> dict[str, Any]:
    estimate, cost, links = one.estimate, one.cost, one.full_links
    offer = one.price.offer if one.price else None
    assert estimate is not None
    return {
        "accelerator": one.accelerator.name,
        "precision": one.precision,
        "days": interval(estimate.run_s.scaled(1.0 / DAY_S), 3),
        "step_s": interval(estimate.step_s, 6),
        "cost": {
            "p10": float(cost.p10),
            "p50": float(cost.p50),
            "p90": float(cost.p90),
            "currency": cost.currency,
        }
        if cost
        else None,
        "price_per_accelerator_hour": float(offer.price_per_accelerator_hour) if offer else None,
        "price_provider": offer.provider if offer else None,
        "price_seen_at": offer.seen_at.isoformat() if offer else None,
        "price_age_days": one.price.age_days if one.price else None,
        "price_on_slower_network": one.price.slower_network if one.price else None,
        "price_source": offer.source if offer else None,
        "tokens_per_s": estimate.tokens_per_s,
        "mfu": estimate.mfu,
        "energy_kwh": interval(estimate.energy_j.scaled(1.0 / JOULES_PER_KWH), 1),
        "purchase_usd": one.accelerator.purchase_usd,
        "tokens_per_s_per_thousand_usd_of_purchase": one.tokens_per_s_per_kusd,
        "memory": {
            "verdict": estimate.memory.verdict,
            "bytes": estimate.memory.bytes,
            "limit_bytes": estimate.memory.limit_bytes,
        },
        "layout": layout(estimate.layout),
        "bottleneck": estimate.bottleneck,
        "full_links": {
            "sibling": links.sibling,
            "links": links.links,
            "step_s": links.step_s,
            "share_of_step_lost": links.share_lost,
        }
        if links
        else None,
        "calibration": estimate.calibration,
        "calibrated": estimate.calibrated,
        "assumptions": _unique(estimate.machine.fabric.assumption, *estimate.assumptions),
    }


def _unique(*sentences: str) -> list[str]:
    return list(dict.fromkeys(sentence for sentence in sentences if sentence))


def page(comparison: Comparison) -> str:
    """The comparison as one self-contained page."""
    head, lines = _turned(comparison)
    rows = [
        element("tr", element("th", html_escape(line[0]), scope="row") + "".join(map(cell, line[1:]))) for line in lines
    ]
    return fill(
        "compare.html",
        f"{comparison.job.name}: {comparison.count:,} accelerators side by side",
        {
            "heading": html_escape(headline(comparison)),
            "facts": html_escape(f"Prices as of {comparison.as_of}"),
            "bars": _bars(comparison),
            "headings": "".join(element("th", html_escape(name), scope="col") for name in ("", *head[1:])),
            "rows": "\n".join(rows),
            "links": bullets(link_sentences(comparison), "reasons"),
            "notes": bullets(notes(comparison), "marks"),
        },
    )


def _bars(comparison: Comparison) -> str:
    """Days as bars, with the interval as a thin line."""
    shown = [one for one in comparison.contenders if one.estimate is not None]
    if not shown:
        return ""
    longest = max(one.estimate.run_s.p90 for one in shown if one.estimate is not None)
    parts = []
    for one in shown:
        assert one.estimate is not None
        run = one.estimate.run_s
        low, middle, high = (100.0 * value / longest for value in (run.p10, run.p50, run.p90))
        bar = f'<div style="width:{middle:.2f}%"></div><hr style="left:{low:.2f}%;width:{high - low:.2f}%">'
        parts.append(
            element("span", html_escape(f"{one.accelerator.name}, {one.precision}"))
            + element("span", bar, class_="track")
            + element("span", html_escape(f"{text.days(run.scaled(1.0 / DAY_S))} days"))
        )
    return element("div", "".join(parts), class_="bars")
