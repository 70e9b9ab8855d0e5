"""`sublet serve`: the broker stays up, with its API at /v1."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import click

from sublet.errors import InputError


@click.command()
@click.option(
    "--host", default="127.0.0.1", show_default=True, help="Address to listen on; loopback unless you say so."
)
@click.option("--port", type=click.IntRange(0, 65535), default=8750, show_default=True, help="0: a free one.")
@click.option("--database", metavar="URL", help="postgresql://... instead of the SQLite file in SUBLET_HOME.")
@click.option("--workers", type=click.IntRange(1, 64), default=1, show_default=True, help="Processes.")
@click.option("--private-hooks", is_flag=True, help="Webhooks may go to addresses that are not public.")
@click.option("--rate", type=click.FloatRange(1), default=100.0, show_default=True, help="Requests/s of one token.")
def serve(host: str, port: int, database: str | None, workers: int, private_hooks: bool, rate: float) -> None:
    """Serve the API and drive the leases until interrupted.

    The first start makes the operator's token and a tenant with a project, and prints both tokens, once.
    """
    import gc

    gc.disable()  # a start makes no garbage worth looking for, and looking takes a fifth of it; `serving` looks again
    from sublet.api import serving
    from sublet.api.embedded import TOKENS, open_house
    from sublet.api.settings import Settings
    from sublet.catalog.store import home_of

    home = home_of()
    settings = Settings(private_hooks=private_hooks, requests_per_s=rate, burst=4 * rate)
    try:  # before anything is made: a start that cannot listen leaves no tokens behind that nobody saw
        listening = serving.bind(host, port)
    except OSError as error:
        raise InputError(f"--host {host} --port {port}: {error.strerror or error}; choose another, or 0") from error
    house, first = open_house(home, database=database, settings=settings)
    where = _url(host, listening.getsockname()[1])
    click.echo(f"Sublet serves {where}/v1 (description: {where}/openapi.json, page: {where}/docs)")
    if first is not None:
        click.echo("tokens of this first start, shown once:")
        click.echo(f"  operator  {first.operator}")
        click.echo(f"  tenant    {first.tenant}   (project {first.project})")
        click.echo(f"kept in {Path(home) / TOKENS}, readable by you alone; to use one:")
        click.echo(f"  export SUBLET_URL={where} SUBLET_TOKEN=...")
    elif (Path(home) / TOKENS).exists():
        click.echo(f"the tokens of its first start are in {Path(home) / TOKENS}")
    with suppress(KeyboardInterrupt):  # the server ends what it does, and then says again that it was asked to
        serving.serve(listening, home, house, database=database, workers=workers, settings=settings)
    click.echo("stopped; leases go on by the providers' own clocks, and are driven again from the next start on")


def _url(host: str, port: int) -> str:
    shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)  # noqa: S104
    return f"http://{shown}:{port}"
