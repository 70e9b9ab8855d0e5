"""`sublet quote`: what a job costs and how long it takes on every accelerator on offer.

Reads a job and a day's offers, asks the quote room and prints; no rule of quoting lives here. Exit codes: 0 quotes
found, 3 nothing fits (and the nearest miss is named), 2 bad input.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sublet.cli.quote_inputs import catalog_options, job_options, planner, read_job, read_offers, wish_options

if TYPE_CHECKING:
    from sublet.quote.priced import Plan, Priced
    from sublet.quote.view import Quotes

VIEWS = ("best", "cheapest", "fastest", "value", "pareto", "all")
CHART_ROWS = 400  # quotes that a chart can show apart


@click.command()
@click.argument("job", required=False, type=click.Path(path_type=Path, dir_okay=False))
@job_options
@wish_options
@catalog_options
@click.option("--view", type=click.Choice(VIEWS), default="best", show_default=True, help="Order, or Pareto set only.")
@click.option("--limit", type=int, default=20, show_default=True, metavar="N", help="Rows; 0: every offer on its own.")
@click.option("--explain", "row", type=int, metavar="ROW", help="Everything behind one row of the list.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
@click.option("--csv", "as_csv", is_flag=True, help="CSV on standard output.")
@click.option("--markdown", "as_markdown", is_flag=True, help="Markdown on standard output.")
@click.option("--html", type=click.Path(path_type=Path, dir_okay=False), help="Write one self-contained page.")
@click.option("--plot", type=click.Path(path_type=Path, dir_okay=False), help="Draw time against cost: .png or .svg.")
def quote(
    job: Path | None,
    catalog: tuple[Path, ...],
    calibration: Path | None,
    as_of: Any,
    view: str,
    limit: int,
    row: int | None,
    as_json: bool,
    as_csv: bool,
    as_markdown: bool,
    html: Path | None,
    plot: Path | None,
    **options: Any,
) -> None:
    """What a training job costs and how long it takes, on every accelerator on offer.

    JOB is a YAML file (see `sublet workload init`); options win over it, or stand for it: --model mpt-30b --tokens 1T.
    """
    from sublet.errors import InputError

    if as_json + as_csv + as_markdown > 1:
        raise InputError("--json, --csv and --markdown exclude each other: choose one")
    asked = read_job(job, options)
    day = as_of or asked.constraints.on
    offers = read_offers(catalog, day)
    today = offers.today.toordinal()

    from sublet.cli.render_progress import watched
    from sublet.quote.facts import from_catalogue
    from sublet.quote.priced import price_all
    from sublet.quote.view import nothing_fits, select

    plan = watched(planner(calibration))  # a bar where it takes longer than a second and a person is watching
    every = limit == 0 or view == "all"
    priced = price_all(asked, offers.columns, as_of=offers.as_of, facts=from_catalogue(), plan=plan, every=every)
    found = select(priced, view, limit)
    if row is not None and found.quotes:
        _explain(found, row, plan, as_json)
        return
    if found.quotes:  # files first: a pipe that closes early must not cost them
        _draw(priced, found, html, plot, today)
    if as_json:
        _print_json(found)
    elif found.quotes:
        _print(found, today, as_csv=as_csv, as_markdown=as_markdown, newest=day is None)
    if not found.quotes:
        raise nothing_fits(priced)


def _print(found: Quotes, today: int, *, as_csv: bool, as_markdown: bool, newest: bool) -> None:
    """The answer as text; `newest`: its day was not asked for, it is the newest of the catalogue."""
    from sublet.cli import render_text

    if as_csv:
        click.echo(render_text.comma_separated(found), nl=False)
    elif as_markdown:
        click.echo(render_text.markdown(found, today), nl=False)
    else:
        from sublet.cli.render_quotes import print_quotes

        print_quotes(found, today, newest=newest)


def _print_json(found: Quotes) -> None:
    from sublet.quote.document import document, encode

    click.echo(encode(document(found)))


def _explain(found: Quotes, row: int, plan: Plan, as_json: bool) -> None:
    from sublet.quote.explain import explain

    told = explain(found, row, plan)
    if as_json:
        from sublet.quote.document import encode, explanation

        click.echo(encode(explanation(told)))
        return
    from sublet.cli.render_quotes import print_explanation

    print_explanation(told)


def _draw(priced: Priced, found: Quotes, html: Path | None, plot: Path | None, today: int) -> None:
    """The page and the picture, where they were asked for; both show more rows than the table."""
    if html is None and plot is None:
        return
    from sublet.quote.view import select

    chart = select(priced, found.view, CHART_ROWS)
    if html is not None:
        from sublet.cli.html_quotes import page

        write(html, page(chart, today).encode("utf-8"))
    if plot is not None:
        from sublet.cli.plot_quotes import picture

        write(plot, picture(chart, plot.suffix))


def write(path: Path, content: bytes) -> None:
    """Write a file whole. Raises InputError where it cannot be written."""
    from sublet.errors import InputError

    try:
        path.write_bytes(content)
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror}") from error
    click.echo(f"wrote {path}", err=True)
