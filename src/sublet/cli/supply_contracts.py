"""`sublet supply`: what stands under a contract, more of it, and giving it back; and a node that does not work."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import click

from sublet.cli.broker_connect import JSON, broker
from sublet.cli.broker_inputs import CONTRACT, MOMENT, MONEY, NODE


@click.command()
@click.argument("contract", type=CONTRACT)
@JSON
def blocks(contract: str, as_json: bool) -> None:
    """What was bought under a contract: nodes for a time, at a price."""
    from sublet.cli import broker_render as render

    with broker(operator=True) as client:
        render.show(
            client.blocks(contract),
            (
                ("id", lambda each: each.id),
                ("nodes", lambda each: each.nodes),
                ("cluster", lambda each: each.cluster),
                ("cost/h", lambda each: each.price_per_node_hour),
                ("from", lambda each: each.starts_at),
                ("until", lambda each: each.ends_at),
            ),
            json_wanted=as_json,
            empty="nothing was bought under it",
        )


@click.command("add-block")
@click.argument("contract", type=CONTRACT)
@click.option("--nodes", type=click.IntRange(1), required=True, help="How many more.")
@click.option("--start", type=MOMENT, help="Now, where you do not say.")
@click.option("--end", type=MOMENT, required=True)
@click.option("--price", type=MONEY, metavar="MONEY", help="Per node-hour; the contract's, where you do not say.")
@click.option("--cluster", metavar="NAME", help="Nodes of one cluster share a fabric.")
@JSON
def add_block(
    contract: str,
    nodes: int,
    start: datetime | None,
    end: datetime,
    price: Any,
    cluster: str | None,
    as_json: bool,
) -> None:
    """Buy more nodes under a contract; they enter the calendar."""
    from sublet.cli import broker_render as render

    with broker(operator=True) as client:
        made = client.add_block(
            contract,
            nodes=nodes,
            start=start or datetime.now(UTC),
            end=end,
            price_per_node_hour=price,
            cluster=cluster,
        )
    if as_json:
        render.as_json(made)
        return
    until = f"until {render.moment(made.ends_at)} UTC at {made.price_per_node_hour} a node-hour"
    click.echo(f"block {made.id}: {made.nodes} more nodes {until}")
    click.echo("next: sublet supply qualify --all")


@click.command()
@click.argument("contract", type=CONTRACT)
@click.option("--at", type=MOMENT, help="At that time; now, where you do not say.")
@JSON
def position(contract: str, at: datetime | None, as_json: bool) -> None:
    """How a contract stands: bought, delivered, reserved, short of what was promised, and what it cost."""
    from sublet.cli import broker_render as render

    with broker(operator=True) as client:
        found = client.position(contract, at=at)
    if as_json:
        render.as_json(found)
        return
    render.facts(
        {
            "node-hours bought": f"{found.node_hours_bought:,.1f}",
            "delivered": f"{found.node_hours_delivered:,.1f}",
            "reserved": f"{found.node_hours_reserved:,.1f}",
            "short of the promise": f"{found.node_hours_short:,.1f}",
            "cost of the delivered": found.cost,
            "cost of the shortfall": found.cost_short,
        }
    )


@click.command("return")
@click.argument("contract", type=CONTRACT)
@click.option("--reason", required=True, help="Why; it stands in the audit log.")
def return_(contract: str, reason: str) -> None:
    """Give a contract back before its end: its nodes drain, and each goes back when no lease holds it any more.

    One node alone: sublet supply set NODE draining, and when nobody holds it, sublet supply set NODE returned.
    """
    from sublet.cli import broker_render as render

    with broker(operator=True) as client:
        found = client.return_contract(contract, reason=reason)
    if found.closed_at is not None:
        click.echo(f"contract {found.id} is closed: every node is back")
    else:
        since = render.moment(found.returning_since) if found.returning_since else "now"
        click.echo(f"contract {found.id} goes back since {since} UTC; sublet supply list shows what still serves")


@click.command()
@click.argument("node", type=NODE)
@click.option("--until", type=MOMENT, required=True, help="When it works again: +4h, 2026-12-01.")
@click.option("--reason", required=True, help="Why; it stands in the audit log.")
@JSON
def outage(node: str, until: datetime, reason: str, as_json: bool) -> None:
    """A node does not work: it is failed, its free time is off the market, and who loses it is named."""
    from sublet.cli import broker_render as render

    with broker(operator=True) as client:
        found = client.report_outage(node, until=until, reason=reason)
    if as_json:
        render.as_json(found)
        return
    click.echo(f"{found.node_id} is out until {render.moment(until)} UTC")
    for holder in dict.fromkeys(booking.holder for booking in found.bookings):
        click.echo(f"window {holder}; to end it early: sublet supply reopen {holder}")
    for lease in found.affected:
        click.echo(f"lease {lease} is booked on it and needs another node")


COMMANDS = (blocks, add_block, position, return_, outage)
