"""The chart of a page: finish time against cost as inline SVG, the Pareto set as a line.

Drawn here, whole, so that it can be read without any script; the page's script only adds the tooltip and the filter.
Invariant: every point is at its own figures on logarithmic axes, and carries the index of its row in the table.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from sublet.cli import render_text as text
from sublet.quote.value import Quote

WIDTH, HEIGHT = 1000, 520
LEFT, RIGHT, TOP, BOTTOM = 84, 24, 16, 52
COLOURS = 8  # accelerators with a colour of their own; the others are grey
NAME_ROOM = 0.14  # share of the axis of days that is left free before the first point, for names
LETTER = 6.3  # width of a letter in the chart's units
STEPS = ((1.0,), (1.0, 3.0), (1.0, 2.0, 5.0), (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 7.0), tuple(x / 2 for x in range(2, 20)))


@dataclass(frozen=True)
class Axis:
    """A logarithmic axis from `low` to `high`, drawn from `start` to `end`."""

    low: float
    high: float
    start: float
    end: float

    def at(self, value: float) -> float:
        """Where a value stands."""
        share = math.log(value / self.low) / math.log(self.high / self.low)
        return self.start + share * (self.end - self.start)

    def ticks(self) -> list[float]:
        """Round values between the ends, some five to nine of them."""
        best: list[float] = []
        for mantissas in STEPS:
            first, last = math.floor(math.log10(self.low)), math.ceil(math.log10(self.high))
            found = [m * 10.0**power for power in range(first, last + 1) for m in mantissas]
            best = [value for value in found if self.low <= value <= self.high]
            if len(best) >= 5:
                break
        return best


def axis(values: Sequence[float], start: float, end: float, *, before: float = 0.06) -> Axis:
    """An axis that shows all of `values` with some room at both ends; `before` is the share of room at the low end."""
    low, high = min(values), max(values)
    spread = max(high / low, 1.3)
    return Axis(low / spread**before, high * spread**0.05, start, end)


def colours(quotes: Sequence[Quote]) -> dict[str, int]:
    """A colour number from 1 for the accelerators that come first in the ranking, 0 for the rest."""
    names = list(dict.fromkeys(quote.accelerator for quote in sorted(quotes, key=lambda q: (not q.pareto, q.rank))))
    return {name: index + 1 if index < COLOURS else 0 for index, name in enumerate(names)}


def chart(quotes: Sequence[Quote]) -> str:
    """The SVG of the quotes whose price can be compared; empty where there is none."""
    shown = [(index, quote) for index, quote in enumerate(quotes) if quote.rank and float(quote.cost.p50) > 0]
    if not shown:
        return ""
    across = axis([quote.days.p50 for _, quote in shown], LEFT, WIDTH - RIGHT, before=NAME_ROOM)
    up = axis([float(quote.cost.p50) for _, quote in shown], HEIGHT - BOTTOM, TOP, before=0.1)
    own = colours([quote for _, quote in shown])
    parts = [
        f'<svg id="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        'aria-label="Cost against days to finish; every point is a row of the table below">',
        *_grid(across, up),
        *_front([quote for _, quote in shown if quote.pareto], across, up),
        '<g id="whiskers"></g>',
    ]
    # the front is drawn last, on top
    for index, quote in sorted(shown, key=lambda item: (item[1].pareto, item[0])):
        parts.append(_point(index, quote, own[quote.accelerator], across, up))
    parts += _names([quote for _, quote in shown], across, up)
    parts.append("</svg>")
    return "\n".join(parts)


def legend(quotes: Sequence[Quote]) -> str:
    """Buttons that show one accelerator alone."""
    own = colours([quote for quote in quotes if quote.rank])
    named = [(name, colour) for name, colour in own.items() if colour]
    buttons = [
        f'<button type="button" data-accelerator="{escape(name)}"><i class="c{colour}"></i>{escape(name)}</button>'
        for name, colour in named
    ]
    if any(not colour for colour in own.values()):
        buttons.append('<button type="button" data-accelerator=""><i class="c0"></i>others</button>')
    return "\n".join(buttons)


def _grid(across: Axis, up: Axis) -> list[str]:
    parts = ['<g class="grid">']
    for value in across.ticks():
        x = across.at(value)
        parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}"/>')
        parts.append(f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 20}" text-anchor="middle">{plain(value)}</text>')
    for value in up.ticks():
        y = up.at(value)
        parts.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{dollars(value)}</text>')
    middle = (LEFT + WIDTH - RIGHT) / 2
    parts.append(f'<text class="title" x="{middle}" y="{HEIGHT - 8}" text-anchor="middle">days to finish (P50)</text>')
    height = (TOP + HEIGHT - BOTTOM) / 2
    parts.append(
        f'<text class="title" transform="translate(18 {height}) rotate(-90)" text-anchor="middle">cost (P50)</text>'
    )
    return [*parts, "</g>"]


def _front(quotes: Sequence[Quote], across: Axis, up: Axis) -> list[str]:
    """The Pareto set as steps: between two of its points the cheaper one is not there yet."""
    points = sorted({(across.at(q.days.p50), up.at(float(q.cost.p50))) for q in quotes})
    if not points:
        return []
    path = f"M{points[0][0]:.1f} {TOP}V{points[0][1]:.1f}"
    path += "".join(f"H{x:.1f}V{y:.1f}" for x, y in points[1:])
    return [f'<path class="front" d="{path}H{WIDTH - RIGHT}"/>']


def _point(index: int, quote: Quote, colour: int, across: Axis, up: Axis) -> str:
    x, y = across.at(quote.days.p50), up.at(float(quote.cost.p50))
    reach = [min(max(value, LEFT), WIDTH - RIGHT) for value in (across.at(quote.days.p10), across.at(quote.days.p90))]
    rise = [
        min(max(up.at(float(value)), TOP), HEIGHT - BOTTOM) for value in (quote.cost.p10, quote.cost.p90) if value > 0
    ]
    kinds = f"point c{colour}" + (" pareto" if quote.pareto else "") + (" doubtful" if quote.trust else "")
    title = f"{quote.count:,} x {quote.accelerator}, {quote.offer.provider}: "
    title += f"{text.days(quote.days)} days, {text.cost(quote)}"
    name = escape(quote.accelerator if colour else "")
    return (
        f'<circle class="{kinds}" cx="{x:.1f}" cy="{y:.1f}" r="{6.5 if quote.pareto else 4.5}" data-row="{index}" '
        f'data-accelerator="{name}" data-x="{reach[0]:.1f} {reach[1]:.1f}" '
        f'data-y="{" ".join(f"{value:.1f}" for value in rise)}"><title>{escape(title)}</title></circle>'
    )


@dataclass(frozen=True)
class Label:
    """A name beside a point: where its text stands, and which end of it stands there ("start" or "end")."""

    text: str
    x: float
    y: float
    anchor: str


Box = tuple[float, float, float, float]  # left, top, right, bottom; y grows downwards


def labels(
    points: Sequence[tuple[float, float, str]], obstacles: Sequence[tuple[float, float]], frame: Box, letter: float
) -> list[Label]:
    """Where the names of points can stand without covering a name, an obstacle or the frame; others are left out.

    `letter` is the width of a letter in the units of the points; a line is two and a half times as high.
    """
    high, gap = 2.5 * letter, 1.6 * letter
    taken: list[Box] = [(x - gap / 2, y - gap / 2, x + gap / 2, y + gap / 2) for x, y in obstacles]
    # the lower left of a Pareto set is empty: first there, then above to the right
    level, below = 0.3 * high, gap + 0.7 * high
    places = [(-gap, below), (-gap, level), (gap, below), (gap, -gap), (-gap, -gap), (gap, level)]
    places += [(-2 * gap, below + high), (2 * gap, below + high), (2 * gap, -gap - high)]
    found = []
    for x, y, text_ in sorted(points):
        wide = letter * len(text_)
        for dx, dy in places:
            left = x + dx if dx > 0 else x + dx - wide
            box = (left, y + dy - 0.8 * high, left + wide, y + dy + 0.2 * high)
            inside = box[0] > frame[0] and box[1] > frame[1] and box[2] < frame[2] and box[3] < frame[3]
            if inside and not any(_overlap(box, other) for other in taken):
                taken.append(box)
                found.append(Label(text_, x + dx, y + dy, "start" if dx > 0 else "end"))
                break
    return found


def _overlap(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _names(quotes: Sequence[Quote], across: Axis, up: Axis) -> list[str]:
    """Names beside the points of the front."""

    def place(quote: Quote) -> tuple[float, float]:
        return across.at(quote.days.p50), up.at(float(quote.cost.p50))

    front = [(*place(quote), f"{quote.count:,} × {quote.accelerator}") for quote in quotes if quote.pareto]
    everything = [place(quote) for quote in quotes]
    return [
        f'<text class="label" x="{label.x:.1f}" y="{label.y:.1f}" text-anchor="{label.anchor}">'
        f"{escape(label.text)}</text>"
        for label in labels(front, everything, (LEFT, TOP, WIDTH - RIGHT, HEIGHT - BOTTOM), LETTER)
    ]


def plain(value: float) -> str:
    """A tick of the axis of days."""
    return f"{value:,.0f}" if value >= 10 else f"{value:g}"


def dollars(value: float) -> str:
    """A tick of the axis of cost: "$200k"."""
    for scale, letter in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if value >= scale:
            return f"${value / scale:g}{letter}"
    return f"${value:g}"
