"""`sublet audit`: who did what, and the proof that nobody changed the log."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import click

from sublet.cli.broker_connect import JSON, broker
from sublet.cli.broker_inputs import MOMENT


@click.group()
def audit() -> None:
    """Read, verify and export the audit log."""


@audit.command("list")
@click.option("--target", metavar="ID", help="What it was done to.")
@click.option("--project", metavar="ID")
@click.option("--actor", metavar="ID", help="Who did it.")
@click.option("--since", type=MOMENT)
@click.option("--before", type=MOMENT)
@click.option("--limit", type=click.IntRange(1), default=100, show_default=True)
@JSON
def list_(
    target: str | None,
    project: str | None,
    actor: str | None,
    since: datetime | None,
    before: datetime | None,
    limit: int,
    as_json: bool,
) -> None:
    """Acts, oldest first."""
    from sublet.cli import broker_render as render

    with broker(operator=True) as client:
        render.show(
            client.audit(target=target, project=project, actor=actor, since=since, before=before, limit=limit),
            (
                ("#", lambda each: each.number),
                ("at", lambda each: each.at),
                ("who", lambda each: each.actor),
                ("role", lambda each: each.role),
                ("action", lambda each: each.action),
                ("target", lambda each: each.target),
                ("outcome", lambda each: each.outcome),
                ("reason", lambda each: each.reason),
            ),
            json_wanted=as_json,
            empty="nothing of that kind was done",
        )


@audit.command()
@click.option("--known", metavar="NUMBER:DIGEST", help="What an earlier run said: was the log cut or made anew since?")
@JSON
def verify(known: str | None, as_json: bool) -> None:
    """Walk the chain of digests from the first entry to the last. Exit code 1 where it is broken.

    Keep the NUMBER:DIGEST that it prints somewhere else: whoever cuts the newest entries off leaves a whole chain.
    """
    from sublet.cli import broker_render as render

    with broker(operator=True) as client:
        found = client.verify_audit(known=known)
    if as_json:
        render.as_json(found)
    else:
        click.echo(found.sentence)
        if found.broken_at is None and found.entries:
            click.echo(f"{found.entries}:{found.digest}")
    if found.broken_at is not None:
        raise SystemExit(1)


@audit.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, allow_dash=True), default="-")
def export(file: Path) -> None:
    """Every entry, one JSON document a line, into a file or to standard output."""
    from sublet.cli.catalog_common import write_text

    with broker(operator=True) as client:
        text = client.export_audit()
    write_text(str(file), text)
