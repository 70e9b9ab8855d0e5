"""`sublet order`: quotes from the broker's own fleet, orders, approvals, the waitlist."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import click

from sublet.cli.broker_connect import JSON, KEY, PROJECT, broker, project_of
from sublet.cli.broker_inputs import HOURS, MOMENT, ORDER, QUOTE


@click.group()
def order() -> None:
    """Quote on the broker's fleet, order, approve, wait."""


@order.command()
@click.argument("job", required=False, type=click.Path(path_type=Path, dir_okay=False))
@click.option("--shape", metavar="SHAPE", help="Machines without a job: of this shape,")
@click.option("--nodes", type=click.IntRange(1), metavar="N", help="so many,")
@click.option("--for", "hours", type=HOURS, metavar="TIME", help="for so long: 24h, 3d. With a job: hold them so long.")
@click.option("--limit", type=click.IntRange(1, 50), default=5, show_default=True, metavar="N")
@click.option("--market", is_flag=True, help="Show what others ask for the same job, for comparison.")
@PROJECT
@JSON
def quote(
    job: Path | None,
    shape: str | None,
    nodes: int | None,
    hours: Decimal | None,
    limit: int,
    market: bool,
    project: str | None,
    as_json: bool,
) -> None:
    """Quote a job (a YAML file), or machines and time, on what this broker has.

    Each quote stands for a day and can be ordered: sublet order place QUOTE.
    """
    from sublet.cli import broker_render as render
    from sublet.errors import InputError

    spec = _read(job) if job is not None else None
    if spec is None and not (shape and nodes and hours):
        raise InputError("what is to be quoted? give a job file, or --shape, --nodes and --for")
    with broker() as client:
        found = client.quote(
            project_of(client, project), job=spec, shape=shape, nodes=nodes, hours=hours, limit=limit, market=market
        )
    if as_json:
        render.as_json(found)
        return
    render.show(
        found.quotes,
        (
            ("quote", lambda each: each.id),
            ("accelerators", lambda each: f"{each.count} x {each.accelerator}"),
            ("nodes", lambda each: f"{each.nodes} x {each.shape}"),
            ("run P10–P90", _run),
            ("held", lambda each: f"{each.hours.normalize():f} h"),
            ("price/accelerator-h", lambda each: each.price_per_accelerator_hour),
            ("run P50 costs", _cost),
            ("at most", lambda each: each.price),
            ("expires", lambda each: render.left(each.expires_at)),
        ),
        json_wanted=False,
        empty="nothing of ours fits",
    )
    for note in found.notes:
        click.echo(note)
    for each in found.rejected[:5]:
        click.echo(f"left out: {each.accelerator}: {each.reason}")
    for other in found.market[:limit]:
        click.echo(
            f"market: {other['count']} x {other['accelerator']} at {other['provider']}: {other['days']['p50']:g} days,"
            f" {other['cost']['p50']:,.0f} {other['cost']['currency']}"
        )
    if found.quotes:
        click.echo(f"next: sublet order place {found.quotes[0].id}")


@order.command()
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True)
@click.option("--project", metavar="PROJECT")
@JSON
def quotes(limit: int, project: str | None, as_json: bool) -> None:
    """Quotes that were given, expired ones too."""
    from sublet.cli import broker_render as render

    with broker() as client:
        render.show(
            client.quotes(project=project_of(client, project) if project else None, limit=limit),
            (
                ("quote", lambda each: each.id),
                ("job", lambda each: each.job.get("name", "")),
                ("accelerators", lambda each: f"{each.count} x {each.accelerator}"),
                ("nodes", lambda each: f"{each.nodes} x {each.shape}"),
                ("run P10–P90", _run),
                ("price/accelerator-h", lambda each: each.price_per_accelerator_hour),
                ("at most", lambda each: each.price),
                ("expires", lambda each: render.left(each.expires_at)),
            ),
            json_wanted=as_json,
            empty="no quotes yet: sublet order quote JOB.yaml",
        )


def _read(path: Path) -> dict[str, Any]:
    """The job file as plain data, after the same checks as `sublet quote`; files that it names are not sent."""
    import yaml

    from sublet.errors import InputError
    from sublet.workload.spec import load_job

    load_job(path)  # a mistake is told with file and line, before anything is sent
    spec = yaml.safe_load(path.read_text(encoding="utf-8"))
    if not isinstance(spec, dict):
        raise InputError(f"{path} holds no job")
    return spec


def _run(quote: Any) -> str:
    from sublet.units import format_duration

    run = quote.estimate.get("run_s")
    return f"{format_duration(run['p10'])} – {format_duration(run['p90'])}" if run else "–"


def _cost(quote: Any) -> object:
    from sublet.units import exact

    run = quote.estimate.get("run_s")
    return quote.price_per_hour * exact(run["p50"]) / 3600 if run else None


@order.command()
@click.argument("quote", type=QUOTE)
@click.option("--start", type=MOMENT, help="At that time; now or as soon as can be, where you do not say.")
@click.option("--by", "window_end", type=MOMENT, help="All of it lies before then.")
@click.option("--for", "hours", type=HOURS, metavar="TIME", help="For so long; as quoted, where you do not say.")
@click.option("--nodes", type=click.IntRange(1), metavar="N", help="So many; as quoted, where you do not say.")
@click.option("--wait", is_flag=True, help="Until the lease is active.")
@KEY
@JSON
def place(
    quote: str,
    start: datetime | None,
    window_end: datetime | None,
    hours: Decimal | None,
    nodes: int | None,
    wait: bool,
    key: str | None,
    as_json: bool,
) -> None:
    """Accept a quote. The order becomes a lease, waits in line, or waits for approval."""
    from sublet.cli import broker_render as render

    with broker() as client:
        placed = client.order(quote, start=start, window_end=window_end, hours=hours, nodes=nodes, key=key)
        lease = client.wait(placed.lease_id, "active") if wait and placed.lease_id else None
    if as_json:
        render.as_json({"order": placed, "lease": lease} if wait else placed)
        return
    _tell(placed)
    if lease is not None:
        click.echo(f"lease {lease.id} is active until {render.moment(lease.ends_at)} UTC")
        click.echo(f"next: sublet run {lease.id} -- COMMAND")
    elif placed.lease_id:
        click.echo(f"next: sublet lease show {placed.lease_id}")


def _tell(found: Any) -> None:
    click.echo(f"order {found.id} is {found.state}: {found.reason}")
    if found.lease_id:
        click.echo(f"lease {found.lease_id}")


@order.command("list")
@click.option("--state", metavar="STATE", help="pending-approval, waitlisted, accepted, refused, cancelled.")
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True)
@click.option("--project", metavar="PROJECT")
@JSON
def list_(state: str | None, limit: int, project: str | None, as_json: bool) -> None:
    """Orders."""
    from sublet.cli import broker_render as render

    with broker() as client:
        render.show(
            client.orders(state=state, project=project_of(client, project) if project else None, limit=limit),
            (
                ("order", lambda each: each.id),
                ("state", lambda each: each.state),
                ("what", lambda each: f"{each.nodes} x {each.shape}"),
                ("commits", lambda each: each.commitment),
                ("from", lambda each: each.starts_at or each.start),
                ("lease", lambda each: each.lease_id),
                ("reason", lambda each: each.reason),
            ),
            json_wanted=as_json,
            empty="no orders yet: sublet order quote JOB.yaml",
        )


@order.command("show")
@click.argument("order_id", type=ORDER, metavar="ORDER")
@JSON
def show(order_id: str, as_json: bool) -> None:
    """One order."""
    from sublet.cli import broker_render as render

    with broker() as client:
        found = client.get_order(order_id)
    render.as_json(found) if as_json else render.facts(vars(found))


@order.command()
@click.argument("order_id", type=ORDER, metavar="ORDER")
@click.option("--reason", default="")
def approve(order_id: str, reason: str) -> None:
    """Let an order go on that waits for approval."""
    with broker() as client:
        _tell(client.approve(order_id, reason=reason))


@order.command()
@click.argument("order_id", type=ORDER, metavar="ORDER")
@click.option("--reason", default="")
def reject(order_id: str, reason: str) -> None:
    """Refuse an order that waits for approval."""
    with broker() as client:
        _tell(client.reject(order_id, reason=reason))


@order.command()
@click.argument("order_id", type=ORDER, metavar="ORDER")
@click.option("--reason", default="")
def cancel(order_id: str, reason: str) -> None:
    """Take an order back; one that became a lease takes it with it, by its terms."""
    with broker() as client:
        _tell(client.cancel(order_id, reason=reason))


@order.command()
@JSON
def waitlist(as_json: bool) -> None:
    """Who waits, where they stand, and why."""
    from sublet.cli import broker_render as render

    with broker() as client:
        render.show(
            client.waitlist(),
            (
                ("#", lambda each: each.position),
                ("order", lambda each: each.order_id),
                ("what", lambda each: f"{each.nodes} x {each.shape}"),
                ("since", lambda each: each.entered_at),
                ("because", lambda each: each.reasons[0] if each.reasons else ""),
            ),
            json_wanted=as_json,
            empty="nobody waits",
        )
