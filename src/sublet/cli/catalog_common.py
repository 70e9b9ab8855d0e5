"""What the catalogue's commands share: the day that is asked for, the table of that day, figures as text."""

from __future__ import annotations

from datetime import date, datetime
from typing import TYPE_CHECKING, Any

import click

from sublet.errors import InputError

if TYPE_CHECKING:
    from rich.console import Console

    from sublet.catalog.table import OfferTable


class Day(click.ParamType):  # type: ignore[type-arg]
    """A calendar day, as 2023-08-15."""

    name = "date"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> date:
        if isinstance(value, date):
            return value
        try:
            return date.fromisoformat(str(value).strip())
        except ValueError:
            what = param.opts[0] if param and param.opts else "the date"
            raise InputError(f'{what}: "{value}" is no day; write it as 2023-08-15') from None


AS_OF = click.option("--as-of", type=Day(), metavar="DAY", help="Use only what was seen by that day (2023-08-15).")
JSON = click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")


def table_of(as_of: date | None) -> tuple[OfferTable, date]:
    """The offers that stood on a day, and that day: the newest on which anything was seen, where none is named."""
    from sublet.catalog.asof import standing
    from sublet.catalog.store import open_catalog

    table = open_catalog()
    day = as_of or newest(table)
    return standing(table, day), day


def newest(table: OfferTable) -> date:
    """The newest day on which anything was seen; today in an empty catalogue."""
    seen = table.ints("verified")
    return date.fromordinal(int(seen.max())) if len(seen) else datetime.now().astimezone().date()


def console(width: int | None = None) -> Console:
    """A terminal to print tables on; wide enough to keep rows whole where it is not one."""
    from rich.console import Console as Terminal

    terminal = Terminal(highlight=False, width=width)
    return terminal if terminal.is_terminal or width else Terminal(highlight=False, width=160)


def money(amount: float | None, currency: str = "USD") -> str:
    """A price as a person reads it: cents where there are dollars, more digits below."""
    if amount is None or amount != amount:
        return "–"
    text = f"{amount:,.2f}" if amount >= 1 else f"{amount:,.3f}"
    return text if currency == "USD" else f"{text} {currency}"


def age(seen: date, day: date) -> str:
    """How long before `day` something was seen: "today", "12 d", "8 mo", "2.1 y"."""
    days = (day - seen).days
    if days <= 0:
        return "that day" if days == 0 else seen.isoformat()
    if days < 90:
        return f"{days} d"
    return f"{days / 30.44:.0f} mo" if days < 700 else f"{days / 365.25:.1f} y"


def write_text(path: str, text: str) -> None:
    """Write a file the user named, "-" for standard output; InputError where it cannot be written."""
    if path == "-":
        click.echo(text, nl=False)
        return
    try:
        with open(path, "w", encoding="utf-8", newline="") as stream:
            stream.write(text)
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror or error}") from error
