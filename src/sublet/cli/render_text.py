"""How one quote reads: its cells as short text, used by the terminal, Markdown and HTML alike; Markdown and CSV whole.

Invariant: a figure is never shown without its unit or its column's unit, and an interval is always P10–P90.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from decimal import Decimal

from sublet.estimate.result import ChosenLayout, Interval
from sublet.quote.value import Cost, Quote, Rejected, meanings
from sublet.quote.view import Quotes
from sublet.units import format_count, format_duration_days, format_money
from sublet.workload.job import TrainingJob

HEADINGS = (
    "#",
    "accelerator",
    "n",
    "provider",
    "region",
    "days (P10–P90)",
    "cost (P10–P90)",
    "EFLOP/$",
    "fits",
    "why",
)
OWN_WISHES = frozenset({"accelerator", "market", "price", "provider", "region"})  # reasons that need no names
SYMBOLS = {"USD": "$", "EUR": "€", "GBP": "£"}


def headline(job: TrainingJob) -> str:
    """The job in one line: "MPT-30B, 1,000 B tokens, sequence 2,048, ..."."""
    parts = [
        job.name if job.model.name.casefold() in job.name.casefold() else f"{job.name} ({job.model.name})",
        f"{format_count(job.tokens)} tokens",
        f"sequence {job.sequence:,}",
        f"global batch {job.global_batch:,}",
        job.precision,
        job.framework,
    ]
    if job.task != "pretrain":
        parts.insert(1, "LoRA" if job.task == "lora" else "full fine-tuning")
    constraints = job.constraints
    if constraints.deadline_s is not None:
        parts.append(f"within {format_duration_days(constraints.deadline_s)}")
    if constraints.budget is not None:
        parts.append(f"for at most {format_money(constraints.budget)}")
    return ", ".join(parts)


def cells(quote: Quote, marks: dict[str, str]) -> list[str]:
    """The cells of one row, in the order of HEADINGS; `marks` gives every flag its letter."""
    offer = quote.offer
    letters = "".join(marks[flag] for flag in quote.flags if flag in marks)
    accelerator = quote.accelerator + ("?" if quote.candidates else "")
    provider = offer.provider if offer.market == "on-demand" else f"{offer.provider} {offer.market}"
    return [
        (str(quote.rank) if quote.rank else "–") + ("*" if quote.pareto else ""),
        accelerator,
        f"{quote.count:,}",
        provider,
        offer.region or "–",
        days(quote.days),
        cost(quote),
        "–" if quote.exaflop_per_usd is None else f"{quote.exaflop_per_usd:.3g}",
        quote.estimate.memory.verdict,
        quote.estimate.bottleneck + (f" [{letters}]" if letters else ""),
    ]


def days(value: Interval) -> str:
    """ "11.6 (10.2–13.1)"."""
    return f"{short(value.p50)} ({short(value.p10)}–{short(value.p90)})"


def cost(quote: Quote) -> str:
    """ "$714k ($630k–$822k)"."""
    return cost_of(quote.cost)


def cost_of(own: Cost) -> str:
    """ "$714k ($630k–$822k)"."""
    low, middle, high = (money(amount, own.currency) for amount in (own.p10, own.p50, own.p90))
    return f"{middle} ({low}–{high})"


def money(amount: Decimal | float, currency: str) -> str:
    """Three digits: "$714k", "$1.23M", "$950", "714k CNY"."""
    value = float(amount)
    for scale, letter in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if value >= scale * 0.9995:
            text = short(value / scale) + letter
            break
    else:
        text = short(value) if value >= 10 else f"{value:.2f}"
    symbol = SYMBOLS.get(currency)
    return f"{symbol}{text}" if symbol else f"{text} {currency}"


def short(value: float) -> str:
    """Three significant digits, thousands separated: "11.6", "0.52", "1,240"."""
    if value >= 99.95:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 9.995 else f"{value:.2f}"


def marks_of(quotes: Iterable[Quote]) -> tuple[dict[str, str], dict[str, str]]:
    """A letter for every flag that occurs, and what each letter means, in the order of the list of flags."""
    known = meanings({flag for quote in quotes for flag in quote.flags})
    letters = {flag: chr(ord("a") + index % 26) for index, flag in enumerate(known)}
    return letters, {letters[flag]: f"{flag}: {meaning}" for flag, meaning in known.items()}


def age(quotes: Quotes, today_ordinal: int) -> str:
    """The day that the prices are as of, and how long ago that is."""
    passed = today_ordinal - quotes.as_of.toordinal()
    ago = "today" if passed == 0 else f"{passed:,} day{'s' if passed != 1 else ''} ago"
    return f"{quotes.as_of} ({ago})" if passed >= 0 else f"{quotes.as_of}"


def left_out(quotes: Quotes, per_kind: int = 3) -> list[str]:
    """What was left out and why: one line for each kind of reason, the most frequent first."""
    kinds: dict[str, list[Rejected]] = {}
    for entry in quotes.rejected:
        kinds.setdefault(entry.kind, []).append(entry)
    totals = {kind: sum(entry.offers for entry in entries) for kind, entries in kinds.items()}
    lines = []
    for kind in sorted(kinds, key=lambda name: (-totals[name], name)):
        told = _nearest(kinds[kind]) if kinds[kind][0].miss is not None else _grouped(kind, kinds[kind])
        rest = len(told) - per_kind
        more = f"; and {rest:,} more" if rest > 0 else ""
        offers = "1 offer" if totals[kind] == 1 else f"{totals[kind]:,} offers"
        lines.append(f"{kind} ({offers}): {'; '.join(told[:per_kind])}{more}")
    return lines


def _nearest(entries: Sequence[Rejected]) -> list[str]:
    """By how much each accelerator missed at its nearest, the nearest first."""
    best: dict[str, Rejected] = {}
    for entry in sorted(entries, key=lambda one: (one.miss or 0.0, one.accelerator, one.count or 0)):
        best.setdefault(entry.accelerator, entry)
    return [
        (f"{entry.count:,} x " if entry.count else "")
        + f"{entry.accelerator}: {entry.reason.removeprefix(entry.kind + ': ')}"
        for entry in best.values()
    ]


def _grouped(kind: str, entries: Sequence[Rejected]) -> list[str]:
    """Each reason once, the most frequent first, with the accelerators where the reason does not name its own."""
    reasons: dict[str, list[Rejected]] = {}
    for entry in entries:
        bare = entry.reason.removeprefix(f"{kind.replace('-', ' ')}: ")
        reasons.setdefault(bare, []).append(entry)
    told = []
    for reason, own in sorted(reasons.items(), key=lambda item: (-sum(e.offers for e in item[1]), item[0])):
        names = list(dict.fromkeys(entry.accelerator for entry in own))
        if kind in OWN_WISHES or any(name in reason for name in names):
            told.append(reason)
        else:
            more = f" and {len(names) - 3:,} more" if len(names) > 3 else ""
            told.append(f"{', '.join(names[:3])}{more}: {reason}")
    return told


def markdown(quotes: Quotes, today_ordinal: int) -> str:
    """The table and what stands below it, in Markdown."""
    letters, meanings_ = marks_of(quotes.quotes)
    rows = [cells(quote, letters) for quote in quotes.quotes]
    lines = [
        f"**{headline(quotes.job)}**",
        "",
        f"Prices as of {age(quotes, today_ordinal)}; {quotes.offers:,} offers.",
        "",
        *markdown_table(HEADINGS, rows),
        "",
        "`*` on the Pareto front of finish time and cost.",
        *(f"- `{letter}` {meaning}" for letter, meaning in meanings_.items()),
    ]
    out = left_out(quotes)
    if out:
        lines += ["", "Left out:", "", *(f"- {line}" for line in out)]
    return "\n".join(lines) + "\n"


def markdown_table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Lines of a Markdown table."""
    lines = [f"| {' | '.join(headings)} |", f"|{'---|' * len(headings)}"]
    lines += [f"| {' | '.join(cell.replace('|', '/') for cell in row)} |" for row in rows]
    return lines


def comma_separated(quotes: Quotes) -> str:
    """The quotes as CSV with a header line; money is exact."""
    import csv

    from sublet.quote.document import CSV_COLUMNS, csv_row

    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    writer.writerows(csv_row(quote) for quote in quotes.quotes)
    return out.getvalue()


def layout(chosen: ChosenLayout) -> str:
    """ "data 64, tensor 8; zero3, full recompute; microbatch 4, 2 accumulated"."""
    degrees = (
        ("data", chosen.dp),
        ("tensor", chosen.tp),
        ("pipeline", chosen.pp),
        ("context", chosen.cp),
        ("expert", chosen.ep),
    )
    parts = [f"{name} {degree:,}" for name, degree in degrees if degree > 1] or ["one accelerator"]
    if chosen.pp > 1 and chosen.vp > 1:
        parts.append(f"{chosen.vp} interleaved stages")
    recompute = "no recompute" if chosen.recompute == "none" else f"recompute {chosen.recompute}"
    savers = [chosen.sharding, recompute]
    savers += ["sequence parallel"] if chosen.sequence_parallel else []
    savers += ["optimizer in host memory"] if chosen.offload else []
    accumulated = f", {chosen.grad_accum} accumulated" if chosen.grad_accum > 1 else ""
    return f"{', '.join(parts)}; {', '.join(savers)}; microbatch {chosen.micro_batch}{accumulated}"
