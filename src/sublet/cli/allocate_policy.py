"""`sublet allocate policy`: the policies that ship, one of them in full, a file checked, the schema of the format."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import click


@click.group()
def policy() -> None:
    """Show, check and list policies and their schema."""


@policy.command("list")
def list_policies() -> None:
    """Policies that ship with the package, with what each does."""
    from sublet.allocation.policy_file import builtin_policies, load_policy

    for name in builtin_policies():
        click.echo(f"{name:20s} {load_policy(name).summary}")


@policy.command()
@click.argument("policies", nargs=-1, required=True, metavar="POLICY...")
def validate(policies: tuple[str, ...]) -> None:
    """Read policy files (or built-in names) and say whether each can be used."""
    from sublet.allocation.policy_file import load_policy

    for name in policies:
        read = load_policy(name)
        click.echo(f"{name}: policy {read.name!r}, version {read.version}: valid")


@policy.command()
@click.argument("name", metavar="POLICY")
@click.option("--json", "as_json", is_flag=True, help="Every setting, defaults included, as JSON.")
def show(name: str, as_json: bool) -> None:
    """A policy in full, defaults included."""
    from sublet.allocation.policy_file import load_policy

    read = load_policy(name)
    plain = _finite(asdict(read))
    if as_json:
        click.echo(json.dumps(plain, indent=1, allow_nan=False))
        return
    click.echo(f"{read.name}, version {read.version}: {read.summary}")
    for part in ("durations", "order", "tiers", "fair_share", "caps", "backfill", "promises", "admission", "release"):
        click.echo(f"  {part:12s} {json.dumps(plain[part])}")


@policy.command()
def schema() -> None:
    """The JSON Schema of policy files, for editors."""
    from sublet.allocation.policy_schema import json_schema

    click.echo(json.dumps(json_schema(), indent=1))


def _finite(value: Any) -> Any:
    """JSON has no infinity: no limit is null."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if value == float("inf") else value
