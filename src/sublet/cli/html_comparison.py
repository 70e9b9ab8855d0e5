"""The page of `sublet allocate compare`: rules side by side, fill rates drawn, who loses to whom; one file, no script.

Invariant: every bar is as long as its figure says, every figure of a bar stands beside it in words, and every name from
the demand is escaped.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from sublet.allocation.scarce import Outcome
from sublet.allocation.scarce_measures import Line, Shift, Summary, shifts, summarise
from sublet.cli.html_page import cell, element, template

WIDTH, NAME, FIGURE = 720, 150, 170  # of a drawing; room for the name left of a bar, for the figure right of it
BAR, GAP = 16, 6
SHOWN_SHIFTS = 40


def comparison_page(outcomes: Sequence[Outcome], title: str) -> str:
    """The page as HTML; the first outcome is the base that losses are counted from."""
    summaries = [summarise(outcome) for outcome in outcomes]
    parts = [element("h1", escape(title)), _rules(summaries)]
    for heading, lines in (("class", "kinds"), ("tenant", "tenants")):
        parts.append(element("h2", f"What was granted of what was asked, by {heading}"))
        for name in [line.name for line in getattr(summaries[0], lines)]:
            rows = [(one.rule, _line(getattr(one, lines), name)) for one in summaries]
            parts += [element("h3", escape(name)), bars(rows)]
    if len(outcomes) > 1:
        parts.append(element("h2", f"Who loses to whom, against {escape(outcomes[0].rule)}"))
        for outcome in outcomes[1:]:
            parts += [element("h3", escape(outcome.rule)), _losses(shifts(outcomes[0], outcome))]
    head = f'<meta charset="utf-8"><title>{escape(title)}</title><style>{template("page.css")}</style>'
    return f'<!doctype html>\n<html lang="en"><head>{head}</head><body><main>{"".join(parts)}</main></body></html>\n'


def bars(rows: Sequence[tuple[str, Line]]) -> str:
    """Fill rates of one tenant or class, a bar for each rule, as inline SVG."""
    room = WIDTH - NAME - FIGURE
    height = len(rows) * (BAR + GAP) + GAP
    drawn = [f'<svg viewBox="0 0 {WIDTH} {height}" role="img" width="{WIDTH}" aria-label="fill rate by rule">']
    for number, (rule, line) in enumerate(rows):
        top = GAP + number * (BAR + GAP)
        base = top + BAR - 4
        length = room * min(1.0, line.fill)
        words = f"{line.fill:.0%} of {line.asked:,}, wait {line.wait:.1f}"
        drawn += [
            f'<text x="{NAME - 8}" y="{base}" text-anchor="end" font-size="12">{escape(rule)}</text>',
            f'<rect x="{NAME}" y="{top}" width="{room}" height="{BAR}" fill="#8883"/>',
            f'<rect x="{NAME}" y="{top}" width="{length:.1f}" height="{BAR}" fill="#3b6ea5"/>',
            f'<text x="{NAME + room + 8}" y="{base}" font-size="12">{words}</text>',
        ]
    return "".join(drawn) + "</svg>"


def _rules(summaries: Sequence[Summary]) -> str:
    names = ("rule", "fill", "wait in periods", "idle units", "Gini", "revenue")
    head = element("tr", "".join(element("th", escape(name), scope="col") for name in names))
    rows = [
        element(
            "tr",
            cell(one.rule)
            + "".join(
                cell(text, "number")
                for text in (
                    f"{one.fill:.1%}",
                    f"{one.wait:.2f}",
                    f"{one.idle:,}",
                    f"{one.gini:.3f}",
                    f"{one.revenue:,.2f}",
                )
            ),
        )
        for one in summaries
    ]
    return element("table", element("thead", head) + element("tbody", "".join(rows)))


def _line(lines: Sequence[Line], name: str) -> Line:
    return next(line for line in lines if line.name == name)


def _losses(pairs: Sequence[Shift]) -> str:
    if not pairs:
        return element("p", "Nobody has less than before.")
    said = [f"{pair.loser} loses {pair.units:,.1f} to {pair.winner}" for pair in pairs[:SHOWN_SHIFTS]]
    if len(pairs) > SHOWN_SHIFTS:
        said.append(f"and {len(pairs) - SHOWN_SHIFTS} smaller ones")
    return element("ul", "".join(element("li", escape(sentence)) for sentence in said))
