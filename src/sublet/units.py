"""Quantities with units: money as Decimal with a currency, and the parsing and printing of everything else."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True)
class Money:
    """An exact amount in one currency (ISO 4217 code). Arithmetic across currencies is refused."""

    amount: Decimal
    currency: str = "USD"
