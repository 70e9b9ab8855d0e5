"""`sublet catalog doctor`: what is doubtful in the catalogue, and where to look.

Exit codes: 0 nothing to look at, 1 something is doubtful, 2 the catalogue cannot be read.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import date
from typing import TYPE_CHECKING

import click

from sublet.cli.catalog_common import AS_OF, JSON, console, money, table_of

if TYPE_CHECKING:
    from sublet.catalog.doctor import Report

SCHEMA = "sublet.catalog.doctor/1"
SHOWN = 12


@click.command("doctor")
@AS_OF
@click.option("--rows", is_flag=True, help="List every quarantined row: file, line, reason.")
@click.option("--all", "everything", is_flag=True, help="Every finding instead of the first dozen of each kind.")
@JSON
@click.pass_context
def doctor(ctx: click.Context, as_of: date | None, rows: bool, everything: bool, as_json: bool) -> None:
    """Refused rows, old prices, ambiguous names, prices that contradict each other.

    Exit code 0: nothing to look at; 1: something is doubtful.
    """
    from sublet.catalog import store
    from sublet.catalog.doctor import examine

    table, day = table_of(as_of)
    report = examine(table, store.entries(), day)
    if rows:
        for entry in report.files:
            for row in store.quarantine(None, entry):
                click.echo(f"{entry.path}:{row['line']}: {row['reason']}: {row['detail']}")
    elif as_json:
        document = {"schema": SCHEMA, "worries": report.worries, **asdict(report)}
        click.echo(json.dumps(document, indent=1, default=str))
    else:
        _print(report, None if everything else SHOWN)
    ctx.exit(1 if report.worries else 0)


def _print(report: Report, limit: int | None) -> None:
    from sublet.catalog.flags import FLAGS

    terminal = console()
    terminal.print(f"[bold]As of {report.as_of}[/bold]: {report.offers:,} offers stand.")
    if report.files:
        terminal.print(
            f"Imported: {len(report.files)} files, {report.rows:,} rows = {report.kept:,} kept"
            f" + {report.quarantined:,} quarantined."
        )
        for reason, count in report.reasons.items():
            terminal.print(f"  {reason}: {count:,}")
        for entry in [entry for entry in report.files if entry.quarantined][:limit]:
            reasons = ", ".join(f"{reason} {count:,}" for reason, count in entry.reasons.items())
            terminal.print(f"  {entry.label}: {reasons}", soft_wrap=True)
        if report.quarantined:
            terminal.print("  (--rows lists each of them with its line)")
    else:
        terminal.print("Nothing was imported; these are the built-in offers.")
    terminal.print("\n[bold]Age of the sources[/bold]")
    for feed in report.feeds if limit is None else sorted(report.feeds, key=lambda feed: -feed.age_days)[: 2 * limit]:
        mark = "[yellow]stale[/yellow]" if feed.stale else "fresh"
        name = f"{feed.feed} {feed.provider}".strip()
        terminal.print(
            f"  {mark}  {name}: last seen {feed.newest}, {feed.age_days} days before; {feed.offers:,} offers"
        )
    if report.flags:
        terminal.print("\n[bold]Flags[/bold]")
        for flag, count in sorted(report.flags.items(), key=lambda pair: -pair[1]):
            share = f"{count / max(report.offers, 1):.1%}"
            terminal.print(f"  {count:>7,} {share:>6}  {flag}: {FLAGS[flag]}", soft_wrap=True)
    if report.unresolved:
        terminal.print(f"\n[bold]Names that do not settle on one chip[/bold] ({len(report.unresolved)})")
        for provider, raw, maybe, count in report.unresolved[:limit]:
            means = maybe.replace("|", " or ") if maybe else "nothing known"
            terminal.print(f"  {provider} {raw!r}: {means} ({count:,} offers)", soft_wrap=True)
    if report.disagreements:
        terminal.print(
            f"\n[bold]Sources that disagree[/bold] ({len(report.disagreements)}), US dollars per accelerator-hour"
        )
        for one in report.disagreements[:limit]:
            prices = "; ".join(
                f"{feed} {money(low)}" + (f" to {money(high)}" if high > low else "") + f" ({seen})"
                for feed, low, high, seen in one.prices
            )
            terminal.print(f"  {one.provider} {one.what} {one.market}: {prices}", soft_wrap=True)
