"""`sublet demo`: a quote from the market, then the whole flow on this machine alone, in a temporary home.

Every step goes through the SDK and the API, as any tenant's and any operator's would. Invariant: nothing is left
behind, whatever happens: the lease's processes end before the home is removed.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sublet.errors import InputError, SubletError

if TYPE_CHECKING:
    from sublet.client import Client
    from sublet.client.values import Quote, Run

EXAMPLE, JOB, MARKET_JOB = "train_tiny.py", "train-tiny.yaml", "mpt-30b.yaml"
TERM = timedelta(days=1)
STEPS, FEWEST, ROWS = 40, 10, 6
PRICE = Decimal(10)  # USD per node-hour: so that a few seconds are seen in cents
PATIENCE_S = 20.0  # a run that is expected to take longer is made shorter, for somebody watches

EXAMPLES = click.option(
    "--examples",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    default="examples",
    show_default=True,
    help=f"Where {EXAMPLE}, {JOB} and {MARKET_JOB} lie.",
)


@click.group(invoke_without_command=True)
@click.pass_context
def demo(context: click.Context) -> None:
    """Quote MPT-30B on the market, then lease this machine through a broker of its own: a minute, and no network."""
    if context.invoked_subcommand is not None:
        return
    home_before = os.environ.get("SUBLET_HOME")
    with _home(keep=False) as home:
        os.environ["SUBLET_HOME"] = str(home)
        try:
            _market()
            context.invoke(broker, examples=Path("examples"), steps=None, keep=False)
        finally:
            os.environ.pop("SUBLET_HOME")
            if home_before is not None:
                os.environ["SUBLET_HOME"] = home_before


def _market() -> None:
    """The first half: what the same question costs on the market, from the prices that ship with us."""
    from sublet.cli.quote import quote

    job = Path("examples") / MARKET_JOB
    if not job.exists():
        raise InputError(f"{job} is not here: run this in the checkout, or use: sublet demo broker --examples FOLDER")
    click.echo(f"$ sublet quote {job} --limit {ROWS}")
    quote.main([str(job), "--limit", str(ROWS)], prog_name="sublet quote", standalone_mode=False)
    click.echo()


@demo.command("broker")
@EXAMPLES
@click.option(
    "--steps",
    type=click.IntRange(5, 100_000),
    metavar="N",
    help=f"Of the training run; {STEPS}, or on a busy machine as many as take {PATIENCE_S:g} s, where you do not say.",
)
@click.option("--keep", is_flag=True, help="Keep the temporary home and say where it is.")
def broker(examples: Path, steps: int | None, keep: bool) -> None:
    """Start a broker with this machine as supply, qualify it, quote and run a real small training, show the receipt."""
    script, job = (examples / EXAMPLE).resolve(), examples / JOB
    if not script.exists() or not job.exists():
        raise InputError(f"--examples {examples}: {EXAMPLE} and {JOB} are not there")
    began = time.monotonic()
    with _home(keep) as home, _clients(home) as (operator, tenant, project):
        _step("broker", f"SQLite in {home}, this machine as supply; nothing leaves it")
        node = _supply(operator)
        _qualify(operator, node)
        quote, steps = _quote(tenant, project, job, steps)
        lease = _lease(tenant, quote)
        try:
            run = _run(tenant, lease, script, steps)
        except BaseException:  # whatever it is, Ctrl-C too: no command outlives the demo
            _give_back(tenant, lease)
            raise
        _end(tenant, lease)
        _compare(quote, run)
        _books(operator)
    _step("done", f"all of it in {time.monotonic() - began:.0f} s" + (f"; it is kept in {home}" if keep else ""))


def _step(name: str, sentence: str) -> None:
    click.echo(f"{click.style(f'{name:<9}', bold=True)} {sentence}")


def _more(sentence: str) -> None:
    click.echo(f"{'':<9} {sentence}")


def _supply(operator: Client) -> str:
    from sublet.units import Money

    offer = next(each for each in operator.offers() if each.provider == "local").offers[0]
    price = Money(PRICE)
    now = datetime.now(UTC)
    contract = operator.add_contract(
        provider="local",
        accelerator=offer.accelerator,
        shape=offer.shape,
        nodes=1,
        accelerators_per_node=offer.accelerators_per_node,
        price_per_node_hour=price,
        start=now,
        end=now + TERM,
        sold={"cpus": offer.cpus, "memory_bytes": offer.memory_bytes},
    )
    node = next(iter(operator.nodes(provider="local")))
    cores = f"{offer.cpus:g} of {os.cpu_count()} cores"
    _step("supply", f"contract {contract.id}: 1 node, {cores}, at {price} an hour")
    return node.id


def _qualify(operator: Client, node: str) -> None:
    from sublet.units import format_rate, format_si

    proof = operator.qualify(node)
    measured = proof.measured
    rate = format_si(float(measured.get("unshared_fp32_flops", measured["gemm_fp32_flops"])), "FLOP/s")
    memory = format_rate(float(measured["memory_bytes_per_s"]))
    _step("qualify", f"{proof.verdict}: {rate} of matrix products, {memory} of memory; {proof.reason}")
    share = measured.get("core_share")
    if isinstance(share, int | float) and share < 0.9:
        _more(f"the machine is busy: the probe got {share:.0%} of its cores, so the quote's interval is wide")
    if proof.verdict not in ("pass", "info", "warning"):
        raise SubletError(f"this machine did not pass: {proof.reason}")


def _quote(tenant: Client, project: str, job: Path, steps: int | None) -> tuple[Quote, int]:
    """The quote that will be ordered, and for how many steps it is."""
    import yaml

    from sublet.units import exact, format_duration

    spec: dict[str, Any] = yaml.safe_load(job.read_text(encoding="utf-8"))
    a_step = int(spec["sequence"]) * int(str(spec["global_batch"]).split()[0])
    count = steps or STEPS
    while True:
        quote = tenant.quote(project, job={**spec, "tokens": count * a_step}).quotes[0]
        run = quote.estimate["run_s"]
        shorter = max(FEWEST, int(count * PATIENCE_S / run["p50"]))
        if steps is not None or shorter >= count:
            break
        count = shorter
    cost = quote.price_per_hour * exact(run["p50"]) / 3600
    _step(
        "quote",
        f"{spec['name']}, {count} steps, on {quote.count} x {quote.accelerator}: {format_duration(run['p50'])}"
        f" ({format_duration(run['p10'])} – {format_duration(run['p90'])}), {cost.rounded(4)}",
    )
    _more(f"{quote.price_per_accelerator_hour} per accelerator-hour: {quote.terms['price_rule']}")
    return quote, count


def _lease(tenant: Client, quote: Quote) -> str:
    order = tenant.order(quote.id)
    _step("order", f"{order.state}; at most {order.commitment}, billed by the second")
    if order.lease_id is None:
        raise SubletError(f"the order is {order.state}: {order.reason}")
    lease = tenant.wait(order.lease_id, "active", timeout_s=120)
    _step("lease", f"{lease.id} is active: its node passed the gate again, and billing starts here")
    return lease.id


def _run(tenant: Client, lease: str, script: Path, steps: int) -> Run:
    from sublet.cli.broker_run import follow

    _step("run", f"{EXAMPLE} inside the lease: a transformer, trained in NumPy")
    run = tenant.run(lease, [sys.executable, str(script), "--steps", str(steps)], job=True)
    follow(tenant, run, every_s=1.0)
    ended = tenant.get_run(lease, run.id)
    if ended.status != 0:
        raise SubletError(f"the training run ended with status {ended.status}: {ended.reason}")
    return ended


def _give_back(tenant: Client, lease: str) -> None:
    with suppress(SubletError):
        tenant.end(lease, reason="the demonstration was interrupted")
        tenant.wait(lease, "settled", timeout_s=30)


def _end(tenant: Client, lease: str) -> None:
    from sublet.cli.usage import print_receipt

    tenant.end(lease, reason="the run is finished")
    tenant.wait(lease, "settled", timeout_s=60)
    used = [record for record in tenant.usage(lease=lease) if record.billable]
    seconds = sum((record.end - record.start).total_seconds() for record in used)
    _step("meter", f"{seconds:.1f} s of service in {len(used)} usage record{'s' * (len(used) != 1)}, without a gap")
    click.echo()
    print_receipt(tenant.receipt(lease))
    click.echo()


def _compare(quote: Quote, ended: Run) -> None:
    """What the run was predicted to take and cost, against what it did: the time of the run alone."""
    from sublet.units import exact, format_duration

    run, seconds = quote.estimate["run_s"], ended.seconds
    assert seconds is not None, "it ran and ended"
    predicted = (quote.price_per_hour * exact(run["p50"]) / 3600).rounded(4)
    actual = (quote.price_per_hour * exact(seconds) / 3600).rounded(4)
    where = "inside" if run["p10"] <= seconds <= run["p90"] else "outside"
    _step("predicted", f"{format_duration(run['p50'])} and {predicted} for the run alone")
    _step("actual", f"{format_duration(seconds)} and {actual}, {where} the quote's P10–P90")


def _books(operator: Client) -> None:
    books, examined, chain = operator.ledger(), operator.doctor(), operator.verify_audit()
    lines = sum(len(transaction.lines) for transaction in operator.transactions())
    verdict = "balanced, every transaction sums to zero" if books.balanced else "NOT BALANCED"
    _step("ledger", f"{verdict} ({lines} lines)")
    for fault in books.faults:
        _more(fault)
    _step(
        "doctor",
        f"{'clean' if examined.holds else 'NOT CLEAN'}: {len(examined.checks)} laws checked on the live database",
    )
    for check in examined.checks:
        for finding in check.findings:
            _more(finding.sentence)
    _step("audit", chain.sentence)
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
    house, first = open_house(home, settings=Settings(access_log=False, tick_s=0.3))
    assert first is not None, "the home is new"
    transport = AppTransport(create_app(house))
    operator = Client("http://embedded", first.operator, transport=transport)
    tenant = Client("http://embedded", first.tenant, transport=transport)
    try:
        yield operator, tenant, first.project
    finally:
        transport.close()
        house.database.close()
