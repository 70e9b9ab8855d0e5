"""The command line: a lazy group, so that each command imports only its own room."""

from __future__ import annotations

import sys

import click

from sublet import __version__
from sublet.cli.lazy import LazyGroup
from sublet.errors import SubletError

# command -> (module, attribute, one line for --help): the module is imported only when the command runs
COMMANDS = {
    "quote": ("sublet.cli.quote", "quote", "What a job costs and how long it takes, on every accelerator on offer."),
    "compare": ("sublet.cli.compare", "compare", "Chips side by side for one job at equal count."),
    "estimate": (
        "sublet.cli.estimate",
        "estimate",
        "Search layouts, explain one, validate and calibrate the estimator.",
    ),
    "catalog": ("sublet.cli.catalog", "catalog", "Import, list and inspect accelerators, shapes and offers."),
    "workload": ("sublet.cli.workload", "workload", "Write, check and describe job specs and models."),
    "qualify": ("sublet.cli.qualify", "qualify", "Prove a node: this machine, one over SSH, or what was recorded."),
    "serve": ("sublet.cli.serve", "serve", "Keep a broker up: the API at /v1, leases driven in the background."),
    "supply": ("sublet.cli.supply", "supply", "Contracts with providers, the fleet, capacity and prices."),
    "tenant": ("sublet.cli.tenant", "tenant", "Organisations, projects, people and tokens."),
    "order": ("sublet.cli.order", "order", "Quote on the broker's fleet, order, approve, wait."),
    "lease": ("sublet.cli.lease", "lease", "List, show, extend, shorten, renew and end leases."),
    "run": ("sublet.cli.broker_run", "run", "Run a command on a node of a lease."),
    "shell": ("sublet.cli.broker_shell", "shell", "A terminal on a node of a lease of this machine's own broker."),
    "logs": ("sublet.cli.broker_run", "logs", "What a command of a lease wrote."),
    "usage": ("sublet.cli.usage", "usage", "Usage records: each second of each node, once."),
    "costs": ("sublet.cli.usage", "costs", "What was charged, less what was given back."),
    "receipt": ("sublet.cli.usage", "receipt", "Quoted against actual time and cost of a lease."),
    "ledger": ("sublet.cli.usage", "ledger", "Balances, transactions, margin; whether the books agree."),
    "audit": ("sublet.cli.audit", "audit", "Read, verify and export the audit log."),
    "webhook": ("sublet.cli.webhook", "webhook", "Tell an address of yours what happens, signed and with retries."),
    "doctor": ("sublet.cli.broker_upkeep", "doctor", "Check what must always hold, on the live broker."),
    "backup": ("sublet.cli.broker_upkeep", "backup", "Copy the embedded broker into one file, while it serves."),
    "restore": ("sublet.cli.broker_upkeep", "restore", "Put a backup into a new SUBLET_HOME."),
    "completion": ("sublet.cli.completion", "completion", "What makes bash, zsh or fish complete these commands."),
    "allocate": ("sublet.cli.allocate", "allocate", "Rehearse who is served when, and what a policy does to whom."),
    "demo": ("sublet.cli.broker_demo", "demo", "The whole of it on this machine: quote, qualify, lease, run, receipt."),
}


@click.group(
    cls=LazyGroup,
    table=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120},
)
@click.version_option(__version__, prog_name="sublet")
@click.option("--url", metavar="URL", help="A broker's server; else SUBLET_URL, else the one embedded in SUBLET_HOME.")
@click.option(
    "--token", metavar="TOKEN", help="Who asks; else SUBLET_TOKEN, which other users of this machine cannot see."
)
def cli(url: str | None, token: str | None) -> None:
    """Sublet: quote, place and lease scarce accelerators."""
    del url, token  # sublet.cli.broker_connect reads them where a command speaks to a broker


def plain(sentence: str) -> str:
    """A server's sentence without the place in the request, which nobody wrote here by hand."""
    where, mark, rest = sentence.partition(": ")
    return f"{where.split('.', 1)[1]}: {rest}" if mark and where.startswith(("body.", "query.", "path.")) else sentence


def main() -> None:
    """Console entry: one sentence on stderr for every refusal, and its exit code."""
    try:
        cli(standalone_mode=False)
    except SubletError as error:
        click.echo(f"sublet: {plain(str(error))}", err=True)
        sys.exit(error.exit_code)
    except click.exceptions.Exit as done:
        sys.exit(done.exit_code)
    except click.Abort:
        click.echo("sublet: interrupted", err=True)
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(0)
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        click.echo(f"sublet: {place}{error.strerror or error}", err=True)
        sys.exit(2)
