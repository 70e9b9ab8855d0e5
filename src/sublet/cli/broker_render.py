"""What the broker says, for people and for programs: tables, key and value, JSON.

Invariant: `--json` prints one document with the fields of the API, and nothing else goes to standard output then.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import click

from sublet.units import Money, format_duration

Column = tuple[str, Callable[[Any], object]]

STYLES = {
    "active": "green",
    "healthy": "green",
    "accepted": "green",
    "settled": "green",
    "pass": "green",
    "info": "green",
    "delivered": "cyan",
    "degraded": "yellow",
    "unknown": "yellow",
    "waitlisted": "yellow",
    "pending-approval": "yellow",
    "warning": "yellow",
    "ending": "yellow",
    "failed": "red",
    "refused": "red",
    "rejected": "red",
    "critical": "red",
}


def as_json(value: Any) -> None:
    """One document."""
    import msgspec

    click.echo(json.dumps(msgspec.to_builtins(value), indent=2, ensure_ascii=False))


def show(rows: Iterable[Any], columns: Sequence[Column], *, json_wanted: bool, empty: str) -> None:
    """A table of rows, or what to do where there are none."""
    every = list(rows)
    if json_wanted:
        as_json(every)
        return
    if not every:
        click.echo(empty)
        return
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    from sublet.cli.catalog_common import console

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    for heading, _ in columns:
        table.add_column(heading, overflow="fold", no_wrap=heading in ("id", "lease", "order", "quote", "node"))
    for row in every:
        cells = [text(value(row)) for _, value in columns]
        table.add_row(*(f"[{STYLES[cell]}]{cell}[/]" if cell in STYLES else escape(cell) for cell in cells))
    console().print(table)


def facts(pairs: Mapping[str, object]) -> None:
    """Names and values, one a line; what is None is left out."""
    shown = {name: text(value) for name, value in pairs.items() if value is not None}
    width = max((len(name) for name in shown), default=0)
    for name, value in shown.items():
        click.echo(f"{name:<{width}}  {value}")


def text(value: object) -> str:
    """A value as a person reads it."""
    if value is None or value == "":
        return "–"
    if isinstance(value, Money):
        return money(value)
    if isinstance(value, datetime):
        return moment(value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(text(item) for item in value) or "–"
    return str(value)


def money(amount: Money) -> str:
    """An amount in cents; below ten to four places where it has them, so that rates and small sums are seen."""
    whole = f"{amount.amount:,.2f}"
    if abs(amount.amount) < 10:
        whole = f"{amount.amount:,.4f}"
        whole = whole[:-2] + whole[-2:].rstrip("0")
    return f"{whole} {amount.currency}"


def moment(at: datetime) -> str:
    """A moment in UTC, to the minute."""
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M")


def left(until: datetime) -> str:
    """How long it is until then, or since."""
    seconds = (until - datetime.now(UTC)).total_seconds()
    return f"in {format_duration(seconds)}" if seconds >= 0 else f"{format_duration(-seconds)} ago"
