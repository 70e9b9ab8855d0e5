"""`sublet lease`: leases, their history, and changes of their term."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import click

from sublet.cli.broker_connect import JSON, KEY, broker, project_of
from sublet.cli.broker_inputs import LEASE, MOMENT, QUOTE


@click.group()
def lease() -> None:
    """List, show, extend, shorten, renew and end leases."""


@lease.command("list")
@click.option("--state", metavar="STATE", help="scheduled, active, ending, settled, ...")
@click.option("--project", metavar="PROJECT")
@click.option("--limit", type=click.IntRange(1), default=100, show_default=True)
@JSON
def list_(state: str | None, project: str | None, limit: int, as_json: bool) -> None:
    """Leases, oldest first."""
    from sublet.cli import broker_render as render

    with broker() as client:
        render.show(
            client.leases(state=state, project=project_of(client, project) if project else None, limit=limit),
            (
                ("lease", lambda each: each.id),
                ("state", lambda each: each.state),
                ("what", lambda each: f"{each.nodes} x {each.shape} ({each.accelerator})"),
                ("price/accelerator-h", lambda each: each.price_per_accelerator_hour),
                ("from", lambda each: each.starts_at),
                ("until", lambda each: each.ends_at),
                ("reason", lambda each: each.reason),
            ),
            json_wanted=as_json,
            empty="no leases yet: sublet order quote JOB.yaml, then sublet order place QUOTE",
        )


@lease.command()
@click.argument("lease_id", type=LEASE, metavar="LEASE")
@JSON
def show(lease_id: str, as_json: bool) -> None:
    """One lease: its nodes, what it costs so far, what happened to it."""
    from sublet.cli import broker_render as render

    with broker() as client:
        found = client.lease(lease_id)
        if as_json:
            render.as_json(found)
            return
        cost = client.running_cost(lease_id)
        events = list(client.lease_events(lease_id))
    render.facts(
        {
            "lease": found.id,
            "state": f"{found.state}: {found.reason}",
            "what": f"{found.nodes} x {found.shape} from {found.provider}, {found.accelerators_per_node} x"
            f" {found.accelerator} each",
            "from": found.starts_at,
            "until": f"{render.moment(found.ends_at)} ({render.left(found.ends_at)})",
            "billed since": found.active_at or "not yet",
            "ended": found.ended_at,
            "price": f"{render.money(found.price_per_accelerator_hour)} per accelerator-hour",
            "cost so far": cost.cost,
            "order": found.order_id,
            "quote": found.quote_id,
        }
    )
    for member in found.members:
        reason = f": {member.reason}" if member.reason else ""
        click.echo(f"node {member.node_id}  {member.state}{reason}  {member.address}".rstrip())
    for event in events:
        click.echo(f"  {render.moment(event.at)}  {event.kind:<7} {event.state:<13} {event.reason}")


@lease.command()
@click.argument("lease_id", type=LEASE, metavar="[LEASE]", required=False)
@click.option("--follow", is_flag=True, help="Go on as they happen.")
@JSON
def events(lease_id: str | None, follow: bool, as_json: bool) -> None:
    """What happened to a lease, or (with --follow and no lease) what happens to all of yours."""
    import msgspec

    from sublet.cli import broker_render as render

    seen = False
    with broker() as client:
        after = 0 if lease_id else None
        for event in client.events(lease=lease_id, after=after, follow=follow):
            seen = True
            if as_json:
                click.echo(msgspec.json.encode(event))
                continue
            click.echo(f"{render.moment(event.at)}  {event.lease_id}  {event.kind:<7} {event.state:<13} {event.reason}")
    if not seen and not as_json:
        click.echo("no events now: give a lease for its history, or --follow to wait for what comes")


@lease.command()
@click.argument("lease_id", type=LEASE, metavar="LEASE")
@click.option("--until", type=MOMENT, required=True, help="2026-12-02T09:00Z, or +6h from now.")
@click.option(
    "--quote", type=QUOTE, metavar="QUOTE", help="At the price of this quote; as before, where you do not say."
)
@KEY
def extend(lease_id: str, until: datetime, quote: str | None, key: str | None) -> None:
    """Keep the nodes longer, where the calendar and the budget allow it."""
    with broker() as client:
        _tell(client.extend(lease_id, until, quote=quote, key=key))


@lease.command()
@click.argument("lease_id", type=LEASE, metavar="LEASE")
@click.option("--until", type=MOMENT, required=True)
@KEY
def shorten(lease_id: str, until: datetime, key: str | None) -> None:
    """End earlier than agreed; the freed time is in the calendar at once."""
    with broker() as client:
        _tell(client.shorten(lease_id, until, key=key))


@lease.command()
@click.argument("lease_id", type=LEASE, metavar="LEASE")
@click.option("--quote", type=QUOTE, metavar="QUOTE", required=True)
@KEY
def renew(lease_id: str, quote: str, key: str | None) -> None:
    """The same nodes once more, for as long as was first agreed."""
    with broker() as client:
        _tell(client.renew(lease_id, quote, key=key))


@lease.command()
@click.argument("lease_id", type=LEASE, metavar="LEASE")
@click.option("--reason", default="asked for by the tenant")
@click.option("--wait", is_flag=True, help="Until it is settled and has its receipt.")
@KEY
def end(lease_id: str, reason: str, wait: bool, key: str | None) -> None:
    """End a lease now; what the unused time costs is in its terms."""
    with broker() as client:
        found = client.end(lease_id, reason=reason, key=key)
        if wait:
            found = client.wait(lease_id, "settled", "cancelled", "expired", "rejected", "failed")
    click.echo(f"lease {found.id} is {found.state}: {found.reason}")
    if found.state == "settled":
        click.echo(f"next: sublet receipt {found.id}")


def _tell(found: Any) -> None:
    from sublet.cli import broker_render as render

    until = f"{render.moment(found.ends_at)} UTC ({render.left(found.ends_at)})"
    click.echo(f"lease {found.id} is {found.state} until {until}")


@lease.command()
@click.argument("lease_id", type=LEASE, metavar="LEASE")
def certificates(lease_id: str) -> None:
    """What the gate found of each node before it was billed, signed, as JSON."""
    from sublet.cli import broker_render as render

    with broker() as client:
        render.as_json(client.certificates(lease_id))
