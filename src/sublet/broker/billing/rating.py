"""Usage to amounts: units x rate, exactly, however the time was cut into records. Pure.

An hour's price is seldom a whole number per second, so amounts are the differences of a running total: the total weight
(units x rate, exact) is divided once and cut to the ledger's 12 places, and each charge is what the total grew by.
Invariant: the charges of a lease sum to its whole weight's amount, to the last place, for every way of cutting.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import ROUND_HALF_EVEN, Context, Decimal, Inexact, localcontext

from sublet.broker.billing.ledger import PLACES
from sublet.broker.metering.values import HOUR_US, MICROSECOND
from sublet.units import Money

_GRAIN = Decimal(1).scaleb(-PLACES)
_EXACT = Context(prec=80, rounding=ROUND_HALF_EVEN, traps=[Inexact])
_WIDE = Context(prec=80, rounding=ROUND_HALF_EVEN)


@dataclass(frozen=True)
class Rate:
    """A price per unit-hour from an instant on; the first of a schedule holds before its start too."""

    starts_at: datetime
    price: Money


@dataclass(frozen=True)
class Piece:
    """Units of one day at one rate: accelerator-microseconds of a price, node-microseconds of a cost."""

    day: date
    rate: Money
    units: int


def pieces(start: datetime, end: datetime, units_each: int, schedule: Sequence[Rate]) -> Iterator[Piece]:
    """[start, end) x `units_each` cut at midnights (UTC) and where the rate changes. `schedule` ascends, not empty."""
    here = start
    while here < end:
        midnight = datetime.combine(here.date() + timedelta(days=1), time(), UTC)
        until = min([end, midnight] + [rate.starts_at for rate in schedule[1:] if rate.starts_at > here])
        price = next((rate.price for rate in reversed(schedule) if rate.starts_at <= here), schedule[0].price)
        yield Piece(here.date(), price, units_each * ((until - here) // MICROSECOND))
        here = until


def grouped(every: Iterable[Piece]) -> tuple[Piece, ...]:
    """Pieces of one day and rate put together, by currency, day and rate."""
    sums: dict[tuple[str, date, Decimal], int] = defaultdict(int)
    for piece in every:
        sums[piece.rate.currency, piece.day, piece.rate.amount] += piece.units
    return tuple(Piece(day, Money(rate, currency), units) for (currency, day, rate), units in sorted(sums.items()))


def weight(every: Iterable[Piece]) -> Decimal:
    """Sum of units x rate, exact; the pieces are of one currency."""
    with localcontext(_EXACT):
        return sum((piece.units * piece.rate.amount for piece in every), Decimal(0))


def plus(before: Decimal, more: Decimal) -> Decimal:
    """Sum of two weights, exact."""
    with localcontext(_EXACT):
        return before + more


def amount(weight_: Decimal) -> Decimal:
    """What a weight costs, to 12 places, half-even."""
    with localcontext(_WIDE):
        return (weight_ / HOUR_US).quantize(_GRAIN)


def charge(before: Decimal, every: Sequence[Piece]) -> tuple[tuple[Decimal, ...], Decimal]:
    """What each piece adds to a running total whose weight was `before`, and the weight after."""
    amounts = []
    for piece in every:
        after = plus(before, weight([piece]))
        amounts.append(amount(after) - amount(before))
        before = after
    return tuple(amounts), before


def cost(every: Iterable[Piece], currency: str) -> Money:
    """What pieces of one currency cost by themselves, to 12 places."""
    return Money(amount(weight(every)), currency)
