"""`sublet tenant`: what tenants may hold at one instant, and how far each limit is used."""

from __future__ import annotations

import click

from sublet.cli.broker_connect import JSON, broker, project_of
from sublet.cli.broker_inputs import ORGANISATION
from sublet.errors import InputError

COUNT = click.IntRange(0)


@click.command()
@click.option(
    "--organisation", type=ORGANISATION, metavar="ID", help="How far its limits are used; yours, as a tenant."
)
@JSON
def caps(organisation: str | None, as_json: bool) -> None:
    """Caps: what may be held at one instant, future bookings included; of one organisation, how far they are used."""
    from sublet.cli import broker_render as render

    with broker(operator=organisation is not None) as client:
        whose = organisation or client.me().organisation
        if whose is None:
            render.show(
                client.caps(),
                (
                    ("of", lambda each: each.kind),
                    ("who", lambda each: each.subject),
                    ("nodes", lambda each: _limit(each.nodes)),
                    ("accelerators", lambda each: _limit(each.accelerators)),
                    ("since", lambda each: each.set_at),
                    ("reason", lambda each: each.reason),
                ),
                json_wanted=as_json,
                empty="no caps yet: sublet tenant set-cap --organisation ID --nodes N",
            )
            return
        render.show(
            client.cap_status(whose),
            (
                ("of", lambda each: each.kind),
                ("who", lambda each: each.name),
                ("nodes", lambda each: f"{each.nodes} of {_limit(each.limit_nodes)}"),
                ("accelerators", lambda each: f"{each.accelerators} of {_limit(each.limit_accelerators)}"),
                ("most booked", lambda each: f"{each.most_nodes} nodes, {each.most_accelerators} accelerators"),
                ("at", lambda each: each.most_at),
            ),
            json_wanted=as_json,
            empty="no cap bears on it: an operator sets one with sublet tenant set-cap",
        )


def _limit(count: int | None) -> str:
    return "no limit" if count is None else f"{count:,}"


@click.command("set-cap")
@click.option("--organisation", type=ORGANISATION, metavar="ID", help="Cap this organisation,")
@click.option("--project", metavar="PROJECT", help="or this project,")
@click.option("--group", metavar="NAME", help="or these affiliated organisations together (tenant join-group).")
@click.option("--nodes", type=COUNT, metavar="N", help="The most nodes at one instant.")
@click.option("--accelerators", type=COUNT, metavar="N", help="The most accelerators at one instant.")
@click.option("--none", "remove", is_flag=True, help="No cap from now on.")
@click.option("--reason", default="", help="Why; it stands in the audit log.")
@JSON
def set_cap(
    organisation: str | None,
    project: str | None,
    group: str | None,
    nodes: int | None,
    accelerators: int | None,
    remove: bool,
    reason: str,
    as_json: bool,
) -> None:
    """Cap what a tenant may hold at one instant, future bookings included. For the operator."""
    from sublet.cli import broker_render as render

    named = [(kind, name) for kind, name in _kinds(organisation, project, group) if name]
    if len(named) != 1:
        raise InputError("whose cap? give one of --organisation, --project and --group")
    if remove == (nodes is not None or accelerators is not None):
        raise InputError("which cap? give --nodes, --accelerators or both; or --none for no cap at all")
    kind, subject = named[0]
    with broker(operator=True) as client:
        if kind == "project":
            subject = project_of(client, subject)
        made = client.set_cap(kind, subject, nodes=nodes, accelerators=accelerators, reason=reason)
    if as_json:
        render.as_json(made)
        return
    click.echo(f"{made.kind} {made.subject}: nodes {_limit(made.nodes)}, accelerators {_limit(made.accelerators)}")


def _kinds(
    organisation: str | None, project: str | None, group: str | None
) -> tuple[tuple[str, str], tuple[str, str], tuple[str, str]]:
    return ("organisation", organisation or ""), ("project", project or ""), ("group", group or "")


@click.command("join-group")
@click.argument("organisation", type=ORGANISATION)
@click.argument("group", required=False)
@click.option("--reason", default="", help="Why; it stands in the audit log.")
def join_group(organisation: str, group: str | None, reason: str) -> None:
    """Say with whom an organisation is affiliated, for caps count them as one; without GROUP: with nobody."""
    with broker(operator=True) as client:
        made = client.join_group(organisation, group, reason=reason)
    click.echo(f"{made.id} ({made.name}): {f'in group {made.group}' if made.group else 'in no group'}")


COMMANDS = (caps, set_cap, join_group)
