"""`sublet webhook`: addresses that hear of events, and what was sent to them."""

from __future__ import annotations

import click

from sublet.cli.broker_connect import JSON, broker, project_of
from sublet.cli.broker_inputs import WEBHOOK


@click.group()
def webhook() -> None:
    """Tell an address of yours what happens, signed and with retries."""


@webhook.command("list")
@JSON
def list_(as_json: bool) -> None:
    """Addresses."""
    from sublet.cli import broker_render as render

    with broker() as client:
        render.show(
            client.webhooks(),
            (
                ("id", lambda each: each.id),
                ("url", lambda each: each.url),
                ("kinds", lambda each: each.kinds or "all"),
                ("stopped", lambda each: each.disabled_why),
            ),
            json_wanted=as_json,
            empty="no webhooks yet: sublet webhook add https://example.org/hooks",
        )


@webhook.command()
@click.argument("url")
@click.option("--kind", "kinds", multiple=True, metavar="KIND", help="lease.state, lease.notice, order, budget, ...")
@click.option("--project", metavar="PROJECT", help="Of this project alone.")
@JSON
def add(url: str, kinds: tuple[str, ...], project: str | None, as_json: bool) -> None:
    """Tell an address; prints the secret of its signatures, once."""
    from sublet.cli import broker_render as render

    with broker() as client:
        made = client.create_webhook(url, kinds=kinds, project=project_of(client, project) if project else None)
    if as_json:
        render.as_json(made)
        return
    click.echo(f"{made.webhook.id}  {made.webhook.url}")
    click.echo(f"secret {made.secret} (shown once; the receiver checks signatures with it)")


@webhook.command()
@click.argument("webhook_id", type=WEBHOOK, metavar="WEBHOOK")
def remove(webhook_id: str) -> None:
    """Tell an address no more."""
    with broker() as client:
        gone = client.remove_webhook(webhook_id)
    click.echo(f"{gone.id} is told no more")


@webhook.command()
@click.argument("webhook_id", type=WEBHOOK, metavar="WEBHOOK")
def ping(webhook_id: str) -> None:
    """Send a test event."""
    with broker() as client:
        sent = client.ping_webhook(webhook_id)
    click.echo(f"{sent.id} is on its way: sublet webhook deliveries {webhook_id}")


@webhook.command()
@click.argument("webhook_id", type=WEBHOOK, metavar="WEBHOOK")
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True)
@JSON
def deliveries(webhook_id: str, limit: int, as_json: bool) -> None:
    """What was sent, newest first."""
    from sublet.cli import broker_render as render

    with broker() as client:
        render.show(
            client.deliveries(webhook_id, limit=limit),
            (
                ("id", lambda each: each.id),
                ("kind", lambda each: each.kind),
                ("state", lambda each: each.state),
                ("attempts", lambda each: each.attempts),
                ("answer", lambda each: each.last_status or each.last_error),
                ("next", lambda each: each.next_at),
            ),
            json_wanted=as_json,
            empty="nothing was sent yet",
        )
