"""Quotes in the terminal: the table, what the marks mean, what was left out, and one quote explained."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table

from sublet.cli import render_text as text
from sublet.quote.rank import VIEWS, order_of
from sublet.quote.view import Quotes
from sublet.units import format_bytes, format_duration

if TYPE_CHECKING:
    from sublet.quote.explain import Explanation

TABLE_WIDTH = 130  # a narrower terminal gets two lines for each quote instead of a table
PIPE_WIDTH = 200  # columns where the output is no terminal: nothing is cut
VERDICT_STYLES = {"fits": "green", "edge": "yellow", "does not fit": "red"}
STALE_CATALOGUE_DAYS = 30


def console() -> Console:
    """Standard output, wide where it is no terminal."""
    found = Console(highlight=False)
    return found if found.is_terminal else Console(highlight=False, width=PIPE_WIDTH)


def print_quotes(quotes: Quotes, today_ordinal: int, *, newest: bool) -> None:
    """The whole answer to `sublet quote`; `newest`: its day is the newest of the catalogue, nobody asked for it."""
    out = console()
    out.print(f"[bold]{escape(text.headline(quotes.job))}[/bold]", soft_wrap=True)
    shown = f"{len(quotes.quotes)} of {len(quotes.quotes) + quotes.more} rows" if quotes.more else "all rows"
    out.print(
        f"[dim]prices as of {text.age(quotes, today_ordinal)} · {quotes.offers:,} offers, {quotes.candidates:,} quoted"
        f" · {VIEWS[order_of(quotes.view, quotes.job.constraints)]} · {shown}[/dim]",
        soft_wrap=True,
    )
    letters, meanings = text.marks_of(quotes.quotes)
    if out.width >= TABLE_WIDTH:
        out.print(_table(quotes, letters))
    else:
        _print_blocks(out, quotes, letters)
    notes = ["[bold]*[/bold] on the Pareto front: no firmer offer is both sooner and cheaper"]
    notes += [f"[bold]{letter}[/bold] {escape(meaning)}" for letter, meaning in meanings.items()]
    for note in notes:
        out.print(f"[dim]{note}[/dim]", soft_wrap=True)
    for sentence in quotes.job.assumptions:
        out.print(f"[dim]assumed: {escape(sentence)}[/dim]", soft_wrap=True)
    lines = text.left_out(quotes)
    if lines:
        out.print("[bold]left out[/bold]")
        for line in lines:
            out.print(f"  [dim]{escape(line)}[/dim]", soft_wrap=True)
    for note in quotes.notes:
        out.print(f"[yellow]{escape(note)}[/yellow]", soft_wrap=True)
    old = today_ordinal - quotes.as_of.toordinal()
    if newest and old > STALE_CATALOGUE_DAYS:
        out.print(
            f"[yellow]the newest price is {old:,} days old: `sublet catalog import` reads newer ones[/yellow]",
            soft_wrap=True,
        )
    out.print(
        f"[dim]prices from {escape(', '.join(quotes.feeds))} (`sublet catalog sources`) · "
        "one row stands for all offers of a chip and count (`--limit 0` shows all) · `--explain 1` says more[/dim]",
        soft_wrap=True,
    )


def _table(quotes: Quotes, letters: dict[str, str]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    right = {"#", "n", "days (P10–P90)", "cost (P10–P90)", "EFLOP/$"}
    for heading in text.HEADINGS:
        wrap = heading in ("why", "region")
        table.add_column(heading, justify="right" if heading in right else "left", no_wrap=not wrap, overflow="fold")
    for quote in quotes.quotes:
        row = [escape(cell) for cell in text.cells(quote, letters)]
        verdict = quote.estimate.memory.verdict
        row[8] = f"[{VERDICT_STYLES.get(verdict, 'white')}]{verdict}[/]"
        table.add_row(*row, style="bold" if quote.pareto else "" if quote.rank else "dim")
    return table


def _print_blocks(out: Console, quotes: Quotes, letters: dict[str, str]) -> None:
    """Every quote on two lines: what it is and what it costs, then where, its worth and why."""
    rows = [text.cells(quote, letters) for quote in quotes.quotes]
    names = [f"{row[2]} x {row[1]}" for row in rows]
    wide = max(map(len, names), default=0)
    days = max((len(row[5]) for row in rows), default=0)
    for quote, row, name in zip(quotes.quotes, rows, names, strict=True):
        style = "bold" if quote.pareto else "" if quote.rank else "dim"
        line = f"{row[0]:>4} {name:<{wide}}  {row[5]:>{days}} days  {row[6]}"
        out.print(escape(line), style=style, no_wrap=True, overflow="ellipsis")
        place = row[3] if row[4] == "–" else f"{row[3]}, {row[4]}"
        verdict = quote.estimate.memory.verdict
        colour = VERDICT_STYLES.get(verdict, "white")
        out.print(
            Padding(
                f"[dim]{escape(place)} · {row[7]} EFLOP/$ · [/dim][{colour}]{verdict}[/][dim] · {escape(row[9])}[/dim]",
                (0, 0, 0, 5),
            )
        )


def print_explanation(told: Explanation) -> None:
    """Everything behind one quote."""
    from sublet.quote.explain import order_sentence

    out = console()
    quote, estimate = told.quote, told.quote.estimate
    offer = quote.offer
    where = ", ".join(filter(None, (offer.provider, offer.shape, offer.region, offer.market)))
    rank = f"#{quote.rank}" if quote.rank else "not ranked"
    out.print(f"[bold]{rank}: {quote.count:,} x {escape(quote.accelerator)}[/bold] · {escape(where)}", soft_wrap=True)
    out.print(
        f"{text.days(quote.days)} days · {text.cost(quote)} · {offer.price_per_accelerator_hour} {offer.currency} per "
        f"accelerator-hour · {estimate.tokens_per_s:,.0f} tokens/s · MFU {estimate.mfu:.1%}"
        f" · {escape(estimate.bottleneck)}",
        soft_wrap=True,
    )
    out.print(_parts(told))
    memory = estimate.memory
    out.print(
        f"[bold]memory[/bold] {memory.verdict}: {format_bytes(memory.bytes)} of {format_bytes(memory.limit_bytes)} per "
        "accelerator: " + ", ".join(f"{name} {format_bytes(size)}" for name, size in told.memory if size),
        soft_wrap=True,
    )
    out.print(f"[bold]layout[/bold] {escape(text.layout(estimate.layout))}", soft_wrap=True)
    out.print("[bold]where the figures come from[/bold]")
    for name, source in told.figures:
        out.print(f"  {escape(name)}: [dim]{escape(source)}[/dim]", soft_wrap=True)
    out.print(f"[bold]what would change the order[/bold] {escape(order_sentence(told))}", soft_wrap=True)
    if told.what_ifs:
        out.print("[bold]what would change the days[/bold]")
        for case in told.what_ifs:
            out.print(f"  {escape(case.change)}: {text.days(case.days)} days, {case.share:.1%} less", soft_wrap=True)


def _parts(told: Explanation) -> Table:
    step = told.quote.estimate.step_s
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    table.add_column(f"step of {format_duration(step.p50)}")
    table.add_column("time", justify="right")
    table.add_column("share", justify="right")
    table.add_column("")
    for name, seconds, share in told.parts:
        if share >= 0.0005:
            table.add_row(escape(name), format_duration(seconds), f"{share:.1%}", "█" * max(1, round(40 * share)))
    return table
