"""`sublet allocate compare`: one demand, several rules for a scarce good; who gets what, and who loses to whom."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from sublet.allocation.scarce import Outcome
    from sublet.allocation.scarce_measures import Line

_SHOWN_SHIFTS = 8


@click.command()
@click.argument("demand", type=click.Path(path_type=Path))
@click.option("--supply", required=True, metavar="N[,N...]", help="Units that come in each period, for example 100,50.")
@click.option("--periods", type=click.IntRange(min=1), help="Play this long; the last figure of --supply repeats.")
@click.option(
    "--policies", default="", metavar="A,B,...", help="Rules to compare, the first is the base; default: all."
)
@click.option("--price", type=click.FloatRange(min=0), default=0.0, help="Money per unit; the reserve of an auction.")
@click.option("--fee", type=click.FloatRange(min=0), default=0.0, help="Money per reserved unit (reservation-fee).")
@click.option("--plot", type=click.Path(path_type=Path, dir_okay=False), help="Draw it as PNG, SVG or HTML.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
def compare(
    demand: Path,
    supply: str,
    periods: int | None,
    policies: str,
    price: float,
    fee: float,
    plot: Path | None,
    as_json: bool,
) -> None:
    """Who gets a scarce good, under one rule and another, on the same DEMAND (CSV)."""
    from sublet.allocation.scarce import RULES, Terms, play
    from sublet.allocation.scarce_reader import read_demand

    requests = read_demand(demand)
    names = [name.strip() for name in policies.split(",") if name.strip()] or list(RULES)
    units = _supply(supply, periods)
    outcomes = [play(requests, units, name, Terms(price, fee)) for name in names]
    if plot is not None:
        _draw(outcomes, plot, f"{demand.name} under {len(names)} rules")
    if as_json:
        click.echo(json.dumps(_document(outcomes), indent=1, allow_nan=False))
    else:
        _print(outcomes)


def _draw(outcomes: list[Outcome], path: Path, title: str) -> None:
    if path.suffix.lower() in (".html", ".htm"):
        from sublet.cli.html_comparison import comparison_page

        path.write_text(comparison_page(outcomes, title), encoding="utf-8")
        return
    from sublet.cli.allocate_plot import plot_comparison

    plot_comparison(outcomes, path)


def _supply(text: str, periods: int | None) -> list[int]:
    from sublet.errors import InputError

    try:
        units = [int(part) for part in text.split(",")]
    except ValueError:
        raise InputError(f"--supply is {text!r}: give whole numbers such as 100 or 100,50,50") from None
    if min(units) < 0:
        raise InputError(f"--supply is {text!r}: units cannot be negative")
    return units if periods is None else (units + [units[-1]] * periods)[:periods]


def _document(outcomes: list[Outcome]) -> dict[str, Any]:
    from sublet.allocation.scarce_measures import shifts, summarise

    return {
        "schema": "sublet.allocate.compare/1",
        "base": outcomes[0].rule,
        "policies": [
            {**asdict(summarise(outcome)), "shifts": [asdict(pair) for pair in shifts(outcomes[0], outcome)]}
            for outcome in outcomes
        ],
    }


def _print(outcomes: list[Outcome]) -> None:
    from sublet.allocation.scarce_measures import shifts, summarise

    summaries = [summarise(outcome) for outcome in outcomes]
    click.echo(f"{'policy':22s}{'fill':>7s}{'wait':>8s}{'idle':>8s}{'Gini':>7s}{'revenue':>16s}")
    for one in summaries:
        click.echo(f"{one.rule:22s}{one.fill:7.1%}{one.wait:8.2f}{one.idle:8d}{one.gini:7.3f}{one.revenue:16,.2f}")
    for title, lines in (("class", "kinds"), ("tenant", "tenants")):
        click.echo(f"\nfill rate (mean wait in periods) by {title}")
        tables: list[tuple[Line, ...]] = [getattr(one, lines) for one in summaries]
        click.echo(f"{'':22s}" + "".join(f"{line.name[:14]:>16s}" for line in tables[0]))
        for one, table in zip(summaries, tables, strict=True):
            click.echo(f"{one.rule:22s}" + "".join(f"{line.fill:9.0%} ({line.wait:4.1f})" for line in table))
    for outcome in outcomes[1:]:
        pairs = shifts(outcomes[0], outcome)
        if pairs:
            click.echo(f"\n{outcome.rule} against {outcomes[0].rule}: who loses to whom")
            for pair in pairs[:_SHOWN_SHIFTS]:
                click.echo(f"  {pair.loser} loses {pair.units:,.1f} to {pair.winner}")
