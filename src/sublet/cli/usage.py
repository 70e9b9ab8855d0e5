"""`sublet usage`, `costs`, `receipt` and `ledger`: what was used, what it costs, and that the books agree."""

from __future__ import annotations

from typing import Any

import click

from sublet.cli.broker_connect import JSON, broker, project_of
from sublet.cli.broker_inputs import LEASE

BY = click.Choice(["lease", "project", "organisation", "day", "kind"])


@click.command()
@click.option("--lease", type=LEASE, metavar="LEASE")
@click.option("--project", metavar="PROJECT")
@click.option("--limit", type=click.IntRange(1), default=100, show_default=True)
@JSON
def usage(lease: str | None, project: str | None, limit: int, as_json: bool) -> None:
    """Usage records: each second of each node, once."""
    from sublet.cli import broker_render as render
    from sublet.units import format_duration

    with broker() as client:
        render.show(
            client.usage(lease=lease, project=project_of(client, project) if project else None, limit=limit),
            (
                ("lease", lambda each: each.lease_id),
                ("node", lambda each: each.node_id),
                ("from", lambda each: each.start),
                ("for", lambda each: format_duration((each.end - each.start).total_seconds())),
                ("kind", lambda each: each.kind),
                ("billed", lambda each: each.billable),
                ("because", lambda each: each.reason),
            ),
            json_wanted=as_json,
            empty="nothing was used yet",
        )


@click.command()
@click.option("--by", type=BY, default="lease", show_default=True)
@click.option("--project", metavar="PROJECT")
@click.option("--lease", type=LEASE, metavar="LEASE")
@JSON
def costs(by: str, project: str | None, lease: str | None, as_json: bool) -> None:
    """What was charged, less what was given back."""
    from sublet.cli import broker_render as render

    with broker() as client:
        render.show(
            client.costs(by=by, project=project_of(client, project) if project else None, lease=lease),
            (
                (by, lambda each: each.name),
                ("charged", lambda each: each.charged),
                ("given back", lambda each: each.given_back),
                ("net", lambda each: each.net),
                ("accelerator-hours", lambda each: f"{each.accelerator_hours:.4f}"),
            ),
            json_wanted=as_json,
            empty="nothing was charged yet",
        )


@click.command()
@click.argument("lease", type=LEASE)
@JSON
def receipt(lease: str, as_json: bool) -> None:
    """The receipt of a lease: quoted against actual, line by line."""
    from sublet.cli import broker_render as render

    with broker() as client:
        found = client.receipt(lease)
    render.as_json(found) if as_json else print_receipt(found)


def print_receipt(found: Any) -> None:
    """A receipt for a person."""
    from sublet.cli import broker_render as render
    from sublet.units import format_duration

    document = found.document
    quoted, actual = document["quoted"], document["actual"]
    click.echo(f"receipt {found.id} of lease {found.lease}: {found.outcome}, {render.moment(found.issued_at)} UTC")
    click.echo(
        f"{document['nodes']} x {document['shape']} from {document['provider']},"
        f" {document['accelerators_per_node']} x {document['accelerator']} each"
    )
    run = quoted["run_s"]
    rows = [
        ("run", f"{_s(run[1])} ({_s(run[0])} – {_s(run[2])})" if run else "–", _s(actual["run_s"])),
        ("tokens/s", _n(quoted["tokens_per_s"]), _n(actual["tokens_per_s"])),
        ("time held", format_duration(float(quoted["hours"]) * 3600), format_duration(float(actual["hours"]) * 3600)),
        ("cost", _m(quoted["cost"]), _m(actual["cost"])),
    ]
    click.echo(f"{'':<10}  {'quoted':<30}  actual")
    for name, left, right in rows:
        click.echo(f"{name:<10}  {left:<30}  {right}")
    if document["efficiency"] is not None:
        click.echo(f"{'':<10}  the job ran at {float(document['efficiency']):.0%} of the speed quoted")
    for line in document["lines"]:
        click.echo(f"  {_m(line['amount']):>16}  {line['sentence']}")
    click.echo(f"  {render.money(found.total):>16}  total")
    for free in document["not_charged"]:
        click.echo(f"  not charged: {format_duration(float(free['hours']) * 3600)}: {free['reason']}")
    for sentence in document["differences"]:
        click.echo(f"  {sentence}")


def _s(seconds: float | None) -> str:
    from sublet.units import format_duration

    return "not measured" if seconds is None else format_duration(seconds)


def _n(rate: float | None) -> str:
    from sublet.units import format_count

    return "–" if rate is None else format_count(rate)


def _m(amount: dict[str, str]) -> str:
    return f"{float(amount['amount']):,.2f} {amount['currency']}"


@click.command()
@click.option("--transactions", is_flag=True, help="Every transaction, instead of the balances.")
@click.option("--lease", type=LEASE, metavar="LEASE", help="Transactions of this lease.")
@click.option("--margin", is_flag=True, help="Revenue less credits less cost, instead of the balances.")
@JSON
def ledger(transactions: bool, lease: str | None, margin: bool, as_json: bool) -> None:
    """What stands on each account, and whether the books agree. Exit code 1 where they do not."""
    from sublet.cli import broker_render as render

    with broker(operator=True) as client:
        if transactions or lease:
            rows = list(client.transactions(lease=lease))
            if as_json:
                render.as_json(rows)
                return
            if not rows:
                click.echo("no transactions yet: they begin when a lease is billed")
            for row in rows:
                click.echo(f"{render.moment(row.at)}  {row.id}  {row.kind}: {row.sentence}")
                for line in row.lines:
                    click.echo(f"    {line.account:<44} {render.money(line.amount):>20}")
            return
        if margin:
            _margin(client, as_json)
            return
        found = client.ledger()
    if as_json:
        render.as_json(found)
    else:
        render.show(
            found.balances,
            (("account", lambda each: each.account), ("balance", lambda each: each.amount)),
            json_wanted=False,
            empty="the ledger is empty",
        )
        click.echo("ledger balanced" if found.balanced else "LEDGER NOT BALANCED: " + "; ".join(found.faults))
    if not found.balanced:
        raise SystemExit(1)


def _margin(client: Any, as_json: bool) -> None:
    from sublet.cli import broker_render as render

    render.show(
        client.margin(),
        (
            ("revenue", lambda each: each.revenue),
            ("credits", lambda each: each.credits),
            ("cost", lambda each: each.cost),
            ("margin", lambda each: each.margin),
            ("of revenue", lambda each: "–" if each.ratio is None else f"{float(each.ratio):.1%}"),
        ),
        json_wanted=as_json,
        empty="nothing was sold yet",
    )
