"""`sublet catalog history`: what an accelerator cost over time, in the terminal, as PNG, SVG, CSV or JSON."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sublet.cli.catalog_common import JSON, Day, console, money, newest, write_text
from sublet.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sublet.catalog.history import Change, Point, Series
    from sublet.catalog.table import OfferTable

SCHEMA = "sublet.catalog.history/1"
SHOWN = 14  # series in the terminal
PICTURED = 12  # series in a picture
WIDTH = 40  # columns of a sparkline
CHANGES = 12


@click.command("history")
@click.argument("accelerator")
@click.option("--provider", "-p", multiple=True, metavar="NAME", help="Only these providers.")
@click.option("--region", "-r", multiple=True, metavar="NAME", help="Only these regions.")
@click.option("--shape", multiple=True, metavar="NAME", help="Only these instance types.")
@click.option("--count", "-n", type=click.IntRange(min=1), help="Accelerators in one offer.")
@click.option("--market", "-m", multiple=True, metavar="NAME", help="on-demand (default), spot, reserved-1y, ...; all.")
@click.option(
    "--by",
    default="provider",
    show_default=True,
    metavar="COLUMNS",
    help="A line for each: provider, market, region, shape, feed, accelerator (comma-separated), or all for one line.",
)
@click.option("--from", "start", type=Day(), metavar="DAY", help="First day.")
@click.option("--to", "end", type=Day(), metavar="DAY", help="Last day.")
@click.option(
    "--changes-above", default=5.0, show_default=True, metavar="PERCENT", help="List price moves beyond that."
)
@click.option("--csv", "csv_file", metavar="FILE", help="Write every point as CSV; - for standard output.")
@click.option("--png", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="Draw it as PNG.")
@click.option("--svg", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="Draw it as SVG.")
@JSON
def history(
    accelerator: str,
    provider: Sequence[str],
    region: Sequence[str],
    shape: Sequence[str],
    count: int | None,
    market: Sequence[str],
    by: str,
    start: date | None,
    end: date | None,
    changes_above: float,
    csv_file: str | None,
    png: Path | None,
    svg: Path | None,
    as_json: bool,
) -> None:
    """What ACCELERATOR (any spelling) cost over time: the lowest price per accelerator-hour of each provider.

    Placeholders, other currencies and prices of an accelerator without its machine are left out.
    """
    from sublet.catalog.history import changes, series
    from sublet.catalog.rules import provider_id
    from sublet.catalog.store import open_catalog
    from sublet.catalog.table import TEXTS

    columns = [] if by == "all" else [name.strip() for name in by.split(",") if name.strip()]
    for name in columns:
        if name not in TEXTS:
            raise InputError(f"--by {name}: no such column; there are {', '.join(TEXTS)}")
    table = open_catalog()
    every = table.where(accelerator=accelerator)
    table = table.with_flag("placeholder", marked(table, every))
    rows = table.where(
        accelerator=accelerator,
        provider=[provider_id(name) for name in provider] or None,
        region=region or None,
        shape=shape or None,
        count=count,
        market=None if "all" in market else (market or ("on-demand",)),
    )
    found = series(table, rows, by=columns, start=start, end=end)
    if not found:
        raise InputError(
            f'no price of "{accelerator}" under these conditions; `sublet catalog list -a "{accelerator}"`'
        )
    whole = series(table, rows, by=(), start=start, end=end)[0]
    moves = changes(found, above=changes_above / 100)
    last = end or newest(table)
    if csv_file:
        write_text(csv_file, _csv(found, columns))
    title = f"{accelerator}, {' and '.join(market or ('on-demand',))}: lowest price"
    for path in filter(None, (png, svg)):
        from sublet.cli.plot import write_picture

        lines = [(" ".join(one.key) or "all", _line(one)) for one in found[:PICTURED]]
        write_picture(path, lines, title=title, unit="US dollars per accelerator-hour", end=last)
    if as_json:
        click.echo(json.dumps(_document(accelerator, columns, found, moves), indent=1))
    elif csv_file != "-":
        _print(title, whole, found, moves, last)


def marked(table: OfferTable, rows: NDArray[Any]) -> NDArray[Any]:
    """The rows of the whole table that are placeholders among `rows`, as a mask."""
    import numpy as np

    from sublet.catalog.history import implausible

    mask = np.zeros(len(table), dtype=np.bool_)
    mask[rows] = implausible(table, rows)
    return mask


def _line(one: Series) -> list[tuple[date, float | None]]:
    return [(point.day, point.low) for point in one.points]


def _print(title: str, whole: Series, found: Sequence[Series], moves: Sequence[Change], last: date) -> None:
    from rich.table import Table

    from sublet.cli.plot import chart, sparkline

    terminal = console()
    start = whole.points[0].day
    terminal.print(f"[bold]{title}[/bold], US dollars per accelerator-hour")
    for line in chart(_line(whole), start, last):
        terminal.print(line, markup=False)
    lows = [point.low for one in found for point in one.points if point.low is not None]
    view = Table(box=None, pad_edge=False, header_style="bold")
    view.add_column("")
    for name in ("first", "last", "low", "high", "offers"):
        view.add_column(name, justify="right")
    view.add_column(f"{start} to {last}")
    view.add_column("seen until")
    for one in found[:SHOWN]:
        priced = [point for point in one.points if point.low is not None]
        values = [point.low for point in priced if point.low is not None]
        ended = one.points[-1].day if one.points[-1].low is None else last
        view.add_row(
            " ".join(one.key) or "all",
            money(values[0]),
            money(values[-1]),
            money(min(values)),
            money(max(values)),
            str(priced[-1].offers),
            sparkline(_line(one), start, last, WIDTH, min(lows), max(lows)),
            date.fromordinal(ended.toordinal() - (1 if ended != last else 0)).isoformat(),
        )
    terminal.print(view)
    if len(found) > SHOWN:
        terminal.print(f"{len(found) - SHOWN} dearer ones are left out (--csv, --json or --provider show them).")
    if moves:
        terminal.print("\n[bold]Moves of the lowest price[/bold]")
        for move in moves[-CHANGES:]:
            who = " ".join(move.key) or "all"
            days = f"{move.before.day} to {move.after.day}"
            prices = f"{money(move.before.low)} to {money(move.after.low)}"
            terminal.print(f"  {days}  {who}: {prices} ({move.ratio - 1:+.0%})")
        if len(moves) > CHANGES:
            terminal.print(f"  ({len(moves) - CHANGES} earlier ones are left out)")


def _csv(found: Sequence[Series], columns: Sequence[str]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow((*columns, "from_day", "low_usd", "median_usd", "high_usd", "offers"))
    for one in found:
        for point in one.points:
            figures = ("" if value is None else f"{value:.10g}" for value in (point.low, point.median, point.high))
            writer.writerow((*one.key, point.day.isoformat(), *figures, point.offers))
    return text.getvalue()


def _document(
    accelerator: str, columns: Sequence[str], found: Sequence[Series], moves: Sequence[Change]
) -> dict[str, Any]:
    def listed(point: Point) -> dict[str, Any]:
        return {
            "day": point.day.isoformat(),
            "low": point.low,
            "median": point.median,
            "high": point.high,
            "offers": point.offers,
        }

    return {
        "schema": SCHEMA,
        "accelerator": accelerator,
        "unit": "USD per accelerator-hour",
        "by": list(columns),
        "series": [{"key": list(one.key), "points": [listed(point) for point in one.points]} for one in found],
        "changes": [
            {
                "key": list(move.key),
                "after": move.before.day.isoformat(),
                "by": move.after.day.isoformat(),
                "from": move.before.low,
                "to": move.after.low,
                "ratio": move.ratio,
            }
            for move in moves
        ],
    }
