"""`sublet doctor`, `backup` and `restore`: is the broker whole, and a copy of it for the day that it is not."""

from __future__ import annotations

from pathlib import Path

import click

from sublet.cli.broker_connect import JSON, broker


@click.command()
@JSON
def doctor(as_json: bool) -> None:
    """Check what must always hold, on the live database and at the providers. Exit code 1 where it does not."""
    from sublet.cli import broker_render as render

    with broker(operator=True) as client:
        found = client.doctor()
    if as_json:
        render.as_json(found)
    else:
        for check in found.checks:
            click.echo(f"{'ok  ' if check.holds else 'BAD '} {check.law} ({check.looked_at:,} looked at)")
            for finding in check.findings:
                click.echo(f"       {'unknown: ' if finding.unknown else ''}{finding.sentence}")
        click.echo("doctor: all is well" if found.holds else "doctor: see above")
    if not found.holds:
        raise SystemExit(1)


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
def backup(file: Path) -> None:
    """Copy the embedded broker into one file, while it serves. It holds secrets: keep it as you keep keys."""
    from sublet.catalog.store import home_of
    from sublet.errors import InputError
    from sublet.storage.backup import backup as write
    from sublet.storage.clock import SystemClock
    from sublet.storage.engine import FILE_NAME, Database

    home = home_of()
    if not (home / FILE_NAME).exists():
        raise InputError(f"{home} holds no broker: nothing to back up")
    database = Database.open(home)
    try:
        made = write(database, file, now=SystemClock().now())
    finally:
        database.close()
    click.echo(f"{made.path}: schema {made.revision}, {made.bytes / 1e6:,.1f} MB in {len(made.members)} files")


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
def restore(file: Path) -> None:
    """Put a backup into SUBLET_HOME, which must hold no broker yet."""
    from sublet.catalog.store import home_of
    from sublet.storage.backup import restore as put

    home = home_of()
    found = put(file, home)
    click.echo(f"{home}: a broker as of {found.made_at:%Y-%m-%d %H:%M} UTC, schema {found.revision}")
    click.echo("next: sublet doctor")
