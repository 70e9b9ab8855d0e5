"""`sublet compare`: chips side by side for one job at equal count. Exit codes as for `sublet quote`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from sublet.cli.quote_inputs import catalog_options, job_options, planner, read_job, read_offers, words_of


@click.command()
@click.argument("job", required=False, type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--accelerators", multiple=True, required=True, metavar="NAME,...", help='Chips: "H100 SXM,A100 SXM 40GB,H800 SXM".'
)
@click.option("--count", type=int, required=True, metavar="N", help="Accelerators of each.")
@job_options
@click.option("--spot", is_flag=True, help="Spot prices too.")
@click.option("--market", "markets", metavar="NAME,...", multiple=True, help="on-demand, spot, reserved-1y, ...")
@catalog_options
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
@click.option("--markdown", "as_markdown", is_flag=True, help="Markdown on standard output.")
@click.option("--html", type=click.Path(path_type=Path, dir_okay=False), help="Write one self-contained page.")
def compare(
    job: Path | None,
    accelerators: tuple[str, ...],
    count: int,
    precision: str | None,
    catalog: tuple[Path, ...],
    calibration: Path | None,
    as_of: Any,
    as_json: bool,
    as_markdown: bool,
    html: Path | None,
    **options: Any,
) -> None:
    """Chips side by side for one job at equal count.

    Each chip stands on the network that it usually has; --precision bf16,fp8 gives a row for each format.
    """
    from sublet.errors import InputError, NothingFitsError

    if as_json and as_markdown:
        raise InputError("--json and --markdown exclude each other: choose one")
    precisions = words_of((precision,)) if precision else []
    asked = read_job(job, {**options, "precision": precisions[0] if precisions else None})
    offers = read_offers(catalog, as_of or asked.constraints.on)

    from sublet.cli import render_compare
    from sublet.quote import compare as room
    from sublet.quote.facts import from_catalogue

    found = room.compare(
        asked,
        words_of(accelerators),
        count,
        precisions=precisions,
        columns=offers.columns,
        as_of=offers.as_of,
        facts=from_catalogue(),
        plan=planner(calibration),
    )
    if html is not None:
        from sublet.cli.quote import write

        write(html, render_compare.page(found).encode("utf-8"))
    if as_json:
        from sublet.quote.document import encode

        click.echo(encode(render_compare.document(found)))
    elif as_markdown:
        click.echo(render_compare.markdown(found), nl=False)
    else:
        render_compare.print_comparison(found)
    if all(one.estimate is None for one in found.contenders):
        reasons = "; ".join(dict.fromkeys(f"{one.accelerator.name}: {one.reason}" for one in found.contenders))
        raise NothingFitsError(f"nothing fits {asked.name} on {count:,}: {reasons}")
