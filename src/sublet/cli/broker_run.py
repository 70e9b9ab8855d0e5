"""`sublet run` and `sublet logs`: commands on the nodes of a lease, and what they write."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

import click

from sublet.cli.broker_connect import JSON, broker
from sublet.cli.broker_inputs import LEASE, NODE, RUN

if TYPE_CHECKING:
    from sublet.client import Client
    from sublet.client.values import Run

POLL_S = 0.2
STREAMS = ("stdout", "stderr")


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("lease", type=LEASE)
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED, metavar="-- COMMAND...")
@click.option("--node", type=NODE, metavar="NODE", help="On this node; the lease's first, where you do not say.")
@click.option("--env", "variables", multiple=True, metavar="NAME=VALUE", help="May be repeated.")
@click.option("--cwd", metavar="FOLDER", help="Below the lease's own directory.")
@click.option("--limit", metavar="TIME", help="Stop it after so long: 10min.")
@click.option(
    "--job", is_flag=True, help="This is the job that was quoted: the receipt sets its time against the quote."
)
@click.option("--detach", is_flag=True, help="Do not wait for it; `sublet logs` shows what it writes.")
@JSON
def run(
    lease: str,
    command: tuple[str, ...],
    node: str | None,
    variables: tuple[str, ...],
    cwd: str | None,
    limit: str | None,
    job: bool,
    detach: bool,
    as_json: bool,
) -> None:
    """Run a command on a node of a lease, show what it writes, and end as it ends.

    The exit code is the command's own; 128 + N where signal N killed it. Ctrl-C stops the command too.
    """
    from sublet.cli import broker_render as render
    from sublet.errors import InputError, SubletError
    from sublet.units import parse_duration

    env = {}
    for variable in variables:
        name, mark, value = variable.partition("=")
        if not mark or not name:
            raise InputError(f"--env {variable!r}: write NAME=VALUE")
        env[name] = value
    with broker() as client:
        seconds = parse_duration(limit, "--limit") if limit else None
        started = client.run(lease, command, node=node, env=env, cwd=cwd, seconds=seconds, job=job)
        if detach:
            render.as_json(started) if as_json else click.echo(started.id)
            return
        try:
            follow(client, started, quiet=as_json)
        except KeyboardInterrupt:
            client.stop_run(lease, started.id)
            raise
        ended = client.get_run(lease, started.id)
    if as_json:
        render.as_json(ended)
    if ended.status is None:
        raise SubletError(f"nobody saw how the command ended: {ended.reason or 'its node may be gone'}")
    if ended.status and ended.reason and not as_json:
        click.echo(f"sublet: {ended.reason}", err=True)
    sys.exit(ended.status if ended.status >= 0 else 128 - ended.status)


@click.command()
@click.argument("lease", type=LEASE)
@click.argument("run_id", type=RUN, metavar="[RUN]", required=False)
@click.option("-f", "--follow", is_flag=True, help="Go on until it ends.")
@click.option("--list", "listed", is_flag=True, help="The commands of the lease, instead of what one wrote.")
@JSON
def logs(lease: str, run_id: str | None, follow: bool, listed: bool, as_json: bool) -> None:
    """What a command of a lease wrote: its newest, where you name none. With --list or --json, its commands."""
    from sublet.cli import broker_render as render
    from sublet.errors import InputError
    from sublet.units import format_duration

    with broker() as client:
        every = list(client.runs(lease))
        if listed or as_json:
            columns: tuple[render.Column, ...] = (
                ("run", lambda each: each.id),
                ("command", lambda each: " ".join(each.argv)),
                ("from", lambda each: each.started_at),
                ("for", lambda each: "–" if each.seconds is None else format_duration(each.seconds)),
                (
                    "status",
                    lambda each: "runs" if each.ended_at is None else "–" if each.status is None else each.status,
                ),
                ("said", lambda each: each.reason),
            )
            render.show(every, columns, json_wanted=as_json, empty=f"nothing ran yet: sublet run {lease} -- COMMAND")
            return
        wanted = [each for each in every if run_id in (None, each.id)]
        if run_id is not None and not wanted:
            raise InputError(f"{run_id} did not run on lease {lease}: sublet logs {lease} --list shows what did")
        if not wanted:
            click.echo(f"nothing ran on {lease} yet: sublet run {lease} -- COMMAND")
            return
        show(client, wanted[-1], until_end=follow)


def follow(client: Client, run: Run, *, quiet: bool = False, every_s: float = POLL_S) -> None:
    """Show what a command writes until it ends, looking again every so often."""
    show(client, run, until_end=True, quiet=quiet, every_s=every_s)


def show(client: Client, run: Run, *, until_end: bool, quiet: bool = False, every_s: float = POLL_S) -> None:
    """Copy both streams of a command to ours, from their beginning."""
    at = dict.fromkeys(STREAMS, 0)
    open_streams = set(STREAMS)
    while open_streams:
        moved = False
        for stream in sorted(open_streams):
            part = client.log(run.lease, run.id, stream=stream, offset=at[stream])
            if part.text and not quiet:
                click.echo(part.text, nl=False, err=stream == "stderr")
            moved = moved or part.next > at[stream]
            at[stream] = part.next
            if part.ended:
                open_streams.discard(stream)
        if open_streams and not moved:
            if not until_end:
                return
            time.sleep(every_s)
