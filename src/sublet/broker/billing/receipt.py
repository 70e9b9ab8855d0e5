"""The receipt of a lease: what was quoted, what came, what it cost, what was not charged, and why they differ. Pure.

Invariant: a receipt's total is the sum of its lines, each rounded once to the currency's minor unit, half to even; the
ledger holds the same total for the lease when the receipt is written.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from sublet.broker.billing.currency import rounded
from sublet.broker.billing.values import Billed, Charge
from sublet.broker.metering.values import HOUR_US, KINDS, MICROSECOND, Usage
from sublet.broker.orders.values import StoredQuote
from sublet.units import Money, exact, format_count, format_duration, format_money

_READ = Decimal("0.000001")  # hours are shown to 3.6 ms; money is never computed from them


@dataclass(frozen=True)
class Measured:
    """What the job did, where it was measured; None where it was not."""

    run_s: float | None = None
    step_s: float | None = None
    tokens: float | None = None
    tokens_per_s: float | None = None
    source: str = ""  # who measured: "the job's own log"
    note: str = ""  # what the provider measured beside it: that the cores were shared


@dataclass(frozen=True)
class Quoted:
    """What the quote promised. Times of the job are the estimate's interval; None where the quote has none."""

    quote: str
    hours: Decimal
    accelerators: int
    price_per_accelerator_hour: Money
    cost: Money
    run_s: tuple[float, float, float] | None  # p10, p50, p90
    step_s: float | None
    tokens_per_s: float | None


@dataclass(frozen=True)
class Actual:
    """What came of it."""

    active_at: datetime | None
    ended_at: datetime | None
    hours: Decimal  # from the first second of service to the end
    node_hours: Decimal  # billed
    accelerator_hours: Decimal  # billed
    cost: Money
    run_s: float | None
    step_s: float | None
    tokens_per_s: float | None
    measured_by: str


@dataclass(frozen=True)
class Line:
    """One line: accelerator-hours x rate, or an amount for its own reason; below zero is given back."""

    kind: str
    sentence: str
    accelerator_hours: Decimal
    rate: Money | None  # per accelerator-hour
    amount: Money  # rounded


@dataclass(frozen=True)
class Free:
    """Node time that nobody is charged for, and why."""

    node_id: str  # "" for all nodes of the lease
    kind: str
    hours: Decimal
    reason: str


@dataclass(frozen=True)
class LedgerReference:
    """Where the receipt stands in the books."""

    account: str
    balance: Money
    transactions: int
    first: str | None
    last: str | None


@dataclass(frozen=True)
class Receipt:
    """What a tenant is given when its lease ends; it never changes."""

    id: str
    lease: str
    organisation: str
    project: str
    order: str
    issued_at: datetime
    outcome: str  # "settled", "cancelled", ...
    provider: str
    shape: str
    accelerator: str
    nodes: int
    accelerators_per_node: int
    quoted: Quoted
    actual: Actual
    efficiency: Decimal | None  # measured tokens per second over quoted ones
    lines: tuple[Line, ...]
    total: Money
    not_charged: tuple[Free, ...]
    differences: tuple[str, ...]  # a sentence for each way in which quoted and actual differ
    ledger: LedgerReference


def lines(charges: Iterable[Charge], currency: str) -> tuple[Line, ...]:
    """Charges of a lease as lines: usage summed by rate, everything else by kind and reason; each rounded once."""
    sums: dict[tuple[str, str, Decimal], tuple[Decimal, Decimal]] = {}
    for charge in charges:
        if charge.side == "price" and charge.kind != "rounding":
            key = charge.kind, charge.sentence if charge.kind != "usage" else "", charge.rate.amount
            hours, amount = sums.get(key, (Decimal(0), Decimal(0)))
            sums[key] = hours + charge.hours, amount + charge.amount.amount
    made = []
    for (kind, sentence, rate), (hours, amount) in sums.items():
        if kind == "usage":
            price = Money(rate, currency)
            words = f"{_plain(hours)} accelerator-hours at {price}"
            made.append(Line(kind, words, _read(hours), price, rounded(Money(amount, currency))))
        else:
            made.append(Line(kind, sentence, Decimal(0), None, rounded(Money(amount, currency))))
    return tuple(made)


def total(every: Sequence[Line], currency: str) -> Money:
    """Sum of the rounded lines."""
    return sum((line.amount for line in every), Money(Decimal(0), currency))


def quoted(quote: StoredQuote) -> Quoted:
    """What a stored quote promised, in the receipt's words. An estimate without a figure leaves None, never a guess."""
    estimate = quote.estimate
    run = estimate.get("run_s")
    interval = None
    if isinstance(run, Mapping) and all(_number(run.get(name)) is not None for name in ("p10", "p50", "p90")):
        interval = float(run["p10"]), float(run["p50"]), float(run["p90"])
    rate, tokens = _number(estimate.get("tokens_per_s")), _number(estimate.get("tokens"))
    if rate is None and tokens and interval and interval[1] > 0:
        rate = tokens / interval[1]
    return Quoted(
        quote=quote.id,
        hours=_read(quote.hours),
        accelerators=quote.count,
        price_per_accelerator_hour=quote.price_per_accelerator_hour,
        cost=rounded(quote.price),
        run_s=interval,
        step_s=_number(estimate.get("step_s")),
        tokens_per_s=rate,
    )


def actual(lease: Billed, usage: Sequence[Usage], cost: Money, measured: Measured | None) -> Actual:
    """What the records and the measurements say."""
    billable = [record for record in usage if record.billable]
    seen = measured or Measured()
    rate = seen.tokens_per_s
    if rate is None and seen.tokens is not None and seen.run_s:
        rate = seen.tokens / seen.run_s
    span = timedelta() if lease.active_at is None or lease.ended_at is None else lease.ended_at - lease.active_at
    return Actual(
        active_at=lease.active_at,
        ended_at=lease.ended_at,
        hours=_hours(max(0, span // MICROSECOND)),
        node_hours=_hours(sum(record.microseconds for record in billable)),
        accelerator_hours=_hours(sum(record.microseconds * record.accelerators for record in billable)),
        cost=cost,
        run_s=seen.run_s,
        step_s=seen.step_s,
        tokens_per_s=rate,
        measured_by=seen.source,
    )


def free(lease: Billed, usage: Sequence[Usage]) -> tuple[Free, ...]:
    """Node time that was not charged: from the records, and the wait before service from the lease's own times."""
    sums: dict[tuple[str, str, str], int] = {}
    for record in usage:
        if not record.billable:
            key = record.node_id, record.kind, record.reason
            sums[key] = sums.get(key, 0) + record.microseconds
    found = [Free(node, kind, _hours(length), reason) for (node, kind, reason), length in sums.items()]
    waited = lease.active_at is not None and lease.active_at > lease.starts_at
    if waited and lease.active_at is not None and not any(each.kind == "qualification" for each in found):
        wait = (lease.active_at - lease.starts_at) // MICROSECOND * lease.nodes
        found.insert(0, Free("", "qualification", _hours(wait), "the nodes were made and checked"))
    return tuple(found)


def efficiency(promised: Quoted, came: Actual) -> Decimal | None:
    """Measured over quoted tokens per second; None where either is missing."""
    if not promised.tokens_per_s or came.tokens_per_s is None:
        return None
    return (exact(came.tokens_per_s) / exact(promised.tokens_per_s)).quantize(Decimal("0.0001"))


def differences(
    lease: Billed,
    promised: Quoted,
    came: Actual,
    not_charged: Sequence[Free],
    every: Sequence[Line],
    why_ended: str,
    note: str = "",
) -> tuple[str, ...]:
    """One sentence for each way in which what came is not what was quoted; `note`: what was measured beside it."""
    if lease.active_at is None:
        return ("it never served, so nothing is charged",)
    said = []
    if lease.active_at > lease.starts_at:
        wait = (lease.active_at - lease.starts_at).total_seconds()
        said.append(f"service began {format_duration(wait)} after the start that was booked; that wait is not charged")
    if came.hours != promised.hours:
        longer = _more(came.hours - promised.hours)
        said.append(
            f"it served {_plain(came.hours)} h, {longer} than the {_plain(promised.hours)} h quoted: {why_ended}"
        )
    accelerators = lease.nodes * lease.accelerators_per_node
    if accelerators != promised.accelerators:
        said.append(f"it had {accelerators} accelerators, the quote was for {promised.accelerators}")
    for kind in KINDS:
        hours = sum((each.hours for each in not_charged if each.kind == kind), Decimal(0))
        if hours and kind != "qualification":
            reasons = sorted({each.reason for each in not_charged if each.kind == kind})
            said.append(f"{_plain(hours)} node-hours are not charged, {KINDS[kind]}: {'; '.join(reasons)}")
    said += [f"{format_money(line.amount)}: {line.sentence}" for line in every if line.kind != "usage"]
    later = [line for line in every if line.rate is not None and line.rate != promised.price_per_accelerator_hour]
    said += [f"{line.sentence}, as agreed when it was extended" for line in later]
    if came.cost.currency == promised.cost.currency and came.cost != promised.cost:
        change = came.cost - promised.cost
        word = "more" if change.amount > 0 else "less"
        said.append(
            f"it cost {came.cost}, {Money(abs(change.amount), change.currency)} {word} than the quote's {promised.cost}"
        )
    return (*said, *_job(promised, came), *((note,) if note else ()))


def _job(promised: Quoted, came: Actual) -> Iterable[str]:
    """How the job itself went against its estimate."""
    if came.run_s is not None and promised.run_s is not None:
        low, middle, high = promised.run_s
        place = "faster than" if came.run_s < low else "slower than" if came.run_s > high else "within"
        yield (
            f"the run took {format_duration(came.run_s)}, {place} the {format_duration(low)} to {format_duration(high)}"
            f" quoted ({format_duration(middle)} expected)"
        )
    if came.step_s is not None and promised.step_s:
        yield f"a step took {format_duration(came.step_s)}, {format_duration(promised.step_s)} were quoted"
    if came.tokens_per_s is not None and promised.tokens_per_s:
        measured, expected = format_count(came.tokens_per_s), format_count(promised.tokens_per_s)
        yield f"{measured} tokens/s were measured, {expected} were quoted"


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _hours(microseconds: int) -> Decimal:
    return _read(Decimal(microseconds) / HOUR_US)


def _read(hours: Decimal) -> Decimal:
    return hours.quantize(_READ)


def _plain(hours: Decimal) -> str:
    text = f"{hours.quantize(_READ):f}"
    return text.rstrip("0").rstrip(".")


def _more(hours: Decimal) -> str:
    return f"{_plain(abs(hours))} h {'more' if hours > 0 else 'less'}"
