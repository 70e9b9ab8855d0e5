"""`sublet demo broker`: the whole flow on this machine alone, in a temporary home.

Every step goes through the SDK and the API, as any tenant's and any operator's would.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sublet.errors import InputError, SubletError

if TYPE_CHECKING:
    from sublet.client import Client
    from sublet.client.values import Quote

EXAMPLE, JOB = "train_tiny.py", "train-tiny.yaml"
TERM = timedelta(days=1)


@click.group()
def demo() -> None:
    """The whole of it on this machine alone."""


@demo.command("broker")
@click.option(
    "--examples",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    default="examples",
    show_default=True,
    help=f"Where {EXAMPLE} and {JOB} lie.",
)
@click.option("--steps", type=click.IntRange(5, 100_000), default=100, show_default=True, help="Of the training run.")
@click.option("--keep", is_flag=True, help="Keep the temporary home and say where it is.")
def broker(examples: Path, steps: int, keep: bool) -> None:
    """Start a broker with this machine as supply, qualify it, quote and run a real small training, show the receipt."""
    script, job = (examples / EXAMPLE).resolve(), examples / JOB
    if not script.exists() or not job.exists():
        raise InputError(f"--examples {examples}: {EXAMPLE} and {JOB} are not there")
    began = time.monotonic()
    with _home(keep) as home, _clients(home) as (operator, tenant, project):
        click.echo(f"a broker on SQLite in {home}, this machine as supply")
        node = _supply(operator)
        _qualify(operator, node)
        quote = _quote(tenant, project, job, steps)
        lease = _lease(tenant, quote)
        actual = _run(tenant, lease, script, steps)
        _end(tenant, lease)
        _compare(quote, actual)
        _books(operator)
    click.echo(f"all of it in {time.monotonic() - began:.0f} s")


def _supply(operator: Client) -> str:
    offer = next(each for each in operator.offers() if each.provider == "local").offers[0]
    assert offer.price_per_node_hour is not None, "this machine has a price"
    now = datetime.now(UTC)
    contract = operator.add_contract(
        provider="local",
        accelerator=offer.accelerator,
        shape=offer.shape,
        nodes=1,
        accelerators_per_node=offer.accelerators_per_node,
        price_per_node_hour=offer.price_per_node_hour,
        start=now,
        end=now + TERM,
        sold={"cpus": offer.cpus, "memory_bytes": offer.memory_bytes},
    )
    node = next(iter(operator.nodes(provider="local")))
    click.echo(f"supply: contract {contract.id}, 1 node, {offer.cpus:g} cores at {offer.price_per_node_hour} an hour")
    return node.id


def _qualify(operator: Client, node: str) -> None:
    from sublet.units import format_rate, format_si

    proof = operator.qualify(node)
    measured = proof.measured
    rate = format_si(float(measured["gemm_fp32_flops"]), "FLOP/s")
    memory = format_rate(float(measured["memory_bytes_per_s"]))
    click.echo(f"qualified: {proof.verdict}; matrix products at {rate}, memory at {memory} ({proof.reason})")
    if proof.verdict not in ("pass", "info", "warning"):
        raise SubletError(f"this machine did not pass: {proof.reason}")


def _quote(tenant: Client, project: str, job: Path, steps: int) -> Quote:
    import yaml

    from sublet.units import exact, format_duration

    spec: dict[str, Any] = yaml.safe_load(job.read_text(encoding="utf-8"))
    spec["tokens"] = steps * int(spec["sequence"]) * int(str(spec["global_batch"]).split()[0])
    quote = tenant.quote(project, job=spec).quotes[0]
    run = quote.estimate["run_s"]
    cost = quote.price_per_hour * exact(run["p50"]) / 3600
    click.echo(
        f"quote: {spec['name']} on {quote.count} x {quote.accelerator}: {format_duration(run['p50'])}"
        f" ({format_duration(run['p10'])} – {format_duration(run['p90'])}), about {cost.rounded(4)};"
        f" {quote.price_per_accelerator_hour} per accelerator-hour, {quote.terms['price_rule']}"
    )
    return quote


def _lease(tenant: Client, quote: Quote) -> str:
    order = tenant.order(quote.id)
    click.echo(f"order: {order.state}, {order.commitment} committed at most")
    if order.lease_id is None:
        raise SubletError(f"the order is {order.state}: {order.reason}")
    lease = tenant.wait(order.lease_id, "active", timeout_s=120)
    click.echo(f"lease: {lease.id} is active; billing runs from now, after qualification")
    return lease.id


def _run(tenant: Client, lease: str, script: Path, steps: int) -> float:
    from sublet.cli.broker_run import follow

    run = tenant.run(lease, [sys.executable, str(script), "--steps", str(steps)])
    follow(tenant, run)
    ended = tenant.get_run(lease, run.id)
    if ended.status != 0:
        raise SubletError(f"the training run ended with status {ended.status}: {ended.reason}")
    assert ended.seconds is not None, "it ran and ended"
    return ended.seconds


def _end(tenant: Client, lease: str) -> None:
    from sublet.cli.usage import print_receipt

    tenant.end(lease, reason="the run is finished")
    tenant.wait(lease, "settled", timeout_s=60)
    print_receipt(tenant.receipt(lease))


def _compare(quote: Quote, seconds: float) -> None:
    """What the run was predicted to take and cost, against what it did: the time of the run alone."""
    from sublet.units import exact, format_duration

    run = quote.estimate["run_s"]
    predicted = (quote.price_per_hour * exact(run["p50"]) / 3600).rounded(4)
    actual = (quote.price_per_hour * exact(seconds) / 3600).rounded(4)
    where = "within" if run["p10"] <= seconds <= run["p90"] else "outside"
    click.echo(
        f"the run alone: predicted {format_duration(run['p50'])} and {predicted}, actual {format_duration(seconds)} and"
        f" {actual}; {where} the interval of {format_duration(run['p10'])} to {format_duration(run['p90'])}"
    )


def _books(operator: Client) -> None:
    books, examined, chain = operator.ledger(), operator.doctor(), operator.verify_audit()
    for fault in books.faults:
        click.echo(f"ledger: {fault}")
    for check in examined.checks:
        for finding in check.findings:
            click.echo(f"doctor: {finding.sentence}")
    click.echo(f"ledger {'balanced' if books.balanced else 'NOT BALANCED'}")
    click.echo(f"doctor {'clean' if examined.holds else 'NOT CLEAN'}: {len(examined.checks)} laws checked")
    click.echo(f"audit log: {chain.sentence}")
    if not (books.balanced and examined.holds and chain.broken_at is None):
        raise SubletError("the demo's books are not in order: see above")


@contextmanager
def _home(keep: bool) -> Iterator[Path]:
    if keep:
        yield Path(tempfile.mkdtemp(prefix="sublet-demo-"))
        return
    with tempfile.TemporaryDirectory(prefix="sublet-demo-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


@contextmanager
def _clients(home: Path) -> Iterator[tuple[Client, Client, str]]:
    """Operator and tenant of a new embedded broker in `home`."""
    import logging

    from sublet.api.app import create_app
    from sublet.api.embedded import open_house
    from sublet.api.settings import Settings
    from sublet.client import Client
    from sublet.client.asgi import AppTransport

    logging.getLogger("sublet").setLevel(logging.ERROR)
    os.chmod(home, 0o700)
    house, first = open_house(home, settings=Settings(access_log=False, tick_s=0.2))
    assert first is not None, "the home is new"
    transport = AppTransport(create_app(house))
    operator = Client("http://embedded", first.operator, transport=transport)
    tenant = Client("http://embedded", first.tenant, transport=transport)
    try:
        yield operator, tenant, first.project
    finally:
        transport.close()
        house.database.close()
