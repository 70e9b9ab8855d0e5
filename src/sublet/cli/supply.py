"""`sublet supply`: contracts, nodes, capacity, prices. For the operator."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import click

from sublet.cli.broker_connect import JSON, broker
from sublet.cli.broker_inputs import MOMENT, MONEY, NODE, NUMBER, WINDOW
from sublet.cli.supply_contracts import COMMANDS as CONTRACTS

if TYPE_CHECKING:
    from sublet.client.values import ProviderOffer

EMPTY = "no nodes yet: sublet supply add --provider local (sublet supply offers shows what can be had)"
TERM = timedelta(days=365)


@click.group()
def supply() -> None:
    """Contracts with providers, the fleet, capacity and prices."""


for command in CONTRACTS:
    supply.add_command(command)


@supply.command("list")
@click.option("--state", metavar="STATE", help="delivered, healthy, cordoned, draining, maintenance, failed, returned.")
@click.option("--shape", metavar="SHAPE")
@click.option("--drained", is_flag=True, help="Those that drain and that nobody holds any more: they can go back.")
@JSON
def list_(state: str | None, shape: str | None, drained: bool, as_json: bool) -> None:
    """The fleet, node by node."""
    from sublet.cli import broker_render as render

    with broker(operator=True) as client:
        render.show(
            client.nodes(state=state, shape=shape, drained=drained),
            (
                ("node", lambda node: node.id),
                ("provider", lambda node: node.provider),
                ("shape", lambda node: node.shape),
                ("accelerators", lambda node: f"{node.accelerators_per_node} x {node.accelerator}"),
                ("state", lambda node: node.state),
                ("reason", lambda node: node.reason),
                ("cost/h", lambda node: node.price_per_node_hour),
                ("until", lambda node: node.ends_at),
            ),
            json_wanted=as_json,
            empty="no such nodes: sublet supply list shows all" if state or shape or drained else EMPTY,
        )


@supply.command()
@JSON
def offers(as_json: bool) -> None:
    """What the connected providers have now."""
    from sublet.cli import broker_render as render
    from sublet.units import format_bytes

    with broker(operator=True) as client:
        found = client.offers()
    if as_json:
        render.as_json(found)
        return
    rows = [(each, offer) for each in found for offer in each.offers]
    render.show(
        rows,
        (
            ("provider", lambda row: row[0].provider),
            ("shape", lambda row: row[1].shape),
            ("accelerators", lambda row: f"{row[1].accelerators_per_node} x {row[1].accelerator}"),
            ("cpus", lambda row: f"{row[1].cpus:g}"),
            ("memory", lambda row: format_bytes(row[1].memory_bytes)),
            ("nodes", lambda row: "not said" if row[1].nodes_available is None else row[1].nodes_available),
            ("cost/h", lambda row: row[1].price_per_node_hour),
        ),
        json_wanted=False,
        empty="no provider offers anything now",
    )
    for each in found:
        for note in (each.error, *each.notes):
            if note:
                click.echo(f"{each.provider}: {note}")


@supply.command()
@click.option("--provider", required=True, metavar="NAME", help="A connected provider: local, simulated, ...")
@click.option("--shape", metavar="SHAPE", help="Its shape; the only one that it offers, where you name none.")
@click.option("--nodes", type=click.IntRange(1), help="How many; all that it offers now, where you do not say.")
@click.option("--accelerator", metavar="NAME", help="As the catalogue names it; as the provider says, else.")
@click.option("--accelerators-per-node", type=click.IntRange(0), metavar="N")
@click.option("--price", type=MONEY, metavar="MONEY", help="Per node-hour; what the provider asks, else.")
@click.option("--start", type=MOMENT, help="Now, where you do not say.")
@click.option("--end", type=MOMENT, help="A year later, where you do not say.")
@click.option("--region", default="", metavar="REGION")
@click.option("--cluster", metavar="NAME", help="Nodes of one cluster share a fabric.")
@click.option(
    "--minimum", type=NUMBER, default=Decimal(0), metavar="HOURS", help="Node-hours that you promised to take."
)
@JSON
def add(
    provider: str,
    shape: str | None,
    nodes: int | None,
    accelerator: str | None,
    accelerators_per_node: int | None,
    price: Any,
    start: datetime | None,
    end: datetime | None,
    region: str,
    cluster: str | None,
    minimum: Decimal,
    as_json: bool,
) -> None:
    """Write down a contract; its nodes can be leased from its start on."""
    from sublet.cli import broker_render as render
    from sublet.errors import InputError

    with broker(operator=True) as client:
        connected = {each.provider: each.offers for each in client.offers()}
        offered = connected.get(provider, ())
        found = _offer(provider, offered, shape)
        begin = start or datetime.now(UTC)
        if provider not in connected and not shape:
            raise InputError(
                f"provider {provider!r} is not connected here (connected: {', '.join(connected) or 'none'}): name one"
                " of those, or say with --shape, --accelerator, --nodes and --price what you bought elsewhere"
            )
        if found is None and (not shape or price is None or accelerator is None or nodes is None):
            raise InputError(
                f"provider {provider!r} offers nothing of that kind now: give --shape, --accelerator,"
                " --accelerators-per-node, --nodes and --price yourself"
            )
        cost = price or (found.price_per_node_hour if found else None)
        if cost is None:
            raise InputError(f"{provider} does not say what a node-hour costs: give --price, for example 2.50USD")
        per_node = accelerators_per_node
        if per_node is None:
            per_node = found.accelerators_per_node if found else 1
        made = client.add_contract(
            provider=provider,
            accelerator=accelerator or (found.accelerator if found else ""),
            shape=shape or (found.shape if found else ""),
            nodes=nodes or (found.nodes_available if found else None) or 1,
            accelerators_per_node=per_node,
            price_per_node_hour=cost,
            start=begin,
            end=end or begin + TERM,
            region=region or (found.region if found else ""),
            minimum_node_hours=minimum,
            cluster=cluster,
            sold={"cpus": found.cpus, "memory_bytes": found.memory_bytes} if found else {},
        )
        new = [node for node in client.nodes(provider=provider) if node.contract_id == made.id]
    if as_json:
        render.as_json({"contract": made, "nodes": new})
        return
    click.echo(
        f"contract {made.id}: {len(new)} x {made.shape} from {made.provider} at {made.price_per_node_hour} an hour"
    )
    for node in new[:10]:
        click.echo(f"  {node.id}")
    if len(new) > 10:
        click.echo(f"  and {len(new) - 10} more (sublet supply list)")
    click.echo("next: sublet supply qualify --all")


def _offer(provider: str, offered: tuple[ProviderOffer, ...], shape: str | None) -> ProviderOffer | None:
    from sublet.errors import InputError

    matching = [offer for offer in offered if shape is None or offer.shape == shape]
    if shape is None and len(matching) > 1:
        raise InputError(f"which shape of {provider}? give --shape: {', '.join(offer.shape for offer in matching)}")
    return matching[0] if matching else None


@supply.command()
@JSON
def contracts(as_json: bool) -> None:
    """What providers sell us."""
    from sublet.cli import broker_render as render

    with broker(operator=True) as client:
        render.show(
            client.contracts(),
            (
                ("id", lambda each: each.id),
                ("provider", lambda each: each.provider),
                ("shape", lambda each: each.shape),
                ("accelerators", lambda each: f"{each.accelerators_per_node} x {each.accelerator}"),
                ("cost/h", lambda each: each.price_per_node_hour),
                ("from", lambda each: each.starts_at),
                ("until", lambda each: each.ends_at),
            ),
            json_wanted=as_json,
            empty="no contracts yet: sublet supply add --provider local",
        )


@supply.command()
@click.option("--at", type=MOMENT, help="At that time; now, where you do not say.")
@JSON
def capacity(at: datetime | None, as_json: bool) -> None:
    """Delivered, healthy, reserved, in use, free and out, by shape."""
    from sublet.cli import broker_render as render

    names = ("delivered", "healthy", "reserved", "in_use", "free", "out")
    with broker(operator=True) as client:
        render.show(
            client.capacity(at=at),
            (
                ("provider", lambda row: row.provider),
                ("shape", lambda row: row.shape),
                ("accelerators", lambda row: f"{row.accelerators_per_node} x {row.accelerator}"),
                *((name.replace("_", " "), _field(name)) for name in names),
            ),
            json_wanted=as_json,
            empty=EMPTY,
        )


def _field(name: str) -> Any:
    return lambda row: getattr(row, name)


@supply.command()
@click.argument("nodes", nargs=-1, type=NODE, metavar="NODE...")
@click.option("--all", "every", is_flag=True, help="Every node that is delivered and not yet healthy.")
@JSON
def qualify(nodes: tuple[str, ...], every: bool, as_json: bool) -> None:
    """Check nodes that nobody holds: they come out healthy, or failed with the reason."""
    from sublet.cli import broker_render as render
    from sublet.errors import InputError

    with broker(operator=True) as client:
        wanted = [*nodes, *(node.id for node in client.nodes(state="delivered"))] if every else list(nodes)
        if not wanted:
            if every:
                click.echo("every node is proved")
                return
            raise InputError("which node? give its id, or --all")
        found = []
        for node in dict.fromkeys(wanted):
            proof = client.qualify(node)
            found.append(proof)
            if not as_json:
                click.echo(f"{node}  {proof.verdict}  {proof.reason}")
    if as_json:
        render.as_json(found)


@supply.command("set")
@click.argument("node", type=NODE)
@click.argument("state", type=click.Choice(["healthy", "cordoned", "draining", "maintenance", "failed", "returned"]))
@click.option("--reason", required=True, help="Why; it stands in the audit log.")
def set_(node: str, state: str, reason: str) -> None:
    """Cordon, drain, mend or return a node."""
    with broker(operator=True) as client:
        changed = client.change_node(node, state=state, reason=reason)
    click.echo(f"{changed.id} is {changed.state}: {changed.reason}")


@supply.command()
@click.argument("nodes", nargs=-1, type=NODE, required=True, metavar="NODE...")
@click.option("--start", type=MOMENT, required=True)
@click.option("--end", type=MOMENT, required=True)
@click.option("--reason", required=True)
def maintain(nodes: tuple[str, ...], start: datetime, end: datetime, reason: str) -> None:
    """Take nodes off the market for a window: all of them, or none where a lease stands in the way."""
    with broker(operator=True) as client:
        made = client.plan_maintenance(list(nodes), start=start, end=end, reason=reason)
    click.echo(f"window {made[0].holder}: {len(made)} nodes; to close it early: sublet supply reopen {made[0].holder}")


@supply.command()
@click.argument("window", type=WINDOW)
def reopen(window: str) -> None:
    """Close a maintenance window (or an outage) early."""
    with broker(operator=True) as client:
        ended = client.end_maintenance(window)
    click.echo(f"{len(ended)} nodes are free again")


@supply.command()
@click.option("--markup", type=NUMBER, metavar="SHARE", help="Set a rule: 0.25 sells at cost plus 25 %.")
@click.option("--floor", type=MONEY, metavar="MONEY", help="Per accelerator-hour, never below.")
@click.option("--accelerator", default="", metavar="NAME", help="For this one alone.")
@JSON
def prices(markup: Decimal | None, floor: Any, accelerator: str, as_json: bool) -> None:
    """The rules by which costs become prices; with --markup, a new one."""
    from sublet.cli import broker_render as render

    with broker(operator=True) as client:
        if markup is not None:
            client.set_margin(markup, floor=floor, accelerator=accelerator)
        render.show(
            client.margin_rules(),
            (
                ("accelerator", lambda rule: rule.accelerator or "every other"),
                ("price", lambda rule: f"cost + {rule.markup * 100:f} %".replace(".00 %", " %")),
                ("floor", lambda rule: rule.floor),
                ("from", lambda rule: rule.starts_at),
            ),
            json_wanted=as_json,
            empty="no rules yet: sublet supply prices --markup 0.25",
        )
