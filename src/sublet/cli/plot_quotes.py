"""Time against cost as a picture: every quote a point, the Pareto set a line. PNG or SVG, drawn without a display."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

from sublet.cli import render_text as text
from sublet.cli.html_chart import axis, colours, dollars, labels, plain
from sublet.errors import InputError
from sublet.quote.value import Quote
from sublet.quote.view import Quotes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FORMATS = {".png": "png", ".svg": "svg", ".pdf": "pdf"}
PALETTE = ("#9aa4b1", "#2563eb", "#ea580c", "#059669", "#dc2626", "#7c3aed", "#0891b2", "#b45309", "#db2777")
LETTER_PIXELS = 7.2  # width of a letter of the labels at the figure's own resolution


def picture(quotes: Quotes, suffix: str) -> bytes:
    """The picture in the format of a file suffix; the same quotes give the same bytes.

    Raises InputError for a suffix that is not drawn, or where no price can be compared.
    """
    if suffix.casefold() not in FORMATS:
        raise InputError(f"--plot draws .png, .svg or .pdf, not {suffix or 'a file without suffix'!r}")
    shown = [quote for quote in quotes.quotes if quote.rank]
    if not shown:
        raise InputError("--plot: none of these quotes has a price that can be compared")
    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rcParams["svg.hashsalt"] = "sublet"
    from matplotlib.figure import Figure
    from matplotlib.ticker import FixedLocator, NullLocator

    figure = Figure(figsize=(10, 6), layout="constrained")
    axes = figure.subplots()
    own = colours(shown)
    named: set[str] = set()
    for quote in sorted(shown, key=lambda q: q.pareto):
        colour = PALETTE[own[quote.accelerator]]
        label = quote.accelerator if own[quote.accelerator] else "others"
        axes.scatter(
            quote.days.p50,
            float(quote.cost.p50),
            s=62 if quote.pareto else 26,
            color=colour,
            alpha=1.0 if quote.pareto else 0.3 if quote.trust else 0.6,
            edgecolors="#1b2430" if quote.pareto else "none",
            linewidths=0.8,
            zorder=3 if quote.pareto else 2,
            label=None if label in named else label,
        )
        named.add(label)
    front = sorted((q for q in shown if q.pareto), key=lambda q: q.days.p50)
    if front:
        axes.step(
            [q.days.p50 for q in front],
            [float(q.cost.p50) for q in front],
            where="post",
            color="#5c6876",
            linewidth=1.2,
            linestyle="--",
            zorder=1,
        )
        for quote in front:
            low, high = quote.days.p50 - quote.days.p10, quote.days.p90 - quote.days.p50
            under, over = float(quote.cost.p50 - quote.cost.p10), float(quote.cost.p90 - quote.cost.p50)
            axes.errorbar(
                quote.days.p50,
                float(quote.cost.p50),
                xerr=[[low], [high]],
                yerr=[[under], [over]],
                color=PALETTE[own[quote.accelerator]],
                alpha=0.45,
                linewidth=1,
                zorder=1,
            )
    axes.set_xscale("log")
    axes.set_yscale("log")
    ends = (front[0], front[-1]) if front else ()
    across = axis([q.days.p50 for q in shown] + [v for q in ends for v in (q.days.p10, q.days.p90)], 0, 1, before=0.16)
    up = axis([float(q.cost.p50) for q in shown] + [float(v) for q in ends for v in (q.cost.p10, q.cost.p90)], 0, 1)
    axes.set_xlim(across.low, across.high)
    axes.set_ylim(up.low, up.high)
    for one, ticks in ((axes.xaxis, across.ticks()), (axes.yaxis, up.ticks())):
        one.set_major_locator(FixedLocator(ticks))
        one.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(lambda value, _: plain(value))
    axes.yaxis.set_major_formatter(lambda value, _: dollars(value))
    axes.set_xlabel("days to finish (P50; bars P10–P90)")
    axes.set_ylabel("cost (P50; bars P10–P90)")
    axes.set_title(text.headline(quotes.job), loc="left", fontsize=11)
    axes.grid(color="#dfe3e8", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    handles, names = axes.get_legend_handles_labels()
    ranked = sorted(zip(names, handles, strict=True), key=lambda pair: own.get(pair[0], 0) or len(PALETTE))
    axes.legend(
        [handle for _, handle in ranked],
        [name for name, _ in ranked],
        frameon=False,
        fontsize=8.5,
        loc="center left",
        bbox_to_anchor=(1.0, 0.5),
    )
    figure.text(0.005, 0.003, f"prices as of {quotes.as_of}", fontsize=7.5, color="#5c6876")
    _name(figure, axes, shown, front)
    out = io.BytesIO()
    kind = FORMATS[suffix.casefold()]
    dated = {"Software": None} if kind == "png" else {"Date": None} if kind == "svg" else {"CreationDate": None}
    figure.savefig(out, format=kind, dpi=150, metadata=dated)
    return out.getvalue()


def _name(figure: Figure, axes: Axes, shown: Sequence[Quote], front: Sequence[Quote]) -> None:
    """Names beside the points of the front, placed like those of the page, in pixels from the top."""
    figure.draw_without_rendering()  # the layout is known only then
    top = figure.bbox.height

    def place(quote: Quote) -> tuple[float, float]:
        x, y = axes.transData.transform((quote.days.p50, float(quote.cost.p50)))
        return float(x), float(top - y)

    box = axes.get_window_extent()
    frame = (box.x0, top - box.y1, box.x1, top - box.y0)
    named = [(*place(quote), f"{quote.count:,} × {quote.accelerator}") for quote in front]
    for label in labels(named, [place(quote) for quote in shown], frame, LETTER_PIXELS):
        x, y = figure.transFigure.inverted().transform((label.x, top - label.y))
        figure.text(x, y, label.text, fontsize=8.5, ha="left" if label.anchor == "start" else "right", va="baseline")
