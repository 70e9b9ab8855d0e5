"""`sublet catalog sources`: where the offers come from, under which licence, and what was imported."""

from __future__ import annotations

import json
from typing import Any

import click

from sublet.cli.catalog_common import JSON, console

SCHEMA = "sublet.catalog.sources/1"


@click.command("sources")
@JSON
@click.option("--forget", metavar="FILE", help="Take an imported file (as listed here) out of the catalogue again.")
def sources(as_json: bool, forget: str | None) -> None:
    """Where the offers come from, and under which licence the built-in ones are passed on."""
    from sublet.catalog import embedded, store

    if forget is not None:
        _forget(forget)
    table, imported = embedded.offers(), store.entries()
    if as_json:
        click.echo(json.dumps(_document(), indent=1))
        return
    from rich.table import Table

    terminal = console()
    terminal.print(f"[bold]Built in[/bold]: {len(table):,} offers (intervals of one price) from")
    for source in embedded.sources():
        terminal.print(
            f"\n[bold]{source.feed}[/bold]  {source.title}\n"
            f"  {source.url}\n"
            f"  {source.first} to {source.last}, {source.rows:,} rows, {source.licence}, {source.holder}\n"
            f"  {source.attribution}\n"
            f"  Changed: {source.changed}",
            soft_wrap=True,
        )
    if not imported:
        terminal.print("\nNothing was imported yet: `sublet catalog import PATH...`")
        return
    terminal.print(f"\n[bold]Imported[/bold] into {store.home_of()}")
    view = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("file", "format", "from", "to"):
        view.add_column(name)
    for name in ("rows", "offers", "quarantined"):
        view.add_column(name, justify="right")
    for entry in imported:
        figures = (f"{entry.rows:,}", f"{entry.offers:,}", f"{entry.quarantined:,}")
        view.add_row(entry.label, entry.format, entry.first, entry.last, *figures)
    terminal.print(view)


def _forget(name: str) -> None:
    from sublet.catalog import store
    from sublet.errors import InputError

    found = [entry for entry in store.entries() if name in (entry.label, entry.path, entry.id)]
    if not found:
        raise InputError(f'--forget "{name}": no such import; `sublet catalog sources` lists them')
    for entry in found:
        store.forget(None, entry)
        click.echo(f"forgot {entry.label} of {entry.last or 'no day'}: {entry.offers:,} offers", err=True)


def _document() -> dict[str, Any]:
    from dataclasses import asdict

    from sublet.catalog import embedded, store

    return {
        "schema": SCHEMA,
        "embedded": [asdict(source) for source in embedded.sources()],
        "home": str(store.home_of()),
        "imported": [asdict(entry) for entry in store.entries()],
    }
