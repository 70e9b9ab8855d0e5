"""Minor units: to how many decimals an amount of a currency is rounded where it leaves the house. From a data file."""

from __future__ import annotations

import csv
from decimal import ROUND_HALF_EVEN, Decimal
from functools import cache
from importlib.resources import files

from sublet.units import Money

USUAL = 2
"""ISO 4217: cents, but for the currencies in `data/minor_units.csv`."""


@cache
def _exceptions() -> dict[str, int]:
    text = (files("sublet.broker.billing") / "data" / "minor_units.csv").read_text(encoding="utf-8")
    return {row["currency"]: int(row["places"]) for row in csv.DictReader(text.splitlines())}


def places(currency: str) -> int:
    """Decimals of the currency's minor unit."""
    return _exceptions().get(currency, USUAL)


def rounded(money: Money) -> Money:
    """Rounded half-even to the minor unit. Only receipts and invoices round, once per line."""
    return Money(
        money.amount.quantize(Decimal(1).scaleb(-places(money.currency)), rounding=ROUND_HALF_EVEN), money.currency
    )
